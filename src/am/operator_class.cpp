#include "pg/pg.hpp"

#include "am/operator_class.hpp"

#include "am/filter_columns.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace quiver::am {

constexpr int distance_proc = 1;
constexpr int norm_proc = 2;

const Opclass& opclass_of(Relation index)
{
    const AccessMethod& method = *access_method_of(index);
    const Opclass* opclass =
        method.find_opclass(index_getprocinfo(index, 1, distance_proc)->fn_addr,
                            OidIsValid(index_getprocid(index, 1, norm_proc)));
    const auto info = static_cast<uint16>(method.info_support);
    if (!opclass && info > 0 && OidIsValid(index_getprocid(index, 1, info)))
        opclass = reinterpret_cast<const Opclass*>(
            DatumGetPointer(FunctionCall1(index_getprocinfo(index, 1, info), Datum{0})));
    if (!opclass)
        ereport(
            ERROR,
            (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
             errmsg("the operator class of index \"%s\" has no support functions of quiver or "
                    "pgvector",
                    RelationGetRelationName(index)),
             errhint("Use support functions 1 and 2 of one of the extension's operator classes.")));
    return *opclass;
}

bool validate_opclass(Oid opclass, const AccessMethod& method)
{
    const HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for operator class %u", opclass);
    const auto* form = reinterpret_cast<Form_pg_opclass>(GETSTRUCT(tuple));
    const Oid family = form->opcfamily, type = form->opcintype;
    const char* name = pstrdup(NameStr(form->opcname));
    ReleaseSysCache(tuple);

    bool ok = true;
    const auto missing = [&](const char* what, int number) {
        ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                       errmsg("operator class \"%s\" of access method %s is missing %s %d", name,
                              method.name, what, number)));
        ok = false;
    };
    if (is_filter_type(type)) {
        const bool sets = type == ANYARRAYOID;
        for (StrategyNumber i = sets ? filter_overlaps : filter_less;
             i <= (sets ? filter_contained : filter_greater); i++)
            if (!OidIsValid(get_opfamily_member(family, type, type, static_cast<int16>(i))))
                missing("operator", i);
        return ok;
    }
    const auto function = [&](int proc) {
        return get_opfamily_proc(family, type, type, static_cast<int16>(proc));
    };
    if (!OidIsValid(function(distance_proc))) {
        missing("support function", distance_proc);
    } else if (method.info_support == 0 || !OidIsValid(function(method.info_support))) {
        FmgrInfo distance;
        fmgr_info(function(distance_proc), &distance);
        if (!method.find_opclass(distance.fn_addr, OidIsValid(function(norm_proc))))
            missing("support function",
                    method.info_support > 0 ? method.info_support : distance_proc);
    }
    if (!OidIsValid(get_opfamily_member(family, type, type, 1)))
        missing("operator", 1);
    return ok;
}

uint32 dimensions_of_column(Relation index)
{
    const Opclass& opclass = opclass_of(index);
    const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(index), 0);
    int32 dims = column->atttypmod;
    // A domain's dimensions are its base type's.
    const Oid type = getBaseTypeAndTypmod(column->atttypid, &dims);
    if (type == VARBITOID)   // the values of such a column differ in length
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("type not supported for %s index", opclass.method.name)));
    if (dims < 0)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("column does not have dimensions"),
                        errhint("Give the column a type with dimensions, such as %s(384), or index "
                                "an expression with a cast to one.",
                                opclass.type)));
    if (static_cast<uint32>(dims) > opclass.max_dims)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("column cannot have more than %u dimensions for %s index",
                               opclass.max_dims, opclass.method.name)));
    return static_cast<uint32>(dims);
}

}   // namespace quiver::am
