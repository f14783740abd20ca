// What pgvector's SQL scripts name of the access method ivfflat, which quiver does not have yet. A
// database that pgvector made can be opened with it, and its tables can be read. Each use of an ivfflat
// index is an error that says what to do, and the planner ignores the index.
//
// The access method itself takes the place of this file.
#include "pg/pg.hpp"

#include "pg/entry.hpp"

extern "C" {
#include "miscadmin.h"
#include "nodes/pathnodes.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
}

namespace {

using namespace quiver;

int not_supported(int level, Relation index)
{
    ereport(level,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
             errmsg("index \"%s\" cannot be used: quiver has no access method ivfflat yet",
                    RelationGetRelationName(index)),
             errhint("Create an index USING hnsw instead, and run DROP INDEX %s.",
                     quote_qualified_identifier(get_namespace_name(RelationGetNamespace(index)),
                                                RelationGetRelationName(index)))));
    return 0;
}

extern "C" {

// pg_upgrade creates the indexes of empty tables, and puts the files of the old cluster in their places.
static IndexBuildResult* ivfflat_build(Relation, Relation index, IndexInfo*)
{
    if (!IsBinaryUpgrade)
        not_supported(ERROR, index);
    return static_cast<IndexBuildResult*>(palloc0(sizeof(IndexBuildResult)));
}
static void ivfflat_buildempty(Relation index)
{
    if (!IsBinaryUpgrade)
        not_supported(ERROR, index);
}
static bool ivfflat_insert(QUIVER_AMINSERT_ARGS)
{
    (void) values, (void) tid, (void) info;
    if (!isnull[0])
        not_supported(ERROR, index);
    return false;
}
static IndexBulkDeleteResult* ivfflat_bulkdelete(IndexVacuumInfo* info,
                                                 IndexBulkDeleteResult* stats,
                                                 IndexBulkDeleteCallback, void*)
{
    not_supported(ERROR, info->index);
    return stats;
}
static IndexBulkDeleteResult* ivfflat_vacuumcleanup(IndexVacuumInfo* info,
                                                    IndexBulkDeleteResult* stats)
{
    if (!info->analyze_only)
        not_supported(ERROR, info->index);
    return stats;
}
static void ivfflat_costestimate(PlannerInfo*, IndexPath* path, double, Cost* startup, Cost* total,
                                 Selectivity* selectivity, double* correlation, double* pages)
{
    const Relation index = index_open(path->indexinfo->indexoid, NoLock);
    not_supported(WARNING, index);
    index_close(index, NoLock);
    *startup = *total = get_float8_infinity();
    *selectivity = *correlation = *pages = 0;
    pg::never_choose(&path->path);
}
static bytea* ivfflat_options(Datum, bool) { return nullptr; }
static bool ivfflat_validate(Oid) { return true; }
static IndexScanDesc ivfflat_beginscan(Relation index, int, int)
{
    not_supported(ERROR, index);
    return nullptr;
}
static void ivfflat_rescan(IndexScanDesc, ScanKey, int, ScanKey, int) {}
static bool ivfflat_gettuple(IndexScanDesc, ScanDirection) { return false; }
static void ivfflat_endscan(IndexScanDesc) {}
}

}   // namespace

QUIVER_FUNCTION(ivfflathandler)
{
    static constexpr IndexAmRoutine routine = [] {
        IndexAmRoutine am{};
        am.type = T_IndexAmRoutine;
        am.amsupport = 5;
        am.amcanorderbyop = true;
        am.amoptionalkey = true;
        am.ambuild = ivfflat_build;
        am.ambuildempty = ivfflat_buildempty;
        am.aminsert = ivfflat_insert;
        am.ambulkdelete = ivfflat_bulkdelete;
        am.amvacuumcleanup = ivfflat_vacuumcleanup;
        am.amcostestimate = ivfflat_costestimate;
        am.amoptions = ivfflat_options;
        am.amvalidate = ivfflat_validate;
        am.ambeginscan = ivfflat_beginscan;
        am.amrescan = ivfflat_rescan;
        am.amgettuple = ivfflat_gettuple;
        am.amendscan = ivfflat_endscan;
        return am;
    }();
    PG_RETURN_POINTER(pg::index_am_routine(routine));
}

// Support function 5 of pgvector's operator classes of ivfflat, which nothing calls.
QUIVER_FUNCTION(ivfflat_halfvec_support) { return Datum{0}; }
QUIVER_FUNCTION(ivfflat_bit_support) { return Datum{0}; }
