// Plans without work that nobody asked for: a query with ORDER BY distance that does not select the
// distance has it as a hidden column of the index scan, computed for every row and thrown away. The
// scan puts the rows in order itself, so with nothing but a LIMIT above it nobody reads that column. To
// compute it means to read the row's vector, out of line (TOAST) where it is wide: a third of such a
// query's time.
#include "pg/pg.hpp"

#include "hnsw/hnsw.hpp"

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

// Is the column there to be sorted by only?
bool hidden(PlannerInfo* root, Index ref)
{
    ListCell* cell;
    foreach (cell, root->processed_tlist) {
        const auto* entry = static_cast<TargetEntry*>(lfirst(cell));
        if (ref != 0 && entry->ressortgroupref == ref)
            return entry->resjunk;
    }
    return false;
}

// The target with NULL for such columns; null if there are none.
PathTarget* without_order(PlannerInfo* root, const PathTarget* target)
{
    PathTarget* result = nullptr;
    for (int i = 0; i < list_length(target->exprs); i++) {
        auto* expr = static_cast<Node*>(list_nth(target->exprs, i));
        if (!hidden(root, get_pathtarget_sortgroupref(target, i)) || expression_returns_set(expr) ||
            contain_volatile_functions(expr))
            continue;
        if (!result)
            result = copy_pathtarget(const_cast<PathTarget*>(target));
        lfirst(list_nth_cell(result->exprs, i)) =
            makeNullConst(exprType(expr), exprTypmod(expr), exprCollation(expr));
    }
    return result;
}

// An index scan of ours whose rows go out as they come, or null. WITH TIES compares what it sorts by, a
// row lock may have the row looked at again, a merge of several scans compares, too: none is like this.
Path* spare(PlannerInfo* root, Path* path)
{
    Path* scan =
        IsA(path, ProjectionPath) ? reinterpret_cast<ProjectionPath*>(path)->subpath : path;
    if (!IsA(scan, IndexPath) || !is_of_hnsw(reinterpret_cast<IndexPath*>(scan)->indexinfo) ||
        reinterpret_cast<IndexPath*>(scan)->indexorderbys == NIL)
        return nullptr;
    PathTarget* target = without_order(root, path->pathtarget);
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
                if (Path* scan = spare(root, limit->subpath)) {
                    limit->subpath = scan;
                    limit->path.pathtarget = scan->pathtarget;
                }
            } else if (!root->parent_root) {   // as a cursor reads it
                if (Path* scan = spare(root, path))
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
