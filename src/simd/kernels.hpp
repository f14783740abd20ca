// The distance kernels, one table for each instruction set. kernels() is the table in force: look
// it up once, outside the loop.
//
// Lengths count elements (bytes for bit strings). Pointers need no alignment. Nothing is read past
// the n-th element. n may be 0. u8 results are exact for n <= 65536.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/half.hpp"

namespace quiver::simd {

// cosine(a, b) = dot / sqrt(aa * bb)
template <class R>
struct CosineTerms {
    R dot, aa, bb;
};

// Distances between a query of A and vectors of B.
template <class A, class B, class R>
struct Dense {
    // One pair: sum (a-b)^2, sum a*b, sum |a-b|, and the three sums of the cosine.
    R (*l2sq)(const A* a, const B* b, size_t n);
    R (*ip)(const A* a, const B* b, size_t n);
    R (*l1)(const A* a, const B* b, size_t n);
    CosineTerms<R> (*cosine)(const A* a, const B* b, size_t n);

    // One query, four vectors: out[i] belongs to b[i].
    void (*l2sq_4)(const A* a, const B* const b[4], size_t n, R out[4]);
    void (*ip_4)(const A* a, const B* const b[4], size_t n, R out[4]);
    void (*l1_4)(const A* a, const B* const b[4], size_t n, R out[4]);
    void (*cosine_4)(const A* a, const B* const b[4], size_t n, CosineTerms<R> out[4]);

    // One query, `count` vectors whose first elements lie `stride` elements apart.
    void (*l2sq_many)(const A* a, const B* b, size_t stride, size_t count, size_t n, R* out);
    void (*ip_many)(const A* a, const B* b, size_t stride, size_t count, size_t n, R* out);
    void (*l1_many)(const A* a, const B* b, size_t stride, size_t count, size_t n, R* out);
    void (*cosine_many)(const A* a, const B* b, size_t stride, size_t count, size_t n,
                        CosineTerms<R>* out);
};

// Integers of 16 bits and codes of 8. Exact while 255 * sum |a[i]| < 2^31.
struct ShortsAndBytes {
    int32_t (*ip)(const int16_t* a, const uint8_t* b, size_t n);
    void (*ip_many)(const int16_t* a, const uint8_t* b, size_t stride, size_t count, size_t n,
                    int32_t* out);
};

struct JaccardTerms {
    uint64_t both, either;   // popcounts of a & b and a | b
};

struct Bits {
    uint64_t (*popcount)(const uint8_t* a, size_t nbytes);
    uint64_t (*hamming)(const uint8_t* a, const uint8_t* b, size_t nbytes);
    JaccardTerms (*jaccard)(const uint8_t* a, const uint8_t* b, size_t nbytes);
    // The sum of n floats, each added where its bit is 1 and subtracted where it is 0. The first bit
    // is the highest of the first byte, as in PostgreSQL's bit strings.
    float (*signed_sum)(const uint8_t* bits, const float* x, size_t n);
    void (*hamming_many)(const uint8_t* a, const uint8_t* b, size_t stride, size_t count,
                         size_t nbytes, uint64_t* out);
};

// A sparse vector: ascending indices, a value for each.
struct SparseView {
    const int32_t* index;
    const float* value;
    size_t count;
};

struct Sparse {
    float (*l2sq)(SparseView a, SparseView b);
    float (*ip)(SparseView a, SparseView b);
    float (*l1)(SparseView a, SparseView b);
};

// estimate = base + along * a + b * (offset + factor * score), of a sketch with factors a and b.
struct EstimateTerms {
    float base, along, offset, factor;
};

// 1-bit sketches of vectors and 4-bit queries (src/codec/binary.hpp). `words` counts 64-bit words.
struct Sketches {
    // The sketches of `count` vectors, word-transposed: word w of vector i is codes[w * count + i].
    // planes[w * 4 + k] holds bit k of 64 query values. out[i] = sum over k of
    // 2^k * popcount(code i ^ plane k). count is a multiple of 4.
    void (*score)(const uint64_t* codes, size_t words, size_t count, const uint64_t* planes,
                  uint32_t* out);
    // Estimates from the scores of `count` sketches. Bit i % 64 of near[i / 64]: is estimate i at most
    // `limit`? (NaN is not.)
    void (*estimate)(const uint32_t* score, const float* a, const float* b, size_t count,
                     EstimateTerms terms, float limit, float* out, uint64_t* near);
    // out[i] = the bits in which vector i differs from `query`, which has `words` words.
    void (*differ)(const uint64_t* codes, size_t words, size_t count, const uint64_t* query,
                   uint32_t* out);
    // Bit j of `bits` is the sign of y[j] = x[j] - c[j] (1: not negative) for 64 * words values;
    // abs_sum = sum |y[j]|, sign_dot = sum sign(y[j]) * c[j].
    void (*encode)(const float* x, const float* c, size_t words, uint64_t* bits, float* abs_sum,
                   float* sign_dot);
    // Quantizes 64 * words values to 4 bits, u = clamp(floor(x * inverse + 8), 0, 15), as planes
    // for score(). A value of 0 becomes 7 at even places and 8 at odd ones.
    void (*quantize)(const float* x, size_t words, float inverse, uint64_t* planes);
};

// Codebooks of product quantization (src/codec/product.hpp). The k centroids of a subspace lie
// transposed: coordinate j of centroid i is centroids[j * k + i]. k is a multiple of 16.
struct Codebooks {
    // For each of `count` vectors, whose first coordinates lie `stride` floats apart: the centroid i
    // with the least gap[] = half_norms[i] - <x, centroid i>; the nearest one, if half_norms[i] is
    // half of its squared norm. The first of equals.
    void (*nearest)(const float* x, size_t stride, size_t count, size_t dims,
                    const float* centroids, const float* half_norms, size_t k, uint32_t* best,
                    float* gap);
    // out[i]: squared L2 distance, or inner product, of q and centroid i.
    void (*l2sq)(const float* q, size_t dims, const float* centroids, size_t k, float* out);
    void (*ip)(const float* q, size_t dims, const float* centroids, size_t k, float* out);
    // Codes of `groups` bytes that lie `stride` bytes apart:
    // out[i] = sum over g of tables[g * 256 + byte g of code i].
    void (*score)(const float* tables, size_t groups, const uint8_t* codes, size_t stride,
                  size_t count, float* out);
    // The same in bytes for codes of 4-bit numbers, two in each of `groups` bytes, fast for many codes
    // (Andre, Kermarrec, Le Scouarnec 2015, "Cache locality is not enough", section 4): out[i] = sum over g
    // of low_g[byte g & 15] + high_g[byte g >> 4]. For each 4 groups `tables` has 64 bytes, 16 low ones a
    // group, and 64 high ones; those of groups beyond the last are 0. The sums must be below 65,536.
    // Bit i % 64 of near[i / 64]: is out[i] at most `limit`, which is below 65,536?
    void (*score_nibbles)(const uint8_t* tables, size_t groups, const uint8_t* codes, size_t stride,
                          size_t count, uint32_t limit, uint32_t* out, uint64_t* near);
};

struct Kernels {
    const char* name;

    Dense<float, float, float> f32;
    Dense<half, half, float> f16;
    Dense<float, half, float> f32_f16;      // float query, half vectors
    ShortsAndBytes i16_u8;                  // query in 16 bits, 8-bit codes (asymmetric), exact
    Dense<uint8_t, uint8_t, uint32_t> u8;   // 8-bit codes on both sides (symmetric), exact
    Bits bits;
    Sparse sparse;
    Sketches sketches;
    Codebooks codebooks;

    // Sum of squares, in double: squares of large floats do not overflow.
    double (*norm2_f32)(const float* a, size_t n);
    double (*norm2_f16)(const half* a, size_t n);

    void (*to_f32)(const half* from, float* to, size_t n);
    void (*to_f16)(const float* from, half* to, size_t n);
    // The sum, and the largest absolute value.
    void (*sum_and_max)(const float* x, size_t n, float* sum, float* most);
    // sum (a[i] - scale[i] * code[i])^2
    float (*l2sq_scaled)(const float* a, const float* scale, const uint8_t* code, size_t n);
    // to[i] = offset + scale * code[i]
    void (*decode_u8)(const uint8_t* code, float offset, float scale, float* to, size_t n);
    // sum a[i] * (code[i] * 2^bits + fine i - 2^(bits + 7)), `bits` 4 or 8. Of 4 bits, byte i of `fine` has
    // those of elements i, in its low half, and n / 2 + i; then n is even.
    float (*ip_fine)(const float* a, const uint8_t* code, const uint8_t* fine, uint32_t bits,
                     size_t n);
    // to[i] = x[i] * factor, in double
    void (*scale)(const float* x, double factor, float* to, size_t n);
    // to[i] = x[i] * factor, which is below 2^15, to the nearest (halves away from 0); their sum
    int32_t (*to_i16)(const float* x, float factor, int16_t* to, size_t n);

    // Walsh-Hadamard transform of n = 2^k floats in place, times `scale`.
    void (*hadamard)(float* x, size_t n, float scale);
};

// Instruction sets, weakest first.
enum class Level {
    baseline,   // what every CPU of the architecture has: SSE2 or NEON
    avx2,       // AVX2, FMA, F16C
    avx512,     // AVX-512 F, BW, CD, DQ, VL, VBMI, VNNI, VPOPCNTDQ
};

// Levels that this build has and this CPU can run, weakest first.
std::span<const Level> available_levels() noexcept;
const char* level_name(Level level) noexcept;
const Kernels& kernels_at(Level level) noexcept;   // an available level only

// The table in force: the strongest available level until set_level() says otherwise.
const Kernels& kernels() noexcept;
bool set_level(Level level) noexcept;   // false, and nothing changes, when not available

}   // namespace quiver::simd
