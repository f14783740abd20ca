// vector and halfvec: one template, two element types. The storage format is that of pgvector.
#pragma once

#include "pg/pg.hpp"

#include "core/half.hpp"
#include "simd/kernels.hpp"

namespace quiver {

constexpr int max_dims = 16000;

template <class T>
struct DenseVector {
    int32 vl_len_;   // varlena header
    int16 dim;
    int16 unused;   // always 0
    T x[FLEXIBLE_ARRAY_MEMBER];

    static Size bytes(int dim) { return offsetof(DenseVector, x) + sizeof(T) * dim; }

    // A zeroed vector in the current memory context.
    static DenseVector* make(int dim)
    {
        auto* v = static_cast<DenseVector*>(palloc0(bytes(dim)));
        SET_VARSIZE(v, bytes(dim));
        v->dim = static_cast<int16>(dim);
        return v;
    }

    static DenseVector* from(Datum d)
    {
        return reinterpret_cast<DenseVector*>(PG_DETOAST_DATUM(d));
    }
};

using Vector = DenseVector<float>;
using HalfVector = DenseVector<half>;

// What differs between the two types.
template <class T>
struct Element;

template <>
struct Element<float> {
    static constexpr const char* type = "vector";
    static float get(float x) { return x; }
    static float put(float x) { return x; }
    static const auto& kernels() { return simd::kernels().f32; }
    static double norm2(const float* x, int n) { return simd::kernels().norm2_f32(x, n); }
};

template <>
struct Element<half> {
    static constexpr const char* type = "halfvec";
    static float get(half x) { return to_float(x); }
    static half put(float x) { return to_half(x); }
    static const auto& kernels() { return simd::kernels().f16; }
    static double norm2(const half* x, int n) { return simd::kernels().norm2_f16(x, n); }
};

// Checks that several types share. `type` is the SQL name of the type in the error message.
void check_dims(const char* type, int64 dim, int limit = max_dims);
void check_typmod(int32 typmod, int64 dim);
void check_same_dims(const char* type, int a, int b);
[[noreturn]] void not_finite(const char* type, float x);
inline void check_finite(const char* type, float x)
{
    if (!std::isfinite(x)) [[unlikely]]
        not_finite(type, x);
}
int32 typmod_in(const char* type, ArrayType* array, int limit);
[[noreturn]] void out_of_range(const char* type, const char* text, Size length);

// Rounding can move a similarity out of the cosine's range, so it is clamped. NaN (of a zero
// vector) stays NaN.
inline double cosine_distance_of(double similarity)
{
    return 1.0 - (similarity > 1 ? 1.0 : similarity < -1 ? -1.0 : similarity);
}

inline bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');   // as isspace() in the C locale
}

// How a number that is too small for a float is treated.
enum class Underflow { zero, error };

// Reads one number of a literal, as strtof does. The literal ends at `literal_end`. If there is no
// number, *end is `text`. A number that is too large for a float raises an error.
float parse_float(const char* type, const char* text, const char* literal_end, Underflow underflow,
                  const char** end);

// Converts a one-dimensional array of int4, float4, float8 or numeric to floats in the current
// memory context. The array must have `typmod` dimensions, or any number if `typmod` is -1.
float* array_to_floats(ArrayType* array, int limit, const char* type, int32 typmod, int* count);

}   // namespace quiver
