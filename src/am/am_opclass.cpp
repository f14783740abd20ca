// Operator classes: what each means, and reading its values.
#include "pg/pg.hpp"

#include "am/am.hpp"
#include "types/dense.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace quiver::am {

constexpr int distance_proc = 1;
constexpr int info_proc = 3;

const Opclass& opclass_of(Relation index)
{
    FmgrInfo* proc = index_getprocinfo(index, 1, info_proc);
    return *reinterpret_cast<const Opclass*>(
        DatumGetPointer(FunctionCall1(proc, PointerGetDatum(nullptr))));
}

// An operator class must have the distance (support 1), what it means (support 3), and one ordering
// operator (strategy 1).
bool validate_opclass(Oid opclass)
{
    const HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for operator class %u", opclass);
    const auto* form = reinterpret_cast<Form_pg_opclass>(GETSTRUCT(tuple));
    const Oid family = form->opcfamily, type = form->opcintype;
    const char* name = pstrdup(NameStr(form->opcname));
    ReleaseSysCache(tuple);

    bool ok = true;
    for (const int proc : {distance_proc, info_proc})
        if (!OidIsValid(get_opfamily_proc(family, type, type, static_cast<int16>(proc)))) {
            ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                           errmsg("operator class \"%s\" of access method hnsw is missing support function %d",
                                  name, proc)));
            ok = false;
        }
    if (!OidIsValid(get_opfamily_member(family, type, type, 1))) {
        ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                       errmsg("operator class \"%s\" of access method hnsw is missing operator 1", name)));
        ok = false;
    }
    return ok;
}

const float* VectorReader::read(Datum value)
{
    struct varlena* detoasted = PG_DETOAST_DATUM(value);
    const int dims = static_cast<int>(plain_.size());
    const float* x = plain_.data();
    if (opclass_.element == ElementType::f32) {
        const auto* v = reinterpret_cast<const Vector*>(detoasted);
        check_same_dims(opclass_.type, dims, v->dim);
        x = v->x;
    } else {
        const auto* v = reinterpret_cast<const HalfVector*>(detoasted);
        check_same_dims(opclass_.type, dims, v->dim);
        simd::kernels().to_f32(v->x, plain_.data(), plain_.size());
    }
    if (opclass_.metric == graph::Metric::cosine) {
        const double norm = std::sqrt(simd::kernels().norm2_f32(x, plain_.size()));
        if (norm > 0)
            for (int i = 0; i < dims; i++)
                plain_[static_cast<size_t>(i)] = static_cast<float>(x[i] / norm);
        x = norm > 0 ? plain_.data() : nullptr;
    }
    if (x)
        rotation_.apply(x, rotated_.data());
    if (reinterpret_cast<Pointer>(detoasted) != DatumGetPointer(value))
        pfree(detoasted);
    return x ? rotated_.data() : nullptr;
}

}   // namespace quiver::am

using quiver::am::ElementType;
using quiver::am::Opclass;
using quiver::graph::Metric;

#define OPCLASS(name, metric, element, type, max_dims)                                             \
    QUIVER_FUNCTION(name)                                                                          \
    {                                                                                              \
        static const Opclass opclass = {metric, element, type, max_dims};                          \
        PG_RETURN_POINTER(&opclass);                                                               \
    }

OPCLASS(hnsw_vector_l2_support, Metric::l2, ElementType::f32, "vector", 2000)
OPCLASS(hnsw_vector_ip_support, Metric::ip, ElementType::f32, "vector", 2000)
OPCLASS(hnsw_vector_cosine_support, Metric::cosine, ElementType::f32, "vector", 2000)
OPCLASS(hnsw_halfvec_l2_support, Metric::l2, ElementType::f16, "halfvec", 4000)
OPCLASS(hnsw_halfvec_ip_support, Metric::ip, ElementType::f16, "halfvec", 4000)
OPCLASS(hnsw_halfvec_cosine_support, Metric::cosine, ElementType::f16, "halfvec", 4000)
