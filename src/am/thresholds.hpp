// Thresholds: scans that end at a distance.
#pragma once

#include "pg/pg.hpp"

namespace quiver::am {

// The numbers of the operators in the operator families: of the distance, and of `column <<= distance`.
constexpr StrategyNumber distance_strategy = 1, threshold_strategy = 2;

// A setting: may a scan by an index answer a query with a threshold, but without ORDER BY?
extern bool range_scans;

// Adds the thresholds of the query at which this scan, if it is ordered by a distance, can end. See
// index_conditions.hpp.
void add_thresholds(PlannerInfo* root, IndexPath* path);

// Has the scan such a threshold?
bool has_threshold(const IndexPath* path);

// Does nobody need the rows in order? Then no row may be dropped because it is found late.
bool is_unordered(IndexScanDesc scan);

// Reads a scan's conditions: `to` is the distance beyond which it need not return rows, with an
// allowance for rounding; infinity if there is none. False: a threshold is NULL, so no row matches.
bool read_threshold(IndexScanDesc scan, double* to);

// Installs the planner's hook that offers range scans. To be called once, when the library is loaded.
void hook_range_scans();

}   // namespace quiver::am
