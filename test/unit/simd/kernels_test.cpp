// Every kernel, on every level that this CPU has, at every dimension from 0 to 300 and at large
// ones, against sums in double (integers exactly). Inputs start unaligned and end at a page that
// may not be read.
#include "simd/kernels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "guarded_buffer.hpp"

using namespace quiver;
using namespace quiver::simd;

namespace {

std::vector<size_t> dimensions()
{
    std::vector<size_t> dims;
    for (size_t n = 0; n <= 300; n++)
        dims.push_back(n);
    for (size_t n : {384, 768, 1024, 1536, 2000, 4096, 16000})
        dims.push_back(n);
    return dims;
}

double number(float x) { return x; }
double number(half x) { return to_float(x); }
double number(uint8_t x) { return x; }

void put(float& to, std::mt19937& rng) { to = std::normal_distribution<float>()(rng); }
void put(half& to, std::mt19937& rng) { to = to_half(std::normal_distribution<float>()(rng)); }
void put(uint8_t& to, std::mt19937& rng) { to = static_cast<uint8_t>(rng()); }

template <class T>
void fill(GuardedBuffer<T>& b, std::mt19937& rng)
{
    for (size_t i = 0; i < b.size(); i++)
        put(b[i], rng);
}

// `magnitude`: the sum of the absolute terms, to which rounding is relative.
struct Reference {
    double value = 0, magnitude = 0;
    void add(double term)
    {
        value += term;
        magnitude += std::fabs(term);
    }
};

template <class R>
void expect_close(R got, const Reference& want, const char* what, size_t n)
{
    if constexpr (std::is_integral_v<R>)
        ASSERT_EQ(static_cast<double>(got), want.value) << what << " n=" << n;
    else
        // Sums of n / 16 terms at the least parallel level.
        ASSERT_NEAR(got, want.value,
                    (1e-6 + 2e-8 * static_cast<double>(n) / 16) * want.magnitude + 1e-30)
            << what << " n=" << n;
}

template <class A, class B>
struct References {
    Reference l2sq, ip, l1, aa, bb;
    References(const A* a, const B* b, size_t n)
    {
        for (size_t i = 0; i < n; i++) {
            const double x = number(a[i]), y = number(b[i]);
            l2sq.add((x - y) * (x - y));
            ip.add(x * y);
            l1.add(std::fabs(x - y));
            aa.add(x * x);
            bb.add(y * y);
        }
    }
};

template <class R, class A, class B>
void expect_terms(const CosineTerms<R>& got, const References<A, B>& want, size_t n)
{
    expect_close(got.dot, want.ip, "cosine dot", n);
    expect_close(got.aa, want.aa, "cosine aa", n);
    expect_close(got.bb, want.bb, "cosine bb", n);
}

template <class A, class B, class R>
void test_dense(const Dense<A, B, R>& k)
{
    std::mt19937 rng(42);
    for (size_t n : dimensions()) {
        // Four at a time, and two left over; of long ones one after the other, but for the longest.
        constexpr size_t rows = 6;
        GuardedBuffer<A> a(n);
        GuardedBuffer<B> b(n * rows);
        fill(a, rng);
        fill(b, rng);
        std::vector<References<A, B>> want;
        for (size_t r = 0; r < rows; r++)
            want.emplace_back(a.data(), b.data() + r * n, n);

        for (size_t r = 0; r < rows; r++) {
            const B* row = b.data() + r * n;
            expect_close(k.l2sq(a.data(), row, n), want[r].l2sq, "l2sq", n);
            expect_close(k.ip(a.data(), row, n), want[r].ip, "ip", n);
            expect_close(k.l1(a.data(), row, n), want[r].l1, "l1", n);
            expect_terms(k.cosine(a.data(), row, n), want[r], n);
        }

        const B* four[4] = {b.data() + 5 * n, b.data(), b.data() + 3 * n, b.data() + 2 * n};
        const size_t order[4] = {5, 0, 3, 2};
        R out[rows];
        k.l2sq_4(a.data(), four, n, out);
        for (size_t r = 0; r < 4; r++)
            expect_close(out[r], want[order[r]].l2sq, "l2sq_4", n);
        k.ip_4(a.data(), four, n, out);
        for (size_t r = 0; r < 4; r++)
            expect_close(out[r], want[order[r]].ip, "ip_4", n);
        k.l1_4(a.data(), four, n, out);
        for (size_t r = 0; r < 4; r++)
            expect_close(out[r], want[order[r]].l1, "l1_4", n);
        CosineTerms<R> terms[rows];
        k.cosine_4(a.data(), four, n, terms);
        for (size_t r = 0; r < 4; r++)
            expect_terms(terms[r], want[order[r]], n);

        k.l2sq_many(a.data(), b.data(), n, rows, n, out);
        for (size_t r = 0; r < rows; r++)
            expect_close(out[r], want[r].l2sq, "l2sq_many", n);
        k.ip_many(a.data(), b.data(), n, rows, n, out);
        for (size_t r = 0; r < rows; r++)
            expect_close(out[r], want[r].ip, "ip_many", n);
        k.l1_many(a.data(), b.data(), n, rows, n, out);
        for (size_t r = 0; r < rows; r++)
            expect_close(out[r], want[r].l1, "l1_many", n);
        k.cosine_many(a.data(), b.data(), n, rows, n, terms);
        for (size_t r = 0; r < rows; r++)
            expect_terms(terms[r], want[r], n);
    }
}

class Kernels : public testing::TestWithParam<Level> {
  protected:
    const quiver::simd::Kernels& k = kernels_at(GetParam());
};

TEST_P(Kernels, F32) { test_dense(k.f32); }
TEST_P(Kernels, F16) { test_dense(k.f16); }
TEST_P(Kernels, F32AgainstF16) { test_dense(k.f32_f16); }
TEST_P(Kernels, U8) { test_dense(k.u8); }

TEST_P(Kernels, I16AgainstU8)
{
    std::mt19937 rng(42);
    for (size_t n : dimensions()) {
        constexpr size_t rows = 6;
        GuardedBuffer<int16_t> a(n);
        GuardedBuffer<uint8_t> b(n * rows);
        // The sums come near the largest that are documented to be exact.
        const auto most = std::min(32767, 8421504 / static_cast<int>(std::max<size_t>(n, 1)));
        for (size_t i = 0; i < n; i++)
            a.data()[i] = static_cast<int16_t>(i % 5 == 4 ? -most : most);
        for (size_t i = 0; i < n * rows; i++)
            b.data()[i] = static_cast<uint8_t>(rng() % 4 == 0 ? rng() % 256 : 255);
        int32_t out[rows];
        k.i16_u8.ip_many(a.data(), b.data(), n, rows, n, out);
        for (size_t r = 0; r < rows; r++) {
            int64_t want = 0;
            for (size_t i = 0; i < n; i++)
                want += a.data()[i] * b.data()[r * n + i];
            ASSERT_EQ(out[r], want) << n;
            ASSERT_EQ(k.i16_u8.ip(a.data(), b.data() + r * n, n), want) << n;
        }
    }
    // All of one sign, in 16 bits.
    const std::vector<int16_t> low(257, -32768), high(257, 32767);
    const std::vector<uint8_t> bytes(257, 255);
    EXPECT_EQ(k.i16_u8.ip(low.data(), bytes.data(), 257), -32768 * 255 * 257);
    EXPECT_EQ(k.i16_u8.ip(high.data(), bytes.data(), 257), 32767 * 255 * 257);
}

// The largest sums that are documented to be exact.
TEST_P(Kernels, U8Extremes)
{
    const size_t n = 65536;
    const std::vector<uint8_t> low(n, 0), high(n, 255);
    const uint32_t most = 65025u * 65536u;
    EXPECT_EQ(k.u8.l2sq(low.data(), high.data(), n), most);
    EXPECT_EQ(k.u8.ip(high.data(), high.data(), n), most);
    EXPECT_EQ(k.u8.l1(low.data(), high.data(), n), 255u * 65536u);
    EXPECT_EQ(k.u8.cosine(high.data(), high.data(), n).bb, most);
}

TEST_P(Kernels, Bits)
{
    std::mt19937 rng(7);
    for (size_t n : dimensions()) {
        constexpr size_t rows = 19;
        GuardedBuffer<uint8_t> a(n), b(n * rows);
        fill(a, rng);
        fill(b, rng);
        uint64_t want[rows];
        for (size_t r = 0; r < rows; r++) {
            uint64_t ones = 0, differ = 0, both = 0, either = 0;
            for (size_t i = 0; i < n; i++) {
                const unsigned x = a[i], y = b[r * n + i];
                ones += static_cast<uint64_t>(__builtin_popcount(x));
                differ += static_cast<uint64_t>(__builtin_popcount(x ^ y));
                both += static_cast<uint64_t>(__builtin_popcount(x & y));
                either += static_cast<uint64_t>(__builtin_popcount(x | y));
            }
            want[r] = differ;
            const uint8_t* row = b.data() + r * n;
            ASSERT_EQ(k.bits.popcount(a.data(), n), ones) << n;
            ASSERT_EQ(k.bits.hamming(a.data(), row, n), differ) << n;
            const auto t = k.bits.jaccard(a.data(), row, n);
            ASSERT_EQ(t.both, both) << n;
            ASSERT_EQ(t.either, either) << n;
        }
        uint64_t out[rows];
        k.bits.hamming_many(a.data(), b.data(), n, rows, n, out);
        for (size_t r = 0; r < rows; r++)
            ASSERT_EQ(out[r], want[r]) << n;
    }
}

TEST_P(Kernels, Sparse)
{
    std::mt19937 rng(11);
    for (size_t n : dimensions()) {
        std::vector<float> dense[2];
        std::vector<int32_t> index[2];
        std::vector<float> value[2];
        for (int side = 0; side < 2; side++) {
            dense[side].resize(3 * n + 1);
            for (size_t i = 0; i < dense[side].size(); i++) {
                if (rng() % 3)
                    continue;
                put(dense[side][i], rng);
                index[side].push_back(static_cast<int32_t>(i));
                value[side].push_back(dense[side][i]);
            }
        }
        const SparseView a{index[0].data(), value[0].data(), index[0].size()};
        const SparseView b{index[1].data(), value[1].data(), index[1].size()};
        const References<float, float> want(dense[0].data(), dense[1].data(), dense[0].size());
        expect_close(k.sparse.l2sq(a, b), want.l2sq, "sparse l2sq", n);
        expect_close(k.sparse.ip(a, b), want.ip, "sparse ip", n);
        expect_close(k.sparse.l1(a, b), want.l1, "sparse l1", n);
    }
}

TEST_P(Kernels, NormsAndConversions)
{
    std::mt19937 rng(13);
    for (size_t n : dimensions()) {
        GuardedBuffer<float> a(n), back(n);
        GuardedBuffer<half> h(n);
        fill(a, rng);
        fill(h, rng);
        Reference f32, f16;
        for (size_t i = 0; i < n; i++) {
            f32.add(number(a[i]) * number(a[i]));
            f16.add(number(h[i]) * number(h[i]));
        }
        ASSERT_NEAR(k.norm2_f32(a.data(), n), f32.value, 1e-12 * f32.value);
        ASSERT_NEAR(k.norm2_f16(h.data(), n), f16.value, 1e-12 * f16.value);
        k.to_f32(h.data(), back.data(), n);
        for (size_t i = 0; i < n; i++)
            ASSERT_EQ(back[i], to_float(h[i]));
        k.to_f16(a.data(), h.data(), n);
        for (size_t i = 0; i < n; i++)
            ASSERT_EQ(h[i].bits, to_half(a[i]).bits);
    }
    const std::vector<float> large(64, 1e38f);
    const double square = static_cast<double>(large[0]) * large[0];
    EXPECT_NEAR(k.norm2_f32(large.data(), large.size()), 64 * square, 1e-12 * 64 * square);
}

// Each of the 65,536 values, also subnormals, infinity and NaN, in whole registers and in parts of one.
TEST_P(Kernels, EveryHalf)
{
    for (size_t n : {1, 3, 4, 16, 33}) {
        GuardedBuffer<float> a(n);
        GuardedBuffer<half> h(n);
        a[n - 1] = 1;
        for (uint32_t bits = 0; bits <= 0xffff; bits++) {
            h[n - 1] = half{static_cast<uint16_t>(bits)};
            const float want = to_float(h[n - 1]), have = k.f32_f16.ip(a.data(), h.data(), n);
            if (std::isnan(want))
                ASSERT_TRUE(std::isnan(have)) << bits;
            else
                ASSERT_EQ(have, want) << bits;
        }
    }
}

TEST_P(Kernels, SketchScore)
{
    std::mt19937_64 rng(17);
    for (size_t words = 1; words <= 40; words++)
        for (size_t count : {4, 8, 12, 28, 32, 200}) {
            GuardedBuffer<uint64_t> codes(words * count), planes(words * 4);
            for (size_t i = 0; i < codes.size(); i++)
                codes[i] = rng();
            for (size_t i = 0; i < planes.size(); i++)
                planes[i] = rng();
            GuardedBuffer<uint32_t> out(count);
            k.sketches.score(codes.data(), words, count, planes.data(), out.data());
            for (size_t i = 0; i < count; i++) {
                uint32_t want = 0;
                for (size_t w = 0; w < words; w++)
                    for (size_t b = 0; b < 4; b++)
                        want += static_cast<uint32_t>(
                                    __builtin_popcountll(codes[w * count + i] ^ planes[w * 4 + b]))
                                << b;
                ASSERT_EQ(out[i], want) << words << " " << count << " " << i;
            }
            k.sketches.differ(codes.data(), words, count, planes.data(), out.data());
            for (size_t i = 0; i < count; i++) {
                uint32_t want = 0;
                for (size_t w = 0; w < words; w++)
                    want += static_cast<uint32_t>(
                        __builtin_popcountll(codes[w * count + i] ^ planes[w]));
                ASSERT_EQ(out[i], want) << words << " " << count << " " << i;
            }
        }
}

TEST_P(Kernels, SketchEstimate)
{
    std::mt19937 rng(18);
    std::normal_distribution<float> normal;
    for (size_t count = 4; count <= 200; count += 4) {
        GuardedBuffer<uint32_t> score(count);
        GuardedBuffer<float> a(count), b(count), out(count);
        GuardedBuffer<uint64_t> near((count + 63) / 64);
        for (size_t i = 0; i < count; i++) {
            score[i] = static_cast<uint32_t>(rng() % 100000);
            a[i] = normal(rng);
            b[i] = normal(rng);
        }
        a[count - 1] = NAN;
        k.sketches.estimate(score.data(), a.data(), b.data(), count, {0.5f, 2, 1000, -0.02f}, 0.25f,
                            out.data(), near.data());
        for (size_t i = 0; i < count; i++) {
            if (i + 1 < count) {
                const double want = 0.5 + 2.0 * a[i] + b[i] * (1000 - 0.02 * score[i]);
                EXPECT_NEAR(out[i], want, 1e-3) << count << " " << i;
            } else {
                EXPECT_TRUE(std::isnan(out[i]));
            }
            EXPECT_EQ(near[i / 64] >> i % 64 & 1, out[i] <= 0.25f) << count << " " << i;
        }
        if (count % 64) {
            EXPECT_EQ(near[count / 64] >> count % 64, 0u);
        }
    }
}

TEST_P(Kernels, SketchEncode)
{
    std::mt19937 rng(19);
    for (size_t words = 1; words <= 40; words++) {
        const size_t n = words * 64;
        GuardedBuffer<float> x(n), c(n);
        fill(x, rng);
        fill(c, rng);
        x[3] = c[3];   // a zero counts as not negative
        GuardedBuffer<uint64_t> bits(words);
        float abs_sum, sign_dot;
        k.sketches.encode(x.data(), c.data(), words, bits.data(), &abs_sum, &sign_dot);
        Reference magnitude, dot;
        for (size_t j = 0; j < n; j++) {
            const bool negative = x[j] - c[j] < 0;
            ASSERT_EQ((bits[j / 64] >> (j % 64)) & 1, negative ? 0u : 1u);
            magnitude.add(std::fabs(static_cast<double>(x[j]) - c[j]));
            dot.add(negative ? -c[j] : c[j]);
        }
        expect_close(abs_sum, magnitude, "abs_sum", n);
        expect_close(sign_dot, dot, "sign_dot", n);
    }
}

TEST_P(Kernels, SketchQuantize)
{
    std::mt19937 rng(29);
    for (size_t words = 1; words <= 40; words++) {
        const size_t n = words * 64;
        GuardedBuffer<float> x(n);
        GuardedBuffer<uint64_t> planes(words * 4);
        fill(x, rng);
        for (size_t i = 0; i < n; i += 5)
            x[i] = 0;
        float sum, most;
        k.sum_and_max(x.data(), n, &sum, &most);
        Reference want;
        float largest = 0;
        for (size_t i = 0; i < n; i++) {
            want.add(x[i]);
            largest = std::max(largest, std::fabs(x[i]));
        }
        expect_close(sum, want, "sum", n);
        ASSERT_EQ(most, largest);
        k.sketches.quantize(x.data(), words, 7.5f / most, planes.data());
        for (size_t i = 0; i < n; i++) {
            int u = 0;
            for (size_t b = 0; b < 4; b++)
                u |= static_cast<int>(planes[i / 64 * 4 + b] >> (i % 64) & 1) << b;
            if (x[i] == 0)
                ASSERT_EQ(u, 7 + static_cast<int>(i % 2));
            else   // within rounding of the exact value
                ASSERT_NEAR(u, std::clamp(std::floor(x[i] * (7.5 / most) + 8 - 1e-4), 0.0, 15.0),
                            1.0);
        }
    }
}

TEST_P(Kernels, HadamardAndDecode)
{
    std::mt19937 rng(23);
    for (size_t n = 1; n <= 4096; n *= 2) {
        GuardedBuffer<float> x(n);
        fill(x, rng);
        const std::vector<float> before(x.data(), x.data() + n);
        k.hadamard(x.data(), n, 0.5f);
        for (size_t i = 0; i < n; i += 1 + n / 50) {
            Reference want;
            for (size_t j = 0; j < n; j++)
                want.add(__builtin_popcountll(i & j) % 2 ? -0.5 * before[j] : 0.5 * before[j]);
            expect_close(x[i], want, "hadamard", n);
        }
    }
    for (size_t n : dimensions()) {
        GuardedBuffer<uint8_t> code(n);
        GuardedBuffer<float> out(n);
        fill(code, rng);
        k.decode_u8(code.data(), -3.5f, 0.25f, out.data(), n);
        for (size_t i = 0; i < n; i++)
            ASSERT_EQ(out[i], -3.5f + 0.25f * code[i]);
    }
}

TEST_P(Kernels, SignedSum)
{
    std::mt19937 rng(41);
    for (size_t n : dimensions()) {
        GuardedBuffer<float> x(n);
        GuardedBuffer<uint8_t> bits((n + 7) / 8);
        fill(x, rng);
        fill(bits, rng);
        Reference want;
        for (size_t i = 0; i < n; i++)
            want.add(bits[i / 8] >> (7 - i % 8) & 1 ? x[i] : -x[i]);
        expect_close(k.bits.signed_sum(bits.data(), x.data(), n), want, "signed_sum", n);
    }
}

TEST_P(Kernels, ScaledDistance)
{
    std::mt19937 rng(43);
    for (size_t n : dimensions()) {
        GuardedBuffer<float> a(n), scale(n);
        GuardedBuffer<uint8_t> code(n);
        fill(a, rng);
        fill(scale, rng);
        fill(code, rng);
        Reference want;
        for (size_t i = 0; i < n; i++)
            want.add(std::pow(a[i] - static_cast<double>(scale[i]) * code[i], 2));
        expect_close(k.l2sq_scaled(a.data(), scale.data(), code.data(), n), want, "scaled", n);
    }
}

// Codes of 8 bits, and what refines them, against plain loops in double. All instruction sets make the same codes.
TEST_P(Kernels, EncodeAndRefine)
{
    std::mt19937 rng(45);
    const auto& first = kernels_at(available_levels().front());
    for (size_t n : dimensions()) {
        if (n == 0)
            continue;
        for (const bool equal : {false, true}) {
            GuardedBuffer<float> x(n);
            fill(x, rng);
            if (equal)
                std::fill(x.data(), x.data() + n, -7.25f);
            GuardedBuffer<uint8_t> code(n), other(n);
            const CodedTerms t = k.encode_u8(x.data(), n, code.data()),
                             same = first.encode_u8(x.data(), n, other.data());
            ASSERT_TRUE(std::equal(code.data(), code.data() + n, other.data()));
            ASSERT_EQ(t.offset, *std::min_element(x.data(), x.data() + n));
            ASSERT_EQ(t.offset, same.offset);
            ASSERT_EQ(t.scale, same.scale);
            ASSERT_EQ(t.sum, same.sum);
            const auto check = [&](const CodedTerms& got, double most, auto&& decode) {
                double norm2 = 0, error2 = 0;
                for (size_t i = 0; i < n; i++) {
                    const double d = decode(i), x2 = static_cast<double>(x[i]) * x[i];
                    norm2 += d * d;
                    error2 += (x[i] - d) * (x[i] - d);
                    ASSERT_LE(std::fabs(x[i] - d), most * 1.001 + 1e-6 * std::sqrt(x2));
                }
                ASSERT_NEAR(got.norm2, norm2, 1e-6 * norm2);
                ASSERT_NEAR(got.error2, error2, 1e-6 * std::sqrt(norm2 * error2) + 1e-12 * norm2);
            };
            const double offset = t.offset, scale = t.scale;
            check(t, scale / 2, [&](size_t i) { return offset + scale * code[i]; });
            for (const uint32_t bits : {8u, 4u}) {
                if (bits == 4 && n % 2)
                    continue;
                GuardedBuffer<uint8_t> fine(n * bits / 8), others(n * bits / 8);
                const CodedTerms f =
                    k.refine_u8(x.data(), n, t.offset, t.scale, code.data(), bits, fine.data());
                first.refine_u8(x.data(), n, t.offset, t.scale, code.data(), bits, others.data());
                ASSERT_TRUE(std::equal(fine.data(), fine.data() + n * bits / 8, others.data()));
                check(f, scale / (2 << bits), [&](size_t i) {
                    const int u = bits == 8   ? fine[i]
                                  : i < n / 2 ? fine[i] & 15
                                              : fine[i - n / 2] >> 4;
                    return offset + scale * (code[i] + (u + 0.5) / (1 << bits) - 0.5);
                });
            }
            // A mean that is updated row by row.
            GuardedBuffer<float> to(n);
            fill(to, rng);
            const std::vector<float> before(to.data(), to.data() + n);
            k.approach_u8(code.data(), t.offset, t.scale, 0.25f, to.data(), n);
            for (size_t i = 0; i < n; i++)
                ASSERT_NEAR(to[i], 0.75 * before[i] + 0.25 * (offset + scale * code[i]),
                            1e-5 * (std::fabs(before[i]) + std::fabs(offset) + 255 * scale));
        }
    }
}

TEST_P(Kernels, FineProduct)
{
    std::mt19937 rng(44);
    for (size_t n : dimensions())
        for (const uint32_t bits : {8u, 4u}) {
            if (bits == 4 && n % 2)
                continue;
            GuardedBuffer<float> a(n);
            GuardedBuffer<uint8_t> code(n), fine(n * bits / 8);
            fill(a, rng);
            fill(code, rng);
            fill(fine, rng);
            Reference want;
            for (size_t i = 0; i < n; i++) {
                const int f = bits == 8 ? fine[i] : i < n / 2 ? fine[i] & 15 : fine[i - n / 2] >> 4;
                want.add(static_cast<double>(a[i]) * ((code[i] << bits) + f - (1 << (bits + 7))));
            }
            expect_close(k.ip_fine(a.data(), code.data(), fine.data(), bits, n), want, "fine", n);
        }
}

TEST_P(Kernels, ScaleAndRound)
{
    std::mt19937 rng(45);
    for (size_t n : dimensions()) {
        GuardedBuffer<float> x(n), to(n);
        GuardedBuffer<int16_t> rounded(n);
        fill(x, rng);
        k.scale(x.data(), 1e-3, to.data(), n);
        int32_t sum = 0;
        const int32_t got = k.to_i16(x.data(), 1234.5f, rounded.data(), n);
        for (size_t i = 0; i < n; i++) {
            ASSERT_EQ(to[i], static_cast<float>(x[i] * 1e-3));
            ASSERT_NEAR(rounded[i], x[i] * 1234.5, 0.501);
            sum += rounded[i];
        }
        ASSERT_EQ(got, sum);
    }
}

// Columns as the kernels want them.
struct Panels {
    Panels(const simd::Products& products, const std::vector<const uint8_t*>& codes, size_t n)
        : count((codes.size() + products.columns - 1) / products.columns),
          panel(products.columns * n * products.widening), bytes(count * panel + 64)
    {
        for (size_t p = 0; p < count; p++) {
            const size_t first = p * products.columns;
            products.pack(codes.data() + first,
                          std::min<size_t>(products.columns, codes.size() - first), n,
                          data() + p * panel);
        }
    }
    uint8_t* data()
    {
        return bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64) % 64;
    }
    size_t count, panel;
    std::vector<uint8_t> bytes;
};

TEST_P(Kernels, ProductsOfBytes)
{
    std::mt19937 rng(37);
    for (const size_t n : {64, 128, 192, 384, 1536, 16000 / 64 * 64, 32768})
        for (const bool largest : {false, true})
            for (const size_t rows : {1, 2, 3, 4, 7, 8, 9, 17})
                for (const size_t columns : {1, 15, 16, 47, 48, 49, 100}) {
                    if (n > 400 && rows + columns != 9 + 49)
                        continue;
                    std::vector<std::unique_ptr<GuardedBuffer<uint8_t>>> codes;
                    std::vector<const uint8_t*> row, column;
                    for (size_t i = 0; i < rows + columns; i++) {
                        codes.push_back(std::make_unique<GuardedBuffer<uint8_t>>(n));
                        fill(*codes.back(), rng);
                        // With larger numbers, or more, the sums would not fit into 32 bits.
                        if (largest)
                            std::fill_n(codes.back()->data(), n, uint8_t{255});
                        (i < rows ? row : column).push_back(codes.back()->data());
                    }
                    Panels panels(k.products, column, n);
                    const size_t padded = panels.count * k.products.columns, stride = padded + 5;
                    GuardedBuffer<int32_t> out((rows - 1) * stride + padded);
                    k.products.multiply(row.data(), rows, n, panels.data(), panels.count,
                                        out.data(), stride);
                    for (size_t r = 0; r < rows; r++)
                        for (size_t c = 0; c < padded; c++) {
                            int64_t want = 0;
                            for (size_t i = 0; i < n && c < columns; i++)
                                want += row[r][i] * column[c][i];
                            ASSERT_EQ(out[r * stride + c], want)
                                << "n=" << n << " row " << r << " column " << c;
                        }
                }
}

TEST_P(Kernels, DistancesFromProducts)
{
    std::mt19937 rng(41);
    const size_t n = 128;
    for (const size_t columns : {1, 7, 8, 16, 17, 33, 48}) {
        GuardedBuffer<float> offset(columns), scale(columns), sum(columns), norm2(columns);
        GuardedBuffer<int32_t> product(columns);
        std::vector<std::vector<uint8_t>> code(columns + 1, std::vector<uint8_t>(n));
        std::vector<float> offsets, scales;
        for (auto& c : code) {
            for (uint8_t& x : c)
                x = static_cast<uint8_t>(rng());
            offsets.push_back(std::normal_distribution<float>()(rng));
            scales.push_back(std::uniform_real_distribution<float>(0.001f, 0.1f)(rng));
        }
        if (columns > 1) {   // equal to the row: the distance is 0, not less
            code[0] = code[columns];
            offsets[0] = offsets[columns];
            scales[0] = scales[columns];
        }
        const auto coordinate = [&](size_t c, size_t i) {
            return static_cast<double>(offsets[c]) + static_cast<double>(scales[c]) * code[c][i];
        };
        const auto norm = [&](size_t c) {
            double total = 0;
            for (size_t i = 0; i < n; i++)
                total += coordinate(c, i) * coordinate(c, i);
            return static_cast<float>(total);
        };
        CodeTerms row{offsets[columns], scales[columns], 0, norm(columns)};
        for (const uint8_t x : code[columns])
            row.code_sum += x;
        for (size_t c = 0; c < columns; c++) {
            double total = 0;
            product[c] = 0;
            for (size_t i = 0; i < n; i++) {
                total += coordinate(c, i);
                product[c] += code[c][i] * code[columns][i];
            }
            offset[c] = offsets[c];
            scale[c] = scales[c];
            sum[c] = static_cast<float>(total);
            norm2[c] = norm(c);
        }
        GuardedBuffer<float> out(columns);
        const ColumnTerms terms{offset.data(), scale.data(), sum.data(), norm2.data()};
        k.products.l2sq(product.data(), row, terms, columns, out.data());
        for (size_t c = 0; c < columns; c++) {
            Reference want;
            for (size_t i = 0; i < n; i++)
                want.add(std::pow(coordinate(columns, i) - coordinate(c, i), 2));
            want.magnitude = 4 * (row.norm2 + norm2[c]);
            expect_close(out[c], want, "l2sq", columns);
            ASSERT_GE(out[c], 0);
        }
        norm2[columns - 1] = INFINITY;
        k.products.l2sq(product.data(), row, terms, columns, out.data());
        ASSERT_EQ(out[columns - 1], INFINITY);
        norm2[columns - 1] = NAN;
        k.products.l2sq(product.data(), row, terms, columns, out.data());
        ASSERT_TRUE(std::isnan(out[columns - 1]));
    }
}

TEST_P(Kernels, Least)
{
    std::mt19937 rng(43);
    for (size_t round = 0; round < 600; round++) {
        const size_t count = rng() % 400, most = rng() % 65;
        GuardedBuffer<float> x(count);
        const bool ties = round % 3 == 0, odd = round % 5 == 0;
        for (size_t i = 0; i < count; i++) {
            x[i] = ties ? static_cast<float>(rng() % 8) : std::normal_distribution<float>()(rng);
            if (odd && rng() % 3 == 0)
                x[i] = rng() % 2 ? NAN : INFINITY;
        }
        std::vector<std::pair<float, uint32_t>> want;
        for (uint32_t i = 0; i < count; i++)
            if (std::isfinite(x[i]))
                want.push_back({x[i], i});
        std::sort(want.begin(), want.end());
        want.resize(std::min(want.size(), most));
        std::vector<uint32_t> index(most + 1);
        std::vector<float> value(most + 1);
        ASSERT_EQ(k.products.least(x.data(), count, most, index.data(), value.data()), want.size());
        for (size_t i = 0; i < want.size(); i++) {
            ASSERT_EQ(value[i], want[i].first) << "count " << count << ", " << most << " of them";
            ASSERT_EQ(index[i], want[i].second);
        }
    }
}

TEST_P(Kernels, LeastTwo)
{
    std::mt19937_64 rng(44);
    for (size_t round = 0; round < 600; round++) {
        const size_t count = (1 + rng() % 40) * simd::least_two_block;
        GuardedBuffer<uint64_t> keys(count);
        for (size_t i = 0; i < count; i++)
            keys[i] = round % 4 == 0   ? rng() % 100
                      : round % 4 == 1 ? UINT64_MAX - rng() % 9
                                       : rng();
        std::vector<uint64_t> want(keys.data(), keys.data() + count);
        std::sort(want.begin(), want.end());
        uint64_t least[2];
        size_t place[2];
        k.least_two(keys.data(), count, least, place);
        for (size_t i = 0; i < 2; i++) {
            ASSERT_EQ(least[i], want[i]) << "count " << count;
            ASSERT_LT(place[i], count);
            ASSERT_EQ(keys[place[i]], want[i]);
        }
    }
}

TEST_P(Kernels, Within)
{
    std::mt19937 rng(45);
    for (int round = 0; round < 3000; round++) {
        const size_t count = rng() % 65, fields = 1 + rng() % 3;
        GuardedBuffer<uint16_t> codes(count);
        for (size_t i = 0; i < count; i++)
            codes[i] = static_cast<uint16_t>(rng());
        std::vector<simd::FieldRange> ranges;
        for (size_t f = 0; f < fields; f++) {
            const uint32_t bits = fields == 1 ? 16 : 1 + rng() % 5,
                           shift = static_cast<uint32_t>(f * 5), most = (1u << bits) - 1,
                           count_of = 1 + rng() % 3;
            for (uint32_t r = 0; r < count_of; r++) {
                const uint32_t low = rng() % (most + 1), span = rng() % (most - low + 1);
                ranges.push_back({static_cast<uint16_t>(most << shift),
                                  static_cast<uint16_t>(low << shift),
                                  static_cast<uint16_t>(span << shift), r + 1 == count_of});
            }
        }
        const uint64_t got = k.within(codes.data(), count, ranges.data(), ranges.size());
        for (size_t i = 0; i < 64; i++) {
            bool all = i < count, one = false;
            for (const simd::FieldRange& r : ranges) {
                const uint32_t field = i < count ? codes[i] & r.mask : 0;
                one |= field >= r.low && field <= uint32_t{r.low} + r.span;
                if (r.is_last) {
                    all &= one;
                    one = false;
                }
            }
            ASSERT_EQ(got >> i & 1, all) << "code " << i << " of " << count;
        }
    }
}

TEST_P(Kernels, Codebooks)
{
    std::mt19937 rng(31);
    for (size_t size : {16, 48, 256})
        for (size_t dims : {1, 2, 3, 4, 7, 8, 12, 16, 33, 48}) {
            const size_t rows = 21, stride = dims + 3;
            GuardedBuffer<float> x((rows - 1) * stride + dims), c(dims * size), h(size), out(size);
            fill(x, rng);
            fill(c, rng);
            fill(h, rng);
            std::vector<uint32_t> best(rows);
            std::vector<float> gap(rows);
            k.codebooks.nearest(x.data(), stride, rows, dims, c.data(), h.data(), size, best.data(),
                                gap.data());
            for (size_t r = 0; r < rows; r++) {
                Reference least, at_best;
                least.value = INFINITY;
                for (size_t i = 0; i < size; i++) {
                    Reference want;
                    want.add(h[i]);
                    for (size_t j = 0; j < dims; j++)
                        want.add(-static_cast<double>(x[r * stride + j]) * c[j * size + i]);
                    if (want.value < least.value)
                        least = want;
                    if (i == best[r])
                        at_best = want;
                }
                ASSERT_LT(best[r], size);
                expect_close(gap[r], least, "gap", dims);
                expect_close(gap[r], at_best, "gap of the best", dims);
            }
            k.codebooks.l2sq(x.data(), dims, c.data(), size, out.data());
            for (size_t i = 0; i < size; i++) {
                Reference want;
                for (size_t j = 0; j < dims; j++)
                    want.add(std::pow(static_cast<double>(x[j]) - c[j * size + i], 2));
                expect_close(out[i], want, "l2sq", dims);
            }
            k.codebooks.ip(x.data(), dims, c.data(), size, out.data());
            for (size_t i = 0; i < size; i++) {
                Reference want;
                for (size_t j = 0; j < dims; j++)
                    want.add(static_cast<double>(x[j]) * c[j * size + i]);
                expect_close(out[i], want, "ip", dims);
            }
        }
    // The first of equals.
    std::vector<float> x(4, 1.0f), same(4 * 256, 2.0f), h(256, 0.0f), gap(1);
    std::vector<uint32_t> best(1);
    k.codebooks.nearest(x.data(), 4, 1, 4, same.data(), h.data(), 256, best.data(), gap.data());
    EXPECT_EQ(best[0], 0u);
    // Nothing but NaN is still a place in the codebook.
    std::fill(same.begin(), same.end(), NAN);
    k.codebooks.nearest(x.data(), 4, 1, 4, same.data(), h.data(), 256, best.data(), gap.data());
    EXPECT_LT(best[0], 256u);
}

TEST_P(Kernels, CodebookScore)
{
    std::mt19937 rng(37);
    for (size_t groups = 0; groups <= 70; groups++)
        for (size_t count : {1, 3, 4, 9}) {
            const size_t stride = groups + 5;
            GuardedBuffer<float> tables(groups * 256), out(count);
            GuardedBuffer<uint8_t> codes((count - 1) * stride + groups);
            fill(tables, rng);
            fill(codes, rng);
            k.codebooks.score(tables.data(), groups, codes.data(), stride, count, out.data());
            for (size_t i = 0; i < count; i++) {
                Reference want;
                for (size_t g = 0; g < groups; g++)
                    want.add(tables[g * 256 + codes[i * stride + g]]);
                expect_close(out[i], want, "score", groups);
            }
        }
}

TEST_P(Kernels, CodebookScoreNibbles)
{
    std::mt19937 rng(38);
    for (size_t groups = 0; groups <= 70; groups++)
        for (size_t count : {1, 16, 31, 32, 33, 64, 130})
            for (size_t stride : {groups, groups + 5, (groups + 15) / 16 * 16}) {
                GuardedBuffer<uint8_t> tables((groups + 3) / 4 * 128);
                GuardedBuffer<uint8_t> codes((count - 1) * stride + groups);
                GuardedBuffer<uint32_t> out(count);
                fill(tables, rng);
                // A little below 65,536 in all with 70 groups: the largest entries there are
                for (size_t g = 0; g < (groups + 3) / 4 * 4; g++)
                    for (size_t i = 0; i < 16; i++) {
                        uint8_t* at = tables.data() + g / 4 * 128 + g % 4 * 16 + i;
                        at[0] = g < groups ? (i == 7 ? 255 : at[0]) : 0;
                        at[64] = g < groups ? (i == 9 ? 255 : at[64]) : 0;
                    }
                fill(codes, rng);
                std::fill_n(codes.data(), groups, uint8_t{0x97});
                GuardedBuffer<uint64_t> near((count + 63) / 64);
                const auto limit = static_cast<uint32_t>(groups * 255);
                k.codebooks.score_nibbles(tables.data(), groups, codes.data(), stride, count, limit,
                                          out.data(), near.data());
                ASSERT_EQ(out[0], groups * 510);
                for (size_t i = 0; i < (count + 63) / 64 * 64; i++)
                    ASSERT_EQ(near[i / 64] >> i % 64 & 1, i < count && out[i] <= limit);
                for (size_t i = 0; i < count; i++) {
                    uint32_t want = 0;
                    for (size_t g = 0; g < groups; g++) {
                        const uint8_t byte = codes[i * stride + g];
                        const uint8_t* at = tables.data() + g / 4 * 128 + g % 4 * 16;
                        want += at[byte & 15] + at[64 + (byte >> 4)];
                    }
                    ASSERT_EQ(out[i], want) << groups << " " << count << " " << stride << " " << i;
                }
            }
}

TEST_P(Kernels, NanAndInfinityPropagate)
{
    for (size_t n : {1, 7, 16, 33, 100}) {
        std::vector<float> a(n, 1.0f), b(n, 1.0f);
        b[n - 1] = NAN;
        EXPECT_TRUE(std::isnan(k.f32.l2sq(a.data(), b.data(), n)));
        EXPECT_TRUE(std::isnan(k.f32.ip(a.data(), b.data(), n)));
        EXPECT_TRUE(std::isnan(k.f32.l1(a.data(), b.data(), n)));
        b[n - 1] = INFINITY;
        EXPECT_TRUE(std::isinf(k.f32.l2sq(a.data(), b.data(), n)));
    }
}

TEST_P(Kernels, LevelCanBeForced)
{
    ASSERT_TRUE(set_level(GetParam()));
    EXPECT_STREQ(kernels().name, level_name(GetParam()));
    EXPECT_TRUE(set_level(available_levels().back()));
}

INSTANTIATE_TEST_SUITE_P(Levels, Kernels, testing::ValuesIn(available_levels()),
                         [](const auto& info) { return level_name(info.param); });

}   // namespace
