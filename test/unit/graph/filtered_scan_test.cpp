// Scans with filters: which rows they return, how many of the nearest they find, and how many nodes
// they visit at most.
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <set>

#include "codec/filter_code.hpp"
#include "codec/rotation.hpp"
#include "graph/choose_encoding.hpp"
#include "graph/graph_build.hpp"
#include "graph/lifecycle.hpp"
#include "graph/scan.hpp"

using namespace quiver;
using namespace quiver::graph;
using codec::FilterCodec, codec::FilterCondition, codec::FilterKey, codec::FilterKind,
    codec::FilterOp, codec::FilterSet;

namespace {

using Vector = std::vector<float>;

Tid tid_of(size_t i) { return {static_cast<uint16_t>(i >> 16), static_cast<uint16_t>(i), 1}; }
size_t row_of(Tid t) { return static_cast<size_t>(t.block_high) << 16 | t.block_low; }

// A table of vectors with one filter column, `tenant`, and its graph.
class FilteredGraph {
  public:
    FilteredGraph(std::vector<Vector> rows, const std::function<uint64_t(size_t)>& tenant,
                  int fold = choose_fold)
        : rows_(std::move(rows)), dims_(static_cast<uint32_t>(rows_[0].size())),
          encoding_(choose_encoding(codec::Form::dense, codec::Metric::l2, dims_,
                                    {16, fold, choose_bits, 0, true}, 8160)),
          rotation_(dims_, 1), store_(encoding_), inserter_(store_, 16, 64), scan_(store_)
    {
        constexpr codec::FilterColumn columns[] = {{FilterKind::ordered, true}};
        codec::FilterTraining training(columns);
        for (size_t i = 0; i < rows_.size(); i++) {
            tenant_.push_back(tenant(i));
            const FilterKey key{false, tenant_[i]};
            training.add({&key, 1});
        }
        const Vec<uint8_t> bytes = training.finish();
        codec_.emplace(columns, std::span<const uint8_t>(bytes.data(), bytes.size()));
        GraphBuild build(store_, {16, 64, 1});
        LevelDraw levels(3);
        for (size_t i = 0; i < rows_.size(); i++) {
            const FilterKey key{false, tenant_[i]};
            build.add(value(rows_[i]), tid_of(i),
                      levels.draw(encoding_.layout().level_base(), max_level),
                      codec_->encode({&key, 1}));
        }
        build.finish(inserter_);
        encoding_.set_flat_centre(Vec<float>(encoding_.codec().traits.padded).data());
        ensure_all(store_, inserter_);
    }

    Value value(const Vector& x)
    {
        rotated_.resize(encoding_.codec().traits.padded);
        rotation_.apply(x.data(), rotated_.data());
        return {.dense = rotated_.data()};
    }
    void wants(uint64_t tenant)
    {
        const FilterCondition condition{0, FilterOp::equal, tenant};
        codec_->make_set({&condition, 1}, &set_);
    }
    // The rows that a scan returns, in their order.
    std::vector<size_t> scan(const Vector& q, const ScanLimits& limits, size_t most)
    {
        ScanLimits all = limits;
        all.flat_price = flat_price;
        scan_.start(value(q), all, nullptr, &set_);
        std::vector<size_t> got;
        BoundedRow row;
        while (got.size() < most && scan_.next_by_bound(&row))
            got.push_back(row_of(row.tid));
        return got;
    }
    uint64_t visited() const { return scan_.counters().visited; }

    // These graphs are so small that searches go flat at once, unless that is made dearer.
    double flat_price = 1;
    // Adds a row as an insert does.
    void insert(const Vector& x, uint64_t tenant)
    {
        const FilterKey key{false, tenant};
        rows_.push_back(x);
        tenant_.push_back(tenant);
        inserter_.insert(value(x), tid_of(rows_.size() - 1), 0, codec_->encode({&key, 1}));
    }
    // Removes rows as vacuum does. The next inserts use their slots.
    void remove(const std::set<size_t>& rows)
    {
        Removal<MemoryStore> removal(store_, 16, 64);
        removal.run([&](Tid tid) { return rows.count(row_of(tid)) > 0; },
                    [](uint64_t) { return true; });
        removed_.insert(rows.begin(), rows.end());
    }
    // Marks nodes as deleted, which a vacuum does before it frees their slots.
    void mark_deleted(const std::set<size_t>& rows)
    {
        for (SlotId id = 0; id < store_.size(); id++) {
            const MutableSlot slot = store_.slot(id);
            SlotHeader& h = slot.header();
            if (h.state != SlotState::live || h.level != 0 || h.tid_count == 0 ||
                !rows.count(row_of(slot.tids()[0])))
                continue;
            h.state = SlotState::deleted;
            h.tid_count = 0;
            slot.stamp() = 0;
        }
        removed_.insert(rows.begin(), rows.end());
    }
    double distance(const Vector& q, size_t row) const
    {
        double sum = 0;
        for (size_t i = 0; i < q.size(); i++)
            sum += (q[i] - rows_[row][i]) * (q[i] - rows_[row][i]);
        return sum;
    }
    // The share of the 10 nearest rows of the tenant that scans find, for queries near some rows.
    double recall(uint64_t tenant, size_t ef, const std::vector<Vector>& queries,
                  double* visits = nullptr)
    {
        wants(tenant);
        size_t good = 0, all = 0;
        uint64_t visited_nodes = 0;
        for (const Vector& q : queries) {
            std::vector<std::pair<double, size_t>> exact;
            for (size_t i = 0; i < rows_.size(); i++)
                if (tenant_[i] == tenant && !removed_.count(i))
                    exact.push_back({distance(q, i), i});
            std::sort(exact.begin(), exact.end());
            exact.resize(std::min<size_t>(exact.size(), 10));
            const std::vector<size_t> rows = scan(q, {ef, Iterate::off, 100000, SIZE_MAX}, ef);
            visited_nodes += visited();
            for (const size_t row : rows)
                EXPECT_EQ(tenant_[row], tenant);
            for (const auto& [d, row] : exact)
                good += std::count(rows.begin(), rows.end(), row);
            all += exact.size();
        }
        if (visits)
            *visits = static_cast<double>(visited_nodes) / static_cast<double>(queries.size());
        return static_cast<double>(good) / static_cast<double>(all);
    }
    std::set<size_t> rows_of(uint64_t tenant) const
    {
        std::set<size_t> some;
        for (size_t i = 0; i < rows_.size(); i++)
            if (tenant_[i] == tenant && !removed_.count(i))
                some.insert(i);
        return some;
    }
    MemoryStore& store() { return store_; }
    const MemoryStore& store() const { return store_; }
    const FilterSet& set() const { return set_; }

  private:
    std::vector<Vector> rows_;
    std::vector<uint64_t> tenant_;
    std::set<size_t> removed_;
    uint32_t dims_;
    Encoding encoding_;
    codec::Rotation rotation_;
    MemoryStore store_;
    Inserter<MemoryStore> inserter_;
    Scan<MemoryStore> scan_;
    std::optional<FilterCodec> codec_;
    FilterSet set_;
    Vec<float> rotated_;
};

std::vector<Vector> normal(size_t count, size_t dims, unsigned seed)
{
    std::mt19937 rng(seed);
    std::normal_distribution<float> n;
    std::vector<Vector> rows(count, Vector(dims));
    for (Vector& r : rows)
        for (float& x : r)
            x = n(rng);
    return rows;
}

// A scan that is read to the end returns each matching row once, and no other.
TEST(FilteredScan, ReturnsAllMatchingRowsAndNoOthers)
{
    for (const int fold : {choose_fold, no_sketches}) {
        FilteredGraph g(
            normal(3000, 12, 1), [](size_t i) { return i % 50; }, fold);
        const std::vector<Vector> queries = normal(5, 12, 2);
        for (const uint64_t tenant : {0, 7, 49})
            for (const Vector& q : queries)
                for (const Iterate iterate : {Iterate::relaxed, Iterate::strict}) {
                    g.wants(tenant);
                    const std::vector<size_t> rows =
                        g.scan(q, {40, iterate, SIZE_MAX, SIZE_MAX}, SIZE_MAX);
                    const std::set<size_t> found(rows.begin(), rows.end());
                    EXPECT_EQ(found.size(), rows.size());
                    if (iterate == Iterate::relaxed) {
                        EXPECT_EQ(found, g.rows_of(tenant));
                    }
                    for (const size_t row : rows)
                        EXPECT_EQ(row % 50, tenant);
                }
    }
}

TEST(FilteredScan, NoMatchVisitsNothing)
{
    FilteredGraph g(normal(3000, 12, 1), [](size_t i) { return i % 50; });
    g.wants(50);   // a value that no row has, which the codes of few values show
    EXPECT_TRUE(g.set().empty() ||
                g.scan(Vector(12), {40, Iterate::strict, 20000, SIZE_MAX}, 10).empty());
}

// ---- how many of the nearest rows are found, and in how many visits ----

// Vectors around 40 centres.
std::vector<Vector> clusters(size_t count, size_t dims, unsigned seed)
{
    const std::vector<Vector> centres = normal(40, dims, 77);
    std::vector<Vector> rows = normal(count, dims, seed);
    std::mt19937 rng(seed);
    for (Vector& r : rows) {
        const Vector& c = centres[rng() % centres.size()];
        for (size_t i = 0; i < dims; i++)
            r[i] = 5 * c[i] + r[i] / 2;
    }
    return rows;
}

// What a flat search costs, in visits, if so many nodes match.
double flat_cost(double slots, double matches) { return slots / 1600 + matches / 64 + 2; }
// The most visits of a search through the graph before it goes flat. (It looks after each 32 visits.)
double graph_phase(const FilteredGraph& g, double matches)
{
    return std::max(64.0, 2 * g.flat_price * 1.2 *
                              flat_cost(static_cast<double>(g.store().size()), matches + 10)) +
           36;
}

TEST(FilteredScan, FindsTheNearestMatches)
{
    constexpr size_t rows = 5000;
    for (const bool clustered : {false, true}) {
        const auto make = [&](size_t count, unsigned seed) {
            return clustered ? clusters(count, 16, seed) : normal(count, 16, seed);
        };
        // Tenants 0 to 3 have 50, 10, 1 and 0.2 % of the rows.
        FilteredGraph g(make(rows, 1), [](size_t i) -> uint64_t {
            const size_t n = i * 7919 % 1000;
            return n < 500 ? 0 : n < 600 ? 1 : n < 610 ? 2 : n < 612 ? 3 : 4 + n % 10;
        });
        const auto slots = static_cast<double>(g.store().size());
        const std::vector<Vector> queries = make(25, 2);
        for (const double price : {1, 10})
            for (const uint64_t tenant : {0, 1, 2, 3}) {
                SCOPED_TRACE((clustered ? "clusters, tenant " : "normal, tenant ") +
                             std::to_string(tenant) + ", price " + std::to_string(price));
                g.flat_price = price;
                EXPECT_GE(g.recall(tenant, 40, queries), 0.95);
                const auto matches = static_cast<double>(g.rows_of(tenant).size());
                const bool goes_flat = price == 1 && tenant > 0;
                const double graph = goes_flat ? 0 : graph_phase(g, matches),
                             flat = flat_cost(slots, matches);
                for (const Vector& q : queries) {
                    // It visits a node at least every 240 visits that is nearer than others.
                    g.scan(q, {40, Iterate::off, SIZE_MAX, SIZE_MAX}, 40);
                    EXPECT_LE(static_cast<double>(g.visited()),
                              graph + flat + std::min(matches, 600.0));
                    g.scan(q, {40, Iterate::relaxed, SIZE_MAX, SIZE_MAX}, SIZE_MAX);
                    if (goes_flat) {
                        EXPECT_LE(static_cast<double>(g.visited()), flat + matches);
                    }
                }
            }
    }
}

// Rows that match are found although they are far away and nothing near the query matches.
TEST(FilteredScan, FindsMatchesFarFromTheQuery)
{
    for (const float offset : {3.0f, 20.0f}) {
        std::vector<Vector> rows = normal(5000, 16, 1);
        const auto tenant = [](size_t i) -> uint64_t { return i % 20 == 0; };
        for (size_t i = 0; i < rows.size(); i++)
            if (tenant(i))
                for (float& x : rows[i])
                    x += offset;
        FilteredGraph g(rows, tenant);
        const std::vector<Vector> queries = normal(50, 16, 2);
        for (const double price : {1, 10}) {
            g.flat_price = price;
            double visits = 0;
            EXPECT_GE(g.recall(1, 40, queries, &visits), 0.95);
            const auto slots = static_cast<double>(g.store().size());
            EXPECT_LE(visits, (price > 1 ? graph_phase(g, 250) : 0) + flat_cost(slots, 250) + 250);
        }
    }
}

// All rows of a rare value are found, wherever they are.
TEST(FilteredScan, FindsThreeRows)
{
    const std::vector<Vector> rows = normal(5000, 16, 1), queries = normal(10, 16, 2);
    std::mt19937 rng(3);
    for (int trial = 0; trial < 3; trial++) {
        std::set<size_t> three;
        while (three.size() < 3)
            three.insert(rng() % rows.size());
        FilteredGraph g(rows, [&](size_t i) -> uint64_t { return three.count(i); });
        g.wants(1);
        for (const Vector& q : queries) {
            for (const Iterate iterate : {Iterate::off, Iterate::relaxed, Iterate::strict})
                for (const double price : {1, 10}) {
                    g.flat_price = price;
                    const std::vector<size_t> got =
                        g.scan(q, {40, iterate, SIZE_MAX, SIZE_MAX}, 10);
                    EXPECT_EQ(std::set<size_t>(got.begin(), got.end()), three);
                }
        }
    }
}

// ---- limits ----

TEST(FilteredScan, EndsAtTheMostVisits)
{
    FilteredGraph g(normal(5000, 16, 1), [](size_t i) { return i % 50; });
    g.wants(7);
    for (const size_t most : {1, 4, 40, 100, 300})
        for (const Iterate iterate : {Iterate::off, Iterate::relaxed, Iterate::strict}) {
            const size_t got = g.scan(Vector(16), {40, iterate, most, SIZE_MAX}, SIZE_MAX).size();
            // Also if reading the flat pages takes all visits.
            EXPECT_GE(got, std::min<size_t>(most, 40));
            // (It reads all flat pages before it counts them.)
            EXPECT_LE(static_cast<double>(g.visited()),
                      static_cast<double>(most) +
                          flat_cost(static_cast<double>(g.store().size()), 100));
        }
}

// Without sketches a flat search visits nodes in any order. It is not chosen if it may not visit all that match.
TEST(FilteredScan, FindsTheNearestInFewVisitsWithoutSketches)
{
    const std::vector<Vector> rows = normal(5000, 6, 1);
    FilteredGraph g(
        rows, [](size_t i) { return i % 10; }, no_sketches);
    g.wants(3);
    size_t found = 0;
    const std::vector<Vector> queries = normal(20, 6, 2);
    for (const Vector& q : queries) {
        size_t nearest = 3;
        for (size_t i = 3; i < rows.size(); i += 10)
            nearest = g.distance(q, i) < g.distance(q, nearest) ? i : nearest;
        const std::vector<size_t> got = g.scan(q, {40, Iterate::off, 250, SIZE_MAX}, 1);
        found += got.size() == 1 && got[0] == nearest;
    }
    EXPECT_GE(found, queries.size() - 1);
}

// A scan that may not use memory still returns what one batch finds, and ends.
TEST(FilteredScan, EndsAtTheMostMemory)
{
    FilteredGraph g(normal(5000, 16, 1), [](size_t i) { return i % 2; });
    g.wants(1);
    for (const Iterate iterate : {Iterate::off, Iterate::relaxed, Iterate::strict}) {
        const size_t got = g.scan(Vector(16), {40, iterate, SIZE_MAX, 1}, SIZE_MAX).size();
        EXPECT_GE(got, iterate == Iterate::strict ? 20u : 40u);
        EXPECT_LT(got, 1000u);
    }
}

// ---- what else a graph may have ----

// The scans to the end, which find all rows of a tenant, and the recall.
void find_all(FilteredGraph& g, uint64_t tenant, const std::vector<Vector>& queries)
{
    g.wants(tenant);
    const std::set<size_t> wanted = g.rows_of(tenant);
    for (const Vector& q : queries) {
        g.flat_price = g.flat_price == 1 ? 10 : 1;
        const std::vector<size_t> rows =
            g.scan(q, {40, Iterate::relaxed, SIZE_MAX, SIZE_MAX}, SIZE_MAX);
        EXPECT_EQ(std::set<size_t>(rows.begin(), rows.end()), wanted);
        EXPECT_EQ(rows.size(), wanted.size());
    }
}

// Nodes that are deleted lead on, but are not returned, whatever their codes are. Slots that are used
// again have new codes, and links to them, too.
TEST(FilteredScan, DeletedAndReusedSlots)
{
    for (const int fold : {choose_fold, no_sketches}) {
        FilteredGraph g(
            normal(3000, 12, 1), [](size_t i) { return i % 10; }, fold);
        const std::vector<Vector> queries = normal(20, 12, 2);
        std::set<size_t> third, fifth;
        for (size_t i = 0; i < 3000; i++)
            (i % 3 == 0 ? third : fifth).insert(i);
        std::erase_if(fifth, [](size_t i) { return i % 5 != 0; });
        g.mark_deleted(third);
        for (const uint64_t tenant : {0, 7})
            find_all(g, tenant, queries);
        EXPECT_GE(g.recall(7, 40, queries), 0.9);
        g.remove(fifth);                          // frees the slots of the others, too
        for (const uint64_t tenant : {1, 5, 7})   // of 5, no row is left
            find_all(g, tenant, queries);
        EXPECT_TRUE(g.rows_of(5).empty());
        EXPECT_GE(g.recall(7, 40, queries), 0.9);
        const SlotId slots = g.store().size();
        size_t next = 0;
        for (const Vector& x : normal(1200, 12, 3))
            g.insert(x, 5 + 4 * (next++ % 2));
        EXPECT_LE(g.store().size(), slots);
        for (const uint64_t tenant : {5, 7, 9})
            find_all(g, tenant, queries);
        EXPECT_GE(g.recall(5, 40, queries), 0.9);
        EXPECT_GE(g.recall(7, 40, queries), 0.9);
    }
}

// Nothing but the codes tells rows apart: all distances are 0.
TEST(FilteredScan, EqualRowsWithDifferentCodes)
{
    for (const int fold : {choose_fold, no_sketches}) {
        FilteredGraph g(
            std::vector<Vector>(3000, Vector(12, 1.0f)), [](size_t i) { return i % 30; }, fold);
        for (const uint64_t tenant : {0, 29}) {
            find_all(g, tenant, {Vector(12, 1.0f), Vector(12, 3.0f)});
            for (const size_t ef : {10, 40}) {
                const std::vector<size_t> rows =
                    g.scan(Vector(12, 1.0f), {ef, Iterate::off, 20000, SIZE_MAX}, ef);
                EXPECT_GE(rows.size(), 10u);
                EXPECT_LE(g.visited(),
                          700u);   // all distances are equal, so it gives up after 240 visits
            }
        }
    }
}

// Distances that overflow are infinite, or no numbers.
TEST(FilteredScan, DistancesThatOverflow)
{
    for (const int fold : {choose_fold, no_sketches}) {
        std::vector<Vector> rows = normal(1000, 12, 1);
        for (size_t i = 0; i < rows.size(); i++)
            if (i % 3 == 0)
                for (float& x : rows[i])
                    x *= i % 2 == 0 ? 1e19f : 1e37f;
        FilteredGraph g(
            rows, [](size_t i) { return i % 7; }, fold);
        const std::vector<Vector> queries = {Vector(12), rows[0], rows[3], Vector(12, 1e38f)};
        for (const uint64_t tenant : {0, 3})
            find_all(g, tenant, queries);
        for (const Vector& q : queries)
            for (const Iterate iterate : {Iterate::off, Iterate::strict})
                EXPECT_GE(g.scan(q, {40, iterate, 20000, SIZE_MAX}, 10).size(), 10u);
    }
}

}   // namespace
