#include "pg/pg.hpp"

#include "am/filter_columns.hpp"

#include "am/index_conditions.hpp"

extern "C" {
#include "access/stratnum.h"
#include "catalog/index.h"
#include "catalog/pg_operator.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
#include "utils/uuid.h"
}

namespace quiver::am {

namespace {

using codec::FilterCondition;
using codec::FilterKind;
using codec::FilterOp;

// ---- types ----

struct FilterType {
    Oid type;
    codec::FilterColumn column;
};
// A row for each operator class. (kind, injective, ranged, most bits)
constexpr FilterType filter_types[] = {
    {BOOLOID, {FilterKind::ordered, true, false, 2}},
    {INT2OID, {FilterKind::ordered, true}},
    {INT4OID, {FilterKind::ordered, true}},
    {INT8OID, {FilterKind::ordered, true}},
    {FLOAT4OID, {FilterKind::ordered, true, true}},
    {FLOAT8OID, {FilterKind::ordered, true, true}},
    {NUMERICOID, {FilterKind::ordered, false, true}},   // rounded to float8
    {DATEOID, {FilterKind::ordered, true, true}},
    {TIMESTAMPOID, {FilterKind::ordered, true, true}},
    {TIMESTAMPTZOID, {FilterKind::ordered, true, true}},
    {UUIDOID, {FilterKind::ordered}},   // its first 8 bytes
    {ANYENUMOID, {FilterKind::hashed, true}},
    {TEXTOID, {FilterKind::hashed}},   // the order depends on the collation
    {BPCHAROID, {FilterKind::hashed}},
    {ANYARRAYOID, {FilterKind::set}},
};

const FilterType* find_type(Oid type)
{
    for (const FilterType& t : filter_types)
        if (t.type == type)
            return &t;
    return nullptr;
}

// The function that hashes values to 64 bits, as the type's own = compares them: null if it has none. PostgreSQL
// never frees it.
FmgrInfo* hash_function(Oid type)
{
    TypeCacheEntry* cache = lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC_FINFO);
    return OidIsValid(cache->hash_extended_proc_finfo.fn_oid) ? &cache->hash_extended_proc_finfo
                                                              : nullptr;
}

uint64_t hash_of(FmgrInfo* function, Oid collation, Datum value)
{
    return DatumGetUInt64(FunctionCall2Coll(function, collation, value, Int64GetDatum(0)));
}

// ---- keys ----

uint64_t key_of(int64 x)
{
    return static_cast<uint64_t>(x) ^ uint64_t { 1 } << 63;
}

// In the order of PostgreSQL: NaN is the greatest number, and -0 equals 0.
uint64_t key_of(float8 x)
{
    if (std::isnan(x))
        return ~uint64_t{0};
    const auto bits = std::bit_cast<uint64_t>(x == 0 ? 0.0 : x);
    return bits >> 63 ? ~bits : bits | uint64_t{1} << 63;
}

uint64_t key_of_numeric(Datum value)
{
    auto* plain = PG_DETOAST_DATUM(value);
    const float8 rounded =
        DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, PointerGetDatum(plain)));
    if (PointerGetDatum(plain) != value)
        pfree(plain);
    return key_of(rounded);
}

uint64_t key_of_uuid(Datum value)
{
    uint64_t key = 0;
    for (size_t i = 0; i < sizeof key; i++)
        key = key << 8 | DatumGetUUIDP(value)->data[i];
    return key;
}

// Calls f(type, element) for each element that is not NULL.
template <class F>
void for_each_element(Datum value, F&& f)
{
    ArrayType* array = DatumGetArrayTypeP(value);
    const Oid type = ARR_ELEMTYPE(array);
    int16 length;
    bool by_value;
    char align;
    get_typlenbyvalalign(type, &length, &by_value, &align);
    Datum* elements;
    bool* nulls;
    int count;
    deconstruct_array(array, type, length, by_value, align, &elements, &nulls, &count);
    for (int i = 0; i < count; i++)
        if (!nulls[i])
            f(type, elements[i]);
    pfree(elements);
    pfree(nulls);
    if (PointerGetDatum(array) != value)
        pfree(array);
}

// The key of a value of a scalar type. Types that are compared with each other have the same keys, except
// dates and timestamps.
uint64_t key_of(Oid type, FmgrInfo* hash, Oid collation, Datum value)
{
    switch (type) {
    case BOOLOID: return key_of(static_cast<int64>(DatumGetBool(value)));
    case INT2OID: return key_of(static_cast<int64>(DatumGetInt16(value)));
    case INT4OID: return key_of(static_cast<int64>(DatumGetInt32(value)));
    case INT8OID: return key_of(DatumGetInt64(value));
    case FLOAT4OID: return key_of(static_cast<float8>(DatumGetFloat4(value)));
    case FLOAT8OID: return key_of(DatumGetFloat8(value));
    case NUMERICOID: return key_of_numeric(value);
    case DATEOID: return key_of(static_cast<int64>(DatumGetDateADT(value)));
    case TIMESTAMPOID: return key_of(static_cast<int64>(DatumGetTimestamp(value)));
    case TIMESTAMPTZOID: return key_of(static_cast<int64>(DatumGetTimestampTz(value)));
    case UUIDOID: return key_of_uuid(value);
    case ANYENUMOID: return Rng(DatumGetObjectId(value)).next();   // (a bijection)
    default: return hash_of(hash, collation, value);
    }
}

// ---- conditions ----

FilterOp op_of(StrategyNumber strategy)
{
    switch (strategy) {
    case filter_less: return FilterOp::less;
    case filter_less_equal: return FilterOp::less_equal;
    case filter_equal: return FilterOp::equal;
    case filter_greater_equal: return FilterOp::greater_equal;
    case filter_greater: return FilterOp::greater;
    case filter_overlaps: return FilterOp::overlaps;
    case filter_contains: return FilterOp::contains;
    case filter_contained: return FilterOp::contained;
    default: return FilterOp::undecided;   // all operators are strict
    }
}

// Timestamps this near to the ends of what there are may overflow in a conversion.
constexpr int64 margin = 2 * USECS_PER_DAY;
bool is_near_the_ends(int64 t) { return t < MIN_TIMESTAMP + margin || t > END_TIMESTAMP - margin; }

// Can their keys be compared?
bool have_common_keys(Oid x, Oid y)
{
    const auto is_integer = [](Oid type) {
        return type == INT2OID || type == INT4OID || type == INT8OID;
    };
    const auto is_float = [](Oid type) { return type == FLOAT4OID || type == FLOAT8OID; };
    return x == y || (is_integer(x) && is_integer(y)) || (is_float(x) && is_float(y));
}

// A timestamp of the column's type, without or with time zone, that compares as the date or timestamp (without
// time zone) does. False if there is none.
bool to_timestamp(Oid column, Oid type, Datum value, int64* to)
{
    int64 t;
    if (type == DATEOID) {
        const DateADT date = DatumGetDateADT(value);
        if (!DATE_NOT_FINITE(date) && date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
            return false;
        t = DATE_IS_NOBEGIN(date) ? DT_NOBEGIN
            : DATE_IS_NOEND(date) ? DT_NOEND
                                  : static_cast<int64>(date) * USECS_PER_DAY;
    } else
        t = DatumGetTimestamp(value);
    if (column == TIMESTAMPTZOID && !TIMESTAMP_NOT_FINITE(t)) {
        if (is_near_the_ends(t))
            return false;
        t = DatumGetTimestampTz(DirectFunctionCall1(timestamp_timestamptz, TimestampGetDatum(t)));
    }
    *to = t;
    return true;
}

// column OP timestamp, for a column of dates: a date is the timestamp of its midnight.
FilterCondition compare_date(FilterOp op, int64 timestamp)
{
    if (timestamp == DT_NOBEGIN)
        return {0, op, key_of(static_cast<int64>(DATEVAL_NOBEGIN))};
    if (timestamp == DT_NOEND)
        return {0, op, key_of(static_cast<int64>(DATEVAL_NOEND))};
    const int64 rest = (timestamp % USECS_PER_DAY + USECS_PER_DAY) % USECS_PER_DAY,
                day = (timestamp - rest) / USECS_PER_DAY;
    if (rest != 0)
        op = op == FilterOp::equal           ? FilterOp::never
             : op == FilterOp::less          ? FilterOp::less_equal
             : op == FilterOp::greater_equal ? FilterOp::greater
                                             : op;
    return {0, op, key_of(day)};
}

// The condition of an operator on a scalar column, without the number of the column.
FilterCondition compare(Oid column, FmgrInfo* hash, Oid collation, FilterOp op, Oid type,
                        Datum value)
{
    if (!OidIsValid(type))
        type = column;
    if (have_common_keys(column, type))
        return {0, op, key_of(type, hash, collation, value)};
    if (column == DATEOID && type == TIMESTAMPOID)
        return compare_date(op, DatumGetTimestamp(value));
    int64 t;
    if ((column == TIMESTAMPOID || column == TIMESTAMPTZOID) &&
        (type == DATEOID || type == TIMESTAMPOID) && to_timestamp(column, type, value, &t))
        return {0, op, key_of(t)};
    return {0, FilterOp::undecided};
}

}   // namespace

bool is_filter_type(Oid type) { return find_type(type) != nullptr; }

void check_columns(Relation index, const AccessMethod& method)
{
    const int columns = IndexRelationGetNumberOfKeyAttributes(index);
    if (is_filter_type(index->rd_opcintype[0]))
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("the first column of an %s index must be a vector", method.name),
                 errhint("Name the vector's column first, and columns for filters after it.")));
    if (columns - 1 > static_cast<int>(codec::max_filter_columns))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("an %s index cannot have more than %zu columns for filters",
                               method.name, codec::max_filter_columns)));
    for (int i = 1; i < columns; i++) {
        const Oid type = index->rd_opcintype[i];
        if (!is_filter_type(type))
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("an %s index cannot have more than one vector", method.name),
                            errdetail("Column %d has an operator class for distances.", i + 1),
                            errhint("Create an index for each vector.")));
        const Oid column = TupleDescAttr(RelationGetDescr(index), i)->atttypid;
        const Oid element = type == ANYARRAYOID ? get_base_element_type(column) : InvalidOid;
        if (type == ANYARRAYOID && !(OidIsValid(element) && hash_function(element)))
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("an %s index cannot filter by type %s", method.name,
                                   format_type_be(column)),
                            errdetail("The type of the elements has no hash function.")));
    }
}

FilterColumns::FilterColumns(Relation index)
{
    for (int i = 1; i < IndexRelationGetNumberOfKeyAttributes(index); i++) {
        const Oid type = index->rd_opcintype[i];
        const FilterType* known = find_type(type);
        if (!known)
            elog(ERROR, "column %d of index \"%s\" is no filter column", i + 1,
                 RelationGetRelationName(index));
        const bool hashed = type == TEXTOID || type == BPCHAROID;
        columns_.push_back(known->column);
        readers_.push_back(
            {type, index->rd_indcollation[i], hashed ? hash_function(type) : nullptr});
    }
    keys_.resize(columns_.size());
    elements_.resize(columns_.size());
}

// Elements that are NULL have no key: no operator finds them.
void FilterColumns::read_elements(const Reader& reader, Datum array, Vec<uint64_t>* to)
{
    to->clear();
    FmgrInfo* hash = nullptr;
    for_each_element(array, [&](Oid type, Datum element) {
        if (!hash)
            hash = hash_function(type);
        if (!hash)
            elog(ERROR, "type %u has no hash function", type);
        to->push_back(hash_of(hash, reader.collation, element));
    });
}

std::span<const codec::FilterKey> FilterColumns::read(const Datum* values, const bool* isnull)
{
    for (size_t i = 0; i < size(); i++) {
        codec::FilterKey& key = keys_[i];
        key = {isnull[i + 1], 0, {}};
        if (key.null)
            continue;
        if (columns_[i].kind == FilterKind::set) {
            read_elements(readers_[i], values[i + 1], &elements_[i]);
            key.elements = elements_[i];
        } else
            key.key =
                key_of(readers_[i].type, readers_[i].hash, readers_[i].collation, values[i + 1]);
    }
    return keys_;
}

void FilterColumns::read_condition(const ScanKeyData& key)
{
    const auto column = static_cast<uint32_t>(key.sk_attno - 2);
    const Reader& reader = readers_[column];
    const bool is_set = columns_[column].kind == FilterKind::set;
    const auto add = [&](FilterCondition c) {
        c.column = column;
        conditions_.push_back(c);
    };
    // (A condition IS NULL has the flag for an argument that is NULL, too.)
    if (key.sk_flags & SK_SEARCHNULL)
        return add({0, FilterOp::is_null});
    if (key.sk_flags & SK_SEARCHNOTNULL)
        return add({0, FilterOp::is_not_null});
    if (key.sk_flags & SK_ISNULL)
        return add({0, FilterOp::never});
    const FilterOp op = op_of(key.sk_strategy);
    if (key.sk_flags & SK_SEARCHARRAY) {
        if (op != FilterOp::equal || is_set)
            return add({0, FilterOp::undecided});
        Vec<uint64_t>& list = lists_.emplace_back();
        bool decided = true;
        for_each_element(key.sk_argument, [&](Oid, Datum element) {
            const FilterCondition c =
                compare(reader.type, reader.hash, reader.collation, op, key.sk_subtype, element);
            if (c.op == FilterOp::equal)
                list.push_back(c.key);
            decided &= c.op != FilterOp::undecided;
        });
        if (!decided)
            return add({0, FilterOp::undecided});
        return add({0, FilterOp::in, 0, list});
    }
    if (op == FilterOp::undecided)
        return add({0, op});
    if (is_set) {
        if (op != FilterOp::overlaps && op != FilterOp::contains && op != FilterOp::contained)
            return add({0, FilterOp::undecided});
        Vec<uint64_t>& list = lists_.emplace_back();
        read_elements(reader, key.sk_argument, &list);
        return add({0, op, 0, list});
    }
    add(compare(reader.type, reader.hash, reader.collation, op, key.sk_subtype, key.sk_argument));
}

std::span<const FilterCondition> FilterColumns::read_conditions(IndexScanDesc scan)
{
    conditions_.clear();
    lists_.clear();
    for (int i = 0; i < scan->numberOfKeys; i++)
        if (scan->keyData[i].sk_attno > 1)
            read_condition(scan->keyData[i]);
    return conditions_;
}

bool has_filters(IndexScanDesc scan)
{
    return std::any_of(scan->keyData, scan->keyData + scan->numberOfKeys,
                       [](const ScanKeyData& key) { return key.sk_attno > 1; });
}

// ---- the planner ----

namespace {

// Is this an operator of the column's operator class, between the column and what is constant in a scan?
bool is_operator(Oid op, Oid collation, Node* left, Node* right, IndexOptInfo* index, int column)
{
    const Oid of_column = index->indexcollations[column];
    return match_index_to_operand(left, column, index) &&
           op_in_opfamily(op, index->opfamily[column]) &&
           (!OidIsValid(of_column) || of_column == collation) && !contain_var_clause(right) &&
           !contain_volatile_functions(right) && !contain_subplans(right);
}

// If this condition is on the column, returns it as an index condition: column OP value; otherwise null.
Expr* operator_on(Expr* condition, IndexOptInfo* index, int column)
{
    if (IsA(condition, NullTest)) {
        const auto* test = reinterpret_cast<const NullTest*>(condition);
        return !test->argisrow &&
                       match_index_to_operand(reinterpret_cast<Node*>(test->arg), column, index)
                   ? condition
                   : nullptr;
    }
    if (IsA(condition, ScalarArrayOpExpr)) {
        const auto* op = reinterpret_cast<const ScalarArrayOpExpr*>(condition);
        return op->useOr && is_operator(op->opno, op->inputcollid,
                                        static_cast<Node*>(linitial(op->args)),
                                        static_cast<Node*>(lsecond(op->args)), index, column)
                   ? condition
                   : nullptr;
    }
    const auto* op = reinterpret_cast<const OpExpr*>(condition);
    if (!IsA(condition, OpExpr) || list_length(op->args) != 2)
        return nullptr;
    auto *left = static_cast<Node*>(linitial(op->args)),
         *right = static_cast<Node*>(lsecond(op->args));
    if (is_operator(op->opno, op->inputcollid, left, right, index, column))
        return condition;
    const Oid reversed = get_commutator(op->opno);
    if (!OidIsValid(reversed) ||
        !is_operator(reversed, op->inputcollid, right, left, index, column))
        return nullptr;
    Expr* result = make_opclause(reversed, BOOLOID, false, reinterpret_cast<Expr*>(right),
                                 reinterpret_cast<Expr*>(left), InvalidOid, op->inputcollid);
    set_opfuncid(reinterpret_cast<OpExpr*>(result));
    return result;
}

// If this condition is true for one value of a boolean column only, returns `column = value`; otherwise null.
Expr* boolean_comparison(Expr* condition, IndexOptInfo* index, int column)
{
    if (index->opcintype[column] != BOOLOID)
        return nullptr;
    auto* operand = reinterpret_cast<Node*>(condition);
    bool value = true;
    if (is_notclause(operand)) {
        operand = reinterpret_cast<Node*>(get_notclausearg(operand));
        value = false;
    } else if (IsA(operand, BooleanTest)) {
        const auto* test = reinterpret_cast<const BooleanTest*>(operand);
        if (test->booltesttype != IS_TRUE && test->booltesttype != IS_FALSE)
            return nullptr;
        operand = reinterpret_cast<Node*>(test->arg);
        value = test->booltesttype == IS_TRUE;
    }
    if (!match_index_to_operand(operand, column, index))
        return nullptr;
    Expr* comparison =
        make_opclause(BooleanEqualOperator, BOOLOID, false, reinterpret_cast<Expr*>(operand),
                      reinterpret_cast<Expr*>(makeBoolConst(value, false)), InvalidOid, InvalidOid);
    set_opfuncid(reinterpret_cast<OpExpr*>(comparison));
    return comparison;
}

// The index condition for a condition of the query that the planner does not match to the index; null if
// there is none.
IndexClause* match(PlannerInfo* root, RestrictInfo* condition, IndexOptInfo* index)
{
    if (condition->pseudoconstant)
        return nullptr;
    for (int column = 1; column < index->nkeycolumns; column++) {
        Expr* matched = operator_on(condition->clause, index, column);
        if (!matched)
            matched = boolean_comparison(condition->clause, index, column);
        if (!matched)
            continue;
        auto* clause = makeNode(IndexClause);
        clause->rinfo = condition;
        clause->indexquals = list_make1(
            matched == condition->clause ? condition : pg::make_restriction(root, matched));
        clause->lossy = false;
        clause->indexcol = static_cast<AttrNumber>(column);
        return clause;
    }
    return nullptr;
}

}   // namespace

void add_filters(PlannerInfo* root, IndexPath* path)
{
    IndexOptInfo* index = path->indexinfo;
    if (index->nkeycolumns < 2 || path->indexorderbys == NIL)
        return;
    ListCell* cell;
    foreach (cell, index->indrestrictinfo) {
        auto* condition = static_cast<RestrictInfo*>(lfirst(cell));
        if (has_condition(path, condition) ||
            !restriction_is_securely_promotable(condition, index->rel))
            continue;
        if (IndexClause* clause = match(root, condition, index))
            add_condition(path, clause);
    }
}

}   // namespace quiver::am
