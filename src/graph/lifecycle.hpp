// The life of a node after its insert, as a protocol over a store (src/graph/README.md, "The life
// of a node"):
//
//   live --all rows dead--> deleted(stamp) --no links to it, and none can come--> free(stamp)
//
// Removal::run() takes the steps of a vacuum, in this order:
//   1. mark     removes dead rows from their nodes. A node without rows is marked deleted, with its
//               slots of upper layers. From then on no node gets a link to it, but searches still
//               follow its links.
//   2. horizon  finds out which inserts may have met the deleted nodes alive. Nodes that were
//               marked before the oldest of these inserts began can be freed at the end, because
//               no such insert will link to them.
//   3. ensure   makes each node to which a deleted node links reachable from the root without
//               deleted nodes.
//   4. entry    moves the entry and the root, if they are deleted.
//   5. repair   removes the links to deleted nodes, and adds others in their place.
//   6. sweep    frees the nodes that step 2 allows. No node links to them now, not even the deleted
//               nodes that remain.
// A node is removed only after all others can be reached without it. So a vacuum may end anywhere,
// and a search that starts at any time finds each row. The next vacuum finds the deleted nodes and
// continues.
//
// Memory: Removal uses seven bits for each slot, and 12 bytes for each slot of an upper layer.
#pragma once

#include "graph/reachability.hpp"
#include "graph/repair.hpp"

namespace quiver::graph {

struct RemovalResult {
    double rows = 0;        // rows that remain
    double removed = 0;     // rows
    uint64_t deleted = 0;   // slots that are deleted but not freed yet
    uint64_t freed = 0;     // slots
};

template <PagedStore S>
class Removal {
  public:
    Removal(S& store, uint32_t m, uint32_t ef_construction)
        : store_(store), inserter_(store, m, ef_construction), repairer_(store)
    {
    }

    // dead(tid): is this row dead? worth_while(count): are steps 2 to 6 worth their cost for this
    // number of deleted slots? If not, the slots stay deleted until there are more.
    template <class Dead, class WorthWhile>
    RemovalResult run(Dead&& dead, WorthWhile&& worth_while)
    {
        store_.count_pages();
        mark(dead);
        mark_upper_slots();
        if (deleted_.count() > 0 && worth_while(deleted_.count())) {
            read_horizon();
            if (ensure_and_move_entry()) {
                repair();
                retain_lower_slots();
                ensure_found();
                unlink_freed();
                sweep();
            }
        }
        result_.deleted = deleted_.count() - result_.freed;
        return result_;
    }

  private:
    struct Upper {
        SlotId id, down;
        int level;
    };

    bool is_deleted(SlotId id) const { return deleted_.test(id); }
    // Will this vacuum free it?
    bool is_sweepable(SlotId id) const { return deleted_.test(id) && !retained_.test(id); }
    template <class Is>
    static bool any_link(const Slot& slot, Is&& is)
    {
        const std::span<const SlotId> links = links_of(slot);
        return std::any_of(links.begin(), links.end(), is);
    }
    // Does the page have a slot for which is(slot, id) is true?
    template <class Is>
    static bool any_slot(const Slots& slots, Is&& is)
    {
        for (uint32_t i = 0; i < slots.count(); i++)
            if (is(slots[i], slots.id(i)))
                return true;
        return false;
    }

    // ---- 1. mark ----

    template <class Dead>
    void mark(Dead&& dead)
    {
        const auto has_dead_rows = [&](const Slot& slot, SlotId) {
            return std::any_of(slot.tids(), slot.tids() + row_count(slot),
                               [&](Tid tid) { return dead(tid); });
        };
        for (uint32_t page = 0; page < store_.pages(); page++) {
            store_.poll();
            bool noted = false;
            page_has_room_ = false;
            // Most pages have no dead rows. A shared lock is enough to find that out.
            store_.read_page(page, [&](const Slots& slots) {
                if (!any_slot(slots, has_dead_rows)) {
                    note(slots, page);
                    noted = true;
                }
            });
            if (!noted)
                store_.write_page(
                    page, [&](const Slots& slots) { return any_slot(slots, has_dead_rows); },
                    [&](const MutableSlots& slots) {
                        for (uint32_t i = 0; i < slots.count(); i++)
                            remove_rows(slots[i], dead);
                        note(slots, page);
                    });
            if (page_has_room_)
                store_.note_room(page, oldest_stamp_);
        }
    }
    static uint32_t row_count(const Slot& slot)
    {
        const SlotHeader& h = slot.header();
        return h.state == SlotState::live && h.level == 0 ? slot.tid_count() : 0;
    }
    template <class Dead>
    void remove_rows(const MutableSlot& slot, Dead&& dead)
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
    // Reads the stamp while the slot is locked. So every insert that met the node alive has an
    // older transaction id than the stamp.
    void mark_deleted(const MutableSlot& slot)
    {
        slot.header().state = SlotState::deleted;
        slot.stamp() = store_.stamp();
    }
    // Notes the states of a page's slots.
    template <class Byte>
    void note(const PageSlots<Byte>& slots, uint32_t page)
    {
        for (uint32_t i = 0; i < slots.count(); i++) {
            const Slot slot = slots[i];
            const SlotHeader& h = slot.header();
            if (h.state == SlotState::free) {
                oldest_stamp_ =
                    page_has_room_ ? std::min(oldest_stamp_, slot.stamp()) : slot.stamp();
                page_has_room_ = true;
            } else if (h.state == SlotState::overflow)
                overflow_pages_.set(page);
            else if (h.state > SlotState::overflow)
                continue;   // damaged
            else if (h.level > 0)
                upper_.push_back({slots.id(i), h.down, h.level});
            else if (h.state == SlotState::live) {
                result_.rows += slot.tid_count();
                if (is_complete(slot))
                    live_node_ = slots.id(i);
            } else
                for (const SlotId n : links_of(slot))
                    note_link_from_deleted(n);
            if (h.state == SlotState::deleted)
                deleted_.set(slots.id(i));
        }
    }
    void note_link_from_deleted(SlotId id)
    {
        if (id / store_.slots_per_page() < store_.pages())
            linked_from_deleted_.set(id);
        else
            linked_on_new_pages_.push_back(id);
    }

    // All slots of a node are deleted together. Marks the slots above a deleted one, from the
    // bottom up.
    void mark_upper_slots()
    {
        std::sort(upper_.begin(), upper_.end(),
                  [](const Upper& x, const Upper& y) { return x.level < y.level; });
        for (const Upper& u : upper_) {
            if (is_deleted(u.id) || !is_deleted(u.down))
                continue;
            store_.poll();
            store_.write(u.id, [&](const MutableSlot& slot) {
                if (slot.header().state != SlotState::live || slot.header().level != u.level)
                    return false;
                mark_deleted(slot);
                return true;
            });
            deleted_.set(u.id);
        }
    }

    // ---- 2. horizon ----

    // Inserts that ended before the horizon may have written to new pages. So the pages are counted
    // again after the horizon is known.
    void read_horizon()
    {
        horizon_ = store_.insert_horizon();
        store_.count_pages();
        Vec<SlotId> ids;
        ids.swap(linked_on_new_pages_);
        for (const SlotId id : ids)
            note_link_from_deleted(id);
    }

    // ---- 3. ensure, 4. entry ----

    // False: a node could not be made reachable now. Then the links of deleted nodes are still
    // needed.
    bool ensure_and_move_entry()
    {
        for (SlotId ensured = no_slot;; store_.poll()) {
            const Entry now = store_.entry();
            if (now.empty())
                return true;
            const Entry next = without_deleted(now);
            if (next.root != ensured && next.root != no_slot) {
                if (!ensure_reachable_from(next.root))
                    return false;
                ensured = next.root;
            }
            if (next == now || store_.replace_entry(now, next) == now)
                return true;
        }
    }
    // The entry and root to use in place of deleted ones: empty if no node is live.
    Entry without_deleted(const Entry& now)
    {
        Entry next = now;
        if (is_deleted(now.root)) {
            // Nodes may have been added meanwhile. Look for them after `now` was read: an insert
            // that comes later meets no live node, and replaces the entry itself.
            if (live_node_ == no_slot)
                look_for_live_node();
            next.root = live_node_;
        }
        if (next.root == no_slot)
            return {};
        if (is_deleted(now.id)) {
            next.id = next.root;
            next.level = 0;
            for (const Upper& u : upper_)
                if (!is_deleted(u.id) && u.level > next.level) {
                    next.id = u.id;
                    next.level = u.level;
                }
        }
        return next;
    }
    void look_for_live_node()
    {
        store_.count_pages();
        for_each_node(store_, [&](SlotId id) { live_node_ = id; });
    }

    // A path through deleted nodes continues, after the last of them, at a node to which that one
    // links. So it is enough to make these nodes reachable.
    bool ensure_reachable_from(SlotId root)
    {
        size_t suspects = 0;
        linked_from_deleted_.for_each(
            [&](size_t id) { suspects += !is_deleted(static_cast<SlotId>(id)); });
        const bool by_flood = suspects * 100 > size_t{3} * store_.pages();
        Attacher<S> attacher(store_, inserter_, root, deleted_, by_flood);
        Vec<SlotId> failed;
        linked_from_deleted_.for_each([&](size_t id) {
            if (!attacher.attach(static_cast<SlotId>(id)))
                failed.push_back(static_cast<SlotId>(id));
        });
        bool done = true;
        for (const SlotId id : failed)
            done &= attacher.attach_at_a_price(id);
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
                count_links(slots, deleted_, in_degree_);
                for (uint32_t i = 0; i < slots.count(); i++) {
                    if (links_to_deleted(slots[i]))
                        todo.push_back(slots.id(i));
                    // An insert may have met the node alive, and may still link to it.
                    if (slots[i].header().state == SlotState::deleted &&
                        slots[i].stamp() > horizon_)
                        retained_.set(slots.id(i));
                }
            });
            for (const SlotId id : todo)
                repairer_.repair(id, [&](SlotId n) { return is_deleted(n); });
        }
    }
    bool links_to_deleted(const Slot& slot) const
    {
        return slot.header().state == SlotState::live &&
               any_link(slot, [&](SlotId n) { return is_deleted(n); });
    }
    // A search comes down from a node's upper slots to its lower ones. So a slot must be retained
    // as long as the slot above it.
    void retain_lower_slots()
    {
        if (retained_.count() == 0)
            return;
        for (size_t i = upper_.size(); i-- > 0;)   // from the top
            if (is_deleted(upper_[i].id) && retained_.test(upper_[i].id))
                retained_.set(upper_[i].down);
    }

    // A node with few links to it may be hard to find, because they may come from far away. If a
    // search does not find it, it gets another link.
    void ensure_found()
    {
        linked_from_deleted_.for_each([&](size_t i) {
            const auto id = static_cast<SlotId>(i);
            if (is_deleted(id) || in_degree_[i] >= enough_links)
                return;
            store_.poll();
            if (inserter_.load(id)) {
                inserter_.ensure_found();
                inserter_.look_after_orphans();
            }
        });
    }

    // ---- 6. sweep ----

    // Removes the links from retained deleted nodes to the nodes that are freed. Otherwise such a
    // link would link to the node that uses the slot next. The insert of that node would meet its
    // own node, and conclude that it can be reached.
    void unlink_freed()
    {
        const auto is_freed = [&](SlotId n) { return is_sweepable(n); };
        const auto links_to_freed = [&](const Slot& slot, SlotId id) {
            return slot.header().state == SlotState::deleted && retained_.test(id) &&
                   any_link(slot, is_freed);
        };
        for (uint32_t page = 0; page < store_.pages(); page++)
            if (any_on(page, retained_))
                change_slots(page, links_to_freed,
                             [&](const MutableSlot& slot) { remove_links(slot, is_freed); });
    }

    void sweep()
    {
        // No node links to these slots any more. So no further process can learn their ids.
        const uint64_t stamp = store_.free_stamp();
        // Free overflow slots first: without their owner, no vacuum would find them again.
        overflow_pages_.for_each([&](size_t page) {
            sweep_page(static_cast<uint32_t>(page), stamp, [&](const Slot& slot, SlotId) {
                return slot.header().state == SlotState::overflow &&
                       is_sweepable(slot.header().owner());
            });
        });
        for (uint32_t page = 0; page < store_.pages(); page++)
            if (any_on(page, deleted_))
                result_.freed += sweep_page(page, stamp, [&](const Slot& slot, SlotId id) {
                    return slot.header().state == SlotState::deleted && is_sweepable(id);
                });
    }
    // Frees the slots for which which(slot, id) is true. Returns how many.
    template <class Which>
    uint32_t sweep_page(uint32_t page, uint64_t stamp, Which&& which)
    {
        uint32_t freed = 0;
        change_slots(page, which, [&](const MutableSlot& slot) {
            slot.header().state = SlotState::free;
            slot.stamp() = stamp;
            freed++;
        });
        if (freed > 0)
            store_.note_room(page, stamp);
        return freed;
    }

    bool any_on(uint32_t page, const Marks& slots) const
    {
        const size_t per_page = store_.slots_per_page();
        return slots.any_in(page * per_page, (page + 1) * per_page);
    }
    // Calls change(slot) for each slot of the page for which which(slot, id) is true. If there is
    // none, the page is not written.
    template <class Which, class Change>
    void change_slots(uint32_t page, Which&& which, Change&& change)
    {
        store_.poll();
        store_.write_page(
            page, [&](const Slots& slots) { return any_slot(slots, which); },
            [&](const MutableSlots& slots) {
                for (uint32_t i = 0; i < slots.count(); i++)
                    if (which(slots[i], slots.id(i)))
                        change(slots[i]);
            });
    }

    S& store_;
    Inserter<S> inserter_;
    Repairer<S> repairer_;
    RemovalResult result_;
    uint64_t horizon_ = 0;
    Marks deleted_;               // slots of all layers
    Marks retained_;              // deleted slots that this vacuum may not free
    Marks linked_from_deleted_;   // slots of layer 0
    Vec<SlotId>
        linked_on_new_pages_;   // the same, on pages that were added since they were counted
    Marks overflow_pages_;      // pages that have overflow slots
    SmallCounts
        in_degree_;   // of each slot of layer 0: the links from live nodes, before the repair
    Vec<Upper> upper_;
    SlotId live_node_ = no_slot;   // a live node's slot of layer 0
    // Does the page that was marked last have free slots, and what is their oldest stamp?
    bool page_has_room_ = false;
    uint64_t oldest_stamp_ = 0;
};

}   // namespace quiver::graph
