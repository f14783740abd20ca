#include "pg/pg.hpp"

#include "am/index_conditions.hpp"

#include "am/filter_columns.hpp"
#include "am/thresholds.hpp"

namespace quiver::am {

void complete_conditions(PlannerInfo* root, IndexPath* path)
{
    add_thresholds(root, path);
    add_filters(root, path);
}

bool has_condition(const IndexPath* path, const RestrictInfo* condition)
{
    ListCell* cell;
    foreach (cell, path->indexclauses)
        if (static_cast<IndexClause*>(lfirst(cell))->rinfo == condition)
            return true;
    return false;
}

void add_condition(IndexPath* path, IndexClause* added)
{
    List* result = NIL;
    ListCell* cell;
    foreach (cell, path->indexclauses) {
        auto* clause = static_cast<IndexClause*>(lfirst(cell));
        if (added && clause->indexcol > added->indexcol)
            result = lappend(result, std::exchange(added, nullptr));
        result = lappend(result, clause);
    }
    path->indexclauses = added ? lappend(result, added) : result;
}

}   // namespace quiver::am
