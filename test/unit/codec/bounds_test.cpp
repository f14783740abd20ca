// Bounds of distances, from numbers that are made up: what they must contain, and how loose they may be.
#include "codec/bounds.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "simd/kernels.hpp"

using namespace quiver;
using namespace quiver::codec;

namespace {

constexpr uint32_t dims = 256;
constexpr double most = 0.99;   // of what may be wrong

const MetricTraits& l2 = traits_of(Metric::l2);
const MetricTraits& cosine = traits_of(Metric::cosine);
const MetricTraits& ip = traits_of(Metric::ip);
const MetricTraits& l1 = traits_of(Metric::l1);

void expect_within(const Bounds& b, double distance)
{
    EXPECT_LE(b.low, distance);
    EXPECT_GE(b.high, distance);
}
// A distance of the Geometry, as the operators of l2 and cosine return it
void expect_euclidean_within(const Measured& m, double square)
{
    expect_within(certain_bounds(l2, m), std::sqrt(square));
    expect_within(certain_bounds(cosine, m), square / 2);
}

// The query lies on the line through x and x', so the whole error is in the distance.
TEST(Bounds, ContainTheWholeErrorOfTheCode)
{
    for (const double error : {1e-3, 0.1, 0.5, 3.0})
        for (const double to_code : {0.2, 1.0, 2.0, 50.0})
            for (const double sign : {1.0, -1.0}) {
                const double q2 = to_code * to_code, x = to_code + sign * error;
                expect_euclidean_within({to_code * to_code, q2, 1e-9, error, 0, dims}, x * x);
                const double product = 2 * to_code;   // |x'| = 2
                expect_within(certain_bounds(ip, {-product, q2, 4, error, 0, dims}),
                              -(product + sign * to_code * error));
                expect_within(certain_bounds(l1, {to_code, to_code, 1e-9, error, 0, dims}),
                              std::fabs(x));
            }
}

// The code of the query is off by query_error in the direction of x', and |x'| differs from |q|.
TEST(Bounds, ContainTheErrorOfTheQuery)
{
    for (const double length : {0.01, 1.0, 100.0})   // of x'; |q| = 1
        for (const double sign : {most, -most}) {
            const double query_error = 1e-3, norm2 = length * length, product = 0.9 * length;
            const double off = sign * query_error * length, square = 1 + norm2 - 2 * product;
            expect_euclidean_within({square + 2 * off, 1, norm2, 0, query_error, dims}, square);
            expect_within(certain_bounds(ip, {-product - off, 1, norm2, 0, query_error, dims}),
                          -product);
        }
}

// Sums of floats are relative to their terms, which can be much larger than the distance.
TEST(Bounds, ContainTheRoundingOfSums)
{
    for (const double q2 : {1e-6, 1.0, 1e4})
        for (const double norm2 : {1e-6, 1.0, 1e4})
            for (const double sign : {most, -most}) {
                const double square = std::pow(std::sqrt(q2) - std::sqrt(norm2), 2) + 1e-3;
                const double off = sign * rounding(dims) * (q2 + norm2);
                expect_euclidean_within({square + off, q2, norm2, 0, 0, dims}, square);
                const double product = std::sqrt(q2 * norm2) / 2;
                expect_within(certain_bounds(ip, {-product * (1 + sign * rounding(dims)), q2, norm2,
                                                  0, 0, dims}),
                              -product);
                const double sum = q2 + norm2;   // of absolute values
                expect_within(certain_bounds(l1, {sum / 3 + sign * rounding(dims) * sum, q2, norm2,
                                                  0, 0, dims}),
                              sum / 3);
            }
}

// The operators, too, round: of vectors whose code is exact.
TEST(Bounds, ContainTheRoundingOfTheOperator)
{
    for (const double square : {0.5, 1.0, 4.0})
        for (const double sign : {most, -most})
            expect_euclidean_within({square, 1, 1, 0, 0, dims},
                                    square * (1 + sign * rounding(dims)));
}

// Equal terms are the worst: each addition rounds in the same direction.
TEST(Bounds, AllowForWhatKernelsRound)
{
    for (const simd::Level level : simd::available_levels())
        for (const size_t n : {64, 1024, 4096, 16000})
            for (const float v : {0.1f, 0.3f, 0.7f, 1.9f}) {
                const std::vector<float> x(n, v), y(n, -v / 3);
                const simd::Kernels& k = simd::kernels_at(level);
                const double a = v, b = static_cast<double>(v) - y[0],
                             terms = static_cast<double>(n);
                const double allowed = rounding(static_cast<uint32_t>(n));
                EXPECT_NEAR(k.f32.ip(x.data(), x.data(), n) / (terms * a * a), 1, allowed);
                EXPECT_NEAR(k.f32.l2sq(x.data(), y.data(), n) / (terms * b * b), 1, allowed);
                EXPECT_NEAR(k.f32.l1(x.data(), y.data(), n) / (terms * b), 1, allowed);
            }
}

// Codes x' at a known angle from x, in random directions from it, with errors orthogonal to x'. Each
// bound is wrong for 1 vector in 741.
TEST(LikelyBounds, AreWrongAsOftenAsThreeDeviationsAre)
{
    std::mt19937 rng(11);
    std::normal_distribution<double> normal;
    constexpr int n = 512, count = 5000;
    const auto dot = [](const std::vector<double>& x, const std::vector<double>& y) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += x[i] * y[i];
        return sum;
    };
    for (const MetricTraits* metric : {&l2, &cosine, &ip})
        for (const double angle : {0.3, 0.8}) {
            int too_high = 0, too_low = 0;
            for (int i = 0; i < count; i++) {
                std::vector<double> x(n), aside(n), code(n), q(n);
                for (size_t j = 0; j < n; j++) {
                    x[j] = normal(rng);
                    aside[j] = normal(rng);
                    q[j] = normal(rng) + 0.3 * x[j];
                }
                const double x2 = dot(x, x), along = dot(aside, x) / x2;
                for (size_t j = 0; j < n; j++)
                    aside[j] -= along * x[j];
                const double to = std::sin(angle) * std::sqrt(x2 / dot(aside, aside));
                for (size_t j = 0; j < n; j++)
                    code[j] = std::cos(angle) * (std::cos(angle) * x[j] + to * aside[j]);
                const auto distance = [&](const std::vector<double>& y) {
                    return metric == &ip ? -dot(q, y) : dot(q, q) + dot(y, y) - 2 * dot(q, y);
                };
                const Bounds b = likely_bounds(*metric, {distance(code), dot(q, q), dot(code, code),
                                                         std::sin(angle) * std::sqrt(x2), 0, n});
                const double exact = metric == &l2       ? std::sqrt(distance(x))
                                     : metric == &cosine ? distance(x) / 2
                                                         : distance(x);
                too_high += b.low > exact;
                too_low += b.high < exact;
            }
            for (const int wrong : {too_high, too_low}) {   // 7 expected
                EXPECT_LT(wrong, 20) << metric->name << " " << angle;
                EXPECT_GT(wrong, 0) << metric->name << " " << angle;
            }
        }
}

}   // namespace
