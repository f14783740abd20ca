// k-means: which clusters it finds, and which cluster is nearest.
#include "lists/clusters.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>
#include <vector>

using namespace quiver;
using namespace quiver::lists;
using codec::Form;

namespace {

using Vector = std::vector<float>;

class ClustersTest : public testing::TestWithParam<simd::Level> {
  public:
    void SetUp() override { ASSERT_TRUE(simd::set_level(GetParam())); }
    void TearDown() override { simd::set_level(simd::available_levels().back()); }

    std::mt19937 rng{3};
    std::normal_distribution<float> normal{0, 1};

    Vector random(size_t n, float scale = 1)
    {
        Vector x(n);
        for (float& f : x)
            f = scale * normal(rng);
        return x;
    }
    static void nothing() {}
    static std::vector<uint32_t> nearest(Clusters& clusters, const ScalarCodes& rows)
    {
        std::vector<uint32_t> found(rows.size());
        clusters.nearest(rows, found.data());
        return found;
    }
    static double l2(const float* x, const float* y, size_t n)
    {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += (static_cast<double>(x[i]) - y[i]) * (static_cast<double>(x[i]) - y[i]);
        return sum;
    }
};

TEST_P(ClustersTest, GroupsAreFound)
{
    constexpr size_t n = 128, groups = 16, of_group = 60;
    std::vector<Vector> centre;
    for (size_t g = 0; g < groups; g++)
        centre.push_back(random(n, 10));
    ScalarCodes rows(Form::dense, n);
    for (size_t i = 0; i < groups * of_group; i++) {
        Vector x = random(n);
        for (size_t j = 0; j < n; j++)
            x[j] += centre[i % groups][j];
        rows.add(x.data());
    }
    Clusters clusters(Form::dense, n);
    clusters.train(rows, 4 * groups, 1, nothing);
    EXPECT_GT(clusters.size(), groups);
    const std::vector<uint32_t> found = nearest(clusters, rows);
    // No cluster has rows of two groups.
    std::vector<std::set<size_t>> has(clusters.size());
    for (size_t i = 0; i < rows.size(); i++)
        has[found[i]].insert(i % groups);
    for (const std::set<size_t>& groups_of_one : has)
        EXPECT_LE(groups_of_one.size(), 1u);
    for (size_t c = 0; c < clusters.size(); c++)
        if (!has[c].empty()) {
            EXPECT_LT(l2(clusters.centroid(c), centre[*has[c].begin()].data(), n), 2 * n);
        }
}

// Each row's cluster is the one with the nearest centroid, as far as codes tell.
TEST_P(ClustersTest, TheNearestClusterIsFound)
{
    for (const size_t n : {64, 192, 1024})
        for (const size_t count : {1, 2, 15, 16, 17, 33, 100}) {
            Clusters clusters(Form::dense, n);
            Vec<float> centroids;
            for (size_t i = 0; i < count * n; i++)
                centroids.push_back(normal(rng));
            clusters.set(centroids, count);
            ScalarCodes rows(Form::dense, n);
            std::vector<Vector> values;
            for (size_t i = 0; i < 40; i++) {
                values.push_back(random(n));
                rows.add(values.back().data());
            }
            const std::vector<uint32_t> found = nearest(clusters, rows);
            for (size_t i = 0; i < rows.size(); i++) {
                ASSERT_LT(found[i], count);
                double best = INFINITY;
                for (size_t c = 0; c < count; c++)
                    best = std::min(best, l2(values[i].data(), clusters.centroid(c), n));
                EXPECT_LT(l2(values[i].data(), clusters.centroid(found[i]), n), best * 1.02)
                    << n << ' ' << count;
            }
        }
}

TEST_P(ClustersTest, TrainingLowersTheError)
{
    constexpr size_t n = 64;
    ScalarCodes rows(Form::dense, n);
    for (size_t i = 0; i < 1000; i++) {
        Vector x = random(n);
        for (size_t j = 0; j < 8; j++)
            x[j] *= 10;
        rows.add(x.data());
    }
    const auto error = [&](Clusters& clusters) {
        const std::vector<uint32_t> found = nearest(clusters, rows);
        double sum = 0;
        Vector x(n);
        for (size_t i = 0; i < rows.size(); i++) {
            rows.decode(i, x.data());
            sum += l2(x.data(), clusters.centroid(found[i]), n);
        }
        return sum;
    };
    // Rows as centroids, as training begins.
    Clusters at_random(Form::dense, n), trained(Form::dense, n);
    Vec<float> centroids;
    for (size_t i = 0; i < 20; i++) {
        Vector x(n);
        rows.decode(i * 50, x.data());
        centroids.insert(centroids.end(), x.begin(), x.end());
    }
    at_random.set(centroids, 20);
    trained.train(rows, 20, 1, nothing);
    EXPECT_EQ(trained.size(), 20u);
    EXPECT_LT(error(trained), 0.85 * error(at_random));
}

TEST_P(ClustersTest, FewRowsAndEqualRows)
{
    constexpr size_t n = 64;
    Clusters clusters(Form::dense, n);
    ScalarCodes rows(Form::dense, n);
    clusters.train(rows, 10, 1, nothing);
    EXPECT_EQ(clusters.size(), 0u);
    const Vector x = random(n), y = random(n);
    rows.add(x.data());
    clusters.train(rows, 10, 1, nothing);
    ASSERT_EQ(clusters.size(), 1u);
    EXPECT_LT(l2(clusters.centroid(0), x.data(), n), 0.01);
    EXPECT_EQ(nearest(clusters, rows), std::vector<uint32_t>{0});
    for (int i = 0; i < 500; i++)
        rows.add(x.data());
    clusters.train(rows, 10, 1, nothing);
    EXPECT_EQ(clusters.size(), 1u);
    // Two values, many times.
    for (int i = 0; i < 500; i++)
        rows.add(y.data());
    clusters.train(rows, 10, 1, nothing);
    ASSERT_EQ(clusters.size(), 2u);
    const std::vector<uint32_t> found = nearest(clusters, rows);
    EXPECT_NE(found[0], found[999]);
    for (size_t i = 0; i < rows.size(); i++)
        EXPECT_EQ(found[i], found[i < 501 ? 0 : 999]);
    // Fewer rows than clusters.
    rows.clear();
    for (int i = 0; i < 7; i++)
        rows.add(random(n).data());
    clusters.train(rows, 100, 1, nothing);
    EXPECT_EQ(clusters.size(), 7u);
}

TEST_P(ClustersTest, BitStrings)
{
    constexpr size_t n = 256, of_group = 50;
    ScalarCodes rows(Form::bits, n);
    std::vector<std::vector<uint8_t>> centre(4, std::vector<uint8_t>(n / 8));
    for (auto& bytes : centre)
        for (uint8_t& byte : bytes)
            byte = static_cast<uint8_t>(rng());
    for (size_t i = 0; i < 4 * of_group; i++) {
        std::vector<uint8_t> x = centre[i % 4];
        for (int flips = 0; flips < 8; flips++)
            x[rng() % x.size()] ^= static_cast<uint8_t>(1 << rng() % 8);
        rows.add({.bits = x.data()});
    }
    Clusters clusters(Form::bits, n);
    clusters.train(rows, 32, 1, nothing);
    const std::vector<uint32_t> found = nearest(clusters, rows);
    for (size_t i = 4; i < rows.size(); i++) {
        // The centroid is near to the group's, as a bit string.
        const codec::Value value = clusters.value(found[i]);
        size_t differ = 0;
        for (size_t j = 0; j < n / 8; j++)
            differ += static_cast<size_t>(
                std::popcount(static_cast<unsigned>(value.bits[j] ^ centre[i % 4][j])));
        EXPECT_LT(differ, 20u);
    }
}

// More bits than count.
TEST_P(ClustersTest, LongBitStrings)
{
    constexpr size_t n = 64000;
    ScalarCodes rows(Form::bits, n);
    for (int i = 0; i < 20; i++) {
        std::vector<uint8_t> x(n / 8, i % 2 ? 0xff : 0);
        x[static_cast<size_t>(i)] = 0x55;
        rows.add({.bits = x.data()});
    }
    Clusters clusters(Form::bits, n);
    clusters.train(rows, 8, 1, nothing);
    const std::vector<uint32_t> found = nearest(clusters, rows);
    for (uint32_t i = 2; i < 20; i++)
        EXPECT_NE(found[i], found[i - 1]);
    const codec::Value value = clusters.value(found[1]);
    EXPECT_EQ(value.bits[n / 8 - 1], 0);   // beyond what counts
}

// Centroids of vectors whose squares or sums overflow are numbers, and lists are found.
TEST_P(ClustersTest, VeryLongVectors)
{
    constexpr size_t n = 64;
    for (const float scale : {1e18f, 1e20f, 1e30f, 1e37f}) {
        ScalarCodes rows(Form::dense, n);
        for (size_t i = 0; i < 300; i++)
            rows.add(random(n, i % 2 ? scale : 1).data());
        // The sum of many of these is no float.
        for (size_t i = 0; i < 100; i++)
            rows.add(Vector(n, 3e38f).data());
        Clusters clusters(Form::dense, n);
        clusters.train(rows, 10, 1, nothing);
        ASSERT_GE(clusters.size(), 1u);
        for (size_t c = 0; c < clusters.size(); c++)
            for (size_t j = 0; j < n; j++)
                ASSERT_TRUE(std::isfinite(clusters.centroid(c)[j])) << scale;
        for (const uint32_t c : nearest(clusters, rows))
            ASSERT_LT(c, clusters.size());
    }
}

// Equal seeds give equal clusters.
TEST_P(ClustersTest, TheSeedDecides)
{
    constexpr size_t n = 64;
    ScalarCodes rows(Form::dense, n);
    for (size_t i = 0; i < 300; i++)
        rows.add(random(n).data());
    Clusters x(Form::dense, n), y(Form::dense, n), z(Form::dense, n);
    x.train(rows, 10, 1, nothing);
    y.train(rows, 10, 1, nothing);
    z.train(rows, 10, 2, nothing);
    EXPECT_TRUE(x.centroids() == y.centroids());
    EXPECT_FALSE(x.centroids() == z.centroids());
}

INSTANTIATE_TEST_SUITE_P(Levels, ClustersTest, testing::ValuesIn(simd::available_levels()),
                         [](const auto& info) { return simd::level_name(info.param); });

}   // namespace
