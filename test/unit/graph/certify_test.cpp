// Tests of Certify, the layer of a scan that orders rows by bounds, alone. Candidates and their
// bounds are made up.
#include <gtest/gtest.h>

#include "graph/certify.hpp"
#include "graph/choose_encoding.hpp"
#include "graph/memory_store.hpp"

using namespace quiver;
using namespace quiver::graph;

namespace {

constexpr Bounds unknown{-INFINITY, INFINITY};

struct Node {
    Bounds bounds;
    Bounds fine = unknown;
    uint32_t rows = 1;
    bool deleted = false;   // since the search visited it
};

// The source and the bounder of a Certify. Row r of node n is {n, r}.
struct World {
    BoundsKind kind{.refinable = false, .precise = true, .probabilistic = false};
    std::vector<Node> nodes;
    std::vector<std::vector<uint32_t>> batches;
    std::vector<size_t> most_rows;   // of each batch; if there is no number, there is no limit
    size_t batch = 0;                // the next one
    bool ends = true;                // is it known that the last batch is the last one?
    std::vector<FoundNode> found;
    std::vector<uint32_t> put_back_nodes, refined;
    std::vector<float> put_back_distances;
    int released = 0;

    // ---- the source of candidates ----

    template <class Take>
    bool next_batch(size_t* most, Take&& take)
    {
        while (found.size() < nodes.size()) {
            const auto i = static_cast<uint32_t>(found.size());
            FoundNode node{};
            node.id = i;
            node.tid_count = nodes[i].rows;
            for (uint16_t r = 0; r < node.tid_count; r++)
                node.tids[r] = {0, static_cast<uint16_t>(i), r};
            found.push_back(node);
        }
        if (batch == batches.size())
            return false;
        *most = batch < most_rows.size() ? most_rows[batch] : SIZE_MAX;
        for (const uint32_t i : batches[batch++])
            take(Candidate(static_cast<float>(i) + 0.5f, i));
        return true;
    }
    template <class Iterator>
    void put_back(Iterator first, Iterator last)
    {
        for (; first != last; ++first) {
            put_back_nodes.push_back(first->node);
            put_back_distances.push_back(first->distance);
        }
    }
    const FoundNode& node(uint32_t i) const { return found[i]; }
    bool done() const { return ends && batch == batches.size(); }
};

struct MadeUpBounds {
    World* world;

    BoundsKind kind(bool reranked) const
    {
        BoundsKind k = world->kind;
        k.probabilistic = k.probabilistic && reranked;
        return k;
    }
    // Probabilistic bounds are half as wide.
    Bounds bounds(const FoundNode& node, float distance, bool probabilistic) const
    {
        EXPECT_EQ(distance, static_cast<float>(node.id) + 0.5f);
        const Bounds b = world->nodes[node.id].bounds;
        const double less = probabilistic ? (b.high - b.low) / 4 : 0;
        return {b.low + less, b.high - less};
    }
    bool fine_bounds(const FoundNode& node, Bounds* to) const
    {
        world->refined.push_back(node.id);
        if (world->nodes[node.id].deleted)
            return false;
        *to = world->nodes[node.id].fine;
        return true;
    }
    void release() const { world->released++; }
    void poll() const {}
};

// Rows as node * 10 + row, negative if the place is not certain.
using Rows = std::vector<int>;
using Numbers = std::vector<uint32_t>;   // of nodes

struct Fixture : World {
    Certify<World, MadeUpBounds> certify{*this, MadeUpBounds{this}};
    std::vector<double> lows;

    // All nodes in one batch.
    explicit Fixture(std::vector<Node> n)
    {
        nodes = std::move(n);
        batches.emplace_back();
        for (uint32_t i = 0; i < nodes.size(); i++)
            batches[0].push_back(i);
    }
    Rows take(size_t count)
    {
        Rows got;
        for (BoundedRow row; got.size() < count && certify.next(&row);) {
            const int number = row.tid.block_low * 10 + row.tid.offset;
            got.push_back(row.certain ? number : -number);
            lows.push_back(row.low);
        }
        return got;
    }
    Rows all(bool strict = false, bool reranked = false)
    {
        batch = 0;
        certify.start(strict, reranked);
        return take(1000);
    }
};

// Nodes are numbered from 1, because 0 has no sign.
const Node nobody{{1000, 1000}};

TEST(Certify, RowsComeInTheOrderOfLowerBounds)
{
    Fixture f({nobody, {{5, 6}}, {{1, 2}}, {{3, 4}}});
    EXPECT_EQ(f.all(), (Rows{20, 30, 10, 0}));
    EXPECT_EQ(f.lows, (std::vector<double>{1, 3, 5, 1000}));
    Fixture equal({nobody, {{5, 5}}, {{4, 4}}, {{5, 5}}});
    EXPECT_EQ(equal.all(), (Rows{20, 10, 30, 0}));
}

TEST(Certify, RowsAreCertainWhoseBoundsOverlapNoOther)
{
    Fixture f({nobody, {{1, 2}}, {{3, 5}}, {{4, 6}}, {{7, 8}}});
    EXPECT_EQ(f.all(), (Rows{10, -20, -30, 40, 0}));
    // Bounds that touch do not overlap.
    Fixture touch({nobody, {{1, 2}}, {{2, 3}}, {{3, 3}}, {{3, 4}}});
    EXPECT_EQ(touch.all(), (Rows{10, 20, 30, 40, 0}));
    // The wide bounds of one row overlap the bounds of several rows after it.
    Fixture wide({nobody, {{1, 9}}, {{2, 3}}, {{4, 5}}, {{8, 8.5}}, {{9, 10}}});
    EXPECT_EQ(wide.all(), (Rows{-10, -20, -30, -40, 50, 0}));
    Fixture lost({nobody, {unknown}, {{2, 3}}});
    EXPECT_EQ(lost.all(), (Rows{-10, -20, 0 /* -0: it is not certain */}));
}

TEST(Certify, OneRowAndNone)
{
    Fixture one(std::vector<Node>{Node{{1, 2}}});
    EXPECT_EQ(one.all(), Rows{0});
    Fixture none(std::vector<Node>{});
    EXPECT_EQ(none.all(), Rows{});
    EXPECT_EQ(none.take(1), Rows{});
    EXPECT_TRUE(none.certify.batch_is_read());
}

TEST(Certify, LooseBoundsMakeNoRowCertain)
{
    Fixture f({nobody, {{1, 2}}, {{3, 5}}});
    f.kind.precise = false;
    EXPECT_EQ(f.all(), (Rows{-10, -20, 0}));
}

// Rows of one node have the same code, but can differ a little.
TEST(Certify, RowsOfOneNodeAreNotCertain)
{
    Fixture f({nobody, {{1, 2}, unknown, 3}, {{3, 5}}, {{5, 7}}});
    f.certify.start(false, false);
    EXPECT_EQ(f.take(1), Rows{-12});
    EXPECT_TRUE(f.certify.within_node());
    EXPECT_FALSE(f.certify.batch_is_read());
    EXPECT_EQ(f.take(1), Rows{-11});
    EXPECT_TRUE(f.certify.within_node());
    EXPECT_EQ(f.take(1), Rows{-10});
    EXPECT_FALSE(f.certify.within_node());
    EXPECT_EQ(f.take(9), (Rows{20, 30, 0}));
    EXPECT_TRUE(f.certify.batch_is_read());
}

// The next batch may have a row that overlaps it.
TEST(Certify, TheLastRowOfABatchIsNotCertain)
{
    Fixture f({nobody, {{1, 2}}, {{3, 4}}, {{5, 6}}, {{7, 8}}});
    f.batches = {{1, 2}, {}, {3, 4}};
    EXPECT_EQ(f.all(), (Rows{10, -20, 30, 40}));
    f.ends = false;
    EXPECT_EQ(f.all(), (Rows{10, -20, 30, -40}));
}

// A row that was not certain in one batch may be as far as rows of the next batch.
TEST(Certify, RowsOfTheBatchBeforeCanMakeARowUncertain)
{
    Fixture f({nobody, {{1, 2}}, {{3, 6}}, {{5, 5.5}}, {{6, 8}}});
    f.batches = {{1, 2}, {3, 4}};
    EXPECT_EQ(f.all(), (Rows{10, -20, -30, 40}));
}

TEST(Certify, FineCodesNarrowBoundsThatOverlap)
{
    Fixture f({nobody,
               {{1, 5}, {4, 4.1}},
               {{2, 5}, {2.2, 2.6}},
               {{2.5, 6}, {3, 3.2}},
               {{3.5, 9}, {8, 8.1}}});
    f.kind.refinable = true;
    f.certify.start(false, false);
    EXPECT_EQ(f.take(1), Rows{20});
    EXPECT_EQ(f.refined, (Numbers{1, 2, 3}));   // 4 does not overlap 2
    EXPECT_GT(f.released, 0);
    EXPECT_EQ(f.take(9), (Rows{30, 10, 40, 0}));
    EXPECT_EQ(f.lows, (std::vector<double>{2.2, 3, 4, 8, 1000}));
    EXPECT_EQ(f.refined, (Numbers{1, 2, 3, 4, 0}));   // each once
}

TEST(Certify, FineCodesAreReadOnlyAsFarAsBoundsOverlap)
{
    Fixture f({nobody, {{1, 3}, {1, 2}}, {{2, 4}, {3, 4}}, {{5, 6}, {5, 6}}});
    f.kind.refinable = true;
    f.certify.start(false, false);
    EXPECT_EQ(f.take(1), Rows{10});
    EXPECT_EQ(f.refined, Numbers{1});   // with its fine bounds it does not overlap 2
    EXPECT_EQ(f.take(1), Rows{20});
    EXPECT_EQ(f.refined, (Numbers{1, 2}));
}

TEST(Certify, FineCodesThatOverlapAreNotCertain)
{
    Fixture f({nobody, {{1, 5}, {2, 3}}, {{2, 5}, {2.5, 4}}, {{6, 7}, {6.1, 6.2}}});
    f.kind.refinable = true;
    EXPECT_EQ(f.all(), (Rows{-10, -20, 30, 0}));
}

// Both the coarse and the fine bounds hold, so the narrower one of each side holds.
TEST(Certify, FineBoundsWidenNothing)
{
    Fixture f({nobody, {{3, 5}, {1, 4}}, {{4, 6}, {5, 9}}, {{6, 7}, {6, 7}}});
    f.kind.refinable = true;
    EXPECT_EQ(f.all(), (Rows{10, 20, 30, 0}));
    EXPECT_EQ(f.lows, (std::vector<double>{3, 5, 6, 1000}));
}

TEST(Certify, ANodeThatWasDeletedKeepsItsBounds)
{
    Fixture f({nobody, {{1, 3}, {9, 9}, 1, true}, {{2, 5}, {4, 4}}});
    f.kind.refinable = true;
    EXPECT_EQ(f.all(), (Rows{10, 20, 0}));
    EXPECT_EQ(f.refined, (Numbers{1, 2, 0}));
}

TEST(Certify, StrictOrderDropsWhatIsNearerThanWhatWasHandedOut)
{
    Fixture f({nobody, {{5, 6}}, {{4, 9}}, {{5, 7}}, {{2, 3}}});
    f.batches = {{1}, {2, 3, 4}};
    EXPECT_EQ(f.all(true), (Rows{-10, -30}));
    EXPECT_EQ(f.all(false), (Rows{-10, -40, -20, -30}));
}

// The exact distance decides, unless even the upper bound is nearer than a row that was returned.
// Rows that were handed out, but still wait, make no row too late.
TEST(Certify, StrictOrderLeavesTheRestToExactDistances)
{
    Fixture f({nobody, {{5, 6}}, {{4, 9}}, {{4, 5}}, {{2, 3}}, {unknown}});
    f.batches = {{1}, {2, 3, 4, 5}};
    for (const bool precise : {false, true}) {
        f.kind.precise = precise;
        EXPECT_EQ(f.all(true, true), (Rows{-10, -50, -40, -20, -30}));
        EXPECT_EQ(f.all(true, false), Rows{-10});
        f.batch = 0;
        f.certify.start(true, true);
        EXPECT_EQ(f.take(1), Rows{-10});
        f.certify.returned(5);
        EXPECT_EQ(f.take(9), (Rows{-50, -20, -30}));
    }
}

// Rows of the next batch that overlap a certain row need their exact distances.
TEST(Certify, RowsThatOverlapACertainOneAreNotCertain)
{
    Fixture f({nobody, {{1, 2}}, {{3, 4}}, {{3.5, 3.8}}, {{4, 5}}, {{8, 9}}});
    f.batches = {{1, 2, 5}, {3, 4}};
    f.certify.start(false, true);
    EXPECT_EQ(f.take(2), (Rows{10, 20}));
    f.certify.next_batch();
    EXPECT_EQ(f.take(2), (Rows{-30, 40}));
}

TEST(Certify, StrictOrderLeavesTheRestToFineCodes)
{
    Fixture f({nobody,
               {{5, 6}, {5, 5}},
               {{4, 9}, {4.5, 5}},
               {{4, 9}, {6, 7}},
               {{4, 9}, {5, 5.5}},
               {{2, 3}}});
    f.batches = {{1}, {2, 3, 4, 5}};
    f.kind.refinable = true;
    EXPECT_EQ(f.all(true), (Rows{-10, 40, 30}));
    EXPECT_EQ(f.refined, (Numbers{1, 2, 3, 4}));   // 5 is certainly too late
    // If exact distances decide, upper bounds count.
    f.batch = 0;
    f.certify.start(true, true);
    EXPECT_EQ(f.take(1), Rows{-10});
    f.certify.returned(5.2);
    EXPECT_EQ(f.take(9), (Rows{40, 30}));
}

TEST(Certify, ProbabilisticBoundsNeedExactDistances)
{
    Fixture f({nobody, {{0, 8}}, {{3, 7}}});
    f.kind = {.refinable = false, .precise = false, .probabilistic = true};
    f.all(false, true);
    EXPECT_TRUE(f.certify.bounds_are_probabilistic());
    EXPECT_EQ(f.lows, (std::vector<double>{2, 4, 1000}));
    f.lows.clear();
    f.all(false, false);
    EXPECT_FALSE(f.certify.bounds_are_probabilistic());
    EXPECT_EQ(f.lows, (std::vector<double>{0, 3, 1000}));
}

TEST(Certify, ProbabilisticBoundsAreComparedWithReturnedDistances)
{
    Fixture f({nobody, {{6, 6}}, {{2, 2}}, {{3, 3}}, {{4, 4}}});
    f.kind = {.refinable = false, .precise = false, .probabilistic = true};
    f.batches = {{1}, {2, 3, 4}};
    EXPECT_EQ(f.all(true, true), (Rows{-10, -20, -30, -40}));
    f.batch = 0;
    f.certify.start(true, true);
    EXPECT_EQ(f.take(1), Rows{-10});
    f.certify.returned(3);
    EXPECT_EQ(f.take(9), (Rows{-30, -40}));
}

TEST(Certify, ABatchAllowsSoManyRows)
{
    Fixture f({nobody, {{1, 1}}, {{2, 2}}, {{3, 3}}});
    f.batches = {{1, 2}, {3}};
    f.most_rows = {2, 1};
    f.certify.start(true, true);
    EXPECT_FALSE(f.certify.needs_next_batch());
    f.take(1);
    f.certify.returned(1);
    EXPECT_FALSE(f.certify.needs_next_batch());
    f.certify.returned(1);
    EXPECT_TRUE(f.certify.needs_next_batch());
    EXPECT_TRUE(f.certify.next_batch());
    EXPECT_FALSE(f.certify.needs_next_batch());
    f.certify.returned(2);
    EXPECT_TRUE(f.certify.needs_next_batch());
}

TEST(Certify, WhatABatchHasLeftIsPutBack)
{
    Fixture f({nobody, {{1, 1}}, {{3, 3}}, {{2, 2}}, {{4, 4}}});
    f.batches = {{1, 2, 3}, {4, 2, 3}};
    f.certify.start(false, false);
    EXPECT_EQ(f.take(1), Rows{10});
    EXPECT_TRUE(f.certify.next_batch());
    EXPECT_EQ(f.put_back_nodes, (Numbers{3, 2}));
    EXPECT_EQ(f.put_back_distances, (std::vector<float>{3.5f, 2.5f}));   // from the search
    EXPECT_EQ(f.take(9), (Rows{30, 20, 40}));
    EXPECT_FALSE(f.certify.next_batch());
    EXPECT_EQ(f.put_back_nodes.size(), 2u);
}

TEST(Certify, PeekShowsTheRowsThatComeNext)
{
    Fixture f({nobody, {{3, 3}}, {{1, 1}, unknown, 2}, {{2, 2}}});
    f.certify.start(false, false);
    const auto peek = [&](size_t count) {
        Rows seen;
        f.certify.peek(count, [&](Tid t) { seen.push_back(t.block_low * 10 + t.offset); });
        return seen;
    };
    EXPECT_EQ(peek(9), Rows{});
    f.take(1);
    EXPECT_EQ(peek(2), (Rows{20, 30}));
    f.take(1);
    EXPECT_EQ(peek(9), (Rows{30, 10, 0}));
}

TEST(Certify, EachStartForgetsTheScanBefore)
{
    Fixture f({nobody, {{1, 9}, unknown, 2}, {{2, 3}}, {{4, 5}}});
    f.certify.start(true, false);
    f.take(1);
    f.nodes[1].bounds = {1, 1};
    f.batch = 0;
    f.batches = {{2, 3}};
    EXPECT_EQ(f.all(true), (Rows{20, 30}));
    f.batches = {{1}};
    EXPECT_EQ(f.all(true), (Rows{-11, -10}));
}

// ---- the bounds of codes ----

EncodingShape shape_of(int bits)
{
    return choose_encoding(codec::Form::dense, codec::Metric::l2, 64, {.m = 4, .bits = bits}, 8160);
}

TEST(CodeBounds, TheKindFollowsFromTheCode)
{
    for (const int bits : {2, 8, 12, 16, 32}) {
        const Encoding encoding(shape_of(bits));
        MemoryStore store(encoding);
        const Query query(encoding);
        const CodeBounds<MemoryStore> bounds(store, query);
        for (const bool reranked : {false, true}) {
            const BoundsKind kind = bounds.kind(reranked);
            EXPECT_EQ(kind.refinable, bits == 12 || bits == 16);
            EXPECT_EQ(kind.precise, bits > 8);
            EXPECT_EQ(kind.probabilistic, reranked && bits < 8);
        }
    }
}

TEST(CodeBounds, FineOnesAreOfTheNodeThatWasVisited)
{
    const Encoding encoding(shape_of(16));
    MemoryStore store(encoding);
    Query query(encoding);
    std::vector<float> x(encoding.codec().traits.padded, 1);
    Value v;
    v.dense = x.data();
    query.set(v);
    x.assign(x.size(), 2);
    Vec<uint8_t> bytes;
    const Code code = encoding.codec().encode(v, bytes);
    const SlotId id = store.create([&](const MutableSlot& slot) {
        slot.header().state = SlotState::live;
        put_code(code, slot, no_slot);
    });
    const SlotHeader& h = store.slot(id).header();
    FoundNode node{};
    node.id = id;
    node.norm2 = h.params.norm2;
    node.error = h.params.error;
    const CodeBounds<MemoryStore> bounds(store, query);
    Bounds fine{};
    ASSERT_TRUE(bounds.fine_bounds(node, &fine));
    EXPECT_LE(fine.low, 8);   // the square root of 64
    EXPECT_GE(fine.high, 8);
    EXPECT_LT(fine.high - fine.low, 0.01);
    const Bounds coarse = bounds.bounds(node, query.distance(code_in(store.slot(id))), false);
    EXPECT_LE(coarse.low, 8);
    EXPECT_GE(coarse.high, 8);
    EXPECT_GT(coarse.high - coarse.low, fine.high - fine.low);
    node.norm2 += 1;   // another node has the slot now
    EXPECT_FALSE(bounds.fine_bounds(node, &fine));
    node.norm2 -= 1;
    store.slot(id).header().state = SlotState::deleted;
    EXPECT_FALSE(bounds.fine_bounds(node, &fine));
    node.id = 99;
    EXPECT_FALSE(bounds.fine_bounds(node, &fine));
}

}   // namespace
