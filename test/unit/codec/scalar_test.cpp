// Codes of 8 bits and finer ones, and folded vectors, against plain loops in double.
#include "codec/fine.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "codec/folding.hpp"

using namespace quiver;
using namespace quiver::codec;

namespace {

std::vector<float> gaussian(std::mt19937& rng, size_t n, float mean)
{
    std::normal_distribution<float> normal(mean, 1);
    std::vector<float> x(n);
    for (float& v : x)
        v = normal(rng);
    return x;
}

// The query's integers and both fine codes against products with what the codes decode to.
TEST(Scalar, ProductsWithCodes)
{
    std::mt19937 rng(3);
    for (const size_t n : {64, 128, 384, 1536})
        for (const float mean : {0.0f, 7.0f})
            for (const uint32_t bits : {8u, 4u}) {
                const auto x = gaussian(rng, n, mean), q = gaussian(rng, n, mean);
                std::vector<uint8_t> code(n), fine(n);
                const CodeParams p = scalar_encode(x.data(), n, code.data());
                const FineParams fp = scalar_refine(x.data(), n, p, code.data(), bits, fine.data());
                double norm2 = 0, q2 = 0, q_sum = 0, want = 0, error2 = 0, fine_want = 0,
                       fine_error2 = 0, fine_norm2 = 0;
                for (size_t i = 0; i < n; i++) {
                    const double d = p.offset + static_cast<double>(p.scale) * code[i],
                                 f = scalar_fine_decode(
                                     p, code[i], scalar_fine_at(fine.data(), n, bits, i), bits);
                    norm2 += d * d;
                    q2 += static_cast<double>(q[i]) * q[i];
                    q_sum += q[i];
                    want += q[i] * d;
                    error2 += (x[i] - d) * (x[i] - d);
                    fine_want += q[i] * f;
                    fine_error2 += (x[i] - f) * (x[i] - f);
                    fine_norm2 += f * f;
                }
                const double scale = std::sqrt(q2 * norm2);
                EXPECT_LE(std::sqrt(error2), p.error + 1e-6 * std::sqrt(norm2));
                EXPECT_LE(std::sqrt(fine_error2), fp.error + 1e-6 * std::sqrt(norm2));
                EXPECT_LT(fp.error, p.error / (bits == 8 ? 128 : 8));
                EXPECT_NEAR(p.norm2, norm2, 1e-5 * norm2);
                EXPECT_NEAR(fp.norm2, fine_norm2, 1e-5 * norm2);
                ScalarQuery query;
                query.set(q.data(), n, q2);
                EXPECT_NEAR(query.sum(), q_sum, 1e-5 * std::sqrt(q2 * static_cast<double>(n)));
                EXPECT_NEAR(query.ip(p, code.data()), want,
                            query.error() * std::sqrt(norm2) + 2e-6 * scale);
                EXPECT_NEAR(scalar_fine_ip(q.data(), q_sum, p, code.data(), fine.data(), bits, n),
                            fine_want, 1e-6 * scale);
            }
}

TEST(Scalar, EachCoordinateHasTheNearestCode)
{
    std::mt19937 rng(5);
    const size_t n = 1000;
    const auto x = gaussian(rng, n, 0);
    std::vector<uint8_t> code(n);
    const CodeParams p = scalar_encode(x.data(), n, code.data());
    for (size_t i = 0; i < n; i++)
        ASSERT_NEAR(p.offset + p.scale * static_cast<float>(code[i]), x[i], 0.501f * p.scale);
}

TEST(Scalar, ErrorsAreRoundedUp)
{
    std::mt19937 rng(9);
    for (const uint32_t bits : {8u, 4u})
        for (int round = 0; round < 50; round++) {
            const size_t n = 64;
            const auto x = gaussian(rng, n, 1);
            std::vector<uint8_t> code(n), fine(n);
            const CodeParams p = scalar_encode(x.data(), n, code.data());
            const FineParams fp = scalar_refine(x.data(), n, p, code.data(), bits, fine.data());
            double error2 = 0, fine_error2 = 0;
            for (size_t i = 0; i < n; i++) {
                const double decoded = p.offset + static_cast<double>(p.scale) * code[i];
                const double f =
                    scalar_fine_decode(p, code[i], scalar_fine_at(fine.data(), n, bits, i), bits);
                error2 += (x[i] - decoded) * (x[i] - decoded);
                fine_error2 += (x[i] - f) * (x[i] - f);
            }
            EXPECT_GE(p.error, std::sqrt(error2));
            EXPECT_GE(fp.error, std::sqrt(fine_error2));
        }
}

// All terms are positive, so the sum is as large as it can be: it must fit into 32 bits.
TEST(Scalar, SumsOfLongVectorsDoNotOverflow)
{
    for (const size_t n : {64, 1536, 16000}) {
        std::vector<float> x(n, 1.0f);
        x[0] = 0;   // so that all other codes are 255
        const std::vector<float> q(n, 0.5f);
        std::vector<uint8_t> code(n);
        const CodeParams p = scalar_encode(x.data(), n, code.data());
        ScalarQuery query;
        query.set(q.data(), n, 0.25 * static_cast<double>(n));
        const double want = 0.5 * static_cast<double>(n - 1);
        EXPECT_NEAR(query.ip(p, code.data()), want,
                    query.error() * std::sqrt(static_cast<double>(n)) + 1e-6 * want);
    }
}

// Each coordinate is rounded by almost half a step, in the same direction.
TEST(Scalar, TheErrorOfAQueryCoversTheWorstRounding)
{
    const size_t n = 256;
    const std::vector<float> x(n, 1.0f);   // its code is exact
    std::vector<uint8_t> code(n);
    const CodeParams p = scalar_encode(x.data(), n, code.data());
    for (const float by : {0.49f, -0.49f}) {
        std::vector<float> q(n, (100 + by) / 1024);
        q[0] = 32766.0f / 1024;   // the step is 1 / 1024
        double q2 = 0, want = 0;
        for (const float v : q) {
            q2 += static_cast<double>(v) * v;
            want += v;
        }
        ScalarQuery query;
        query.set(q.data(), n, q2);
        const double off = std::fabs(query.ip(p, code.data()) - want);
        EXPECT_GT(off, 0.48 / 1024 * static_cast<double>(n - 1));
        EXPECT_LE(off, query.error() * std::sqrt(static_cast<double>(n)));
    }
}

TEST(Scalar, TinyNumbersAreHarmless)
{
    const size_t n = 64;
    std::vector<uint8_t> code(n);
    std::vector<float> x(n, 3e-42f);
    x[5] = 0;
    const CodeParams p = scalar_encode(x.data(), n, code.data());
    EXPECT_EQ(p.scale, 0);   // 1 / step would overflow
    double error2 = 0;
    for (size_t i = 0; i < n; i++) {
        const double decoded = p.offset + static_cast<double>(p.scale) * code[i];
        ASSERT_TRUE(std::isfinite(decoded));
        error2 += (x[i] - decoded) * (x[i] - decoded);
    }
    EXPECT_GE(p.error, std::sqrt(error2));
    // A query that is taken as 0 is off by its length.
    ScalarQuery query;
    query.set(x.data(), n, 0);
    EXPECT_EQ(query.step(), 0);
    EXPECT_GE(query.error(), std::sqrt(63.0) * 3e-42);
}

// Of random signs, the products with 4-bit queries are those with the floats, but for noise.
TEST(Binary, ProductsWithSignsAreUnbiased)
{
    std::mt19937 rng(6);
    constexpr size_t words = 4, n = words * 64, count = 4;
    double got_want = 0, want_want = 0, bias = 0, size = 0;
    for (int round = 0; round < 200; round++) {
        const auto q = gaussian(rng, n, round % 2 ? 0.5f : -0.2f);
        BinaryQuery query;
        query.set(q.data(), words);
        std::vector<uint64_t> signs(words * count);
        for (uint64_t& s : signs)
            s = static_cast<uint64_t>(rng()) << 32 | rng();
        std::vector<uint32_t> score(count + 8);
        simd::kernels().sketches.score(signs.data(), words, count, query.planes(), score.data());
        for (size_t i = 0; i < count; i++) {
            double want = 0;
            for (size_t j = 0; j < n; j++)
                want += signs[j / 64 * count + i] >> j % 64 & 1 ? q[j] : -q[j];
            const double got = query.offset() + query.factor() * static_cast<double>(score[i]);
            got_want += got * want;
            want_want += want * want;
            bias += got - want;
            size += std::fabs(want);
        }
    }
    EXPECT_NEAR(got_want / want_want, 1, 0.03);
    EXPECT_LT(std::fabs(bias), 0.05 * size);
}

TEST(Binary, FoldedVectors)
{
    std::mt19937 rng(4);
    for (const size_t n : {64, 192, 384, 448})
        for (size_t fold = 1; fold <= 9; fold++) {
            const auto x = gaussian(rng, n, 0);
            const size_t words = sketch_words(n, fold);
            std::vector<float> folded(words * 64, -1);
            fold_vector(x.data(), n, fold, words, folded.data());
            for (size_t i = 0; i < folded.size(); i++) {
                double sum = 0;
                for (size_t j = i * fold; j < std::min(n, (i + 1) * fold); j++)
                    sum += x[j];
                ASSERT_NEAR(folded[i], sum / std::sqrt(fold), 1e-5) << n << " " << fold << " " << i;
            }
        }
}

}   // namespace
