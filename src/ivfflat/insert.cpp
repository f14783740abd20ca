// INSERT and UPDATE: adds one row to the list whose centroid is nearest.
#include "pg/pg.hpp"

#include "am/filter.hpp"
#include "am/operator_class.hpp"
#include "am/rows.hpp"
#include "am/vector_reader.hpp"
#include "ivfflat/divide.hpp"
#include "ivfflat/handler.hpp"

extern "C" {
#include "nodes/execnodes.h"
}

namespace quiver::ivfflat {

namespace {

// The state that a statement keeps between the rows that it inserts.
struct InsertState {
    MemoryContext context;
    MetaData meta;
    IndexEncoding encoding;
    am::VectorReader reader;
    am::Filter filter;
    ListStore store;
    lists::Query query;
    lists::NearestLists<ListStore> lists;
    Owned<codec::SketchEncoder> sketch;
    Vec<uint8_t> code, centroid;

    InsertState(Relation index, const MetaData& m, MemoryContext c)
        : context(c), meta(m), encoding(index, m),
          reader(am::opclass_of(index), encoding.codec(), m.rotation_seed),
          filter(index, m.filter_place()), store(index, meta, encoding),
          query(encoding, lists::Query::by_centroid), lists(store, query),
          sketch(encoding.sketches().encoder())
    {
    }

    void insert(const graph::Value& x, graph::Tid tid, codec::FilterCode filter_code)
    {
        query.set(x);
        if (try_insert(x, tid, filter_code, false))
            return;
        // The rows are being divided again (divide.hpp), or that was interrupted.
        wait_for_division(store.relation());
        if (!try_insert(x, tid, filter_code, true))
            throw Error(Errc::corrupt, "the root of the index is damaged");
        end_wait(store.relation());
    }

  private:
    bool try_insert(const graph::Value& x, graph::Tid tid, codec::FilterCode filter_code, bool open)
    {
        lists.start();
        const std::span<const lists::Probe> nearest = lists.nearest(1);
        if (nearest.empty())
            throw Error(Errc::corrupt, "the index has no lists");
        lists.read_centroid(nearest[0], [&](const codec::Code& c) {
            centroid.assign(c.bytes, c.bytes + c.length);
            codec::Code copy = c;
            copy.bytes = centroid.data();
            sketch->set_centre(copy);
        });
        const codec::Code c = encoding.codec().encode(x, code);
        sketch->encode(c);
        return store.add(nearest[0].head, sketch->sketch(), tid, filter_code, c, open);
    }
};

}   // namespace

bool insert(QUIVER_AMINSERT_ARGS)
{
    if (isnull[0])
        return false;
    auto* s = static_cast<InsertState*>(info->ii_AmCache);
    if (!s) {
        const MemoryContext context =
            AllocSetContextCreate(info->ii_Context, "ivfflat insert", ALLOCSET_DEFAULT_SIZES);
        const MemoryContext old = MemoryContextSwitchTo(context);
        s = new (palloc(sizeof(InsertState))) InsertState(index, read_meta(index), context);
        info->ii_AmCache = s;
        MemoryContextSwitchTo(old);
    }
    s->store.refresh(index);
    const MemoryContext old = MemoryContextSwitchTo(s->context);
    graph::Value x;
    if (s->reader.read(values[0], &x))
        s->insert(x, am::to_tid(tid), s->filter.code(values, isnull));
    MemoryContextSwitchTo(old);
    return false;
}

}   // namespace quiver::ivfflat
