// The access method's entry: its capabilities and callbacks. Each callback runs in guarded().
#include "pg/pg.hpp"

#include "ivfflat/handler.hpp"

#include "am/operator_class.hpp"
#include "ivfflat/options.hpp"
#include "ivfflat/scan.hpp"
#include "ivfflat/settings.hpp"
#include "pg/entry.hpp"

extern "C" {
#include "commands/progress.h"
}

namespace {

using namespace quiver;
using pg::guarded;

extern "C" {

static IndexBuildResult* ivfflat_build(Relation heap, Relation index, IndexInfo* info)
{
    return guarded([&] { return ivfflat::build(heap, index, info); });
}
static void ivfflat_buildempty(Relation index)
{
    guarded([&] { ivfflat::build_empty(index); });
}
static IndexBulkDeleteResult* ivfflat_bulkdelete(IndexVacuumInfo* info,
                                                 IndexBulkDeleteResult* stats,
                                                 IndexBulkDeleteCallback callback, void* state)
{
    return guarded([&] { return ivfflat::bulk_delete(info, stats, callback, state); });
}
static IndexBulkDeleteResult* ivfflat_vacuumcleanup(IndexVacuumInfo* info,
                                                    IndexBulkDeleteResult* stats)
{
    return guarded([&] { return ivfflat::vacuum_cleanup(info, stats); });
}
static void ivfflat_costestimate(PlannerInfo* root, IndexPath* path, double loops, Cost* startup,
                                 Cost* total, Selectivity* selectivity, double* correlation,
                                 double* pages)
{
    guarded([&] {
        ivfflat::estimate_cost(root, path, loops, startup, total, selectivity, correlation, pages);
    });
}
static bytea* ivfflat_options(Datum reloptions, bool validate)
{
    return guarded([&] { return ivfflat::option_table.parse(reloptions, validate); });
}
static char* ivfflat_buildphasename(int64 phase)
{
    switch (phase) {
    case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE: return pstrdup("initializing");
    case ivfflat::phase_scan: return pstrdup("scanning table");
    case ivfflat::phase_kmeans: return pstrdup("performing k-means");
    case ivfflat::phase_assign: return pstrdup("assigning tuples");
    case ivfflat::phase_load: return pstrdup("loading tuples");
    default: return nullptr;
    }
}
static bool ivfflat_validate(Oid opclass)
{
    return guarded([&] { return am::validate_opclass(opclass, ivfflat::access_method); });
}
static IndexScanDesc ivfflat_beginscan(Relation index, int keys, int orderbys)
{
    return guarded([&] { return ivfflat::begin_scan(index, keys, orderbys); });
}
static void ivfflat_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys,
                           int norderbys)
{
    guarded([&] { ivfflat::rescan(scan, keys, nkeys, orderbys, norderbys); });
}
static bool ivfflat_gettuple(IndexScanDesc scan, ScanDirection direction)
{
    return guarded([&] { return ivfflat::get_tuple(scan, direction); });
}
static void ivfflat_endscan(IndexScanDesc scan)
{
    guarded([&] { ivfflat::end_scan(scan); });
}
}

}   // namespace

constinit const am::AccessMethod ivfflat::access_method = {
    .name = "ivfflat",
    .estimate_cost = ivfflat_costestimate,
    .explain_scan = ivfflat::explain_scan,
    .meta_magic = 0x49565551,   // "QUVI"
    .format_version = 1,
    .max_nonzero = 0,
    .pgvectors_magic = 0x14FF1A7,
    .find_opclass = ivfflat::find_opclass,
    .info_support = 0,
    .take_part_in_build = ivfflat::take_part_in_build,
};

void ivfflat::load()
{
    option_table.define();
    define_settings();
    am::register_access_method(access_method);
}

QUIVER_FUNCTION(ivfflathandler)
{
    static constexpr IndexAmRoutine routine = [] {
        IndexAmRoutine am{};
        am.type = T_IndexAmRoutine;
        am.amstrategies = 0;
        am.amsupport = 5;
        am.amoptsprocnum = 0;
        am.amcanorder = false;
        am.amcanorderbyop = true;
        am.amcanbackward = false;
        am.amcanunique = false;
        am.amcanmulticol = true;
        am.amoptionalkey = true;
        am.amsearcharray = true;
        am.amsearchnulls = true;
        am.amstorage = false;
        am.amclusterable = false;
        am.ampredlocks = false;
        am.amcanparallel = false;
        pg::set_builds_parallel(am);
        am.amcaninclude = false;
        am.amusemaintenanceworkmem = false;
        am.amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
        am.amkeytype = InvalidOid;

        am.ambuild = ivfflat_build;
        am.ambuildempty = ivfflat_buildempty;
        am.aminsert = ivfflat::insert;
        am.ambulkdelete = ivfflat_bulkdelete;
        am.amvacuumcleanup = ivfflat_vacuumcleanup;
        am.amcanreturn = nullptr;
        am.amcostestimate = ivfflat_costestimate;
        am.amoptions = ivfflat_options;
        am.amproperty = nullptr;
        am.ambuildphasename = ivfflat_buildphasename;
        am.amvalidate = ivfflat_validate;
        am.ambeginscan = ivfflat_beginscan;
        am.amrescan = ivfflat_rescan;
        am.amgettuple = ivfflat_gettuple;
        am.amgetbitmap = nullptr;
        am.amendscan = ivfflat_endscan;
        am.ammarkpos = nullptr;
        am.amrestrpos = nullptr;
        am.amestimateparallelscan = nullptr;
        am.aminitparallelscan = nullptr;
        am.amparallelrescan = nullptr;
        return am;
    }();
    PG_RETURN_POINTER(pg::index_am_routine(routine));
}
