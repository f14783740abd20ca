// Product and scalar quantization against plain loops over what their codes decode to.
#include "codec/product.hpp"
#include "codec/scalar.hpp"
#include "codec/trained_scalar.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <utility>
#include <vector>

using namespace quiver;
using namespace quiver::codec;

namespace {

// Rows around 40 points, so that there is something to learn; `far` moves all from the origin.
std::vector<float> clustered(size_t rows, size_t dims, float far = 0)
{
    std::mt19937 rng(5);
    std::normal_distribution<float> normal;
    std::vector<float> points(40 * dims), x(rows * dims);
    for (float& v : points)
        v = 3 * normal(rng);
    for (size_t i = 0; i < rows; i++) {
        const size_t p = rng() % 40;
        for (size_t j = 0; j < dims; j++)
            x[i * dims + j] = far + points[p * dims + j] + normal(rng);
    }
    return x;
}

double squared_distance(const float* x, const float* y, size_t n)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += std::pow(static_cast<double>(x[i]) - y[i], 2);
    return total;
}

int polls;
void poll() { polls++; }

struct Trained {
    ProductShape shape;
    std::vector<float> x, codebook, decoded;
    std::vector<uint8_t> codes;
    double error = 0, spread = 0;   // mean squared distances: to the decoded vector, to the mean

    Trained(ProductShape s, size_t rows, float far = 0)
        : shape(s), x(clustered(rows, s.dims, far)), codebook(s.codebook_floats()),
          decoded(rows * s.dims), codes(rows * s.code_bytes())
    {
        product_train(s, x.data(), rows, 1, codebook.data(), poll);
        ProductEncoder(s, codebook.data()).encode(x.data(), rows, codes.data());
        std::vector<float> mean(s.dims, 0.0f);
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < s.dims; j++)
                mean[j] += x[i * s.dims + j] / static_cast<float>(rows);
        for (size_t i = 0; i < rows; i++) {
            float* to = decoded.data() + i * s.dims;
            product_decode(s, codebook.data(), codes.data() + i * s.code_bytes(), to);
            error +=
                squared_distance(x.data() + i * s.dims, to, s.dims) / static_cast<double>(rows);
            spread += squared_distance(x.data() + i * s.dims, mean.data(), s.dims) /
                      static_cast<double>(rows);
        }
    }
};

TEST(Product, EveryShape)
{
    for (const ProductShape shape : {ProductShape{128, 32, 8},
                                     {128, 32, 4},
                                     {1, 1, 8},
                                     {1, 1, 4},
                                     {7, 3, 8},
                                     {7, 7, 4},
                                     {33, 5, 4},
                                     {100, 1, 8}}) {
        const size_t rows = 700;
        const Trained t(shape, rows);
        EXPECT_LT(t.error, 0.9 * t.spread) << shape.dims << " " << shape.subvectors;
        // Each subvector has the nearest of its centroids.
        const size_t k = shape.centroids();
        for (size_t i = 0; i < rows; i += 50)
            for (size_t s = 0; s < shape.subvectors; s++) {
                const size_t begin = shape.begin(s), length = shape.length(s);
                const float* v = t.x.data() + i * shape.dims + begin;
                double least = INFINITY;
                for (size_t c = 0; c < k; c++) {
                    double d = 0;
                    for (size_t j = 0; j < length; j++)
                        d += std::pow(static_cast<double>(v[j]) - t.codebook[(begin + j) * k + c],
                                      2);
                    least = std::min(least, d);
                }
                EXPECT_NEAR(squared_distance(v, t.decoded.data() + i * shape.dims + begin, length),
                            least, 1e-4 * (1 + least));
            }
        // The tables give distances to the decoded vectors.
        std::vector<float> l2(shape.table_floats()), ip(shape.table_floats()), got(rows);
        const float* q = t.x.data();
        product_l2sq_table(shape, t.codebook.data(), q, l2.data());
        product_ip_table(shape, t.codebook.data(), q, ip.data());
        for (const bool l2sq : {true, false}) {
            simd::kernels().codebooks.score((l2sq ? l2 : ip).data(), shape.code_bytes(),
                                            t.codes.data(), shape.code_bytes(), rows, got.data());
            for (size_t i = 0; i < rows; i++) {
                double want = 0, magnitude = 1;
                for (size_t j = 0; j < shape.dims; j++) {
                    const double a = q[j], b = t.decoded[i * shape.dims + j];
                    want += l2sq ? (a - b) * (a - b) : a * b;
                    magnitude += l2sq ? (a - b) * (a - b) : std::fabs(a * b);
                }
                ASSERT_NEAR(got[i], want, 1e-5 * magnitude);
            }
        }
    }
}

TEST(Product, MoreBytesLessError)
{
    double before = INFINITY;
    for (const ProductShape shape :
         {ProductShape{64, 4, 4}, {64, 8, 4}, {64, 8, 8}, {64, 16, 8}, {64, 64, 8}}) {
        const Trained t(shape, 4000);
        EXPECT_LT(t.error, before) << shape.subvectors << " x " << shape.bits;
        before = t.error;
    }
    EXPECT_LT(before, 0.001 * 64 * 10);   // 256 values a coordinate of variance 10
}

// k-means comes near to the best known for a normal distribution in one dimension: 16 levels leave
// 0.0095 of the variance (Max 1960, table I).
TEST(Product, AsGoodAsTheOptimumInOneDimension)
{
    std::mt19937 rng(3);
    std::normal_distribution<float> normal;
    std::vector<float> x(100000);
    for (float& v : x)
        v = normal(rng);
    const ProductShape shape{1, 1, 4};
    std::vector<float> codebook(16);
    std::vector<uint8_t> codes(x.size());
    product_train(shape, x.data(), x.size(), 1, codebook.data(), poll);
    ProductEncoder(shape, codebook.data()).encode(x.data(), x.size(), codes.data());
    double error = 0;
    for (size_t i = 0; i < x.size(); i++)
        error += std::pow(x[i] - codebook[codes[i]], 2) / static_cast<double>(x.size());
    EXPECT_LT(error, 0.0105);
    EXPECT_GT(error, 0.0090);
}

// All centroids begin at the same place, so all but one are without rows and take over a part of others.
TEST(Product, CentroidsWithoutRowsFindSome)
{
    const size_t dims = 4, k = 16, rows = 1600;
    std::mt19937 rng(8);
    std::normal_distribution<float> normal;
    std::vector<float> points(k * dims), x(rows * dims), centroids(k * dims, 0.5f);
    for (float& v : points)
        v = 10 * normal(rng);
    for (size_t i = 0; i < x.size(); i++)
        x[i] = points[i / dims % k * dims + i % dims];
    kmeans(x.data(), rows, dims, k, 12, nullptr, centroids.data(), poll);
    std::vector<uint32_t> best(rows);
    NearestCentroid nearest;
    nearest.set(centroids.data(), dims, k);
    nearest.find(x.data(), dims, rows, best.data());
    double error = 0, spread = 0;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < dims; j++) {
            error += std::pow(x[i * dims + j] - centroids[j * k + best[i]], 2);
            spread += std::pow(x[i * dims + j], 2);
        }
    EXPECT_LT(error, 0.01 * spread);
}

TEST(Product, FarFromTheOrigin)
{
    const Trained near({32, 8, 8}, 3000), far({32, 8, 8}, 3000, 10000);
    EXPECT_LT(far.error, 1.1 * near.error + 0.1);
}

TEST(Product, FewRowsAreKeptExactly)
{
    const Trained t({16, 4, 8}, 100);
    EXPECT_LT(t.error, 1e-6 * t.spread);
}

TEST(Product, EqualRowsAndHugeValues)
{
    std::vector<float> x(50 * 8, 2.5f);
    const ProductShape shape{8, 2, 8};
    std::vector<float> codebook(shape.codebook_floats()), back(8);
    std::vector<uint8_t> code(2);
    for (const float value : {2.5f, 3e38f, -3e38f}) {
        std::fill(x.begin(), x.end(), value);
        product_train(shape, x.data(), 50, 1, codebook.data(), poll);
        ProductEncoder(shape, codebook.data()).encode(x.data(), 1, code.data());
        product_decode(shape, codebook.data(), code.data(), back.data());
        EXPECT_EQ(back[0], value);
    }
    // Squares overflow: any code will do.
    for (size_t i = 0; i < x.size(); i++)
        x[i] = i % 3 ? 3e38f : -3e38f;
    product_train(shape, x.data(), 50, 1, codebook.data(), poll);
    ProductEncoder(shape, codebook.data()).encode(x.data(), 1, code.data());
}

TEST(Product, SameSeedSameCodebookAndItAsksToGoOn)
{
    polls = 0;
    const Trained a({24, 6, 8}, 1000), b({24, 6, 8}, 1000);
    EXPECT_EQ(a.codebook, b.codebook);
    EXPECT_GE(polls, 2 * 6);
}

TEST(TrainedScalar, EncodesWithinHalfAStep)
{
    for (const size_t dims : {1, 3, 64, 130}) {
        const size_t rows = 300;
        const std::vector<float> x = clustered(rows, dims);
        std::vector<float> offset(dims), scale(dims), back(dims);
        std::vector<uint8_t> code(dims);
        trained_scalar_train(x.data(), rows, dims, offset.data(), scale.data());
        for (size_t i = 0; i < rows; i++) {
            const float* row = x.data() + i * dims;
            trained_scalar_encode(row, dims, offset.data(), scale.data(), code.data());
            trained_scalar_decode(code.data(), dims, offset.data(), scale.data(), back.data());
            for (size_t j = 0; j < dims; j++)
                ASSERT_NEAR(back[j], row[j], 0.501f * scale[j] + 1e-6f);
        }
        // Beyond what training saw: the ends.
        std::vector<float> beyond(dims, 1e30f);
        trained_scalar_encode(beyond.data(), dims, offset.data(), scale.data(), code.data());
        EXPECT_EQ(code[0], 255);
    }
    float offset, scale;
    const float huge[2] = {-3e38f, 3e38f};
    trained_scalar_train(huge, 2, 1, &offset, &scale);
    EXPECT_TRUE(std::isfinite(scale));
}

// Few directions matter, and none of them is an axis: rotated, the same bytes hold more, even if some
// coordinates are always 0.
TEST(Product, ARotationHelps)
{
    for (const auto& [bits, used] : {std::pair{8u, 32u}, {4u, 32u}, {8u, 24u}}) {
        const ProductShape shape{32, 8, bits};
        constexpr size_t rows = 3000, dims = 32;
        std::mt19937 rng(6);
        std::normal_distribution<float> normal;
        std::vector<float> mix(dims * dims), x(rows * dims), y(rows * dims);
        for (float& v : mix)
            v = normal(rng);
        for (size_t i = 0; i < rows; i++) {
            float z[dims];
            for (size_t k = 0; k < dims; k++)
                z[k] = normal(rng) * std::pow(0.75f, static_cast<float>(k));
            for (size_t j = 0; j < used; j++)
                for (size_t k = 0; k < dims; k++)
                    x[i * dims + j] += mix[j * dims + k] * z[k];
        }
        std::vector<float> rotation(dims * dims);
        polls = 0;
        product_train_rotation(shape, x.data(), rows, 1, rotation.data(), poll);
        EXPECT_GT(polls, 20);
        for (size_t i = 0; i < dims; i++)
            for (size_t j = 0; j <= i; j++) {
                double dot = 0;
                for (size_t k = 0; k < dims; k++)
                    dot += static_cast<double>(rotation[i * dims + k]) * rotation[j * dims + k];
                ASSERT_NEAR(dot, i == j, 1e-4);
            }
        product_rotate(rotation.data(), dims, x.data(), rows, y.data());
        const auto error = [&](const std::vector<float>& of) {
            std::vector<float> codebook(shape.codebook_floats()), decoded(dims);
            std::vector<uint8_t> codes(rows * shape.code_bytes());
            product_train(shape, of.data(), rows, 1, codebook.data(), poll);
            ProductEncoder(shape, codebook.data()).encode(of.data(), rows, codes.data());
            double total = 0;
            for (size_t i = 0; i < rows; i++) {
                product_decode(shape, codebook.data(), codes.data() + i * shape.code_bytes(),
                               decoded.data());
                total += squared_distance(decoded.data(), of.data() + i * dims, dims);
            }
            return total;
        };
        EXPECT_LT(error(y), 0.6 * error(x));
        std::vector<float> back(dims);
        product_rotate_back(rotation.data(), dims, y.data(), back.data());
        for (size_t j = 0; j < dims; j++)
            EXPECT_NEAR(back[j], x[j], 1e-3);
    }
    // Nothing to learn from: as it was.
    float rotation[9];
    const float equal[6] = {1, 2, 3, 1, 2, 3};
    product_train_rotation({3, 1, 4}, equal, 2, 1, rotation, poll);
    for (size_t i = 0; i < 9; i++)
        EXPECT_NEAR(rotation[i], i % 4 == 0, 1e-3);
    product_train_rotation({3, 1, 4}, equal, 0, 1, rotation, poll);
    for (size_t i = 0; i < 9; i++)
        EXPECT_EQ(rotation[i], i % 4 == 0);
}

}   // namespace
