// Heaps and sets, beside sorted ones.
#include "core/heap.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <set>

using namespace quiver;

namespace {

TEST(Heap, GivesTheLeast)
{
    std::mt19937 rng(12);
    for (const size_t pushed : {0, 1, 2, 5, 17, 300}) {
        MinHeap heap;
        std::multiset<uint64_t> want;
        const auto random = [&] {
            const Candidate c(static_cast<float>(rng() % 50), static_cast<uint32_t>(rng() % 50));
            want.insert(c.key);
            return c;
        };
        for (size_t i = 0; i < pushed; i++)
            heap.push(random());
        for (int i = 0; i < 2000; i++) {
            if (heap.empty() || rng() % 2)
                heap.push(random());
            ASSERT_EQ(heap.size(), want.size());
            ASSERT_EQ(heap.top().key, *want.begin());
            if (rng() % 2) {
                ASSERT_EQ(heap.pop().key, *want.begin());
                want.erase(want.begin());
            }
        }
    }
}

TEST(Heap, CandidatesOrderLikeDistances)
{
    const float inf = std::numeric_limits<float>::infinity();
    const float values[] = {-inf, -2, -0.5f, -1e-40f, -0.0f, 0.0f, 1e-40f, 1, 3e38f, inf};
    for (size_t i = 0; i + 1 < std::size(values); i++) {
        EXPECT_LE(Candidate(values[i], 9).key >> 32, Candidate(values[i + 1], 1).key >> 32);
        EXPECT_EQ(Candidate(values[i], 3).distance(), values[i]);
        EXPECT_EQ(Candidate(values[i], 3).id(), 3u);
    }
    IdSet set(4);
    for (uint32_t i = 0; i < 10000; i++)
        EXPECT_TRUE(set.insert(i * 7919));
    for (uint32_t i = 0; i < 10000; i++) {
        EXPECT_FALSE(set.insert(i * 7919));
        EXPECT_TRUE(set.contains(i * 7919));
        EXPECT_FALSE(set.contains(i * 7919 + 1));
    }
}

TEST(Heap, KeepsTheNearest)
{
    std::mt19937 rng(13);
    KNearest<double> nearest;
    for (const size_t k : {1, 2, 3, 10, 100}) {
        nearest.reset(k);
        nearest.reserve();
        EXPECT_EQ(nearest.k(), k);
        std::multiset<double> all;
        for (size_t i = 0; i < 500; i++) {
            const double x = static_cast<double>(rng() % 300);
            ASSERT_EQ(nearest.full(), all.size() >= k);
            const bool enters = !nearest.full() || x < nearest.farthest();
            ASSERT_EQ(nearest.add(x), enters);
            all.insert(x);
            ASSERT_EQ(nearest.size(), std::min(k, all.size()));
            ASSERT_EQ(nearest.farthest(),
                      *std::next(all.begin(), static_cast<ptrdiff_t>(nearest.size() - 1)));
        }
        EXPECT_EQ(nearest.within(nearest.farthest()), k);
        EXPECT_EQ(nearest.within(-1), 0u);
        const Vec<double>& sorted = nearest.sorted();
        EXPECT_TRUE(std::equal(sorted.begin(), sorted.end(), all.begin()));
    }
}

TEST(Heap, OfEqualDistancesTheLeastIdsAreKept)
{
    std::mt19937 rng(14);
    KNearest<Candidate> nearest(20);
    std::set<uint64_t> all;
    while (all.size() < 300) {
        const Candidate c(static_cast<float>(rng() % 5), static_cast<uint32_t>(rng() % 100));
        if (all.insert(c.key).second)
            nearest.add(c);
    }
    auto want = all.begin();
    for (const Candidate& c : nearest.sorted())
        EXPECT_EQ(c.key, *want++);
}

}   // namespace
