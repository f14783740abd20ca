// CREATE INDEX. The build scans the table once and makes the graph in memory, in slots with the
// same bytes as on disk: from leaves if it can (graph/leaf_build.hpp), otherwise by one insert after
// another. Then it writes and logs the pages in one pass. If the graph outgrows
// maintenance_work_mem, the build writes the pages early, inserts the rest of the rows into them,
// and logs all pages at the end.
#include "pg/pg.hpp"

#include "am/operator_class.hpp"
#include "am/rows.hpp"
#include "am/vector_reader.hpp"
#include "core/rng.hpp"
#include "graph/leaf_build.hpp"
#include "graph/memory_store.hpp"
#include "graph/reachability.hpp"
#include "hnsw/handler.hpp"
#include "hnsw/insert.hpp"
#include "page/bulk_writer.hpp"
#include "page/chain.hpp"

extern "C" {
#include "access/tableam.h"
#include "access/xloginsert.h"
#include "commands/progress.h"
#include "pgstat.h"
#if __has_include("utils/backend_progress.h")
#include "utils/backend_progress.h"
#endif
}

namespace quiver::hnsw {

// Writes the meta page, and after it the codec's learnt parameters.
static void write_head(page::BulkWriter& writer, const MetaData& meta, const Vec<half>& parameters)
{
    const Page page = writer.next();
    page::init(page, page::Kind::meta);
    *reinterpret_cast<MetaData*>(page::contents_of(page)) = meta;
    page::set_used(page, sizeof(MetaData));
    page::write_chain(writer, reinterpret_cast<const char*>(parameters.data()),
                      parameters.size() * sizeof(half));
}

namespace {

struct BuildState {
    Relation index;
    MetaData meta;
    IndexEncoding encoding;
    LevelDraw levels;
    am::VectorReader reader;
    Owned<codec::Training> training;   // set while the codec collects rows to learn from
    struct Waiting {
        ItemPointerData tid;
        float* x;   // rotated, CodecTraits::padded
    };
    Vec<Waiting> waiting;
    Vec<half> parameters;          // of the codec
    MemoryContext context;         // of this state, and of the reader's scratch memory
    MemoryContext graph_context;   // of the memory graph
    graph::MemoryStore* memory;    // null once it is written
    graph::Inserter<graph::MemoryStore>* memory_inserter;
    graph::LeafBuild* leaf_build = nullptr;    // null if memory_inserter inserts all rows
    IndexInserter* index_inserter = nullptr;   // set from then on
    double tuples = 0;

    BuildState(Relation rel, const MetaData& m)
        : index(rel), meta(m), encoding(m), levels(m.rotation_seed),
          reader(am::opclass_of(rel), encoding.codec(), m.rotation_seed),
          training(encoding.codec().training())
    {
        context = CurrentMemoryContext;
        graph_context =
            AllocSetContextCreate(CurrentMemoryContext, "hnsw build graph", ALLOCSET_DEFAULT_SIZES);
        const MemoryContext old = MemoryContextSwitchTo(graph_context);
        memory = new (palloc(sizeof *memory)) graph::MemoryStore(encoding, 8, pg::poll);
        memory_inserter = new (palloc(sizeof *memory_inserter))
            graph::Inserter<graph::MemoryStore>(*memory, m.m, m.ef_construction, SIZE_MAX);
        if (graph::LeafBuild::fits(encoding))
            leaf_build = new (palloc(sizeof *leaf_build))
                graph::LeafBuild(*memory, {m.m, m.ef_construction, m.rotation_seed});
        MemoryContextSwitchTo(old);
    }

    Size memory_used() const
    {
        return memory->bytes() + memory_inserter->bytes() + (leaf_build ? leaf_build->bytes() : 0);
    }
};

// Links the nodes that are not linked yet.
void link_nodes(BuildState& b)
{
    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_link);
    if (b.leaf_build)
        b.leaf_build->finish(*b.memory_inserter);
}

// Writes the index with the graph in memory, in the order of the ids.
void write_graph(BuildState& b, bool log)
{
    const graph::MemoryStore& store = *b.memory;
    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_write);
    const graph::Entry entry = store.entry();
    b.meta.entry = entry.id;
    b.meta.entry_level = entry.level;
    b.meta.root = entry.root;
    page::BulkWriter writer(b.index, MAIN_FORKNUM, log);
    write_head(writer, b.meta, b.parameters);
    for (graph::SlotId id = 0; id < store.size();) {
        const Page page = writer.next();
        page::init(page, page::Kind::records);
        Size used = 0;
        for (uint32 i = 0; i < b.meta.slots_per_page && id < store.size(); i++, id++) {
            std::memcpy(page::contents_of(page) + used, store.slot(id).data(), b.meta.slot_bytes);
            used += b.meta.slot_bytes;
        }
        page::set_used(page, used);
    }
    writer.finish();
    b.memory = nullptr;
    MemoryContextDelete(b.graph_context);
}

void insert_row(BuildState& b, ItemPointer tid, const graph::Value& x)
{
    const int level = b.levels.draw(b.encoding.layout().level_base(), graph::max_level);
    if (b.memory && b.memory_used() > static_cast<Size>(maintenance_work_mem) * 1024) {
        ereport(NOTICE,
                (errmsg("hnsw graph no longer fits into maintenance_work_mem after %.0f tuples",
                        b.tuples),
                 errdetail("Building will take significantly more time."),
                 errhint("Increase maintenance_work_mem to speed up builds.")));
        const MemoryContext old = MemoryContextSwitchTo(b.graph_context);
        link_nodes(b);
        MemoryContextSwitchTo(old);
        write_graph(b, false);
        b.index_inserter =
            new (palloc(sizeof *b.index_inserter)) IndexInserter(b.index, b.meta, b.encoding, true);
        pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_load);
    }
    if (b.memory) {
        const MemoryContext old = MemoryContextSwitchTo(b.graph_context);
        if (b.leaf_build)
            b.leaf_build->add(x, am::to_tid(tid), level);
        else
            b.memory_inserter->insert(x, am::to_tid(tid), level);
        MemoryContextSwitchTo(old);
    } else
        b.index_inserter->insert(x, am::to_tid(tid), level);
    b.tuples++;
    pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, static_cast<int64>(b.tuples));
    CHECK_FOR_INTERRUPTS();
}

// Lets the codec learn from the waiting rows, then inserts them.
void train(BuildState& b)
{
    codec::Codec& codec = b.encoding.codec();
    b.parameters.resize(codec.parameter_count());
    b.training->finish(b.meta.rotation_seed, b.parameters.data(), pg::poll);
    b.training.reset();
    codec.set_parameters(b.parameters.data());
    for (BuildState::Waiting& w : b.waiting) {
        codec.prepare(w.x);
        graph::Value x;
        x.dense = w.x;
        insert_row(b, &w.tid, x);
        pfree(w.x);
    }
    b.waiting.clear();
}

void add_row(Relation, ItemPointer tid, Datum* values, bool* isnull, bool, void* arg)
{
    pg::guarded([&] {
        auto& b = *static_cast<BuildState*>(arg);
        if (isnull[0])
            return;
        const MemoryContext old = MemoryContextSwitchTo(b.context);
        graph::Value x;
        if (!b.reader.read(values[0], &x))
            ;
        else if (b.training) {
            b.training->add(x);
            const uint32 n = b.encoding.codec().traits.padded;
            auto* copy = static_cast<float*>(palloc(n * sizeof(float)));
            std::copy(x.dense, x.dense + n, copy);
            b.waiting.push_back({*tid, copy});
            if (b.training->has_enough())
                train(b);
        } else
            insert_row(b, tid, x);
        MemoryContextSwitchTo(old);
    });
}

}   // namespace

IndexBuildResult* build(Relation heap, Relation index, IndexInfo* info)
{
    const MetaData meta = new_meta(index);
    const MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hnsw build", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext old = MemoryContextSwitchTo(context);
    auto* b = new (palloc(sizeof(BuildState))) BuildState(index, meta);

    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_load);
    const double heap_tuples =
        table_index_build_scan(heap, index, info, true, true, add_row, b, nullptr);
    if (b->training)
        train(*b);
    if (b->memory) {
        const MemoryContext before = MemoryContextSwitchTo(b->graph_context);
        link_nodes(*b);
        graph::ensure_all(*b->memory, *b->memory_inserter);
        MemoryContextSwitchTo(before);
        write_graph(*b, true);
    } else {
        b->index_inserter->ensure_all();
        if (RelationNeedsWAL(index))
            log_newpage_range(index, MAIN_FORKNUM, 0, RelationGetNumberOfBlocks(index), true);
    }

    const double tuples = b->tuples;
    MemoryContextSwitchTo(old);
    MemoryContextDelete(context);
    auto* result = static_cast<IndexBuildResult*>(palloc(sizeof(IndexBuildResult)));
    result->heap_tuples = heap_tuples;
    result->index_tuples = tuples;
    return result;
}

// Writes the init fork of an unlogged index. After a crash, PostgreSQL resets the index to it.
void build_empty(Relation index)
{
    const MetaData meta = new_meta(index);
    const IndexEncoding encoding(meta);
    Vec<half> parameters(encoding.codec().parameter_count());
    if (const Owned<codec::Training> training = encoding.codec().training())
        training->finish(meta.rotation_seed, parameters.data(), pg::poll);
    page::BulkWriter writer(index, INIT_FORKNUM, true);
    write_head(writer, meta, parameters);
    writer.finish();
}

}   // namespace quiver::hnsw
