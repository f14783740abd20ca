// sparsevec: ascending 0-based indices and their non-zero values. The storage format is that of
// pgvector.
#pragma once

#include "types/dense.hpp"

namespace quiver {

constexpr int max_sparse_dims = 1000000000;
constexpr int max_nonzeros = 16000;

struct SparseVector {
    int32 vl_len_;   // varlena header
    int32 dim;
    int32 nnz;
    int32 unused;                         // always 0
    int32 index[FLEXIBLE_ARRAY_MEMBER];   // nnz indices, then nnz floats

    float* values() { return reinterpret_cast<float*>(index + nnz); }
    const float* values() const { return reinterpret_cast<const float*>(index + nnz); }

    static Size bytes(int nnz)
    {
        return offsetof(SparseVector, index) + (sizeof(int32) + sizeof(float)) * nnz;
    }

    static SparseVector* make(int dim, int nnz)
    {
        auto* v = static_cast<SparseVector*>(palloc0(bytes(nnz)));
        SET_VARSIZE(v, bytes(nnz));
        v->dim = dim;
        v->nnz = nnz;
        return v;
    }

    static SparseVector* from(Datum d)
    {
        return reinterpret_cast<SparseVector*>(PG_DETOAST_DATUM(d));
    }

    simd::SparseView view() const { return {index, values(), static_cast<size_t>(nnz)}; }
};

}   // namespace quiver
