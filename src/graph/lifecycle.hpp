// The life of a node after its insert, as a protocol over a store (src/graph/README.md, "The life
// of a node"):
//
//   live --all rows dead--> deleted(stamp) --no links to it, and none can come--> free(stamp)
//
// Removal::run() takes the steps of a vacuum, in this order:
//   1. mark     removes dead rows from their nodes. A node without rows is marked deleted, with its
//               slots of upper layers. From then on no insert gives a node a link to it, but searches
//               still follow its links.
//   2. horizon  finds out which inserts may have met the deleted nodes alive. Nodes that were
//               marked before the oldest of these inserts began can be freed at the end, because
//               no such insert will link to them.
//   3. ensure   makes each node to which a deleted node links reachable from the root without
//               deleted nodes. A node may adopt deleted nodes meanwhile (backlinks.hpp).
//   4. entry    moves the entry and the root, if they are deleted.
//   5. repair   removes the links to deleted nodes, and adds others in their place.
//   6. sweep    frees the nodes that step 2 allows. No node links to them now, not even the deleted
//               nodes that remain.
// A node is removed only after all others can be reached without it. So a vacuum may end anywhere,
// and a search that starts at any time finds each row. The next vacuum finds the deleted nodes and
// continues.
//
// Memory: one byte for each slot, at most the limit, and what an insert needs for its searches. If
// the graph has more slots than that, steps 5 and 6 are taken for one *part* of it after the other. A
// part is a range of ids, and a node belongs to the part that has its slot of layer 0. After steps 1
// to 4, no deleted node is needed to reach another node. So the nodes of later parts can wait, as they
// do after a vacuum that was cancelled, but they lose their links to the nodes that are freed first.
#pragma once

#include "graph/reachability.hpp"
#include "graph/repair.hpp"

namespace quiver::graph {

struct RemovalResult {
    double rows = 0;        // rows that remain
    double removed = 0;     // rows
    uint64_t deleted = 0;   // slots that are deleted but not freed yet
    uint64_t freed = 0;     // slots
    uint32_t parts = 0;     // in which they were freed
};

template <PagedStore S>
class Removal {
  public:
    static constexpr uint64_t unlimited = uint64_t{1} << 32;

    // memory: a limit, in bytes
    Removal(S& store, uint32_t m, uint32_t ef_construction, uint64_t memory = unlimited)
        : store_(store), part_slots_(std::clamp<uint64_t>(memory, 1, unlimited)),
          inserter_(store, m, ef_construction, remembered_slots(store, part_slots_)),
          repairer_(store), linked_from_deleted_(part_slots_, slots()),
          upper_pages_(part_slots_ / 2), overflow_pages_(part_slots_ / 2)
    {
        std::fill(std::begin(live_), std::end(live_), no_slot);
    }

    // dead(tid): is this row dead? worth_while(count): are steps 2 to 6 worth their cost for this
    // number of deleted slots? If not, the slots stay deleted until there are more.
    template <class Dead, class WorthWhile>
    RemovalResult run(Dead&& dead, WorthWhile&& worth_while)
    {
        store_.count_pages();
        start_part(0);
        mark(dead);
        if (result_.rows == 0)
            mark_empty_root();
        mark_upper_slots();
        upper_pages_.clear();
        if (deleted_count_ > 0 && worth_while(deleted_count_)) {
            const uint64_t end = slots();   // slots that others add from now on are not deleted
            whole_ = end <= part_slots_;
            read_horizon();
            if (ensure_and_move_entry())
                for (uint64_t from = 0; from < end; from += part_slots_) {
                    if (from > 0) {
                        start_part(from);
                        note_deleted();
                    }
                    if (from == 0 || deleted_.count() > 0)
                        remove_part();
                }
        }
        result_.deleted = deleted_count_ - result_.freed;
        return result_;
    }

  private:
    // Sets of slots take three quarters of the memory (src/graph/README.md, "Bounds"). A sixteenth is
    // for what is remembered of slots.
    static size_t remembered_slots(S& store, uint64_t memory)
    {
        const size_t slots =
            SelectionCache::slots_in(memory / 16, store.encoding().layout().degree);
        return std::clamp<size_t>(slots, 1, 4096);
    }
    uint64_t slots() const { return uint64_t{store_.pages()} * store_.slots_per_page(); }

    // ---- the part that is being removed ----

    // The sets of a part have a bit for each of its slots, in this order.
    size_t place(uint64_t id) const { return id - part_; }
    bool in_part(SlotId id) const { return place(id) < part_slots_; }
    void start_part(uint64_t from)
    {
        part_ = from;
        // First frees the memory of the sets of the last part.
        deleted_ = retained_ = Marks();
        in_degree_ = SmallCounts();
        deleted_ = Marks(std::min(part_slots_, slots() + slots() / 8));
    }
    // Calls f(page) for the pages of the part.
    void for_each_page(FunctionRef<void(uint32_t)> f)
    {
        const uint64_t per_page = store_.slots_per_page();
        const uint64_t end = (part_ + part_slots_ - 1) / per_page + 1;
        for (uint64_t page = part_ / per_page; page < std::min<uint64_t>(end, store_.pages());
             page++)
            f(static_cast<uint32_t>(page));
    }
    // Is this slot deleted, and in the part?
    bool is_deleted_here(SlotId id) const { return deleted_.test(place(id)); }
    // It may read the slot, so none may be locked.
    bool is_deleted(SlotId id)
    {
        return in_part(id) ? is_deleted_here(id) : graph::is_deleted(store_, id);
    }
    bool is_retained(SlotId id) const { return retained_.test(place(id)); }
    void retain(SlotId id)
    {
        if (in_part(id))
            retained_.set(place(id));
    }
    // Is this slot of the part freed with it?
    bool is_sweepable(SlotId id) const { return is_deleted_here(id) && !is_retained(id); }
    template <class Is>
    static bool any_link(const Slot& slot, Is&& is)
    {
        const std::span<const SlotId> links = links_of(slot);
        return std::any_of(links.begin(), links.end(), is);
    }
    bool links_to_deleted_here(const Slot& slot) const
    {
        return any_link(slot, [&](SlotId n) { return is_deleted_here(n); });
    }
    // Does the page have a slot for which is(slot, id) is true?
    using IsSlot = FunctionRef<bool(const Slot&, SlotId)>;
    static bool any_slot(const Slots& slots, IsSlot is)
    {
        for (uint32_t i = 0; i < slots.count(); i++)
            if (is(slots[i], slots.id(i)))
                return true;
        return false;
    }
    // The slots of a node from `id` down, as far as they are deleted.
    const Vec<SlotId>& deleted_slots_from(SlotId id)
    {
        chain_.clear();
        for (int level = -1; level != 0;) {
            SlotId down = no_slot;
            store_.read(id, [&](const Slot& slot) {
                const SlotHeader& h = slot.header();
                if (h.state != SlotState::deleted || (level > 0 && h.level != level - 1))
                    return;
                chain_.push_back(id);
                level = h.level;
                down = h.down;
            });
            if (chain_.empty() || chain_.back() != id)
                break;
            id = down;
        }
        return chain_;
    }

    // ---- 1. mark ----

    template <class Dead>
    void mark(Dead&& dead)
    {
        // A vacuum that ended before it made its new node the root (replace_root()) has left a node
        // that nobody needs.
        const SlotId root = store_.entry().root;
        const auto is_unused = [&](const Slot& slot, SlotId id) {
            return is_without_rows(slot) && id != root;
        };
        const auto must_change = [&](const Slot& slot, SlotId id) {
            return is_unused(slot, id) || std::any_of(slot.tids(), slot.tids() + row_count(slot),
                                                      [&](Tid tid) { return dead(tid); });
        };
        for (uint32_t page = 0; page < store_.pages(); page++) {
            store_.poll();
            bool noted = false;
            page_has_room_ = false;
            // Most pages have no dead rows. A shared lock is enough to find that out.
            store_.read_page(page, [&](const Slots& slots) {
                if (!any_slot(slots, must_change)) {
                    note(slots, page);
                    noted = true;
                }
            });
            if (!noted)
                store_.write_page(
                    page, [&](const Slots& slots) { return any_slot(slots, must_change); },
                    [&](const MutableSlots& slots) {
                        for (uint32_t i = 0; i < slots.count(); i++)
                            if (is_unused(slots[i], slots.id(i)))
                                mark_deleted(slots[i]);
                            else
                                remove_rows(slots[i], dead);
                        note(slots, page);
                    });
            if (page_has_room_)
                store_.note_room(page, oldest_stamp_);
        }
    }
    // Is it a node that replace_root() has made, and that no row has joined?
    static bool is_without_rows(const Slot& slot)
    {
        return is_live_node(slot, 0) && slot.header().tid_count == 0;
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
    // The only live node may be a root without rows (replace_root()). Then nobody needs it.
    void mark_empty_root()
    {
        const SlotId root = store_.entry().root;
        const bool marked = root != no_slot && store_.write(root, [&](const MutableSlot& slot) {
            if (!is_without_rows(slot))
                return false;
            mark_deleted(slot);
            for (const SlotId n : links_of(slot))
                note_link_from_deleted(n);
            return true;
        });
        if (marked) {
            note_deleted(root);
            live_node_ = no_slot;
        }
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
            } else if (h.state == SlotState::deleted) {
                note_deleted(slots.id(i));
                if (h.level == 0)
                    for (const SlotId n : links_of(slot))
                        note_link_from_deleted(n);
            } else if (h.state == SlotState::live && h.level == 0) {
                result_.rows += slot.tid_count();
                if (is_complete(slot) && !has_room_) {
                    live_node_ = slots.id(i);
                    has_room_ = free_place(slot) != no_place;
                }
            } else if (h.state == SlotState::live && h.level <= max_level) {
                live_[h.level] = slots.id(i);
                if (!is_above_live(h, slots.id(i)))
                    upper_pages_.set(page);
            }
        }
    }
    void note_deleted(SlotId id)
    {
        deleted_count_++;
        if (in_part(id))
            deleted_.set(place(id));
    }
    void note_link_from_deleted(SlotId id)
    {
        const uint32_t page = id / store_.slots_per_page();
        if (page < store_.pages())
            linked_from_deleted_.set(id);
        else
            first_new_page_ = std::min(first_new_page_, page);
    }
    // Is it already known that slot `id`, of layer 1, belongs to a live node? A node's lower slot is
    // mostly the one before.
    bool is_above_live(const SlotHeader& h, SlotId id) const
    {
        return h.level == 1 && h.down < id && in_part(h.down) && !is_deleted_here(h.down);
    }

    // All slots of a node are deleted together. Marks the slots above deleted ones.
    void mark_upper_slots()
    {
        if (deleted_count_ == 0)
            return;
        Vec<SlotId> ids;
        upper_pages_.for_each(0, store_.pages(), [&](size_t page) {
            store_.poll();
            ids.clear();
            store_.read_page(static_cast<uint32_t>(page), [&](const Slots& slots) {
                for (uint32_t i = 0; i < slots.count(); i++)
                    if (const SlotHeader& h = slots[i].header();
                        h.state == SlotState::live && h.level > 0)
                        ids.push_back(slots.id(i));
            });
            for (const SlotId id : ids)
                mark_if_above_deleted(id);
        });
    }
    // Marks slot `id` and those between it and a deleted one, from the bottom up.
    void mark_if_above_deleted(SlotId id)
    {
        chain_.clear();
        SlotState state = SlotState::live;
        for (int level = -1; state == SlotState::live && level != 0;) {
            state = SlotState::free;
            SlotId down = no_slot;
            store_.read(id, [&](const Slot& slot) {
                const SlotHeader& h = slot.header();
                if (level > 0 && h.level != level - 1)
                    return;
                state = h.state;
                level = h.level;
                down = h.down;
            });
            if (state == SlotState::live)
                chain_.push_back(id);
            id = down;
        }
        if (state != SlotState::deleted)
            return;
        for (size_t i = chain_.size(); i-- > 0;) {
            const bool marked = store_.write(chain_[i], [&](const MutableSlot& slot) {
                if (slot.header().state != SlotState::live || slot.header().level == 0)
                    return false;
                mark_deleted(slot);
                return true;
            });
            if (marked)
                note_deleted(chain_[i]);
        }
    }
    // Notes the deleted slots of a further part.
    void note_deleted()
    {
        for_each_page([&](uint32_t page) {
            store_.poll();
            store_.read_page(page, [&](const Slots& slots) {
                for (uint32_t i = 0; i < slots.count(); i++)
                    if (slots[i].header().state == SlotState::deleted && in_part(slots.id(i)))
                        deleted_.set(place(slots.id(i)));
            });
        });
    }

    // ---- 2. horizon ----

    // Inserts that ended before the horizon may have written to new pages. So the pages are counted
    // again after the horizon is known. A deleted node may link to any node on them.
    void read_horizon()
    {
        horizon_ = store_.insert_horizon();
        store_.count_pages();
        for (uint64_t id = uint64_t{first_new_page_} * store_.slots_per_page(); id < slots(); id++)
            linked_from_deleted_.set(id);
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
            if (next.root != now.root && next.root != no_slot) {
                if (!replace_root(now))
                    return false;
                continue;
            }
            if (next.root != ensured && next.root != no_slot) {
                if (!ensure_reachable_from(next.root))
                    return false;
                ensured = next.root;
            }
            if (next == now || store_.replace_entry(now, next) == now)
                return true;
        }
    }
    // The entry and root to use in place of deleted ones: empty if no node is live. (There may be a
    // higher entry. The repair finds it.)
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
            for (int level = max_level; level > 0 && next.level == 0; level--)
                if (const SlotId id = live_[level]; id != no_slot && !is_deleted(id)) {
                    next.id = id;
                    next.level = level;
                }
        }
        return next;
    }
    void look_for_live_node()
    {
        store_.count_pages();
        for_each_node(store_, [&](SlotId id) { live_node_ = id; });
    }

    // A live node adopts the deleted root, and takes its place. So what could be reached from the old
    // root can be reached from the new one. If the node has no room, a new node without rows does it. It
    // stays the root, and is like any other: rows with the same code join it. False: there is no live
    // node any more.
    bool replace_root(const Entry& now)
    {
        SlotId root = live_node_;
        if (!inserter_.adopt_deleted(root, now.root)) {
            root = inserter_.create_above(live_node_, now.root);
            store_.count_pages();   // the repair must come to its page
            live_node_ = root;      // if the entry has changed, the next try uses it
        }
        if (root == no_slot)
            return false;
        store_.replace_entry(now, {now.id, now.level, root});
        return true;
    }

    // A path through deleted nodes continues, after the last of them, at a node to which that one
    // links. So it is enough to make these nodes reachable.
    bool ensure_reachable_from(SlotId root)
    {
        uint64_t suspects = 0;
        for_each_suspect([&](SlotId) { suspects++; });
        const bool by_flood = suspects * 100 > uint64_t{3} * store_.pages();
        Attacher<S> attacher(store_, inserter_, root, by_flood, 4 * part_slots_);
        // First what has no price, for all of them: then fewer nodes need the links to deleted ones.
        Vec<SlotId> failed;
        SlotId further =
            no_slot;   // if there is no memory to remember all: the first of the others
        for_each_suspect([&](SlotId id) {
            if (attacher.attach(id))
                return;
            if (failed.size() <= part_slots_ / 128)
                failed.push_back(id);
            else
                further = std::min(further, id);
        });
        bool done = true;
        for (const SlotId id : failed)
            done &= attacher.attach_at_a_price(id);
        if (further != no_slot)
            for_each_suspect([&](SlotId id) {
                if (id >= further)
                    done &= attacher.attach_at_a_price(id);
            });
        return done;
    }
    void for_each_suspect(SlotCallback f)
    {
        linked_from_deleted_.for_each(0, slots(), [&](size_t id) {
            if (!is_deleted_here(static_cast<SlotId>(id)))
                f(static_cast<SlotId>(id));
        });
    }

    // ---- 5. repair ----

    void remove_part()
    {
        result_.parts++;
        repair();
        if (part_ == 0 && highest_ != no_slot)
            raise_entry(store_, highest_, highest_level_);
        ensure_found();
        unlink_freed();
        sweep();
        inserter_.forget_slots();
    }

    void repair()
    {
        in_degree_ = SmallCounts(std::min(part_slots_, slots()));
        upper_pages_.clear();
        overflow_pages_.clear();
        highest_deleted_level_ = 0;
        Vec<SlotId> upper;
        for (uint32_t page = 0; page < store_.pages(); page++) {
            store_.poll();
            to_repair_.clear();
            to_unlink_.clear();
            upper.clear();
            store_.read_page(page, [&](const Slots& slots) {
                for_each_link(slots, [&](SlotId n) {
                    if (in_part(n))
                        in_degree_.add(place(n));
                });
                for (uint32_t i = 0; i < slots.count(); i++) {
                    look_at(slots[i], slots.id(i), page);
                    if (slots[i].header().state == SlotState::deleted &&
                        slots[i].header().level > 0)
                        upper.push_back(slots.id(i));
                }
            });
            for (const SlotId id : upper)
                note_upper(id, page);
            for (const SlotId id : to_repair_)
                repairer_.repair(id, [&](SlotId n) { return is_deleted(n); });
            for (const SlotId id : to_unlink_)
                unlink_from_deleted(id);
        }
    }
    // Decides what to do with a slot. On upper layers, the links to all deleted nodes are removed
    // with the first part, because the part of a node is only known by its slot of layer 0.
    void look_at(const Slot& slot, SlotId id, uint32_t page)
    {
        const SlotHeader& h = slot.header();
        const bool of_first_part = h.level > 0 && !whole_ && part_ == 0;
        if (h.state == SlotState::live) {
            if (h.level > highest_level_) {
                highest_ = id;
                highest_level_ = h.level;
            }
            if (of_first_part || links_to_deleted_here(slot))
                to_repair_.push_back(id);
        } else if (h.state == SlotState::deleted) {
            // An insert may have met the node alive, and may still link to it.
            if (h.level == 0 && slot.stamp() > horizon_)
                retain(id);
            if (of_first_part || (h.level == 0 && !in_part(id) && links_to_deleted_here(slot)))
                to_unlink_.push_back(id);
        } else if (h.state == SlotState::overflow && is_deleted_here(h.owner()))
            overflow_pages_.set(page);
    }
    // A search comes down from a node's upper slots to its lower ones. So a slot is retained as long
    // as the slot above it, and is freed after it.
    void note_upper(SlotId id, uint32_t page)
    {
        const Vec<SlotId>& slots = deleted_slots_from(id);
        if (slots.empty() || !in_part(slots.back()))
            return;
        bool retained = false;
        int level = 0;
        store_.read(id, [&](const Slot& slot) {
            retained = slot.stamp() > horizon_;
            level = slot.header().level;
        });
        if (retained)
            for (const SlotId slot : slots)
                retain(slot);
        upper_pages_.set(page);
        highest_deleted_level_ = std::max(highest_deleted_level_, level);
    }
    // The deleted node waits for another part. Removes its links to deleted nodes, because those of
    // this part are about to be freed.
    void unlink_from_deleted(SlotId id)
    {
        Vec<SlotId> lost;
        read_links(store_, id, lost);
        std::erase_if(lost, [&](SlotId n) { return !is_deleted(n); });
        if (!lost.empty())
            store_.write(id, [&](const MutableSlot& slot) {
                if (slot.header().state != SlotState::deleted)
                    return false;
                remove_links(slot, [&](SlotId n) {
                    return std::find(lost.begin(), lost.end(), n) != lost.end();
                });
                return true;
            });
    }

    // A node with few links to it may be hard to find, because they may come from far away. If a
    // search does not find it, it gets another link.
    void ensure_found()
    {
        const uint64_t end = std::min(part_ + part_slots_, slots());
        GroupMarks donors(part_slots_);
        linked_from_deleted_.for_each(part_, end, [&](size_t i) {
            const auto id = static_cast<SlotId>(i);
            if (is_deleted_here(id) || in_degree_[place(id)] >= enough_links)
                return;
            store_.poll();
            if (inserter_.load(id)) {
                inserter_.ensure_found(&donors);
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
            return slot.header().state == SlotState::deleted && is_retained(id) &&
                   any_link(slot, is_freed);
        };
        for_each_page([&](uint32_t page) {
            if (any_on(page, retained_))
                change_slots(page, links_to_freed,
                             [&](const MutableSlot& slot) { remove_links(slot, is_freed); });
        });
    }

    void sweep()
    {
        // No node links to these slots any more. So no further process can learn their ids.
        const uint64_t stamp = store_.free_stamp();
        // Overflow and upper slots are freed first: without the slot of layer 0, no vacuum would know
        // whether they are needed.
        overflow_pages_.for_each(0, store_.pages(), [&](size_t page) {
            sweep_page(static_cast<uint32_t>(page), stamp, [&](const Slot& slot, SlotId) {
                return slot.header().state == SlotState::overflow &&
                       is_sweepable(slot.header().owner());
            });
        });
        for (int level = highest_deleted_level_; level > 0; level--)
            upper_pages_.for_each(0, store_.pages(), [&](size_t page) {
                sweep_upper(static_cast<uint32_t>(page), level, stamp);
            });
        for_each_page([&](uint32_t page) {
            if (any_on(page, deleted_))
                result_.freed += sweep_page(page, stamp, [&](const Slot& slot, SlotId id) {
                    return slot.header().state == SlotState::deleted && slot.header().level == 0 &&
                           is_sweepable(id);
                });
        });
    }
    void sweep_upper(uint32_t page, int level, uint64_t stamp)
    {
        Vec<SlotId> ids;
        store_.poll();
        store_.read_page(page, [&](const Slots& slots) {
            for (uint32_t i = 0; i < slots.count(); i++)
                if (const SlotHeader& h = slots[i].header();
                    h.state == SlotState::deleted && h.level == level)
                    ids.push_back(slots.id(i));
        });
        std::erase_if(ids, [&](SlotId id) {
            const Vec<SlotId>& slots = deleted_slots_from(id);
            return slots.empty() || !is_sweepable(slots.back());
        });
        if (!ids.empty())
            result_.freed += sweep_page(page, stamp, [&](const Slot& slot, SlotId id) {
                return slot.header().state == SlotState::deleted &&
                       std::find(ids.begin(), ids.end(), id) != ids.end();
            });
    }
    // Frees the slots for which which(slot, id) is true. Returns how many.
    uint32_t sweep_page(uint32_t page, uint64_t stamp, IsSlot which)
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

    // Is any slot of the page in this set of slots of the part?
    bool any_on(uint32_t page, const Marks& slots) const
    {
        const uint64_t first = uint64_t{page} * store_.slots_per_page();
        const uint64_t end = first + store_.slots_per_page();
        return slots.any_in(place(std::max(first, part_)),
                            place(std::min(end, part_ + part_slots_)));
    }
    // Calls change(slot) for each slot of the page for which which(slot, id) is true. If there is
    // none, the page is not written.
    void change_slots(uint32_t page, IsSlot which, FunctionRef<void(const MutableSlot&)> change)
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
    const uint64_t part_slots_;   // the number of slots of a part
    Inserter<S> inserter_;
    Repairer<S> repairer_;
    RemovalResult result_;
    uint64_t horizon_ = 0;
    uint64_t deleted_count_ = 0;       // slots
    GroupMarks linked_from_deleted_;   // slots of layer 0
    // Deleted nodes also link to slots on pages that were added since they were counted. This is the
    // first of them.
    uint32_t first_new_page_ = UINT32_MAX;
    // A live node's slot of layer 0, if possible one that has room for another link.
    SlotId live_node_ = no_slot;
    bool has_room_ = false;
    // Slots of upper layers that were live, by layer, until those of deleted nodes were marked.
    SlotId live_[max_level + 1];
    SlotId highest_ = no_slot;   // a live slot of the highest layer
    int highest_level_ = 0;
    // Step 1: pages on which slots of upper layers may be above deleted ones. Later: pages that have
    // slots of the part's nodes on upper layers.
    GroupMarks upper_pages_;
    // Does the page that was marked last have free slots, and what is their oldest stamp?
    bool page_has_room_ = false;
    uint64_t oldest_stamp_ = 0;
    Vec<SlotId> chain_;   // slots of one node

    // ---- of a part ----
    bool whole_ = true;       // is it the whole graph?
    uint64_t part_ = 0;       // its first slot
    Marks deleted_;           // slots of all layers
    Marks retained_;          // deleted slots that this vacuum may not free
    SmallCounts in_degree_;   // of slots of layer 0: the links from live nodes, before the repair
    GroupMarks overflow_pages_;   // pages that have overflow slots of its nodes
    int highest_deleted_level_ = 0;
    Vec<SlotId> to_repair_, to_unlink_;   // slots of one page
};

}   // namespace quiver::graph
