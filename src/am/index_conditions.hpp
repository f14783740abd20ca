// Conditions of index scans that the planner does not match to an index by itself: thresholds (thresholds.hpp),
// and before PostgreSQL 17 some of those on filter columns (filter_columns.hpp).
//
// An access method first sees a path in amcostestimate, before the planner compares it with other paths. There the
// path gets its missing conditions, so it is priced with them, and competes at that price. (A planner hook would
// come after the comparison: a path that lost it, because a condition was missing, is gone.) Its cost still has the
// evaluation of these conditions by the executor, which cost_index() has counted before: a little too much.
#pragma once

#include "pg/pg.hpp"

namespace quiver::am {

// To be called by amcostestimate, before it looks at the path's conditions. Adds those that are missing. More calls
// for the same path add nothing.
void complete_conditions(PlannerInfo* root, IndexPath* path);

// Is this condition of the query among the path's index conditions?
bool has_condition(const IndexPath* path, const RestrictInfo* condition);

// Adds an index condition after those on the same and on earlier columns. Other paths that share the list keep theirs.
void add_condition(IndexPath* path, IndexClause* added);

}   // namespace quiver::am
