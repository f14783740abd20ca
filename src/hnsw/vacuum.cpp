// The callbacks of VACUUM. graph/lifecycle.hpp has the changes of the graph.
#include "pg/pg.hpp"

#include "am/rows.hpp"
#include "graph/lifecycle.hpp"
#include "hnsw/handler.hpp"
#include "hnsw/insert.hpp"
#include "hnsw/meta.hpp"
#include "hnsw/settings.hpp"

extern "C" {
#include "access/parallel.h"
#include "storage/indexfsm.h"
}

namespace quiver::hnsw {

namespace {

// Marking deleted nodes takes one pass over the index; removing them from the graph takes two to
// five. A few deleted nodes do not slow down searches, so a large index keeps them until there are
// more.
constexpr uint32 small_index = 1024;   // pages
constexpr uint64 few = 128;            // few: fewer than one slot in this number
bool worth_while(SlotStore& store, uint64 deleted)
{
    const uint64 slots = uint64{store.pages()} * store.slots_per_page();
    return store.pages() <= small_index || deleted >= slots / few;
}

// The limit for the sets of slots of a vacuum, in bytes.
uint64 memory()
{
#ifdef QUIVER_FAILURE_POINTS
    if (settings.vacuum_memory > 0)
        return static_cast<uint64>(settings.vacuum_memory);
#endif
    return uint64{1024} * static_cast<uint64>(pg::vacuum_work_mem());
}

template <class Dead>
IndexBulkDeleteResult* vacuum(IndexVacuumInfo* info, IndexBulkDeleteResult* stats, Dead&& dead)
{
    if (!stats)
        stats = static_cast<IndexBulkDeleteResult*>(palloc0(sizeof(IndexBulkDeleteResult)));
    const MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hnsw vacuum", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext old = MemoryContextSwitchTo(context);
    const Relation index = info->index;
    const MetaData meta = read_meta(index);
    auto* encoding = new (palloc(sizeof(IndexEncoding))) IndexEncoding(index, meta);
    auto* store = new (palloc(sizeof(SlotStore))) SlotStore(index, meta, *encoding);
    store->start_vacuum(info->strategy);
    auto* removal = new (palloc(sizeof(graph::Removal<SlotStore>)))
        graph::Removal<SlotStore>(*store, meta.m, meta.ef_construction, memory());
    const graph::RemovalResult result =
        removal->run(dead, [&](uint64 deleted) { return worth_while(*store, deleted); });
    const uint64 enough = uint64{store->pages()} * store->slots_per_page() / 1024 + 1;
    if (result.parts > 1)
        ereport(
            NOTICE,
            (errmsg("the graph of index \"%s\" was repaired in %u parts",
                    RelationGetRelationName(index), result.parts),
             IsParallelWorker()
                 ? errhint(
                       "Each worker has a share of maintenance_work_mem. A share of " UINT64_FORMAT
                       " kB is enough to repair it at once.",
                       enough)
                 : errhint("maintenance_work_mem of " UINT64_FORMAT
                           " kB is enough to repair it at once.",
                           enough)));
    const auto left = static_cast<uint32>(std::min<uint64>(result.deleted, PG_UINT32_MAX));
    if (left != meta.deleted)
        store->change_meta([&](MetaData& m) {
            m.deleted = left;
            return true;
        });
    MemoryContextSwitchTo(old);
    MemoryContextDelete(context);
    IndexFreeSpaceMapVacuum(index);
    stats->num_index_tuples = result.rows;
    stats->estimated_count = false;
    stats->tuples_removed += result.removed;
    stats->pages_free = 0;
    return stats;
}

}   // namespace

IndexBulkDeleteResult* bulk_delete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                   IndexBulkDeleteCallback callback, void* state)
{
    return vacuum(info, stats, [&](graph::Tid t) {
        ItemPointerData tid = am::from_tid(t);
        // No table has a row of number 0, but a damaged index may.
        return tid.ip_posid != InvalidOffsetNumber && callback(&tid, state);
    });
}

IndexBulkDeleteResult* vacuum_cleanup(IndexVacuumInfo* info, IndexBulkDeleteResult* stats)
{
    if (info->analyze_only)
        return stats;
    if (!stats) {
        // Nothing was deleted now, but an earlier vacuum may have left deleted nodes.
        const MetaData meta = read_meta(info->index);
        const IndexEncoding encoding(meta);
        SlotStore store(info->index, meta, encoding);
        if (meta.deleted == 0 || !worth_while(store, meta.deleted))
            return stats;   // ANALYZE knows all that could be reported
        stats = vacuum(info, stats, [](graph::Tid) { return false; });
    }
    stats->num_pages = RelationGetNumberOfBlocks(info->index);
    return stats;
}

}   // namespace quiver::hnsw
