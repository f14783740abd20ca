// How many lists are searched for a recall.
#include "lists/probe_table.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

using namespace quiver;
using namespace quiver::lists;

namespace {

TEST(ProbeTable, NumbersRiseWithTheRecall)
{
    ProbeTable table;
    for (size_t i = 0; i < ProbeTable::size; i++)
        table.probes[i] = static_cast<uint16_t>(3 * i + 2);
    EXPECT_EQ(table.probes_for(0.01, 100), 2u);
    EXPECT_EQ(table.probes_for(0.5, 100), 2u);
    EXPECT_EQ(table.probes_for(0.6, 100), 5u);
    EXPECT_EQ(table.probes_for(0.55, 100), 4u);   // 3.5, rounded up
    EXPECT_EQ(table.probes_for(1, 100), 100u);    // beyond the table
    EXPECT_EQ(table.probes_for(0.99, 10), 10u);   // there are not so many
    size_t before = 0;
    for (double recall = 0.01; recall <= 1; recall += 0.001) {
        const size_t probes = table.probes_for(recall, 100);
        EXPECT_GE(probes, before);
        EXPECT_GE(probes, 1u);
        before = probes;
    }
}

// Without a table, all lists are searched.
TEST(ProbeTable, NothingLearnt)
{
    for (const double recall : {0.1, 0.5, 0.9, 1.0})
        EXPECT_EQ(ProbeTable().probes_for(recall, 7), 7u);
    ScalarCodes rows(codec::Form::dense, 64);
    Clusters clusters(codec::Form::dense, 64);
    clusters.train(rows, 10, 1, [] {});
    EXPECT_EQ(learn_probes(rows, clusters, [] {}).probes_for(0.9, 7), 7u);
}

// The share of the nearest rows that the lists of the table have is what was asked for.
TEST(ProbeTable, LearntNumbersGiveTheRecall)
{
    constexpr size_t n = 64, count = 4000, k = 10;
    std::mt19937 rng(1);
    std::normal_distribution<float> normal(0, 1);
    ScalarCodes rows(codec::Form::dense, n);
    std::vector<std::vector<float>> values;
    for (size_t i = 0; i < count; i++) {
        std::vector<float> x;
        for (size_t j = 0; j < n; j++)
            x.push_back(j < 10 ? 3 * normal(rng) : normal(rng) / 3);
        values.push_back(x);
        rows.add(x.data());
    }
    Clusters clusters(codec::Form::dense, n);
    clusters.train(rows, 60, 1, [] {});
    const ProbeTable table = learn_probes(rows, clusters, [] {});
    std::vector<uint32_t> list(count);
    clusters.nearest(rows, list.data());
    const auto l2 = [&](const float* x, const float* y) {
        double sum = 0;
        for (size_t j = 0; j < n; j++)
            sum += (x[j] - y[j]) * (x[j] - y[j]);
        return sum;
    };
    for (const double recall : {0.6, 0.8, 0.9, 0.95}) {
        const size_t probes = table.probes_for(recall, clusters.size());
        size_t found = 0, wanted = 0;
        for (size_t q = 1; q < count; q += 40) {
            std::vector<std::pair<double, size_t>> near, lists;
            for (size_t i = 0; i < count; i++)
                if (i != q)
                    near.push_back({l2(values[q].data(), values[i].data()), i});
            for (size_t c = 0; c < clusters.size(); c++)
                lists.push_back({l2(values[q].data(), clusters.centroid(c)), c});
            std::partial_sort(near.begin(), near.begin() + k, near.end());
            std::sort(lists.begin(), lists.end());
            for (size_t i = 0; i < k; i++)
                for (size_t c = 0; c < probes; c++)
                    found += lists[c].second == list[near[i].second];
            wanted += k;
        }
        EXPECT_NEAR(static_cast<double>(found) / static_cast<double>(wanted), recall, 0.06)
            << probes;
    }
}

}   // namespace
