// Checks whether nodes can be reached from the root on layer 0, and adds links to those that
// cannot. After a build, ensure_all() does this for all nodes. A vacuum does it for the nodes to
// which deleted nodes link (lifecycle.hpp).
#pragma once

#include "graph/insert.hpp"

namespace quiver::graph {

// The set of all slots that can be reached from some slots on layer 0. It reads pages in their
// order, and reads a page again when links from later pages reach it: two to four times on graphs
// of real data.
template <PagedStore S>
class Flood {
  public:
    // The flood does not follow the links of the slots `avoided`, which may be null. It follows the
    // links of deleted nodes.
    Flood(S& store, const Marks* avoided) : store_(store), avoided_(avoided) {}

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
    void reach(SlotId id)
    {
        const uint32_t page = id / store_.slots_per_page();
        if (page < store_.pages() && reached_.set(id)) {
            todo_.set(id);
            pages_.set(page);
        }
    }
    // Follows the links of the page's slots, including those that are only reached from the same
    // page.
    void visit(uint32_t page)
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
        for (const SlotId n : links_of(slot))
            reach(n);
    }

    S& store_;
    const Marks* avoided_;
    Marks reached_;
    Marks todo_;    // slots that are reached, and whose links are not followed yet
    Marks pages_;   // pages that hold such slots
};

// If fewer than `enough_links` nodes of layer 0 link to a node, a search for its vector checks that
// it is found. The few links may come from far away, because a new node adopts the target of any
// link that is replaced for it. (In a test that inserts and deletes sparse rows, at m 6, a search
// for 200 missed 2.6 % without this, and 0.7 % with it.)
constexpr unsigned enough_links = SmallCounts::most;

// Counts the links of layer 0 to each slot, except those from slots `without`.
inline void count_links(const Slots& slots, const Marks& without, SmallCounts& in_degree)
{
    for (uint32_t i = 0; i < slots.count(); i++) {
        const SlotHeader& h = slots[i].header();
        if (h.state != SlotState::live || h.level > 0 || without.test(slots.id(i)))
            continue;
        for (const SlotId n : links_of(slots[i]))
            in_degree.add(n);
    }
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
    // faster if many nodes are to be checked.
    Attacher(S& store, Inserter<S>& inserter, SlotId root, const Marks& deleted, bool by_flood)
        : store_(store), inserter_(inserter), root_(root), deleted_(deleted), by_flood_(by_flood),
          flood_(store, &deleted)
    {
        if (by_flood)
            flood_.from(root);
    }

    // Makes the node reachable, if no link that may be needed is lost for it. Returns whether it is
    // reached now.
    bool attach(SlotId id)
    {
        return attach(id, [&] { return inserter_.ensure_reachable(false); });
    }
    // For nodes for which attach() failed, after it was tried for all others. This may overwrite a
    // link to a deleted node, because the nodes to which that one links can be reached otherwise by
    // now, or one of the node's own links that nobody needs. If there is neither, it attaches the
    // nodes to which this one links first: then this one need not link to them.
    bool attach_at_a_price(SlotId id, int depth = 2)
    {
        const auto ensure = [&] {
            if (inserter_.ensure_reachable(true))
                return true;
            const SlotId unneeded = unneeded_link(id);
            return unneeded != no_slot && inserter_.ensure_reachable_dropping(unneeded);
        };
        if (attach(id, ensure))
            return true;
        if (depth > 0)
            for (const SlotId n : links_from(id))
                if (attach_at_a_price(n, depth - 1))
                    return attach(id, ensure);
        return false;
    }

  private:
    bool is_reached(SlotId id) const { return by_flood_ ? flood_.reached(id) : visited_.test(id); }
    // Calls ensure(), which adds a link from another node, if this node cannot be reached.
    template <class Ensure>
    bool attach(SlotId id, Ensure&& ensure)
    {
        if (deleted_.test(id) || is_reached(id))
            return true;
        store_.poll();
        const auto on_visit = [&](SlotId n) {
            if (!by_flood_)
                visited_.set(n);
        };
        if (!inserter_.load(id))
            return true;   // it is not a node, or its own insert will link it
        if (!inserter_.is_reached(root_, &deleted_, on_visit)) {
            const bool ensured = ensure();
            inserter_.look_after_orphans();
            if (!ensured)
                return false;
        }
        if (by_flood_)
            flood_.from(id);
        return true;
    }

    Vec<SlotId> links_from(SlotId id)
    {
        Vec<SlotId> links;
        read_links(store_, id, links);
        return links;
    }
    // The target of a link of node `id` that nobody needs, or no_slot. While an insert may be
    // changing the node, only links to deleted nodes count.
    SlotId unneeded_link(SlotId id)
    {
        const Vec<SlotId> links = links_from(id);
        for (const SlotId n : links)
            if (deleted_.test(n))
                return n;
        if (store_.insert_horizon() != store_.stamp())
            return no_slot;
        for (const SlotId n : links)
            if (is_reached(n))
                return n;
        // A node that can also be reached by the node's other links.
        Marks avoided = deleted_;
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
    Inserter<S>& inserter_;
    SlotId root_;
    const Marks& deleted_;
    bool by_flood_;
    Flood<S> flood_;
    Marks visited_;   // by searches, if not by_flood_
};

// To be called after a build: makes each node reachable from the root, and makes searches for its
// vector find it.
template <PagedStore S>
void ensure_all(S& store, Inserter<S>& inserter)
{
    const Marks none;
    Attacher<S> attacher(store, inserter, store.entry().root, none, true);
    for_each_node(store, [&](SlotId id) {
        if (!attacher.attach(id))
            attacher.attach_at_a_price(id);
    });
    // A new link may replace a link to another node, which is then not found. So there are several
    // rounds. From the third on, they only check such nodes: that finds most of the others, too, and
    // all rounds for all nodes took half of the time of a build of random sparse vectors.
    Marks checked, replaced;
    inserter.mark_replaced(&replaced);
    for (int round = 0; round < 5; round++) {
        SmallCounts in_degree;
        for (uint32_t page = 0; page < store.pages(); page++) {
            store.poll();
            store.read_page(page, [&](const Slots& slots) { count_links(slots, none, in_degree); });
        }
        std::swap(checked, replaced);
        replaced = Marks();
        bool any = false;
        for_each_node(store, [&](SlotId id) {
            if (in_degree[id] < enough_links && (round < 2 || checked.test(id)) &&
                inserter.load(id))
                any |= inserter.ensure_found();
        });
        if (!any)
            break;
    }
    inserter.mark_replaced(nullptr);
}

}   // namespace quiver::graph
