// Removes the distance from plans that do not need it. If a query has ORDER BY distance but does
// not select the distance, the index scan has it as a hidden column, and computes it for every row.
// The scan returns the rows in exact order, so if there is only a LIMIT above the scan, nothing
// reads that column. Computing it reads the row's vector, from the TOAST table if it is wide: a
// third of the time of such a query.
#include "pg/pg.hpp"

#include "am/plan.hpp"

#include "am/access_method.hpp"
#include "pg/entry.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planner.h"
#include "optimizer/tlist.h"
}

namespace quiver::am {

namespace {

create_upper_paths_hook_type next_hook;

// Is the column used only for sorting?
bool is_hidden(PlannerInfo* root, Index ref)
{
    ListCell* cell;
    foreach (cell, root->processed_tlist) {
        const auto* entry = static_cast<TargetEntry*>(lfirst(cell));
        if (ref != 0 && entry->ressortgroupref == ref)
            return entry->resjunk;
    }
    return false;
}

// The target with NULL in place of hidden columns; null if there are none.
PathTarget* without_hidden_columns(PlannerInfo* root, const PathTarget* target)
{
    PathTarget* result = nullptr;
    for (int i = 0; i < list_length(target->exprs); i++) {
        auto* expr = static_cast<Node*>(list_nth(target->exprs, i));
        if (!is_hidden(root, get_pathtarget_sortgroupref(target, i)) ||
            expression_returns_set(expr) || contain_volatile_functions(expr))
            continue;
        if (!result)
            result = copy_pathtarget(const_cast<PathTarget*>(target));
        lfirst(list_nth_cell(result->exprs, i)) =
            makeNullConst(exprType(expr), exprTypmod(expr), exprCollation(expr));
    }
    return result;
}

// If `path` is one of our index scans, and its rows are returned as they come, returns a path
// without the hidden columns; otherwise null. WITH TIES, row locks and merges of several scans read
// the hidden columns; their paths look different.
Path* without_distance(PlannerInfo* root, Path* path)
{
    Path* scan =
        IsA(path, ProjectionPath) ? reinterpret_cast<ProjectionPath*>(path)->subpath : path;
    if (!IsA(scan, IndexPath) || !access_method_of(reinterpret_cast<IndexPath*>(scan)->indexinfo) ||
        reinterpret_cast<IndexPath*>(scan)->indexorderbys == NIL)
        return nullptr;
    PathTarget* target = without_hidden_columns(root, path->pathtarget);
    if (!target)
        return nullptr;
    return reinterpret_cast<Path*>(create_projection_path(root, path->parent, scan, target));
}

void upper_paths(PlannerInfo* root, UpperRelationKind stage, RelOptInfo* input, RelOptInfo* output,
                 void* extra)
{
    if (next_hook)
        next_hook(root, stage, input, output, extra);
    if (stage != UPPERREL_FINAL)
        return;
    pg::guarded([&] {
        ListCell* cell;
        foreach (cell, output->pathlist) {
            auto* path = static_cast<Path*>(lfirst(cell));
            if (IsA(path, LimitPath)) {
                auto* limit = reinterpret_cast<LimitPath*>(path);
                if (limit->limitOption != LIMIT_OPTION_COUNT)
                    continue;
                if (Path* scan = without_distance(root, limit->subpath)) {
                    limit->subpath = scan;
                    limit->path.pathtarget = scan->pathtarget;
                }
            } else if (!root->parent_root) {   // a cursor without a LIMIT
                if (Path* scan = without_distance(root, path))
                    lfirst(cell) = scan;
            }
        }
    });
}

}   // namespace

void hook_planner()
{
    next_hook = create_upper_paths_hook;
    create_upper_paths_hook = upper_paths;
}

}   // namespace quiver::am
