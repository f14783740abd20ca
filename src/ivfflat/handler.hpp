// The entry points of the access method ivfflat.
#pragma once

#include "am/access_method.hpp"

namespace quiver::ivfflat {

extern const am::AccessMethod access_method;

const am::Opclass* find_opclass(PGFunction distance, bool norm);   // operator_classes.cpp

// Defines options and settings, and registers the access method. To be called once, when the library is loaded.
void load();

// The callbacks of IndexAmRoutine.

IndexBuildResult* build(Relation heap, Relation index, IndexInfo* info);   // build.cpp
void build_empty(Relation index);
void take_part_in_build(Relation heap, Relation index, IndexInfo* info, am::BuildTeam& team);
bool insert(QUIVER_AMINSERT_ARGS);   // insert.cpp
IndexBulkDeleteResult* bulk_delete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                   IndexBulkDeleteCallback callback, void* state);   // vacuum.cpp
IndexBulkDeleteResult* vacuum_cleanup(IndexVacuumInfo* info, IndexBulkDeleteResult* stats);
void estimate_cost(PlannerInfo* root, IndexPath* path, double loops, Cost* startup, Cost* total,
                   Selectivity* selectivity, double* correlation, double* pages);   // cost.cpp
IndexScanDesc begin_scan(Relation index, int keys, int orderbys);                   // scan.cpp
void rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys);
bool get_tuple(IndexScanDesc scan, ScanDirection direction);
void end_scan(IndexScanDesc scan);

// Phases of a build, for pg_stat_progress_create_index. (PostgreSQL defines phase 1, "initializing".)
constexpr int phase_scan = 2;
constexpr int phase_kmeans = 3;
constexpr int phase_assign = 4;
constexpr int phase_load = 5;

}   // namespace quiver::ivfflat
