// Operator classes: what each means, and reading its values.
#include "pg/pg.hpp"

#include "codec/sparse_codec.hpp"
#include "hnsw/hnsw.hpp"
#include "types/sparse.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varbit.h"
}

namespace quiver::am {

constexpr int distance_proc = 1;
constexpr int info_proc = 3;

const Opclass& opclass_of(Relation index)
{
    FmgrInfo* proc = index_getprocinfo(index, 1, info_proc);
    return *reinterpret_cast<const Opclass*>(DatumGetPointer(FunctionCall1(proc, Datum{0})));
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
            ereport(
                INFO,
                (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                 errmsg(
                     "operator class \"%s\" of access method hnsw is missing support function %d",
                     name, proc)));
            ok = false;
        }
    if (!OidIsValid(get_opfamily_member(family, type, type, 1))) {
        ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                       errmsg("operator class \"%s\" of access method hnsw is missing operator 1",
                              name)));
        ok = false;
    }
    return ok;
}

bool VectorReader::read(Datum value, graph::Value* to)
{
    const bool indexed = read_query(value, to);
    constexpr size_t most = codec::max_sparse_bytes / 8;
    if (to->sparse.count > most)
        ereport(
            ERROR,
            (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
             errmsg("sparsevec cannot have more than %zu non-zero elements for hnsw index", most)));
    return indexed;
}

bool VectorReader::read_query(Datum value, graph::Value* to)
{
    struct varlena* detoasted = PG_DETOAST_DATUM(value);
    *to = {};
    bool indexed = true;
    switch (codec_.spec.form) {
    case codec::Form::dense: indexed = read_dense(detoasted, to); break;
    case codec::Form::bits: {
        auto* v = reinterpret_cast<VarBit*>(detoasted);
        if (static_cast<uint32>(VARBITLEN(v)) != codec_.spec.dims)
            ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                            errmsg("different bit lengths %u and %u",
                                   static_cast<unsigned>(VARBITLEN(v)), codec_.spec.dims)));
        bits_.assign(codec_.traits.code_bytes, 0);
        std::copy(VARBITS(v), VARBITS(v) + VARBITBYTES(v), bits_.begin());
        to->bits = bits_.data();
        break;
    }
    case codec::Form::sparse: indexed = read_sparse(detoasted, to); break;
    }
    if (reinterpret_cast<Pointer>(detoasted) != DatumGetPointer(value))
        pfree(detoasted);
    return indexed;
}

bool VectorReader::read_dense(struct varlena* value, graph::Value* to)
{
    const int dims = static_cast<int>(codec_.spec.dims);
    const auto n = static_cast<size_t>(dims);
    const float* x = plain_.data();
    if (opclass_.element == ElementType::f32) {
        const auto* v = reinterpret_cast<const Vector*>(value);
        check_same_dims(opclass_.type, v->dim, dims);
        x = v->x;
    } else {
        const auto* v = reinterpret_cast<const HalfVector*>(value);
        check_same_dims(opclass_.type, v->dim, dims);
        simd::kernels().to_f32(v->x, plain_.data(), n);
    }
    if (codec_.metric.unit_length) {
        const double norm = std::sqrt(simd::kernels().norm2_f32(x, n));
        if (!(norm > 0))
            return false;
        simd::kernels().scale(x, 1 / norm, plain_.data(), n);
        x = plain_.data();
    }
    if (codec_.traits.rotated) {
        rotation_.apply(x, rotated_.data());
        codec_.prepare(rotated_.data());
        x = rotated_.data();
    } else if (x != plain_.data()) {
        std::copy(x, x + n, plain_.begin());   // what pads it stays 0
        x = plain_.data();
    }
    to->dense = x;
    return true;
}

bool VectorReader::read_sparse(struct varlena* value, graph::Value* to)
{
    const auto* v = reinterpret_cast<const SparseVector*>(value);
    check_same_dims(opclass_.type, v->dim, static_cast<int>(codec_.spec.dims));
    index_.assign(v->index, v->index + v->nnz);
    plain_.assign(v->values(), v->values() + v->nnz);
    if (codec_.metric.unit_length) {
        const double norm = std::sqrt(simd::kernels().norm2_f32(plain_.data(), plain_.size()));
        if (!(norm > 0))
            return false;
        for (float& x : plain_)
            x = static_cast<float>(x / norm);
    }
    to->sparse = {index_.data(), plain_.data(), index_.size()};
    return true;
}

graph::Value VectorReader::zero()
{
    graph::Value x;
    if (codec_.spec.form == codec::Form::dense) {
        auto& zeros = codec_.traits.rotated ? rotated_ : plain_;
        std::fill(zeros.begin(), zeros.end(), 0.0f);
        x.dense = zeros.data();
    } else if (codec_.spec.form == codec::Form::bits) {
        bits_.assign(codec_.traits.code_bytes, 0);
        x.bits = bits_.data();
    }
    return x;
}

}   // namespace quiver::am

using quiver::am::ElementType;
using quiver::am::Opclass;
using quiver::codec::Metric;

#define OPCLASS(name, metric, element, type, max_dims)                                             \
    QUIVER_FUNCTION(name)                                                                          \
    {                                                                                              \
        static const Opclass opclass = {metric, element, type, max_dims};                          \
        PG_RETURN_POINTER(&opclass);                                                               \
    }

OPCLASS(hnsw_vector_l2_support, Metric::l2, ElementType::f32, "vector", 16000)
OPCLASS(hnsw_vector_ip_support, Metric::ip, ElementType::f32, "vector", 16000)
OPCLASS(hnsw_vector_cosine_support, Metric::cosine, ElementType::f32, "vector", 16000)
OPCLASS(hnsw_vector_l1_support, Metric::l1, ElementType::f32, "vector", 6000)
OPCLASS(hnsw_halfvec_l2_support, Metric::l2, ElementType::f16, "halfvec", 16000)
OPCLASS(hnsw_halfvec_ip_support, Metric::ip, ElementType::f16, "halfvec", 16000)
OPCLASS(hnsw_halfvec_cosine_support, Metric::cosine, ElementType::f16, "halfvec", 16000)
OPCLASS(hnsw_halfvec_l1_support, Metric::l1, ElementType::f16, "halfvec", 6000)
OPCLASS(hnsw_bit_hamming_support, Metric::hamming, ElementType::bit, "bit", 64000)
OPCLASS(hnsw_bit_jaccard_support, Metric::jaccard, ElementType::bit, "bit", 64000)
OPCLASS(hnsw_sparsevec_l2_support, Metric::l2, ElementType::sparse, "sparsevec",
        quiver::max_sparse_dims)
OPCLASS(hnsw_sparsevec_ip_support, Metric::ip, ElementType::sparse, "sparsevec",
        quiver::max_sparse_dims)
OPCLASS(hnsw_sparsevec_cosine_support, Metric::cosine, ElementType::sparse, "sparsevec",
        quiver::max_sparse_dims)
OPCLASS(hnsw_sparsevec_l1_support, Metric::l1, ElementType::sparse, "sparsevec",
        quiver::max_sparse_dims)
