// Tests of inserts, scans and vacuums of one graph at the same time, and of their crashes
// (graph/lifecycle.hpp). They use a store that lets other operations run before any call: all pairs
// of operations on small graphs, and random runs.
//
// QUIVER_INTERLEAVINGS is the number of random runs of each shape, and QUIVER_SEED the first of
// them. QUIVER_PAIRS is the number of schedules of each pair of operations in which both are
// interrupted. With QUIVER_TRACE every call is printed.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "graph/lifecycle_world.hpp"

using namespace quiver;
using namespace quiver::graph;
using namespace quiver::graph::test;

namespace {

uint64_t setting(const char* name, uint64_t otherwise)
{
    const char* value = std::getenv(name);
    return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

// With sanitizers the tests take about ten times as long.
#ifdef QUIVER_ASSERTIONS
constexpr uint64_t share = 5;
#else
constexpr uint64_t share = 1;
#endif

constexpr Shape shapes[] = {
    {"sketches", Form::dense, Metric::l2, 6, 1},
    {"no_sketches", Form::dense, Metric::l2, 6, 0},
    {"inner_product", Form::dense, Metric::ip, 6, 1, true},
    {"bits", Form::bits, Metric::hamming, 64, 1},
    {"sparse", Form::sparse, Metric::l2, 200, 0, true},
};

// ---- operations by name ----

enum class What {
    insert,
    insert_higher,
    insert_equal,
    insert_far,
    scan,
    scan_half,   // with a filter
    vacuum_one,
    vacuum_half,
    vacuum_entry,   // deletes the node of the entry and that of the root
    vacuum_all,
    put_off,   // a vacuum of half that finds it is not worth while yet
};
constexpr What all_of_them[] = {
    What::insert,       What::insert_higher, What::insert_equal, What::insert_far,
    What::scan,         What::scan_half,     What::vacuum_one,   What::vacuum_half,
    What::vacuum_entry, What::vacuum_all,    What::put_off,
};
// Those that a graph can have: without filter codes, there is no scan with a filter.
std::vector<What> operations_of(const World& w)
{
    std::vector<What> some(std::begin(all_of_them), std::end(all_of_them));
    if (!w.shape.filtered)
        std::erase(some, What::scan_half);
    return some;
}
const char* name_of(What what)
{
    constexpr const char* names[] = {
        "an insert",
        "an insert of a higher node",
        "an insert of an equal row",
        "an insert of a far row",
        "a scan",
        "a scan with a filter",
        "a vacuum of one row",
        "a vacuum of half",
        "a vacuum of the entry and the root",
        "a vacuum of all",
        "a vacuum that is put off",
    };
    return names[static_cast<size_t>(what)];
}
bool is_vacuum(What what) { return what >= What::vacuum_one; }

std::set<size_t> every_second(const std::set<size_t>& rows)
{
    std::set<size_t> some;
    for (const size_t row : rows)
        if (row % 2 == 0)
            some.insert(row);
    return some;
}

std::unique_ptr<Operation> make(World& w, What what, uint32_t seed)
{
    std::mt19937 rng(seed);
    const auto insert = [&](Vector x, int level) {
        return std::make_unique<InsertOperation>(
            w, std::vector<size_t>{w.add_row(std::move(x), level)});
    };
    const auto vacuum = [&](VacuumOperation::Choice choice, bool worth_while = true) {
        return std::make_unique<VacuumOperation>(w, name_of(what), choice, worth_while);
    };
    const std::set<size_t> there = w.committed();
    switch (what) {
    case What::insert: return insert(w.random_vector(rng), 0);
    case What::insert_higher:
        return insert(w.random_vector(rng), std::max(w.graph.state().entry.level + 1, 1));
    case What::insert_equal:
        return insert(there.empty() ? w.random_vector(rng) : w.rows[*there.begin()].x, 0);
    case What::insert_far: return insert(w.far_vector(rng), 1);
    case What::scan: return std::make_unique<ScanOperation>(w, w.random_vector(rng));
    case What::scan_half: {
        Vector q = w.random_vector(rng);
        return std::make_unique<ScanOperation>(w, std::move(q),
                                               static_cast<FilterCode>(1 + rng() % 2));
    }
    case What::vacuum_one:
        return vacuum([](World& at) {
            const std::set<size_t> all = at.committed();
            return all.empty() ? all
                               : std::set<size_t>{*std::next(
                                     all.begin(), static_cast<ptrdiff_t>(all.size() / 2))};
        });
    case What::vacuum_half: return vacuum([](World& at) { return every_second(at.committed()); });
    case What::vacuum_entry:
        return vacuum([](World& at) {
            std::set<size_t> some = at.rows_of(at.graph.state().entry.id);
            some.merge(at.rows_of(at.graph.state().entry.root));
            return some;
        });
    case What::vacuum_all: return vacuum([](World& at) { return at.committed(); });
    case What::put_off:
        return vacuum([](World& at) { return every_second(at.committed()); }, false);
    }
    return nullptr;
}

constexpr uint64_t to_the_end = UINT64_MAX / 2;

struct Turn {
    size_t operation;
    uint64_t calls;
    bool crash = false;   // it ends
};

struct SmallGraph {
    const char* name;
    Geometry geometry;
    size_t rows;
    uint32_t seed;
    uint64_t part;   // slots that a vacuum removes at once, if it goes in parts
    enum { different, equal, half_marked } kind;   // half_marked: vacuum ended after marking half
};
const SmallGraph small_graphs[] = {
    {"an empty index", {2, 2, 1, 8}, 0, 1, 1, SmallGraph::different},
    {"one row", {2, 2, 1, 8}, 1, 2, 1, SmallGraph::different},
    {"two rows", {2, 1, 2, 8}, 2, 3, 2, SmallGraph::different},
    {"five rows", {2, 3, 1, 4}, 5, 4, 2, SmallGraph::different},
    {"nine rows", {2, 4, 1, 8}, 9, 5, 5, SmallGraph::different},
    {"seven equal rows", {2, 2, 1, 4}, 7, 6, 3, SmallGraph::equal},
    {"seven rows, half of them marked as deleted", {2, 2, 1, 8}, 7, 7, 4, SmallGraph::half_marked},
};

// parts: with so little memory that a vacuum removes only a few slots at once
struct Case {
    Shape shape;
    bool parts;
};
std::vector<Case> cases()
{
    std::vector<Case> all;
    for (const bool parts : {false, true})
        for (const Shape& shape : shapes)
            all.push_back({shape, parts});
    return all;
}

class Lifecycle : public testing::TestWithParam<Case> {
  protected:
    static uint64_t memory(uint64_t of_parts)
    {
        return GetParam().parts ? of_parts : Removal<InterleavingStore>::unlimited;
    }
    // Calls f(world, base) for each of the small graphs.
    template <class F>
    void on_small_graphs(F&& f)
    {
        for (const SmallGraph& g : small_graphs) {
            if (g.rows > 7 && GetParam().shape.form == Form::sparse)
                continue;   // the other form without sketches is enough
            World w(GetParam().shape, g.geometry, memory(g.part));
            std::mt19937 rng(g.seed);
            const Vector same = w.random_vector(rng);
            for (size_t i = 0; i < g.rows; i++)
                w.insert(
                    w.add_row(g.kind == SmallGraph::equal && i > 0 ? same : w.random_vector(rng),
                              i == g.rows / 2 ? 1 : 0));
            if (g.kind == SmallGraph::half_marked) {
                w.delete_rows(every_second(w.committed()));
                w.vacuum(false);
            }
            graph_ = g.name;
            f(w, w.keep());
        }
        EXPECT_GT(runs_, 0u);
        // Excused: an insert had no other choice than its last resort.
        EXPECT_EQ(excused_, 0u);
        EXPECT_LE(gave_up_, runs_ / 40);
    }

    // Runs operations in turns, then runs those that are left to their ends, and checks the graph.
    // False: an operation ended before its turn did.
    bool run(World& w, const World::Base& base, const std::vector<What>& whats,
             const std::vector<Turn>& turns)
    {
        w.restore(base);
        bool all = true;
        {
            std::vector<std::unique_ptr<Operation>> operations;
            for (size_t i = 0; i < whats.size(); i++)
                operations.push_back(make(w, whats[i], static_cast<uint32_t>(100 + i)));
            for (const Turn& t : turns)
                if (t.crash)
                    operations[t.operation]->kill();
                else if (!operations[t.operation]->resume(t.calls) && t.calls != to_the_end)
                    all = false;
            for (const auto& o : operations)
                o->resume(to_the_end);
        }
        w.check_all(++runs_ % 16 == 0);
        excused_ += w.excused > 0;
        gave_up_ += w.gave_up;
        if (!w.error.empty())
            report(w.error, whats, turns);
        return all;
    }
    // The number of calls of an operation that runs alone.
    uint64_t calls_of(World& w, const World::Base& base, What what)
    {
        w.restore(base);
        const std::unique_ptr<Operation> o = make(w, what, 100);
        o->resume(to_the_end);
        return o->calls();
    }

  private:
    // Reports only the first error of each kind.
    void report(const std::string& error, const std::vector<What>& whats,
                const std::vector<Turn>& turns)
    {
        std::string kind = error, schedule;
        std::erase_if(kind, [](char c) { return c >= '0' && c <= '9'; });
        for (const What what : whats)
            kind += name_of(what);
        for (const Turn& t : turns)
            schedule += std::string(name_of(whats[t.operation])) +
                        (t.crash                 ? " crashes; "
                         : t.calls == to_the_end ? " to its end; "
                                                 : " for " + std::to_string(t.calls) + " calls; ");
        if (seen_.insert(kind).second)
            ADD_FAILURE() << graph_ << ": " << schedule << error;
    }

    size_t runs_ = 0, excused_ = 0, gave_up_ = 0;
    std::string graph_;
    std::set<std::string> seen_;
};

// For each i: one operation makes i calls, then another one runs to its end.
TEST_P(Lifecycle, OneOperationInsideAnother)
{
    on_small_graphs([&](World& w, const World::Base& base) {
        for (const What a : operations_of(w))
            for (const What b : operations_of(w))
                for (uint64_t i = 0; !is_vacuum(a) || !is_vacuum(b); i += share)
                    if (!run(w, base, {a, b}, {{0, i}, {1, to_the_end}}))
                        break;
    });
}

// A vacuum and then an insert run while an insert or a scan waits that has seen the graph before
// them. The second insert ends, or it also waits, and crashes in the end.
TEST_P(Lifecycle, VacuumAndReuseInsideAnother)
{
    on_small_graphs([&](World& w, const World::Base& base) {
        std::mt19937 rng(1);
        Rng pick(1);
        w.graph.pick = &pick;
        for (const What a : {What::insert, What::insert_higher, What::insert_equal,
                             w.shape.filtered ? What::scan_half : What::scan})
            for (const What b : {What::vacuum_half, What::vacuum_entry, What::vacuum_all})
                for (const What c : {What::insert, What::insert_higher})
                    for (uint64_t i = 0;; i += share) {
                        if (!run(w, base, {a, b, c}, {{0, i}, {1, to_the_end}, {2, to_the_end}}))
                            break;
                        // In an empty graph it has a slot after three calls, and is the entry after
                        // four.
                        const uint64_t j = rng() % 2 ? 3 : 1 + rng() % 16;
                        run(w, base, {a, b, c},
                            {{0, i}, {1, to_the_end}, {2, j}, {0, to_the_end}, {2, 0, true}});
                    }
    });
}

// An operation crashes at its i-th call, then another one runs.
TEST_P(Lifecycle, CrashesLoseNothing)
{
    on_small_graphs([&](World& w, const World::Base& base) {
        for (const What a : operations_of(w))
            for (const What b : {What::insert, What::insert_higher, What::insert_equal,
                                 What::vacuum_half, What::vacuum_all})
                for (uint64_t i = 0; a != What::scan && a != What::scan_half; i += share)
                    if (!run(w, base, {a, b}, {{0, i}, {0, 0, true}, {1, to_the_end}}))
                        break;
    });
}

// Both are interrupted, and one of them may crash: all schedules, or QUIVER_PAIRS of them.
TEST_P(Lifecycle, TwoOperationsTakeTurns)
{
    const uint64_t most = setting("QUIVER_PAIRS", 25 / share);
    on_small_graphs([&](World& w, const World::Base& base) {
        std::mt19937 rng(1);
        for (const What a : operations_of(w))
            for (const What b : operations_of(w)) {
                if (is_vacuum(a) && is_vacuum(b))
                    continue;
                const uint64_t m = calls_of(w, base, a) + 1, n = calls_of(w, base, b) + 1;
                const auto try_at = [&](uint64_t i, uint64_t j) {
                    const uint32_t crash = rng() % 4;
                    if (crash < 2)
                        run(w, base, {a, b},
                            {{0, i}, {1, j}, {crash, 0, true}, {1 - crash, to_the_end}});
                    else
                        run(w, base, {a, b}, {{0, i}, {1, j}, {0, to_the_end}, {1, to_the_end}});
                };
                if (m * n <= most)
                    for (uint64_t i = 0; i < m * n; i++)
                        try_at(i / n, i % n);
                else
                    for (uint64_t i = 0; i < most; i++)
                        try_at(rng() % m, rng() % n);
            }
    });
}

// ---- random runs ----

class RandomRun {
  public:
    RandomRun(World& world, std::mt19937& rng) : w_(world), rng_(rng), same_(w_.random_vector(rng))
    {
        equal_ = rng_() % 3 == 0;
        const size_t rows = rng_() % 4 == 0 ? rng_() % 4 : rng_() % 61;
        for (size_t i = 0; i < rows; i++)
            w_.insert(w_.add_row(vector(), level()));
    }

    // Runs some operations at once, until all have ended.
    void round()
    {
        std::vector<std::unique_ptr<Operation>> operations;
        std::vector<uint32_t> speed;   // some are much slower than others
        for (size_t i = 3 + rng_() % 4; i > 0; i--) {
            operations.push_back(operation());
            speed.push_back(rng_() % 2 ? 8 : 1);
        }
        const uint32_t crashes = rng_() % 3 == 0 ? 10 + rng_() % 100 : 0;   // mean turns per crash
        const uint32_t longest = rng_() % 2 ? 8 : 120;
        const Operation* vacuum = nullptr;   // there is only one at a time
        while (w_.error.empty()) {
            std::vector<Operation*> ready;
            for (size_t i = 0; i < operations.size(); i++) {
                Operation* o = operations[i].get();
                if (o->running() && (!o->is_vacuum() || !vacuum || vacuum == o))
                    ready.insert(ready.end(), speed[i], o);
            }
            if (ready.empty())
                break;
            Operation* o = ready[rng_() % ready.size()];
            if (crashes > 0 && rng_() % crashes == 0 && !o->is_scan())
                o->kill();
            else
                o->resume(1 + rng_() % longest);
            if (o->is_vacuum())
                vacuum = o->running() ? o : nullptr;
            if (rng_() % 16 == 0)
                w_.during("while others are at work", [&] { w_.check_rows(0); });
        }
    }

  private:
    Vector vector()
    {
        const std::set<size_t> there = w_.committed();
        if (!there.empty() && rng_() % 4 == 0)
            return w_.rows[*std::next(there.begin(), static_cast<ptrdiff_t>(rng_() % there.size()))]
                .x;
        if (equal_ && rng_() % 2 == 0)
            return same_;
        return rng_() % 6 == 0 ? w_.far_vector(rng_) : w_.random_vector(rng_);
    }
    int level()
    {
        const uint32_t r = rng_() % 20;
        return r < 14 ? 0 : r < 17 ? 1 : r < 19 ? 2 : 4;
    }
    std::unique_ptr<Operation> operation()
    {
        const uint32_t r = rng_() % 10;
        if (r < 5) {
            std::vector<size_t> some;
            for (size_t n = rng_() % 3 + 1; n > 0; n--)
                some.push_back(w_.add_row(vector(), level()));
            return std::make_unique<InsertOperation>(w_, some);
        }
        if (r < 7)
            return std::make_unique<ScanOperation>(
                w_, vector(), static_cast<FilterCode>(w_.shape.filtered ? rng_() % 3 : 0));
        const uint32_t kind = rng_() % 6, seed = static_cast<uint32_t>(rng_());
        const auto choose = [kind, seed](World& w) {
            const std::set<size_t> all = w.committed();
            if (kind == 0 || all.empty())
                return all;
            if (kind == 1)
                return w.rows_of(w.graph.state().entry.id);
            if (kind == 2)
                return w.rows_of(w.graph.state().entry.root);
            std::mt19937 rng(seed);
            std::set<size_t> some;
            for (const size_t row : all)
                if (kind == 3   ? w.rows[row].x == w.rows[*all.begin()].x   // equal ones
                    : kind == 4 ? rng() % 2 == 0
                                : rng() % 8 != 0)
                    some.insert(row);
            return some;
        };
        return std::make_unique<VacuumOperation>(w_, "vacuum", choose, rng_() % 5 != 0);
    }

    World& w_;
    std::mt19937& rng_;
    Vector same_;
    bool equal_ = false;
};

TEST_P(Lifecycle, RandomInterleavings)
{
    const uint64_t first = setting("QUIVER_SEED", 1),
                   count = setting("QUIVER_INTERLEAVINGS", 500 / share);
    std::map<std::string, std::pair<size_t, std::string>> failures;   // number and first, by kind
    size_t excused = 0, reused = 0, gave_up = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        std::mt19937 rng(static_cast<uint32_t>(seed));
        Geometry geometry;
        geometry.m = 2 + rng() % 7;
        geometry.slots_per_page = 1 + rng() % 8;
        geometry.tids = 1 + rng() % 3;
        geometry.ef_construction = rng() % 2 ? 4 + rng() % 8 : 20;
        World w(GetParam().shape, geometry, memory(1 + Rng(seed).next() % 9));
        Rng pick(seed);
        if (rng() % 2)
            w.graph.pick = &pick;
        RandomRun random(w, rng);
        for (size_t rounds = 1 + rng() % 3; rounds > 0; rounds--) {
            w.during("in a round", [&] { random.round(); });
            w.during("between rounds", [&] {
                w.check_rows();
                w.check_graph(true);
            });
        }
        w.check_all(seed % 4 == 0);
        gave_up += w.gave_up;
        excused += w.excused > 0;
        reused += w.graph.reused > 0;
        if (!w.error.empty()) {
            std::string kind = w.error;
            std::erase_if(kind, [](char c) { return c >= '0' && c <= '9'; });
            auto& [n, text] = failures[kind];
            if (n++ == 0)
                text = "seed " + std::to_string(seed) + ": " + w.error;
        }
    }
    for (const auto& [kind, failure] : failures)
        ADD_FAILURE() << failure.second << " (" << failure.first << " such)";
    EXPECT_EQ(excused, 0u);
    EXPECT_LE(gave_up, 1 + count / 12);
    EXPECT_GE(reused, count / 4);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Lifecycle, testing::ValuesIn(cases()), [](const auto& info) {
    return std::string(info.param.shape.name) + (info.param.parts ? "_in_parts" : "");
});

// ---- single cases ----

constexpr Shape sketches = {"sketches", Form::dense, Metric::l2, 6, 1};

// Two sessions see an empty index. Their nodes have any levels.
TEST(LifecycleCases, FirstInsertsMeet)
{
    for (const int a : {0, 2})
        for (const int b : {0, 2})
            for (uint64_t i = 0; i < 12; i++)
                for (uint64_t j = 0; j < 12; j++) {
                    World w(sketches, {});
                    std::mt19937 rng(1);
                    InsertOperation first(w, {w.add_row(w.random_vector(rng), a)});
                    InsertOperation second(w, {w.add_row(w.random_vector(rng), b)});
                    first.resume(i);
                    second.resume(j);
                    first.resume(to_the_end);
                    second.resume(to_the_end);
                    EXPECT_EQ(w.committed().size(), 2u);
                    w.check_all(true);
                    ASSERT_EQ(w.error, "") << a << " " << b << " " << i << " " << j;
                }
}

// The entry is no longer a node when it is visited.
TEST(LifecycleCases, StaleEntriesAreReadAgain)
{
    for (const bool scans : {true, false})
        for (uint64_t i = 0; i < 6; i++) {
            World w(sketches, {});
            std::mt19937 rng(1);
            w.insert(w.add_row(w.random_vector(rng)));
            std::unique_ptr<Operation> waits = make(w, scans ? What::scan : What::insert_far, 2);
            waits->resume(i);
            w.delete_rows(w.committed());
            w.vacuum();
            for (int n = 0; n < 3; n++)
                w.insert(w.add_row(w.random_vector(rng)));
            waits->resume(to_the_end);
            waits.reset();
            EXPECT_EQ(w.committed().size(), scans ? 3u : 4u);
            w.check_all(true);
            ASSERT_EQ(w.error, "") << scans << " " << i;
        }
}

// Each row is found as soon as it is inserted, at whatever step the vacuum is that deletes all
// others, even if that vacuum crashes.
TEST(LifecycleCases, RowsAreFoundThatComeWhileAllAreDeleted)
{
    for (const bool crashes : {false, true})
        for (uint64_t i = 0;; i++) {
            World w(sketches, {3, 4, 1, 8});
            std::mt19937 rng(1);
            for (int n = 0; n < 16; n++)
                w.insert(w.add_row(w.random_vector(rng), n % 5 == 4));
            std::unique_ptr<Operation> vacuum = make(w, What::vacuum_all, 1);
            const bool more = vacuum->resume(i);
            if (crashes)
                vacuum->kill();
            for (int n = 0; n < 6; n++) {
                w.insert(w.add_row(w.random_vector(rng), n % 3 == 2));
                w.check_rows();
            }
            vacuum->resume(to_the_end);
            vacuum.reset();
            EXPECT_GE(w.committed().size(), 6u);
            w.check_all(true);
            ASSERT_EQ(w.error, "") << i;
            if (!more)
                break;
        }
}

// Nodes of equal rows do not link only to each other, even after rows are inserted and deleted.
TEST(LifecycleCases, EqualRowsAreNoIsland)
{
    for (const uint32_t rows : {60u, 1000u})
        for (const uint32_t m : {2u, 16u}) {
            World w(sketches, {m, 8, 8, 64});
            std::mt19937 rng(1);
            const Vector same = w.random_vector(rng);
            for (uint32_t i = 0; i < rows; i++)
                w.insert(w.add_row(i % 2 == 0 ? same : w.random_vector(rng), i % 40 == 39));
            for (uint32_t i = 0; i < rows * 3 / 10; i++)
                w.insert(w.add_row(same));
            std::set<size_t> first;
            for (uint32_t i = 0; i < rows; i += 4)
                first.insert(i);
            w.delete_rows(first);
            w.check_all(false);
            EXPECT_EQ(w.scan_all(w.scan, same), w.committed()) << rows << " " << m;
            const auto is_same = [&](SlotId id) {
                return w.rows[*w.rows_of(id).begin()].x == same;
            };
            size_t nodes = 0, islands = 0;   // nodes that link only to equal ones
            for (SlotId id = 0; id < w.graph.state().size; id++) {
                const Slot slot = w.graph.slot(id);
                const SlotHeader& h = slot.header();
                if (h.state == SlotState::live && h.level == 0 && is_same(id)) {
                    nodes++;
                    islands += std::all_of(slot.ids(), slot.ids() + h.degree, is_same);
                }
            }
            EXPECT_LT(islands * 2, nodes) << rows << " " << m;
            w.delete_rows(w.rows_that([&](const Row& r) { return r.x == same; }));
            w.check_all(rows < 100);
            EXPECT_EQ(w.error, "") << rows << " " << m;
        }
}

// Inserts compete for the few places of few nodes. Each insert ends.
TEST(LifecycleCases, InsertsThatCompeteEnd)
{
    constexpr Shape few[] = {{"sketches", Form::dense, Metric::l2, 2, 1},
                             {"bits", Form::bits, Metric::hamming, 64, 1}};
    uint64_t most = 0;   // calls of one insert
    for (const Shape& shape : few)
        for (uint32_t seed = 1; seed <= 220 / share; seed++) {
            std::mt19937 rng(seed);
            World w(shape, {2, 4, 1, static_cast<uint32_t>(1 + rng() % 5)});
            for (size_t i = rng() % 16; i > 0; i--)
                w.insert(w.add_row(w.random_vector(rng)));
            if (rng() % 2) {
                w.delete_rows(every_second(w.committed()));
                w.vacuum(false);
            }
            std::vector<std::unique_ptr<Operation>> inserts;
            const Vector base = w.random_vector(rng);
            for (int i = 0; i < 6; i++) {
                std::vector<size_t> rows;
                for (int n = 0; n < 2; n++) {
                    Vector near = base;
                    for (float& v : near)
                        v += static_cast<float>(rng() % 100 * (rng() % 3)) / 100;
                    rows.push_back(w.add_row(rng() % 2 ? near : w.random_vector(rng)));
                }
                inserts.push_back(std::make_unique<InsertOperation>(w, rows));
            }
            for (size_t running = 1; running > 0;) {
                running = 0;
                for (const auto& insert : inserts)
                    running += rng() % 3 > 0 ? insert->resume(1 + rng() % 3) : insert->running();
            }
            for (const auto& insert : inserts)
                most = std::max(most, insert->calls());
            inserts.clear();
            w.check_all(false);
            ASSERT_EQ(w.error, "") << shape.name << " " << seed;
        }
    EXPECT_LT(most, 1000u);
}

// If a vacuum leaves deleted nodes because they are too few, the next one frees them.
TEST(LifecycleCases, DeletionsThatArePutOffAreMadeUpFor)
{
    World w(sketches, {4, 4, 1, 16});
    std::mt19937 rng(1);
    for (int i = 0; i < 40; i++)
        w.insert(w.add_row(w.random_vector(rng), i % 8 == 7));
    for (int round = 0; round < 3; round++) {
        w.delete_rows(every_second(w.committed()));
        const size_t dead = w.dead().size();
        const RemovalResult put_off = w.vacuum(false);
        EXPECT_EQ(put_off.removed, static_cast<double>(dead));
        EXPECT_GE(put_off.deleted, dead);
        EXPECT_EQ(put_off.freed, 0u);
        for (int i = 0; i < 5; i++)
            w.insert(w.add_row(w.random_vector(rng)));
        w.check_rows();
        w.check_graph(true);
        ASSERT_EQ(w.error, "");
    }
    const RemovalResult result = w.vacuum();
    EXPECT_EQ(result.deleted, 0u);
    EXPECT_GT(result.freed, 20u);
    w.check_all(true);
    EXPECT_EQ(w.error, "");
}

// While transactions run that overlap each other all the time, a vacuum frees nodes that were
// deleted before they began.
TEST(LifecycleCases, VacuumFreesBesideOverlappingTransactions)
{
    World w(sketches, {4, 4, 1, 16});
    std::mt19937 rng(1);
    for (int i = 0; i < 30; i++)
        w.insert(w.add_row(w.random_vector(rng)));
    SharedGraph::InFlight open = w.graph.begin(true);
    SlotId size = 0;
    for (int round = 0; round < 6; round++) {
        w.delete_rows(w.committed());
        const size_t dead = w.dead().size();
        const RemovalResult result = w.vacuum();
        EXPECT_EQ(result.deleted, dead);   // the open one may have met them alive
        EXPECT_EQ(result.freed,
                  round > 0 ? 30u : 0u);   // but not those that the last vacuum marked
        const SharedGraph::InFlight next = w.graph.begin(true);
        w.graph.end(open);
        open = next;
        for (int i = 0; i < 30; i++)
            w.insert(w.add_row(w.random_vector(rng)));
        w.check_rows();
        ASSERT_EQ(w.error, "");
        if (round == 2)
            size = w.graph.state().size;
    }
    EXPECT_EQ(w.graph.state().size, size);
    w.graph.end(open);
    w.check_all(true);
    EXPECT_EQ(w.error, "");
}

// Slots that are freed while no other operation runs can be used at once.
TEST(LifecycleCases, FreedSlotsAreUsedByTheNextTransaction)
{
    World w(sketches, {4, 4, 1, 16});
    std::mt19937 rng(1);
    for (int i = 0; i < 40; i++)
        w.insert(w.add_row(w.random_vector(rng)));
    const SlotId size = w.graph.state().size;
    w.delete_rows(w.committed());
    EXPECT_EQ(w.vacuum().freed, 40u);
    for (int i = 0; i < 40; i++)
        w.insert(w.add_row(w.random_vector(rng)));
    EXPECT_EQ(w.graph.state().size, size);
}

// While a scan runs, a node that it may have visited gets a link to another node. Then the only
// other link to that node is removed.
TEST(LifecycleCases, ScansFindNodesThatOthersLinkToMeanwhile)
{
    for (const Shape& shape : shapes) {
        World w(shape, {2, 2, 1, 8});
        std::mt19937 rng(1);
        std::vector<SlotId> nodes;
        for (size_t i = 0; i < 4; i++) {
            w.insert(w.add_row(w.random_vector(rng)));
            for (SlotId id = 0; id < w.graph.state().size; id++)
                if (w.rows_of(id).count(i))
                    nodes.push_back(id);
        }
        for (const SlotId id : nodes)
            w.unlink(id);
        w.link(nodes[0], {nodes[1], nodes[2]});
        w.link(nodes[2], {nodes[3]});
        const World::Base base = w.keep();
        for (uint64_t i = 0;; i++) {
            w.restore(base);
            ScanOperation scan(w, w.rows[1].x);
            const bool more = scan.resume(i);
            w.link(nodes[1], {nodes[3]});
            w.unlink(nodes[2]);
            scan.resume(to_the_end);
            ASSERT_EQ(w.error, "") << shape.name << " " << i;
            if (!more)
                break;
        }
    }
}

// A scan that met a link to a node before the node was freed still follows the node's links.
TEST(LifecycleCases, LinksOfFreedNodesAreFollowed)
{
    for (const Shape& shape : shapes) {
        World w(shape, {2, 2, 1, 8});
        std::mt19937 rng(1);
        std::vector<SlotId> nodes;
        for (size_t i = 0; i < 3; i++) {
            Vector x = w.random_vector(rng);
            while (shape.form == Form::sparse && std::count(x.begin(), x.end(), 0.0f) > 150)
                x = w.random_vector(rng);   // one that needs overflow slots
            w.insert(w.add_row(std::move(x)));
            for (SlotId id = 0; id < w.graph.state().size; id++)
                if (w.rows_of(id).count(i))
                    nodes.push_back(id);
        }
        for (const SlotId id : nodes)
            w.unlink(id);
        w.link(nodes[0], {nodes[1]});
        w.link(nodes[1], {nodes[2]});
        w.check_all(false);
        const World::Base base = w.keep();
        for (uint64_t i = 0;; i++) {
            w.restore(base);
            ScanOperation scan(w, w.rows[0].x);
            const bool more = scan.resume(i);
            w.delete_rows({1});
            EXPECT_EQ(w.vacuum().deleted, 0u);
            scan.resume(to_the_end);
            ASSERT_EQ(w.error, "") << shape.name << " " << i;
            ASSERT_EQ(w.excused, 0u) << shape.name << " " << i;
            if (!more)
                break;
        }
    }
}

// A vacuum crashes before it has marked a node's upper slots. The next vacuum has to retain these
// slots, because an insert may have met them alive, and also the slots below them.
TEST(LifecycleCases, UpperSlotsKeepLowerOnes)
{
    for (uint64_t i = 0;; i++) {
        World w(sketches, {2, 2, 1, 8});
        std::mt19937 rng(1);
        for (int n = 0; n < 9; n++)
            w.insert(w.add_row(w.random_vector(rng), n % 3 == 0));
        std::unique_ptr<Operation> vacuum = make(w, What::vacuum_half, 1);
        const bool more = vacuum->resume(i);
        vacuum->kill();
        const SharedGraph::InFlight open = w.graph.begin(true);
        w.vacuum();
        w.check_graph(true);
        w.graph.end(open);
        w.check_all(true);
        ASSERT_EQ(w.error, "") << i;
        if (!more)
            break;
    }
}

// ---- graphs that no inserts would make ----

struct Crafted : World {
    std::mt19937 rng{1};
    Vector here = random_vector(rng), there = far_vector(rng);

    Crafted() : World(sketches, {2, 2, 1, 8}) {}   // room for four links
    SlotId near(Vector x)
    {
        for (float& v : x)
            v += static_cast<float>(rng() % 100) / 100;
        return craft(x);
    }
    void start_at(SlotId id) { quiet.replace_entry({}, {id, 0, id}); }
    // Nodes that all link to each other.
    std::vector<SlotId> group(const Vector& x)
    {
        std::vector<SlotId> ids;
        for (int i = 0; i < 5; i++)
            ids.push_back(near(x));
        link_all(ids);
        return ids;
    }
    void link_all(const std::vector<SlotId>& ids)
    {
        for (const SlotId from : ids)
            for (const SlotId to : ids)
                if (from != to)
                    link(from, {to});
    }
    void unlink_last(SlotId id) { graph.slot(id).header().degree--; }
    // Vacuums that node's row. Checks that all rows are found before each call and in the end, also
    // if the vacuum crashes.
    void vacuum_step_by_step(SlotId id)
    {
        const Base base = keep();
        const std::set<size_t> its = rows_of(id);
        for (uint64_t i = 0;; i++) {
            restore(base);
            VacuumOperation operation(*this, "vacuum", [&](World&) { return its; });
            const bool more = operation.resume(i);
            operation.kill();
            during("after a crash", [&] { check_rows(); });
            during("after a vacuum", [&] {
                if (vacuum().deleted != 0)
                    fail("slots wait");
                check_rows();
            });
            ASSERT_EQ(error, "") << i;
            if (!more)
                break;
        }
    }
};

// The new root has no links.
TEST(LifecycleCases, TheRootMovesWhenAllIsReached)
{
    Crafted w;
    const SlotId root = w.near(w.here);
    for (int i = 0; i < 4; i++)
        w.link(root, {w.near(w.here)});
    w.start_at(root);
    w.vacuum_step_by_step(root);
}

// Only a deleted node links from one group of nodes to the other, and no node has room for more
// links. In the second group all nodes link to each other. With `star`, one node links to all
// others, and they link only to it.
void separate_groups(bool star, bool by_searches)
{
    Crafted w;
    const std::vector<SlotId> a = w.group(w.here);
    std::vector<SlotId> b;
    if (star) {
        for (int i = 0; i < 5; i++)
            b.push_back(w.near(w.there));
        w.link(b[0], {b[1], b[2], b[3], b[4]});
        for (int i = 1; i < 5; i++)
            w.link(b[static_cast<size_t>(i)], {b[0]});
    } else
        b = w.group(w.there);
    const SlotId bridge = w.craft(w.rows[0].x);   // so near that the link to it is not given up
    w.unlink_last(a[0]);
    w.link(a[0], {bridge});
    w.link(bridge, {b[0], a[4]});   // the repair of a[0] takes the nearer one
    w.start_at(a[0]);
    if (by_searches)   // many pages, few suspects
        for (int i = 0; i < 600; i++)
            w.quiet.create([](const MutableSlot& slot) {
                slot.header().state = SlotState::overflow;
                slot.header().owner() = no_slot;
            });
    w.check_rows();
    ASSERT_EQ(w.error, "");
    // The node was marked before an insert began, so it could be freed. But the insert may be that
    // of a node of the second group.
    const World::Base base = w.keep();
    w.delete_rows(w.rows_of(bridge));
    w.vacuum(false);
    const SharedGraph::InFlight insert = w.graph.begin(true);
    w.vacuum();
    w.check_rows();
    w.graph.end(insert);
    EXPECT_EQ(w.vacuum().deleted, 0u);
    w.check_rows();
    EXPECT_EQ(w.error, "");
    w.restore(base);
    w.vacuum_step_by_step(bridge);
}
TEST(LifecycleCases, NodesWithoutRoomAreReached)
{
    for (const bool star : {false, true})
        for (const bool by_searches : {false, true})
            separate_groups(star, by_searches);
}

// While a vacuum runs, an insert adds a page. Only a node that is then deleted links to the new
// node on that page.
TEST(LifecycleCases, NodesOnNewPagesAreReached)
{
    for (uint64_t i = 1;; i++) {
        Crafted w;
        const std::vector<SlotId> a = w.group(w.here);
        const SlotId bridge = w.near(w.there);
        w.unlink_last(a[0]);
        w.link(a[0], {bridge});
        w.link(bridge, {a[4]});
        w.start_at(a[0]);
        const std::set<size_t> its = w.rows_of(bridge);
        VacuumOperation vacuum(w, "vacuum", [&](World&) { return its; });
        vacuum.resume(1);   // it has counted the pages
        const SlotId late = w.near(w.there);
        w.link(late, {bridge});
        w.link(bridge, {late});
        const bool more = vacuum.resume(i);
        w.check_rows();
        vacuum.kill();
        w.check_rows();
        w.vacuum();
        w.check_rows();
        ASSERT_EQ(w.error, "") << i;
        if (!more)
            break;
    }
}

// Nodes at chosen places, with room for four links.
struct Placed : Crafted {
    SlotId at(float x, float y, float z = 0) { return craft({x, y, z, 0, 0, 0}); }
    // `count` nodes beside each other that all link to each other.
    std::vector<SlotId> linked(int count, float y)
    {
        std::vector<SlotId> ids;
        for (int n = 0; n < count; n++)
            ids.push_back(at(static_cast<float>(n), y));
        link_all(ids);
        return ids;
    }
};

// The deleted root leads to the next root by one way only: through a node that has no room, as all
// have. That node must not give this link up for one that reaches others.
TEST(LifecycleCases, TheOldRootLeadsToTheNextOne)
{
    Placed w;
    const SlotId root = w.at(0, 3), x = w.at(0, 2), a = w.at(-5, 5), b = w.at(0, 8), c = w.at(5, 5),
                 p = w.at(0, 0), q = w.at(1, 0), r = w.at(-1, 0), s = w.at(0, -1), t = w.at(1, -1),
                 next = w.at(0, 1);
    w.link(root, {x});
    w.link(x, {next, a, b, c});
    w.link(next, {p, q, r, s});
    w.link(p, {q, r, s, t});
    w.link(q, {p, r, s, t});
    w.link(r, {p, q, s, t});
    w.link(s, {p, q, r, t});
    w.link(t, {p, q, r, s});
    w.start_at(root);
    w.vacuum_step_by_step(root);
}

// No node has room, and the deleted root leads to the rest through one node. A vacuum ends anywhere, a row
// comes, and the next vacuum may choose another root.
TEST(LifecycleCases, TheRootChangesWhenNoNodeHasRoom)
{
    for (uint64_t i = 0;; i++) {
        Placed w;
        const SlotId root = w.at(0, 3), x = w.at(0, 2);
        const std::vector<SlotId> a = w.linked(4, 8), k = w.linked(5, 0);
        const SlotId last = w.at(0, 1);
        w.link(root, {x});
        w.link(x, {last, a[0], a[1], a[2]});
        for (const SlotId from : a)
            w.link(from, {x});
        w.link(last, {k[0], k[1], k[2], k[3]});
        w.start_at(root);
        const std::set<size_t> its = w.rows_of(root);
        VacuumOperation vacuum(w, "vacuum", [&](World&) { return its; });
        const bool more = vacuum.resume(i);
        vacuum.kill();
        w.check_rows(0);
        w.insert(w.add_row({1, 9, 0, 0, 0, 0}, 0));
        w.check_rows(0);
        EXPECT_EQ(w.vacuum().deleted, 0u);
        w.check_rows(0);
        w.check_graph(true);
        ASSERT_EQ(w.error, "") << i;
        if (!more)
            break;
    }
}

// The same beside an insert, which may use the freed slot and adopt what the vacuum wants to move.
TEST(LifecycleCases, TheRootChangesBesideAnInsert)
{
    Placed start;
    const std::vector<SlotId> all = start.linked(5, 0);
    const SlotId root = start.at(0, 9), full = start.at(0, 4), only = start.at(0, -30);
    start.link(root, {all[0], full});
    start.link(full, {only, all[0], all[1], all[2]});
    start.link(only, {all[0], all[1], all[2], all[3]});
    start.start_at(root);
    const std::set<size_t> its = start.rows_of(root);
    const size_t row = start.add_row({0, 3, 0, 0, 0, 0});
    const auto base = start.keep();
    bool more = true;
    for (uint64_t i = 0; more; i++)
        for (uint64_t k = 0; k < 60; k += 3) {
            start.restore(base);
            VacuumOperation vacuum(start, "vacuum", [&](World&) { return its; });
            InsertOperation insert(start, {row});
            more = vacuum.resume(i);
            insert.resume(k);
            vacuum.resume(UINT64_MAX);
            insert.resume(UINT64_MAX);
            EXPECT_EQ(start.vacuum().deleted, 0u);
            start.check_rows();
            start.check_graph(false);
            ASSERT_EQ(start.error, "") << i << ' ' << k;
        }
}

// An insert's last resort has hidden nodes (src/graph/README.md, "What holds at all times", 2). The root is
// deleted, and no live node has room. The next vacuum attaches the hidden ones nevertheless.
TEST(LifecycleCases, TheRootChangesWhileNodesAreHidden)
{
    Placed w;
    const std::vector<SlotId> all = w.linked(5, 0);
    const SlotId root = w.at(0, 9), deleted = w.at(5, 5), full = w.at(1, 1),
                 hidden[] = {w.at(6, 5), w.at(5, 6)};
    w.link(root, {all[0], full});
    w.link(full, {deleted, all[0], all[1], all[2]});
    w.link(deleted, {hidden[0], hidden[1]});
    for (const SlotId id : hidden)
        w.link(id, {all[0], all[1], all[2], all[3]});
    w.start_at(root);
    w.check_rows();
    ASSERT_EQ(w.error, "");
    std::set<size_t> rows = w.rows_of(root);
    rows.merge(w.rows_of(deleted));
    w.delete_rows(rows);
    w.vacuum(false);
    remove_links(w.graph.slot(full), [&](SlotId id) { return id == deleted; });
    w.link(full, {all[3]});
    EXPECT_EQ(w.vacuum().deleted, 0u);
    w.check_rows();
    w.check_graph(true);
    EXPECT_EQ(w.error, "");
}

// Each full node is needed for another one, so none can give up a link for the deleted root. The node without
// rows that takes its place goes away with the index's last row. It takes no place in a scan's beam.
TEST(LifecycleCases, TheNewRootHasNoRows)
{
    Placed w;
    const std::vector<SlotId> all = w.linked(5, 0);
    std::vector<SlotId> needed;
    const SlotId root = w.at(0, 9), last = w.at(0, 5);
    w.link(last, {all[0], all[1], all[2], all[3]});
    for (int n = 0; n < 8; n++)
        needed.push_back(w.at(static_cast<float>(n), 3));
    w.link(root, {needed[0], all[0]});
    for (size_t n = 0; n < 8; n++)
        w.link(needed[n], {n < 7 ? needed[n + 1] : last, all[0], all[1], all[2]});
    w.start_at(root);
    w.delete_rows(w.rows_of(root));
    EXPECT_EQ(w.vacuum().deleted, 0u);
    w.check_rows();
    w.check_graph(true);
    const SlotId now = w.graph.state().entry.root;
    EXPECT_EQ(w.graph.slot(now).header().tid_count, 0);
    EXPECT_EQ(w.vacuum().deleted, 0u);
    EXPECT_EQ(w.graph.state().entry.root, now);
    for (const size_t row : w.committed()) {
        Scan<InterleavingStore> scan(w.quiet);
        const Converted query(w.encoding.codec(), w.rotation, w.rows[row].x);
        scan.start(query.value, {1, Iterate::off, 1000000, size_t{1} << 30});
        BoundedRow found;
        EXPECT_TRUE(scan.next_by_bound(&found)) << row;
    }
    w.delete_rows(w.committed());
    w.vacuum();
    EXPECT_TRUE(w.graph.state().entry.empty());
    EXPECT_EQ(w.graph.slot(now).header().state, SlotState::free);
    w.insert(w.add_row({1, 9, 0, 0, 0, 0}, 0));
    w.check_rows();
    w.check_graph(true);
    EXPECT_EQ(w.error, "");
}

// While a vacuum runs, a node comes on a new page, which the vacuum will not repair. It must not get a
// link to a deleted node.
TEST(LifecycleCases, NodesOnNewPagesAdoptNoDeletedOnes)
{
    for (uint64_t i = 1;; i++) {
        Placed w;
        const SlotId root = w.at(0, 0), p = w.at(1, 0), q = w.at(-1, 0), r = w.at(0, -1),
                     s = w.at(1, -1), m = w.at(0, 1), deleted = w.at(0, 30), x = w.at(0, 5),
                     a = w.at(8, 6), b = w.at(-9, 6), c = w.at(0, 12), d = w.at(1, 7, 8);
        w.link(root, {p, q, r, m});
        w.link(p, {root, q, r, s});
        w.link(q, {root, p, r, s});
        w.link(r, {root, p, q, s});
        w.link(s, {root, p, q, r});
        w.link(m, {root, p, q, deleted});
        w.link(deleted, {x});
        w.link(x, {a, b, c, d});
        w.start_at(root);
        w.graph.end(w.graph.begin(true));
        const std::set<size_t> its = w.rows_of(deleted);
        VacuumOperation vacuum(w, "vacuum", [&](World&) { return its; });
        const bool more = vacuum.resume(i);
        const SlotId late = w.at(0, 3);
        w.link(late, {x, a});
        w.unlink(x);
        w.link(x, {late, b, c, d});
        vacuum.resume(UINT64_MAX);
        w.vacuum();
        w.check_rows();
        w.check_graph(true);
        ASSERT_EQ(w.error, "") << i;
        if (!more)
            break;
    }
}

}   // namespace
