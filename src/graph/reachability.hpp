// Checks whether nodes can be reached from the root on layer 0, and adds links to those that
// cannot. After a build, ensure_all() does this for all nodes. A vacuum does it for the nodes to
// which deleted nodes link (lifecycle.hpp).
#pragma once

#include "core/marks.hpp"
#include "graph/insert.hpp"

namespace quiver::graph {

// The set of all slots that can be reached from some slots on layer 0. It reads pages in their
// order, and reads a page again when links from later pages reach it: two to four times on graphs
// of real data.
template <PagedStore S>
class Flood {
  public:
    // The flood follows the links of deleted nodes if follow_deleted, and not those of slot
    // `avoided`.
    Flood(S& store, bool follow_deleted, SlotId avoided = no_slot)
        : store_(store), follow_deleted_(follow_deleted), avoided_(avoided), reached_(slots(store)),
          pages_(store.pages())
    {
    }
    // The memory of a flood, in bits.
    static uint64_t bits(S& store) { return slots(store) + store.pages(); }

    bool reached(SlotId id) const { return reached_.test(id); }

    // Adds `id` and all slots that can be reached from it.
    void from(SlotId id)
    {
        if (id == no_slot)
            return;
        reach(id);
        while (pages_.count() > 0)
            for (size_t page = pages_.next(0); page != SIZE_MAX; page = pages_.next(page + 1)) {
                store_.poll();
                visit(static_cast<uint32_t>(page));
            }
    }

  private:
    static size_t slots(S& store) { return size_t{store.pages()} * store.slots_per_page(); }
    void reach(SlotId id)
    {
        const uint32_t page = id / store_.slots_per_page();
        if (page < store_.pages() && reached_.set(id))
            pages_.set(page);
    }
    // Follows the links of the slots of the page that are reached, until no further one is reached
    // from the same page. (It also follows those again that it has followed before. A set of those
    // that it has not would need as much memory as reached_.)
    void visit(uint32_t page)
    {
        store_.read_page(page, [&](const Slots& slots) {
            while (pages_.clear(page))
                for (uint32_t i = 0; i < slots.count(); i++)
                    if (reached(slots.id(i)))
                        follow(slots[i], slots.id(i));
        });
        pages_.clear(page);   // it has no slots if a crash has left it
    }
    void follow(const Slot& slot, SlotId id)
    {
        const SlotHeader& h = slot.header();
        if (h.level > 0 || id == avoided_ ||
            !(h.state == SlotState::live || (h.state == SlotState::deleted && follow_deleted_)))
            return;
        for (const SlotId n : links_of(slot))
            reach(n);
    }

    S& store_;
    bool follow_deleted_;
    SlotId avoided_;
    Marks reached_;
    Marks pages_;   // pages that hold slots whose links are not followed yet
};

// If fewer than `enough_links` nodes of layer 0 link to a node, a search for its vector checks that
// it is found. The few links may come from far away, because a new node adopts the target of any
// link that is replaced for it. (In a test that inserts and deletes sparse rows, at m 6, a search
// for 200 missed 2.6 % without this, and 0.7 % with it.)
constexpr unsigned enough_links = SmallCounts::most;

// Calls f(id) for each link of layer 0 from a live node, with the slot to which it links.
template <class F>
void for_each_link(const Slots& slots, F&& f)
{
    for (uint32_t i = 0; i < slots.count(); i++) {
        const SlotHeader& h = slots[i].header();
        if (h.state == SlotState::live && h.level == 0)
            for (const SlotId n : links_of(slots[i]))
                f(n);
    }
}

template <ReadStore S>
bool is_deleted(S& store, SlotId id)
{
    bool deleted = false;
    store.read(id, [&](const Slot& slot) { deleted = slot.header().state == SlotState::deleted; });
    return deleted;
}

// Can a search start at this slot? It cannot while an insert has not written the overflow slots of
// a sparse code yet.
inline bool is_complete(const Slot& slot)
{
    const SlotHeader& h = slot.header();
    return !slot.layout().codes_vary || h.length <= slot.layout().code_bytes ||
           h.overflow() != no_slot;
}

// Calls f(id) for each live node of layer 0 that is completely written.
template <PagedStore S>
void for_each_node(S& store, SlotCallback f)
{
    Vec<SlotId> ids;
    for (uint32_t page = 0; page < store.pages(); page++) {
        ids.clear();
        store.poll();
        store.read_page(page, [&](const Slots& slots) {
            for (uint32_t i = 0; i < slots.count(); i++) {
                const SlotHeader& h = slots[i].header();
                if (h.state == SlotState::live && h.level == 0 && is_complete(slots[i]))
                    ids.push_back(slots.id(i));
            }
        });
        for (const SlotId id : ids)
            f(id);
    }
}

// Adds links to nodes that cannot be reached from a root without deleted nodes.
template <PagedStore S>
class Attacher {
  public:
    // A search costs about a hundred visits, a flood two to four reads of each page. So by_flood is
    // faster if many nodes are to be checked. most_bits: the memory for the sets of slots. If a flood
    // needs more, there are only searches. Each of these may take a 64th of most_bits, and at least
    // least_bytes.
    Attacher(S& store, Inserter<S>& inserter, SlotId root, bool by_flood,
             uint64_t most_bits = UINT64_MAX)
        : store_(store), inserter_(inserter), root_(root), most_bits_(most_bits),
          by_flood_(by_flood && can_flood()),
          most_bytes_(by_flood_ ? least_bytes : std::max(most_bits / 64, uint64_t{least_bytes}))
    {
        // Not the nodes on pages that nobody counts: a vacuum does not repair these.
        inserter_.adopt_deleted(
            static_cast<SlotId>(uint64_t{store_.pages()} * store_.slots_per_page()));
        if (by_flood_)
            start_flood();
        else
            start_visited(0);
    }
    ~Attacher() { inserter_.adopt_deleted(0); }
    Attacher(const Attacher&) = delete;
    Attacher& operator=(const Attacher&) = delete;

    // Makes the node reachable, if no link that may be needed is lost for it. Returns whether it is
    // reached now.
    bool attach(SlotId id)
    {
        return attach(id, [&] { return inserter_.ensure_reachable(false); });
    }
    // For nodes for which attach() failed, after it was tried for all others. This may overwrite one of
    // the node's own links that nobody needs. If there is none, it attaches the nodes to which this one
    // links first: then this one need not link to them. If that does not help either, it overwrites
    // a link to a deleted node.
    bool attach_at_a_price(SlotId id)
    {
        return attach_dropping(id, 2) || attach(id, [&] {
                   if (inserter_.ensure_reachable(true))
                       return true;
                   return ensure_dropping(deleted_link(id));
               });
    }

  private:
    // After a flood, a search only looks for near nodes. (With more memory, it would walk through all
    // nodes that equal each other.)
    static constexpr size_t least_bytes = 1 << 16;

    bool can_flood() { return Flood<S>::bits(store_) <= most_bits_; }
    void start_flood()
    {
        flood_ = make_owned<Flood<S>>(store_, false);
        flood_->from(root_);
    }
    bool is_reached(SlotId id) const
    {
        return by_flood_ ? flood_->reached(id) : visited_.test(size_t{id} - visited_from_);
    }
    // The nodes are attached in the order of their ids. So a set of the slots from the current one on
    // is enough.
    void set_visited(SlotId id)
    {
        if (id >= visited_from_ && id - visited_from_ < most_bits_)
            visited_.set(id - visited_from_);
    }
    void forget_visited_before(SlotId id)
    {
        if (id >= visited_from_ && id - visited_from_ < most_bits_)
            return;
        start_visited(id);
    }
    void start_visited(SlotId from)
    {
        visited_ = Marks();   // frees the memory
        visited_ = Marks(std::min(most_bits_, uint64_t{store_.pages()} * store_.slots_per_page()));
        visited_from_ = from;
    }
    // Calls ensure(), which adds a link from another node, if this node cannot be reached.
    bool attach(SlotId id, FunctionRef<bool()> ensure)
    {
        if (!by_flood_)
            forget_visited_before(id);
        if (is_reached(id))
            return true;
        store_.poll();
        const auto on_visit = [&](SlotId n) {
            if (!by_flood_)
                set_visited(n);
        };
        if (!inserter_.load(id))
            return true;   // it is not a live node, or its own insert will link it
        // The flood is certain that there is no way to the node, so one search for near nodes will do.
        if (!inserter_.is_reached(root_, no_slot, !by_flood_, most_bytes_, on_visit)) {
            const bool ensured = ensure();
            inserter_.look_after_orphans();
            if (!look_after_dropped() || !ensured)
                return false;
        }
        if (by_flood_)
            flood_->from(id);
        return true;
    }

    // depth: of the links along which it attaches other nodes first.
    bool attach_dropping(SlotId id, int depth)
    {
        const auto ensure = [&] {
            if (inserter_.ensure_reachable(false))
                return true;
            return ensure_dropping(unneeded_link(id));
        };
        if (attach(id, ensure))
            return true;
        if (depth > 0)
            for (const SlotId n : links_from(id))
                if (attach_dropping(n, depth - 1) && attach(id, ensure))
                    return true;
        return false;
    }

    // Makes the loaded node reachable, and overwrites its own link to `unneeded`. False if that is no_slot.
    bool ensure_dropping(SlotId unneeded)
    {
        if (unneeded == no_slot)
            return false;
        const uint64_t since = quiet_since_;
        const bool done = inserter_.ensure_reachable_dropping(unneeded);
        // Also if it is not done: it may have overwritten the link.
        if (!is_quiet() || quiet_since_ != since)
            dropped_.push_back(unneeded);
        return done;
    }
    // Is no insert running? One that is may be changing any node, or rely on its links. Notes when that was
    // asked, so that ensure_dropping() can tell whether one has begun since.
    bool is_quiet()
    {
        const uint64_t horizon = store_.insert_horizon();
        quiet_since_ = store_.stamp();
        return horizon == quiet_since_;
    }
    // An insert that began after the links were read may have replaced another link to a node because it
    // relied on the one that was overwritten. False: such a node could not be made reachable.
    bool look_after_dropped()
    {
        bool done = true;
        while (!dropped_.empty()) {
            const SlotId id = dropped_.back();
            dropped_.pop_back();
            if (!inserter_.load(id) ||
                inserter_.is_reached(root_, no_slot, true, most_bytes_, [](SlotId) {}))
                continue;
            done &= inserter_.ensure_reachable(false);
            inserter_.look_after_orphans();
        }
        return done;
    }

    Vec<SlotId> links_from(SlotId id)
    {
        Vec<SlotId> links;
        read_links(store_, id, links);
        return links;
    }
    // The target of a link of node `id` to a deleted node, or no_slot. While an insert may be changing the
    // node, there is none.
    SlotId deleted_link(SlotId id)
    {
        if (!is_quiet())
            return no_slot;
        for (const SlotId n : links_from(id))
            if (is_deleted(store_, n))
                return n;
        return no_slot;
    }
    // The target of a link of node `id` that nobody needs, or no_slot. While an insert may be
    // changing the node, there is none.
    SlotId unneeded_link(SlotId id)
    {
        const Vec<SlotId> links = links_from(id);
        if (!is_quiet())
            return no_slot;
        for (const SlotId n : links)
            if (is_reached(n))
                return n;
        // A node that can also be reached by the node's other links.
        return can_flood() ? reached_by_flood(links, id) : reached_by_search(links, id);
    }
    // One of these links of node `id` whose target can also be reached by the others, without the
    // node; or no_slot.
    SlotId reached_by_flood(const Vec<SlotId>& links, SlotId id)
    {
        // There is memory for one set at a time. What the searches have visited only saves others.
        flood_.reset();
        if (!by_flood_)
            visited_ = Marks();
        SlotId found = no_slot;
        for (size_t i = 0; i < links.size() && found == no_slot; i++) {
            Flood<S> flood(store_, false, id);
            for (const SlotId other : links)
                if (other != links[i])
                    flood.from(other);
            if (flood.reached(links[i]))
                found = links[i];
        }
        if (by_flood_)
            start_flood();
        else
            start_visited(visited_from_);
        return found;
    }
    // The same. Searches may fail to find a way where there is one.
    SlotId reached_by_search(const Vec<SlotId>& links, SlotId id)
    {
        const auto leads_to = [&](SlotId from, SlotId to) {
            return from != to && inserter_.load(to) &&
                   inserter_.is_reached(from, id, false, most_bytes_, [](SlotId) {});
        };
        SlotId found = no_slot;
        for (const SlotId n : links)
            if (std::any_of(links.begin(), links.end(),
                            [&](SlotId other) { return leads_to(other, n); })) {
                found = n;
                break;
            }
        // The caller goes on with what a search for this node finds.
        if (inserter_.load(id))
            inserter_.is_reached(root_, no_slot, false, most_bytes_, [](SlotId) {});
        return found;
    }

    S& store_;
    Inserter<S>& inserter_;
    SlotId root_;
    uint64_t most_bits_;
    bool by_flood_;
    size_t most_bytes_;       // for a search
    Owned<Flood<S>> flood_;   // if by_flood_
    uint64_t quiet_since_ = 0;
    Vec<SlotId> dropped_;   // targets of links that were overwritten while an insert may have begun
    // What searches visited, if not by_flood_: slots from visited_from_ on.
    Marks visited_;
    SlotId visited_from_ = 0;
};

// To be called after a build: makes each node reachable from the root, and makes searches for its
// vector find it.
template <PagedStore S>
void ensure_all(S& store, Inserter<S>& inserter)
{
    Attacher<S> attacher(store, inserter, store.entry().root, true);
    for_each_node(store, [&](SlotId id) {
        if (!attacher.attach(id))
            attacher.attach_at_a_price(id);
    });
    // A new link may replace a link to another node, which is then not found. So there are several
    // rounds. From the third on, they only check such nodes: that finds most of the others, too, and
    // all rounds for all nodes took half of the time of a build of random sparse vectors.
    Marks checked, replaced;
    GroupMarks donors(SIZE_MAX);
    inserter.mark_replaced(&replaced);
    for (int round = 0; round < 5; round++) {
        SmallCounts in_degree;
        for (uint32_t page = 0; page < store.pages(); page++) {
            store.poll();
            store.read_page(page, [&](const Slots& slots) {
                for_each_link(slots, [&](SlotId id) { in_degree.add(id); });
            });
        }
        std::swap(checked, replaced);
        replaced = Marks();
        bool any = false;
        for_each_node(store, [&](SlotId id) {
            if (in_degree[id] < enough_links && (round < 2 || checked.test(id)) &&
                inserter.load(id))
                any |= inserter.ensure_found(&donors);
        });
        if (!any)
            break;
    }
    inserter.mark_replaced(nullptr);
}

}   // namespace quiver::graph
