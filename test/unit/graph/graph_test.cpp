// The graph over the in-memory store: recall, growth, exact order, duplicates, deletion, and
// robustness against damaged slots.
#include <gtest/gtest.h>

#include <algorithm>
#include <malloc.h>
#include <memory>
#include <random>
#include <set>

#include "core/rng.hpp"
#include "graph/check.hpp"
#include "graph/choose_encoding.hpp"
#include "graph/insert.hpp"
#include "graph/memory_store.hpp"
#include "graph/lifecycle.hpp"
#include "graph/scan.hpp"
#include "codec/rotation.hpp"

using namespace quiver;
using namespace quiver::graph;

using codec::Form, codec::Metric;

namespace {

constexpr uint32_t usable = 8160;

Tid tid_of(size_t i) { return {static_cast<uint16_t>(i >> 16), static_cast<uint16_t>(i), 1}; }
size_t row_of(Tid t) { return static_cast<size_t>(t.block_high) << 16 | t.block_low; }

template <class S>
struct BasicFixture : Rows {
    Encoding encoding;
    const Layout& layout = encoding.layout();
    const codec::CodecTraits& traits = encoding.codec().traits;
    const codec::CodecSpec& spec = encoding.codec().spec;
    uint32_t m, efc;
    codec::Rotation rotation;
    S store;
    Inserter<S> inserter;
    Scan<S> scan;
    std::vector<std::vector<float>> rows;
    std::vector<bool> certain;   // of the last search: is the row's place certain?
    LevelDraw levels{3};
    Vec<float> floats;
    Vec<uint8_t> bits;
    Vec<int32_t> indices;
    std::vector<float> asked;

    BasicFixture(Metric metric, uint32_t dims, uint32_t m_ = 16, int fold = choose_fold,
                 uint32_t efc_ = 64, Form form = Form::dense, int vector_bits = 8)
        : encoding(choose_encoding(form, metric, dims, {m_, fold, vector_bits}, usable)), m(m_),
          efc(efc_), rotation(dims, 1), store(encoding), inserter(store, m, efc), scan(store)
    {
        if (const auto training = encoding.codec().training()) {
            std::vector<half> parameters(encoding.codec().parameter_count());
            training->finish(1, parameters.data(), [] {});
            encoding.codec().set_parameters(parameters.data());
        }
    }
    bool is_coarse() const { return traits.order == codec::CodecTraits::Order::by_chance; }
    bool is_precise() const { return traits.order == codec::CodecTraits::Order::precise; }
    bool distance(Tid tid, double* to) override
    {
        *to = exact(asked, row_of(tid));
        return true;
    }
    // Is the coordinate set? In a bit string, positive ones are. In a sparse vector, those far
    // enough from 0.
    bool there(float x) const
    {
        return spec.form == Form::bits     ? x > 0
               : spec.form == Form::sparse ? std::fabs(x) > 0.5f
                                           : true;
    }
    Value value(const std::vector<float>& x)
    {
        Value v;
        if (spec.form == Form::dense) {
            floats.assign(traits.padded, 0);
            if (traits.rotated)
                rotation.apply(x.data(), floats.data());
            else
                std::copy(x.begin(), x.end(), floats.begin());
            v.dense = floats.data();
        } else if (spec.form == Form::bits) {
            bits.assign(layout.code_bytes, 0);
            for (size_t i = 0; i < x.size(); i++)
                if (there(x[i]))
                    bits[i / 8] |= static_cast<uint8_t>(128 >> i % 8);
            v.bits = bits.data();
        } else {
            floats.clear();
            indices.clear();
            for (size_t i = 0; i < x.size(); i++)
                if (there(x[i])) {
                    indices.push_back(static_cast<int32_t>(i));
                    floats.push_back(x[i]);
                }
            v.sparse = {indices.data(), floats.data(), floats.size()};
        }
        return v;
    }
    void add(std::vector<float> x)
    {
        inserter.insert(value(x), tid_of(rows.size()), levels.draw(layout.level_base(), max_level));
        rows.push_back(std::move(x));
    }
    double exact(const std::vector<float>& q, size_t i) const
    {
        double l2 = 0, ip = 0, l1 = 0;
        if (spec.form == Form::bits) {
            double differ = 0, both = 0;
            for (size_t j = 0; j < q.size(); j++) {
                differ += there(q[j]) != there(rows[i][j]);
                both += there(q[j]) && there(rows[i][j]);
            }
            return spec.metric == Metric::hamming ? differ
                   : both == 0                    ? 1
                                                  : 1 - both / (differ + both);
        }
        const auto part = [&](float x) { return there(x) ? static_cast<double>(x) : 0.0; };
        if (spec.form == Form::sparse || spec.metric == Metric::l1) {
            for (size_t j = 0; j < q.size(); j++) {
                const double d = part(q[j]) - part(rows[i][j]);
                l2 += d * d;
                ip += part(q[j]) * part(rows[i][j]);
                l1 += std::fabs(d);
            }
            return spec.metric == Metric::l1 ? l1 : spec.metric == Metric::ip ? -ip : std::sqrt(l2);
        }
        for (size_t j = 0; j < q.size(); j++) {
            const double d = static_cast<double>(q[j]) - rows[i][j];
            l2 += d * d;
            ip += static_cast<double>(q[j]) * rows[i][j];
        }
        return spec.metric == Metric::ip ? -ip : spec.metric == Metric::l2 ? std::sqrt(l2) : l2 / 2;
    }
    // Rows and bounds, before exact distances are computed.
    std::vector<std::pair<size_t, double>> search(const std::vector<float>& q, size_t ef,
                                                  size_t limit, Iterate iterate = Iterate::strict)
    {
        asked = q;
        // If rows are reranked, rows that come too late are among them. Only coarse codes need that.
        scan.start(value(q), {ef, iterate, 1000000, size_t{1} << 30}, is_coarse() ? this : nullptr);
        std::vector<std::pair<size_t, double>> got;
        BoundedRow row;
        certain.clear();
        while (got.size() < limit && scan.next_by_bound(&row)) {
            got.emplace_back(row_of(row.tid), row.low);
            certain.push_back(row.certain);
        }
        return got;
    }
    // Checks the graph. Returns the first problem, or "".
    std::string check()
    {
        std::string first;
        Checker<S> checker(store, store.size());
        checker.run(
            [&](SlotId id, const char* problem) {
                if (first.empty())
                    first = std::to_string(id) + ": " + problem;
            },
            [](SlotId, Tid) {});
        return first;
    }
    double recall(size_t queries, size_t ef, const std::set<size_t>& dead = {}, double away = 0.3)
    {
        std::mt19937 rng(99);
        double good = 0;
        for (size_t n = 0; n < queries; n++) {
            std::vector<float> q = rows[rng() % rows.size()];
            // Near a row, but not equal to it.
            double norm2 = 0;
            for (const float v : q)
                norm2 += static_cast<double>(v) * v;
            std::normal_distribution<float> noise(
                0, static_cast<float>(away * std::sqrt(norm2 / static_cast<double>(q.size()))));
            for (float& v : q)
                v += noise(rng);
            std::vector<double> all;
            for (size_t i = 0; i < rows.size(); i++)
                if (!dead.count(i))
                    all.push_back(exact(q, i));
            std::nth_element(all.begin(), all.begin() + 9, all.end());
            const double worst = all[9] + 1e-9;
            std::vector<double> found;
            for (const auto& [row, bound] : search(q, ef, ef, Iterate::off))
                found.push_back(exact(q, row));
            good += static_cast<double>(
                std::min<ptrdiff_t>(10, std::count_if(found.begin(), found.end(),
                                                      [&](double d) { return d <= worst; })));
        }
        return good / (10 * static_cast<double>(queries));
    }
};
using Fixture = BasicFixture<MemoryStore>;

std::vector<float> gaussian(std::mt19937& rng, size_t dims, bool unit, float shift = 0)
{
    std::normal_distribution<float> n;
    std::vector<float> x(dims);
    double norm2 = 0;
    for (float& v : x) {
        v = n(rng) + shift;
        norm2 += static_cast<double>(v) * v;
    }
    if (unit)
        for (float& v : x)
            v = static_cast<float>(v / std::sqrt(norm2));
    return x;
}

// A clustered vector, like embeddings.
std::vector<float> clustered(std::mt19937& rng, const std::vector<std::vector<float>>& centres,
                             bool unit)
{
    std::vector<float> x = gaussian(rng, centres[0].size(), false);
    const auto& c = centres[rng() % centres.size()];
    double norm2 = 0;
    for (size_t i = 0; i < x.size(); i++) {
        x[i] = c[i] + 0.5f * x[i];
        norm2 += static_cast<double>(x[i]) * x[i];
    }
    if (unit)
        for (float& v : x)
            v = static_cast<float>(v / std::sqrt(norm2));
    return x;
}

struct Case {
    Metric metric;
    uint32_t dims, m;
    int fold;
    Form form = Form::dense;
    int vector_bits = 8;
};

class Graph : public testing::TestWithParam<Case> {};

TEST_P(Graph, FindsTheNearestInOrderOfTrueBounds)
{
    const Case c = GetParam();
    Fixture f(c.metric, c.dims, c.m, c.fold, 64, c.form, c.vector_bits);
    std::mt19937 rng(5);
    std::vector<std::vector<float>> centres;
    for (int i = 0; i < 30; i++)
        centres.push_back(gaussian(rng, c.dims, false));
    const bool unit = c.metric == Metric::cosine;
    for (int i = 0; i < 2000; i++)
        f.add(clustered(rng, centres, unit));
    EXPECT_GE(f.recall(50, 100), c.m < 4 ? 0.9 : 0.99);
    size_t nearer = 0, all = 0;   // rows nearer than their likely bounds; all rows
    for (int n = 0; n < 20; n++) {
        const auto q = clustered(rng, centres, unit);
        double last = -INFINITY, farthest = -INFINITY;
        std::set<size_t> seen;
        size_t i = 0, certain = 0;
        const auto got = f.search(q, 40, 2000);
        // The exact distance of each row, and the least one from row i on
        std::vector<double> exact(got.size()), nearest(got.size() + 1, INFINITY);
        for (size_t j = got.size(); j-- > 0;) {
            exact[j] = f.exact(q, got[j].first);
            nearest[j] = std::min(nearest[j + 1], exact[j]);
        }
        for (const auto& [row, bound] : got) {
            const double distance = exact[i];
            if (f.is_coarse())
                nearer += bound > distance;
            else
                ASSERT_LE(bound, distance + 1e-7 * std::fabs(distance));
            if (f.is_precise()) {
                ASSERT_GE(bound, last);
            }
            ASSERT_TRUE(seen.insert(row).second);
            last = bound;
            // If a row's place is certain, no row before it is farther, and no row after it is
            // nearer.
            if (f.certain[i++]) {
                certain++;
                ASSERT_GE(distance, farthest);
                farthest = distance;
                if (f.is_precise()) {
                    ASSERT_GE(nearest[i], distance);
                }
            } else
                farthest = std::max(farthest, distance);
        }
        // With 12 bits, the bounds of many rows overlap.
        if (f.is_precise())
            EXPECT_GT(static_cast<double>(certain),
                      f.spec.bits == 12
                          ? 0
                          : 0.8 * static_cast<double>(std::min<size_t>(got.size(), 20)));
        else
            EXPECT_EQ(certain, 0u);
        EXPECT_GT(seen.size(), 100u);   // it continued beyond ef
        all += seen.size();
    }
    // Three standard deviations: 1 in 741
    EXPECT_LE(nearer, all / 200) << all;
    // Without strict order no row is dropped.
    EXPECT_EQ(f.search(clustered(rng, centres, unit), 40, 2001, Iterate::relaxed).size(), 2000u);
    EXPECT_EQ(f.search(clustered(rng, centres, unit), 40, 2000, Iterate::off).size(), 40u);
}

TEST_P(Graph, TheCheckerFindsNothing)
{
    const Case c = GetParam();
    Fixture f(c.metric, c.dims, c.m, c.fold, 64, c.form, c.vector_bits);
    std::mt19937 rng(6);
    for (int i = 0; i < 500; i++)
        f.add(gaussian(rng, c.dims, c.metric == Metric::cosine));
    EXPECT_EQ(f.check(), "");
}

TEST_P(Graph, TheCheckerFindsDamage)
{
    const Case c = GetParam();
    Fixture f(c.metric, c.dims, c.m, c.fold, 64, c.form, c.vector_bits);
    std::mt19937 rng(12);
    for (int i = 0; i < 300; i++)
        f.add(gaussian(rng, c.dims, c.metric == Metric::cosine));
    SlotId id = 0;
    while (f.store.slot(id).header().state != SlotState::live ||
           f.store.slot(id).header().level != 0 || id == f.store.entry().root)
        id++;
    const MutableSlot slot = f.store.slot(id);
    const Vec<char> good(slot.data(), slot.data() + f.layout.slot_bytes);
    const auto damage = [&](auto&& change) {
        change();
        const std::string found = f.check();
        std::copy(good.begin(), good.end(), slot.data());
        return found;
    };
    EXPECT_NE(damage([&] { slot.header().state = SlotState{7}; }), "");
    EXPECT_NE(damage([&] { slot.header().state = SlotState::free; }), "");
    EXPECT_NE(damage([&] { slot.header().level = 3; }), "");
    EXPECT_NE(damage([&] { slot.header().degree = 255; }), "");
    EXPECT_NE(damage([&] { slot.header().tid_count = 0; }), "");
    EXPECT_NE(damage([&] { slot.header().tid_count = 9; }), "");
    EXPECT_NE(damage([&] { slot.header().length += 4; }), "");
    EXPECT_NE(damage([&] { slot.ids()[0] = id; }), "");
    EXPECT_NE(damage([&] { slot.ids()[0] = f.store.size(); }), "");
    EXPECT_NE(damage([&] { slot.ids()[0] = slot.ids()[1]; }), "");
    if (f.layout.sketched()) {
        EXPECT_NE(damage([&] { slot.a()[0] = NAN; }), "");
        EXPECT_NE(damage([&] { slot.sketches()[0] = ~slot.sketches()[0]; }), "");
    }
    // No other links to it.
    for (SlotId n = 0; n < f.store.size(); n++) {
        const MutableSlot s = f.store.slot(n);
        SlotHeader& h = s.header();
        for (uint32_t i = 0; i < h.degree && h.level == 0; i++)
            if (s.ids()[i] == id)
                move_neighbour(s, --h.degree, i);
    }
    // (A slot of an upper layer above it would not help: a search enters layer 0 at one slot.)
    EXPECT_NE(f.check(), "");
    ensure_all(f.store, f.inserter);
    EXPECT_EQ(f.check(), "");
    const Entry entry = f.store.entry();
    f.store.set_entry({f.store.size(), 0, entry.root});
    EXPECT_NE(f.check(), "");
    f.store.set_entry({entry.id, entry.level, f.store.size()});
    EXPECT_NE(f.check(), "");
}

// All rows have the same few nearest rows. Rows that are inserted late must still be found.
TEST(Graph, HubsHideNobody)
{
    Fixture f(Metric::l2, 600, 8, choose_fold, 64, Form::sparse);
    for (int i = 0; i < 600; i++) {
        std::vector<float> x(600);
        x[static_cast<size_t>(i)] =
            static_cast<float>(i + 1);   // orthogonal, each longer than the one before
        f.add(x);
    }
    EXPECT_EQ(f.check(), "");
}

std::string name_of(const Case& c)
{
    static const char* const metrics[] = {"", "l2", "ip", "cosine", "l1", "hamming", "jaccard"};
    static const char* const forms[] = {"", "", "_bits", "_sparse"};
    return std::string(metrics[static_cast<int>(c.metric)]) + forms[static_cast<int>(c.form)] +
           "_" + std::to_string(c.dims) + "_m" + std::to_string(c.m) + "_fold" +
           (c.fold < 0 ? "none" : std::to_string(c.fold)) +
           (c.vector_bits == 8 ? "" : "_bits" + std::to_string(c.vector_bits));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Graph,
    testing::Values(
        Case{Metric::l2, 128, 16, 0}, Case{Metric::cosine, 384, 16, 0},
        Case{Metric::ip, 100, 16, 0}, Case{Metric::l2, 3, 16, 0}, Case{Metric::l2, 1, 4, 0},
        Case{Metric::cosine, 200, 2, 0}, Case{Metric::l2, 256, 16, 4},
        Case{Metric::l2, 2000, 16, 0}, Case{Metric::cosine, 1536, 16, 4},
        Case{Metric::l2, 64, 100, 0}, Case{Metric::l2, 96, 16, no_sketches},
        Case{Metric::cosine, 768, 16, no_sketches}, Case{Metric::l1, 60, 16, 0},
        Case{Metric::l1, 1000, 16, 0}, Case{Metric::hamming, 200, 16, 0, Form::bits},
        Case{Metric::jaccard, 256, 16, 0, Form::bits},
        Case{Metric::hamming, 1600, 16, 0, Form::bits},
        Case{Metric::jaccard, 1000, 8, no_sketches, Form::bits},
        Case{Metric::l2, 30, 16, 0, Form::sparse}, Case{Metric::ip, 350, 16, 0, Form::sparse},
        Case{Metric::l1, 300, 16, 0, Form::sparse}, Case{Metric::l2, 100, 16, 0, Form::dense, 16},
        Case{Metric::cosine, 768, 16, 0, Form::dense, 16},
        Case{Metric::ip, 1536, 16, 0, Form::dense, 16},
        Case{Metric::l2, 3072, 16, 0, Form::dense, 16},
        Case{Metric::l2, 100, 16, 0, Form::dense, 12},
        Case{Metric::cosine, 1536, 16, 0, Form::dense, 12},
        Case{Metric::l2, 128, 16, 0, Form::dense, 32},
        Case{Metric::ip, 700, 16, 0, Form::dense, 32},
        Case{Metric::cosine, 384, 16, no_sketches, Form::dense, 32},
        Case{Metric::cosine, 384, 16, 0, Form::dense, 4},
        Case{Metric::ip, 256, 16, 0, Form::dense, 2}, Case{Metric::l2, 768, 16, 6, Form::dense, 1},
        Case{Metric::l2, 512, 16, no_sketches, Form::dense, 2}),
    [](const auto& info) { return name_of(info.param); });

TEST(Graph, DegenerateInputs)
{
    Fixture f(Metric::l2, 8);
    EXPECT_TRUE(f.search(std::vector<float>(8, 1), 40, 10).empty());
    for (int i = 0; i < 100; i++)
        f.add(std::vector<float>(8, 5));   // all equal
    f.add(std::vector<float>(8, 0));
    f.add(std::vector<float>(8, 1e30f));
    f.add(std::vector<float>(8, 1e-30f));
    const auto got = f.search(std::vector<float>(8, 5), 200, 1000);
    std::set<size_t> rows;
    for (const auto& g : got)
        rows.insert(g.first);
    EXPECT_EQ(rows.size(), 103u);
}

TEST(Graph, DuplicatesShareANode)
{
    for (const int vector_bits : {8, 4}) {
        Fixture f(Metric::l2, 16, 16, choose_fold, 64, Form::dense, vector_bits);
        ASSERT_EQ(f.layout.tids, vector_bits == 8 ? 8u : 4u);
        std::mt19937 rng(8);
        for (int i = 0; i < 50; i++) {
            const auto x = gaussian(rng, 16, false);
            for (uint32_t j = 0; j < f.layout.tids; j++)
                f.add(x);
        }
        size_t nodes = 0;
        for (SlotId id = 0; id < f.store.size(); id++)
            nodes += f.store.slot(id).header().level == 0;
        EXPECT_EQ(nodes, 50u);
    }
}

// Deletes a share of a graph's rows as vacuum does.
void delete_rows(Fixture& f, std::mt19937& rng, double share, std::set<size_t>& dead)
{
    std::bernoulli_distribution dies(share);
    std::set<size_t> now;
    for (size_t row = 0; row < f.rows.size(); row++)
        if (!dead.count(row) && dies(rng))
            now.insert(row);
    Removal<MemoryStore> removal(f.store, f.m, f.efc);
    const RemovalResult result = removal.run([&](Tid tid) { return now.count(row_of(tid)) > 0; },
                                             [](uint64_t) { return true; });
    EXPECT_EQ(result.removed, now.size());
    EXPECT_EQ(result.deleted, 0u);
    dead.insert(now.begin(), now.end());
    EXPECT_EQ(result.rows, f.rows.size() - dead.size());
    ASSERT_EQ(f.check(), "");
}

// Counts the rows that a search for their own vector does not find.
size_t lost_rows(Fixture& f, const std::set<size_t>& dead, size_t ef)
{
    size_t lost = 0;
    for (size_t i = 0; i < f.rows.size(); i++) {
        if (dead.count(i))
            continue;
        const auto got = f.search(f.rows[i], ef, ef, Iterate::off);
        lost += std::none_of(got.begin(), got.end(), [&](const auto& g) { return g.first == i; });
    }
    return lost;
}

// Counts the memory that is in use, and the most that was.
struct CountedMemory {
    CountedMemory()
    {
        now = peak = 0;
        memory_hooks = {allocate, release};
    }
    ~CountedMemory() { memory_hooks = {std::malloc, std::free}; }

    static void* allocate(size_t bytes)
    {
        void* p = std::malloc(bytes);
        peak = std::max(peak, now += static_cast<int64_t>(malloc_usable_size(p)));
        return p;
    }
    static void release(void* p)
    {
        now -= static_cast<int64_t>(malloc_usable_size(p));
        std::free(p);
    }
    static inline int64_t now = 0, peak = 0;
};
// Nodes on a line. Each links to some before and behind it, near and far: the farthest in a distance
// of a 64th of the line. One node in 64 is also on layer 1, where the nodes do the same.
struct Line : MemoryStore {
    explicit Line(const Encoding& encoding, uint32_t nodes) : MemoryStore(encoding)
    {
        std::vector<SlotId> layers[2];
        std::vector<float> x(encoding.codec().traits.padded);
        for (uint32_t i = 0; i < nodes; i++)
            for (uint8_t level = 0; level <= (i % 64 == 0); level++)
                layers[level].push_back(create([&](const MutableSlot& slot) {
                    x[0] = static_cast<float>(i);
                    Vec<uint8_t> bytes;
                    put_code(encoding.codec().encode({.dense = x.data()}, bytes), slot, no_slot);
                    SlotHeader& h = slot.header();
                    h.state = SlotState::live;
                    h.level = level;
                    h.down = level > 0 ? layers[0].back() : no_slot;
                    if (level == 0) {
                        h.tid_count = 1;
                        slot.tids()[0] = tid_of(i);
                    }
                }));
        for (const std::vector<SlotId>& ids : layers)
            for (size_t i = 0; i < ids.size(); i++)
                for (size_t far = 1; far <= nodes / 64; far *= 16)
                    for (const size_t to : {i - far, i + far})
                        if (to < ids.size())
                            slot(ids[i]).ids()[slot(ids[i]).header().degree++] = ids[to];
        set_entry({layers[1][0], 1, layers[0][0]});
    }
    void note_room(uint32_t, uint64_t) {}   // allocates nothing
};

// A vacuum takes no more memory than it may, whatever the size of the graph, and what its searches
// take. (That is measured in a smaller graph, in which they are about as long. A set of all slots takes
// 33 kB.) It goes in parts if it must, and leaves nothing.
TEST(Graph, VacuumsStayWithinTheirMemory)
{
    const Encoding encoding(choose_encoding(Form::dense, Metric::l1, 1, {4, 0, 32}, usable));
    ASSERT_EQ(encoding.layout().degree, 8u);
    const auto peak = [&](uint32_t nodes, uint64_t memory, uint32_t parts) {
        Line store(encoding, nodes);
        int64_t most = 0;
        {
            const CountedMemory counted;
            Removal<Line> removal(store, 4, 16, memory);
            const RemovalResult result = removal.run([](Tid tid) { return row_of(tid) % 65 == 0; },
                                                     [](uint64_t) { return true; });
            most = CountedMemory::peak;
            EXPECT_EQ(result.deleted, 0u);
            EXPECT_GT(result.freed, nodes / 65);
            EXPECT_EQ(result.parts, parts);
        }
        Checker<Line> checker(store, store.size());
        size_t problems = 0;
        checker.run([&](SlotId, const char*) { problems++; }, [](SlotId, Tid) {});
        EXPECT_EQ(problems, 0u);
        return most;
    };
    const uint32_t nodes = 64 * 4096;
    const int64_t small = std::max(peak(nodes / 16, 20000, 1), peak(nodes / 16, 3000, 6));
    const auto check = [&](uint64_t memory, uint32_t parts) {
        const int64_t most = peak(nodes, memory, parts) - small;
        EXPECT_LE(most, static_cast<int64_t>(memory) + 30000) << parts;
        return most;
    };
    EXPECT_GT(check(300000, 1), nodes / 3);   // the sets are counted
    check(140000, 2);                         // enough for a flood
    check(50000, 6);                          // searches
}

// Wide searches do not copy the codes of all nodes that they find.
TEST(Graph, VacuumsOfLongVectorsStayWithinTheirMemory)
{
    Fixture f(Metric::l2, 1500, 2, choose_fold, 16);
    std::mt19937 rng(4);
    std::normal_distribution<float> normal;
    for (int i = 0; i < 5000; i++) {
        std::vector<float> x(1500);
        for (float& v : x)
            v = normal(rng);
        f.add(x);
    }
    for (size_t round = 0; round < 3; round++) {
        const CountedMemory counted;
        Removal<MemoryStore> removal(f.store, f.m, f.efc, 1000000);
        removal.run([&](Tid tid) { return row_of(tid) % 1700 == round; },
                    [](uint64_t) { return true; });
        EXPECT_LE(CountedMemory::peak, 1000000);
    }
}

// Few links and narrow searches, which often miss nodes that can be reached. Without memory for a flood, a
// vacuum must not take these for unreachable ones, for which there is no place in the end.
TEST(Graph, VacuumsWithoutMemoryForAFloodFreeAll)
{
    for (const auto& [m, ef_construction, rows] : {std::tuple{4u, 20u, 12000}, {2u, 8u, 4000}}) {
        Fixture f(Metric::l2, 500, m, choose_fold, ef_construction, Form::sparse);
        std::mt19937 rng(4);
        std::uniform_real_distribution<float> uniform(0.01f, 1);
        for (int i = 0; i < rows; i++) {
            std::vector<float> x(500);
            for (int j = 0; j < 12; j++)
                x[rng() % 500] = uniform(rng);
            f.add(x);
        }
        for (uint32_t round = 0; round < 4; round++) {
            Removal<MemoryStore> removal(f.store, f.m, f.efc, 300);
            const RemovalResult result = removal.run(
                [&](Tid tid) { return row_of(tid) % 40 == round; }, [](uint64_t) { return true; });
            EXPECT_EQ(result.deleted, 0u) << "round " << round;
            EXPECT_GE(result.freed, static_cast<uint64_t>(rows) / 40);
            EXPECT_GT(result.parts, 5u);
        }
    }
}

// Sparse vectors with few terms in common: searches visit the same few nodes, and find few of the rows for
// their own vectors. What a build does for those must not cost the others (recall was 0.90).
TEST(Graph, SparseVectorsWhoseDistancesAreAlike)
{
    Fixture f(Metric::l2, 4000, 16, choose_fold, 64, Form::sparse);
    std::mt19937 rng(3);
    std::uniform_real_distribution<float> uniform(0.51f, 1.5f);
    const auto random = [&] {
        std::vector<float> x(4000);
        for (int j = 0; j < 100; j++)
            x[rng() % 4000] = uniform(rng);
        return x;
    };
    for (int i = 0; i < 2000; i++)
        f.add(random());
    ensure_all(f.store, f.inserter);
    EXPECT_EQ(f.check(), "");
    ptrdiff_t good = 0;
    for (int n = 0; n < 40; n++) {
        const std::vector<float> q = random();
        std::vector<double> all;
        for (size_t i = 0; i < f.rows.size(); i++)
            all.push_back(f.exact(q, i));
        std::nth_element(all.begin(), all.begin() + 9, all.end());
        const auto found = f.search(q, 40, 40, Iterate::off);
        good +=
            std::min<ptrdiff_t>(10, std::count_if(found.begin(), found.end(), [&](const auto& row) {
                                    return f.exact(q, row.first) <= all[9] + 1e-9;
                                }));
    }
    EXPECT_GE(good, 0.97 * 10 * 40);
}

// By inner product, the longest vectors are the nearest nodes of all others. They must keep links to each other
// (recall was 0.4 to 0.9), also when rows come and go.
TEST(Graph, InnerProductsOfVectorsOfDifferentLengths)
{
    std::mt19937 rng(3);
    std::uniform_real_distribution<float> uniform(0, 1);
    std::normal_distribution<float> normal;
    const auto in_cube = [&](uint32_t dims) {
        std::vector<float> x(dims);
        for (float& v : x)
            v = uniform(rng);
        return x;
    };
    // A positive direction, and a length that can be any.
    const auto log_normal = [&](uint32_t dims) {
        std::vector<float> x(dims);
        double norm2 = 0;
        for (float& v : x) {
            v = std::fabs(normal(rng));
            norm2 += static_cast<double>(v) * v;
        }
        const auto scale = static_cast<float>(std::exp(0.5 * normal(rng)) / std::sqrt(norm2));
        for (float& v : x)
            v *= scale;
        return x;
    };
    const auto test = [&](uint32_t dims, auto&& direction, Form form) {
        // (The fixture drops what is near 0 from a sparse vector.)
        const auto random = [&](uint32_t n) {
            std::vector<float> x = direction(n);
            for (float& v : x)
                v *= form == Form::sparse ? 1000 : 1;
            return x;
        };
        Fixture f(Metric::ip, dims, 16, choose_fold, 64, form);
        for (int i = 0; i < 5000; i++)
            f.add(random(dims));
        ensure_all(f.store, f.inserter);
        EXPECT_EQ(f.check(), "");
        const auto recall_at_20 = [&] {
            ptrdiff_t good = 0;
            for (int n = 0; n < 100; n++) {
                const std::vector<float> q = random(dims);
                std::vector<double> all;
                for (size_t i = 0; i < f.rows.size(); i++)
                    all.push_back(f.exact(q, i));
                std::nth_element(all.begin(), all.begin() + 19, all.end());
                const auto found = f.search(q, 40, 40, Iterate::off);
                good += std::min<ptrdiff_t>(
                    20, std::count_if(found.begin(), found.end(), [&](const auto& row) {
                        return f.exact(q, row.first) <= all[19] + 1e-9;
                    }));
            }
            return static_cast<double>(good) / (20 * 100);
        };
        EXPECT_GE(recall_at_20(), 0.97) << dims;
        std::vector<bool> dead(f.rows.size());
        for (size_t i = 0; i < dead.size(); i++)
            dead[i] = rng() % 2;
        Removal<MemoryStore> removal(f.store, f.m, f.efc);
        removal.run([&](Tid t) { return dead[row_of(t)]; }, [](uint64_t) { return true; });
        for (size_t i = 0; i < dead.size(); i++)
            if (dead[i])
                f.inserter.insert(f.value(f.rows[i]), tid_of(i),
                                  f.levels.draw(f.layout.level_base(), max_level));
        EXPECT_EQ(f.check(), "");
        EXPECT_GE(recall_at_20(), 0.97) << dims;
    };
    for (const Form form : {Form::dense, Form::sparse}) {
        SCOPED_TRACE(static_cast<int>(form));
        test(3, in_cube, form);
        test(3, log_normal, form);
        test(8, in_cube, form);
        test(8, log_normal, form);
        test(20, in_cube, form);
    }
}

// After each write, counts the live nodes that cannot be reached from the root.
struct Watched : MemoryStore {
    using MemoryStore::MemoryStore;
    bool watching = false;
    size_t hidden = 0;   // the most

    template <class F>
    bool write(SlotId id, F&& f)
    {
        const bool written = MemoryStore::write(id, f);
        look();
        return written;
    }
    template <class Look, class Change>
    void write_page(uint32_t page, Look&& l, Change&& c)
    {
        MemoryStore::write_page(page, l, c);
        look();
    }
    void look()
    {
        if (!watching)
            return;
        Marks reached;
        Vec<SlotId> next;
        const auto go = [&](SlotId id) {
            if (reached.set(id))
                next.push_back(id);
        };
        for (go(entry().root); !next.empty();) {
            const Slot s = slot(next.back());
            next.pop_back();
            if (s.header().level == 0 &&
                (s.header().state == SlotState::live || s.header().state == SlotState::deleted))
                for (const SlotId id : links_of(s))
                    go(id);
        }
        size_t count = 0;
        for (SlotId id = 0; id < size(); id++)
            count += is_live_node(slot(id), 0) && !reached.test(id);
        hidden = std::max(hidden, count);
    }
};

// Where nodes have few links, most of them needed, each one finds its place only in the right order.
TEST(Graph, VacuumsHideNothing)
{
    for (const uint64_t memory : {uint64_t{300}, UINT64_MAX})
        for (unsigned seed = 1; seed <= 15; seed++) {
            BasicFixture<Watched> f(Metric::l2, 16, 2, choose_fold, 8);
            std::mt19937 rng(seed);
            std::normal_distribution<float> normal;
            const auto add = [&](int count) {
                for (int i = 0; i < count; i++) {
                    std::vector<float> x(16);
                    for (float& v : x)
                        v = normal(rng);
                    f.add(x);
                }
            };
            add(600);
            std::set<size_t> dead;
            for (int round = 0; round < 4; round++) {
                const size_t before = dead.size();
                for (size_t i = 0; i < f.rows.size(); i++)
                    if (rng() % 2)
                        dead.insert(i);
                f.store.watching = true;
                Removal<Watched> removal(f.store, f.m, f.efc, memory);
                const RemovalResult result =
                    removal.run([&](Tid tid) { return dead.count(row_of(tid)) > 0; },
                                [](uint64_t) { return true; });
                f.store.watching = false;
                EXPECT_EQ(result.deleted, 0u);
                EXPECT_EQ(f.store.hidden, 0u)
                    << "seed " << seed << ", round " << round << ", memory " << memory;
                add(static_cast<int>(dead.size() - before));
            }
        }
}

// A vacuum has marked most nodes as deleted and was cancelled. New nodes find hardly any live ones
// near them, and no node may get a link to a deleted node. So an insert searches wider.
TEST(Graph, InsertsAmongDeletedNodesHideNobody)
{
    for (unsigned seed = 0; seed < 20; seed++) {
        Fixture f(Metric::hamming, 64, 2, choose_fold, 4, Form::bits);
        std::mt19937 rng(seed);
        const auto add = [&] {
            std::vector<float> x(64);
            for (float& v : x)
                v = rng() % 2 ? 1.0f : -1.0f;
            f.add(x);
        };
        for (int i = 0; i < 1500; i++)
            add();
        Removal<MemoryStore> removal(f.store, f.m, f.efc);
        removal.run([](Tid tid) { return row_of(tid) % 5 != 0; }, [](uint64_t) { return false; });
        for (int i = 0; i < 800; i++)
            add();
        EXPECT_EQ(f.check(), "") << seed;
    }
}

// Degrees are small, and rows are replaced all the time. The links to a row may be replaced again
// and again, until only nodes far away link to it.
TEST(Graph, ChurnHidesNobody)
{
    for (const bool sparse : {false, true}) {
        const uint32_t dims = sparse ? 500 : 24;
        Fixture f(Metric::l2, dims, 6, choose_fold, 24, sparse ? Form::sparse : Form::dense);
        std::mt19937 rng(10);
        std::uniform_real_distribution<float> uniform(0, 1);
        const auto row = [&] {
            std::vector<float> x(dims);
            if (sparse)
                for (uint32_t i = 0; i < 60; i++)
                    x[static_cast<size_t>(static_cast<float>(dims) *
                                          std::pow(uniform(rng), 3.0f))] = 1 + uniform(rng);
            else
                for (float& v : x)
                    v = uniform(rng);
            return x;
        };
        std::set<size_t> dead;
        for (int round = 0; round < 6; round++) {
            for (int i = 0; i < 600; i++)
                f.add(row());
            delete_rows(f, rng, 0.5, dead);
        }
        const double live = static_cast<double>(f.rows.size() - dead.size());
        const double lost = static_cast<double>(lost_rows(f, dead, sparse ? 200 : 40));

        // Sparse rows that have little in common are all equally far from each other.
        EXPECT_LE(lost / live, sparse ? 0.02 : 0.001);
    }
}

// Three rounds of deleting half of the rows and inserting as many.
TEST(Graph, RepairKeepsRecall)
{
    Fixture f(Metric::cosine, 96);
    std::mt19937 rng(9);
    std::vector<std::vector<float>> centres;
    for (int i = 0; i < 50; i++)
        centres.push_back(gaussian(rng, 96, false));
    for (int i = 0; i < 4000; i++)
        f.add(clustered(rng, centres, true));
    std::set<size_t> dead;
    for (int round = 0; round < 3; round++) {
        delete_rows(f, rng, 0.5, dead);
        for (int i = 0; i < 2000; i++)
            f.add(clustered(rng, centres, true));
        ASSERT_EQ(f.check(), "");
    }
    Fixture fresh(Metric::cosine, 96);
    std::set<size_t> none;
    for (size_t i = 0; i < f.rows.size(); i++)
        if (!dead.count(i))
            fresh.add(f.rows[i]);
    const double churned = f.recall(400, 20, dead), built = fresh.recall(400, 20);
    EXPECT_GE(churned, built - 0.005);
    EXPECT_GE(churned, 0.95);
    // The queries are as far from the rows as the rows are long.
    EXPECT_GE(f.recall(400, 20, dead, 1.0), fresh.recall(400, 20, none, 1.0) - 0.01);
}

// Nearly all rows are deleted at once, so that few neighbours of neighbours are left.
TEST(Graph, RepairSurvivesDecimation)
{
    for (const uint32_t m : {4u, 16u}) {
        Fixture f(Metric::l2, 24, m, choose_fold, 32);
        std::mt19937 rng(10);
        for (int i = 0; i < 6000; i++)
            f.add(gaussian(rng, 24, false));
        std::set<size_t> dead, none;
        delete_rows(f, rng, 0.95, dead);
        Fixture fresh(Metric::l2, 24, m, choose_fold, 32);
        for (size_t i = 0; i < f.rows.size(); i++)
            if (!dead.count(i))
                fresh.add(f.rows[i]);
        EXPECT_GE(f.recall(200, 20, dead), fresh.recall(200, 20, none) - (m == 4 ? 0.03 : 0.01))
            << m;
        for (int i = 0; i < 1000; i++) {
            auto x = gaussian(rng, 24, false);
            f.add(x);
            fresh.add(x);
        }
        EXPECT_GE(f.recall(200, 20, dead), fresh.recall(200, 20, none) - (m == 4 ? 0.08 : 0.01))
            << m;
    }
}

// If bounds overlap, exact distances are computed: each row comes once, in exact order. The
// distance of a row whose place is certain is not computed.
TEST(Graph, RowsComeInExactOrder)
{
    for (const Metric metric : {Metric::l2, Metric::cosine, Metric::ip, Metric::l1})
        for (const int bits : {8, 2, 12, 16, 32}) {
            if (metric != Metric::l2 && bits != 8 && (metric == Metric::l1 || bits != 16))
                continue;
            const bool unit = metric == Metric::cosine;
            constexpr uint32_t dims = 128;
            Fixture f(metric, dims, 16, choose_fold, 64, Form::dense, bits);
            std::mt19937 rng(21);
            std::vector<std::vector<float>> centres;
            for (int i = 0; i < 30; i++)
                centres.push_back(gaussian(rng, dims, false));
            for (int i = 0; i < 1000; i++)
                f.add(clustered(rng, centres, unit));
            size_t good = 0;
            constexpr int queries = 10;
            for (int query = 0; query < queries; query++) {
                f.asked = clustered(rng, centres, unit);
                std::vector<double> all;
                for (size_t i = 0; i < f.rows.size(); i++)
                    all.push_back(f.exact(f.asked, i));
                std::nth_element(all.begin(), all.begin() + 99, all.end());
                f.scan.start(f.value(f.asked), {40, Iterate::strict, 1000000, size_t{1} << 30}, &f);
                std::set<size_t> met, seen;
                double before = -INFINITY;
                Tid t;
                double distance;
                while (seen.size() < 100 &&
                       f.scan.next(&t, &distance, [&](Tid tid) { met.insert(row_of(tid)); })) {
                    const size_t row = row_of(t);
                    EXPECT_TRUE(seen.insert(row).second);
                    EXPECT_TRUE(met.count(row));
                    const double exact = f.exact(f.asked, row);
                    // Within the rounding errors of the exact sum here and of float bounds.
                    EXPECT_GE(exact, before - 1e-5 * std::fabs(exact) - 1e-5);
                    EXPECT_LE(distance, exact + 1e-5 * std::fabs(exact) + 1e-5);
                    before = std::max(before, exact);
                    good += exact <= all[99];
                }
                EXPECT_EQ(seen.size(), 100u);
            }
            // Few of the nearest rows are found too late, although ef is less than the number of
            // rows.
            EXPECT_GE(good, 95u * queries) << static_cast<int>(metric) << " " << bits;
        }
}

// The limits hold for each scan alone: after a scan that reached its limits, the next one has the
// same limits.
TEST(Graph, ScansAreBoundedEachForItself)
{
    Fixture f(Metric::l2, 16);
    std::mt19937 rng(13);
    for (int i = 0; i < 3000; i++)
        f.add(gaussian(rng, 16, false));
    const auto rows = [&](size_t max_bytes) {
        f.scan.start(f.value(f.rows[5]), {40, Iterate::strict, 1000000, max_bytes});
        size_t n = 0;
        BoundedRow row;
        while (f.scan.next_by_bound(&row))
            n++;
        return n;
    };
    const size_t bounded = rows(200000);
    EXPECT_GT(bounded, 200u);
    EXPECT_LT(bounded, 2000u);
    EXPECT_GT(rows(size_t{1} << 30), 2500u);
    EXPECT_EQ(rows(200000), bounded);
}

// Each node has few links, all of them in use. A node that lost the last link to it still gets
// another one.
TEST(Graph, SmallDegreesLoseNothing)
{
    for (const int fold : {no_sketches, choose_fold})
        for (const uint32_t m : {2u, 3u, 4u})
            for (unsigned seed = 1; seed <= 5; seed++) {
                Fixture f(Metric::cosine, 24, m, fold, 16);
                std::mt19937 rng(seed);
                std::set<size_t> dead;
                for (int round = 0; round < 5; round++) {
                    for (int i = 0; i < 400; i++)
                        f.add(gaussian(rng, 24, true));
                    delete_rows(f, rng, 0.3, dead);
                    ASSERT_EQ(f.check(), "")
                        << "m " << m << ", seed " << seed << ", round " << round;
                }
            }
}

// With random bytes in slots, searches and inserts end, and read nothing outside of the slots.
TEST(Graph, DamagedSlotsDoNoHarm)
{
    std::mt19937 rng(10);
    for (int trial = 0; trial < 20; trial++) {
        const Form form = trial % 4 == 1 ? Form::bits : trial % 4 == 2 ? Form::sparse : Form::dense;
        Fixture f(form == Form::bits ? Metric::hamming : Metric::l2,
                  form == Form::sparse ? 150 : 32, 16, trial % 4 == 3 ? no_sketches : choose_fold,
                  64, form);
        const size_t dims = f.spec.dims;
        for (int i = 0; i < 300; i++)
            f.add(gaussian(rng, dims, false));
        for (int i = 0; i < 500; i++) {
            char* p = f.store.slot(static_cast<SlotId>(rng() % f.store.size())).data();
            p[rng() % f.layout.slot_bytes] = static_cast<char>(rng());
        }
        for (int i = 0; i < 20; i++)
            f.search(gaussian(rng, dims, false), 40, 100);
        for (int i = 0; i < 50; i++)
            f.add(gaussian(rng, dims, false));
    }
}

TEST(Rotation, KeepsDistances)
{
    std::mt19937 rng(11);
    for (size_t dims : {1, 3, 64, 100, 384, 768, 1000, 1536, 2000}) {
        const codec::Rotation r(dims, 7);
        const auto x = gaussian(rng, dims, false), y = gaussian(rng, dims, false);
        std::vector<float> rx(r.padded()), ry(r.padded());
        r.apply(x.data(), rx.data());
        r.apply(y.data(), ry.data());
        double before = 0, after = 0;
        for (size_t i = 0; i < dims; i++)
            before += (x[i] - y[i]) * (x[i] - y[i]);
        for (size_t i = 0; i < rx.size(); i++)
            after += (rx[i] - ry[i]) * (rx[i] - ry[i]);
        EXPECT_NEAR(after, before, 1e-5 * before) << dims;
        // The rotation spreads a single coordinate over all of them: the first, and the last.
        for (const size_t one : {size_t{0}, dims - 1}) {
            std::vector<float> e(dims, 0);
            e[one] = 1;
            r.apply(e.data(), rx.data());
            if (dims >= 64) {
                float most = 0;
                for (float v : rx)
                    most = std::max(most, std::fabs(v));
                EXPECT_LT(most, 8 / std::sqrt(static_cast<float>(dims))) << dims;
            }
        }
    }
}

}   // namespace
