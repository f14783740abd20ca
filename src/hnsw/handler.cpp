// The access method's entry: its capabilities and callbacks. Each callback runs in guarded().
#include "pg/pg.hpp"

#include "hnsw/handler.hpp"

#include "am/operator_class.hpp"
#include "codec/sparse_codec.hpp"
#include "graph/layout.hpp"
#include "hnsw/options.hpp"
#include "hnsw/scan.hpp"
#include "hnsw/settings.hpp"
#include "pg/entry.hpp"

extern "C" {
#include "commands/progress.h"
}

namespace {

using namespace quiver;
using pg::guarded;

extern "C" {

static IndexBuildResult* hnsw_build(Relation heap, Relation index, IndexInfo* info)
{
    return guarded([&] { return hnsw::build(heap, index, info); });
}
static void hnsw_buildempty(Relation index)
{
    guarded([&] { hnsw::build_empty(index); });
}
static IndexBulkDeleteResult* hnsw_bulkdelete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                              IndexBulkDeleteCallback callback, void* state)
{
    return guarded([&] { return hnsw::bulk_delete(info, stats, callback, state); });
}
static IndexBulkDeleteResult* hnsw_vacuumcleanup(IndexVacuumInfo* info,
                                                 IndexBulkDeleteResult* stats)
{
    return guarded([&] { return hnsw::vacuum_cleanup(info, stats); });
}
static void hnsw_costestimate(PlannerInfo* root, IndexPath* path, double loops, Cost* startup,
                              Cost* total, Selectivity* selectivity, double* correlation,
                              double* pages)
{
    guarded([&] {
        hnsw::estimate_cost(root, path, loops, startup, total, selectivity, correlation, pages);
    });
}
static bytea* hnsw_options(Datum reloptions, bool validate)
{
    return guarded([&] { return hnsw::option_table.parse(reloptions, validate); });
}
static char* hnsw_buildphasename(int64 phase)
{
    switch (phase) {
    case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE: return pstrdup("initializing");
    case hnsw::phase_load: return pstrdup("loading tuples");
    case hnsw::phase_link: return pstrdup("linking nodes");
    case hnsw::phase_write: return pstrdup("writing pages");
    default: return nullptr;
    }
}
static bool hnsw_validate(Oid opclass)
{
    return guarded([&] { return am::validate_opclass(opclass, hnsw::access_method); });
}
static IndexScanDesc hnsw_beginscan(Relation index, int keys, int orderbys)
{
    return guarded([&] { return hnsw::begin_scan(index, keys, orderbys); });
}
static void hnsw_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys,
                        int norderbys)
{
    guarded([&] { hnsw::rescan(scan, keys, nkeys, orderbys, norderbys); });
}
static bool hnsw_gettuple(IndexScanDesc scan, ScanDirection direction)
{
    return guarded([&] { return hnsw::get_tuple(scan, direction); });
}
static void hnsw_endscan(IndexScanDesc scan)
{
    guarded([&] { hnsw::end_scan(scan); });
}
}

}   // namespace

constinit const am::AccessMethod hnsw::access_method = {
    .name = "hnsw",
    .estimate_cost = hnsw_costestimate,
    .explain_scan = hnsw::explain_scan,
    .meta_magic = 0x52565551,   // "QUVR"
    .format_version = graph::format_version,
    .max_nonzero = codec::max_sparse_bytes / 8,
    .pgvectors_magic = 0xA953A953,
    .find_opclass = hnsw::find_opclass,
    .info_support = 3,
    .take_part_in_build = hnsw::take_part_in_build,
};

void hnsw::load()
{
    option_table.define();
    define_settings();
    am::register_access_method(access_method);
}

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
        am.amusemaintenanceworkmem = true;
        am.amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
        am.amkeytype = InvalidOid;

        am.ambuild = hnsw_build;
        am.ambuildempty = hnsw_buildempty;
        am.aminsert = hnsw::insert;
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
