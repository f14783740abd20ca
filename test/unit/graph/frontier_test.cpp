// The candidates of a search, beside a sorted set.
#include "graph/frontier.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

using namespace quiver;
using namespace quiver::graph;

namespace {

std::vector<SlotId> all_in_order(Frontier& f, float limit, size_t at_once)
{
    std::vector<SlotId> ids;
    for (;;) {
        const auto nearest = f.nearest(limit);
        const size_t n = std::min(nearest.size(), at_once);
        for (size_t i = 0; i < n; i++)
            ids.push_back(Frontier::id(nearest[i]));
        if (n == 0)
            return ids;
        f.remove(n);
    }
}

// Candidates come in order, however many there are and however they are added and taken.
TEST(Frontier, GivesTheNearest)
{
    std::mt19937 rng(12);
    for (const uint32_t most : {3u, 40u, 300u, 5000u})
        for (const uint32_t distances : {1u, 50u, 1u << 20}) {
            Frontier f;
            std::map<std::pair<float, SlotId>, int> want;   // the greatest id first
            SlotId next = 0;
            const auto add = [&] {
                const auto d = static_cast<float>(rng() % distances);
                f.add(d, next);
                want[{d, ~next++}]++;
            };
            for (uint32_t i = 0; i < most; i++)
                add();
            for (uint32_t i = 0; i < 2 * most || !want.empty(); i++) {
                if (i < 2 * most && rng() % 3 > 0)
                    add();
                const auto nearest = f.nearest(INFINITY);
                ASSERT_EQ(nearest.empty(), want.empty());
                const size_t n = std::min<size_t>(nearest.size(), rng() % 3);
                for (size_t j = 0; j < n; j++) {
                    ASSERT_EQ(nearest[j].distance(), want.begin()->first.first);
                    ASSERT_EQ(Frontier::id(nearest[j]), ~want.begin()->first.second);
                    want.erase(want.begin());
                }
                f.remove(n);
                ASSERT_EQ(f.empty(), want.empty());
                ASSERT_EQ(f.bytes(), want.size() * sizeof(uint64_t));
            }
        }
}

TEST(Frontier, StopsAtTheLimit)
{
    for (const size_t at_once : {1, 2}) {
        Frontier f;
        for (SlotId id = 0; id < 1000; id++)
            f.add(static_cast<float>(id * 7 % 1000), id);
        f.add(NAN, 1000);
        EXPECT_EQ(all_in_order(f, 99, at_once).size(), 100u);
        EXPECT_TRUE(f.nearest(99.5f).empty());
        EXPECT_FALSE(f.empty());
        EXPECT_EQ(all_in_order(f, 799, at_once).size(), 700u);
        const auto rest = all_in_order(f, INFINITY, at_once);   // NaN is the last
        ASSERT_EQ(rest.size(), 201u);
        EXPECT_EQ(rest.back(), 1000u);
        EXPECT_TRUE(f.empty());
    }
}

// A node may be a candidate several times, at the same distance.
TEST(Frontier, HasEqualCandidates)
{
    Frontier f;
    for (size_t i = 0; i < 1000; i++)
        f.add(1, 7);
    f.add(2, 8);
    const auto ids = all_in_order(f, INFINITY, 2);
    ASSERT_EQ(ids.size(), 1001u);
    EXPECT_EQ(std::count(ids.begin(), ids.end() - 1, 7u), 1000);
    EXPECT_EQ(ids.back(), 8u);
}

TEST(Frontier, AddsThoseThatWereNotVisited)
{
    Frontier f;
    float distance[64];
    SlotId id[64];
    for (uint32_t i = 0; i < 64; i++) {
        distance[i] = -static_cast<float>(i);
        id[i] = 100 + i;
    }
    f.add(distance, id, uint64_t{1} << 63 | 0x0f, [](SlotId s) { return s == 102; });
    EXPECT_EQ(all_in_order(f, INFINITY, 2), (std::vector<SlotId>{163, 103, 101, 100}));
    f.add_later(distance, id, 3);
    EXPECT_FALSE(f.empty());
    EXPECT_TRUE(f.nearest(INFINITY).empty());
    f.merge_later([](SlotId s) { return s == 101; });
    EXPECT_EQ(all_in_order(f, INFINITY, 1), (std::vector<SlotId>{102, 100}));
    f.add(1, 1);
    f.clear();
    EXPECT_TRUE(f.empty());
}

}   // namespace
