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
