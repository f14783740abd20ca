#include "pg/pg.hpp"

#include "am/cost.hpp"

extern "C" {
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/selfuncs.h"
}

namespace quiver::am {

void rule_out(IndexPath* path, Cost* startup, Cost* total, Selectivity* selectivity,
              double* correlation, double* pages)
{
    *startup = *total = get_float8_infinity();
    *selectivity = 0;
    *correlation = 0;
    *pages = 0;
    pg::never_choose(&path->path);
}

bool has_own_conditions(const IndexPath* path)
{
    ListCell* cell;
    foreach (cell, path->indexclauses) {
        const auto* clause = static_cast<const IndexClause*>(lfirst(cell));
        const auto* test = reinterpret_cast<const NullTest*>(clause->rinfo->clause);
        if (clause->indexcol == 0 && !clause->lossy &&
            !(IsA(test, NullTest) && test->nulltesttype == IS_NOT_NULL))
            return true;
    }
    return false;
}

double share_that_matches(PlannerInfo* root, const IndexPath* path)
{
    List* conditions = NIL;
    ListCell* cell;
    foreach (cell, path->indexclauses)
        if (const auto* clause = static_cast<IndexClause*>(lfirst(cell)); clause->indexcol > 0)
            conditions = lappend(conditions, clause->rinfo);
    if (conditions == NIL)
        return 1;
    const IndexOptInfo* index = path->indexinfo;
    conditions = add_predicate_to_index_quals(path->indexinfo, conditions);
    const double rows =
        index->rel->tuples * clauselist_selectivity(root, conditions,
                                                    static_cast<int>(index->rel->relid), JOIN_INNER,
                                                    nullptr);
    return std::clamp(rows / std::max(1.0, index->tuples), 1e-9, 1.0);
}

double miss_rate(PlannerInfo* root, const IndexOptInfo* index)
{
    constexpr double many = 1e9;
    return std::min(1.0, index_pages_fetched(many, index->pages, index->pages, root) / many);
}

double cost_of_exact_distance(PlannerInfo* root, const IndexPath* path)
{
    QualCost function;
    cost_qual_eval_node(&function, reinterpret_cast<Node*>(path->indexorderbys), root);
    return function.per_tuple + 10 * cpu_tuple_cost;
}

Wanted rows_wanted(PlannerInfo* root, const IndexPath* path, double rows, double match,
                   bool threshold)
{
    // Queries that are ordered by a distance hardly ever want more rows, if nobody says how many.
    constexpr double usual_limit = 100;
    const double matching = std::max(1.0, path->path.rows);
    if (root->limit_tuples > 0 && bms_membership(root->all_baserels) == BMS_SINGLETON) {
        const double share = std::min(1.0, root->limit_tuples / matching);
        return {share * rows, share};
    }
    // For a threshold, PostgreSQL assumes that a third of all rows are within it.
    if (threshold)
        return {std::max(1.0, std::min(usual_limit * match, rows)), 1};
    // For a cursor, or if LIMIT is a parameter of a generic plan, PostgreSQL assumes a tenth of all
    // rows.
    if (root->tuple_fraction > 0 && root->tuple_fraction < 1)
        return {std::min(root->tuple_fraction, usual_limit / matching) * rows,
                root->tuple_fraction};
    // A join, for example, may need any number of rows.
    return {rows, 1};
}

}   // namespace quiver::am
