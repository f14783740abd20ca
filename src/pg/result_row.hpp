// A row of an SQL function's result. The columns are added in the order of the function's declaration.
#pragma once

#include "pg/pg.hpp"

#include "core/assert.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_am.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "funcapi.h"
}

namespace quiver::pg {

// The name of the extension in this database: quiver, or vector where it takes pgvector's place. It is the
// one that has the access method.
inline const char* extension_name()
{
    const Oid extension = getExtensionOfObject(AccessMethodRelationId, get_am_oid("hnsw", false));
    return OidIsValid(extension) ? get_extension_name(extension) : "quiver";
}

class ResultRow {
  public:
    void int4(int64 x) { datum(Int32GetDatum(static_cast<int32>(x))); }
    void int8(int64 x) { datum(Int64GetDatum(x)); }
    void float4(float x) { datum(Float4GetDatum(x)); }
    void float8(double x) { datum(Float8GetDatum(x)); }
    void text(const char* x) { datum(CStringGetTextDatum(x)); }
    void datum(Datum x) { add(x, false); }
    void null() { add(Datum{0}, true); }

    // The result of a function that returns one row.
    Datum tuple(FunctionCallInfo fcinfo)
    {
        TupleDesc desc;
        if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
            elog(ERROR, "return type must be a row type");
        check(desc);
        return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values_, nulls_));
    }
    // Adds the row to the result of a function that returns many rows. Then the next row can be
    // built.
    void put(ReturnSetInfo* result)
    {
        check(result->setDesc);
        tuplestore_putvalues(result->setResult, result->setDesc, values_, nulls_);
        count_ = 0;
    }

  private:
    static constexpr int most = 20;

    void add(Datum value, bool is_null)
    {
        QUIVER_ASSERT(count_ < most);
        values_[count_] = value;
        nulls_[count_++] = is_null;
    }
    void check(TupleDesc desc) const
    {
        if (desc->natts == count_)
            return;
        const char* name = extension_name();
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("the SQL objects of extension \"%s\" have a different version "
                               "than its library",
                               name),
                        errhint("Run ALTER EXTENSION %s UPDATE.", name)));
    }

    Datum values_[most];
    bool nulls_[most];
    int count_ = 0;
};

}   // namespace quiver::pg
