// Tests of the choice of neighbours, candidates with their codes, and writing links.
#include "graph/links.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <vector>

#include "graph/choose_encoding.hpp"
#include "graph/memory_store.hpp"
#include "graph/reachability.hpp"

using namespace quiver;
using namespace quiver::graph;

namespace {

// Candidates on a line. The node is at 0.
struct OnALine {
    std::vector<float> at;
    std::vector<bool> equal;

    size_t size() const { return at.size(); }
    Proximity proximity(uint32_t i) const
    {
        return {std::fabs(at[i]), i < equal.size() && equal[i]};
    }
    float pair_distance(uint32_t i, uint32_t j) const { return std::fabs(at[i] - at[j]); }
};
using Numbers = std::vector<uint32_t>;

Selection select(const OnALine& candidates, const SelectionLimits& limits)
{
    Selection s;
    select_neighbours(candidates, limits, s);
    return s;
}
Numbers numbers(const Vec<uint32_t>& v) { return {v.begin(), v.end()}; }

TEST(SelectNeighbours, OneInEachDirection)
{
    const Selection s = select({{1, -2, 3, -4, 5}, {}}, {.most = 5});
    EXPECT_EQ(numbers(s.selected), (Numbers{0, 1}));
    EXPECT_EQ(numbers(s.discarded), (Numbers{2, 3, 4}));
}

TEST(SelectNeighbours, AtMostSoMany)
{
    EXPECT_EQ(numbers(select({{1, -2, 3}, {}}, {.most = 1}).selected), Numbers{0});
}

TEST(SelectNeighbours, DiscardedOnesFillUp)
{
    const Selection s = select({{1, 2, 3, -4, 5}, {}}, {.least = 4, .most = 5});
    EXPECT_EQ(numbers(s.selected), (Numbers{0, 3, 1, 2}));
    EXPECT_EQ(numbers(s.discarded), (Numbers{1, 2, 4}));
}

// Otherwise equal nodes would link only to each other.
TEST(SelectNeighbours, AnEqualNodeMakesOnlyEqualsSuperfluous)
{
    const Selection s = select({{0, 0, 1, 2}, {true, true}}, {.most = 4});
    EXPECT_EQ(numbers(s.selected), (Numbers{0, 2}));
}

TEST(SelectNeighbours, FixedOnesAreSelectedInAnyCase)
{
    // The candidate at 3 is nearer to the fixed one at 5 than to the node. But the fixed one is
    // farther from the node, so it does not rule the candidate out. The candidate at 5.5 lies
    // behind it.
    const Selection s = select({{5, 6, 7, 3, 5.5f}, {}}, {.fixed = 3, .most = 9});
    EXPECT_EQ(numbers(s.selected), (Numbers{0, 1, 2, 3}));
    EXPECT_EQ(numbers(s.discarded), Numbers{4});
    EXPECT_EQ(numbers(select({{5, 6, 1}, {}}, {.fixed = 2, .most = 2}).selected), (Numbers{0, 1}));
}

TEST(SelectNeighbours, TheLeastUsefulIsTheFarthestDiscarded)
{
    const auto least = [](const Selection& s, uint32_t exempt) {
        return least_useful(s, 4, [&](uint32_t i) { return i == exempt; });
    };
    Selection s;
    s.selected = {0, 3};
    s.discarded = {1, 2};
    EXPECT_EQ(least(s, 9), 2u);
    EXPECT_EQ(least(s, 2), 1u);
    s.discarded = {2};
    EXPECT_EQ(least(s, 2), 3u);
    s.discarded.clear();
    EXPECT_EQ(least(s, 9), 3u);
    EXPECT_EQ(least(s, 3), 2u);
}

// Points of the plane, sorted by their distance to the node at 0, which may equal some of them.
struct InThePlane {
    struct Point {
        float x, y;
        uint32_t number;
    };
    std::vector<Point> points;

    static float distance(const Point& a, const Point& b)
    {
        return std::hypot(a.x - b.x, a.y - b.y);
    }
    void add(Point p)
    {
        points.push_back(p);
        std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) {
            return std::make_pair(distance(a, {}), a.number) <
                   std::make_pair(distance(b, {}), b.number);
        });
    }
    size_t size() const { return points.size(); }
    Proximity proximity(uint32_t i) const
    {
        const float d = distance(points[i], {});
        return {d, d == 0};
    }
    float pair_distance(uint32_t i, uint32_t j) const { return distance(points[i], points[j]); }
};

// A slot of 16 links whose least useful one is replaced again and again: the update selects the
// same as a selection from scratch.
TEST(SelectionUpdate, SelectsTheSame)
{
    std::mt19937 rng(8);
    SelectionUpdate update;
    for (const int spread : {3, 10, 1000000}) {   // the narrow ones have many ties and equals
        const auto coordinate = [&] {
            return static_cast<float>(static_cast<int>(rng() % static_cast<unsigned>(spread)) -
                                      spread / 2);
        };
        InThePlane candidates;
        std::map<uint32_t, bool> was_selected;
        for (uint32_t number = 0; number < 3000; number++) {
            candidates.add({coordinate(), coordinate(), number});
            Vec<uint8_t> selected;
            uint32_t added = 0;
            for (uint32_t i = 0; i < candidates.size(); i++) {
                const uint32_t n = candidates.points[i].number;
                added = n == number ? i : added;
                selected.push_back(n != number && was_selected[n]);
            }
            update.add(candidates, added, selected);
            Selection want;
            select_neighbours(candidates, {.most = candidates.size()}, want);
            for (uint32_t i = 0; i < candidates.size(); i++) {
                const bool is_wanted =
                    std::find(want.selected.begin(), want.selected.end(), i) != want.selected.end();
                ASSERT_EQ(selected[i], is_wanted) << spread << " " << number << " " << i;
                was_selected[candidates.points[i].number] = is_wanted;
            }
            if (candidates.size() <= 16)
                continue;
            const uint32_t least = least_useful(want, 17, [&](uint32_t) { return false; });
            candidates.points.erase(candidates.points.begin() + least);
        }
    }
}

constexpr auto nothing = [](SelectionCache::Link*) {};

void knows_whether_links_have_changed(SelectionCache& cache)
{
    Vec<SlotId> links = {5, 6, 7, 8};
    EXPECT_FALSE(cache.find(1, links));
    for (SlotId id = 0; id < 500; id++)
        cache.remember(id, links, 4, [&](SelectionCache::Link* to) {
            to[3] = {static_cast<float>(id), false, true};
        });
    for (SlotId id = 0; id < 500; id++) {
        ASSERT_TRUE(cache.find(id, links));
        EXPECT_EQ(cache.find(id, links)[3].distance, static_cast<float>(id));
    }
    EXPECT_FALSE(cache.find(500, links));
    Vec<SlotId> others = {5, 7, 6, 8};
    EXPECT_FALSE(cache.find(1, others));

    // The link at place 1 is about to be replaced.
    cache.remember(1, links, 1, nothing);
    EXPECT_FALSE(cache.find(1, links));
    cache.close(1, 9);
    EXPECT_FALSE(cache.find(1, links));
    links[1] = 9;
    EXPECT_TRUE(cache.find(1, links));
    cache.close(1, 10);
    EXPECT_TRUE(cache.find(1, links));
    cache.close(500, 10);                   // not remembered
    cache.remember(1, links, 2, nothing);   // but then another link is replaced
    cache.close(1, 11);
    links[3] = 11;
    EXPECT_FALSE(cache.find(1, links));
}

TEST(SelectionCache, KnowsWhetherLinksHaveChanged)
{
    SelectionCache cache(4, 1000), shared(4, 0), other(4, 0);
    knows_whether_links_have_changed(cache);
    std::vector<uint64_t> memory(SelectionCache::shared_bytes(501, 4) / 8);
    shared.share(reinterpret_cast<char*>(memory.data()), [] {});
    knows_whether_links_have_changed(shared);
    // What one remembers, the others know.
    other.share(reinterpret_cast<char*>(memory.data()), [] {});
    const Vec<SlotId> links = {5, 6, 7, 8};
    ASSERT_TRUE(other.find(499, links));
    EXPECT_EQ(other.find(499, links)[3].distance, 499);
    other.remember(499, links, 0, nothing);
    shared.close(499, 1);
    EXPECT_TRUE(other.find(499, Vec<SlotId>{1, 6, 7, 8}));
    EXPECT_EQ(shared.bytes(), SelectionCache(4, 0).bytes());
}

TEST(SelectionCache, IsBounded)
{
    SelectionCache cache(4, 10);
    const Vec<SlotId> links = {5, 6, 7, 8};
    for (SlotId id = 0; id < 10; id++)
        cache.remember(id, links, 4, nothing);
    EXPECT_TRUE(cache.find(0, links));
    cache.remember(10, links, 4, nothing);
    EXPECT_FALSE(cache.find(0, links));
    EXPECT_TRUE(cache.find(10, links));
    const size_t bytes = cache.bytes();
    for (SlotId id = 0; id < 1000; id++)
        cache.remember(id, links, 4, nothing);
    EXPECT_EQ(cache.bytes(), bytes);
}

// Nodes of two-dimensional vectors, with room for four links.
struct Nodes {
    Encoding encoding{choose_encoding(codec::Form::dense, codec::Metric::l2, 2, {2}, 8160)};
    const Layout& layout = encoding.layout();
    MemoryStore store{encoding};
    LinkEncoder encoder{encoding};

    CodeCopy code(float x, float y) const
    {
        Vec<float> padded(encoding.codec().traits.padded);
        padded[0] = x;
        padded[1] = y;
        Vec<uint8_t> bytes;
        CodeCopy copy;
        copy.set(encoding.codec().encode({.dense = padded.data()}, bytes));
        return copy;
    }
    SlotId add(float x, float y, int level = 0)
    {
        return store.create([&](const MutableSlot& slot) {
            slot.header().state = SlotState::live;
            slot.header().level = static_cast<uint8_t>(level);
            put_code(code(x, y).code(), slot, no_slot);
        });
    }
    LinkResult link(SlotId from, SlotId to, int level = 0)
    {
        return link_at(from, to, free_place, level);
    }
    template <class ChoosePlace>
    LinkResult link_at(SlotId from, SlotId to, ChoosePlace&& choose, int level = 0)
    {
        encoder.set_centre(code_in(store.slot(from)));
        encoder.encode(code_in(store.slot(to)));
        return write_link(store, from, level, to, encoder.sketch(), choose);
    }
    std::vector<SlotId> links(SlotId id)
    {
        Vec<SlotId> read;
        read_links(store, id, read);
        return {read.begin(), read.end()};
    }
};

TEST(Links, AreWrittenAfterALookAtTheSlot)
{
    Nodes n;
    ASSERT_EQ(n.layout.degree, 4u);
    std::vector<SlotId> ids;
    for (int i = 0; i < 7; i++)
        ids.push_back(n.add(static_cast<float>(i), 1));
    for (size_t i = 1; i < 5; i++)
        EXPECT_EQ(n.link(ids[0], ids[i]), LinkResult::written);
    EXPECT_EQ(n.link(ids[0], ids[3]), LinkResult::was_there);
    EXPECT_EQ(n.link(ids[0], ids[5]), LinkResult::no_place);
    const auto place_of_2 = [&](const Slot& slot) { return place_of(ids[2], slot); };
    EXPECT_EQ(n.link_at(ids[0], ids[5], place_of_2), LinkResult::written);
    EXPECT_EQ(n.links(ids[0]), (std::vector<SlotId>{ids[1], ids[5], ids[3], ids[4]}));
    EXPECT_EQ(n.link_at(ids[0], ids[6], place_of_2), LinkResult::no_place);   // it was replaced
    EXPECT_EQ(n.link(ids[1], ids[0], 1), LinkResult::not_live);               // another layer
    n.store.slot(ids[1]).header().degree = 5;                                 // damaged
    EXPECT_EQ(n.link(ids[1], ids[0]), LinkResult::not_live);
    n.store.slot(ids[2]).header().state = SlotState::deleted;
    EXPECT_EQ(n.link(ids[2], ids[0]), LinkResult::not_live);
    EXPECT_EQ(write_link(n.store, 99, 0, ids[0], n.encoder.sketch(), free_place),
              LinkResult::not_live);
}

TEST(Links, AreAppendedAndRemoved)
{
    Nodes n;
    const SlotId from = n.add(0, 0);
    CodedCandidates candidates(n.encoding.codec());
    for (int i = 1; i < 6; i++) {
        const SlotId id = n.add(static_cast<float>(i), 0);
        candidates.add(id, static_cast<float>(i), code_in(n.store.slot(id)));
    }
    const MutableSlot slot = n.store.slot(from);
    n.encoder.set_centre(code_in(slot));
    EXPECT_TRUE(append_link(slot, candidates, 0, 3, n.encoder));
    EXPECT_FALSE(append_link(slot, candidates, 0, 3, n.encoder));   // it is there
    EXPECT_TRUE(append_link(slot, candidates, 1, 3, n.encoder));
    EXPECT_TRUE(append_link(slot, candidates, 2, 3, n.encoder));
    EXPECT_FALSE(append_link(slot, candidates, 3, 3, n.encoder));   // there are three
    remove_links(slot, [&](SlotId id) { return id == candidates.id(1); });
    EXPECT_EQ(n.links(from), (std::vector<SlotId>{candidates.id(0), candidates.id(2)}));
    EXPECT_TRUE(append_link(slot, candidates, 3, 4, n.encoder));
    for (size_t i = 0; i < 3; i++) {   // each has its own sketch
        const SlotId id = slot.ids()[i];
        n.encoder.encode(code_in(n.store.slot(id)));
        EXPECT_EQ(slot.sketches()[i], n.encoder.sketch().bits[0]);
        EXPECT_EQ(slot.a()[i], n.encoder.sketch().factors.a);
    }
}

TEST(CodedCandidates, AreMeasuredAndSorted)
{
    Nodes n;
    CodedCandidates candidates(n.encoding.codec());
    const float at[] = {4, 3, 0, 2, 1};
    for (uint32_t i = 0; i < 5; i++)
        candidates.add(10 + i, at[i], n.code(at[i], 0).code());
    const auto ids = [&] {
        std::vector<SlotId> v;
        for (size_t i = 0; i < candidates.size(); i++)
            v.push_back(candidates.id(i));
        return v;
    };
    candidates.sort(1);
    EXPECT_EQ(ids(), (std::vector<SlotId>{10, 12, 14, 13, 11}));
    candidates.sort();
    EXPECT_EQ(ids(), (std::vector<SlotId>{12, 14, 13, 11, 10}));
    candidates.measure(n.code(3, 0).code());
    EXPECT_NEAR(candidates.proximity(0).distance, 9, 0.1);
    EXPECT_NEAR(candidates.proximity(3).distance, 0, 0.1);
    EXPECT_TRUE(candidates.proximity(3).equal);
    EXPECT_FALSE(candidates.proximity(4).equal);
    EXPECT_NEAR(candidates.pair_distance(0, 4), 16, 0.1);
    candidates.truncate(3);
    EXPECT_EQ(ids(), (std::vector<SlotId>{12, 14, 13}));
    EXPECT_TRUE(candidates.contains(13));
    EXPECT_FALSE(candidates.contains(11));
}

// ---- links that are taken away at the same time ----

struct MeddlingStore : MemoryStore {
    using MemoryStore::MemoryStore;

    template <class F>
    bool write(SlotId id, F&& f)
    {
        const Vec<SlotId> before = links(id);
        const bool written = MemoryStore::write(id, f);
        if (written && on_write)
            on_write(id, before);
        return written;
    }
    Vec<SlotId> links(SlotId id)
    {
        Vec<SlotId> ids;
        read_links(static_cast<MemoryStore&>(*this), id, ids);
        return ids;
    }

    std::function<void(SlotId, const Vec<SlotId>&)> on_write;
};

// A neighbour of a new node gives up its link to another node, because the new node links to that
// one. At the same time another operation replaces the new node's link, because it saw that the
// neighbour has one.
TEST(Inserter, NodesThatLoseTwoLinksAtOnceAreLinkedAgain)
{
    int taken = 0;
    for (uint32_t seed = 1; seed <= 30; seed++) {
        const Encoding encoding({{codec::Form::dense, codec::Metric::l2, 6, 8}, 1, 4, 1});
        MeddlingStore store(encoding);
        Inserter<MeddlingStore> inserter(store, 2, 8);
        std::mt19937 rng(seed);
        for (uint16_t row = 1; row <= 40; row++) {
            const SlotId newcomer = store.size();
            bool armed = true;
            store.on_write = [&](SlotId id, const Vec<SlotId>& before) {
                if (!armed || id == newcomer || !links_to(store.slot(id), newcomer))
                    return;
                for (const SlotId lost : before)
                    if (!links_to(store.slot(id), lost) && links_to(store.slot(newcomer), lost)) {
                        remove_links(store.slot(newcomer), [&](SlotId n) { return n == lost; });
                        armed = false;
                        taken++;
                        return;
                    }
            };
            std::vector<float> x(encoding.codec().traits.padded);
            for (float& v : x)
                v = static_cast<float>(rng() % 1000) / 100;
            inserter.insert({.dense = x.data()}, {0, row, 1}, 0);
            Flood<MeddlingStore> flood(store, true);
            flood.from(store.entry().root);
            for (SlotId id = 0; id < store.size(); id++)
                ASSERT_TRUE(store.slot(id).header().state != SlotState::live || flood.reached(id))
                    << "seed " << seed << ", row " << row << ", slot " << id;
        }
    }
    EXPECT_GT(taken, 100);
}

}   // namespace
