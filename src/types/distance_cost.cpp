// Tells the planner what a distance costs. PostgreSQL does not count the pages of a TOAST table in
// the cost of a sequential scan. So a scan of wide vectors would seem as cheap as one of narrow
// vectors, although it takes up to sixty times as long.
#include "pg/pg.hpp"

#include "pg/entry.hpp"

extern "C" {
#include "access/heaptoast.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
}

namespace quiver {
namespace {

// The column that an argument reads, possibly through a cast; null if there is none.
const Var* column_of(const Node* argument)
{
    while (IsA(argument, FuncExpr) && reinterpret_cast<const FuncExpr*>(argument)->args != NIL)
        argument =
            static_cast<const Node*>(linitial(reinterpret_cast<const FuncExpr*>(argument)->args));
    if (!IsA(argument, Var))
        return nullptr;
    const auto* var = reinterpret_cast<const Var*>(argument);
    return var->varlevelsup == 0 && var->varattno > 0 ? var : nullptr;
}

// The width of a column's values in the table's rows, from the statistics; 0 if it is not known.
int32 width_in_row(PlannerInfo* root, const Var* column)
{
    const int varno = static_cast<int>(column->varno);
    if (!root || varno <= 0 || varno >= root->simple_rel_array_size)
        return 0;
    const RangeTblEntry* table = planner_rt_fetch(varno, root);
    return table->rtekind == RTE_RELATION ? get_attavgwidth(table->relid, column->varattno) : 0;
}

// The cost of reading a value that is stored out of line; 0 if it is stored in the row. `bytes` is
// the size of an element of the vector.
Cost cost_of_reading(PlannerInfo* root, const Node* argument, int bytes)
{
    const Var* column = column_of(argument);
    if (!column)
        return 0;
    int32 dims = exprTypmod(argument);
    if (column->vartype == exprType(argument))   // as in subvector(column, 1, 100)::vector(100)
        dims = std::max(dims, column->vartypmod);
    if (dims < 0)
        return 0;
    const double size = 8.0 + static_cast<double>(bytes) * dims;
    const int32 width = width_in_row(root, column);
    if (width > 0 ? width > size / 2 : size < TOAST_TUPLE_THRESHOLD)
        return 0;
    // The value is found by the index of the TOAST table. Its pages are read in no special order.
    return 100 * cpu_operator_cost + random_page_cost * size / BLCKSZ;
}

// Answers the planner's request for the cost of a distance. Null (no answer) means that the cost is
// that of CREATE FUNCTION.
Node* distance_cost(Node* request, int bytes)
{
    if (!IsA(request, SupportRequestCost))
        return nullptr;
    auto* cost = reinterpret_cast<SupportRequestCost*>(request);
    if (!cost->node)
        return nullptr;
    const List* arguments = IsA(cost->node, OpExpr) ? reinterpret_cast<OpExpr*>(cost->node)->args
                            : IsA(cost->node, FuncExpr)
                                ? reinterpret_cast<FuncExpr*>(cost->node)->args
                                : NIL;
    Cost reading = 0;
    ListCell* cell;
    foreach (cell, arguments)
        reading += cost_of_reading(cost->root, static_cast<Node*>(lfirst(cell)), bytes);
    if (reading == 0)
        return nullptr;
    constexpr int in_sql = 4;   // COST of the distances in quiver--*.sql
    cost->startup = 0;
    cost->per_tuple = in_sql * cpu_operator_cost + reading;
    return request;
}

}   // namespace
}   // namespace quiver

QUIVER_FUNCTION(vector_distance_cost)
{
    PG_RETURN_POINTER(quiver::distance_cost(reinterpret_cast<Node*>(PG_GETARG_POINTER(0)), 4));
}
QUIVER_FUNCTION(halfvec_distance_cost)
{
    PG_RETURN_POINTER(quiver::distance_cost(reinterpret_cast<Node*>(PG_GETARG_POINTER(0)), 2));
}
