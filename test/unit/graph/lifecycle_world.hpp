// A table of vectors and its graph on the interleaving store: the operations of sessions, which can
// be stopped at any call of the store, and the conditions that hold whenever no operation is
// running.
#pragma once

#include <cstdlib>
#include <random>
#include <set>

#include "graph/check.hpp"
#include "graph/interleaving_store.hpp"
#include "graph/lifecycle.hpp"
#include "graph/scan.hpp"
#include "codec/rotation.hpp"

namespace quiver::graph::test {

using codec::Form, codec::Metric;

// QUIVER_TRACE prints each call of a store and each slot that changes.
inline bool traces()
{
    static const bool traced = std::getenv("QUIVER_TRACE") != nullptr;
    return traced;
}

inline Tid tid_of(size_t row)
{
    return {static_cast<uint16_t>(row >> 16), static_cast<uint16_t>(row), 1};
}
inline size_t row_of(Tid t) { return static_cast<size_t>(t.block_high) << 16 | t.block_low; }

struct Shape {
    const char* name;
    Form form;
    Metric metric;
    uint32_t dims;
    uint32_t fold;           // 0: no sketches
    bool filtered = false;   // have nodes filter codes?
};

struct Geometry {
    uint32_t m = 2;
    uint32_t slots_per_page = 2;
    uint32_t tids = 1;   // rows of a node
    uint32_t ef_construction = 8;
};

using Vector = std::vector<float>;

// A vector as the graph expects it.
struct Converted {
    std::vector<float> floats;
    std::vector<int32_t> indices;
    std::vector<uint8_t> bits;
    Value value{};

    Converted(const codec::Codec& codec, const codec::Rotation& rotation, const Vector& x)
    {
        if (codec.spec.form == Form::dense) {
            floats.assign(codec.traits.padded, 0);
            rotation.apply(x.data(), floats.data());
            value.dense = floats.data();
        } else if (codec.spec.form == Form::bits) {
            bits.assign(codec.traits.code_bytes, 0);
            for (size_t i = 0; i < x.size(); i++)
                if (x[i] > 0)
                    bits[i / 8] |= static_cast<uint8_t>(128 >> i % 8);
            value.bits = bits.data();
        } else {
            for (size_t i = 0; i < x.size(); i++)
                if (x[i] != 0) {
                    indices.push_back(static_cast<int32_t>(i));
                    floats.push_back(x[i]);
                }
            value.sparse = {indices.data(), floats.data(), floats.size()};
        }
    }
};

// aborted: the row's insert crashed. Aborted and deleted rows are dead. They are in the graph until
// a vacuum removes them.
enum class RowState { planned, inserting, committed, aborted, deleted };

struct Row {
    Vector x;
    int level;   // of its node
    RowState state = RowState::planned;
    bool removed = false;
    bool is_dead() const { return state == RowState::aborted || state == RowState::deleted; }
};

class World {
  public:
    struct Base {
        SharedGraph::State graph;
        std::vector<Row> rows;
    };

    // vacuum_memory: in bytes, one for each slot that a vacuum removes at once
    World(const Shape& s, const Geometry& g,
          uint64_t vacuum_memory = Removal<InterleavingStore>::unlimited)
        : shape(s), geometry(g), memory(vacuum_memory),
          encoding(
              {{s.form, s.metric, s.dims, 8}, s.fold, (2 * g.m + 3) / 4 * 4, g.tids, s.filtered}),
          graph(encoding, g.slots_per_page), rotation(s.dims, 1), quiet(graph), scan(quiet)
    {
        if (s.filtered && s.form == codec::Form::dense)
            encoding.set_flat_centre(Vec<float>(encoding.codec().traits.padded).data());
    }

    Base keep() const { return {graph.state(), rows}; }
    void restore(const Base& base)
    {
        graph.state() = base.graph;
        rows = base.rows;
        error.clear();
        given_up = excused = 0;
        gave_up = false;
    }
    // Keeps the first error.
    void fail(const std::string& what)
    {
        if (error.empty() && traces()) {
            std::printf("  %s\n", what.c_str());
            print();
        }
        if (error.empty())
            error = what;
    }

    // ---- vectors ----

    Vector random_vector(std::mt19937& rng) const
    {
        Vector x(shape.dims);
        std::normal_distribution<float> normal;
        if (shape.form == Form::sparse) {
            // Half of them are longer than what the node's own slot holds.
            const size_t count = rng() % 2 ? 1 + rng() % 30 : 40 + rng() % 100;
            for (size_t i = 0; i < count; i++)
                x[rng() % x.size()] = normal(rng);
            x[0] = 1;
        } else if (shape.form == Form::bits)
            for (float& v : x)
                v = rng() % 4 == 0 ? 1.0f : -1.0f;
        else
            for (float& v : x)
                v = normal(rng);
        return x;
    }
    Vector far_vector(std::mt19937& rng) const
    {
        Vector x = random_vector(rng);
        for (float& v : x)
            v = shape.form == Form::bits ? -v : 30 * v + (v != 0 ? 100.0f : 0.0f);
        return x;
    }

    // ---- rows ----

    FilterCode filter_of(size_t row) const
    {
        return static_cast<FilterCode>(shape.filtered ? 1 + row % 2 : 0);
    }
    size_t add_row(Vector x, int level = 0)
    {
        rows.push_back({std::move(x), level});
        return rows.size() - 1;
    }
    template <class Is>
    std::set<size_t> rows_that(Is&& is) const
    {
        std::set<size_t> some;
        for (size_t i = 0; i < rows.size(); i++)
            if (is(rows[i]))
                some.insert(i);
        return some;
    }
    std::set<size_t> committed() const
    {
        return rows_that([](const Row& r) { return r.state == RowState::committed; });
    }
    std::set<size_t> dead() const
    {
        return rows_that([](const Row& r) { return r.is_dead() && !r.removed; });
    }
    // The rows of the node that has slot `id`.
    std::set<size_t> rows_of(SlotId id)
    {
        std::set<size_t> some;
        while (id < graph.state().size && graph.slot(id).header().level > 0)
            id = graph.slot(id).header().down;
        if (id < graph.state().size && graph.slot(id).header().state == SlotState::live)
            for (uint32_t t = 0; t < graph.slot(id).tid_count(); t++)
                some.insert(row_of(graph.slot(id).tids()[t]));
        return some;
    }
    void delete_rows(const std::set<size_t>& some)
    {
        for (const size_t row : some)
            if (rows[row].state == RowState::committed)
                rows[row].state = RowState::deleted;
    }

    // ---- operations that nothing interrupts ----

    void insert(size_t row)
    {
        Inserter<InterleavingStore> inserter(quiet, geometry.m, geometry.ef_construction);
        const SharedGraph::InFlight t = graph.begin(true);
        inserter.insert(Converted(encoding.codec(), rotation, rows[row].x).value, tid_of(row),
                        rows[row].level, filter_of(row));
        graph.end(t);
        rows[row].state = RowState::committed;
    }
    RemovalResult vacuum(bool worth_while = true)
    {
        const std::set<size_t> some = dead();
        quiet.count_pages();
        Removal<InterleavingStore> removal(quiet, geometry.m, geometry.ef_construction, memory);
        const RemovalResult result =
            removal.run([&](Tid tid) { return some.count(row_of(tid)) > 0; },
                        [&](uint64_t) { return worth_while; });
        for (const size_t row : some)
            rows[row].removed = true;
        given_up = 0;
        return result;
    }
    // All rows that a scan returns if it is read to the end. filter: if not 0, the code of the rows that
    // it wants: one of the codes goes flat at once, the other when the graph leads no further.
    std::set<size_t> scan_all(Scan<InterleavingStore>& by, const Vector& q, FilterCode filter = 0)
    {
        std::set<size_t> got;
        by.start(Converted(encoding.codec(), rotation, q).value,
                 {10, Iterate::relaxed, 1000000, size_t{1} << 30, filter == 1 ? 1 : 1e9}, nullptr,
                 filter > 0 ? &only(filter) : nullptr);
        Tid tid;
        double distance;
        while (by.next(&tid, &distance, [](Tid) {}))
            if (row_of(tid) >= rows.size())
                fail("a scan returned a row that there never was");
            else if (!got.insert(row_of(tid)).second)
                fail("a scan returned row " + std::to_string(row_of(tid)) + " twice");
            else if (filter > 0 && filter_of(row_of(tid)) != filter)
                fail("a scan returned row " + std::to_string(row_of(tid)) +
                     ", which does not match");
        return got;
    }
    // The set that admits only this of the codes of filter_of().
    static const codec::FilterSet& only(FilterCode code)
    {
        static const std::vector<codec::FilterSet> sets = [] {
            constexpr codec::FilterColumn column[] = {{codec::FilterKind::ordered, true}};
            codec::FilterTraining training(column);
            for (uint64_t key = 1; key <= 2; key++)
                for (int i = 0; i < 2; i++) {
                    const codec::FilterKey row{false, key};
                    training.add({&row, 1});
                }
            const Vec<uint8_t> bytes = training.finish();
            const codec::FilterCodec by(column,
                                        std::span<const uint8_t>(bytes.data(), bytes.size()));
            std::vector<codec::FilterSet> made(2);
            for (uint64_t key = 1; key <= 2; key++) {
                const codec::FilterCondition condition{0, codec::FilterOp::equal, key};
                by.make_set({&condition, 1}, &made[key - 1]);
            }
            return made;
        }();
        return sets[code - 1];
    }

    // Makes a node without links for a new, committed row.
    SlotId craft(Vector x)
    {
        const size_t row = add_row(std::move(x));
        rows[row].state = RowState::committed;
        Vec<uint8_t> bytes;
        const Converted converted(encoding.codec(), rotation, rows[row].x);
        Code code = encoding.codec().encode(converted.value, bytes);
        code.filter = filter_of(row);
        return quiet.create([&](const MutableSlot& slot) {
            slot.header().state = SlotState::live;
            slot.header().down = no_slot;
            put_code(code, slot, no_slot);
            slot.header().tid_count = 1;
            slot.tids()[0] = tid_of(row);
        });
    }
    void link(SlotId from, std::initializer_list<SlotId> to)
    {
        LinkEncoder encoder(encoding);
        const MutableSlot slot = graph.slot(from);
        encoder.set_centre(code_in(slot));
        for (const SlotId id : to) {
            encoder.encode(code_in(graph.slot(id)));
            encoder.put(id, slot, slot.header().degree++);
        }
        graph.note_written(from);
    }
    void unlink(SlotId from)
    {
        graph.slot(from).header().degree = 0;
        graph.note_written(from);
    }

    // ---- conditions that must hold ----

    // Reports that a row is not found, or a node not reached. This is excused if an insert that had
    // no other choice replaced a link to a deleted node: nodes to which only that node links are
    // lost until the next vacuum.
    void lose(const std::string& what)
    {
        if (given_up > 0)
            excused++;
        else
            fail(what);
    }
    // Are all committed rows found, by a query far away and by the vectors of some of the rows?
    // Other operations may be running.
    void check_rows(size_t most_scans = 12)
    {
        const std::set<size_t> all = committed();
        const auto check = [&](const Vector& q, const std::string& from) {
            const std::set<size_t> got = scan_all(scan, q);
            for (const size_t row : all)
                if (!got.count(row))
                    lose("row " + std::to_string(row) + " is not found from " + from);
        };
        std::mt19937 rng(7);
        check(far_vector(rng), "far away");
        if (shape.filtered) {
            const Vector q = random_vector(rng);
            for (const FilterCode filter : {FilterCode{1}, FilterCode{2}}) {
                const std::set<size_t> got = scan_all(scan, q, filter);
                for (const size_t row : all)
                    if (filter_of(row) == filter && !got.count(row))
                        lose("row " + std::to_string(row) + " is not found by its filter code");
            }
        }
        const size_t step = all.size() / std::max<size_t>(most_scans, 1) + 1;
        size_t i = 0;
        for (const size_t row : all)
            if (most_scans > 0 && i++ % step == 0)
                check(rows[row].x, "row " + std::to_string(row));
    }

    // Does the verifier find nothing? Before a vacuum it may find nodes of crashed inserts to which
    // no node links.
    void check_graph(bool before_vacuum)
    {
        quiet.count_pages();
        Checker<InterleavingStore> checker(quiet, graph.state().size);
        std::multiset<size_t> got;
        checker.run(
            [&](SlotId id, const char* text) {
                const std::set<size_t> of = rows_of(id);
                const std::string what = text;
                const bool not_reached = what.starts_with("no path leads here");
                const bool of_a_crash =
                    !of.empty() && std::all_of(of.begin(), of.end(), [&](size_t row) {
                        return rows[row].state == RowState::aborted;
                    });
                if (before_vacuum && of_a_crash &&
                    (not_reached || what.starts_with("overflow slots are missing")))
                    return;
                const std::string where = "slot " + std::to_string(id) + ": " + what;
                not_reached ? lose(where) : fail(where);
            },
            [&](SlotId id, Tid tid) {
                got.insert(row_of(tid));
                if (filter_in(graph.slot(id)) != filter_of(row_of(tid)))
                    fail("row " + std::to_string(row_of(tid)) +
                         " is in a node with another filter code");
            });
        for (const size_t row : got)
            if (got.count(row) > 1)
                fail("row " + std::to_string(row) + " is in two nodes");
            else if (!before_vacuum && rows[row].state != RowState::committed)
                fail("row " + std::to_string(row) + " is dead, but in the graph");
        for (const size_t row : committed())
            if (!got.count(row))
                fail("row " + std::to_string(row) + " is in no node");
        check_links();
    }

    bool has_overflow(const Slot& slot) const
    {
        return shape.form == Form::sparse && slot.header().length > layout.code_bytes;
    }

    // Nodes that can be reached, including deleted ones, do not link to free slots. An insert that
    // uses such a slot next would conclude that another node links to its own.
    void check_links()
    {
        std::set<SlotId> seen;
        std::vector<SlotId> todo;
        const auto go = [&](SlotId id) {
            if (id < graph.state().size && seen.insert(id).second)
                todo.push_back(id);
        };
        go(graph.state().entry.root);
        for (SlotId id = 0; id < graph.state().size; id++)
            if (const Slot slot = graph.slot(id);
                (slot.header().state == SlotState::live && slot.header().level > 0) ||
                (slot.header().state == SlotState::deleted && slot.stamp() > graph.oldest_id()))
                go(id);   // an insert may still link to such a deleted node
        while (!todo.empty()) {
            const Slot slot = graph.slot(todo.back());
            const std::string from = "slot " + std::to_string(todo.back());
            todo.pop_back();
            const auto is_node = [&](SlotId id, int level) {
                const SlotHeader& h = graph.slot(id).header();
                return (h.state == SlotState::live || h.state == SlotState::deleted) &&
                       h.level == level;
            };
            if (const SlotHeader& h = slot.header(); h.level > 0 && !is_node(h.down, h.level - 1))
                fail(from + " is above slot " + std::to_string(h.down) + ", which is no node");
            if (const SlotHeader& h = slot.header(); h.level == 0 && has_overflow(slot))
                for (SlotId at = h.overflow(); at != no_slot; at = graph.slot(at).header().down)
                    if (graph.slot(at).header().state != SlotState::overflow) {
                        fail(from + " has lost an overflow slot");
                        break;
                    }
            for (uint32_t i = 0; i < slot.header().degree; i++) {
                const SlotId n = slot.ids()[i];
                if (!is_node(n, slot.header().level))
                    fail(from + " links to slot " + std::to_string(n) + ", which is no node");
                else
                    go(n);
            }
        }
    }

    // After a vacuum that nothing interrupted: is each slot known to be free, or part of a live
    // node?
    void check_slots()
    {
        std::set<SlotId> used;
        const SlotId size = graph.state().size;
        const auto state = [&](SlotId id) {
            return id < size ? graph.slot(id).header().state : SlotState::free;
        };
        for (SlotId id = 0; id < size; id++) {
            const std::string where = "slot " + std::to_string(id);
            const SlotHeader& h = graph.slot(id).header();
            if (h.state == SlotState::free && !graph.state().room[id / geometry.slots_per_page])
                fail(where + " is free, and nobody knows");
            if (h.state == SlotState::deleted)
                fail(where + " is still deleted");
            if (h.state != SlotState::live)
                continue;
            used.insert(id);
            if (h.level > 0 && state(h.down) != SlotState::live)
                fail(where + " is above no live node");
            if (h.level == 0 && has_overflow(graph.slot(id)))
                for (SlotId at = h.overflow(); at != no_slot; at = graph.slot(at).header().down)
                    if (state(at) != SlotState::overflow || graph.slot(at).header().owner() != id ||
                        !used.insert(at).second) {
                        fail(where + " has an overflow slot that is not its own");
                        break;
                    }
        }
        for (SlotId id = 0; id < size; id++)
            if (state(id) != SlotState::free && !used.count(id))
                fail("slot " + std::to_string(id) + " is used by nobody");
    }

    // Checks all conditions after a vacuum, and with delete_all also after all rows were deleted.
    void check_all(bool delete_all)
    {
        during("before the next vacuum", [&] {
            check_rows();
            check_graph(true);
        });
        during("after a vacuum", [&] {
            const double live = static_cast<double>(committed().size());
            const RemovalResult result = vacuum();
            if (result.deleted != 0)
                fail(std::to_string(result.deleted) + " slots wait though nobody is at work");
            if (result.rows != live)
                fail("it counted " + std::to_string(result.rows) + " rows");
            check_rows();
            check_graph(false);
            check_slots();
        });
        if (delete_all)
            during("after all rows were deleted", [&] { check_deletion_of_all(); });
    }
    template <class F>
    void during(const char* when, F&& f)
    {
        if (!error.empty())
            return;
        f();
        if (!error.empty())
            error = std::string(when) + ": " + error;
    }
    void check_deletion_of_all()
    {
        delete_rows(committed());
        vacuum();
        const SlotId size = graph.state().size;
        for (SlotId id = 0; id < size; id++)
            if (graph.slot(id).header().state != SlotState::free)
                fail("slot " + std::to_string(id) + " is not free");
        if (!graph.state().entry.empty())
            fail("there is an entry");
        graph.end(graph.begin(true));   // slots freed while others run get the next id
        std::mt19937 rng(3);
        for (int i = 0; i < 12; i++)
            insert(add_row(random_vector(rng), i % 5 == 4));
        SlotId unused = 0;
        for (SlotId id = 0; id < graph.state().size; id++)
            unused += graph.slot(id).header().state == SlotState::free;
        if (graph.state().size > size && unused >= geometry.slots_per_page)
            fail("slots are not used again");
        check_rows();
        check_graph(false);
    }

    // For debugging.
    void print()
    {
        const auto number = [](SlotId id) { return static_cast<int>(id); };   // no_slot: -1
        constexpr const char* states[] = {"free", "live", "deleted", "overflow"};
        constexpr const char* of_rows[] = {"planned", "inserting", "committed", "aborted",
                                           "deleted"};
        const Entry e = graph.state().entry;
        std::printf("    entry %d (level %d), root %d\n", number(e.id), e.level, number(e.root));
        for (SlotId id = 0; id < graph.state().size; id++) {
            const Slot slot = graph.slot(id);
            const SlotHeader& h = slot.header();
            if (h.state == SlotState::free && h.degree == 0)
                continue;
            std::printf("    slot %u %s, level %d, links:", id,
                        states[static_cast<size_t>(h.state)], h.level);
            for (uint32_t i = 0; i < h.degree; i++)
                std::printf(" %u", slot.ids()[i]);
            if (h.state == SlotState::live && h.level == 0)
                for (const size_t row : rows_of(id))
                    std::printf("; row %zu %s", row, of_rows[static_cast<size_t>(rows[row].state)]);
            if (h.state == SlotState::deleted || h.state == SlotState::free)
                std::printf("; stamp %d", static_cast<int>(slot.stamp()));
            std::printf("\n");
        }
    }

    const Shape& shape;
    const Geometry geometry;
    const uint64_t memory;
    Encoding encoding;
    const Layout& layout = encoding.layout();
    SharedGraph graph;
    codec::Rotation rotation;
    std::vector<Row> rows;
    std::string error;
    size_t given_up = 0;    // links to deleted nodes, replaced since the last whole vacuum
    bool gave_up = false;   // was there ever such a link?
    size_t excused = 0;     // rows that were not found for that reason
    InterleavingStore quiet;
    Scan<InterleavingStore> scan;
};

// ---- operations ----

// Runs only in resume().
class Operation {
  public:
    Operation(World& world, std::string name, bool is_insert = false)
        : w_(world), fiber_(take_fiber()), name_(std::move(name)), store_(world.graph, &fiber_)
    {
        if (traces())
            store_.on_call = [this](const char* call, uint32_t about) {
                std::printf("    %s: %s %d\n", name_.c_str(), call, static_cast<int>(about));
            };
        store_.on_write = [this, is_insert](const Slot& before, const Slot& after) {
            if (traces())
                print_links(before, after);
            if (is_insert)
                count_given_up(before, after);
        };
        fiber_.start([this] {
            try {
                work();
            } catch (const Crash&) {
            } catch (const std::exception& e) {
                w_.fail(name_ + ": " + e.what());
            }
            finish();
        });
    }
    virtual ~Operation() { taken().erase(&fiber_); }   // derived classes kill() it first
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

    bool running() const { return fiber_.running(); }
    // Continues for this number of calls. False: it has ended.
    bool resume(uint64_t calls)
    {
        if (traces() && running())
            std::printf("  %s goes on\n", name_.c_str());
        return fiber_.resume(calls);
    }
    void kill()
    {
        if (traces() && running())
            std::printf("  %s crashes\n", name_.c_str());
        fiber_.kill();
    }
    uint64_t calls() const { return store_.calls; }
    const std::string& name() const { return name_; }
    virtual bool is_vacuum() const { return false; }
    virtual bool is_scan() const { return false; }

  protected:
    virtual void work() = 0;
    virtual void finish() = 0;   // called however the operation ended

    World& w_;
    Fiber& fiber_;
    std::string name_;
    InterleavingStore store_;

  private:
    static std::set<Fiber*>& taken()
    {
        static std::set<Fiber*> some;
        return some;
    }
    static Fiber& take_fiber()
    {
        static std::vector<std::unique_ptr<Fiber>> all;
        for (const auto& fiber : all)
            if (taken().insert(fiber.get()).second)
                return *fiber;
        all.push_back(std::make_unique<Fiber>());
        taken().insert(all.back().get());
        return *all.back();
    }

    void count_given_up(const Slot& before, const Slot& after)
    {
        const SlotId* end = after.ids() + after.header().degree;
        for (uint32_t i = 0; i < before.header().degree; i++)
            if (std::find(after.ids(), end, before.ids()[i]) == end &&
                w_.graph.slot(before.ids()[i]).header().state == SlotState::deleted)
                w_.given_up++, w_.gave_up = true;
    }
    static void print_links(const Slot& before, const Slot& after)
    {
        std::printf("      it linked to");
        for (uint32_t i = 0; i < before.header().degree; i++)
            std::printf(" %u", before.ids()[i]);
        std::printf(", now to");
        for (uint32_t i = 0; i < after.header().degree; i++)
            std::printf(" %u", after.ids()[i]);
        std::printf("\n");
    }
};

// Inserts rows in one transaction.
class InsertOperation : public Operation {
  public:
    InsertOperation(World& world, std::vector<size_t> some)
        : Operation(world, "insert", true), rows_(std::move(some))
    {
    }
    ~InsertOperation() override { kill(); }

  private:
    void work() override
    {
        transaction_ = w_.graph.begin(true);
        begun_ = true;
        store_.count_pages();
        Inserter<InterleavingStore> inserter(store_, w_.geometry.m, w_.geometry.ef_construction);
        for (const size_t row : rows_) {
            w_.rows[row].state = RowState::inserting;
            inserter.insert(Converted(w_.encoding.codec(), w_.rotation, w_.rows[row].x).value,
                            tid_of(row), w_.rows[row].level, w_.filter_of(row));
        }
        for (const size_t row : rows_)
            w_.rows[row].state = RowState::committed;
    }
    void finish() override
    {
        for (const size_t row : rows_)
            if (w_.rows[row].state == RowState::inserting)
                w_.rows[row].state = RowState::aborted;
        if (begun_)
            w_.graph.end(transaction_);
    }

    std::vector<size_t> rows_;
    bool begun_ = false;
    SharedGraph::InFlight transaction_;
};

// Reads all rows, or all that match a filter.
class ScanOperation : public Operation {
  public:
    ScanOperation(World& world, Vector q, FilterCode filter = 0)
        : Operation(world, "scan"), query_(std::move(q)), filter_(filter)
    {
    }
    ~ScanOperation() override { kill(); }
    bool is_scan() const override { return true; }

  private:
    void work() override
    {
        transaction_ = w_.graph.begin(false);
        begun_ = true;
        const std::set<size_t> before = w_.committed();
        Scan<InterleavingStore> scan(store_);
        const std::set<size_t> got = w_.scan_all(scan, query_, filter_);
        for (const size_t row : before)
            if ((filter_ == 0 || w_.filter_of(row) == filter_) &&
                w_.rows[row].state == RowState::committed && !got.count(row))
                w_.lose("row " + std::to_string(row) + " is not found by a scan beside others");
    }
    void finish() override
    {
        if (begun_)
            w_.graph.end(transaction_);
    }

    Vector query_;
    FilterCode filter_;
    bool begun_ = false;
    SharedGraph::InFlight transaction_;
};

// Deletes some rows, and removes all dead rows from the graph.
class VacuumOperation : public Operation {
  public:
    using Choice = std::function<std::set<size_t>(World&)>;

    VacuumOperation(World& world, std::string name, Choice choice, bool worth_while = true)
        : Operation(world, std::move(name)), choice_(std::move(choice)), worth_while_(worth_while)
    {
    }
    ~VacuumOperation() override { kill(); }
    bool is_vacuum() const override { return true; }

  private:
    void work() override
    {
        w_.delete_rows(choice_(w_));
        const std::set<size_t> dead = w_.dead();
        Removal<InterleavingStore> removal(store_, w_.geometry.m, w_.geometry.ef_construction,
                                           w_.memory);
        removal.run([&](Tid tid) { return dead.count(row_of(tid)) > 0; },
                    [&](uint64_t) { return worth_while_; });
        for (const size_t row : dead)
            w_.rows[row].removed = true;
    }
    void finish() override {}

    Choice choice_;
    bool worth_while_;
};

}   // namespace quiver::graph::test
