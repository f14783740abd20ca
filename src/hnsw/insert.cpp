// INSERT and UPDATE: inserts one row into an index that other processes use.
#include "pg/pg.hpp"

#include "am/operator_class.hpp"
#include "am/rows.hpp"
#include "am/vector_reader.hpp"
#include "core/rng.hpp"
#include "am/filter.hpp"
#include "hnsw/handler.hpp"
#include "hnsw/insert.hpp"

extern "C" {
#include "nodes/execnodes.h"
}

namespace quiver::graph {
template class NeighbourSearch<hnsw::SlotStore>;
template class Backlinks<hnsw::SlotStore>;
template class Inserter<hnsw::SlotStore>;
template class Flood<hnsw::SlotStore>;
template class Attacher<hnsw::SlotStore>;
}   // namespace quiver::graph

namespace quiver::hnsw {

namespace {

// The state that a statement keeps between the rows that it inserts.
struct InsertState {
    MemoryContext context;
    MetaData meta;
    IndexEncoding encoding;
    am::VectorReader reader;
    am::Filter filter;
    SlotStore store;
    graph::Inserter<SlotStore> inserter;
    LevelDraw levels;

    InsertState(Relation index, const MetaData& m, MemoryContext c)
        : context(c), meta(m), encoding(index, m),
          reader(am::opclass_of(index), encoding.codec(), m.rotation_seed),
          filter(index, m.filter_place()), store(index, meta, encoding),
          inserter(store, meta.m, meta.ef_construction),
          levels(static_cast<uint64>(MyProcPid) << 32 ^ static_cast<uint64>(GetCurrentTimestamp()))
    {
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
            AllocSetContextCreate(info->ii_Context, "hnsw insert", ALLOCSET_DEFAULT_SIZES);
        const MemoryContext old = MemoryContextSwitchTo(context);
        s = new (palloc(sizeof(InsertState))) InsertState(index, read_meta(index), context);
        info->ii_AmCache = s;
        MemoryContextSwitchTo(old);
    }
    s->store.refresh(index);
    s->store.count_pages();
    const MemoryContext old = MemoryContextSwitchTo(s->context);
    graph::Value x;
    if (s->reader.read(values[0], &x))
        s->inserter.insert(x, am::to_tid(tid),
                           s->levels.draw(s->encoding.layout().level_base(), graph::max_level),
                           s->filter.code(values, isnull));
    MemoryContextSwitchTo(old);
    return false;
}

}   // namespace quiver::hnsw
