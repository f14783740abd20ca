// The nearest of many codes, beside all distances sorted.
#include "codec/nearest.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "codec/product.hpp"

using namespace quiver;
using namespace quiver::codec;

namespace {

struct Codes {
    uint32_t bits;
    size_t bytes;
    std::vector<float> tables;
    std::vector<uint8_t> codes;
    std::vector<int64_t> ids;

    // As a query's tables are: of 4-bit numbers, each entry is the sum of two.
    Codes(uint32_t b, size_t n, size_t rows, std::mt19937& rng, float offset = 0, float scale = 1)
        : bits(b), bytes(n), tables(n * 256), codes(rows * n), ids(rows)
    {
        std::normal_distribution<float> normal(offset, scale);
        for (size_t g = 0; g < n; g++) {
            float low[16], high[16];
            for (size_t i = 0; i < 16; i++) {
                low[i] = normal(rng);
                high[i] = normal(rng);
            }
            for (size_t i = 0; i < 256; i++)
                tables[g * 256 + i] = bits == 4 ? low[i & 15] + high[i >> 4] : normal(rng);
        }
        for (uint8_t& c : codes)
            c = static_cast<uint8_t>(rng());
        for (size_t i = 0; i < rows; i++)
            ids[i] = static_cast<int64_t>(i * 7 % rows);
    }
    double distance(size_t row, float sign) const
    {
        double sum = 0;
        for (size_t g = 0; g < bytes; g++)
            sum += tables[g * 256 + codes[row * bytes + g]];
        return sign * sum;
    }
    std::vector<Nearest::Found> nearest(size_t k, float sign, size_t at_once)
    {
        Nearest found(k);
        ProductNearest product(bits, bytes, tables.data(), sign);
        for (size_t i = 0; i < ids.size(); i += at_once)
            product.add(codes.data() + i * bytes, bytes, std::min(at_once, ids.size() - i),
                        ids.data() + i, &found);
        const Vec<Nearest::Found>& sorted = found.sorted();
        return {sorted.begin(), sorted.end()};
    }
    void expect_nearest(size_t k, float sign, size_t at_once)
    {
        std::vector<double> all;
        std::vector<double> of(ids.size());
        double magnitude = 0;
        for (size_t i = 0; i < ids.size(); i++) {
            all.push_back(distance(i, sign));
            of[static_cast<size_t>(ids[i])] = all.back();
            magnitude = std::max(magnitude, std::fabs(all.back()));
        }
        std::sort(all.begin(), all.end());
        const auto got = nearest(k, sign, at_once);
        ASSERT_EQ(got.size(), std::min(k, ids.size()));
        const double near = 1e-5 * (magnitude + static_cast<double>(bytes));
        std::vector<int64_t> seen;
        for (size_t i = 0; i < got.size(); i++) {
            ASSERT_NEAR(got[i].distance, all[i], near) << i;
            ASSERT_NEAR(got[i].distance, of[static_cast<size_t>(got[i].id)], near);
            seen.push_back(got[i].id);
        }
        std::sort(seen.begin(), seen.end());
        ASSERT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
    }
};

class NearestCodes : public testing::TestWithParam<simd::Level> {
  protected:
    void SetUp() override { ASSERT_TRUE(simd::set_level(GetParam())); }
    void TearDown() override { simd::set_level(simd::available_levels().back()); }
};

TEST_P(NearestCodes, AreThoseOfAllDistances)
{
    std::mt19937 rng(3);
    for (const uint32_t bits : {4u, 8u})
        for (const size_t bytes : {1, 3, 16, 17, 32, 48, 200, 1500})
            for (const float sign : {1.0f, -1.0f})
                for (const size_t rows : {1, 300, 3000}) {
                    Codes c(bits, bytes, rows, rng);
                    c.expect_nearest(10, sign, rows);
                    c.expect_nearest(1, sign, 100);
                    c.expect_nearest(5000, sign, 256);
                }
    // Distances far from 0, and of every size
    for (const float scale : {1e-20f, 1e-3f, 1e10f}) {
        Codes(4, 24, 2000, rng, 1000 * scale, scale).expect_nearest(20, 1, 2000);
        Codes(4, 24, 2000, rng, 0, scale).expect_nearest(20, -1, 2000);
    }
}

TEST_P(NearestCodes, OfEqualsTheLeastIds)
{
    std::mt19937 rng(4);
    for (const uint32_t bits : {4u, 8u})
        for (const size_t bytes : {16, 37}) {
            Codes c(bits, bytes, 999, rng);
            for (size_t i = bytes; i < c.codes.size(); i++)
                c.codes[i] = c.codes[i % bytes];
            for (const size_t at_once : {1, 3, 999}) {
                const auto got = c.nearest(20, 1, at_once);
                for (size_t i = 0; i < 20; i++)
                    EXPECT_EQ(got[i].id, static_cast<int64_t>(i));
            }
        }
}

// The later of equal codes have lesser ids. Their sums of large numbers round by more than a step of
// the tables of bytes, which represent the differences of the entries exactly.
TEST_P(NearestCodes, RoundingLosesNoEqualCode)
{
    std::mt19937 rng(7);
    for (const uint32_t bits : {4u, 8u})
        for (int round = 0; round < 10; round++) {
            Codes c(bits, bits == 4 ? 1000 : 48, 600, rng);
            for (size_t i = 0; i < c.tables.size(); i++) {
                const bool constant = bits == 4 && i / 256 % 8 > 0;
                c.tables[i] = 1e6f + static_cast<float>(
                                         constant ? round : 15 * (i & 15) + 17 * (i >> 4 & 15));
            }
            for (size_t i = c.bytes; i < c.codes.size(); i++)
                c.codes[i] = c.codes[i % c.bytes];
            for (size_t i = 0; i < c.ids.size(); i++)
                c.ids[i] = static_cast<int64_t>(c.ids.size() - 1 - i);
            const auto got = c.nearest(20, 1, c.ids.size());
            for (size_t i = 0; i < 20; i++)
                ASSERT_EQ(got[i].id, static_cast<int64_t>(i));
        }
}

TEST(Nearest, TheLimitLeavesRoomForLesserIds)
{
    Nearest nearest(2);
    nearest.add(1, 5);
    nearest.add(2, 7);
    EXPECT_LT(2, nearest.limit());
    nearest.add(2, 3);
    EXPECT_EQ(nearest.sorted()[1].id, 3);
}

// The farthest code there can be: its score must still fit into 16 bits.
TEST_P(NearestCodes, TheLargestScoreFits)
{
    for (const size_t bytes : {16, 200, 1500}) {
        std::vector<float> tables(bytes * 256);
        for (size_t i = 0; i < tables.size(); i++)
            tables[i] = static_cast<float>(i & 15) + static_cast<float>(i >> 4 & 15);
        NibbleTables t;
        ASSERT_TRUE(t.set(bytes, tables.data(), 1));
        const std::vector<uint8_t> farthest(bytes, 255);
        uint32_t score[16];
        uint64_t near[1];
        simd::kernels().codebooks.score_nibbles(t.bytes(), bytes, farthest.data(), bytes, 1, 0,
                                                score, near);
        EXPECT_GT(score[0], t.most(28.0f * static_cast<float>(bytes)));
        EXPECT_LE(score[0], t.most(30.0f * static_cast<float>(bytes)));
    }
}

TEST_P(NearestCodes, NotFiniteIsFar)
{
    std::mt19937 rng(5);
    Codes c(4, 2, 1000, rng);
    for (size_t i = 0; i < 256; i++)
        if ((i & 15) == 3)
            c.tables[i] = NAN;
        else if ((i & 15) == 4)
            c.tables[i] = INFINITY;
    for (const auto& f : c.nearest(50, 1, 1000))
        EXPECT_TRUE(std::isfinite(f.distance));
    EXPECT_EQ(c.nearest(1000, 1, 1000).size(), 1000u);
}

// The bytes bound the floats from below, and not loosely.
TEST_P(NearestCodes, TablesOfBytesAreBounds)
{
    std::mt19937 rng(6);
    for (const size_t bytes : {2, 16, 33, 700}) {
        Codes c(4, bytes, 1000, rng, 3);
        NibbleTables t;
        ASSERT_TRUE(t.set(bytes, c.tables.data(), -1));
        std::vector<uint32_t> score(1000);
        std::vector<uint64_t> near(16);
        simd::kernels().codebooks.score_nibbles(t.bytes(), bytes, c.codes.data(), bytes, 1000, 0,
                                                score.data(), near.data());
        size_t tight = 0;
        for (size_t i = 0; i < 1000; i++) {
            const auto d = static_cast<float>(c.distance(i, -1));
            ASSERT_LE(score[i], t.most(d)) << i;
            // A spread below: surely farther
            tight += score[i] > t.most(d - 2 * std::sqrt(2.0f * static_cast<float>(bytes)));
        }
        EXPECT_EQ(tight, 1000u);
    }
}

INSTANTIATE_TEST_SUITE_P(Levels, NearestCodes, testing::ValuesIn(simd::available_levels()),
                         [](const auto& info) { return simd::level_name(info.param); });

}   // namespace
