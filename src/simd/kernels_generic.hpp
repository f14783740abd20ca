// The source of all kernels. Each kernels_<level>.cpp instantiates it for its architecture.
//
// A kernel is a Step, which says how to load a register of each side, how to add a pair of
// registers to an accumulator, and how to finish. All Steps share the loop accumulate(). It uses
// enough accumulators to hide the latency of an addition, and reads the query once for all rows.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

#include "simd/kernels.hpp"
#include "simd/xsimd_fill.hpp"

namespace quiver::simd {

extern const Kernels baseline;
#if defined(__x86_64__)
extern const Kernels avx2;
extern const Kernels avx512;
#endif

namespace {

// ---- steps over floats ----

template <class Arch>
struct FloatSum {
    Floats<Arch> v = Floats<Arch>(0.0f);
    FloatSum& operator+=(const FloatSum& other)
    {
        v = v + other.v;
        return *this;
    }
    float finish() const { return sum<Arch>(v); }
};

template <class Arch>
struct CosineSum {
    FloatSum<Arch> dot, aa, bb;
    CosineSum& operator+=(const CosineSum& other)
    {
        dot += other.dot;
        aa += other.aa;
        bb += other.bb;
        return *this;
    }
    CosineTerms<float> finish() const { return {dot.finish(), aa.finish(), bb.finish()}; }
};

template <class Arch_, class A_, class B_>
struct FloatStep {
    using Arch = Arch_;
    using A = A_;
    using B = B_;
    static constexpr size_t size = width<Arch>;
    // If the loop takes 256 bytes of one row at a time, the CPU does not read ahead well: it gets
    // 0.7 of the memory bandwidth that it gets with 128 bytes.
    static constexpr size_t unroll = size >= 16 ? 2 : 4;
    static constexpr size_t unroll_4 = 2;   // four rows at a time
    static constexpr bool ahead = sizeof(B) < sizeof(float);
    template <class T>
    static Floats<Arch> load(const T* p)
    {
        return simd::load(p, Arch{});
    }
    template <class T>
    static Floats<Arch> load_partial(const T* p, size_t n)
    {
        return simd::load_partial(p, n, Arch{});
    }
};

template <class Arch, class A, class B>
struct FloatL2 : FloatStep<Arch, A, B> {
    using Acc = FloatSum<Arch>;
    static void add(Acc& acc, Floats<Arch> x, Floats<Arch> y)
    {
        const Floats<Arch> d = x - y;
        acc.v = xsimd::fma(d, d, acc.v);
    }
};

template <class Arch, class A, class B>
struct FloatIp : FloatStep<Arch, A, B> {
    using Acc = FloatSum<Arch>;
    static void add(Acc& acc, Floats<Arch> x, Floats<Arch> y) { acc.v = xsimd::fma(x, y, acc.v); }
};

template <class Arch, class A, class B>
struct FloatL1 : FloatStep<Arch, A, B> {
    using Acc = FloatSum<Arch>;
    static void add(Acc& acc, Floats<Arch> x, Floats<Arch> y) { acc.v = acc.v + xsimd::abs(x - y); }
};

template <class Arch, class A, class B>
struct FloatCosine : FloatStep<Arch, A, B> {
    using Acc = CosineSum<Arch>;
    static constexpr size_t unroll = 2, unroll_4 = 1;   // each has three sums
    static constexpr bool ahead = true;
    static void add(Acc& acc, Floats<Arch> x, Floats<Arch> y)
    {
        acc.dot.v = xsimd::fma(x, y, acc.dot.v);
        acc.aa.v = xsimd::fma(x, x, acc.aa.v);
        acc.bb.v = xsimd::fma(y, y, acc.bb.v);
    }
};

// ---- steps over bytes: 8-bit codes and bit strings ----

template <class Arch_>
struct ByteStep {
    using Arch = Arch_;
    using A = uint8_t;
    using B = uint8_t;
    using R = Bytes<Arch>;
    using Reg = typename R::Reg;
    static constexpr size_t size = R::size;
    static constexpr size_t unroll = 4, unroll_4 = 2;
    static constexpr bool ahead = false;
    static Reg load(const uint8_t* p) { return R::load(p); }
    static Reg load_partial(const uint8_t* p, size_t n) { return R::load_partial(p, n); }
};

// Sums in lanes of 32 bits, which wrap around. They are exact if the whole sum fits into 32 bits.
template <class R>
struct ByteSum32 : R::Acc {
    uint32_t finish() const { return static_cast<uint32_t>(R::sum32(*this)); }
};
template <class R>
struct ByteSum64 : R::Acc {
    uint32_t finish() const { return static_cast<uint32_t>(R::sum64(*this)); }
};
template <class R>
struct BitSum : R::Acc {
    uint64_t finish() const { return R::sum64(*this); }
};

template <class Arch, class, class>
struct ByteL2 : ByteStep<Arch> {
    using typename ByteStep<Arch>::R;
    using Acc = ByteSum32<R>;
    static void add(Acc& acc, typename R::Reg x, typename R::Reg y) { R::sqdiff(acc, x, y); }
};

template <class Arch, class, class>
struct ByteIp : ByteStep<Arch> {
    using typename ByteStep<Arch>::R;
    using Acc = ByteSum32<R>;
    static void add(Acc& acc, typename R::Reg x, typename R::Reg y) { R::dot(acc, x, y); }
};

template <class Arch, class, class>
struct ByteL1 : ByteStep<Arch> {
    using typename ByteStep<Arch>::R;
    using Acc = ByteSum64<R>;
    static void add(Acc& acc, typename R::Reg x, typename R::Reg y) { R::absdiff(acc, x, y); }
};

template <class R>
struct ByteCosineSum {
    ByteSum32<R> dot, aa, bb;
    ByteCosineSum& operator+=(const ByteCosineSum& other)
    {
        dot += other.dot;
        aa += other.aa;
        bb += other.bb;
        return *this;
    }
    CosineTerms<uint32_t> finish() const { return {dot.finish(), aa.finish(), bb.finish()}; }
};

template <class Arch, class, class>
struct ByteCosine : ByteStep<Arch> {
    using typename ByteStep<Arch>::R;
    static constexpr size_t unroll_4 = 1;
    using Acc = ByteCosineSum<R>;
    static void add(Acc& acc, typename R::Reg x, typename R::Reg y)
    {
        R::dot(acc.dot, x, y);
        R::dot(acc.aa, x, x);
        R::dot(acc.bb, y, y);
    }
};

// 16-bit integers and bytes
template <class Arch_>
struct ShortByteIp {
    using Arch = Arch_;
    using A = int16_t;
    using B = uint8_t;
    using R = Shorts<Arch>;
    using Reg = typename R::Reg;
    struct Acc : R::Acc {
        int32_t finish() const { return R::sum(*this); }
    };
    static constexpr size_t size = R::size;
    static constexpr size_t unroll = size >= 32 ? 2 : 4, unroll_4 = 2;
    static constexpr bool ahead = false;
    template <class T>
    static Reg load(const T* p)
    {
        return R::load(p);
    }
    template <class T>
    static Reg load_partial(const T* p, size_t n)
    {
        return R::load_partial(p, n);
    }
    static void add(Acc& acc, Reg x, Reg y) { R::dot(acc, x, y); }
};

template <class Arch>
struct BitCount : ByteStep<Arch> {
    using typename ByteStep<Arch>::R;
    using Acc = BitSum<R>;
    static void add(Acc& acc, typename R::Reg x, typename R::Reg) { R::popcount(acc, x); }
};

template <class Arch>
struct BitHamming : ByteStep<Arch> {
    using typename ByteStep<Arch>::R;
    using Acc = BitSum<R>;
    static void add(Acc& acc, typename R::Reg x, typename R::Reg y)
    {
        R::popcount(acc, R::bit_xor(x, y));
    }
};

template <class R>
struct JaccardSum {
    BitSum<R> both, either;
    JaccardSum& operator+=(const JaccardSum& other)
    {
        both += other.both;
        either += other.either;
        return *this;
    }
    JaccardTerms finish() const { return {both.finish(), either.finish()}; }
};

template <class Arch>
struct BitJaccard : ByteStep<Arch> {
    using typename ByteStep<Arch>::R;
    using Acc = JaccardSum<R>;
    static void add(Acc& acc, typename R::Reg x, typename R::Reg y)
    {
        R::popcount(acc.both, R::bit_and(x, y));
        R::popcount(acc.either, R::bit_or(x, y));
    }
};

// ---- the loop ----

// Ahead: prefetches what is 1 kB ahead in a row. This helps with rows in memory if the arithmetic
// keeps the CPU too busy to read ahead by itself: it raises the share of the memory bandwidth from
// 0.87 to 0.99 for halves of 384 dimensions, and from 0.87 to 0.98 for the cosine of 4096
// dimensions. Otherwise it makes the loop slower.
template <class Step, size_t Rows, size_t Unroll, bool Ahead, class Out>
inline __attribute__((always_inline)) void
accumulate(const typename Step::A* a, const typename Step::B* const* b, size_t n, Out out)
{
    constexpr size_t W = Step::size;
    typename Step::Acc acc[Rows][Unroll] = {};
    size_t i = 0;
    for (; i + Unroll * W <= n; i += Unroll * W) {
#pragma GCC unroll 4
        for (size_t u = 0; u < Unroll; u++) {
            const auto x = Step::load(a + i + u * W);
            if constexpr (Ahead) {
                constexpr size_t line = 64, bytes = W * sizeof(typename Step::B);
                if (u * bytes % line == 0)
#pragma GCC unroll 4
                    for (size_t r = 0; r < Rows; r++)
                        __builtin_prefetch(reinterpret_cast<const char*>(b[r] + i + u * W) + 1024,
                                           0, 2);
            }
#pragma GCC unroll 4
            for (size_t r = 0; r < Rows; r++)
                Step::add(acc[r][u], x, Step::load(b[r] + i + u * W));
        }
    }
    for (; i + W <= n; i += W) {
        const auto x = Step::load(a + i);
#pragma GCC unroll 4
        for (size_t r = 0; r < Rows; r++)
            Step::add(acc[r][0], x, Step::load(b[r] + i));
    }
    if (i < n) {
        const auto x = Step::load_partial(a + i, n - i);
#pragma GCC unroll 4
        for (size_t r = 0; r < Rows; r++)
            Step::add(acc[r][0], x, Step::load_partial(b[r] + i, n - i));
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < Rows; r++) {
#pragma GCC unroll 4
        for (size_t u = 1; u < Unroll; u++)
            acc[r][0] += acc[r][u];
        out(r, acc[r][0].finish());
    }
}

template <class Step>
auto pair(const typename Step::A* a, const typename Step::B* b, size_t n)
{
    decltype(typename Step::Acc{}.finish()) result{};
    accumulate<Step, 1, Step::unroll, false>(a, &b, n, [&](size_t, auto value) { result = value; });
    return result;
}

template <class Step, class R>
void four(const typename Step::A* a, const typename Step::B* const b[4], size_t n, R out[4])
{
    accumulate<Step, 4, Step::unroll_4, Step::ahead>(a, b, n,
                                                     [=](size_t r, R value) { out[r] = value; });
}

// Computes one row after the other, because the CPU reads ahead best in a single stream. If a row
// and the query together fill the first-level cache, four rows share each load of the query
// instead. Rows whose elements are widened take smaller steps than pair(), whose vectors are in the
// cache: larger steps get ahead of the CPU's prefetching and wait for memory (0.8 of the bandwidth
// instead of 1.0).
template <class Step, class R>
void many(const typename Step::A* a, const typename Step::B* b, size_t stride, size_t count,
          size_t n, R* out)
{
    size_t i = 0;
    if (n * sizeof(typename Step::B) >= 16384)
        for (; i + 4 <= count; i += 4) {
            const typename Step::B* rows[4] = {b + i * stride, b + (i + 1) * stride,
                                               b + (i + 2) * stride, b + (i + 3) * stride};
            four<Step, R>(a, rows, n, out + i);
        }
    constexpr bool widened = sizeof(typename Step::B) < sizeof(typename Step::A);
    constexpr size_t unroll = widened ? std::max<size_t>(1, Step::unroll / 2) : Step::unroll;
    for (; i < count; i++) {
        const auto* row = b + i * stride;
        accumulate<Step, 1, unroll, Step::ahead>(a, &row, n,
                                                 [&](size_t, auto value) { out[i] = value; });
    }
}

// Bit strings of a few words are compared word by word, without wide registers and the sum of their
// lanes at the end. These are the largest numbers of words for which this is done: for a single
// pair, and for many codes in a row.
#if defined(__POPCNT__)
constexpr size_t hamming_words = 8, hamming_words_in_a_row = 12;
#else
constexpr size_t hamming_words = 4, hamming_words_in_a_row = 4;   // popcount is slow
#endif

template <size_t Words>
inline uint64_t hamming_of_words(const uint8_t* a, const uint8_t* b)
{
    uint64_t total = 0;
#pragma GCC unroll 12
    for (size_t w = 0; w < Words; w++) {
        uint64_t x, y;
        std::memcpy(&x, a + w * 8, 8);
        std::memcpy(&y, b + w * 8, 8);
        total += static_cast<uint64_t>(__builtin_popcountll(x ^ y));
    }
    return total;
}

// If nbytes is one of the usual short lengths, calls f with the number of words as a constant.
// Returns false if it is not.
template <class F>
inline bool in_few_words(size_t nbytes, size_t most_words, F&& f)
{
    if (nbytes > most_words * 8)
        return false;
    switch (nbytes) {
    case 8: f(std::integral_constant<size_t, 1>{}); return true;
    case 16: f(std::integral_constant<size_t, 2>{}); return true;
    case 32: f(std::integral_constant<size_t, 4>{}); return true;
    case 48: f(std::integral_constant<size_t, 6>{}); return true;
    case 64: f(std::integral_constant<size_t, 8>{}); return true;
    case 96: f(std::integral_constant<size_t, 12>{}); return true;
    default: return false;
    }
}

template <class Arch>
uint64_t hamming(const uint8_t* a, const uint8_t* b, size_t nbytes)
{
    uint64_t total = 0, x = 0, y = 0;
    if (in_few_words(nbytes, hamming_words,
                     [&](auto words) { total = hamming_of_words<words>(a, b); }))
        return total;
    if (nbytes > hamming_words * 8)
        return pair<BitHamming<Arch>>(a, b, nbytes);
    size_t i = 0;
    for (; i + 8 <= nbytes; i += 8) {
        std::memcpy(&x, a + i, 8);
        std::memcpy(&y, b + i, 8);
        total += static_cast<uint64_t>(__builtin_popcountll(x ^ y));
    }
    for (; i < nbytes; i++)
        total += static_cast<uint64_t>(__builtin_popcount(static_cast<unsigned>(a[i] ^ b[i])));
    return total;
}

template <class Arch>
void hamming_many(const uint8_t* a, const uint8_t* b, size_t stride, size_t count, size_t nbytes,
                  uint64_t* out)
{
#if defined(__AVX512BW__)
    // Longer codes are not done this way: so many loads at once reach memory out of order, and at
    // 512 bytes that halves the rate.
    if (nbytes > 32 && nbytes <= 192) {
        const auto eights = [&](auto registers) {
            return hamming_of_eights<registers>(a, b, stride, count, nbytes, out);
        };
        size_t i = 0;
        switch ((nbytes + 63) / 64) {
        case 1: i = eights(std::integral_constant<size_t, 1>{}); break;
        case 2: i = eights(std::integral_constant<size_t, 2>{}); break;
        case 3: i = eights(std::integral_constant<size_t, 3>{}); break;
        }
        for (; i < count; i++)
            out[i] = hamming<Arch>(a, b + i * stride, nbytes);
        return;
    }
#endif
    if (in_few_words(nbytes, hamming_words_in_a_row, [&](auto words) {
            size_t i = 0;
#if defined(__AVX512BW__)
            if constexpr (words <= 4)
                if (stride == nbytes) {
                    uint8_t repeated[64];
                    for (size_t at = 0; at < sizeof repeated; at += nbytes)
                        std::memcpy(repeated + at, a, nbytes);
                    const __m512i query = _mm512_loadu_si512(repeated);
                    for (; i + 8 <= count; i += 8)
                        _mm512_storeu_si512(out + i,
                                            hamming_of_eight<words>(query, b + i * nbytes));
                }
#endif
            for (; i < count; i++)
                out[i] = hamming_of_words<words>(a, b + i * stride);
        }))
        return;
    if (nbytes > hamming_words * 8)
        return many<BitHamming<Arch>, uint64_t>(a, b, stride, count, nbytes, out);
    for (size_t i = 0; i < count; i++)
        out[i] = hamming<Arch>(a, b + i * stride, nbytes);
}

template <class Arch>
float signed_sum(const uint8_t* bits, const float* x, size_t n)
{
    constexpr size_t W = width<Arch>;
    using Ints = xsimd::batch<int32_t, Arch>;
    // A register of floats takes one or two bytes of bits. This is the bit of each lane in these
    // bytes, low byte first.
    constexpr auto bit_of_lane = [] {
        std::array<int32_t, W> b{};
        for (size_t i = 0; i < W; i++)
            b[i] = 0x80 >> (i % 8) << (i / 8 * 8);
        return b;
    }();
    const auto lane = Ints::load_unaligned(bit_of_lane.data());
    FloatSum<Arch> acc;
    size_t i = 0;
    for (; i + W <= n; i += W) {
        int32_t here = bits[i / 8] << (i % 8);
        if constexpr (W > 8)
            here |= bits[i / 8 + 1] << 8;
        const auto flip = xsimd::select((Ints(here) & lane) == lane, Ints(0), Ints(INT32_MIN));
        acc.v = acc.v + (as_floats<Arch>(flip) ^ load(x + i, Arch{}));
    }
    float rest = 0;
    for (; i < n; i++)
        rest += bits[i / 8] & 0x80 >> (i % 8) ? x[i] : -x[i];
    return acc.finish() + rest;
}

template <class A, class B, class R, class L2, class Ip, class L1, class Cosine>
consteval Dense<A, B, R> make_dense()
{
    using Terms = CosineTerms<R>;
    return {pair<L2>,    pair<Ip>,    pair<L1>,    pair<Cosine>,
            four<L2, R>, four<Ip, R>, four<L1, R>, four<Cosine, Terms>,
            many<L2, R>, many<Ip, R>, many<L1, R>, many<Cosine, Terms>};
}

template <class Arch, class A, class B>
consteval Dense<A, B, float> make_float()
{
    return make_dense<A, B, float, FloatL2<Arch, A, B>, FloatIp<Arch, A, B>, FloatL1<Arch, A, B>,
                      FloatCosine<Arch, A, B>>();
}

template <class Arch>
uint64_t popcount(const uint8_t* a, size_t nbytes)
{
    return pair<BitCount<Arch>>(a, a, nbytes);
}

// ---- sparse: one merge of two ascending index lists ----

enum class SparseOp { l2sq, ip, l1 };

// Only the loop itself branches: the CPU cannot predict which index is smaller, so both sides
// advance by the result of a comparison.
template <class Arch, SparseOp op>
float sparse(SparseView a, SparseView b)
{
    const auto single = [](double v) { return op == SparseOp::l2sq ? v * v : std::abs(v); };
    double total = 0;
    size_t i = 0, j = 0;
    while (i < a.count && j < b.count) {
        const int32_t x = a.index[i], y = b.index[j];
        const double u = a.value[i], v = b.value[j];
        if constexpr (op == SparseOp::ip)
            total += x == y ? u * v : 0.0;
        else
            total += single((x <= y ? u : 0.0) - (y <= x ? v : 0.0));
        i += x <= y;
        j += y <= x;
    }
    if constexpr (op != SparseOp::ip) {
        for (; i < a.count; i++)
            total += single(a.value[i]);
        for (; j < b.count; j++)
            total += single(b.value[j]);
    }
    return static_cast<float>(total);
}

// ---- sparse: one vector in a hash table ----

template <class Arch, SparseOp op>
SparseTerms sparse_terms(const SparseTable& a, SparseView b)
{
    using D = Doubles<Arch>;
    constexpr size_t sums = std::min<size_t>(table_lanes / D::size, 4);
    const auto add = [](D& sum, D v) {
        if constexpr (op == SparseOp::l2sq)
            sum = xsimd::fma(v, v, sum);
        else
            sum = sum + xsimd::abs(v);
    };
    D apart[sums], shared[sums];
    for (size_t u = 0; u < sums; u++)
        apart[u] = shared[u] = D(0.0);
    for (size_t i = 0; i < b.count; i += table_lanes) {
        const int32_t* index = b.index + i;
        const float* value = b.value + i;
        int32_t last_index[table_lanes];
        float last_value[table_lanes];
        if (b.count - i < table_lanes) {
            const size_t n = b.count - i;
            for (size_t u = 0; u < table_lanes; u++) {
                last_index[u] = u < n ? index[u] : -1;   // which no vector has
                last_value[u] = u < n ? value[u] : 0;
            }
            index = last_index;
            value = last_value;
        }
        alignas(64) float found[table_lanes];
        if (!look_up(a, index, found, Arch{})) {
            if constexpr (op != SparseOp::ip)
                for (size_t u = 0; u < table_lanes; u += D::size)
                    add(apart[u / D::size % sums], widen(value + u, Arch{}));
            continue;
        }
        for (size_t u = 0; u < table_lanes; u += D::size) {
            const D x = widen(found + u, Arch{}), y = widen(value + u, Arch{});
            const size_t to = u / D::size % sums;
            if constexpr (op == SparseOp::ip)
                apart[to] = xsimd::fma(x, y, apart[to]);
            else {
                add(apart[to], x - y);
                add(shared[to], x);
            }
        }
    }
    for (size_t u = 1; u < sums; u++) {
        apart[0] = apart[0] + apart[u];
        shared[0] = shared[0] + shared[u];
    }
    alignas(64) double lanes[2][D::size];
    apart[0].store_aligned(lanes[0]);
    shared[0].store_aligned(lanes[1]);
    SparseTerms total{};
    for (size_t u = 0; u < D::size; u++) {
        total.apart += lanes[0][u];
        total.shared += lanes[1][u];
    }
    return total;
}

// ---- norms and conversions ----

inline float as_float(float x) { return x; }
inline float as_float(half x) { return to_float(x); }

template <class Arch, class T>
double norm2(const T* a, size_t n)
{
    constexpr size_t lanes = 16;   // independent sums, for the compiler to vectorize
    double acc[lanes] = {};
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        for (size_t u = 0; u < lanes; u++) {
            const double v = as_float(a[i + u]);
            acc[u] += v * v;
        }
    }
    double total = 0;
    for (; i < n; i++) {
        const double v = as_float(a[i]);
        total += v * v;
    }
    for (double v : acc)
        total += v;
    return total;
}

template <class Arch>
void to_f32(const half* from, float* to, size_t n)
{
    constexpr size_t W = width<Arch>;
    size_t i = 0;
    for (; i + W <= n; i += W)
        load(from + i, Arch{}).store_unaligned(to + i);
    for (; i < n; i++)
        to[i] = to_float(from[i]);
}

template <class Arch>
void to_f16(const float* from, half* to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = to_half(from[i]);
}

template <class Arch>
void decode_u8(const uint8_t* code, float offset, float scale, float* to, size_t n)
{
    constexpr size_t W = width<Arch>;
    const Floats<Arch> o(offset), s(scale);
    size_t i = 0;
    for (; i + W <= n; i += W)
        xsimd::fma(load(code + i, Arch{}), s, o).store_unaligned(to + i);
    for (; i < n; i++)
        to[i] = offset + scale * static_cast<float>(code[i]);
}

template <class Arch>
void approach_u8(const uint8_t* code, float offset, float scale, float share, float* to, size_t n)
{
    constexpr size_t W = width<Arch>;
    const Floats<Arch> o(offset), s(scale), h(share);
    size_t i = 0;
    for (; i + W <= n; i += W) {
        const auto old = load(to + i, Arch{});
        xsimd::fma(xsimd::fma(load(code + i, Arch{}), s, o) - old, h, old).store_unaligned(to + i);
    }
    for (; i < n; i++)
        to[i] += share * (offset + scale * static_cast<float>(code[i]) - to[i]);
}

// The sums of coded vectors have eight parts, whatever the width of a register is, so that all instruction sets
// add in the same order. (Compilers vectorize these loops.)
struct CodedSums {
    static constexpr size_t parts = 8;
    double norm2[parts] = {}, error2[parts] = {};

    [[gnu::always_inline]] void add(size_t part, double x, double decoded)
    {
        norm2[part] += decoded * decoded;
        error2[part] += (x - decoded) * (x - decoded);
    }
    CodedTerms finish(CodedTerms t) const
    {
        for (size_t j = 0; j < parts; j++) {
            t.norm2 += norm2[j];
            t.error2 += error2[j];
        }
        return t;
    }
};

template <class Arch>
CodedTerms encode_u8(const float* x, size_t n, uint8_t* code)
{
    constexpr size_t W = width<Arch>;
    float low = x[0], high = x[0];
    size_t i = 0;
    if (n >= W) {
        Floats<Arch> least(x[0]), most(x[0]);
        for (; i + W <= n; i += W) {
            const auto v = load(x + i, Arch{});
            least = xsimd::min(least, v);
            most = xsimd::max(most, v);
        }
        float lows[W], highs[W];
        least.store_unaligned(lows);
        most.store_unaligned(highs);
        for (size_t j = 0; j < W; j++) {
            low = std::min(low, lows[j]);
            high = std::max(high, highs[j]);
        }
    }
    for (; i < n; i++) {
        low = std::min(low, x[i]);
        high = std::max(high, x[i]);
    }
    CodedTerms t{low, (high - low) / 255.0f, 0, 0, 0};
    // If all coordinates are equal (or so close that the step vanishes), the offset alone represents them.
    float inverse = t.scale > 0 ? 1.0f / t.scale : 0.0f;
    if (!std::isfinite(inverse))
        inverse = t.scale = 0;
    // Adding 2^23 rounds a float to the nearest integer, which is then in its lowest bits. The product is
    // rounded before, because the minimum stands between it and the sum.
    uint32_t sum = 0;
    for (i = 0; i < n; i++) {
        const float u = (x[i] - low) * inverse;
        const uint32_t c = std::bit_cast<uint32_t>((u < 255.0f ? u : 255.0f) + 8388608.0f) & 255;
        code[i] = static_cast<uint8_t>(c);
        sum += c;
    }
    t.sum = sum;
    // In double, x' is nearly exact, whether or not the compiler fuses the multiplication and the addition.
    const auto decode = [&](size_t at) {
        return static_cast<double>(t.offset) + static_cast<double>(t.scale) * code[at];
    };
    CodedSums sums;
    for (i = 0; i + sums.parts <= n; i += sums.parts)
        for (size_t j = 0; j < sums.parts; j++)
            sums.add(j, x[i + j], decode(i + j));
    for (; i < n; i++)
        sums.add(i % sums.parts, x[i], decode(i));
    return sums.finish(t);
}

template <class Arch>
CodedTerms refine_u8(const float* x, size_t n, float offset, float scale, const uint8_t* code,
                     uint32_t bits, uint8_t* fine)
{
    const double levels = 1u << bits, o = offset, s = scale, most = levels - 1;
    CodedSums sums;
    const auto refine = [&](size_t part, size_t i) {
        const double c = code[i];
        double f = s > 0 ? ((x[i] - o) / s - c + 0.5) * levels : 0.5 * levels;
        f = f > 0 ? f : 0;
        f = f < most ? f : most;
        const auto rounded = static_cast<uint8_t>(static_cast<int32_t>(f));
        sums.add(part, x[i], o + s * (c + (rounded + 0.5) / levels - 0.5));
        return rounded;
    };
    size_t i = 0;
    if (bits == 8) {
        for (; i + sums.parts <= n; i += sums.parts)
            for (size_t j = 0; j < sums.parts; j++)
                fine[i + j] = refine(j, i + j);
        for (; i < n; i++)
            fine[i] = refine(i % sums.parts, i);
    } else {
        const size_t half = n / 2;
        for (; i + sums.parts <= half; i += sums.parts) {
            for (size_t j = 0; j < sums.parts; j++)
                fine[i + j] = refine(j, i + j);
            for (size_t j = 0; j < sums.parts; j++)
                fine[i + j] |= static_cast<uint8_t>(refine(j, half + i + j) << 4);
        }
        for (; i < half; i++) {
            fine[i] = refine(i % sums.parts, i);
            fine[i] |= static_cast<uint8_t>(refine(i % sums.parts, half + i) << 4);
        }
    }
    return sums.finish({offset, scale, 0, 0, 0});
}

template <class Arch>
float ip_fine(const float* a, const uint8_t* code, const uint8_t* fine, uint32_t bits, size_t n)
{
    constexpr size_t W = width<Arch>;
    using F = Floats<Arch>;
    // All of these numbers are integers that floats represent exactly.
    const float levels = static_cast<float>(1u << bits), middle = levels * 128;
    FloatSum<Arch> acc[2];
    const auto add = [&](size_t u, const float* x, F c, F f) {
        acc[u].v = xsimd::fma(load(x, Arch{}), xsimd::fma(c, F(levels), f - F(middle)), acc[u].v);
    };
    float rest = 0;
    const auto add_one = [&](size_t i, uint32_t f) {
        rest += a[i] * (static_cast<float>(code[i]) * levels + static_cast<float>(f) - middle);
    };
    size_t i = 0;
    if (bits == 8) {
        for (; i + 2 * W <= n; i += 2 * W)
            for (size_t u = 0; u < 2; u++)
                add(u, a + i + u * W, load(code + i + u * W, Arch{}),
                    load(fine + i + u * W, Arch{}));
        for (; i < n; i++)
            add_one(i, fine[i]);
    } else {
        const size_t half = n / 2;
        for (; i + W <= half; i += W) {
            const F both = load(fine + i, Arch{}), high = xsimd::floor(both * F(1.0f / 16));
            add(0, a + i, load(code + i, Arch{}), xsimd::fnma(high, F(16), both));
            add(1, a + half + i, load(code + half + i, Arch{}), high);
        }
        for (; i < half; i++) {
            add_one(i, fine[i] & 15u);
            add_one(half + i, fine[i] >> 4);
        }
    }
    acc[0] += acc[1];
    return acc[0].finish() + rest;
}

// Compilers vectorize the next two functions.
template <class Arch>
void scale(const float* x, double factor, float* to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = static_cast<float>(x[i] * factor);
}
template <class Arch>
int32_t to_i16(const float* x, float factor, int16_t* to, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        const float u = x[i] * factor;
        const auto rounded = static_cast<int32_t>(u + std::copysign(0.5f, u));
        to[i] = static_cast<int16_t>(rounded);
        sum += rounded;
    }
    return sum;
}

template <class Arch>
float l2sq_scaled(const float* a, const float* scale, const uint8_t* code, size_t n)
{
    constexpr size_t W = width<Arch>;
    FloatSum<Arch> acc[2];
    size_t i = 0;
    const auto add = [&](FloatSum<Arch>& to, Floats<Arch> x, Floats<Arch> s, Floats<Arch> c) {
        const auto d = xsimd::fnma(s, c, x);
        to.v = xsimd::fma(d, d, to.v);
    };
    for (; i + 2 * W <= n; i += 2 * W)
        for (size_t u = 0; u < 2; u++)
            add(acc[u], load(a + i + u * W, Arch{}), load(scale + i + u * W, Arch{}),
                load(code + i + u * W, Arch{}));
    for (; i < n; i += W) {
        const size_t left = std::min(W, n - i);
        if (left == W)
            add(acc[0], load(a + i, Arch{}), load(scale + i, Arch{}), load(code + i, Arch{}));
        else
            add(acc[0], load_partial(a + i, left, Arch{}), load_partial(scale + i, left, Arch{}),
                load_partial(code + i, left, Arch{}));
    }
    acc[0] += acc[1];
    return acc[0].finish();
}

template <class Arch>
void sum_and_max(const float* x, size_t n, float* total, float* most)
{
    constexpr size_t W = width<Arch>;
    Floats<Arch> s0(0.0f), s1(0.0f), m(0.0f);
    size_t i = 0;
    for (; i + 2 * W <= n; i += 2 * W) {
        const auto a = load(x + i, Arch{}), b = load(x + i + W, Arch{});
        s0 = s0 + a;
        s1 = s1 + b;
        m = xsimd::max(m, xsimd::max(xsimd::abs(a), xsimd::abs(b)));
    }
    float lanes[W];
    m.store_unaligned(lanes);
    float largest = 0, rest = 0;
    for (float v : lanes)
        largest = std::max(largest, v);
    for (; i < n; i++) {
        rest += x[i];
        largest = std::max(largest, std::fabs(x[i]));
    }
    *total = sum<Arch>(s0 + s1) + rest;
    *most = largest;
}

// Butterflies of lanes that are H apart: lane i becomes x[i] + x[i ^ H], or x[i ^ H] - x[i] where
// bit H of i is set.
template <size_t H, class Arch>
inline Floats<Arch> butterfly(Floats<Arch> x)
{
    if constexpr (H < width<Arch>) {
        constexpr auto signs = [] {
            std::array<float, width<Arch>> s{};
            for (size_t i = 0; i < s.size(); i++)
                s[i] = i & H ? -1.0f : 1.0f;
            return s;
        }();
        return xsimd::fma(x, Floats<Arch>::load_unaligned(signs.data()), swap_lanes<H>(x, Arch{}));
    } else
        return x;
}

template <class Arch>
void hadamard(float* x, size_t n, float scale)
{
    constexpr size_t W = width<Arch>;
    if (n < W) {
        for (size_t h = 1; h < n; h *= 2)
            for (size_t i = 0; i < n; i += 2 * h)
                for (size_t j = i; j < i + h; j++) {
                    const float a = x[j], b = x[j + h];
                    x[j] = a + b;
                    x[j + h] = a - b;
                }
        for (size_t i = 0; i < n; i++)
            x[i] *= scale;
        return;
    }
    const Floats<Arch> s(scale);
    for (size_t i = 0; i < n; i += W) {
        auto v = load(x + i, Arch{});
        v = butterfly<1, Arch>(v);
        v = butterfly<2, Arch>(v);
        v = butterfly<4, Arch>(v);
        v = butterfly<8, Arch>(v);
        (v * s).store_unaligned(x + i);
    }
    size_t h = W;
    // Two layers at a time need half as many loads and stores.
    for (; h * 2 < n; h *= 4)
        for (size_t i = 0; i < n; i += 4 * h)
            for (size_t j = i; j < i + h; j += W) {
                const auto a = load(x + j, Arch{}), b = load(x + j + h, Arch{});
                const auto c = load(x + j + 2 * h, Arch{}), d = load(x + j + 3 * h, Arch{});
                const auto ab = a + b, a_b = a - b, cd = c + d, c_d = c - d;
                (ab + cd).store_unaligned(x + j);
                (a_b + c_d).store_unaligned(x + j + h);
                (ab - cd).store_unaligned(x + j + 2 * h);
                (a_b - c_d).store_unaligned(x + j + 3 * h);
            }
    if (h < n)
        for (size_t j = 0; j < h; j += W) {
            const auto a = load(x + j, Arch{}), b = load(x + j + h, Arch{});
            (a + b).store_unaligned(x + j);
            (a - b).store_unaligned(x + j + h);
        }
}

// ---- sketches ----

template <class Arch>
void score(const uint64_t* codes, size_t words, size_t count, const uint64_t* planes, uint32_t* out)
{
    for (size_t i = 0; i < count; i += Lanes64<Arch>::size)
        Lanes64<Arch>::score(codes + i, words, count, planes, out + i, count - i);
}

template <class Arch>
void estimate(const uint32_t* score, const float* a, const float* b, size_t count,
              EstimateTerms terms, float limit, float* out, uint64_t* near)
{
    constexpr size_t W = width<Arch>;
    using Ints = xsimd::batch<int32_t, Arch>;
    const Floats<Arch> base(terms.base), along(terms.along), offset(terms.offset),
        factor(terms.factor), most(limit);
    std::fill(near, near + (count + 63) / 64, 0);
    size_t i = 0;
    for (; i + W <= count; i += W) {
        const auto s =
            xsimd::to_float(Ints::load_unaligned(reinterpret_cast<const int32_t*>(score + i)));
        const auto e = xsimd::fma(load(b + i, Arch{}), xsimd::fma(factor, s, offset),
                                  xsimd::fma(along, load(a + i, Arch{}), base));
        e.store_unaligned(out + i);
        near[i / 64] |= (mask_of(e <= most) & low_bits(W)) << i % 64;
    }
    for (; i < count; i++) {
        out[i] = terms.base + terms.along * a[i] +
                 b[i] * (terms.offset + terms.factor * static_cast<float>(score[i]));
        near[i / 64] |= uint64_t{out[i] <= limit} << i % 64;
    }
}

template <class Arch>
void differ(const uint64_t* codes, size_t words, size_t count, const uint64_t* query, uint32_t* out)
{
    for (size_t i = 0; i < count; i += Lanes64<Arch>::size)
        Lanes64<Arch>::differ(codes + i, words, count, query, out + i, count - i);
}

template <class Arch>
void encode(const float* x, const float* c, size_t words, uint64_t* bits, float* abs_sum,
            float* sign_dot)
{
    constexpr size_t W = width<Arch>;
    const Floats<Arch> zero(0.0f);
    FloatSum<Arch> magnitude, dot;
    for (size_t w = 0; w < words; w++) {
        uint64_t word = 0;
        for (size_t j = 0; j < 64; j += W) {
            const auto b = load(c + 64 * w + j, Arch{});
            const auto y = load(x + 64 * w + j, Arch{}) - b;
            const auto negative = y < zero;
            magnitude.v = magnitude.v + xsimd::abs(y);
            dot.v = dot.v + xsimd::select(negative, zero - b, b);
            word |= (~mask_of(negative) & low_bits(W)) << j;
        }
        bits[w] = word;
    }
    *abs_sum = magnitude.finish();
    *sign_dot = dot.finish();
}

template <class Arch>
void quantize(const float* x, size_t words, float inverse, uint64_t* planes)
{
    constexpr size_t W = width<Arch>;
    const Floats<Arch> scale(inverse), zero(0.0f), eight(8.0f), four(4.0f), two(2.0f), one(1.0f);
    for (size_t w = 0; w < words; w++) {
        uint64_t plane[4] = {};
        uint64_t zeros = 0;
        for (size_t j = 0; j < 64; j += W) {
            const auto v = load(x + 64 * w + j, Arch{});
            zeros |= (mask_of(v == zero) & low_bits(W)) << j;
            auto u = xsimd::fma(v, scale, eight);   // comparisons with integers need no floor
            const auto step = [&](size_t k, Floats<Arch> power) {
                const auto set = u >= power;
                plane[k] |= (mask_of(set) & low_bits(W)) << j;
                u = xsimd::select(set, u - power, u);
            };
            step(3, eight);
            step(2, four);
            step(1, two);
            step(0, one);
        }
        constexpr uint64_t odd = 0xaaaaaaaaaaaaaaaaull;
        for (size_t k = 0; k < 4; k++)   // 8 is only the top bit, 7 all others
            planes[w * 4 + k] = (plane[k] & ~zeros) | (zeros & (k == 3 ? odd : ~odd));
    }
}

// ---- codebooks ----

template <class Arch>
Floats<Arch> ascending()
{
    static constexpr auto lanes = [] {
        std::array<float, width<Arch>> a{};
        for (size_t i = 0; i < a.size(); i++)
            a[i] = static_cast<float>(i);
        return a;
    }();
    return Floats<Arch>::load_unaligned(lanes.data());
}

// Returns the least of all lanes in every lane.
template <class Arch>
Floats<Arch> least_lane(Floats<Arch> x)
{
    const auto step = [&]<size_t H>() {
        if constexpr (H < width<Arch>)
            x = xsimd::min(x, swap_lanes<H>(x, Arch{}));
    };
    step.template operator()<1>();
    step.template operator()<2>();
    step.template operator()<4>();
    step.template operator()<8>();
    return x;
}

// Works like a matrix product: each loaded centroid is used for all rows.
template <class Arch, size_t Rows>
inline __attribute__((always_inline)) void
nearest_rows(const float* x, size_t stride, size_t dims, const float* centroids,
             const float* half_norms, size_t k, uint32_t* best, float* gap)
{
    constexpr size_t W = width<Arch>;
    constexpr size_t Columns = W < 16 ? 2 : 1;   // centroid registers at once; k is 16 times n
    Floats<Arch> least[Rows], place[Rows];
    for (size_t r = 0; r < Rows; r++) {
        least[r] = Floats<Arch>(INFINITY);
        place[r] = Floats<Arch>(0.0f);
    }
    for (size_t i = 0; i < k; i += Columns * W) {
        Floats<Arch> acc[Rows][Columns];
#pragma GCC unroll 4
        for (size_t c = 0; c < Columns; c++) {
            const auto h = load(half_norms + i + c * W, Arch{});
#pragma GCC unroll 8
            for (size_t r = 0; r < Rows; r++)
                acc[r][c] = h;
        }
        for (size_t j = 0; j < dims; j++) {
#pragma GCC unroll 4
            for (size_t c = 0; c < Columns; c++) {
                const auto v = load(centroids + j * k + i + c * W, Arch{});
#pragma GCC unroll 8
                for (size_t r = 0; r < Rows; r++)
                    acc[r][c] = xsimd::fnma(Floats<Arch>(x[r * stride + j]), v, acc[r][c]);
            }
        }
#pragma GCC unroll 4
        for (size_t c = 0; c < Columns; c++) {
            const auto at = Floats<Arch>(static_cast<float>(i + c * W)) + ascending<Arch>();
#pragma GCC unroll 8
            for (size_t r = 0; r < Rows; r++) {
                const auto less = acc[r][c] < least[r];
                least[r] = xsimd::select(less, acc[r][c], least[r]);
                place[r] = xsimd::select(less, at, place[r]);
            }
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < Rows; r++) {
        const auto most = least_lane<Arch>(least[r]);
        // The first centroid among the lanes with the least gap.
        const auto first = least_lane<Arch>(
            xsimd::select(least[r] == most, place[r], Floats<Arch>(static_cast<float>(k))));
        float lanes[W];
        first.store_unaligned(lanes);
        best[r] = static_cast<uint32_t>(lanes[0]);
        most.store_unaligned(lanes);
        gap[r] = lanes[0];
    }
}

template <class Arch>
void nearest(const float* x, size_t stride, size_t count, size_t dims, const float* centroids,
             const float* half_norms, size_t k, uint32_t* best, float* gap)
{
    constexpr size_t Rows = 8 / (width<Arch> < 16 ? 2 : 1);
    size_t i = 0;
    for (; i + Rows <= count; i += Rows)
        nearest_rows<Arch, Rows>(x + i * stride, stride, dims, centroids, half_norms, k, best + i,
                                 gap + i);
    for (; i < count; i++)
        nearest_rows<Arch, 1>(x + i * stride, stride, dims, centroids, half_norms, k, best + i,
                              gap + i);
}

// step(sum, coordinate of q, coordinates of centroids) returns the new sum.
template <class Arch, class Step>
void centroid_table(const float* q, size_t dims, const float* centroids, size_t k, float* out,
                    Step step)
{
    constexpr size_t W = width<Arch>;
    for (size_t i = 0; i < k; i += W) {
        Floats<Arch> acc(0.0f);
        for (size_t j = 0; j < dims; j++)
            acc = step(acc, Floats<Arch>(q[j]), load(centroids + j * k + i, Arch{}));
        acc.store_unaligned(out + i);
    }
}

template <class Arch>
void centroids_l2sq(const float* q, size_t dims, const float* centroids, size_t k, float* out)
{
    centroid_table<Arch>(q, dims, centroids, k, out,
                         [](Floats<Arch> acc, Floats<Arch> x, Floats<Arch> c) {
                             const auto d = x - c;
                             return xsimd::fma(d, d, acc);
                         });
}

template <class Arch>
void centroids_ip(const float* q, size_t dims, const float* centroids, size_t k, float* out)
{
    centroid_table<Arch>(
        q, dims, centroids, k, out,
        [](Floats<Arch> acc, Floats<Arch> x, Floats<Arch> c) { return xsimd::fma(x, c, acc); });
}

// Uses plain loads, because gather instructions are no faster on today's CPUs. Several sums hide
// their latency.
template <size_t Codes>
inline __attribute__((always_inline)) void
score_codes(const float* tables, size_t groups, const uint8_t* codes, size_t stride, float* out)
{
    constexpr size_t Sums = 4 / Codes;
    float acc[Codes][Sums] = {};
    size_t g = 0;
    for (; g + 8 <= groups; g += 8) {
        uint64_t word[Codes];
#pragma GCC unroll 4
        for (size_t i = 0; i < Codes; i++) {
            std::memcpy(&word[i], codes + i * stride + g, 8);
            if constexpr (std::endian::native == std::endian::big)
                word[i] = __builtin_bswap64(word[i]);
        }
#pragma GCC unroll 8
        for (size_t j = 0; j < 8; j++)
#pragma GCC unroll 4
            for (size_t i = 0; i < Codes; i++)
                acc[i][j % Sums] += tables[(g + j) * 256 + (word[i] >> (8 * j) & 255)];
    }
    for (; g < groups; g++)
#pragma GCC unroll 4
        for (size_t i = 0; i < Codes; i++)
            acc[i][0] += tables[g * 256 + codes[i * stride + g]];
#pragma GCC unroll 4
    for (size_t i = 0; i < Codes; i++) {
        for (size_t s = 1; s < Sums; s++)
            acc[i][0] += acc[i][s];
        out[i] = acc[i][0];
    }
}

template <class Arch>
void score_product(const float* tables, size_t groups, const uint8_t* codes, size_t stride,
                   size_t count, float* out)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4)
        score_codes<4>(tables, groups, codes + i * stride, stride, out + i);
    for (; i < count; i++)
        score_codes<1>(tables, groups, codes + i * stride, stride, out + i);
}

// Sets bit i % 64 of near[i / 64] if score i is at most `limit`. Scores are below 2^24, which
// floats represent exactly.
template <class Arch>
void near_scores(const uint32_t* score, size_t count, uint32_t limit, uint64_t* near)
{
    constexpr size_t W = width<Arch>;
    using Ints = xsimd::batch<int32_t, Arch>;
    const Floats<Arch> most(static_cast<float>(limit));
    std::fill(near, near + (count + 63) / 64, 0);
    size_t i = 0;
    for (; i + W <= count; i += W) {
        const auto s =
            xsimd::to_float(Ints::load_unaligned(reinterpret_cast<const int32_t*>(score + i)));
        near[i / 64] |= (mask_of(s <= most) & low_bits(W)) << i % 64;
    }
    for (; i < count; i++)
        near[i / 64] |= uint64_t{score[i] <= limit} << i % 64;
}

template <class Arch>
void score_nibbles(const uint8_t* tables, size_t groups, const uint8_t* codes, size_t stride,
                   size_t count, uint32_t limit, uint32_t* out, uint64_t* near)
{
    size_t i = 0;
    for (; i + Nibbles<Arch>::size <= count; i += Nibbles<Arch>::size)
        Nibbles<Arch>::score(tables, groups, codes + i * stride, stride, out + i);
    for (; i < count; i++)
        Nibbles<void>::score(tables, groups, codes + i * stride, stride, out + i);
    near_scores<Arch>(out, count, limit, near);
}

// ---- matrix products of 8-bit codes ----

// A panel holds, for each Step::codes codes of its columns, those of the first column, then those of
// the second, and so on.
template <class Arch>
void pack_columns(const uint8_t* const* codes, size_t count, size_t n, void* panel)
{
    using T = Tile<Arch>;
    constexpr size_t columns = T::registers * T::lanes;
    auto* const to = static_cast<typename T::Element*>(panel);
    for (size_t c = 0; c < columns; c++) {
        typename T::Element* at = to + c * T::codes;
        for (size_t i = 0; i < n; i += T::codes, at += columns * T::codes)
            for (size_t j = 0; j < T::codes; j++)
                at[j] = c < count ? T::column_element(codes[c][i + j]) : T::column_element(0);
    }
}

// The products of up to Rows codes with a panel. Codes are taken 64 at a time.
template <class Arch, size_t Rows>
inline __attribute__((always_inline)) void
multiply_rows(const uint8_t* const* rows, size_t n, const void* panel, int32_t* out, size_t stride)
{
    using T = Tile<Arch>;
    using Element = typename T::Element;
    constexpr size_t Columns = T::registers * T::lanes, Steps = 64 / T::codes;
    typename T::Acc acc[Rows][T::registers] = {};
    const auto* column = static_cast<const Element*>(panel);
    for (size_t i = 0; i < n; i += 64) {
        alignas(64) typename T::RowElement wide[Rows][64];
#pragma GCC unroll 8
        for (size_t r = 0; r < Rows; r++)
            T::widen(rows[r] + i, wide[r]);
        for (size_t s = 0; s < Steps; s++, column += Columns * T::codes) {
            typename T::Reg y[T::registers];
#pragma GCC unroll 4
            for (size_t c = 0; c < T::registers; c++)
                y[c] = T::load(column + c * T::lanes * T::codes);
#pragma GCC unroll 8
            for (size_t r = 0; r < Rows; r++) {
                const auto x = T::broadcast(&wide[r][s * T::codes]);
#pragma GCC unroll 4
                for (size_t c = 0; c < T::registers; c++)
                    T::add(acc[r][c], x, y[c]);
            }
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < Rows; r++) {
        const int32_t correction = T::correction(rows[r], n);
#pragma GCC unroll 4
        for (size_t c = 0; c < T::registers; c++)
            T::store(acc[r][c], correction, out + r * stride + c * T::lanes);
    }
}

template <class Arch>
void multiply(const uint8_t* const* rows, size_t row_count, size_t n, const void* panels,
              size_t panel_count, int32_t* out, size_t stride)
{
    using T = Tile<Arch>;
    constexpr size_t columns = T::registers * T::lanes;
    const size_t panel_bytes = columns * n * sizeof(typename T::Element);
    // Each panel is used for all rows while it is in the cache.
    for (size_t p = 0; p < panel_count; p++) {
        const void* panel = static_cast<const char*>(panels) + p * panel_bytes;
        int32_t* const to = out + p * columns;
        size_t r = 0;
        for (; r + T::rows <= row_count; r += T::rows)
            multiply_rows<Arch, T::rows>(rows + r, n, panel, to + r * stride, stride);
        for (; r < row_count; r++)
            multiply_rows<Arch, 1>(rows + r, n, panel, to + r * stride, stride);
    }
}

// With x' = ox + sx * code, <x', y'> = ox * (sum of y') + sx * (sum of code x) * oy + sx * sy * product.
template <class Arch>
void products_l2sq(const int32_t* products, const CodeTerms& row, const ColumnTerms& columns,
                   size_t count, float* out)
{
    constexpr size_t W = width<Arch>;
    using Ints = xsimd::batch<int32_t, Arch>;
    const Floats<Arch> norm2(row.norm2), offset(row.offset), along(row.scale * row.code_sum),
        scale(row.scale), two(2.0f), zero(0.0f);
    size_t i = 0;
    for (; i + W <= count; i += W) {
        const auto product = xsimd::to_float(Ints::load_unaligned(products + i));
        auto ip = offset * load(columns.sum + i, Arch{});
        ip = xsimd::fma(along, load(columns.offset + i, Arch{}), ip);
        ip = xsimd::fma(scale * load(columns.scale + i, Arch{}), product, ip);
        const auto d = xsimd::fnma(two, ip, norm2 + load(columns.norm2 + i, Arch{}));
        xsimd::select(d < zero, zero, d).store_unaligned(out + i);   // keeps NaN
    }
    for (; i < count; i++) {
        const float ip = row.offset * columns.sum[i] +
                         row.scale * row.code_sum * columns.offset[i] +
                         row.scale * columns.scale[i] * static_cast<float>(products[i]);
        const float d = row.norm2 + columns.norm2[i] - 2 * ip;
        out[i] = d < 0 ? 0 : d;
    }
}

// The k-th least of 64 numbers: the largest of those than which fewer than k are less. (std::nth_element
// would leave its code in the library, for a CPU that others may not have.)
inline float kth_least(const float (&x)[64], size_t k)
{
    if (k == 1) {
        float least = x[0];
        for (const float candidate : x)
            least = candidate < least ? candidate : least;
        return least;
    }
    float most = x[0];
    bool any = false;
    for (const float candidate : x) {
        uint32_t less = 0;
        for (const float other : x)
            less += other < candidate;
        if (less < k && (!any || candidate > most)) {
            most = candidate;
            any = true;
        }
    }
    return most;
}

// The k-th least of 64 (or 16 times the width) groups' minima bounds the k-th least of all, and few
// numbers are below it.
template <class Arch>
size_t least_of(const float* x, size_t count, size_t k, uint32_t* index, float* value)
{
    constexpr size_t W = width<Arch>, Groups = 64, Registers = Groups / W;
    float limit = std::numeric_limits<float>::max();
    if (count >= 2 * Groups && k > 0) {
        Floats<Arch> minima[Registers];
        for (size_t j = 0; j < Registers; j++)
            minima[j] = Floats<Arch>(limit);
        for (size_t i = 0; i + Groups <= count; i += Groups)
#pragma GCC unroll 16
            for (size_t j = 0; j < Registers; j++) {
                const auto v = load(x + i + j * W, Arch{});
                minima[j] = xsimd::select(v < minima[j], v, minima[j]);
            }
        float lanes[Groups];
        for (size_t j = 0; j < Registers; j++)
            minima[j].store_unaligned(lanes + j * W);
        limit = kth_least(lanes, k);
    }
    size_t have = 0;
    const auto take = [&](size_t i) {
        const float v = x[i];
        if (!(v <= limit) || (have == k && !(v < value[k - 1])))
            return;
        size_t at = have < k ? have++ : k - 1;
        for (; at > 0 && value[at - 1] > v; at--) {
            value[at] = value[at - 1];
            index[at] = index[at - 1];
        }
        value[at] = v;
        index[at] = static_cast<uint32_t>(i);
        if (have == k)
            limit = value[k - 1];
    };
    if (k == 0)
        return 0;
    size_t i = 0;
    for (; i + W <= count; i += W)
        for (uint64_t near = mask_of(load(x + i, Arch{}) <= Floats<Arch>(limit)) & low_bits(W);
             near != 0; near &= near - 1)
            take(i + static_cast<size_t>(std::countr_zero(near)));
    for (; i < count; i++)
        take(i);
    return have;
}

// The least two numbers so far, and where they are.
struct LeastTwo {
    uint64_t least[2] = {UINT64_MAX, UINT64_MAX};
    size_t place[2] = {0, 0};

    void add(uint64_t x, size_t at)
    {
        if (x >= least[1])
            return;
        const bool first = x < least[0];
        least[1] = first ? least[0] : x;
        place[1] = first ? place[0] : at;
        least[0] = first ? x : least[0];
        place[0] = first ? at : place[0];
    }
};

template <class Arch>
void least_two(const uint64_t* keys, size_t count, uint64_t least[2], size_t place[2])
{
    using W = Words<Arch>;
    constexpr size_t lanes = W::size;
    if constexpr (lanes < 4) {   // two lanes are no faster than one
        LeastTwo two;
        for (size_t i = 0; i < count; i++)
            two.add(keys[i], i);
        std::copy_n(two.least, 2, least);
        std::copy_n(two.place, 2, place);
    } else {
        constexpr size_t registers = least_two_block / lanes;
        W first[registers], second[registers];   // the least two of each lane
        for (size_t r = 0; r < registers; r++)
            first[r] = second[r] = W(UINT64_MAX);
        for (size_t i = 0; i < count; i += least_two_block)
            for (size_t r = 0; r < registers; r++) {
                const W x = W::load_unaligned(keys + i + r * lanes);
                second[r] = lesser<Arch>(second[r], greater<Arch>(first[r], x));
                first[r] = lesser<Arch>(first[r], x);
            }
        uint64_t firsts[least_two_block], seconds[least_two_block];
        for (size_t r = 0; r < registers; r++) {
            first[r].store_unaligned(firsts + r * lanes);
            second[r].store_unaligned(seconds + r * lanes);
        }
        uint64_t one = firsts[0], two = seconds[0];
        for (size_t j = 1; j < least_two_block; j++) {
            const uint64_t x = firsts[j], more = x < one ? one : x;
            two = seconds[j] < two ? seconds[j] : two;
            two = more < two ? more : two;
            one = x < one ? x : one;
        }
        least[0] = one;
        least[1] = two;
        for (size_t i = 0; i < count; i += least_two_block) {
            uint64_t is_one = 0, is_two = 0;
            for (size_t r = 0; r < registers; r++) {
                const W x = W::load_unaligned(keys + i + r * lanes);
                is_one |= mask_of(x == W(one)) << r * lanes;
                is_two |= mask_of(x == W(two)) << r * lanes;
            }
            if (is_one)
                place[0] = i + static_cast<size_t>(std::countr_zero(is_one));
            if (is_two)
                place[1] = i + static_cast<size_t>(std::countr_zero(is_two));
        }
    }
}

// One bit for each of 64 codes: is (code & mask) - low <= span? (The compiler makes vector instructions of the loop.)
template <class Arch>
uint64_t within_64(const uint16_t* codes, FieldRange range, Arch)
{
    uint8_t good[64];
    for (size_t i = 0; i < 64; i++)
        good[i] = static_cast<uint16_t>((codes[i] & range.mask) - range.low) <= range.span;
    uint64_t bits = 0;
    for (size_t i = 0; i < 64; i += 8) {
        uint64_t bytes;   // each is 0 or 1
        std::memcpy(&bytes, good + i, sizeof bytes);
        bits |= (bytes * 0x0102040810204080u >> 56) << i;   // (all platforms are little-endian)
    }
    return bits;
}
#if defined(__AVX512BW__)
inline uint64_t within_64(const uint16_t* codes, FieldRange range, Avx512)
{
    const __m512i mask = _mm512_set1_epi16(static_cast<short>(range.mask)),
                  low = _mm512_set1_epi16(static_cast<short>(range.low)),
                  span = _mm512_set1_epi16(static_cast<short>(range.span));
    const auto half = [&](const uint16_t* c) {
        const __m512i x = _mm512_sub_epi16(_mm512_and_si512(_mm512_loadu_si512(c), mask), low);
        return uint64_t{_mm512_cmple_epu16_mask(x, span)};
    };
    return half(codes) | half(codes + 32) << 32;
}
#elif defined(__AVX2__)
inline uint64_t within_64(const uint16_t* codes, FieldRange range, Avx2)
{
    const __m256i mask = _mm256_set1_epi16(static_cast<short>(range.mask)),
                  low = _mm256_set1_epi16(static_cast<short>(range.low)),
                  span = _mm256_set1_epi16(static_cast<short>(range.span));
    const auto lanes = [&](const uint16_t* c) {
        const __m256i x = _mm256_sub_epi16(
            _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(c)), mask), low);
        return _mm256_cmpeq_epi16(_mm256_min_epu16(x, span), x);
    };
    const auto half = [&](const uint16_t* c) {   // packing mixes the halves of both registers
        const __m256i bytes =
            _mm256_permute4x64_epi64(_mm256_packs_epi16(lanes(c), lanes(c + 16)), 0xd8);
        return static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
    };
    return half(codes) | uint64_t{half(codes + 32)} << 32;
}
#endif

template <class Arch>
uint64_t within(const uint16_t* codes, size_t count, const FieldRange* ranges, size_t n)
{
    uint16_t all[64];
    if (count < 64) {
        std::memcpy(all, codes, count * sizeof *codes);
        std::memset(all + count, 0, (64 - count) * sizeof *codes);
        codes = all;
    }
    uint64_t good = count < 64 ? low_bits(count) : ~uint64_t{0}, field = 0;
    for (size_t r = 0; r < n; r++) {
        field |= within_64(codes, ranges[r], Arch{});
        if (ranges[r].is_last)
            good &= std::exchange(field, 0);
    }
    return good;
}

template <class Arch>
consteval Kernels make(const char* name)
{
    Kernels k{};
    k.name = name;
    k.f32 = make_float<Arch, float, float>();
    k.f16 = make_float<Arch, half, half>();
    k.f32_f16 = make_float<Arch, float, half>();
    using u8 = uint8_t;
    k.u8 = make_dense<u8, u8, uint32_t, ByteL2<Arch, u8, u8>, ByteIp<Arch, u8, u8>,
                      ByteL1<Arch, u8, u8>, ByteCosine<Arch, u8, u8>>();
    k.i16_u8 = {pair<ShortByteIp<Arch>>, many<ShortByteIp<Arch>, int32_t>};
    k.bits = {popcount<Arch>, hamming<Arch>, pair<BitJaccard<Arch>>, signed_sum<Arch>,
              hamming_many<Arch>};
    k.sparse = {sparse<Arch, SparseOp::l2sq>,     sparse<Arch, SparseOp::ip>,
                sparse<Arch, SparseOp::l1>,       sparse_terms<Arch, SparseOp::l2sq>,
                sparse_terms<Arch, SparseOp::ip>, sparse_terms<Arch, SparseOp::l1>};
    k.sketches = {score<Arch>, estimate<Arch>, differ<Arch>, encode<Arch>, quantize<Arch>};
    k.codebooks = {nearest<Arch>, centroids_l2sq<Arch>, centroids_ip<Arch>, score_product<Arch>,
                   score_nibbles<Arch>};
    k.products = {Tile<Arch>::registers * Tile<Arch>::lanes,
                  sizeof(typename Tile<Arch>::Element),
                  pack_columns<Arch>,
                  multiply<Arch>,
                  products_l2sq<Arch>,
                  least_of<Arch>};
    k.sum_and_max = sum_and_max<Arch>;
    k.l2sq_scaled = l2sq_scaled<Arch>;
    k.encode_u8 = encode_u8<Arch>;
    k.refine_u8 = refine_u8<Arch>;
    k.decode_u8 = decode_u8<Arch>;
    k.approach_u8 = approach_u8<Arch>;
    k.ip_fine = ip_fine<Arch>;
    k.scale = scale<Arch>;
    k.to_i16 = to_i16<Arch>;
    k.within = within<Arch>;
    k.least_two = least_two<Arch>;
    k.hadamard = hadamard<Arch>;
    k.norm2_f32 = norm2<Arch, float>;
    k.norm2_f16 = norm2<Arch, half>;
    k.to_f32 = to_f32<Arch>;
    k.to_f16 = to_f16<Arch>;
    return k;
}

}   // namespace
}   // namespace quiver::simd
