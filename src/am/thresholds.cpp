// Thresholds: WHERE distance < c, in a query that is ordered by the same distance. Rows come in the
// order of their distances, so a scan can end at the first row beyond c (in relaxed order somewhat
// later). The executor does not tell it so: it reads on, and filters. So such a scan gets an index condition:
//     column <<= c
// The operator is always true. Its argument tells the scan where it may end; the condition of the
// query stays as a filter. The planner matches only conditions on the column itself to an index, and
// not those on a distance, so this is done here (index_conditions.hpp).
//
// Without ORDER BY, such a condition does not need the nearest rows first, but a scan that returns them so
// finds all rows within c, as many as a search finds. If the setting says so, a hook offers this
// scan to the planner. It does not drop the rows that strict order would drop.
//
// A bound that is only known when the query runs may not be divided: PostgreSQL reports an underflow.
//
// 1 - distance > c is also true for a distance of NaN, which is one that overflows. Such rows come
// last, and are not found.
#include "pg/pg.hpp"

#include "am/thresholds.hpp"

#include "am/access_method.hpp"
#include "am/index_conditions.hpp"
#include "am/operator_class.hpp"
#include "pg/entry.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace quiver::am {

namespace {

set_rel_pathlist_hook_type next_hook;

// Is it a constant while the scan runs?
bool is_fixed(Node* node)
{
    return !contain_var_clause(node) && !contain_volatile_functions(node) &&
           !contain_subplans(node);
}

// How two expressions are compared.
enum class Order : uint8 { other, less, greater };   // "or equal" makes no difference here

Order reverse(Order o)
{
    return o == Order::less ? Order::greater : o == Order::greater ? Order::less : o;
}

Order order_of(Oid comparison)
{
    const Oid family = lookup_type_cache(FLOAT8OID, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
    switch (get_op_opfamily_strategy(comparison, family)) {
    case BTLessStrategyNumber:
    case BTLessEqualStrategyNumber: return Order::less;
    case BTGreaterStrategyNumber:
    case BTGreaterEqualStrategyNumber: return Order::greater;
    default: return Order::other;
    }
}

bool is_call(const Node* node, Oid* function, List** args)
{
    if (IsA(node, OpExpr)) {
        const auto* op = reinterpret_cast<const OpExpr*>(node);
        *function = OidIsValid(op->opfuncid) ? op->opfuncid : get_opcode(op->opno);
        *args = op->args;
        return true;
    }
    if (IsA(node, FuncExpr)) {
        const auto* call = reinterpret_cast<const FuncExpr*>(node);
        *function = call->funcid;
        *args = call->args;
        return true;
    }
    return false;
}

// Is this the distance by which a scan is ordered, as an operator or as its function, in either
// order of the arguments?
bool is_distance(const Node* node, const OpExpr* ordered_by)
{
    Oid function;
    List* args;
    if (!is_call(node, &function, &args) || function != get_opcode(ordered_by->opno) ||
        list_length(args) != 2)
        return false;
    const void *x = linitial(args), *y = lsecond(args), *a = linitial(ordered_by->args),
               *b = lsecond(ordered_by->args);
    return (equal(x, a) && equal(y, b)) || (equal(x, b) && equal(y, a));
}

// Returns the value of a constant of type float8; NaN if it is something else.
double number_of(const Node* node)
{
    if (!IsA(node, Const))
        return NAN;
    const auto* c = reinterpret_cast<const Const*>(node);
    return c->consttype == FLOAT8OID && !c->constisnull ? DatumGetFloat8(c->constvalue) : NAN;
}

Expr* constant(double x)
{
    return reinterpret_cast<Expr*>(makeConst(FLOAT8OID, -1, InvalidOid, sizeof(float8),
                                             Float8GetDatum(x), false, FLOAT8PASSBYVAL));
}

// The expression x OPERATOR y. A constant if both are, because PostgreSQL's arithmetic has errors for
// numbers that are too large or too small. Null if an expression might have such an error.
Expr* arithmetic(char op, Expr* x, Expr* y)
{
    const double a = number_of(reinterpret_cast<Node*>(x)),
                 b = number_of(reinterpret_cast<Node*>(y));
    if (!std::isnan(a) && !std::isnan(b)) {
        const double result = op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : a / b;
        return std::isnan(result) ? nullptr : constant(result);
    }
    if (op == '*' || (op == '/' && std::abs(b) != 1))
        return nullptr;
    const char name[] = {op, '\0'};
    List* names = list_make2(makeString(pstrdup("pg_catalog")), makeString(pstrdup(name)));
    auto* result =
        reinterpret_cast<OpExpr*>(make_opclause(OpernameGetOprid(names, FLOAT8OID, FLOAT8OID),
                                                FLOAT8OID, false, x, y, InvalidOid, InvalidOid));
    set_opfuncid(result);
    return &result->xpr;
}

// A comparison `side < bound` (or >), in which `side` contains the distance and `bound` does not.
struct Comparison {
    const Node* side;
    Order order;
    Expr* bound;
    double scale = 1;   // by how much rounding errors of the side have become larger
};

// Numbers that are added, and scales, may be as large as this. So moving them to the other side changes
// the result by less than the scan allows for (read_threshold()).
constexpr double moderate = 1000;

// Moves one operation from the side of the distance to the bound: 1 - d > c becomes d < 1 - c.
// False: there is none, or it is not one of those.
bool simplify(Comparison& c)
{
    Oid function;
    List* args;
    if (!is_call(c.side, &function, &args) || args == NIL)
        return false;
    auto* x = static_cast<Node*>(linitial(args));
    auto* y = static_cast<Node*>(list_length(args) > 1 ? lsecond(args) : nullptr);
    if (function == F_FLOAT8UM) {
        c = {x, reverse(c.order), arithmetic('-', constant(0), c.bound), c.scale};
        return c.bound != nullptr;
    }
    if (!y)
        return false;
    const bool number_first = IsA(x, Const);
    Node *side = number_first ? y : x, *other = number_first ? x : y;
    const double number = number_of(other);
    if (!(std::abs(number) <= moderate))
        return false;
    auto* operand = reinterpret_cast<Expr*>(other);
    switch (function) {
    case F_FLOAT8PL: c = {side, c.order, arithmetic('-', c.bound, operand), c.scale}; break;
    case F_FLOAT8MI:
        if (number_first)
            c = {side, reverse(c.order), arithmetic('-', operand, c.bound), c.scale};
        else
            c = {side, c.order, arithmetic('+', c.bound, operand), c.scale};
        break;
    case F_FLOAT8MUL:
    case F_FLOAT8DIV: {
        const bool divides = function == F_FLOAT8DIV;
        if (number == 0 || (divides && number_first))
            return false;
        c = {side, number < 0 ? reverse(c.order) : c.order,
             arithmetic(divides ? '*' : '/', c.bound, operand),
             c.scale * (divides ? std::abs(number) : 1 / std::abs(number))};
        if (!(c.scale <= moderate))
            return false;
        break;
    }
    default: return false;
    }
    return c.bound != nullptr;
}

// If this is a conversion to float4, its argument: the scan allows for the rounding.
const Node* without_rounding(const Node* node)
{
    Oid function;
    List* args;
    return is_call(node, &function, &args) && function == pg::float8_to_float4
               ? static_cast<const Node*>(linitial(args))
               : node;
}

Expr* to_float8(Node* bound)
{
    if (exprType(bound) == FLOAT8OID)
        return reinterpret_cast<Expr*>(bound);
    if (const auto* c = reinterpret_cast<const Const*>(bound); IsA(bound, Const) && !c->constisnull)
        return constant(static_cast<double>(DatumGetFloat4(c->constvalue)));
    return reinterpret_cast<Expr*>(makeFuncExpr(pg::float4_to_float8, FLOAT8OID, list_make1(bound),
                                                InvalidOid, InvalidOid, COERCE_IMPLICIT_CAST));
}

// If the condition bounds an expression for which is_distance(expression) is true from above, returns the
// bound; otherwise null.
template <class IsDistance>
Expr* upper_bound(const Expr* condition, IsDistance&& is_distance)
{
    if (!IsA(condition, OpExpr))
        return nullptr;
    const auto* op = reinterpret_cast<const OpExpr*>(condition);
    if (list_length(op->args) != 2)
        return nullptr;
    const Order order = order_of(op->opno);
    if (order == Order::other)
        return nullptr;
    for (const bool swapped : {false, true}) {
        const auto* side = static_cast<const Node*>(list_nth(op->args, swapped));
        auto* other = static_cast<Node*>(list_nth(op->args, !swapped));
        if (!is_fixed(other))
            continue;
        for (Comparison c = {side, swapped ? reverse(order) : order, to_float8(other)};;) {
            if (is_distance(without_rounding(c.side))) {
                if (c.order == Order::less)
                    return c.bound;
                break;
            }
            if (!simplify(c))
                break;
        }
    }
    return nullptr;
}

// Calls f(condition, bound, operator) for each threshold at which a scan can end. `operator` is that
// of index conditions.
template <class F>
void for_each_threshold(const IndexPath* path, F&& f)
{
    const auto* ordered_by = static_cast<const OpExpr*>(linitial(path->indexorderbys));
    const IndexOptInfo* index = path->indexinfo;
    const Oid op =
        get_opfamily_member(index->opfamily[0], index->opcintype[0], FLOAT8OID, threshold_strategy);
    // (There is no such operator if the extension has not been updated.)
    if (!IsA(ordered_by, OpExpr) || !OidIsValid(op))
        return;
    ListCell* cell;
    foreach (cell, index->rel->baserestrictinfo) {
        auto* condition = static_cast<RestrictInfo*>(lfirst(cell));
        if (Expr* bound = upper_bound(
                condition->clause, [&](const Node* node) { return is_distance(node, ordered_by); }))
            f(condition, bound, op);
    }
}

// The input collation of the distance of a range scan. (Distances have no collation otherwise.)
constexpr Oid unordered = C_COLLATION_OID;

// If the condition bounds the distance of the index's column to some value from above, returns that distance,
// as a scan is ordered by it; otherwise null.
Expr* bounded_distance(const Expr* condition, IndexOptInfo* index)
{
    const Oid op = get_opfamily_member(index->opfamily[0], index->opcintype[0], index->opcintype[0],
                                       distance_strategy);
    Expr* found = nullptr;
    const auto is_distance = [&](const Node* node) {
        Oid function;
        List* args;
        if (!is_call(node, &function, &args) || function != get_opcode(op) ||
            list_length(args) != 2)
            return false;
        for (const bool swapped : {false, true}) {
            auto* column = static_cast<Node*>(list_nth(args, swapped));
            auto* value = static_cast<Node*>(list_nth(args, !swapped));
            if (!match_index_to_operand(column, 0, index) || !is_fixed(value))
                continue;
            // The collation tells the scan that nobody needs the order. With it, the expression differs
            // from that of an ORDER BY, so the planner does not take it for that order.
            found = make_opclause(op, FLOAT8OID, false, reinterpret_cast<Expr*>(column),
                                  reinterpret_cast<Expr*>(value), InvalidOid, unordered);
            set_opfuncid(reinterpret_cast<OpExpr*>(found));
            return true;
        }
        return false;
    };
    return upper_bound(condition, is_distance) ? found : nullptr;
}

// A scan that returns the rows within the condition's threshold, or null.
Path* range_scan(PlannerInfo* root, const RestrictInfo* condition, IndexOptInfo* index)
{
    Expr* distance = bounded_distance(condition->clause, index);
    if (!distance)
        return nullptr;
    const Oid less = lookup_type_cache(FLOAT8OID, TYPECACHE_LT_OPR)->lt_opr;
    IndexPath* path =
        create_index_path(root, index, NIL, list_make1(distance), list_make1_int(0),
                          pg::expression_pathkey(root, distance, less, index->rel->relids),
                          ForwardScanDirection, false, index->rel->lateral_relids, 1.0, false);
    return &path->path;
}

void add_range_scans(PlannerInfo* root, RelOptInfo* table)
{
    ListCell *at, *cell;
    foreach (at, table->indexlist) {
        auto* index = static_cast<IndexOptInfo*>(lfirst(at));
        if (!access_method_of(index) || (index->indpred != NIL && !index->predOK))
            continue;
        foreach (cell, table->baserestrictinfo)
            if (Path* path = range_scan(root, static_cast<RestrictInfo*>(lfirst(cell)), index)) {
                add_path(table, path);
                break;
            }
    }
}

void offer_range_scans(PlannerInfo* root, RelOptInfo* table, Index index, RangeTblEntry* entry)
{
    if (next_hook)
        next_hook(root, table, index, entry);
    if (range_scans)
        pg::guarded([&] { add_range_scans(root, table); });
}

}   // namespace

bool range_scans = false;

void add_thresholds(PlannerInfo* root, IndexPath* path)
{
    if (path->indexorderbys == NIL)
        return;
    const auto* ordered_by = static_cast<const OpExpr*>(linitial(path->indexorderbys));
    for_each_threshold(path, [&](RestrictInfo* of_query, Expr* bound, Oid op) {
        if (has_condition(path, of_query))
            return;
        Expr* column = static_cast<Expr*>(copyObjectImpl(linitial(ordered_by->args)));
        Expr* condition = make_opclause(op, BOOLOID, false, column, bound, InvalidOid, InvalidOid);
        set_opfuncid(reinterpret_cast<OpExpr*>(condition));
        auto* clause = makeNode(IndexClause);
        clause->rinfo = of_query;
        clause->indexquals = list_make1(pg::make_restriction(root, condition));
        clause->lossy = true;   // the query's own condition stays
        clause->indexcol = 0;
        add_condition(path, clause);
    });
}

bool has_threshold(const IndexPath* path)
{
    ListCell* cell;
    foreach (cell, path->indexclauses)
        if (const auto* clause = static_cast<const IndexClause*>(lfirst(cell));
            clause->indexcol == 0 && clause->lossy)
            return true;
    return false;
}

bool is_unordered(IndexScanDesc scan) { return scan->orderByData->sk_collation == unordered; }

bool read_threshold(IndexScanDesc scan, double* to)
{
    *to = INFINITY;
    for (int i = 0; i < scan->numberOfKeys; i++) {
        const ScanKeyData& key = scan->keyData[i];
        // Others are conditions on filter columns, or IS NOT NULL.
        if (key.sk_attno != 1 || (key.sk_flags & SK_SEARCHNOTNULL))
            continue;
        if (key.sk_flags & SK_ISNULL)
            return false;
        const double limit = DatumGetFloat8(key.sk_argument);
        if (!std::isnan(limit))   // no number is farther than NaN
            *to = std::min(*to, limit + 1e-6 * std::abs(limit) + 1e-9);
    }
    return true;
}

void hook_range_scans()
{
    next_hook = set_rel_pathlist_hook;
    set_rel_pathlist_hook = offer_range_scans;
}

}   // namespace quiver::am

QUIVER_FUNCTION(distance_threshold) { PG_RETURN_BOOL(true); }
