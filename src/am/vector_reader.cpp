#include "pg/pg.hpp"

#include "am/vector_reader.hpp"

#include "types/dense.hpp"
#include "types/sparse.hpp"

extern "C" {
#include "utils/varbit.h"
}

namespace quiver::am {

bool VectorReader::read(Datum value, graph::Value* to)
{
    const bool indexed = read_query(value, to);
    const AccessMethod& method = opclass_.method;
    if (to->sparse.count > method.max_nonzero)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("sparsevec cannot have more than %zu non-zero elements for %s index",
                               method.max_nonzero, method.name)));
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
    if (codec_.metric.prepare) {
        if (!codec_.metric.prepare(x, n, plain_.data()))
            return false;
        x = plain_.data();
    }
    if (codec_.traits.rotated) {
        rotation_.apply(x, rotated_.data());
        codec_.prepare(rotated_.data());
        x = rotated_.data();
    } else if (x != plain_.data()) {
        std::copy(x, x + n, plain_.begin());   // the padding stays 0
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
    if (codec_.metric.prepare &&
        !codec_.metric.prepare(plain_.data(), plain_.size(), plain_.data()))
        return false;
    to->sparse = {index_.data(), plain_.data(), index_.size()};
    return true;
}

}   // namespace quiver::am
