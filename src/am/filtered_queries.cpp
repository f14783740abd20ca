#include "pg/pg.hpp"

#include "am/filtered_queries.hpp"

#include "am/only_index.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_operator.h"
#include "nodes/makefuncs.h"
#include "nodes/plannodes.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
}

namespace quiver::am {

namespace {

const char* deparse(Relation heap, List* expressions)
{
    return deparse_expression(
        reinterpret_cast<Node*>(make_ands_explicit(expressions)),
        deparse_context_for(RelationGetRelationName(heap), RelationGetRelid(heap)), false, false);
}

// The vector: the first column of the index.
const char* column_of(Relation heap, Relation index)
{
    const AttrNumber column = index->rd_index->indkey.values[0];
    return column != 0 ? quote_identifier(get_attname(RelationGetRelid(heap), column, false))
                       : deparse(heap, list_make1(linitial(RelationGetIndexExpressions(index))));
}

// OPERATOR(schema.<->)
const char* operator_of(Relation index)
{
    const Oid type = index->rd_opcintype[0];
    const Oid op = get_opfamily_member(index->rd_opfamily[0], type, type, 1);
    const HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(op));
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for operator %u", op);
    const auto* form = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
    const char* text =
        psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
                 NameStr(form->oprname));
    ReleaseSysCache(tuple);
    return text;
}

// FROM and WHERE. (The condition may end in a comment.)
const char* from_where(Relation heap, Relation index, const char* condition)
{
    const char* table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(heap)),
                                                   RelationGetRelationName(heap));
    List* predicate = RelationGetIndexPredicate(index);
    return psprintf("FROM ONLY %s WHERE (%s\n)%s%s%s", table, condition, predicate ? " AND (" : "",
                    predicate ? deparse(heap, predicate) : "", predicate ? ")" : "");
}

bool scans(const Plan* plan, Relation index)
{
    for (; plan; plan = plan->lefttree)
        if (IsA(plan, IndexScan) &&
            reinterpret_cast<const IndexScan*>(plan)->indexid == RelationGetRelid(index))
            return true;
    return false;
}

}   // namespace

const char* FilteredQueries::rows_query() const
{
    return psprintf("SELECT %s %s", column_of(heap_, index_),
                    from_where(heap_, index_, condition_));
}

SPIPlanPtr FilteredQueries::prepare(const char* query, int arguments) const
{
    Oid type = index_->rd_opcintype[0];
    const SPIPlanPtr plan = SPI_prepare(query, arguments, &type);
    if (!plan || list_length(SPI_plan_get_plan_sources(plan)) != 1 || !SPI_is_cursor_plan(plan))
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
                        errmsg("filter is not an SQL condition: %s", condition_)));
    return plan;
}

// A plan with a scan of the index, for all queries.
SPIPlanPtr FilteredQueries::plan_search(size_t limit) const
{
    const char* distance = psprintf("(%s) %s $1", column_of(heap_, index_), operator_of(index_));
    const SPIPlanPtr plan =
        prepare(psprintf("SELECT %s %s ORDER BY %s LIMIT %zu", distance,
                         from_where(heap_, index_, condition_), distance, limit),
                1);
    set_config_option("plan_cache_mode", "force_generic_plan", PGC_USERSET, PGC_S_SESSION,
                      GUC_ACTION_SAVE, true, 0, false);
    const OnlyIndex only(index_);
    CachedPlan* cached = SPI_plan_get_cached_plan(plan);
    only.end();
    const bool ours =
        cached && scans(linitial_node(PlannedStmt, cached->stmt_list)->planTree, index_);
    if (cached)
        ReleaseCachedPlan(cached, {});
    if (!ours)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("index \"%s\" cannot answer queries with the condition %s",
                               RelationGetRelationName(index_), condition_)));
    return plan;
}

void FilteredQueries::execute(Datum query) const
{
    if (SPI_execute_plan(search_, &query, nullptr, true, 0) != SPI_OK_SELECT)
        elog(ERROR, "could not search index \"%s\"", RelationGetRelationName(index_));
}

}   // namespace quiver::am
