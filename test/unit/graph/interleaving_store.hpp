// A graph in memory for tests with several operations at once. They take turns, one call of the
// store at a time: before each call, a test may let another operation continue, or kill this one.
// Transactions have ids and snapshots as in PostgreSQL, and a freed slot is used again as early as
// these permit. So each run is a possible run of PostgreSQL, but repeatable.
#pragma once

#include <algorithm>
#include <functional>
#include <list>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/rng.hpp"
#include "graph/store.hpp"

namespace quiver::graph::test {

// Thrown by a call of the store: the operation's process has crashed.
struct Crash {};

// A thread that runs one operation after another. An operation runs only while resume() waits for
// it.
class Fiber {
  public:
    Fiber() : thread_([this] { loop(); }) {}
    ~Fiber()
    {
        kill();
        task_ = nullptr;
        go_.release();
        thread_.join();
    }
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    void start(std::function<void()> task)
    {
        task_ = std::move(task);
        running_ = true;
        killed_ = false;
    }
    bool running() const { return running_; }
    // Lets the operation make this number of further calls, or end before. False: it has ended.
    bool resume(uint64_t calls)
    {
        if (running_) {
            left_ = calls;
            go_.release();
            back_.acquire();
        }
        return running_;
    }
    // Ends the operation in place of its next call.
    void kill()
    {
        killed_ = true;
        resume(0);
    }

    // The operation calls this before each call of the store.
    void step()
    {
        if (left_ == 0 && !killed_) {
            back_.release();
            go_.acquire();
        }
        if (killed_)
            throw Crash();
        left_--;
    }

  private:
    void loop()
    {
        for (;;) {
            go_.acquire();
            if (!task_)
                return;
            task_();
            running_ = false;
            back_.release();
        }
    }

    std::binary_semaphore go_{0}, back_{0};
    std::function<void()> task_;
    uint64_t left_ = 0;
    bool running_ = false, killed_ = false;
    std::thread thread_;   // the last member: it uses the others
};

// The pages, the entry, the transactions.
class SharedGraph {
  public:
    // The permanent state, so that a test can restore it.
    struct State {
        std::vector<uint64_t> words;
        SlotId size = 0;
        Entry entry;
        uint64_t next_id = 10;
        std::vector<bool> room;   // pages that are searched for a free slot
    };
    // id 0: the transaction only reads.
    struct Transaction {
        uint64_t id, xmin;
    };
    using InFlight = std::list<Transaction>::iterator;

    SharedGraph(const Encoding& encoding, uint32_t slots_per_page)
        : encoding_(encoding), l_(encoding.layout()), per_page_(slots_per_page)
    {
        if (l_.slot_bytes % sizeof(uint64_t) != 0)
            throw std::logic_error("slots would not be aligned");
    }

    const Encoding& encoding() const { return encoding_; }
    const Layout& layout() const { return l_; }
    State& state() { return s_; }
    const State& state() const { return s_; }
    uint32_t slots_per_page() const { return per_page_; }
    uint32_t pages() const { return s_.size / per_page_; }

    // Notes the time at which the slot was written.
    void note_written(SlotId id)
    {
        written_.resize(std::max<size_t>(written_.size(), s_.size));
        written_[id] = ++clock_;
    }
    bool written_since(SlotId id, uint64_t since) const
    {
        return id < written_.size() && written_[id] > since;
    }
    uint64_t clock() const { return clock_; }

    MutableSlot slot(SlotId id)
    {
        return {l_, reinterpret_cast<char*>(s_.words.data()) + size_t{id} * l_.slot_bytes};
    }

    InFlight begin(bool writes)
    {
        const uint64_t xmin = oldest_id();
        return running_.insert(running_.end(), {writes ? s_.next_id++ : 0, xmin});
    }
    void end(InFlight t) { running_.erase(t); }
    bool idle() const { return running_.empty(); }
    // The least id of a running transaction, or the next id.
    uint64_t oldest_id() const
    {
        uint64_t id = s_.next_id;
        for (const Transaction& t : running_)
            if (t.id != 0)
                id = std::min(id, t.id);
        return id;
    }
    // No snapshot sees transactions with this id or a later one.
    uint64_t horizon() const
    {
        uint64_t id = oldest_id();
        for (const Transaction& t : running_)
            id = std::min(id, t.xmin);
        return id;
    }
    bool is_usable(SlotId id)
    {
        const Slot s = slot(id);
        return s.header().state == SlotState::free && (s.stamp() == 0 || s.stamp() < horizon());
    }

    // Takes a free slot of a page that is known to have one, or adds a page.
    SlotId take()
    {
        std::vector<SlotId> usable;
        for (uint32_t page = 0; page < pages(); page++) {
            bool any = false;
            for (SlotId id = page * per_page_; s_.room[page] && id < (page + 1) * per_page_; id++) {
                any |= slot(id).header().state == SlotState::free;
                if (is_usable(id))
                    usable.push_back(id);
            }
            s_.room[page] = any;
        }
        if (usable.empty()) {
            usable.push_back(s_.size);
            s_.size += per_page_;
            // Moves the slots, so that the sanitizer reports code that still uses the old place.
            std::vector<uint64_t> words(size_t{s_.size} * l_.slot_bytes / sizeof(uint64_t));
            std::copy(s_.words.begin(), s_.words.end(), words.begin());
            s_.words.swap(words);
            s_.room.push_back(true);
        }
        const SlotId id = usable[pick ? pick->next() % usable.size() : 0];
        if (slot(id).header().degree > 0 || slot(id).header().length > 0)
            reused++;
        return id;
    }

    Rng* pick = nullptr;   // chooses the free slot; null: the first
    uint64_t reused = 0;   // slots that were used again

  private:
    const Encoding& encoding_;
    const Layout& l_;
    uint32_t per_page_;
    State s_;
    std::list<Transaction> running_;
    std::vector<uint64_t> written_;
    uint64_t clock_ = 0;
};

// One operation's view of the graph, like a backend's relation. Without a fiber nothing interrupts
// it.
class InterleavingStore {
  public:
    explicit InterleavingStore(SharedGraph& graph, Fiber* fiber = nullptr)
        : g_(graph), fiber_(fiber), pages_(graph.pages()),
          flat_(graph.encoding(), graph.slots_per_page())
    {
    }

    const Encoding& encoding() const { return g_.encoding(); }
    Entry entry()
    {
        return call("entry", [&] { return g_.state().entry; });
    }
    template <class F>
    bool read(SlotId id, F&& f)
    {
        return call("read", id, [&] {
            if (id >= g_.state().size)
                return false;
            f(Slot(g_.slot(id)));
            return true;
        });
    }
    template <class F>
    bool write(SlotId id, F&& f)
    {
        return call("write", id, [&] {
            const bool kept = id < g_.state().size && keep_if(id, f);
            if (kept)
                g_.note_written(id);
            if (kept && on_write)
                on_write(Slot(g_.layout(), before_.data()), g_.slot(id));
            return kept;
        });
    }
    template <class F>
    SlotId create(F&& f)
    {
        return call("create", [&] {
            const SlotId id = g_.take();
            const MutableSlot slot = g_.slot(id);
            std::memset(slot.data(), 0, sizeof(SlotHeader));
            f(slot);
            g_.note_written(id);
            return id;
        });
    }
    uint64_t stamp()
    {
        return call("stamp", [&] { return g_.state().next_id; });
    }
    Entry replace_entry(Entry expected, Entry by)
    {
        return call("replace_entry", [&] {
            const Entry was = g_.state().entry;
            if (was == expected)
                g_.state().entry = by;
            return was;
        });
    }
    // These calls do nothing that other operations could see.
    void prefetch(SlotId, size_t = 0) {}
    uint32_t flat_entries() const { return flat_.layout().entries; }
    void prefetch_flat(uint32_t) {}
    void release() {}
    void poll() {}
    uint64_t now()
    {
        return call("now", [&] { return g_.clock(); });
    }
    template <class F>
    void read_written(const Vec<SlotId>& ids, uint64_t since, F&& f)
    {
        for (const SlotId id : ids)
            call("read_written", id, [&] {
                if (g_.written_since(id, since))
                    f(id, Slot(g_.slot(id)));
            });
    }

    uint32_t slots_per_page() const { return g_.slots_per_page(); }
    uint32_t pages() const { return pages_; }
    void count_pages()
    {
        call("count_pages", [&] { pages_ = g_.pages(); });
    }
    uint32_t flat_pages() const
    {
        const uint32_t pages = flat_.layout().pages;
        return pages ? (pages_ + pages - 1) / pages : 0;
    }
    template <class F>
    bool read_flat(uint32_t page, F&& f)
    {
        return call("read_flat", page, [&] {
            if (page * flat_.layout().entries >= g_.state().size)
                return false;
            f(flat_.page(page, g_.state().size, [&](SlotId id) { return Slot(g_.slot(id)); }));
            return true;
        });
    }
    template <class F>
    void read_page(uint32_t page, F&& f)
    {
        call("read_page", page, [&] {
            const PageSlots<const char> slots = slots_of<const char>(page);
            f(slots);
        });
    }
    template <class Look, class Change>
    void write_page(uint32_t page, Look&& look, Change&& change)
    {
        call("write_page", page, [&] {
            if (!look(slots_of<const char>(page)))
                return;
            change(slots_of<char>(page));
            for (uint32_t i = 0; i < g_.slots_per_page(); i++)
                g_.note_written(page * g_.slots_per_page() + i);
        });
    }
    uint64_t insert_horizon()
    {
        return call("insert_horizon", [&] { return g_.oldest_id(); });
    }
    uint64_t free_stamp()
    {
        return call("free_stamp", [&] { return g_.idle() ? uint64_t{0} : g_.state().next_id; });
    }
    void note_room(uint32_t page, uint64_t)
    {
        call("note_room", page, [&] { g_.state().room[page] = true; });
    }

    // If set, these are called for each call, with its name and the slot or page, and for each
    // written slot, with its old and new contents.
    std::function<void(const char*, uint32_t)> on_call;
    std::function<void(const Slot&, const Slot&)> on_write;
    // The number of calls, to find operations that never end.
    uint64_t calls = 0;
    static constexpr uint64_t most_calls = 200000;

  private:
    template <class F>
    std::invoke_result_t<F&> call(const char* name, F&& f)
    {
        return call(name, no_slot, f);
    }
    // A call within a call, such as stamp() while a slot is locked, is part of the outer call.
    template <class F>
    std::invoke_result_t<F&> call(const char* name, uint32_t about, F&& f)
    {
        struct Depth {
            explicit Depth(int& d) : d_(d) { d_++; }
            ~Depth() { d_--; }
            int& d_;
        };
        if (depth_ == 0) {
            if (fiber_)
                fiber_->step();
            if (++calls > most_calls && fiber_)
                throw std::runtime_error("the operation does not end");
            if (on_call)
                on_call(name, about);
        }
        const Depth depth(depth_);
        return f();
    }
    // A change is kept only if the function returns true.
    template <class F>
    bool keep_if(SlotId id, F&& f)
    {
        const MutableSlot slot = g_.slot(id);
        before_.resize(g_.layout().slot_bytes);
        std::memcpy(before_.data(), slot.data(), before_.size());
        if (f(slot))
            return true;
        std::memcpy(slot.data(), before_.data(), before_.size());
        return false;
    }
    template <class Byte>
    PageSlots<Byte> slots_of(uint32_t page)
    {
        const SlotId first = page * g_.slots_per_page();
        return {g_.layout(), g_.slot(first).data(), first, g_.slots_per_page()};
    }

    SharedGraph& g_;
    Fiber* fiber_;
    uint32_t pages_;
    int depth_ = 0;
    FlatOfSlots flat_;
    Vec<char> before_;
};
static_assert(PagedStore<InterleavingStore>);

}   // namespace quiver::graph::test
