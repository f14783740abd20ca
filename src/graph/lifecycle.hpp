// The life of a node after its insert, as one protocol over a store (src/graph/README.md, "The life of a node"):
//
//   live --all rows dead--> deleted(stamp) --nothing leads to it, nobody can link to it--> free(stamp)
//
// Removal::run() takes the steps of a vacuum, in this order:
//   1. mark     takes dead rows out of the nodes. A node without rows is deleted; its slots of upper layers are, too.
//               From then on nobody links to it, but it leads on.
//   2. horizon  asks which inserts may have met the deleted nodes alive. What was marked before the oldest of them
//               began can be freed at the end: no such insert will link to it.
//   3. ensure   has every node that a deleted one leads to reached from the root without deleted ones.
//   4. entry    moves the entry and the root, if they are deleted.
//   5. repair   takes away the links to deleted nodes, and gives others in their place.
//   6. sweep    frees the deleted nodes of step 2, to which nothing leads now: neither do those that stay.
// Nothing is taken away before the rest can be reached without it, so a vacuum may end anywhere, and a search that
// starts at any time finds each row. The next vacuum finds what is deleted and goes on.
//
// Memory: Removal has seven bits for each slot, and 12 bytes for each slot of an upper layer.
#pragma once

#include "graph/insert.hpp"
#include "graph/repair.hpp"

namespace quiver::graph {

// What can be reached from the root on layer 0. It reads pages in their order, each of them as often as links lead
// back to it: two to four times, on graphs of real data.
template <PagedStore S>
class Flood {
  public:
    // avoided: slots that lead nowhere, or null. Without it, deleted nodes lead on.
    Flood(S& store, const Marks* avoided) : store_(store), avoided_(avoided) {}

    bool reached(SlotId id) const { return reached_.test(id); }

    // Adds all that `id` leads to.
    void from(SlotId id)
    {
        if (id == no_slot)
            return;
        go(id);
        while (pages_.count() > 0)
            for (size_t page = pages_.next(0); page != SIZE_MAX; page = pages_.next(page + 1)) {
                store_.poll();
                look_at(static_cast<uint32_t>(page));
            }
    }

  private:
    void go(SlotId id)
    {
        const uint32_t page = id / store_.slots_per_page();
        if (page < store_.pages() && reached_.set(id)) {
            todo_.set(id);
            pages_.set(page);
        }
    }
    void look_at(uint32_t page)
    {
        pages_.clear(page);
        store_.read_page(page, [&](const Slots& slots) {
            for (bool more = true; more; pages_.clear(page)) {
                more = false;
                for (uint32_t i = 0; i < slots.count(); i++)
                    if (todo_.clear(slots.id(i))) {
                        more = true;
                        follow(slots[i], slots.id(i));
                    }
            }
        });
    }
    void follow(const Slot& slot, SlotId id)
    {
        const SlotHeader& h = slot.header();
        if (h.level > 0 || (avoided_ && avoided_->test(id)) ||
            (h.state != SlotState::live && h.state != SlotState::deleted))
            return;
        const uint32_t degree = std::min<uint32_t>(h.degree, slot.layout().degree);
        for (uint32_t i = 0; i < degree; i++)
            go(slot.ids()[i]);
    }

    S& store_;
    const Marks* avoided_;
    Marks reached_, todo_, pages_;   // todo_: reached, not looked at yet; pages_: those that hold such
};

// Has every node of layer 0 that fewer than `enough_links` lead to found by a search for its own vector: the few
// links may come from far away, as newcomers lead to those whose places they take. (Of sparse rows that came and
// went, at m 6, a search for 200 missed 2.6 % without this, and 0.7 % with it.)
constexpr unsigned enough_links = SmallCounts::most;

// Counts the links of layer 0 that lead to each slot, but for those from `gone` slots.
inline void count_links(const Slots& slots, const Marks& gone, SmallCounts& links)
{
    for (uint32_t i = 0; i < slots.count(); i++) {
        const SlotHeader& h = slots[i].header();
        if (h.state != SlotState::live || h.level > 0 || gone.test(slots.id(i)))
            continue;
        const uint32_t degree = std::min<uint32_t>(h.degree, slots[i].layout().degree);
        for (uint32_t n = 0; n < degree; n++)
            links.add(slots[i].ids()[n]);
    }
}

// Can a search start there? Not where an insert has yet to write what of a sparse code is in other slots.
inline bool is_whole(const Slot& slot)
{
    const SlotHeader& h = slot.header();
    return !slot.layout().codes_vary || h.length <= slot.layout().code_bytes ||
           h.overflow() != no_slot;
}

// Calls f(id) for each live node of layer 0 that is written to its end.
template <PagedStore S, class F>
void for_each_node(S& store, F&& f)
{
    Vec<SlotId> ids;
    for (uint32_t page = 0; page < store.pages(); page++) {
        ids.clear();
        store.poll();
        store.read_page(page, [&](const Slots& slots) {
            for (uint32_t i = 0; i < slots.count(); i++) {
                const SlotHeader& h = slots[i].header();
                if (h.state == SlotState::live && h.level == 0 && is_whole(slots[i]))
                    ids.push_back(slots.id(i));
            }
        });
        for (const SlotId id : ids)
            f(id);
    }
}

// Has nodes led to that cannot be reached from a root without deleted ones.
template <PagedStore S>
class Attacher {
  public:
    // A search costs about a hundred visits, a flood two to four for each page: the latter, if it is to serve many.
    Attacher(S& store, Inserter<S>& inserter, SlotId root, const Marks& gone, bool by_flood)
        : store_(store), l_(store.encoding().layout()), inserter_(inserter), root_(root), gone_(gone),
          by_flood_(by_flood), flood_(store, &gone)
    {
        if (by_flood)
            flood_.from(root);
    }

    // Is the node reached now? At nobody's cost.
    bool attach(SlotId id)
    {
        return attach(id, [&] { return inserter_.ensure_reachable(false); });
    }
    // For those of which attach() failed, when it has served all others: at the cost of a link to a deleted node,
    // as others lead to what is behind it by now; or of a link of the node's own that is not needed; or the nodes to
    // which it leads are attached first, as then it need not lead to them.
    bool attach_by_all_means(SlotId id, int depth = 2)
    {
        const auto by_all_means = [&] {
            if (inserter_.ensure_reachable(true))
                return true;
            const SlotId spare = spare_link(id);
            return spare != no_slot && inserter_.ensure_reachable_dropping(spare);
        };
        if (attach(id, by_all_means))
            return true;
        if (depth > 0)
            for (const SlotId n : links_of(id))
                if (attach_by_all_means(n, depth - 1))
                    return attach(id, by_all_means);
        return false;
    }

  private:
    bool is_reached(SlotId id) const
    {
        return by_flood_ ? flood_.reached(id) : visited_.test(id);
    }
    template <class By>
    bool attach(SlotId id, By&& by)
    {
        if (gone_.test(id) || is_reached(id))
            return true;
        store_.poll();
        const auto visit = [&](SlotId n) {
            if (!by_flood_)
                visited_.set(n);
        };
        if (!inserter_.load(id))
            return true;   // not a node, or its insert has yet to have it led to
        if (!inserter_.is_reached(root_, &gone_, visit) && !by())
            return false;
        if (by_flood_)
            flood_.from(id);
        return true;
    }

    Vec<SlotId> links_of(SlotId id)
    {
        Vec<SlotId> links;
        store_.read(id, [&](const Slot& slot) {
            links.assign(slot.ids(),
                         slot.ids() + std::min<uint32_t>(slot.header().degree, l_.degree));
        });
        return links;
    }
    // A link of node `id` that nobody needs; no_slot if there is none. As long as an insert may be at work on the node,
    // only one to a deleted node.
    SlotId spare_link(SlotId id)
    {
        const Vec<SlotId> links = links_of(id);
        for (const SlotId n : links)
            if (gone_.test(n))
                return n;
        if (store_.insert_horizon() != store_.stamp())
            return no_slot;
        for (const SlotId n : links)
            if (is_reached(n))
                return n;
        // The node's other links may lead there, too.
        Marks avoided = gone_;
        avoided.set(id);
        for (const SlotId n : links) {
            Flood<S> flood(store_, &avoided);
            for (const SlotId other : links)
                if (other != n)
                    flood.from(other);
            if (flood.reached(n))
                return n;
        }
        return no_slot;
    }

    S& store_;
    const Layout& l_;
    Inserter<S>& inserter_;
    SlotId root_;
    const Marks& gone_;
    bool by_flood_;
    Flood<S> flood_;
    Marks visited_;   // by searches
};

// After a build: every node can be reached, and found by its own vector.
template <PagedStore S>
void ensure_all(S& store, Inserter<S>& inserter)
{
    const Marks none;
    Attacher<S> attacher(store, inserter, store.entry().root, none, true);
    for_each_node(store, [&](SlotId id) {
        if (!attacher.attach(id))
            attacher.attach_by_all_means(id);
    });
    // A new link may push another one out, so they are looked for again.
    for (int round = 0; round < 5; round++) {
        SmallCounts links;
        for (uint32_t page = 0; page < store.pages(); page++) {
            store.poll();
            store.read_page(page, [&](const Slots& slots) { count_links(slots, none, links); });
        }
        bool any = false;
        for_each_node(store, [&](SlotId id) {
            if (links[id] < enough_links && inserter.load(id) && !inserter.is_found())
                any |= inserter.ensure_reachable(true);
        });
        if (!any)
            break;
    }
}

struct RemovalResult {
    double rows = 0;        // that are left
    double removed = 0;     // rows
    uint64_t deleted = 0;   // slots that wait to be freed
    uint64_t freed = 0;     // slots
};

template <PagedStore S>
class Removal {
  public:
    Removal(S& store, uint32_t m, uint32_t ef_construction)
        : store_(store), l_(store.encoding().layout()), inserter_(store, m, ef_construction),
          repairer_(store)
    {
    }

    // dead(tid): is that row dead? worth_while(count): are so many deleted slots worth taking them out of the graph
    // now? If not, they stay deleted until there are more.
    template <class Dead, class WorthWhile>
    RemovalResult run(Dead&& dead, WorthWhile&& worth_while)
    {
        store_.count_pages();
        mark(dead);
        mark_upper_slots();
        if (gone_.count() > 0 && worth_while(gone_.count())) {
            ask_horizon();
            if (ensure()) {
                repair();
                hold_back();
                improve();
                let_go();
                sweep();
            }
        }
        result_.deleted = gone_.count() - result_.freed;
        return result_;
    }

  private:
    struct Upper {
        SlotId id, down;
        int level;
    };

    bool is_gone(SlotId id) const { return gone_.test(id); }
    // May it be freed by this vacuum?
    bool is_sweepable(SlotId id) const { return gone_.test(id) && !kept_.test(id); }

    // ---- 1. mark ----

    template <class Dead>
    void mark(Dead&& dead)
    {
        for (uint32_t page = 0; page < store_.pages(); page++) {
            store_.poll();
            bool noted = false;
            room_ = false;
            const auto has_dead_rows = [&](const Slots& slots) {
                for (uint32_t i = 0; i < slots.count(); i++)
                    for (uint32_t t = 0; t < row_count(slots[i]); t++)
                        if (dead(slots[i].tids()[t]))
                            return true;
                return false;
            };
            // Most pages have no dead rows, and a reader's lock is enough to see that.
            store_.read_page(page, [&](const Slots& slots) {
                if (!has_dead_rows(slots)) {
                    note(slots, page);
                    noted = true;
                }
            });
            if (!noted)
                store_.write_page(page, has_dead_rows, [&](const MutableSlots& slots) {
                    for (uint32_t i = 0; i < slots.count(); i++)
                        take_rows(slots[i], dead);
                    note(slots, page);
                });
            if (room_)
                store_.note_room(page, free_since_);
        }
    }
    static uint32_t row_count(const Slot& slot)
    {
        const SlotHeader& h = slot.header();
        return h.state == SlotState::live && h.level == 0 ? slot.tid_count() : 0;
    }
    template <class Dead>
    void take_rows(const MutableSlot& slot, Dead&& dead)
    {
        const uint32_t rows = row_count(slot);
        uint8_t left = 0;
        for (uint32_t t = 0; t < rows; t++)
            if (!dead(slot.tids()[t]))
                slot.tids()[left++] = slot.tids()[t];
        if (left == rows)
            return;
        result_.removed += rows - left;
        slot.header().tid_count = left;
        if (left == 0)
            mark_deleted(slot);
    }
    // The stamp is taken while the slot is locked: who met it alive had an id before that.
    void mark_deleted(const MutableSlot& slot)
    {
        slot.header().state = SlotState::deleted;
        slot.stamp() = store_.stamp();
    }
    // What the slots of a page are.
    template <class Byte>
    void note(const PageSlots<Byte>& slots, uint32_t page)
    {
        for (uint32_t i = 0; i < slots.count(); i++) {
            const Slot slot = slots[i];
            const SlotHeader& h = slot.header();
            if (h.state == SlotState::free) {
                free_since_ = room_ ? std::min(free_since_, slot.stamp()) : slot.stamp();
                room_ = true;
            } else if (h.state == SlotState::overflow)
                overflow_.set(page);
            else if (h.state > SlotState::overflow)
                continue;   // damaged
            else if (h.level > 0)
                upper_.push_back({slots.id(i), h.down, h.level});
            else if (h.state == SlotState::live) {
                result_.rows += slot.tid_count();
                if (is_whole(slot))
                    live_ = slots.id(i);
            } else
                note_links(slot);
            if (h.state == SlotState::deleted)
                gone_.set(slots.id(i));
        }
    }
    void note_links(const Slot& slot)
    {
        const uint32_t degree = std::min<uint32_t>(slot.header().degree, l_.degree);
        for (uint32_t i = 0; i < degree; i++)
            note_beside(slot.ids()[i]);
    }
    void note_beside(SlotId id)
    {
        if (id / store_.slots_per_page() < store_.pages())
            beside_.set(id);
        else
            late_.push_back(id);
    }

    // A node's slots go together: those above a deleted one, from the bottom up.
    void mark_upper_slots()
    {
        std::sort(upper_.begin(), upper_.end(),
                  [](const Upper& x, const Upper& y) { return x.level < y.level; });
        for (const Upper& u : upper_) {
            if (is_gone(u.id) || !is_gone(u.down))
                continue;
            store_.poll();
            store_.write(u.id, [&](const MutableSlot& slot) {
                if (slot.header().state != SlotState::live || slot.header().level != u.level)
                    return false;
                mark_deleted(slot);
                return true;
            });
            gone_.set(u.id);
        }
    }

    // ---- 2. horizon ----

    // What inserts that have ended wrote is on the pages that there are now: more than there were at the start.
    void ask_horizon()
    {
        horizon_ = store_.insert_horizon();
        store_.count_pages();
        Vec<SlotId> late;
        late.swap(late_);
        for (const SlotId id : late)
            note_beside(id);
    }

    // ---- 3. ensure, 4. entry ----

    // False: that could not be done now. Then the deleted nodes still lead to all that they led to.
    bool ensure()
    {
        for (SlotId ensured = no_slot;; store_.poll()) {
            const Entry now = store_.entry();
            if (now.empty())
                return true;
            Entry next = now;
            if (is_gone(now.root)) {
                // Nodes that came meanwhile: after `now` was read, or the index would be taken for empty.
                if (live_ == no_slot)
                    look_for_live_nodes();
                next.root = live_;
            }
            if (next.root == no_slot)
                next = {};
            else {
                if (next.root != ensured && !reach_all_from(next.root))
                    return false;
                ensured = next.root;
                if (is_gone(now.id)) {
                    next.id = next.root;
                    next.level = 0;
                    for (const Upper& u : upper_)
                        if (!is_gone(u.id) && u.level > next.level) {
                            next.id = u.id;
                            next.level = u.level;
                        }
                }
            }
            if (next == now || store_.replace_entry(now, next) == now)
                return true;
        }
    }
    void look_for_live_nodes()
    {
        store_.count_pages();
        for_each_node(store_, [&](SlotId id) { live_ = id; });
    }

    // Whatever a path through deleted nodes leads to comes after one of them on it. So it is enough if the nodes beside
    // deleted ones are reached.
    bool reach_all_from(SlotId root)
    {
        size_t suspects = 0;
        beside_.for_each([&](size_t id) { suspects += !is_gone(static_cast<SlotId>(id)); });
        Attacher<S> attacher(store_, inserter_, root, gone_,
                             suspects * 100 > size_t{3} * store_.pages());
        Vec<SlotId> hard;
        beside_.for_each([&](size_t id) {
            if (!attacher.attach(static_cast<SlotId>(id)))
                hard.push_back(static_cast<SlotId>(id));
        });
        bool done = true;
        for (const SlotId id : hard)
            done &= attacher.attach_by_all_means(id);
        return done;
    }

    // ---- 5. repair ----

    void repair()
    {
        Vec<SlotId> todo;
        for (uint32_t page = 0; page < store_.pages(); page++) {
            store_.poll();
            todo.clear();
            store_.read_page(page, [&](const Slots& slots) {
                count_links(slots, gone_, links_);
                for (uint32_t i = 0; i < slots.count(); i++) {
                    if (leads_to_gone(slots[i]))
                        todo.push_back(slots.id(i));
                    // An insert may have met it alive, and link to it yet.
                    if (slots[i].header().state == SlotState::deleted &&
                        slots[i].stamp() > horizon_)
                        kept_.set(slots.id(i));
                }
            });
            for (const SlotId id : todo)
                repairer_.repair(id, [&](SlotId n) { return is_gone(n); });
        }
    }
    bool leads_to_gone(const Slot& slot) const
    {
        const SlotHeader& h = slot.header();
        const uint32_t degree = std::min<uint32_t>(h.degree, l_.degree);
        return h.state == SlotState::live &&
               std::any_of(slot.ids(), slot.ids() + degree, [&](SlotId n) { return is_gone(n); });
    }
    // A search comes down from a node's upper slots to its lower ones: those stay as long.
    void hold_back()
    {
        if (kept_.count() == 0)
            return;
        for (size_t i = upper_.size(); i-- > 0;)   // from the top
            if (is_gone(upper_[i].id) && kept_.test(upper_[i].id))
                kept_.set(upper_[i].down);
    }

    // Few links to a node may come from far away: it is looked for.
    void improve()
    {
        beside_.for_each([&](size_t i) {
            const auto id = static_cast<SlotId>(i);
            if (is_gone(id) || links_[i] >= enough_links)
                return;
            store_.poll();
            if (inserter_.load(id) && !inserter_.is_found())
                inserter_.ensure_reachable(true);
        });
    }

    // ---- 6. sweep ----

    // Takes from the deleted nodes that stay their links to those that are freed. Such a link would lead to whatever
    // uses the slot next: whose insert would meet it and believe that it can be reached.
    void let_go()
    {
        const uint32_t per_page = store_.slots_per_page();
        const auto leads_to_freed = [&](const Slot& slot, SlotId id) {
            const SlotHeader& h = slot.header();
            const uint32_t degree = std::min<uint32_t>(h.degree, l_.degree);
            return h.state == SlotState::deleted && kept_.test(id) &&
                   std::any_of(slot.ids(), slot.ids() + degree,
                               [&](SlotId n) { return is_sweepable(n); });
        };
        for (uint32_t page = 0; page < store_.pages(); page++) {
            if (!kept_.any_in(size_t{page} * per_page, (size_t{page} + 1) * per_page))
                continue;
            store_.poll();
            store_.write_page(
                page,
                [&](const Slots& slots) {
                    for (uint32_t i = 0; i < slots.count(); i++)
                        if (leads_to_freed(slots[i], slots.id(i)))
                            return true;
                    return false;
                },
                [&](const MutableSlots& slots) {
                    for (uint32_t i = 0; i < slots.count(); i++)
                        if (leads_to_freed(slots[i], slots.id(i)))
                            take_links_to_freed(slots[i]);
                });
        }
    }
    void take_links_to_freed(const MutableSlot& slot)
    {
        SlotHeader& h = slot.header();
        const uint32_t degree = std::min<uint32_t>(h.degree, l_.degree);
        uint32_t left = 0;
        for (uint32_t i = 0; i < degree; i++)
            if (!is_sweepable(slot.ids()[i]))
                move_neighbour(slot, i, left++);
        h.degree = static_cast<uint8_t>(left);
    }

    void sweep()
    {
        // Nothing leads to them any more: who could hold an id holds it now.
        const uint64_t stamp = store_.free_stamp();
        // What a node shares with nobody goes first: without its owner it would never be found.
        overflow_.for_each([&](size_t page) {
            sweep_page(static_cast<uint32_t>(page), stamp, [&](const Slot& slot, SlotId) {
                return slot.header().state == SlotState::overflow &&
                       is_sweepable(slot.header().owner());
            });
        });
        const uint32_t per_page = store_.slots_per_page();
        for (uint32_t page = 0; page < store_.pages(); page++)
            if (gone_.any_in(size_t{page} * per_page, (size_t{page} + 1) * per_page))
                result_.freed +=
                    sweep_page(page, stamp, [&](const Slot& slot, SlotId id) {
                        return slot.header().state == SlotState::deleted && is_sweepable(id);
                    });
    }
    // Frees the slots of which goes(slot, id) is true; how many.
    template <class Goes>
    uint32_t sweep_page(uint32_t page, uint64_t stamp, Goes&& goes)
    {
        uint32_t freed = 0;
        store_.poll();
        store_.write_page(
            page,
            [&](const Slots& slots) {
                for (uint32_t i = 0; i < slots.count(); i++)
                    if (goes(slots[i], slots.id(i)))
                        return true;
                return false;
            },
            [&](const MutableSlots& slots) {
                for (uint32_t i = 0; i < slots.count(); i++)
                    if (goes(slots[i], slots.id(i))) {
                        slots[i].header().state = SlotState::free;
                        slots[i].stamp() = stamp;
                        freed++;
                    }
            });
        if (freed > 0)
            store_.note_room(page, stamp);
        return freed;
    }

    S& store_;
    const Layout& l_;
    Inserter<S> inserter_;
    Repairer<S> repairer_;
    RemovalResult result_;
    uint64_t horizon_ = 0;
    Marks gone_;          // deleted slots, of all layers
    Marks kept_;          // those of them that this vacuum may not free
    Marks beside_;        // slots of layer 0 to which deleted ones lead
    Vec<SlotId> late_;    // such, on pages that came after they were counted
    Marks overflow_;      // pages that have overflow slots
    SmallCounts links_;   // of live nodes to each slot of layer 0, before the repair
    Vec<Upper> upper_;
    SlotId live_ = no_slot;      // a live node's slot of layer 0
    bool room_ = false;          // has the page that was marked last free slots,
    uint64_t free_since_ = 0;    // and with which stamp at least?
};

}   // namespace quiver::graph
