// The SQL types of quantization, as bytes.
//
// quantizer: what was learnt from vectors (product: a codebook; scalar: an offset and a scale for
// each dimension; own_scalar: nothing, because each code has its own). quantized: the code of a
// vector. quantized_query: what is needed to compare a query with many codes. A code and a query
// carry the fingerprint of their quantizer, so that they are never used with another quantizer.
#pragma once

#include "types/dense.hpp"

#include "core/rng.hpp"
#include "pg/entry.hpp"
#include "codec/product.hpp"
#include "codec/scalar.hpp"
#include "codec/trained_scalar.hpp"

namespace quiver {

// The numbers are stored. quantizer.cpp has a table with a row for each, QuantizedPair the distances.
enum class QuantizerKind : uint8 { product = 1, scalar = 2, own_scalar = 3 };

// What a code of an own_scalar quantizer begins with. It is in network byte order, because codes
// are sent as they are stored.
struct OwnScalar {
    float offset, scale, norm2;   // norm2: |x'|^2

    static constexpr Size bytes = 3 * sizeof(float);

    static OwnScalar read(const uint8* from)
    {
        OwnScalar own;
        for (float* f : {&own.offset, &own.scale, &own.norm2}) {
            uint32 u;
            std::memcpy(&u, from, sizeof u);
            *f = std::bit_cast<float>(pg_ntoh32(u));
            from += sizeof u;
        }
        return own;
    }
    void write(uint8* to) const
    {
        for (const float f : {offset, scale, norm2}) {
            const uint32 u = pg_hton32(std::bit_cast<uint32>(f));
            std::memcpy(to, &u, sizeof u);
            to += sizeof u;
        }
    }
    codec::CodeParams params() const { return {offset, scale, norm2, 0, 0}; }
};

// The stored form is the binary format, except for the byte order of the numbers.
struct Quantizer {
    int32 vl_len_;   // varlena header
    uint32 fingerprint;
    uint8 version;   // of this format: 1
    QuantizerKind kind;
    uint8 bits;      // of one number of a code
    uint8 rotated;   // product: 1 if a rotation follows the codebook
    uint16 dims;
    uint16 subvectors;   // scalar, own_scalar: dims
    float parameters[FLEXIBLE_ARRAY_MEMBER];

    static constexpr uint8 current_version = 1;
    static constexpr int max_rotated_dims = 4096;   // 64 MB
    static constexpr Size header = 16;   // bytes before the parameters; vl_len_ is not sent

    codec::ProductShape shape() const { return {dims, subvectors, bits}; }
    const float* offset() const { return parameters; }
    const float* scale() const { return parameters + dims; }
    const float* rotation() const
    {
        return rotated ? parameters + shape().codebook_floats() : nullptr;
    }
    Size floats() const;   // parameters of a quantizer with this shape
    Size code_bytes() const;

    static Quantizer* make(QuantizerKind kind, int dims, int subvectors, int bits,
                           bool rotated = false)
    {
        Quantizer shape{};
        shape.kind = kind;
        shape.bits = static_cast<uint8>(bits);
        shape.rotated = rotated;
        shape.dims = static_cast<uint16>(dims);
        shape.subvectors = static_cast<uint16>(subvectors);
        const Size bytes = offsetof(Quantizer, parameters) + shape.floats() * sizeof(float);
        auto* q = static_cast<Quantizer*>(palloc0(bytes));
        SET_VARSIZE(q, bytes);
        q->version = current_version;
        q->kind = shape.kind;
        q->bits = shape.bits;
        q->rotated = shape.rotated;
        q->dims = shape.dims;
        q->subvectors = shape.subvectors;
        return q;
    }

    // A hash of the shape and the parameters. It is the same on every machine, and never 0.
    uint32 compute_fingerprint() const
    {
        uint64 h = Rng(uint64{rotated} << 56 | uint64{bits} << 48 |
                       static_cast<uint64>(kind) << 32 | uint32{dims} << 16 | subvectors)
                       .next();
        for (Size i = 0; i < floats(); i++)
            h = Rng(h ^ std::bit_cast<uint32>(parameters[i])).next();
        return static_cast<uint32>(h) ? static_cast<uint32>(h) : 1;
    }
};
static_assert(offsetof(Quantizer, parameters) == Quantizer::header);

// A code as it is stored. Its varlena header may be a short one, because codes are many and small.
struct QuantizedCode {
    uint32 fingerprint;
    const uint8* bytes;
    Size count;

    explicit QuantizedCode(Datum d)
    {
        const varlena* v = PG_DETOAST_DATUM_PACKED(d);
        const Size size = VARSIZE_ANY_EXHDR(v);
        if (size < sizeof fingerprint)
            ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                            errmsg("quantized value of %zu bytes is too short", size)));
        std::memcpy(&fingerprint, VARDATA_ANY(v), sizeof fingerprint);
        bytes = reinterpret_cast<const uint8*>(VARDATA_ANY(v)) + sizeof fingerprint;
        count = size - sizeof fingerprint;
    }

    static bytea* make(uint32 fingerprint, Size count, uint8** bytes)
    {
        const Size size = VARHDRSZ + sizeof fingerprint + count;
        auto* v = static_cast<bytea*>(palloc0(size));
        SET_VARSIZE(v, size);
        std::memcpy(VARDATA(v), &fingerprint, sizeof fingerprint);
        *bytes = reinterpret_cast<uint8*>(VARDATA(v)) + sizeof fingerprint;
        return v;
    }

    void check(uint32 of, Size wanted) const
    {
        if (fingerprint != of)
            ereport(
                ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                 errmsg("quantized value belongs to quantizer %08x, not to %08x", fingerprint, of),
                 errhint(
                     "Use the quantizer that created the value, or quantize the vectors again.")));
        if (count != wanted)
            ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                            errmsg("quantized value has %zu bytes, not %zu", count, wanted)));
    }
};

struct QuantizedQuery {
    int32 vl_len_;   // varlena header
    uint32 fingerprint;
    QuantizerKind kind;
    uint8 bits;   // of one number of a code
    uint8 unused[2];
    uint32 code_bytes;
    float norm2;       // |q|^2
    float offset_ip;   // scalar: <q, offset>, corrected for the rounding of the integers
    float step;        // scalar: the step of the 16-bit integers
    // product: tables (ProductShape::table_floats) of squared distances, inner products and squared
    // norms. scalar: for each dimension, q - offset, scale, -offset, and q * scale as a 16-bit
    // integer. own_scalar: q.
    float parts[FLEXIBLE_ARRAY_MEMBER];

    static QuantizedQuery* make(const Quantizer* by, const float* q);
};

// A code and the query that it is compared with.
struct QuantizedPair {
    QuantizedCode code;
    const QuantizedQuery* query;

    QuantizedPair(const QuantizedCode& c, const QuantizedQuery* q) : code(c), query(q)
    {
        code.check(query->fingerprint, query->code_bytes);
    }

    double l2sq() const
    {
        switch (query->kind) {
        case QuantizerKind::product: return look_up(0);
        case QuantizerKind::scalar: return apart(0);
        case QuantizerKind::own_scalar: break;
        }
        return decoded(simd::kernels().f32.l2sq);
    }
    double ip() const
    {
        switch (query->kind) {
        case QuantizerKind::product: return look_up(1);
        case QuantizerKind::scalar:
            return query->offset_ip +
                   static_cast<double>(query->step) *
                       simd::kernels().i16_u8.ip(reinterpret_cast<const int16_t*>(part(3)),
                                                 code.bytes, code.count);
        case QuantizerKind::own_scalar: break;
        }
        return decoded(simd::kernels().f32.ip);
    }
    double cosine() const { return cosine_distance_of(ip() / std::sqrt(norm2() * query->norm2)); }

  private:
    double norm2() const
    {
        switch (query->kind) {
        case QuantizerKind::product: return look_up(2);
        case QuantizerKind::scalar: return apart(2);
        case QuantizerKind::own_scalar: break;
        }
        return OwnScalar::read(code.bytes).norm2;
    }
    const float* part(Size i) const { return query->parts + i * code.count; }   // scalar
    // own_scalar: the sum of a kernel over the vector, which is decoded piece by piece.
    double decoded(float (*kernel)(const float*, const float*, size_t)) const
    {
        constexpr Size piece = 256;
        float x[piece];
        double sum = 0;
        const codec::CodeParams own = OwnScalar::read(code.bytes).params();
        const uint8* numbers = code.bytes + OwnScalar::bytes;
        const Size n = code.count - OwnScalar::bytes;
        for (Size i = 0; i < n; i += piece) {
            const Size k = std::min(piece, n - i);
            codec::scalar_decode(own, numbers + i, k, x);
            sum += kernel(query->parts + i, x, k);
        }
        return sum;
    }
    double look_up(Size table) const
    {
        float sum;
        simd::kernels().codebooks.score(query->parts + table * code.count * 256, code.count,
                                        code.bytes, code.count, 1, &sum);
        return sum;
    }
    // |x - scale * code|^2, where x is part i of the query.
    double apart(Size i) const
    {
        return simd::kernels().l2sq_scaled(part(i), part(1), code.bytes, code.count);
    }
};

}   // namespace quiver
