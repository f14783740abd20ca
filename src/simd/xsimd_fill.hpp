// What xsimd lacks, as overloads on its architecture tags: the most derived tag wins, so an
// overload for sse2 also serves AVX2 unless AVX2 has one of its own. Everything is in an anonymous
// namespace: a file compiled with AVX flags must not export a weak symbol that the linker could
// pick for the whole library.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>

// g++ 12 warns of the deliberately undefined operands in its own AVX-512 intrinsics.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <xsimd/xsimd.hpp>
#if XSIMD_VERSION_MAJOR < 8
#error "quiver needs xsimd 8.1 or later"
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include "simd/kernels.hpp"

namespace quiver::simd {
namespace {

template <class Arch>
using Floats = xsimd::batch<float, Arch>;
template <class Arch>
using Words = xsimd::batch<uint64_t, Arch>;

template <class Arch>
float sum(xsimd::batch<float, Arch> x)
{
#if XSIMD_VERSION_MAJOR >= 9
    return xsimd::reduce_add(x);
#else
    return xsimd::hadd(x);
#endif
}

template <class Arch>
Floats<Arch> as_floats(xsimd::batch<int32_t, Arch> x)
{
    // Version 8 names the batch, later ones its element.
    if constexpr (requires {
                      requires std::is_same_v<decltype(xsimd::bitwise_cast<float>(x)),
                                              Floats<Arch>>;
                  })
        return xsimd::bitwise_cast<float>(x);
    else
        return xsimd::bitwise_cast<Floats<Arch>>(x);
}

#if defined(__AVX512BW__)
// Four steps of halving, where xsimd takes eight.
template <class Arch>
requires std::is_same_v<Arch, xsimd::avx512bw>
float sum(xsimd::batch<float, Arch> x) { return _mm512_reduce_add_ps(x); }
#endif

// ---- loads: Arch::width floats from f32, binary16 and u8, and the first n < width of them ----

template <class Arch>
constexpr size_t width = Floats<Arch>::size;

template <class Arch>
Floats<Arch> load(const float* p, Arch)
{
    return Floats<Arch>::load_unaligned(p);
}

template <class Arch, class T>
Floats<Arch> load_converted(const T* p, size_t n)
{
    alignas(64) float lanes[width<Arch>] = {};
    for (size_t i = 0; i < n; i++) {
        if constexpr (std::is_same_v<T, half>)
            lanes[i] = to_float(p[i]);
        else
            lanes[i] = static_cast<float>(p[i]);
    }
    return Floats<Arch>::load_aligned(lanes);
}

template <class Arch, class T>
Floats<Arch> load(const T* p, Arch)
{
    return load_converted<Arch>(p, width<Arch>);
}

template <class Arch, class T>
Floats<Arch> load_partial(const T* p, size_t n, Arch)
{
    return load_converted<Arch>(p, n);
}

#if defined(__SSE2__)
inline Floats<xsimd::sse2> load(const uint8_t* p, xsimd::sse2)
{
    int32_t four;
    std::memcpy(&four, p, 4);
    const __m128i zero = _mm_setzero_si128();
    return _mm_cvtepi32_ps(
        _mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(four), zero), zero));
}

// CPUs without AVX2 may have no instruction for this. It converts as to_float() does.
inline Floats<xsimd::sse2> load(const half* p, xsimd::sse2)
{
    const __m128i wide = _mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)),
                                            _mm_setzero_si128());
    const __m128i magnitude = _mm_and_si128(wide, _mm_set1_epi32(0x7fff));
    const __m128 scaled =
        _mm_mul_ps(_mm_castsi128_ps(_mm_slli_epi32(magnitude, 13)), _mm_set1_ps(0x1p112f));
    const __m128i special = _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff)),
                                          _mm_set1_epi32(0x7f800000));   // infinity, NaN
    const __m128i sign = _mm_slli_epi32(_mm_xor_si128(wide, magnitude), 16);
    return _mm_or_ps(scaled, _mm_castsi128_ps(_mm_or_si128(special, sign)));
}
inline Floats<xsimd::sse2> load_partial(const half* p, size_t n, xsimd::sse2)
{
    alignas(8) half lanes[4] = {};
    std::memcpy(lanes, p, n * sizeof(half));
    return load(lanes, xsimd::sse2{});
}
#endif

#if defined(__aarch64__)
using Neon = xsimd::neon64;

inline Floats<Neon> load(const half* p, Neon)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const uint16_t*>(p))));
}

inline Floats<Neon> load(const uint8_t* p, Neon)
{
    uint32_t four;
    std::memcpy(&four, p, 4);
    const uint16x8_t wide = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide)));
}
#endif

#if defined(__AVX2__)
using Avx2 = xsimd::fma3<xsimd::avx2>;

inline Floats<Avx2> load(const half* p, Avx2)
{
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

inline Floats<Avx2> load(const uint8_t* p, Avx2)
{
    return _mm256_cvtepi32_ps(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}

inline Floats<Avx2> load_partial(const float* p, size_t n, Avx2)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane));
}

inline Floats<Avx2> load_partial(const half* p, size_t n, Avx2)
{
    alignas(16) half lanes[8] = {};
    for (size_t i = 0; i < n; i++)
        lanes[i] = p[i];
    return load(lanes, Avx2{});
}

inline Floats<Avx2> load_partial(const uint8_t* p, size_t n, Avx2)
{
    uint64_t lanes = 0;
    for (size_t i = 0; i < n; i++)
        lanes |= static_cast<uint64_t>(p[i]) << (8 * i);
    return load(reinterpret_cast<const uint8_t*>(&lanes), Avx2{});
}
#endif

#if defined(__AVX512BW__)
using Avx512 = xsimd::avx512bw;

inline __mmask16 first16(size_t n) { return static_cast<__mmask16>((1u << n) - 1); }

inline Floats<Avx512> load(const half* p, Avx512)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

inline Floats<Avx512> load(const uint8_t* p, Avx512)
{
    return _mm512_cvtepi32_ps(
        _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}

inline Floats<Avx512> load_partial(const float* p, size_t n, Avx512)
{
    return _mm512_maskz_loadu_ps(first16(n), p);
}

inline Floats<Avx512> load_partial(const half* p, size_t n, Avx512)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first16(n), p));
}

inline Floats<Avx512> load_partial(const uint8_t* p, size_t n, Avx512)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first16(n), p)));
}
#endif

// ---- widen(): a register of doubles from floats ----

template <class Arch>
using Doubles = xsimd::batch<double, Arch>;

template <class Arch>
Doubles<Arch> widen(const float* p, Arch)
{
    alignas(64) double lanes[Doubles<Arch>::size];
    for (size_t i = 0; i < Doubles<Arch>::size; i++)
        lanes[i] = p[i];
    return Doubles<Arch>::load_aligned(lanes);
}

#if defined(__SSE2__)
inline Doubles<xsimd::sse2> widen(const float* p, xsimd::sse2)
{
    return _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadu_si64(p)));
}
#endif

#if defined(__aarch64__)
inline Doubles<Neon> widen(const float* p, Neon) { return vcvt_f64_f32(vld1_f32(p)); }
#endif

#if defined(__AVX2__)
inline Doubles<Avx2> widen(const float* p, Avx2) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
#endif

#if defined(__AVX512BW__)
inline Doubles<Avx512> widen(const float* p, Avx512) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
#endif

// ---- look_up(): the values of a sparse vector, in a table, at table_lanes indices, 0 where it has
// none. False, and `to` is not set, if it surely has none of them. ----

constexpr size_t table_lanes = 16;

// The value at an index that is not at its place, which has a mark.
inline float look_up_rest(SparseView rest, int32_t index)
{
    size_t low = 0;
    for (size_t n = rest.count; n > 0; n /= 2) {
        const size_t middle = low + n / 2;
        if (rest.index[middle] == index)
            return rest.value[middle];
        if (rest.index[middle] < index) {
            low = middle + 1;
            n--;
        }
    }
    return 0;
}
inline void look_up_rest(const SparseTable& table, const int32_t* index, uint32_t lanes, float* to)
{
    for (; lanes != 0; lanes &= lanes - 1) {
        const int lane = std::countr_zero(lanes);
        to[lane] = look_up_rest(table.rest, index[lane]);
    }
}

template <class Arch>
bool look_up(const SparseTable& table, const int32_t* index, float* to, Arch)
{
    for (size_t u = 0; u < table_lanes; u++) {
        const uint32_t place = table.place(index[u]);
        const int32_t there = table.index[place];
        to[u] = (there & INT32_MAX) == index[u] ? table.value[place]
                : there < 0                     ? look_up_rest(table.rest, index[u])
                                                : 0;
    }
    return true;
}

#if defined(__AVX2__)
inline bool look_up(const SparseTable& table, const int32_t* index, float* to, Avx2)
{
    const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(table.shift));
    const __m256i factor = _mm256_set1_epi32(static_cast<int>(SparseTable::factor)),
                  without_mark = _mm256_set1_epi32(INT32_MAX);
    __m256i i[2], place[2], there[2], found[2];
    for (size_t h = 0; h < 2; h++) {
        i[h] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(index + 8 * h));
        place[h] = _mm256_srl_epi32(_mm256_mullo_epi32(i[h], factor), shift);
        there[h] = _mm256_i32gather_epi32(table.index, place[h], 4);
        found[h] = _mm256_cmpeq_epi32(_mm256_and_si256(there[h], without_mark), i[h]);
    }
    // The highest bit of a lane: found, or there is a mark.
    const __m256i any =
        _mm256_or_si256(_mm256_or_si256(found[0], there[0]), _mm256_or_si256(found[1], there[1]));
    if (_mm256_movemask_ps(_mm256_castsi256_ps(any)) == 0)
        return false;
    uint32_t rest = 0;
    for (size_t h = 0; h < 2; h++) {
        _mm256_storeu_ps(to + 8 * h,
                         _mm256_mask_i32gather_ps(_mm256_setzero_ps(), table.value, place[h],
                                                  _mm256_castsi256_ps(found[h]), 4));
        const __m256i elsewhere = _mm256_andnot_si256(found[h], there[h]);
        rest |= static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(elsewhere))) << 8 * h;
    }
    look_up_rest(table, index, rest, to);
    return true;
}
#endif

#if defined(__AVX512BW__)
inline bool look_up(const SparseTable& table, const int32_t* index, float* to, Avx512)
{
    const __m512i i = _mm512_loadu_si512(index),
                  hash = _mm512_mullo_epi32(
                      i, _mm512_set1_epi32(static_cast<int>(SparseTable::factor))),
                  place = _mm512_srl_epi32(hash, _mm_cvtsi32_si128(static_cast<int>(table.shift))),
                  there = _mm512_i32gather_epi32(place, table.index, 4);
    const __mmask16 found = _mm512_cmpeq_epi32_mask(
                        _mm512_and_si512(there, _mm512_set1_epi32(INT32_MAX)), i),
                    rest = static_cast<__mmask16>(_mm512_movepi32_mask(there) & ~found);
    if ((found | rest) == 0)
        return false;
    _mm512_storeu_ps(to,
                     _mm512_mask_i32gather_ps(_mm512_setzero_ps(), found, place, table.value, 4));
    look_up_rest(table, index, rest, to);
    return true;
}
#endif

// ---- Bytes<Arch>: a register of bytes, with sums of products, differences and bits ----
//
// Acc holds partial sums: 32-bit lanes for dot() and sqdiff(), 64-bit lanes for absdiff() and
// popcount().

template <class Arch>
struct Bytes {
    static constexpr size_t size = 16;
    struct Reg {
        uint8_t b[size];
    };
    struct Acc {
        uint64_t total = 0;
        Acc& operator+=(Acc other)
        {
            total += other.total;
            return *this;
        }
    };

    static Reg load(const uint8_t* p)
    {
        Reg r;
        std::memcpy(r.b, p, size);
        return r;
    }
    static Reg load_partial(const uint8_t* p, size_t n)
    {
        Reg r = {};
        std::memcpy(r.b, p, n);
        return r;
    }
    static void dot(Acc& acc, Reg x, Reg y)
    {
        uint32_t s = 0;
        for (size_t i = 0; i < size; i++)
            s += static_cast<uint32_t>(x.b[i]) * y.b[i];
        acc.total += s;
    }
    static void sqdiff(Acc& acc, Reg x, Reg y)
    {
        uint32_t s = 0;
        for (size_t i = 0; i < size; i++) {
            const int32_t d = x.b[i] - y.b[i];
            s += static_cast<uint32_t>(d * d);
        }
        acc.total += s;
    }
    static void absdiff(Acc& acc, Reg x, Reg y)
    {
        uint32_t s = 0;
        for (size_t i = 0; i < size; i++)
            s += static_cast<uint32_t>(x.b[i] > y.b[i] ? x.b[i] - y.b[i] : y.b[i] - x.b[i]);
        acc.total += s;
    }
    template <class Op>
    static Reg words(Reg x, Reg y, Op op)
    {
        uint64_t a[2], b[2];
        std::memcpy(a, x.b, size);
        std::memcpy(b, y.b, size);
        a[0] = op(a[0], b[0]);
        a[1] = op(a[1], b[1]);
        std::memcpy(x.b, a, size);
        return x;
    }
    static Reg bit_and(Reg x, Reg y)
    {
        return words(x, y, [](uint64_t a, uint64_t b) { return a & b; });
    }
    static Reg bit_or(Reg x, Reg y)
    {
        return words(x, y, [](uint64_t a, uint64_t b) { return a | b; });
    }
    static Reg bit_xor(Reg x, Reg y)
    {
        return words(x, y, [](uint64_t a, uint64_t b) { return a ^ b; });
    }
    static void popcount(Acc& acc, Reg x)
    {
        uint64_t w[2];
        std::memcpy(w, x.b, size);
        acc.total += static_cast<uint64_t>(__builtin_popcountll(w[0]) + __builtin_popcountll(w[1]));
    }
    static uint64_t sum32(Acc acc) { return acc.total; }
    static uint64_t sum64(Acc acc) { return acc.total; }
};

#if defined(__SSE2__)
// The baseline of x86-64.
struct BytesSse2 {
    static constexpr size_t size = 16;
    using Reg = __m128i;
    struct Acc {
        __m128i v = _mm_setzero_si128();
        Acc& operator+=(Acc other)
        {
            // Both kinds of lanes add without a carry between 32-bit halves: 64-bit sums stay
            // below 2^32 for as long as dot()'s documented length, and popcounts for 2^35 bits.
            v = _mm_add_epi32(v, other.v);
            return *this;
        }
    };

    static Reg load(const uint8_t* p)
    {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    }
    static Reg load_partial(const uint8_t* p, size_t n)
    {
        alignas(16) uint8_t b[size] = {};
        for (size_t i = 0; i < n; i++)
            b[i] = p[i];
        return _mm_load_si128(reinterpret_cast<const __m128i*>(b));
    }
    static void dot(Acc& acc, Reg x, Reg y)
    {
        const __m128i zero = _mm_setzero_si128();
        acc.v = _mm_add_epi32(
            acc.v, _mm_madd_epi16(_mm_unpacklo_epi8(x, zero), _mm_unpacklo_epi8(y, zero)));
        acc.v = _mm_add_epi32(
            acc.v, _mm_madd_epi16(_mm_unpackhi_epi8(x, zero), _mm_unpackhi_epi8(y, zero)));
    }
    static void sqdiff(Acc& acc, Reg x, Reg y)
    {
        const Reg d = _mm_or_si128(_mm_subs_epu8(x, y), _mm_subs_epu8(y, x));
        dot(acc, d, d);
    }
    static void absdiff(Acc& acc, Reg x, Reg y)
    {
        acc.v = _mm_add_epi64(acc.v, _mm_sad_epu8(x, y));
    }
    static Reg bit_and(Reg x, Reg y) { return _mm_and_si128(x, y); }
    static Reg bit_or(Reg x, Reg y) { return _mm_or_si128(x, y); }
    static Reg bit_xor(Reg x, Reg y) { return _mm_xor_si128(x, y); }
    static void popcount(Acc& acc, Reg x)
    {
        // Sums of 2, 4, then 8 neighbouring bits in place.
        const __m128i m1 = _mm_set1_epi8(0x55), m2 = _mm_set1_epi8(0x33), m4 = _mm_set1_epi8(0x0f);
        x = _mm_sub_epi8(x, _mm_and_si128(_mm_srli_epi64(x, 1), m1));
        x = _mm_add_epi8(_mm_and_si128(x, m2), _mm_and_si128(_mm_srli_epi64(x, 2), m2));
        x = _mm_and_si128(_mm_add_epi8(x, _mm_srli_epi64(x, 4)), m4);
        acc.v = _mm_add_epi64(acc.v, _mm_sad_epu8(x, _mm_setzero_si128()));
    }
    static uint64_t sum32(Acc acc)
    {
        alignas(16) uint32_t lane[4];
        _mm_store_si128(reinterpret_cast<__m128i*>(lane), acc.v);
        return lane[0] + lane[1] + lane[2] + lane[3];
    }
    static uint64_t sum64(Acc acc)
    {
        alignas(16) uint64_t lane[2];
        _mm_store_si128(reinterpret_cast<__m128i*>(lane), acc.v);
        return lane[0] + lane[1];
    }
};

template <>
struct Bytes<xsimd::sse2> : BytesSse2 {
};
#endif

#if defined(__AVX2__)
template <>
struct Bytes<Avx2> {
    static constexpr size_t size = 32;
    using Reg = __m256i;
    struct Acc {
        __m256i v = _mm256_setzero_si256();
        Acc& operator+=(Acc other)
        {
            v = _mm256_add_epi32(v, other.v);   // see BytesSse2::Acc
            return *this;
        }
    };

    static Reg load(const uint8_t* p)
    {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    }
    static Reg load_partial(const uint8_t* p, size_t n)
    {
        alignas(32) uint8_t b[size] = {};
        std::memcpy(b, p, n);
        return _mm256_load_si256(reinterpret_cast<const __m256i*>(b));
    }
    static void dot(Acc& acc, Reg x, Reg y)
    {
        const __m256i zero = _mm256_setzero_si256();
        acc.v = _mm256_add_epi32(
            acc.v, _mm256_madd_epi16(_mm256_unpacklo_epi8(x, zero), _mm256_unpacklo_epi8(y, zero)));
        acc.v = _mm256_add_epi32(
            acc.v, _mm256_madd_epi16(_mm256_unpackhi_epi8(x, zero), _mm256_unpackhi_epi8(y, zero)));
    }
    static void sqdiff(Acc& acc, Reg x, Reg y)
    {
        const Reg d = _mm256_or_si256(_mm256_subs_epu8(x, y), _mm256_subs_epu8(y, x));
        dot(acc, d, d);
    }
    static void absdiff(Acc& acc, Reg x, Reg y)
    {
        acc.v = _mm256_add_epi64(acc.v, _mm256_sad_epu8(x, y));
    }
    static Reg bit_and(Reg x, Reg y) { return _mm256_and_si256(x, y); }
    static Reg bit_or(Reg x, Reg y) { return _mm256_or_si256(x, y); }
    static Reg bit_xor(Reg x, Reg y) { return _mm256_xor_si256(x, y); }
    static void popcount(Acc& acc, Reg x)
    {
        // A table of the popcounts of 4 bits, looked up for both halves of each byte.
        const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1,
                                               1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
        const __m256i low = _mm256_set1_epi8(0x0f);
        const __m256i n = _mm256_add_epi8(
            _mm256_shuffle_epi8(table, _mm256_and_si256(x, low)),
            _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
        acc.v = _mm256_add_epi64(acc.v, _mm256_sad_epu8(n, _mm256_setzero_si256()));
    }
    static uint64_t sum32(Acc acc)
    {
        return BytesSse2::sum32(
            {_mm_add_epi32(_mm256_castsi256_si128(acc.v), _mm256_extracti128_si256(acc.v, 1))});
    }
    static uint64_t sum64(Acc acc)
    {
        return BytesSse2::sum64(
            {_mm_add_epi64(_mm256_castsi256_si128(acc.v), _mm256_extracti128_si256(acc.v, 1))});
    }
};
#endif

#if defined(__AVX512BW__)
template <>
struct Bytes<Avx512> {
    static constexpr size_t size = 64;
    using Reg = __m512i;
    struct Acc {
        __m512i v = _mm512_setzero_si512();
        Acc& operator+=(Acc other)
        {
            v = _mm512_add_epi32(v, other.v);   // see BytesSse2::Acc
            return *this;
        }
    };

    static Reg load(const uint8_t* p) { return _mm512_loadu_si512(p); }
    static Reg load_partial(const uint8_t* p, size_t n)
    {
        return _mm512_maskz_loadu_epi8((1ull << n) - 1, p);
    }
    static void dot(Acc& acc, Reg x, Reg y)
    {
        // VNNI multiplies unsigned by signed bytes: y = (y - 128) + 127 + 1.
        acc.v = _mm512_dpbusd_epi32(acc.v, x, _mm512_xor_si512(y, _mm512_set1_epi8(-128)));
        acc.v = _mm512_dpbusd_epi32(acc.v, x, _mm512_set1_epi8(127));
        acc.v = _mm512_dpbusd_epi32(acc.v, x, _mm512_set1_epi8(1));
    }
    static void sqdiff(Acc& acc, Reg x, Reg y)
    {
        const __m512i zero = _mm512_setzero_si512();
        const Reg d = _mm512_or_si512(_mm512_subs_epu8(x, y), _mm512_subs_epu8(y, x));
        const Reg low = _mm512_unpacklo_epi8(d, zero), high = _mm512_unpackhi_epi8(d, zero);
        acc.v = _mm512_dpwssd_epi32(acc.v, low, low);
        acc.v = _mm512_dpwssd_epi32(acc.v, high, high);
    }
    static void absdiff(Acc& acc, Reg x, Reg y)
    {
        acc.v = _mm512_add_epi64(acc.v, _mm512_sad_epu8(x, y));
    }
    static Reg bit_and(Reg x, Reg y) { return _mm512_and_si512(x, y); }
    static Reg bit_or(Reg x, Reg y) { return _mm512_or_si512(x, y); }
    static Reg bit_xor(Reg x, Reg y) { return _mm512_xor_si512(x, y); }
    static void popcount(Acc& acc, Reg x)
    {
        acc.v = _mm512_add_epi64(acc.v, _mm512_popcnt_epi64(x));
    }
    // Not _mm512_reduce_add: in g++'s headers it adds signed integers.
    static uint64_t sum32(Acc acc)
    {
        return Bytes<Avx2>::sum32(
            {_mm256_add_epi32(_mm512_castsi512_si256(acc.v), _mm512_extracti64x4_epi64(acc.v, 1))});
    }
    static uint64_t sum64(Acc acc)
    {
        return Bytes<Avx2>::sum64(
            {_mm256_add_epi64(_mm512_castsi512_si256(acc.v), _mm512_extracti64x4_epi64(acc.v, 1))});
    }
};
#endif

#if defined(__aarch64__)
template <>
struct Bytes<Neon> {
    static constexpr size_t size = 16;
    using Reg = uint8x16_t;
    // Lanes of 32 bits for all four, as none of their sums needs more at the documented lengths.
    struct Acc {
        uint32x4_t v = vdupq_n_u32(0);
        Acc& operator+=(Acc other)
        {
            v = vaddq_u32(v, other.v);
            return *this;
        }
    };

    static Reg load(const uint8_t* p) { return vld1q_u8(p); }
    static Reg load_partial(const uint8_t* p, size_t n)
    {
        uint8_t b[size] = {};
        std::memcpy(b, p, n);
        return vld1q_u8(b);
    }
    static void dot(Acc& acc, Reg x, Reg y)
    {
        acc.v = vpadalq_u16(acc.v, vmull_u8(vget_low_u8(x), vget_low_u8(y)));
        acc.v = vpadalq_u16(acc.v, vmull_high_u8(x, y));
    }
    static void sqdiff(Acc& acc, Reg x, Reg y)
    {
        const Reg d = vabdq_u8(x, y);
        dot(acc, d, d);
    }
    static void absdiff(Acc& acc, Reg x, Reg y)
    {
        acc.v = vpadalq_u16(acc.v, vpaddlq_u8(vabdq_u8(x, y)));
    }
    static Reg bit_and(Reg x, Reg y) { return vandq_u8(x, y); }
    static Reg bit_or(Reg x, Reg y) { return vorrq_u8(x, y); }
    static Reg bit_xor(Reg x, Reg y) { return veorq_u8(x, y); }
    static void popcount(Acc& acc, Reg x) { acc.v = vpadalq_u16(acc.v, vpaddlq_u8(vcntq_u8(x))); }
    static uint64_t sum32(Acc acc) { return vaddvq_u32(acc.v); }
    static uint64_t sum64(Acc acc) { return vaddlvq_u32(acc.v); }
};
#endif

// ---- Shorts<Arch>: a register of 16-bit integers, loaded as such or from bytes, and sums of their
// products in lanes of 32 bits ----

template <class Arch>
struct Shorts {
    static constexpr size_t size = 8;
    struct Reg {
        int16_t v[size];
    };
    struct Acc {
        int32_t total = 0;
        Acc& operator+=(Acc other)
        {
            total += other.total;
            return *this;
        }
    };
    template <class T>
    static Reg load(const T* p)
    {
        return load_partial(p, size);
    }
    template <class T>
    static Reg load_partial(const T* p, size_t n)
    {
        Reg r = {};
        for (size_t i = 0; i < n; i++)
            r.v[i] = p[i];
        return r;
    }
    static void dot(Acc& acc, Reg x, Reg y)
    {
        for (size_t i = 0; i < size; i++)
            acc.total += x.v[i] * y.v[i];
    }
    static int32_t sum(Acc acc) { return acc.total; }
};

// The first n elements, and zeros.
template <class R, class T>
typename R::Reg load_some(const T* p, size_t n)
{
    T some[R::size] = {};
    for (size_t i = 0; i < n; i++)
        some[i] = p[i];
    return R::load(some);
}

#if defined(__SSE2__)
struct ShortsSse2 {
    static constexpr size_t size = 8;
    using Reg = __m128i;
    using Acc = BytesSse2::Acc;
    static Reg load(const int16_t* p)
    {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    }
    static Reg load(const uint8_t* p)
    {
        return _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)),
                                 _mm_setzero_si128());
    }
    template <class T>
    static Reg load_partial(const T* p, size_t n)
    {
        return load_some<ShortsSse2>(p, n);
    }
    static void dot(Acc& acc, Reg x, Reg y) { acc.v = _mm_add_epi32(acc.v, _mm_madd_epi16(x, y)); }
    static int32_t sum(Acc acc) { return static_cast<int32_t>(BytesSse2::sum32(acc)); }
};

template <>
struct Shorts<xsimd::sse2> : ShortsSse2 {
};
#endif

#if defined(__AVX2__)
template <>
struct Shorts<Avx2> {
    static constexpr size_t size = 16;
    using Reg = __m256i;
    using Acc = Bytes<Avx2>::Acc;
    static Reg load(const int16_t* p)
    {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    }
    static Reg load(const uint8_t* p)
    {
        return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
    template <class T>
    static Reg load_partial(const T* p, size_t n)
    {
        return load_some<Shorts>(p, n);
    }
    static void dot(Acc& acc, Reg x, Reg y)
    {
        acc.v = _mm256_add_epi32(acc.v, _mm256_madd_epi16(x, y));
    }
    static int32_t sum(Acc acc) { return static_cast<int32_t>(Bytes<Avx2>::sum32(acc)); }
};
#endif

#if defined(__AVX512BW__)
template <>
struct Shorts<Avx512> {
    static constexpr size_t size = 32;
    using Reg = __m512i;
    using Acc = Bytes<Avx512>::Acc;
    static Reg load(const int16_t* p) { return _mm512_loadu_si512(p); }
    static Reg load(const uint8_t* p)
    {
        return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    static Reg load_partial(const int16_t* p, size_t n)
    {
        return _mm512_maskz_loadu_epi16(static_cast<__mmask32>((1ull << n) - 1), p);
    }
    static Reg load_partial(const uint8_t* p, size_t n)
    {
        return _mm512_cvtepu8_epi16(
            _mm256_maskz_loadu_epi8(static_cast<__mmask32>((1ull << n) - 1), p));
    }
    static void dot(Acc& acc, Reg x, Reg y) { acc.v = _mm512_dpwssd_epi32(acc.v, x, y); }
    static int32_t sum(Acc acc) { return static_cast<int32_t>(Bytes<Avx512>::sum32(acc)); }
};
#endif

#if defined(__aarch64__)
template <>
struct Shorts<Neon> {
    static constexpr size_t size = 8;
    using Reg = int16x8_t;
    struct Acc {
        int32x4_t v = vdupq_n_s32(0);
        Acc& operator+=(Acc other)
        {
            v = vaddq_s32(v, other.v);
            return *this;
        }
    };
    static Reg load(const int16_t* p) { return vld1q_s16(p); }
    static Reg load(const uint8_t* p) { return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p))); }
    template <class T>
    static Reg load_partial(const T* p, size_t n)
    {
        return load_some<Shorts>(p, n);
    }
    static void dot(Acc& acc, Reg x, Reg y)
    {
        acc.v = vmlal_s16(acc.v, vget_low_s16(x), vget_low_s16(y));
        acc.v = vmlal_high_s16(acc.v, x, y);
    }
    static int32_t sum(Acc acc) { return vaddvq_s32(acc.v); }
};
#endif

// ---- Tile<Arch>: a tile of a matrix product of bytes ----
//
// Each lane of a register has `codes` consecutive codes of one column. add() adds their products with
// the same codes of a row, which are in all lanes. A tile has `rows` rows and `registers` registers
// of columns.

template <class Arch>
struct Tile {
    static constexpr size_t rows = 1, registers = 16, lanes = 1, codes = 1;
    using Element = uint8_t;      // of a packed column
    using RowElement = uint8_t;   // of a row
    using Reg = int32_t;
    using Acc = int32_t;
    static Element column_element(uint8_t code) { return code; }
    static void widen(const uint8_t* row, RowElement to[64]) { std::memcpy(to, row, 64); }
    static Reg load(const Element* p) { return *p; }
    static Reg broadcast(const RowElement* p) { return *p; }
    static void add(Acc& acc, Reg x, Reg y) { acc += x * y; }
    // What must be added to each sum of a row.
    static int32_t correction(const uint8_t*, size_t) { return 0; }
    static void store(Acc acc, int32_t, int32_t* to) { *to = acc; }
};

#if defined(__SSE2__)
template <>
struct Tile<xsimd::sse2> {
    static constexpr size_t rows = 4, registers = 4, lanes = 4, codes = 2;
    using Element = int16_t;
    using RowElement = int16_t;
    using Reg = __m128i;
    using Acc = __m128i;
    static Element column_element(uint8_t code) { return code; }
    static void widen(const uint8_t* row, RowElement to[64])
    {
        for (size_t i = 0; i < 64; i += 16) {
            const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + i)),
                          zero = _mm_setzero_si128();
            _mm_store_si128(reinterpret_cast<__m128i*>(to + i), _mm_unpacklo_epi8(x, zero));
            _mm_store_si128(reinterpret_cast<__m128i*>(to + i + 8), _mm_unpackhi_epi8(x, zero));
        }
    }
    static Reg load(const Element* p)
    {
        return _mm_load_si128(reinterpret_cast<const __m128i*>(p));
    }
    static Reg broadcast(const RowElement* p)
    {
        int32_t pair;
        std::memcpy(&pair, p, sizeof pair);
        return _mm_set1_epi32(pair);
    }
    static void add(Acc& acc, Reg x, Reg y) { acc = _mm_add_epi32(acc, _mm_madd_epi16(x, y)); }
    static int32_t correction(const uint8_t*, size_t) { return 0; }
    static void store(Acc acc, int32_t, int32_t* to)
    {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), acc);
    }
};
#endif

#if defined(__AVX2__)
template <>
struct Tile<Avx2> {
    static constexpr size_t rows = 4, registers = 2, lanes = 8, codes = 2;
    using Element = int16_t;
    using RowElement = int16_t;
    using Reg = __m256i;
    using Acc = __m256i;
    static Element column_element(uint8_t code) { return code; }
    static void widen(const uint8_t* row, RowElement to[64])
    {
        for (size_t i = 0; i < 64; i += 16)
            _mm256_store_si256(
                reinterpret_cast<__m256i*>(to + i),
                _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + i))));
    }
    static Reg load(const Element* p)
    {
        return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
    }
    static Reg broadcast(const RowElement* p)
    {
        int32_t pair;
        std::memcpy(&pair, p, sizeof pair);
        return _mm256_set1_epi32(pair);
    }
    static void add(Acc& acc, Reg x, Reg y)
    {
        acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x, y));
    }
    static int32_t correction(const uint8_t*, size_t) { return 0; }
    static void store(Acc acc, int32_t, int32_t* to)
    {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), acc);
    }
};
#endif

#if defined(__AVX512BW__)
// The instruction multiplies unsigned with signed bytes. So 128 is subtracted from the codes of
// columns, and 128 times the sum of the row is added in the end.
template <>
struct Tile<Avx512> {
    static constexpr size_t rows = 8, registers = 3, lanes = 16, codes = 4;
    using Element = int8_t;
    using RowElement = uint8_t;
    using Reg = __m512i;
    using Acc = __m512i;
    static Element column_element(uint8_t code) { return static_cast<int8_t>(code - 128); }
    static void widen(const uint8_t* row, RowElement to[64])
    {
        _mm512_store_si512(to, _mm512_loadu_si512(row));
    }
    static Reg load(const Element* p) { return _mm512_load_si512(p); }
    static Reg broadcast(const RowElement* p)
    {
        int32_t four;
        std::memcpy(&four, p, sizeof four);
        return _mm512_set1_epi32(four);
    }
    static void add(Acc& acc, Reg x, Reg y) { acc = _mm512_dpbusd_epi32(acc, x, y); }
    static int32_t correction(const uint8_t* row, size_t n)
    {
        __m512i sum = _mm512_setzero_si512();
        for (size_t i = 0; i < n; i += 64)
            sum = _mm512_add_epi64(
                sum, _mm512_sad_epu8(_mm512_loadu_si512(row + i), _mm512_setzero_si512()));
        return static_cast<int32_t>(128 * _mm512_reduce_add_epi64(sum));
    }
    static void store(Acc acc, int32_t correction, int32_t* to)
    {
        _mm512_storeu_si512(to, _mm512_add_epi32(acc, _mm512_set1_epi32(correction)));
    }
};
#endif

#if defined(__aarch64__)
template <>
struct Tile<Neon> {
    static constexpr size_t rows = 4, registers = 4, lanes = 4, codes = 2;
    using Element = uint8_t;
    using RowElement = uint8_t;
    using Reg = uint8x8_t;
    using Acc = uint32x4_t;
    static Element column_element(uint8_t code) { return code; }
    static void widen(const uint8_t* row, RowElement to[64]) { std::memcpy(to, row, 64); }
    static Reg load(const Element* p) { return vld1_u8(p); }
    static Reg broadcast(const RowElement* p)
    {
        uint16_t pair;
        std::memcpy(&pair, p, sizeof pair);
        return vreinterpret_u8_u16(vdup_n_u16(pair));
    }
    static void add(Acc& acc, Reg x, Reg y) { acc = vpadalq_u16(acc, vmull_u8(x, y)); }
    static int32_t correction(const uint8_t*, size_t) { return 0; }
    static void store(Acc acc, int32_t, int32_t* to) { vst1q_s32(to, vreinterpretq_s32_u32(acc)); }
};
#endif

// ---- comparison masks: bit j is lane j ----

constexpr uint64_t low_bits(size_t n) { return (uint64_t{1} << n) - 1; }

template <class Arch>
uint64_t mask_of(xsimd::batch_bool<float, Arch> m)
{
    bool lanes[width<Arch>];
    m.store_unaligned(lanes);
    uint64_t mask = 0;
    for (size_t j = 0; j < width<Arch>; j++)
        mask |= static_cast<uint64_t>(lanes[j]) << j;
    return mask;
}

#if defined(__SSE2__)
inline uint64_t mask_of(xsimd::batch_bool<float, xsimd::sse2> m)
{
    return static_cast<uint64_t>(_mm_movemask_ps(m));
}
#endif
#if defined(__AVX2__)
inline uint64_t mask_of(xsimd::batch_bool<float, Avx2> m)
{
    return static_cast<uint64_t>(_mm256_movemask_ps(m));
}
inline uint64_t mask_of(xsimd::batch_bool<uint64_t, Avx2> m)
{
    return static_cast<uint64_t>(_mm256_movemask_pd(_mm256_castsi256_pd(m)));
}
#endif
#if defined(__AVX512BW__)
inline uint64_t mask_of(xsimd::batch_bool<float, Avx512> m) { return static_cast<__mmask16>(m); }
inline uint64_t mask_of(xsimd::batch_bool<uint64_t, Avx512> m) { return static_cast<__mmask8>(m); }
#endif

#if defined(__aarch64__)
inline uint64_t mask_of(xsimd::batch_bool<float, Neon> m)
{
    const uint32x4_t bit = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(m, bit));
}
#endif

// ---- the lesser and the greater of 64-bit numbers, in each lane ----

template <class Arch>
Words<Arch> lesser(Words<Arch> x, Words<Arch> y)
{
    return xsimd::min(x, y);
}
template <class Arch>
Words<Arch> greater(Words<Arch> x, Words<Arch> y)
{
    return xsimd::max(x, y);
}
#if defined(__AVX2__)
// AVX2 compares signed numbers only. (xsimd 8 does that in halves of a register.)
inline __m256i is_above(__m256i x, __m256i y)
{
    const __m256i sign = _mm256_set1_epi64x(INT64_MIN);
    return _mm256_cmpgt_epi64(_mm256_xor_si256(x, sign), _mm256_xor_si256(y, sign));
}
template <class Arch>
requires std::is_same_v<Arch, Avx2> Words<Arch> lesser(Words<Arch> x, Words<Arch> y)
{
    return _mm256_blendv_epi8(x, y, is_above(x, y));
}
template <class Arch>
requires std::is_same_v<Arch, Avx2> Words<Arch> greater(Words<Arch> x, Words<Arch> y)
{
    return _mm256_blendv_epi8(y, x, is_above(x, y));
}
#endif

// ---- swap_lanes<H>: lane i takes lane i ^ H ----

template <size_t H, class Arch>
Floats<Arch> swap_lanes(Floats<Arch> x, Arch)
{
    float from[width<Arch>], to[width<Arch>];
    x.store_unaligned(from);
    for (size_t i = 0; i < width<Arch>; i++)
        to[i] = from[i ^ H];
    return Floats<Arch>::load_unaligned(to);
}

#if defined(__SSE2__)
template <size_t H>
Floats<xsimd::sse2> swap_lanes(Floats<xsimd::sse2> x, xsimd::sse2)
{
    return _mm_shuffle_ps(x, x, H == 1 ? 0xb1 : 0x4e);
}
#endif
#if defined(__AVX2__)
template <size_t H>
Floats<Avx2> swap_lanes(Floats<Avx2> x, Avx2)
{
    if constexpr (H == 4)
        return _mm256_permute2f128_ps(x, x, 1);
    else
        return _mm256_permute_ps(x, H == 1 ? 0xb1 : 0x4e);
}
#endif
#if defined(__AVX512BW__)
template <size_t H>
Floats<Avx512> swap_lanes(Floats<Avx512> x, Avx512)
{
    if constexpr (H >= 4)
        return _mm512_shuffle_f32x4(x, x, H == 4 ? 0xb1 : 0x4e);
    else
        return _mm512_permute_ps(x, H == 1 ? 0xb1 : 0x4e);
}
#endif

#if defined(__aarch64__)
template <size_t H>
Floats<Neon> swap_lanes(Floats<Neon> x, Neon)
{
    return H == 1 ? vrev64q_f32(x) : vextq_f32(x, x, 2);
}
#endif

// ---- Lanes64<Arch>: `size` sketches side by side, scored against the planes of a 4-bit query ----
//
// score() takes `left` sketches, at least 4, and writes min(size, left) results; so does differ(),
// against one plane.

template <class Arch>
struct Lanes64 {
    static constexpr size_t size = 1;
    static void score(const uint64_t* codes, size_t words, size_t stride, const uint64_t* planes,
                      uint32_t* out, size_t)
    {
        uint32_t total = 0;
        for (size_t w = 0; w < words; w++)
            for (size_t k = 0; k < 4; k++)
                total += static_cast<uint32_t>(
                             __builtin_popcountll(codes[w * stride] ^ planes[w * 4 + k]))
                         << k;
        out[0] = total;
    }
    static void differ(const uint64_t* codes, size_t words, size_t stride, const uint64_t* query,
                       uint32_t* out, size_t)
    {
        uint32_t total = 0;
        for (size_t w = 0; w < words; w++)
            total += static_cast<uint32_t>(__builtin_popcountll(codes[w * stride] ^ query[w]));
        out[0] = total;
    }
};

#if defined(__SSE2__)
template <>
struct Lanes64<xsimd::sse2> {
    static constexpr size_t size = 2;
    static void score(const uint64_t* codes, size_t words, size_t stride, const uint64_t* planes,
                      uint32_t* out, size_t)
    {
        __m128i total = _mm_setzero_si128();
        for (size_t w = 0; w < words; w++) {
            const __m128i code =
                _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + w * stride));
            // A byte's weighted count is at most 8 * 15: planes add up before the bytes do.
            __m128i bytes = _mm_setzero_si128();
            for (size_t k = 4; k-- > 0;) {
                const __m128i plane = _mm_set1_epi64x(static_cast<long long>(planes[w * 4 + k]));
                bytes = _mm_add_epi8(_mm_add_epi8(bytes, bytes),
                                     popcount_bytes(_mm_xor_si128(code, plane)));
            }
            total = _mm_add_epi64(total, _mm_sad_epu8(bytes, _mm_setzero_si128()));
        }
        store(total, out);
    }
    static void differ(const uint64_t* codes, size_t words, size_t stride, const uint64_t* query,
                       uint32_t* out, size_t)
    {
        __m128i total = _mm_setzero_si128();
        for (size_t w = 0; w < words; w++) {
            const __m128i code =
                _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + w * stride));
            const __m128i plane = _mm_set1_epi64x(static_cast<long long>(query[w]));
            total = _mm_add_epi64(total, _mm_sad_epu8(popcount_bytes(_mm_xor_si128(code, plane)),
                                                      _mm_setzero_si128()));
        }
        store(total, out);
    }

  private:
    static __m128i popcount_bytes(__m128i x)
    {
        const __m128i m1 = _mm_set1_epi8(0x55), m2 = _mm_set1_epi8(0x33), m4 = _mm_set1_epi8(0x0f);
        x = _mm_sub_epi8(x, _mm_and_si128(_mm_srli_epi64(x, 1), m1));
        x = _mm_add_epi8(_mm_and_si128(x, m2), _mm_and_si128(_mm_srli_epi64(x, 2), m2));
        return _mm_and_si128(_mm_add_epi8(x, _mm_srli_epi64(x, 4)), m4);
    }
    static void store(__m128i total, uint32_t* out)
    {
        alignas(16) uint64_t lane[2];
        _mm_store_si128(reinterpret_cast<__m128i*>(lane), total);
        out[0] = static_cast<uint32_t>(lane[0]);
        out[1] = static_cast<uint32_t>(lane[1]);
    }
};
#endif

#if defined(__aarch64__)
template <>
struct Lanes64<Neon> {
    static constexpr size_t size = 2;
    static void score(const uint64_t* codes, size_t words, size_t stride, const uint64_t* planes,
                      uint32_t* out, size_t)
    {
        uint64x2_t total = vdupq_n_u64(0);
        for (size_t w = 0; w < words; w++) {
            const uint64x2_t code = vld1q_u64(codes + w * stride);
            uint8x16_t bytes = vdupq_n_u8(0);   // see the SSE2 version
            for (size_t k = 4; k-- > 0;)
                bytes = vaddq_u8(vaddq_u8(bytes, bytes),
                                 popcount_bytes(veorq_u64(code, vdupq_n_u64(planes[w * 4 + k]))));
            total = add_bytes(total, bytes);
        }
        vst1_u32(out, vmovn_u64(total));
    }
    static void differ(const uint64_t* codes, size_t words, size_t stride, const uint64_t* query,
                       uint32_t* out, size_t)
    {
        uint64x2_t total = vdupq_n_u64(0);
        for (size_t w = 0; w < words; w++)
            total = add_bytes(total, popcount_bytes(veorq_u64(vld1q_u64(codes + w * stride),
                                                              vdupq_n_u64(query[w]))));
        vst1_u32(out, vmovn_u64(total));
    }

  private:
    static uint8x16_t popcount_bytes(uint64x2_t x) { return vcntq_u8(vreinterpretq_u8_u64(x)); }
    static uint64x2_t add_bytes(uint64x2_t total, uint8x16_t bytes)
    {
        return vpadalq_u32(total, vpaddlq_u16(vpaddlq_u8(bytes)));
    }
};
#endif

#if defined(__AVX2__)
template <>
struct Lanes64<Avx2> {
    static constexpr size_t size = 4;
    static void score(const uint64_t* codes, size_t words, size_t stride, const uint64_t* planes,
                      uint32_t* out, size_t)
    {
        __m256i total = _mm256_setzero_si256();
        for (size_t w = 0; w < words; w++) {
            const __m256i code =
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + w * stride));
            __m256i bytes = _mm256_setzero_si256();   // see the SSE2 version
            for (size_t k = 4; k-- > 0;) {
                const __m256i plane = _mm256_set1_epi64x(static_cast<long long>(planes[w * 4 + k]));
                bytes = _mm256_add_epi8(_mm256_add_epi8(bytes, bytes),
                                        popcount_bytes(_mm256_xor_si256(code, plane)));
            }
            total = _mm256_add_epi64(total, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
        }
        store(total, out);
    }
    static void differ(const uint64_t* codes, size_t words, size_t stride, const uint64_t* query,
                       uint32_t* out, size_t)
    {
        __m256i total = _mm256_setzero_si256();
        for (size_t w = 0; w < words; w++) {
            const __m256i code =
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + w * stride));
            const __m256i plane = _mm256_set1_epi64x(static_cast<long long>(query[w]));
            total = _mm256_add_epi64(total,
                                     _mm256_sad_epu8(popcount_bytes(_mm256_xor_si256(code, plane)),
                                                     _mm256_setzero_si256()));
        }
        store(total, out);
    }

  private:
    static __m256i popcount_bytes(__m256i x)
    {
        const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1,
                                               1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
        const __m256i low = _mm256_set1_epi8(0x0f);
        return _mm256_add_epi8(
            _mm256_shuffle_epi8(table, _mm256_and_si256(x, low)),
            _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
    }
    static void store(__m256i total, uint32_t* out)
    {
        alignas(32) uint64_t lane[4];
        _mm256_store_si256(reinterpret_cast<__m256i*>(lane), total);
        for (size_t i = 0; i < 4; i++)
            out[i] = static_cast<uint32_t>(lane[i]);
    }
};
#endif

#if defined(__AVX512BW__)
template <>
struct Lanes64<Avx512> {
    static constexpr size_t size = 8;
    static void score(const uint64_t* codes, size_t words, size_t stride, const uint64_t* planes,
                      uint32_t* out, size_t left)
    {
        const auto lanes = static_cast<__mmask8>(left >= 8 ? 0xff : (1u << left) - 1);
        __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                          _mm512_setzero_si512()};
        for (size_t w = 0; w < words; w++) {
            const __m512i code = _mm512_maskz_loadu_epi64(lanes, codes + w * stride);
#pragma GCC unroll 4
            for (size_t k = 0; k < 4; k++) {
                const __m512i plane = _mm512_set1_epi64(static_cast<long long>(planes[w * 4 + k]));
                sum[k] =
                    _mm512_add_epi64(sum[k], _mm512_popcnt_epi64(_mm512_xor_si512(code, plane)));
            }
        }
        const __m512i low = _mm512_add_epi64(sum[0], _mm512_slli_epi64(sum[1], 1));
        const __m512i high = _mm512_add_epi64(sum[2], _mm512_slli_epi64(sum[3], 1));
        _mm512_mask_cvtepi64_storeu_epi32(out, lanes,
                                          _mm512_add_epi64(low, _mm512_slli_epi64(high, 2)));
    }
    static void differ(const uint64_t* codes, size_t words, size_t stride, const uint64_t* query,
                       uint32_t* out, size_t left)
    {
        const auto lanes = static_cast<__mmask8>(left >= 8 ? 0xff : (1u << left) - 1);
        __m512i sum = _mm512_setzero_si512();
        for (size_t w = 0; w < words; w++) {
            const __m512i code = _mm512_maskz_loadu_epi64(lanes, codes + w * stride);
            const __m512i plane = _mm512_set1_epi64(static_cast<long long>(query[w]));
            sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(code, plane)));
        }
        _mm512_mask_cvtepi64_storeu_epi32(out, lanes, sum);
    }
};

// The sums of adjacent pairs of words, first those of x and then those of y.
inline __m512i add_pairs(__m512i x, __m512i y)
{
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14),
                  odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    return _mm512_add_epi64(_mm512_permutex2var_epi64(x, even, y),
                            _mm512_permutex2var_epi64(x, odd, y));
}

// Hamming distances of a to 8 adjacent codes of `Words` words (1, 2 or 4).
template <size_t Words>
inline __m512i hamming_of_eight(__m512i a, const uint8_t* codes)
{
    if constexpr (Words == 1)
        return _mm512_popcnt_epi64(_mm512_xor_si512(a, _mm512_loadu_si512(codes)));
    else
        return add_pairs(hamming_of_eight<Words / 2>(a, codes),
                         hamming_of_eight<Words / 2>(a, codes + 32 * Words));
}

// The sums of the 8 words of each of 8 registers x(0) .. x(7); words are below 2^12.
template <class F>
inline __m512i sums_of_eight(F x)
{
    // Each step packs the words into narrower lanes: within 128 bits, [x0 x0 x1 x1 x2 x2 x3 x3],
    // then [x0 .. x7]. The local variables make the calls of x() run in ascending order, in which
    // memory is read fastest; arguments of a call are evaluated in any order.
    const auto two = [&](size_t i) {
        const __m512i first = x(i);
        return _mm512_packus_epi32(first, x(i + 1));
    };
    const auto four = [&](size_t i) {
        const __m512i first = two(i);
        return _mm512_madd_epi16(_mm512_packus_epi32(first, two(i + 2)), _mm512_set1_epi16(1));
    };
    const __m512i low = four(0), quarters = _mm512_packus_epi32(low, four(4));
    const __m256i halves =
        _mm256_add_epi16(_mm512_castsi512_si256(quarters), _mm512_extracti64x4_epi64(quarters, 1));
    return _mm512_cvtepu16_epi64(
        _mm_add_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
}

// Hamming distances of a to codes of `Registers` registers, the last of which is filled only up to
// nbytes. The query stays in registers, because loads are the bottleneck. Takes eight codes at a
// time and reads them one after the other, which memory serves fastest. Returns how many codes were
// done.
template <size_t Registers>
inline size_t hamming_of_eights(const uint8_t* a, const uint8_t* codes, size_t stride, size_t count,
                                size_t nbytes, uint64_t* out)
{
    constexpr size_t last = (Registers - 1) * 64;
    const __mmask64 rest = _cvtu64_mask64(~uint64_t{0} >> (Registers * 64 - nbytes));
    __m512i query[Registers];
#pragma GCC unroll 8
    for (size_t r = 0; r < Registers; r++)
        query[r] = r * 64 < last ? _mm512_loadu_si512(a + r * 64)
                                 : _mm512_maskz_loadu_epi8(rest, a + last);
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const auto differ = [&](size_t c) {
            const uint8_t* code = codes + (i + c) * stride;
            __m512i sum = _mm512_setzero_si512();
#pragma GCC unroll 8
            for (size_t r = 0; r < Registers; r++) {
                const __m512i part = r * 64 < last ? _mm512_loadu_si512(code + r * 64)
                                                   : _mm512_maskz_loadu_epi8(rest, code + last);
                sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(query[r], part)));
            }
            return sum;
        };
        _mm512_storeu_si512(out + i, sums_of_eight(differ));
    }
    return i;
}
#endif

// ---- Nibbles<Arch>: `size` codes of 4-bit numbers, looked up in tables of bytes ----
//
// score() is Codebooks::score_nibbles for `size` codes. A shuffle looks up the same byte of many
// codes. These bytes are not adjacent, so the codes are transposed first.

inline const uint8_t* nibble_table(const uint8_t* tables, size_t group)
{
    return tables + group / 4 * 128 + group % 4 * 16;
}

template <class Arch>
struct Nibbles {
    static constexpr size_t size = 1;
    static void score(const uint8_t* tables, size_t groups, const uint8_t* codes, size_t,
                      uint32_t* out)
    {
        uint32_t sum = 0;
        for (size_t g = 0; g < groups; g++) {
            const uint8_t* table = nibble_table(tables, g);
            sum += static_cast<uint32_t>(table[codes[g] & 15] + table[64 + (codes[g] >> 4)]);
        }
        out[0] = sum;
    }
};

// Transposes 16 registers of 16 bytes: byte j of register i becomes byte i of register j. In wider
// registers, each 16 bytes are transposed on their own. Each round interleaves the registers of the
// first half with those of the second.
template <class Reg, class Low, class High>
inline __attribute__((always_inline)) void transpose_bytes(Reg (&x)[16], Low low, High high)
{
    for (size_t round = 0; round < 4; round++) {
        Reg y[16];
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++) {
            y[2 * i] = low(x[i], x[i + 8]);
            y[2 * i + 1] = high(x[i], x[i + 8]);
        }
        std::copy(y, y + 16, x);
    }
}

#if defined(__aarch64__)
template <>
struct Nibbles<Neon> {
    static constexpr size_t size = 16;
    static void score(const uint8_t* tables, size_t groups, const uint8_t* codes, size_t stride,
                      uint32_t* out)
    {
        uint16x8_t low = vdupq_n_u16(0), high = low;
        for (size_t g = 0; g < groups; g += 16) {
            const size_t n = std::min<size_t>(16, groups - g);
            uint8x16_t x[16];
            for (size_t i = 0; i < 16; i++) {
                const uint8_t* code = codes + i * stride + g;
                if (n == 16)
                    x[i] = vld1q_u8(code);
                else {
                    uint8_t part[16] = {};
                    std::memcpy(part, code, n);
                    x[i] = vld1q_u8(part);
                }
            }
            transpose_bytes(
                x, [](uint8x16_t a, uint8x16_t b) { return vzip1q_u8(a, b); },
                [](uint8x16_t a, uint8x16_t b) { return vzip2q_u8(a, b); });
            for (size_t j = 0; j < n; j++) {
                const uint8_t* table = nibble_table(tables, g + j);
                const uint8x16_t first =
                    vqtbl1q_u8(vld1q_u8(table), vandq_u8(x[j], vdupq_n_u8(15)));
                const uint8x16_t second = vqtbl1q_u8(vld1q_u8(table + 64), vshrq_n_u8(x[j], 4));
                low = vaddq_u16(low, vaddl_u8(vget_low_u8(first), vget_low_u8(second)));
                high = vaddq_u16(high, vaddl_high_u8(first, second));
            }
        }
        vst1q_u32(out, vmovl_u16(vget_low_u16(low)));
        vst1q_u32(out + 4, vmovl_high_u16(low));
        vst1q_u32(out + 8, vmovl_u16(vget_low_u16(high)));
        vst1q_u32(out + 12, vmovl_high_u16(high));
    }
};
#endif

#if defined(__AVX2__)
template <>
struct Nibbles<Avx2> {
    static constexpr size_t size = 32;
    static void score(const uint8_t* tables, size_t groups, const uint8_t* codes, size_t stride,
                      uint32_t* out)
    {
        const __m256i nibble = _mm256_set1_epi8(15);
        // Sums in lanes of 16 bits. A lane has a byte of an even code and, above it, a byte of an
        // odd code. `all` adds up whole lanes; `odd` adds up the bytes of the odd codes alone.
        __m256i all = _mm256_setzero_si256(), odd = all;
        for (size_t g = 0; g < groups; g += 16) {
            const size_t n = std::min<size_t>(16, groups - g);
            __m256i x[16];
            for (size_t i = 0; i < 16; i++)
                x[i] =
                    _mm256_inserti128_si256(_mm256_castsi128_si256(some(codes + i * stride + g, n)),
                                            some(codes + (16 + i) * stride + g, n), 1);
            transpose_bytes(
                x, [](__m256i a, __m256i b) { return _mm256_unpacklo_epi8(a, b); },
                [](__m256i a, __m256i b) { return _mm256_unpackhi_epi8(a, b); });
            for (size_t j = 0; j < n; j++) {
                const uint8_t* table = nibble_table(tables, g + j);
                const __m256i first =
                    _mm256_shuffle_epi8(twice(table), _mm256_and_si256(x[j], nibble));
                const __m256i second = _mm256_shuffle_epi8(
                    twice(table + 64), _mm256_and_si256(_mm256_srli_epi16(x[j], 4), nibble));
                all = _mm256_add_epi16(all, _mm256_add_epi16(first, second));
                odd = _mm256_add_epi16(odd, _mm256_add_epi16(_mm256_srli_epi16(first, 8),
                                                             _mm256_srli_epi16(second, 8)));
            }
        }
        const __m256i even = _mm256_sub_epi16(all, _mm256_slli_epi16(odd, 8));
        const __m256i first = _mm256_unpacklo_epi16(even, odd),
                      second = _mm256_unpackhi_epi16(even, odd);
        store(_mm256_castsi256_si128(first), out);
        store(_mm256_castsi256_si128(second), out + 8);
        store(_mm256_extracti128_si256(first, 1), out + 16);
        store(_mm256_extracti128_si256(second, 1), out + 24);
    }

  private:
    static __m128i some(const uint8_t* from, size_t n)
    {
        if (n == 16)
            return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        uint8_t part[16] = {};
        std::memcpy(part, from, n);
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(part));
    }
    static __m256i twice(const uint8_t* table)
    {
        return _mm256_broadcastsi128_si256(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
    }
    static void store(__m128i x, uint32_t* out)
    {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_cvtepu16_epi32(x));
    }
};
#endif

#if defined(__AVX512VBMI__)
// A shuffle over 64 bytes has room for the tables of four bytes of a code. So it is enough to
// transpose pieces of 4 bytes, and VNNI adds up each piece.
template <>
struct Nibbles<Avx512> {
    static constexpr size_t size = 64;
    static void score(const uint8_t* tables, size_t groups, const uint8_t* codes, size_t stride,
                      uint32_t* out)
    {
        __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                          _mm512_setzero_si512()};
        if (groups == 32 && stride == 32) {   // a load has two codes; uses half of each
            const auto half = [&](size_t i, auto which) {
                return _mm512_shuffle_i64x2(_mm512_loadu_si512(codes + i * 32),
                                            _mm512_loadu_si512(codes + i * 32 + 64), which());
            };
            add<4>(
                tables, [&](size_t i) { return half(i, [] { return 0x88; }); }, sum);
            add<4>(
                tables + 512, [&](size_t i) { return half(i, [] { return 0xdd; }); }, sum);
            groups = 0;
        }
        for (; groups >= 16; groups -= 16, tables += 512, codes += 16)
            if (stride == 16)
                add<4>(
                    tables, [&](size_t i) { return _mm512_loadu_si512(codes + i * 16); }, sum);
            else
                add<4>(
                    tables, [&](size_t i) { return four(codes + i * stride, stride); }, sum);
        const auto rest = [&](size_t i) { return four(codes + i * stride, stride, groups); };
        switch ((groups + 3) / 4) {
        case 1: add<1>(tables, rest, sum); break;
        case 2: add<2>(tables, rest, sum); break;
        case 3: add<3>(tables, rest, sum); break;
        case 4: add<4>(tables, rest, sum); break;
        default: break;
        }
        // Lane 4l + k of a sum belongs to code 4k + l.
        const __m512i order =
            _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
#pragma GCC unroll 4
        for (size_t b = 0; b < 4; b++)
            _mm512_storeu_si512(out + 16 * b, _mm512_permutexvar_epi32(order, sum[b]));
    }

  private:
    // Adds the scores of the first `Pieces` pieces of 4 bytes. four(i) returns 16 bytes of each of
    // the four codes from i on.
    template <size_t Pieces, class Four>
    static inline __attribute__((always_inline)) void add(const uint8_t* tables, Four&& four,
                                                          __m512i (&sum)[4])
    {
        const __m512i nibble = _mm512_set1_epi8(15), place = _mm512_set1_epi32(0x30201000),
                      ones = _mm512_set1_epi8(1);
        __m512i table[2 * Pieces];
#pragma GCC unroll 8
        for (size_t i = 0; i < 2 * Pieces; i++)
            table[i] = _mm512_loadu_si512(tables + 64 * i);
#pragma GCC unroll 4
        for (size_t b = 0; b < 4; b++) {
            __m512i x[4];
#pragma GCC unroll 4
            for (size_t k = 0; k < 4; k++)
                x[k] = four(16 * b + 4 * k);
            const __m512i low = _mm512_unpacklo_epi32(x[0], x[1]),
                          high = _mm512_unpackhi_epi32(x[0], x[1]),
                          low2 = _mm512_unpacklo_epi32(x[2], x[3]),
                          high2 = _mm512_unpackhi_epi32(x[2], x[3]);
            x[0] = _mm512_unpacklo_epi64(low, low2);
            x[1] = _mm512_unpackhi_epi64(low, low2);
            x[2] = _mm512_unpacklo_epi64(high, high2);
            x[3] = _mm512_unpackhi_epi64(high, high2);
            __m512i more = _mm512_setzero_si512();
#pragma GCC unroll 4
            for (size_t j = 0; j < Pieces; j++) {
                const __m512i first = either(x[j], nibble, place),
                              second = either(_mm512_srli_epi16(x[j], 4), nibble, place);
                sum[b] =
                    _mm512_dpbusd_epi32(sum[b], _mm512_permutexvar_epi8(first, table[2 * j]), ones);
                more = _mm512_dpbusd_epi32(more, _mm512_permutexvar_epi8(second, table[2 * j + 1]),
                                           ones);
            }
            sum[b] = _mm512_add_epi32(sum[b], more);
        }
    }
    // (x & mask) | bits
    static __m512i either(__m512i x, __m512i mask, __m512i bits)
    {
        return _mm512_ternarylogic_epi64(x, mask, bits, 0xea);
    }
    // Load 16 bytes of each of four codes; the second function loads n bytes, and zeros after them.
    static __m512i four(const uint8_t* codes, size_t stride)
    {
        __m512i x = _mm512_castsi128_si512(sixteen(codes));
        x = _mm512_mask_broadcast_i32x4(x, 0x00f0, sixteen(codes + stride));
        x = _mm512_mask_broadcast_i32x4(x, 0x0f00, sixteen(codes + 2 * stride));
        return _mm512_mask_broadcast_i32x4(x, 0xf000, sixteen(codes + 3 * stride));
    }
    static __m512i four(const uint8_t* codes, size_t stride, size_t n)
    {
        const auto bytes = static_cast<__mmask16>((1u << n) - 1);
        __m512i x = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(bytes, codes));
        x = _mm512_inserti32x4(x, _mm_maskz_loadu_epi8(bytes, codes + stride), 1);
        x = _mm512_inserti32x4(x, _mm_maskz_loadu_epi8(bytes, codes + 2 * stride), 2);
        return _mm512_inserti32x4(x, _mm_maskz_loadu_epi8(bytes, codes + 3 * stride), 3);
    }
    static __m128i sixteen(const uint8_t* from)
    {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    }
};
#endif

}   // namespace
}   // namespace quiver::simd
