// The distance kernels. Each instruction set has a table of them. kernels() returns the table in
// use: call it once, outside of the loop.
//
// Lengths count elements (for bit strings: bytes). Pointers need not be aligned. A kernel reads
// nothing past the n-th element. n may be 0. u8 results are exact for n <= 65536.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/half.hpp"
#include "core/platform.hpp"

namespace quiver::simd {

// cosine(a, b) = dot / sqrt(aa * bb)
template <class R>
struct CosineTerms {
    R dot, aa, bb;
};

// Distances between a query of A and vectors of B.
template <class A, class B, class R>
struct Dense {
    // One pair of vectors: sum (a-b)^2, sum a*b, sum |a-b|, and the three sums of the cosine.
    R (*l2sq)(const A* a, const B* b, size_t n);
    R (*ip)(const A* a, const B* b, size_t n);
    R (*l1)(const A* a, const B* b, size_t n);
    CosineTerms<R> (*cosine)(const A* a, const B* b, size_t n);

    // One query, four vectors: out[i] belongs to b[i].
    void (*l2sq_4)(const A* a, const B* const b[4], size_t n, R out[4]);
    void (*ip_4)(const A* a, const B* const b[4], size_t n, R out[4]);
    void (*l1_4)(const A* a, const B* const b[4], size_t n, R out[4]);
    void (*cosine_4)(const A* a, const B* const b[4], size_t n, CosineTerms<R> out[4]);

    // One query, `count` vectors whose first elements are `stride` elements apart.
    void (*l2sq_many)(const A* a, const B* b, size_t stride, size_t count, size_t n, R* out);
    void (*ip_many)(const A* a, const B* b, size_t stride, size_t count, size_t n, R* out);
    void (*l1_many)(const A* a, const B* b, size_t stride, size_t count, size_t n, R* out);
    void (*cosine_many)(const A* a, const B* b, size_t stride, size_t count, size_t n,
                        CosineTerms<R>* out);
};

// A query of 16-bit integers and 8-bit codes. Exact while 255 * sum |a[i]| < 2^31.
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
    // The sum of n floats, each added where its bit is 1 and subtracted where it is 0. The first
    // bit is the highest bit of the first byte, as in PostgreSQL's bit strings.
    float (*signed_sum)(const uint8_t* bits, const float* x, size_t n);
    void (*hamming_many)(const uint8_t* a, const uint8_t* b, size_t stride, size_t count,
                         size_t nbytes, uint64_t* out);
};

// A sparse vector: ascending indices, and a value for each index.
struct SparseView {
    const int32_t* index;
    const float* value;
    size_t count;
};

// A sparse vector in a hash table, for comparisons with many others. codec/sparse_hash.hpp makes it.
// An index belongs at one place. If several indices belong at the same place, the table has the
// first of them there, marked, and the others are in `rest`.
struct SparseTable {
    static constexpr int32_t none = INT32_MAX;   // at a place without an index
    static constexpr int32_t mark = INT32_MIN;   // this bit: others that belong here are in `rest`
    static constexpr uint32_t factor = 0x9e3779b1;

    const int32_t* index;   // of each place
    const float* value;     // of each place; 0 where there is no index
    uint32_t shift;         // there are 2^(32 - shift) places
    SparseView rest;

    [[gnu::always_inline]] uint32_t place(int32_t i) const
    {
        return static_cast<uint32_t>(i) * factor >> shift;
    }
};

// Sums over the elements b_i of a vector b: of (a_i - b_i)^2 or |a_i - b_i| or a_i * b_i, and of a_i^2
// or |a_i|. The second sum is that part of a's norm which the first sum includes. So the distance is
//     apart + (norm of a - shared),
// and if the norm is `shared` of a and a itself, the distance of equal vectors is exactly 0.
struct SparseTerms {
    double apart, shared;   // ip: shared is 0
};

struct Sparse {
    // Two vectors. The time is that of a merge.
    float (*l2sq)(SparseView a, SparseView b);
    float (*ip)(SparseView a, SparseView b);
    float (*l1)(SparseView a, SparseView b);
    // A vector in a table. The time depends only on b's length, and is a fraction of the merge's.
    SparseTerms (*l2sq_terms)(const SparseTable& a, SparseView b);
    SparseTerms (*ip_terms)(const SparseTable& a, SparseView b);
    SparseTerms (*l1_terms)(const SparseTable& a, SparseView b);
};

// The terms of estimates. The estimate for a sketch with factors a and b is
//     base + along * a + b * (offset + factor * score).
struct EstimateTerms {
    float base, along, offset, factor;
};

// 1-bit sketches of vectors (src/codec/sign_sketches.hpp) and 4-bit queries
// (src/codec/folding.hpp). `words` counts 64-bit words.
struct Sketches {
    // The sketches of `count` vectors are word-transposed: word w of vector i is
    // codes[w * count + i]. planes[w * 4 + k] holds bit k of 64 query values.
    //     out[i] = sum over k of 2^k * popcount(code i ^ plane k).
    // count is a multiple of 4.
    void (*score)(const uint64_t* codes, size_t words, size_t count, const uint64_t* planes,
                  uint32_t* out);
    // Computes estimates from the scores of `count` sketches. Bit i % 64 of near[i / 64] is set if
    // estimate i is at most `limit`. (It is not set for NaN.)
    void (*estimate)(const uint32_t* score, const float* a, const float* b, size_t count,
                     EstimateTerms terms, float limit, float* out, uint64_t* near);
    // out[i] = the number of bits in which vector i differs from `query`, which has `words` words.
    void (*differ)(const uint64_t* codes, size_t words, size_t count, const uint64_t* query,
                   uint32_t* out);
    // Bit j of `bits` is the sign of y[j] = x[j] - c[j] (1: not negative) for 64 * words values;
    // abs_sum = sum |y[j]|, sign_dot = sum sign(y[j]) * c[j].
    void (*encode)(const float* x, const float* c, size_t words, uint64_t* bits, float* abs_sum,
                   float* sign_dot);
    // Quantizes 64 * words values to 4 bits, u = clamp(floor(x * inverse + 8), 0, 15), and writes
    // the planes that score() reads. A value of 0 becomes 7 at even positions and 8 at odd ones.
    void (*quantize)(const float* x, size_t words, float inverse, uint64_t* planes);
};

// Codebooks of product quantization (src/codec/product.hpp). The k centroids of a subspace are
// stored transposed: coordinate j of centroid i is centroids[j * k + i]. k is a multiple of 16.
struct Codebooks {
    // For each of `count` vectors, whose first coordinates are `stride` floats apart, finds the
    // centroid i with the least half_norms[i] - <x, centroid i>. best[] gets i, and gap[] gets that
    // difference. If half_norms[i] is half of the squared norm of centroid i, this is the nearest
    // centroid. Of several equal ones, it is the first.
    void (*nearest)(const float* x, size_t stride, size_t count, size_t dims,
                    const float* centroids, const float* half_norms, size_t k, uint32_t* best,
                    float* gap);
    // out[i] = the squared L2 distance, or the inner product, of q and centroid i.
    void (*l2sq)(const float* q, size_t dims, const float* centroids, size_t k, float* out);
    void (*ip)(const float* q, size_t dims, const float* centroids, size_t k, float* out);
    // Scores codes of `groups` bytes, which are `stride` bytes apart:
    //     out[i] = sum over g of tables[g * 256 + byte g of code i].
    void (*score)(const float* tables, size_t groups, const uint8_t* codes, size_t stride,
                  size_t count, float* out);
    // The same with tables of bytes, for codes of 4-bit numbers, two in each of `groups` bytes. It
    // is fast for many codes (Andre, Kermarrec, Le Scouarnec 2015, "Cache locality is not enough",
    // section 4):
    //     out[i] = sum over g of low_g[byte g & 15] + high_g[byte g >> 4].
    // For each 4 groups, `tables` has 64 bytes of low tables, 16 per group, and then 64 bytes of
    // high tables. The tables of groups beyond the last are 0. The sums must be below 65,536. Bit
    // i % 64 of near[i / 64] is set if out[i] is at most `limit`, which must be below 65,536.
    void (*score_nibbles)(const uint8_t* tables, size_t groups, const uint8_t* codes, size_t stride,
                          size_t count, uint32_t limit, uint32_t* out, uint64_t* near);
};

// The numbers of one 8-bit code x' = offset + scale * code: besides these, the sum of the code and
// |x'|^2.
struct CodeTerms {
    float offset, scale, code_sum, norm2;
};

// The same of many codes, the columns of a matrix product, one array for each number.
struct ColumnTerms {
    const float* offset;
    const float* scale;
    const float* sum;   // of the coordinates of x'
    const float* norm2;
};

// Distances between all pairs of two sets of 8-bit codes, as matrix products. The columns are packed
// in panels, and each panel is used for many rows. n, the length of the codes, is a multiple of 64
// and at most 32768.
struct Products {
    uint32_t columns;   // of a panel: a multiple of 16
    // Packs `count` <= columns codes into a panel, which has columns * n * `widening` bytes and is
    // aligned to 64 bytes. The columns beyond the last code are 0.
    uint32_t widening;
    void (*pack)(const uint8_t* const* codes, size_t count, size_t n, void* panel);
    // out[r * stride + c] = sum over i of rows[r][i] * (column c)[i], for the columns of all panels.
    void (*multiply)(const uint8_t* const* rows, size_t row_count, size_t n, const void* panels,
                     size_t panel_count, int32_t* out, size_t stride);
    // Computes |x' - y'|^2 (not below 0) of a row x and `count` columns y from their products. They
    // may be computed in place.
    void (*l2sq)(const int32_t* products, const CodeTerms& row, const ColumnTerms& columns,
                 size_t count, float* out);
    // Finds the k <= 64 least of `count` numbers, least first, and of equal ones the first. Returns
    // how many there are. Numbers that are not finite are left out.
    size_t (*least)(const float* x, size_t count, size_t k, uint32_t* index, float* value);
};

// What encode_u8() and refine_u8() tell about the vector x' that a code stands for.
struct CodedTerms {
    float offset, scale;
    uint32_t sum;           // of the codes; encode_u8() only
    double norm2, error2;   // |x'|^2 and |x - x'|^2
};

// A number in some bits of a 16-bit code, those of `mask`, is within the range if (code & mask) - low <= span.
struct FieldRange {
    uint16_t mask, low, span;
    bool is_last;   // of the ranges of its field
};

// Kernels::least_two() takes a multiple of this number of keys.
constexpr size_t least_two_block = 8;

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
    Products products;

    // The sum of squares, in double, so that the squares of large floats do not overflow.
    double (*norm2_f32)(const float* a, size_t n);
    double (*norm2_f16)(const half* a, size_t n);

    void (*to_f32)(const half* from, float* to, size_t n);
    void (*to_f16)(const float* from, half* to, size_t n);
    // The sum, and the largest absolute value.
    void (*sum_and_max)(const float* x, size_t n, float* sum, float* most);
    // sum (a[i] - scale[i] * code[i])^2
    float (*l2sq_scaled)(const float* a, const float* scale, const uint8_t* code, size_t n);
    // Quantizes n > 0 finite floats to 8 bits, x[i] ~ offset + scale * code[i], between the least and the
    // largest of them. All instruction sets make the same codes, offset and scale; the last bit of the sums
    // may differ.
    CodedTerms (*encode_u8)(const float* x, size_t n, uint8_t* code);
    // Adds 4 or 8 bits to a code, fine[i] = floor(2^bits * ((x[i] - offset) / scale - code[i] + 1/2)), of the
    // layout that ip_fine() takes, so that
    //     x[i] ~ offset + scale * (code[i] + (fine[i] + 1/2) / 2^bits - 1/2).
    CodedTerms (*refine_u8)(const float* x, size_t n, float offset, float scale,
                            const uint8_t* code, uint32_t bits, uint8_t* fine);
    // to[i] = offset + scale * code[i]
    void (*decode_u8)(const uint8_t* code, float offset, float scale, float* to, size_t n);
    // to[i] += share * (offset + scale * code[i] - to[i])
    void (*approach_u8)(const uint8_t* code, float offset, float scale, float share, float* to,
                        size_t n);
    // sum a[i] * (code[i] * 2^bits + fine i - 2^(bits + 7)). `bits` is 4 or 8. If it is 4, n is
    // even, and byte i of `fine` has fine i in its low half and fine n / 2 + i in its high half.
    float (*ip_fine)(const float* a, const uint8_t* code, const uint8_t* fine, uint32_t bits,
                     size_t n);
    // to[i] = x[i] * factor, in double
    void (*scale)(const float* x, double factor, float* to, size_t n);
    // to[i] = x[i] * factor, rounded to the nearest integer (halves away from 0). The products must
    // be below 2^15. Returns the sum of to[i].
    int32_t (*to_i16)(const float* x, float factor, int16_t* to, size_t n);

    // Finds the least two of `count` keys, least[0] <= least[1], and their places. (If they are
    // equal, both places may be the same.) count is a multiple of least_two_block, and not 0.
    void (*least_two)(const uint64_t* keys, size_t count, uint64_t least[2], size_t place[2]);
    // For which of `count` <= 64 codes is each field within one of its ranges? Bit i tells it of code i. The
    // ranges of a field follow each other.
    uint64_t (*within)(const uint16_t* codes, size_t count, const FieldRange* ranges, size_t n);
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
const Kernels& kernels_at(Level level) noexcept;   // the level must be available

// The table in use: that of the strongest available level, until set_level() chooses another.
const Kernels& kernels() noexcept;
bool set_level(Level level) noexcept;   // false if not available; then nothing changes

}   // namespace quiver::simd
