// The access method's entry: its capabilities and callbacks. Each callback runs in guarded().
#include "pg/pg.hpp"

#include "hnsw/hnsw.hpp"

#include <bit>

extern "C" {
#include "commands/progress.h"
#include "nodes/pathnodes.h"
}

namespace quiver::am {

void estimate_cost(PlannerInfo* root, IndexPath* path, double loops, Cost* startup, Cost* total,
                   Selectivity* selectivity, double* correlation, double* pages);

}   // namespace quiver::am

namespace {

using namespace quiver;
using pg::guarded;

extern "C" {

static IndexBuildResult* hnsw_build(Relation heap, Relation index, IndexInfo* info)
{
    return guarded([&] { return am::build(heap, index, info); });
}
static void hnsw_buildempty(Relation index)
{
    guarded([&] { am::build_empty(index); });
}
static IndexBulkDeleteResult* hnsw_bulkdelete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                              IndexBulkDeleteCallback callback, void* state)
{
    return guarded([&] { return am::bulk_delete(info, stats, callback, state); });
}
static IndexBulkDeleteResult* hnsw_vacuumcleanup(IndexVacuumInfo* info,
                                                 IndexBulkDeleteResult* stats)
{
    return guarded([&] { return am::vacuum_cleanup(info, stats); });
}
static void hnsw_costestimate(PlannerInfo* root, IndexPath* path, double loops, Cost* startup,
                              Cost* total, Selectivity* selectivity, double* correlation,
                              double* pages)
{
    guarded([&] {
        am::estimate_cost(root, path, loops, startup, total, selectivity, correlation, pages);
    });
}
static bytea* hnsw_options(Datum reloptions, bool validate)
{
    return guarded([&] { return am::parse_options(reloptions, validate); });
}
static char* hnsw_buildphasename(int64 phase)
{
    switch (phase) {
    case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE: return pstrdup("initializing");
    case 2: return pstrdup("loading tuples");
    case 3: return pstrdup("writing pages");
    default: return nullptr;
    }
}
static bool hnsw_validate(Oid opclass)
{
    return guarded([&] { return am::validate_opclass(opclass); });
}
static IndexScanDesc hnsw_beginscan(Relation index, int keys, int orderbys)
{
    return guarded([&] { return am::begin_scan(index, keys, orderbys); });
}
static void hnsw_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys,
                        int norderbys)
{
    guarded([&] { am::rescan(scan, keys, nkeys, orderbys, norderbys); });
}
static bool hnsw_gettuple(IndexScanDesc scan, ScanDirection direction)
{
    return guarded([&] { return am::get_tuple(scan, direction); });
}
static void hnsw_endscan(IndexScanDesc scan)
{
    guarded([&] { am::end_scan(scan); });
}
}

}   // namespace

QUIVER_FUNCTION(hnswhandler)
{
    static constexpr IndexAmRoutine routine = [] {
        IndexAmRoutine am{};
        am.type = T_IndexAmRoutine;
        am.amstrategies = 0;
        am.amsupport = 3;
        am.amoptsprocnum = 0;
        am.amcanorder = false;
        am.amcanorderbyop = true;
        am.amcanbackward = false;
        am.amcanunique = false;
        am.amcanmulticol = false;
        am.amoptionalkey = true;
        am.amsearcharray = false;
        am.amsearchnulls = false;
        am.amstorage = false;
        am.amclusterable = false;
        am.ampredlocks = false;
        am.amcanparallel = false;
        am.amcaninclude = false;
        am.amusemaintenanceworkmem = true;
        am.amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
        am.amkeytype = InvalidOid;

        am.ambuild = hnsw_build;
        am.ambuildempty = hnsw_buildempty;
        am.aminsert = am::insert;
        am.ambulkdelete = hnsw_bulkdelete;
        am.amvacuumcleanup = hnsw_vacuumcleanup;
        am.amcanreturn = nullptr;
        am.amcostestimate = hnsw_costestimate;
        am.amoptions = hnsw_options;
        am.amproperty = nullptr;
        am.ambuildphasename = hnsw_buildphasename;
        am.amvalidate = hnsw_validate;
        am.ambeginscan = hnsw_beginscan;
        am.amrescan = hnsw_rescan;
        am.amgettuple = hnsw_gettuple;
        am.amgetbitmap = nullptr;
        am.amendscan = hnsw_endscan;
        am.ammarkpos = nullptr;
        am.amrestrpos = nullptr;
        am.amestimateparallelscan = nullptr;
        am.aminitparallelscan = nullptr;
        am.amparallelrescan = nullptr;
        return am;
    }();
    PG_RETURN_POINTER(pg::index_am_routine(routine));
}

bool quiver::am::is_of_hnsw(const IndexOptInfo* index)
{
    return reinterpret_cast<const void*>(index->amcostestimate) ==
           reinterpret_cast<const void*>(hnsw_costestimate);
}
