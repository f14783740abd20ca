// What the cost of an index scan depends on, for all access methods. Costs are in PostgreSQL's units.
#pragma once

#include "am/access_method.hpp"

namespace quiver::am {

// The results of amcostestimate for an index scan that is impossible.
void rule_out(IndexPath* path, Cost* startup, Cost* total, Selectivity* selectivity,
              double* correlation, double* pages);

// Does the query itself have a condition on the vector that was matched to the index, and that scans do not
// know? The only operator is that of thresholds, which is for thresholds.cpp, and is always true
// elsewhere. The index has no rows whose vector is NULL.
bool has_own_conditions(const IndexPath* path);
// The share of the index's rows that match the conditions on filter columns.
double share_that_matches(PlannerInfo* root, const IndexPath* path);
// The probability that a search reads a page of the index from disk, after many searches have
// filled the cache: 0 if the index fits into its share of effective_cache_size.
double miss_rate(PlannerInfo* root, const IndexOptInfo* index);
// The cost of the exact distance of a row: the function's, which includes reading a vector that is
// stored out of line, and that of finding the row.
double cost_of_exact_distance(PlannerInfo* root, const IndexPath* path);

// How far the query will read a scan.
struct Wanted {
    double rows;    // of the index, until the query has enough rows that fulfil its WHERE condition
    double share;   // the part of the cost after the first row that PostgreSQL will take for them
};
// rows: of the index that match the conditions on filter columns, which are this share of all rows
Wanted rows_wanted(PlannerInfo* root, const IndexPath* path, double rows, double match,
                   bool threshold);

// Added to the cost of a scan if the query wants all rows. The scan ends before it has returned
// them, so it must not be chosen for its low cost. (Less than what enable_seqscan = off adds to a
// sequential scan before PostgreSQL 18, so that this setting still chooses the index.)
constexpr Cost too_few_rows = 1e9;

}   // namespace quiver::am
