// The codebook that all subvectors share: what its codes decode to, errors and inner products against
// plain loops.
#include "codec/shared_product.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

using namespace quiver;
using namespace quiver::codec;

namespace {

std::vector<float> gaussian(std::mt19937& rng, size_t n, float scale)
{
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> x(n);
    for (float& v : x)
        v = normal(rng);
    return x;
}

struct Shared : testing::TestWithParam<size_t> {
    size_t length = GetParam();
    std::mt19937 rng{3};
    SharedCodebook codebook;

    void train(const std::vector<std::vector<float>>& rows)
    {
        SharedTrainer trainer(length);
        for (const auto& x : rows)
            trainer.add(x.data(), x.size());
        std::vector<half> stored(SharedCodebook::floats_of(length));
        trainer.train(1, stored.data(), [] {});
        codebook.set(stored.data(), length, 16000);
    }
};

TEST_P(Shared, ErrorsAreTrueAndSmall)
{
    // What a byte for so many normally distributed coordinates can't beat is 2^(-16 / length).
    const double bound = std::pow(2.0, -16.0 / static_cast<double>(length));
    // The best of many centroids in two dimensions are 2.02 times that (Zador 1982), in more less.
    const double most = length == 2 ? 2.4 : 1.8;
    for (const bool trained : {false, true}) {
        std::vector<std::vector<float>> rows;
        for (int i = 0; i < 200 && trained; i++)
            rows.push_back(gaussian(rng, 384, std::pow(10.0f, static_cast<float>(i % 7) - 3)));
        train(rows);
        for (const size_t n : {64, 384, 2048, 16000}) {
            double error = 0, norm = 0;
            for (int i = 0; i < 20; i++) {
                const auto x = gaussian(rng, n, i % 2 ? 1e-3f : 50.0f);
                std::vector<uint8_t> code(n / length);
                std::vector<float> back(n);
                const CodeParams p = codebook.encode(x.data(), n, code.data());
                codebook.decode(p, code.data(), n, back.data());
                double e2 = 0, x2 = 0, back2 = 0;
                for (size_t j = 0; j < n; j++) {
                    const double e = static_cast<double>(x[j]) - back[j];
                    e2 += e * e;
                    x2 += static_cast<double>(x[j]) * x[j];
                    back2 += static_cast<double>(back[j]) * back[j];
                }
                ASSERT_LE(std::sqrt(e2), p.error * (1 + 1e-5));
                ASSERT_GE(std::sqrt(e2), p.error * (1 - 1e-3));
                ASSERT_NEAR(p.norm2, back2, 1e-4 * back2);
                error += e2 / x2;
                norm += 1;
            }
            EXPECT_LT(error / norm, most * bound) << n;
            EXPECT_GT(error / norm, 0.7 * bound) << n;
        }
    }
}

// What likely_bounds() relies on.
TEST_P(Shared, ErrorsAreOrthogonalToWhatIsDecoded)
{
    train({});
    for (int i = 0; i < 20; i++) {
        const size_t n = 128;
        const auto x = gaussian(rng, n, 3);
        std::vector<uint8_t> code(n / length);
        std::vector<float> back(n);
        const CodeParams p = codebook.encode(x.data(), n, code.data());
        codebook.decode(p, code.data(), n, back.data());
        double dot = 0;
        for (size_t j = 0; j < n; j++)
            dot += (static_cast<double>(x[j]) - back[j]) * back[j];
        EXPECT_NEAR(dot, 0, 1e-5 * p.norm2);
    }
}

TEST_P(Shared, SixtyFourVectorsHaveACentre)
{
    const size_t n = 64;
    const std::vector<float> x(n, 3.0f);
    SharedTrainer trainer(length);
    std::vector<half> mean(n);
    for (int i = 1; i <= 64; i++) {
        trainer.add(x.data(), n);
        if (i == 63) {
            trainer.centre(mean.data(), n);
            EXPECT_EQ(to_float(mean[0]), 0.0f);
        }
    }
    trainer.centre(mean.data(), n);
    EXPECT_EQ(to_float(mean[0]), 3.0f);
}

TEST_P(Shared, InnerProductsAreOfWhatIsDecoded)
{
    train({});
    for (const size_t n : {64, 384, 4096, 16000}) {   // with a table, and too long for one
        const auto x = gaussian(rng, n, 2), y = gaussian(rng, n, 3), q = gaussian(rng, n, 1);
        std::vector<uint8_t> cx(n / length), cy(n / length);
        std::vector<float> bx(n), by(n);
        const CodeParams px = codebook.encode(x.data(), n, cx.data());
        const CodeParams py = codebook.encode(y.data(), n, cy.data());
        codebook.decode(px, cx.data(), n, bx.data());
        codebook.decode(py, cy.data(), n, by.data());
        double xy = 0, qx = 0;
        for (size_t i = 0; i < n; i++) {
            xy += static_cast<double>(bx[i]) * by[i];
            qx += static_cast<double>(q[i]) * bx[i];
        }
        const double root = std::sqrt(static_cast<double>(n));
        EXPECT_NEAR(codebook.ip(px, cx.data(), py, cy.data(), n), xy, 1e-4 * 6 * root);
        SharedQuery query;
        query.set(codebook, q.data(), n);
        EXPECT_NEAR(query.ip(px, cx.data()), qx, 1e-4 * 2 * root);
    }
}

// Of vectors far from the origin the codes are of what lies around their mean.
TEST_P(Shared, CentreIsTheMean)
{
    const size_t n = 192;
    std::vector<std::vector<float>> rows;
    for (int i = 0; i < 500; i++) {
        rows.push_back(gaussian(rng, n, 1));
        for (size_t j = 0; j < n; j++)
            rows.back()[j] += j % 2 ? 20.0f : -10.0f;
    }
    SharedTrainer trainer(length), few(length), none(length);
    for (size_t i = 0; i < rows.size(); i++) {
        trainer.add(rows[i].data(), n);
        if (i < 10)
            few.add(rows[i].data(), n);
    }
    std::vector<half> mean(n), stored(SharedCodebook::floats_of(length));
    for (SharedTrainer* t : {&few, &none}) {
        t->centre(mean.data(), n);
        for (const half h : mean)
            ASSERT_EQ(to_float(h), 0.0f);
    }
    trainer.centre(mean.data(), n);
    for (size_t j = 0; j < n; j++)
        ASSERT_NEAR(to_float(mean[j]), j % 2 ? 20 : -10, 0.3);
    trainer.train(1, stored.data(), [] {});
    codebook.set(stored.data(), length, n);
    double error = 0;
    for (auto& x : rows) {
        for (size_t j = 0; j < n; j++)
            x[j] -= to_float(mean[j]);
        std::vector<uint8_t> code(n / length);
        const CodeParams p = codebook.encode(x.data(), n, code.data());
        error += static_cast<double>(p.error) * p.error / static_cast<double>(n * rows.size());
    }
    // As of normally distributed coordinates (above)
    EXPECT_LT(error, 2.4 * std::pow(2.0, -16.0 / static_cast<double>(length)));
    // Means that no half can hold
    SharedTrainer wide(length);
    for (int i = 0; i < 100; i++)
        wide.add(std::vector<float>(64, 1e15f).data(), 64);
    std::vector<half> most(64);
    wide.centre(most.data(), 64);
    EXPECT_TRUE(std::isfinite(to_float(most[0])));
}

TEST_P(Shared, ExtremesAreHarmless)
{
    train(
        {std::vector<float>(64, 0), std::vector<float>(64, 1e30f), std::vector<float>(64, 1e-40f)});
    for (const float v : {0.0f, 1e-40f, 1e-30f, 1e18f, -1e18f}) {
        const std::vector<float> x(64, v);
        std::vector<uint8_t> code(64 / length);
        std::vector<float> back(64);
        const CodeParams p = codebook.encode(x.data(), 64, code.data());
        codebook.decode(p, code.data(), 64, back.data());
        double e2 = 0;
        for (size_t i = 0; i < 64; i++) {
            ASSERT_TRUE(std::isfinite(back[i]));
            e2 += (static_cast<double>(v) - back[i]) * (static_cast<double>(v) - back[i]);
        }
        EXPECT_LE(std::sqrt(e2), p.error * (1 + 1e-5) + 1e-37);
    }
}

INSTANTIATE_TEST_SUITE_P(Lengths, Shared, testing::Values(2, 4, 8));

}   // namespace
