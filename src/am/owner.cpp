#include "pg/pg.hpp"

#include "am/owner.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/index.h"
#include "commands/defrem.h"
#include "utils/syscache.h"
}

namespace quiver::am {

// To be called before the index is locked: a user who may not use it must not make others wait.
static void check_owner(Oid oid, const AccessMethod& method)
{
    const HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
    if (!HeapTupleIsValid(tuple))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("relation with OID %u does not exist", oid)));
    const auto* form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    if (form->relkind != RELKIND_INDEX || form->relam != get_am_oid(method.name, false))
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                        errmsg("\"%s\" is not an %s index", NameStr(form->relname), method.name)));
    if (!pg::owns_relation(oid))
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("must be owner of index %s", NameStr(form->relname))));
    ReleaseSysCache(tuple);
}

Relation open_index(Oid oid, const AccessMethod& method, LOCKMODE mode)
{
    check_owner(oid, method);
    const Relation index = index_open(oid, mode);
    check_owner(oid, method);   // the owner may have changed before it was locked
    if (RELATION_IS_OTHER_TEMP(index))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("cannot access temporary tables of other sessions")));
    return index;
}

TableOfIndex::TableOfIndex(Oid oid, const AccessMethod& am, LOCKMODE m) : method(am), mode(m)
{
    check_owner(oid, method);
    const Oid heap_oid = IndexGetRelation(oid, true);
    heap = OidIsValid(heap_oid) ? table_open(heap_oid, mode) : nullptr;
    index = open_index(oid, method, mode);
    if (!heap || IndexGetRelation(oid, false) != heap_oid)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("could not open the table of index \"%s\"",
                               RelationGetRelationName(index))));
}

void TableOfIndex::need_valid() const
{
    if (!index->rd_index->indisvalid)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("index \"%s\" is not valid", RelationGetRelationName(index)),
                        errhint("REINDEX the index. To verify its pages only, use %s_check without "
                                "heap_check.",
                                method.name)));
}

void TableOfIndex::close() const
{
    index_close(index, mode);
    table_close(heap, mode);
}

AsOwner::AsOwner(Relation heap)
{
    GetUserIdAndSecContext(&user_, &context_);
    SetUserIdAndSecContext(heap->rd_rel->relowner, context_ | SECURITY_RESTRICTED_OPERATION);
    nest_ = NewGUCNestLevel();
    pg::restrict_search_path();
}

void AsOwner::end() const
{
    AtEOXact_GUC(false, nest_);
    SetUserIdAndSecContext(user_, context_);
}

}   // namespace quiver::am
