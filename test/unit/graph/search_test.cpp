// Tests of Search, the search layer of a scan, alone, on small graphs made by hand. The vectors are
// bit strings and the query is all zeros, so a node's distance is the number of bits that are set.
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "core/rng.hpp"
#include "graph/choose_encoding.hpp"
#include "graph/insert.hpp"
#include "graph/memory_store.hpp"
#include "graph/search_batches.hpp"

using namespace quiver;
using namespace quiver::graph;

namespace {

constexpr uint32_t dims = 640;
constexpr size_t no_limit = size_t{1} << 30;

// A store with a clock, which can change while a search runs.
struct ChangingStore : MemoryStore {
    using MemoryStore::MemoryStore;

    uint64_t now() { return ++clock; }
    Entry entry()
    {
        if (on_entry)
            on_entry();
        return MemoryStore::entry();
    }
    template <class F>
    bool read(SlotId id, F&& f)
    {
        reads++;
        return MemoryStore::read(id, f);
    }
    template <class F>
    void read_written(const Vec<SlotId>& ids, uint64_t since, F&& f)
    {
        asked_since.push_back(since);
        for (const SlotId id : written ? written(ids) : std::vector<SlotId>{})
            f(id, Slot(slot(id)));
    }

    uint64_t clock = 0;
    size_t reads = 0;   // of slots
    std::function<void()> on_entry;
    std::function<std::vector<SlotId>(const Vec<SlotId>&)>
        written;   // what was, since it was asked
    std::vector<uint64_t> asked_since;
};

EncodingShape shape(int fold)
{
    return choose_encoding(codec::Form::bits, codec::Metric::hamming, dims, {.m = 16, .fold = fold},
                           8160);
}

struct Fixture {
    Encoding encoding;
    ChangingStore store;
    Query query;
    Search<ChangingStore> search;
    std::vector<uint8_t> zeros = std::vector<uint8_t>(dims / 8);
    size_t most_rows = 0;

    explicit Fixture(const EncodingShape& s = shape(no_sketches))
        : encoding(s), store(encoding), query(encoding), search(store, query)
    {
        if (encoding.codec().spec.form == codec::Form::bits) {
            Value v;
            v.bits = zeros.data();
            query.set(v);
        }
    }
    SlotId add(const Value& v, uint32_t rows = 1)
    {
        Vec<uint8_t> bytes;
        const Code code = encoding.codec().encode(v, bytes);
        const SlotId id = store.create([&](const MutableSlot& slot) {
            slot.header().state = SlotState::live;
            slot.header().down = no_slot;
            put_code(code, slot, no_slot);
            slot.header().tid_count = static_cast<uint8_t>(rows);
            for (uint32_t i = 0; i < rows; i++)
                slot.tids()[i] = {0, static_cast<uint16_t>(slot_count),
                                  static_cast<uint16_t>(i + 1)};
        });
        slot_count++;
        return id;
    }
    SlotId add(uint32_t distance, uint32_t rows = 1)
    {
        std::vector<uint8_t> bits(dims / 8);
        for (uint32_t i = 0; i < distance; i++)
            bits[i / 8] |= static_cast<uint8_t>(128 >> i % 8);
        Value v;
        v.bits = bits.data();
        return add(v, rows);
    }
    void link(SlotId from, SlotId to)
    {
        const MutableSlot slot = store.slot(from);
        LinkEncoder encoder(encoding);
        encoder.set_centre(code_in(Slot(slot)));
        encoder.encode(code_in(Slot(store.slot(to))));
        encoder.put(to, slot, slot.header().degree++);
    }
    void enter_at(SlotId id) { store.set_entry({id, 0, id}); }
    // Each node links to the next one. The distances are 0, 1, 2...
    void chain(uint32_t nodes)
    {
        for (uint32_t i = 0; i < nodes; i++) {
            add(i);
            if (i > 0)
                link(i - 1, i);
        }
        enter_at(0);
    }
    // A node at distance 9, which links to all others.
    void star(const std::vector<uint32_t>& distances, uint32_t rows = 1)
    {
        const SlotId middle = add(9, rows);
        for (const uint32_t d : distances)
            link(middle, add(d, rows));
        enter_at(middle);
    }

    void start(size_t ef, Iterate iterate, size_t max_visited = no_limit,
               size_t max_bytes = no_limit)
    {
        search.start({ef, iterate, max_visited, max_bytes});
    }
    // The distances of the next batch; {-1} if there is none.
    std::vector<float> batch()
    {
        std::vector<float> distances;
        if (!search.next_batch(&most_rows, [&](Candidate c) { distances.push_back(c.distance()); }))
            return {-1};
        return distances;
    }

  private:
    size_t slot_count = 0;
};

std::vector<float> from_to(int first, int last)
{
    std::vector<float> v;
    for (int i = first; i <= last; i++)
        v.push_back(static_cast<float>(i));
    return v;
}
const std::vector<float> no_batch{-1};

TEST(Search, WithoutIteratingTheBeamIsTheOnlyBatch)
{
    Fixture f;
    f.star({12, 3, 8, 1, 15, 6, 2});
    f.start(3, Iterate::off);
    EXPECT_EQ(f.batch(), (std::vector<float>{1, 2, 3}));
    EXPECT_TRUE(f.search.done());
    EXPECT_EQ(f.most_rows, SIZE_MAX);
    EXPECT_EQ(f.batch(), no_batch);
    f.start(100, Iterate::off);
    EXPECT_EQ(f.batch(), (std::vector<float>{1, 2, 3, 6, 8, 9, 12, 15}));
}

TEST(Search, CandidatesAreNodesWithTheirRows)
{
    Fixture f;
    f.star({4, 5}, 3);
    f.start(10, Iterate::off);
    std::vector<Candidate> got;
    ASSERT_TRUE(f.search.next_batch(&f.most_rows, [&](Candidate c) { got.push_back(c); }));
    ASSERT_EQ(got.size(), 3u);
    const FoundNode& node = f.search.node(got[0].id());
    EXPECT_EQ(node.id, 1u);
    EXPECT_EQ(node.norm2, f.store.slot(1).header().params.norm2);
    ASSERT_EQ(node.tid_count, 3u);
    EXPECT_EQ(node.tids[2], (Tid{0, 1, 3}));
}

TEST(Search, NodesAsNearAsTheLastComeTooUntilThereAreTenRows)
{
    Fixture f;
    f.star({1, 4, 4, 4, 4, 5});
    f.start(2, Iterate::off);
    EXPECT_EQ(f.batch(), (std::vector<float>{1, 4, 4, 4, 4}));
    Fixture g;
    g.star({1, 4, 4, 4, 4, 5}, 4);
    g.start(2, Iterate::off);
    EXPECT_EQ(g.batch(), (std::vector<float>{1, 4, 4}));   // twelve rows
    Fixture h;
    h.star({1, 4, 4, 4, 4, 5}, 5);
    h.start(2, Iterate::off);
    EXPECT_EQ(h.batch(), (std::vector<float>{1, 4}));
}

TEST(Search, ANarrowBeamFindsTenEqualRows)
{
    Fixture f;
    f.star({1, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5});
    f.start(2, Iterate::off);
    EXPECT_EQ(f.batch(), (std::vector<float>{1, 4, 4, 4, 4, 4, 4, 4, 4, 4}));
}

TEST(Search, NothingIsFoundInAnEmptyGraph)
{
    for (const Iterate iterate : {Iterate::off, Iterate::relaxed, Iterate::strict}) {
        Fixture f;
        f.start(10, iterate);
        EXPECT_EQ(f.batch(), std::vector<float>{});
        EXPECT_TRUE(f.search.done());
        EXPECT_EQ(f.batch(), no_batch);
    }
}

TEST(Search, OneNode)
{
    Fixture f;
    f.chain(1);
    f.start(10, Iterate::strict);
    EXPECT_EQ(f.batch(), std::vector<float>{0});
    EXPECT_EQ(f.batch(), no_batch);
}

TEST(Search, RelaxedBatchesAreOfOneSize)
{
    Fixture f;
    f.chain(70);
    f.start(25, Iterate::relaxed);
    EXPECT_EQ(f.batch(), from_to(0, 24));
    EXPECT_EQ(f.most_rows, SIZE_MAX);
    EXPECT_FALSE(f.search.done());
    EXPECT_EQ(f.batch(), from_to(25, 49));
    EXPECT_EQ(f.batch(), from_to(50, 69));
    EXPECT_TRUE(f.search.done());
    EXPECT_EQ(f.batch(), no_batch);
}

TEST(Search, AnIteratingBeamIsAtLeastTwenty)
{
    Fixture f;
    f.chain(60);
    f.start(3, Iterate::relaxed);
    EXPECT_EQ(f.batch(), from_to(0, 19));
    f.start(3, Iterate::strict);
    EXPECT_EQ(f.batch(), from_to(0, 19));
    f.start(3, Iterate::off);
    EXPECT_EQ(f.batch().size(), 3u);
}

// A batch is a beam that doubles. Half of its rows may be returned before the next one.
TEST(Search, StrictBatchesDouble)
{
    Fixture f;
    f.chain(200);
    f.start(60, Iterate::strict);
    EXPECT_EQ(f.batch(), from_to(0, 59));
    EXPECT_EQ(f.most_rows, 30u);
    EXPECT_EQ(f.search.counters().visited, 60u);
    EXPECT_EQ(f.batch(), from_to(60, 179));
    EXPECT_EQ(f.most_rows, 60u);
    EXPECT_EQ(f.search.counters().visited, 180u);
    EXPECT_EQ(f.batch(), from_to(180, 199));
    EXPECT_EQ(f.most_rows, SIZE_MAX);   // as no batch follows
    f.start(41, Iterate::strict);
    EXPECT_EQ(f.batch(), from_to(0, 40));
    EXPECT_EQ(f.most_rows, 21u);   // half of it, rounded up
    f.start(60, Iterate::relaxed);
    EXPECT_EQ(f.batch(), from_to(0, 59));
    EXPECT_EQ(f.most_rows, SIZE_MAX);
}

// The batch that reaches the limit is the last one, and has all pending candidates.
TEST(Search, LimitsEndIt)
{
    Fixture f;
    f.chain(500);
    f.start(40, Iterate::strict, 40);
    EXPECT_EQ(f.batch(), from_to(0, 39));
    EXPECT_EQ(f.batch(), no_batch);
    f.start(40, Iterate::strict, 41);
    EXPECT_EQ(f.batch(), from_to(0, 39));
    EXPECT_EQ(f.batch(), from_to(40, 119));
    EXPECT_EQ(f.batch(), no_batch);
    f.start(40, Iterate::relaxed, no_limit, 40 * sizeof(FoundNode));
    EXPECT_EQ(f.batch(), from_to(0, 39));
    EXPECT_EQ(f.batch(), no_batch);
    f.start(40, Iterate::relaxed, no_limit, 120 * sizeof(FoundNode));
    EXPECT_EQ(f.batch(), from_to(0, 39));
    EXPECT_NE(f.batch(), no_batch);
}

TEST(Search, WhatIsPutBackComesAgain)
{
    struct Unused {
        float distance;
        uint32_t node;
    };
    Fixture f;
    f.chain(100);
    f.start(30, Iterate::relaxed);
    f.batch();
    // Node numbers follow the visits: 7 is at distance 7. They are put back in the order of their bounds.
    const std::vector<Unused> unused{{28, 28}, {7, 7}, {29, 29}};
    f.search.put_back(unused.begin(), unused.end());
    const std::vector<float> got = f.batch();
    ASSERT_EQ(got.size(), 30u);
    EXPECT_EQ(got[0], 7);
    EXPECT_EQ(got[1], 28);
    EXPECT_EQ(got[2], 29);
    EXPECT_EQ(got[3], 30);
    EXPECT_EQ(f.search.counters().visited, 57u);   // three places of the beam were in use
}

// More candidates are put back than the next beam has room for. The nearest of them are in the
// beam.
TEST(Search, TheNearestPendingAreInTheBeam)
{
    struct Unused {
        float distance;
        uint32_t node;
    };
    Fixture f;
    f.chain(100);
    f.start(20, Iterate::relaxed);
    f.batch();
    std::vector<Unused> unused{{600, 0}};   // not in the beam: it would leave room for more
    for (uint32_t i = 0; i < 20; i++)
        unused.push_back({static_cast<float>(19 - i), 19 - i});
    f.search.put_back(unused.begin(), unused.end());
    EXPECT_EQ(f.batch(), from_to(0, 19));
    EXPECT_EQ(f.search.counters().visited, 20u);
}

// A search that comes from far away visits more nodes than the beam keeps.
TEST(Search, WhatTheBeamHasNoRoomForIsPending)
{
    Fixture f;
    for (uint32_t i = 0; i <= 100; i++) {
        f.add(100 - i);
        if (i > 0)
            f.link(i - 1, i);
    }
    f.enter_at(0);
    f.start(20, Iterate::off);
    EXPECT_EQ(f.batch(), from_to(0, 19));
    f.start(20, Iterate::relaxed);
    EXPECT_EQ(f.batch(), from_to(0, 19));
    EXPECT_EQ(f.batch(), from_to(20, 39));
    EXPECT_EQ(f.search.counters().visited, 101u);
    f.start(20, Iterate::relaxed, 101);
    EXPECT_EQ(f.batch(), from_to(0, 100));   // as no batch follows
}

TEST(Search, NodesWithoutRowsOnlyLeadOn)
{
    Fixture f;
    f.chain(6);
    f.store.slot(2).header().state = SlotState::deleted;
    f.store.slot(3).header().state = SlotState::free;
    f.store.slot(4).header().tid_count = 0;
    f.start(10, Iterate::off);
    EXPECT_EQ(f.batch(), (std::vector<float>{0, 1, 5}));
}

// Node 3 links to node 4 only after node 3 was visited.
TEST(Search, WhatWasWrittenMeanwhileIsLookedAtAgain)
{
    for (const Iterate iterate : {Iterate::off, Iterate::relaxed}) {
        Fixture f;
        f.chain(8);
        f.store.slot(3).header().degree = 0;
        int looks = 0;
        f.store.written = [&](const Vec<SlotId>& visited) -> std::vector<SlotId> {
            EXPECT_EQ(visited.size(), looks == 0 ? 4u : 8u);
            if (looks++ > 0)
                return {};
            f.link(3, 4);
            return {3};
        };
        f.start(100, iterate);
        EXPECT_EQ(f.batch(), from_to(0, 7));
        // First since the search began, then since the slots were read again.
        EXPECT_EQ(f.store.asked_since, (std::vector<uint64_t>{1, 2}));
        EXPECT_TRUE(f.search.done());
    }
}

// A scan ends although another operation writes all the time.
TEST(Search, ItLooksAgainAtMostEightTimes)
{
    Fixture f;
    f.chain(4);
    f.store.written = [](const Vec<SlotId>&) { return std::vector<SlotId>{1}; };
    f.start(100, Iterate::relaxed);
    EXPECT_EQ(f.batch(), from_to(0, 3));
    EXPECT_EQ(f.store.asked_since.size(), 8u);
    // A search that has found enough does not look again.
    f.start(2, Iterate::off);
    f.batch();
    EXPECT_EQ(f.store.asked_since.size(), 8u);
}

// A scan in strict order, in which each batch is wider than the one before, ends although a node is
// added whenever it looks again.
TEST(Search, NewNodesCannotKeepItFromEnding)
{
    for (const int fold : {choose_fold, no_sketches}) {
        Fixture f(choose_encoding(codec::Form::bits, codec::Metric::hamming, dims,
                                  {.m = 16, .fold = fold}, 8160));
        f.chain(4);
        SlotId last = 3;
        f.store.written = [&](const Vec<SlotId>&) {
            const SlotId before = last;
            f.link(before, last = f.add(5));
            return std::vector<SlotId>{before};
        };
        f.start(1, Iterate::strict);
        for (int batches = 0; !f.search.done(); batches++) {
            f.batch();
            ASSERT_LT(batches, 20);
        }
        EXPECT_EQ(f.store.asked_since.size(), 8u);
    }
}

TEST(Search, AnEntryThatLeadsNowhereIsReadAgain)
{
    Fixture f;
    f.chain(5);
    const SlotId old = f.add(1);
    f.store.slot(old).header().state = SlotState::overflow;
    f.store.set_entry({old, 0, old});
    int reads = 0;
    f.store.on_entry = [&] {
        if (++reads == 3)   // after the searches from the entry and from its root
            f.enter_at(0);
    };
    f.start(10, Iterate::off);
    EXPECT_EQ(f.batch(), from_to(0, 4));
    // The entry does not move: the graph is damaged.
    f.store.on_entry = nullptr;
    f.store.set_entry({old, 0, old});
    f.start(10, Iterate::off);
    EXPECT_THROW(f.batch(), Error);
}

// If a distance overflows a float, it is unknown. Such candidates come first.
TEST(Search, UnknownDistancesComeFirst)
{
    Fixture f(choose_encoding(codec::Form::dense, codec::Metric::l2, 64,
                              {.m = 16, .fold = no_sketches}, 8160));
    std::vector<float> x(f.encoding.codec().traits.padded, 0);
    Value v;
    v.dense = x.data();
    f.query.set(v);
    for (const float first : {1.0f, 1e30f, 2.0f}) {
        x[0] = first;
        f.add(v);
    }
    f.link(0, 1);
    f.link(0, 2);
    f.enter_at(0);
    f.start(10, Iterate::off);
    const std::vector<float> got = f.batch();
    ASSERT_EQ(got.size(), 3u);
    EXPECT_EQ(got[0], -INFINITY);
    EXPECT_NEAR(got[1], 1, 0.1);
    EXPECT_NEAR(got[2], 4, 0.1);
}

// With sketches the first batch drops neighbours, and visited nodes, that are too far for the beam.
// They must come later, each of them once.
TEST(Search, WithSketchesBatchesAreTheSame)
{
    for (const Iterate iterate : {Iterate::off, Iterate::relaxed, Iterate::strict}) {
        std::vector<std::vector<float>> batches[2];
        for (const bool sketched : {false, true}) {
            Fixture f(shape(sketched ? choose_fold : no_sketches));
            ASSERT_EQ(f.encoding.layout().sketched(), sketched);
            f.chain(200);
            f.start(25, iterate);
            while (batches[sketched].empty() || batches[sketched].back() != no_batch)
                batches[sketched].push_back(f.batch());
        }
        EXPECT_EQ(batches[false], batches[true]);
        EXPECT_GE(batches[true].size(), iterate == Iterate::off ? 2u : 4u);
    }
}

// The first scan reads the visited slots twice to find what it has dropped. The scan after it expects
// to need that, and drops nothing.
TEST(Search, AScanExpectsToNeedWhatTheOneBeforeItNeeded)
{
    Fixture f(shape(choose_fold));
    f.chain(200);
    std::vector<std::vector<float>> batches[3];
    size_t reads[3];
    for (size_t scan = 0; scan < 3; scan++) {
        f.store.reads = 0;
        f.start(40, Iterate::strict);
        for (int i = 0; i < (scan < 2 ? 3 : 1); i++)
            batches[scan].push_back(f.batch());
        reads[scan] = f.store.reads;
    }
    EXPECT_EQ(reads[0], reads[1] + 40);   // the beam of the first batch
    EXPECT_EQ(reads[1], 200u);            // each node once
    EXPECT_EQ(batches[0], batches[1]);
    EXPECT_EQ(batches[0][0], batches[2][0]);
    // The third scan needed one batch, so the fourth drops again.
    f.store.reads = 0;
    f.start(40, Iterate::strict);
    f.batch();
    f.batch();
    EXPECT_EQ(f.store.reads, f.search.counters().visited + 40);
}

// The entry is a node without links, so the search goes on from the root. The first batch ends
// with a full beam and no candidate, because the next node of the chain was dropped.
TEST(Search, ASearchThatHasDroppedNeighboursIsNotAtItsEnd)
{
    Fixture f(shape(choose_fold));
    f.chain(100);
    const SlotId alone = f.add(600);
    f.store.set_entry({alone, 0, 0});
    f.start(25, Iterate::relaxed);
    EXPECT_EQ(f.batch(), from_to(0, 24));
    EXPECT_FALSE(f.search.done());
    std::vector<float> rest = from_to(25, 99), got;
    rest.push_back(600);
    for (std::vector<float> batch; (batch = f.batch()) != no_batch;)
        got.insert(got.end(), batch.begin(), batch.end());
    EXPECT_EQ(got, rest);
}

TEST(Search, WhatTheFirstBatchDropsComesLater)
{
    constexpr uint32_t rows = 3000, dims = 32;
    const Encoding encoding(
        choose_encoding(codec::Form::dense, codec::Metric::l2, dims, {.m = 8}, 8160));
    ASSERT_TRUE(encoding.layout().sketched());
    MemoryStore store(encoding);
    Inserter<MemoryStore> inserter(store, 8, 32);
    Rng rng(1);
    Vec<float> x(encoding.codec().traits.padded);
    const auto draw = [&] {
        for (uint32_t i = 0; i < dims; i++)
            x[i] = static_cast<float>(rng.unit());
    };
    for (uint16_t i = 0; i < rows; i++) {
        draw();
        inserter.insert({.dense = x.data()}, Tid{0, i, 1}, 0);
    }
    Query query(encoding);
    Search<MemoryStore> search(store, query);
    std::set<SlotId> seen;
    // Takes all batches. Each comes nearest first, and no node comes twice.
    const auto take = [&](Iterate iterate, size_t most_visited) {
        seen.clear();
        draw();
        query.set({.dense = x.data()});
        search.start({40, iterate, most_visited, no_limit});
        size_t most_rows;
        float before = -INFINITY;
        while (search.next_batch(&most_rows, [&](Candidate c) {
            EXPECT_LE(before, c.distance());
            before = c.distance();
            EXPECT_TRUE(seen.insert(search.node(c.id()).id).second);
        }))
            before = -INFINITY;
        return seen.size();
    };
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(take(Iterate::relaxed, no_limit), rows);
        EXPECT_EQ(take(Iterate::strict, no_limit), rows);
        // A scan that ends by its limit hands out all that it has visited, in two batches.
        EXPECT_EQ(take(Iterate::relaxed, 1), search.counters().visited);
        EXPECT_EQ(take(Iterate::off, no_limit), 40u);
    }
}

// Equal rows share nodes. A search among equal nodes visits the beam, as many nodes that are as far
// as it, a few on upper layers, and those that it has prefetched.
TEST(Search, EqualRowsCostNoMoreThanOthers)
{
    constexpr uint32_t rows = 3000, m = 8, ef = 32;
    for (const codec::Metric metric : {codec::Metric::l2, codec::Metric::ip, codec::Metric::cosine})
        for (const int fold : {choose_fold, no_sketches}) {
            const Encoding encoding(
                choose_encoding(codec::Form::dense, metric, 32, {.m = m, .fold = fold}, 8160));
            MemoryStore store(encoding);
            Inserter<MemoryStore> inserter(store, m, ef);
            LevelDraw levels(1);
            Vec<float> x(encoding.codec().traits.padded);
            x[3] = 1;
            for (uint16_t i = 0; i < rows; i++)
                inserter.insert({.dense = x.data()}, Tid{0, i, 1},
                                levels.draw(encoding.layout().level_base(), max_level));
            const auto nodes = rows / encoding.layout().tids;
            EXPECT_LE(store.size(), nodes * 1.2) << static_cast<int>(metric);
            EXPECT_LE(inserter.counters().visited, rows * (2 * ef + 8ul));
            Query query(encoding);
            Search<MemoryStore> search(store, query);
            query.set({.dense = x.data()});
            search.start({ef, Iterate::strict, no_limit, no_limit});
            size_t most_rows, found = 0;
            search.next_batch(&most_rows, [&](Candidate) { found++; });
            EXPECT_EQ(found, ef);
            EXPECT_LE(search.counters().visited, 2 * ef + 32);
            while (search.next_batch(&most_rows, [&](Candidate) { found++; }))
                ;
            EXPECT_GE(found, nodes);   // further batches find the rest
        }
}

// To the mean of vectors of one length, all of them are equally far, but estimates say otherwise. A
// search that believed them would visit nearly all nodes.
TEST(Search, EstimatesThatTellNothingDoNotMakeItVisitAllNodes)
{
    constexpr uint32_t rows = 4000, dims = 64, ef = 40;
    const Encoding encoding(
        choose_encoding(codec::Form::dense, codec::Metric::l2, dims, {.m = 8}, 8160));
    MemoryStore store(encoding);
    Inserter<MemoryStore> inserter(store, 8, ef);
    LevelDraw levels(1);
    Rng rng(1);
    Vec<float> x(encoding.codec().traits.padded);
    for (uint16_t i = 0; i < rows; i++) {
        for (uint32_t d = 0; d < dims; d++)
            x[d] = static_cast<float>(rng.unit() - 0.5);
        codec::to_unit_length(x.data(), dims, x.data());
        inserter.insert({.dense = x.data()}, Tid{0, i, 1},
                        levels.draw(encoding.layout().level_base(), max_level));
    }
    Query query(encoding);
    Search<MemoryStore> search(store, query);
    std::fill(x.begin(), x.end(), 0);
    query.set({.dense = x.data()});
    for (const Iterate iterate : {Iterate::off, Iterate::strict, Iterate::relaxed}) {
        search.start({ef, iterate, no_limit, no_limit});
        size_t most_rows, found = 0;
        search.next_batch(&most_rows, [&](Candidate) { found++; });
        EXPECT_EQ(found, ef);
        EXPECT_LE(search.counters().visited, 75 * ef);
        // The limit of visits holds within a batch.
        search.start({ef, iterate, 5 * ef, no_limit});
        search.next_batch(&most_rows, [&](Candidate) {});
        if (iterate != Iterate::off) {
            EXPECT_LE(search.counters().visited, 5 * ef + 2 * lookahead);
        }
    }
}

// The nodes near the query are deleted, but lead to others.
TEST(Search, DeletedNodesAreNotVisitedInVain)
{
    for (const int fold : {choose_fold, no_sketches}) {
        Fixture f(shape(fold));
        for (uint32_t i = 0; i <= 400; i++) {
            f.add(500 - i);
            if (i > 0)
                f.link(i - 1, i);
            if (i >= 10 && i < 390)
                f.store.slot(i).header().state = SlotState::deleted;
        }
        f.enter_at(0);
        f.start(10, Iterate::off);
        EXPECT_EQ(f.batch(), from_to(100, 109));
    }
}

TEST(Search, EachStartForgetsTheScanBefore)
{
    Fixture f;
    f.chain(100);
    f.start(30, Iterate::strict);
    f.batch();
    f.batch();
    f.start(30, Iterate::strict);
    EXPECT_EQ(f.batch(), from_to(0, 29));
    EXPECT_EQ(f.search.counters().visited, 30u);
    EXPECT_EQ(f.search.node(0).id, 0u);
}

}   // namespace
