// Links from other nodes to one node (*backlinks*). An insert adds them from the node's neighbours.
// A node that cannot be reached otherwise gets one from any node near it that has room.
//
// A full neighbour replaces one of its links with the link to the node. The replaced link may be
// the only one to its target. So the node first *adopts* the target: it links to the target itself.
// Only then is the neighbour's link replaced: neighbour -> node -> former target. So all nodes that
// could be reached from the root can still be reached at any time.
#pragma once

#include "core/marks.hpp"
#include "graph/links.hpp"
#include "graph/node.hpp"
#include "graph/selection_cache.hpp"

namespace quiver::graph {

// The link from a neighbour to the node, planned before it is written.
struct Backlink {
    bool accepted = false;   // false: the neighbour has better links, or is not live any more
    SlotId replaces =
        no_slot;   // the target of the link that it replaces; no_slot: it uses a free place
    codec::SketchFactors factors{};   // of the node's sketch relative to the neighbour
    size_t sketch = 0;                // offset of the sketch's bits in Backlinks::sketches_
};

template <Store S>
class Backlinks {
  public:
    // `own`: the code of the node that gets the links. The caller changes it for each node.
    // remembered_slots: SelectionCache
    Backlinks(S& store, const Code& own, size_t remembered_slots)
        : store_(store), l_(store.encoding().layout()), codec_(store.encoding().codec()), own_(own),
          encoder_(store.encoding()), sketched_(store.encoding()), node_(l_),
          cache_(l_.degree, remembered_slots), around_(codec_)
    {
    }
    // From now on, marks the nodes of layer 0 to which a link was replaced. May be null.
    void mark_replaced(Marks* nodes) { replaced_ = nodes; }
    // From now on, nodes with ids below this one may adopt deleted nodes. Only a vacuum may do that, and
    // must remove these links later.
    void adopt_deleted(SlotId end) { adopts_deleted_ = end; }
    // Has the node's slot `id` link to deleted node `to`, if it has room.
    bool adopt_deleted(SlotId id, SlotId to)
    {
        return node_.read(store_, to) && node_.header().level == 0 &&
               write_own_link(id, to, 0, free_place);
    }
    // The memory for what it remembers of slots.
    size_t bytes() const { return cache_.bytes(); }

    // See SelectionCache.
    void share_cache(char* memory, void (*poll)()) { cache_.share(memory, poll); }

    // Backlinks that were planned before become invalid.
    void forget() { sketches_.clear(); }
    // Forgets what it remembers of slots (SelectionCache).
    void forget_slots() { cache_.clear(); }

    // Would the neighbour link to the node, and which link would it replace? With `force`, the node
    // is never chosen as the neighbour's least useful link.
    Backlink plan(SlotId neighbour, int level, bool force)
    {
        store_.poll();
        if (!l_.sketched())
            return plan_by_codes(neighbour, level, force);
        Backlink backlink;
        store_.read(neighbour, [&](const Slot& slot) {
            if (!is_live_node(slot, level))
                return;
            backlink = encode(code_in(slot));
            if (free_place(slot) != no_place)
                return;
            const uint32_t place = sketched_.place_for_new(slot, encoder_, force);
            if (place == l_.degree)
                backlink.accepted = false;
            else
                backlink.replaces = slot.ids()[place];
        });
        return backlink;
    }

    // Writes the planned link from the neighbour to the node's slot `id`. Before that, the node
    // adopts the target of the replaced link, unless `adopted` says that it has done so.
    // may_lose_deleted: as in adopt(). Returns whether the neighbour links to the node now.
    bool write(SlotId neighbour, Backlink backlink, int level, SlotId id, bool adopted,
               bool may_lose_deleted = false)
    {
        for (int tries = 0; tries < 3 && backlink.accepted; tries++, adopted = false) {
            store_.poll();
            if (!adopted && backlink.replaces != no_slot &&
                !adopt(id, backlink.replaces, level, may_lose_deleted))
                return false;
            bool replaced = false;
            const LinkResult result =
                write_link(store_, neighbour, level, id, sketch_of(backlink), [&](const Slot& s) {
                    replaced = free_place(s) == no_place;
                    return replaced ? place_of(backlink.replaces, s) : free_place(s);
                });
            if (result == LinkResult::written && replaced) {
                cache_.close(neighbour, id);
                if (level == 0)
                    note_replaced(id, backlink.replaces);
            }
            if (is_linked(result))
                return true;
            if (result == LinkResult::not_live)
                return false;
            backlink = plan(neighbour, level, false);   // others changed its links
        }
        return false;
    }

    // Adds a link to the node's slot `id` from one of the nodes `near`, which a search found on
    // layer 0. All nodes that could be reached before can still be reached. may_lose_deleted: if
    // there is no other choice, a link to a deleted node may be replaced without being adopted.
    // donors: if not null, the nodes that have given up a link. Each of them gives up only one.
    bool ensure_reachable(SlotId id, const CodedCandidates& near, bool may_lose_deleted,
                          GroupMarks* donors = nullptr)
    {
        if (link_where_nothing_is_lost(id, near, donors))
            return true;
        for (const bool lose_deleted : {false, true})
            for (size_t i = 0; i < near.size(); i++) {
                if (lose_deleted && !may_lose_deleted)
                    return false;
                if (donors && donors->test(near.id(i)))
                    continue;
                const Backlink backlink = plan(near.id(i), 0, true);
                if (backlink.replaces != id &&
                    write(near.id(i), backlink, 0, id, false, lose_deleted)) {
                    if (donors)
                        donors->set(near.id(i));
                    return true;
                }
            }
        return false;
    }
    // The same, without loss, for a node that has no room to adopt the target of a replaced link: it
    // overwrites its own link to `unneeded`.
    bool ensure_reachable_dropping(SlotId unneeded, SlotId id, const CodedCandidates& near)
    {
        for (size_t i = 0; i < near.size(); i++) {
            const Backlink backlink = plan(near.id(i), 0, true);
            if (!backlink.accepted || backlink.replaces == id)
                continue;
            if (backlink.replaces != no_slot && !adopt(id, backlink.replaces, 0, false) &&
                !adopt_in_place_of(unneeded, id, backlink.replaces))
                continue;
            if (write(near.id(i), backlink, 0, id, true))
                return true;
        }
        return false;
    }

    // An *orphan*: a node that may have lost two links at once, because a neighbour's link to it
    // was replaced and the node's own link to it was replaced as well. no_slot: there is none.
    bool has_orphans() const { return !orphans_.empty(); }
    SlotId take_orphan()
    {
        if (orphans_.empty())
            return no_slot;
        const SlotId orphan = orphans_.back();
        orphans_.pop_back();
        return orphan;
    }

  private:
    static constexpr SlotId the_node = no_slot;   // among the candidates around_

    codec::Sketch sketch_of(const Backlink& backlink) const
    {
        return {backlink.factors, sketches_.data() + backlink.sketch, own_.filter};
    }
    // Returns a link from a neighbour with this code. It replaces none.
    Backlink encode(const Code& neighbour)
    {
        encoder_.set_centre(neighbour);
        encoder_.encode(own_);
        const codec::Sketch sketch = encoder_.sketch();
        const size_t at = sketches_.size();
        sketches_.insert(sketches_.end(), sketch.bits, sketch.bits + l_.words);
        return {true, no_slot, sketch.factors, at};
    }

    // Plans without sketches: compares the codes of the neighbour's neighbours.
    Backlink plan_by_codes(SlotId neighbour, int level, bool force)
    {
        if (!node_.read_live(store_, neighbour, level))
            return {};
        if (free_place(node_.slot()) != no_place)
            return {true};
        centre_.set(node_.code());
        links_.assign(node_.slot().ids(), node_.slot().ids() + l_.degree);
        around_.clear();
        around_.add(the_node, 0, own_);
        const SelectionCache::Link* known = cache_.find(neighbour, links_);
        for (uint32_t i = 0; i < l_.degree; i++) {
            if (known)
                around_.add_without_code(links_[i], {known[i].distance, known[i].equal});
            else if (node_.read_code(store_, links_[i]))
                around_.add(links_[i], 0, node_.code());
            else
                return {true, links_[i]};   // a stale link
            store_.poll();
        }
        around_.measure(centre_.code());
        around_.sort();
        select_around(known);
        const auto is_exempt = [&](uint32_t i) { return force && around_.id(i) == the_node; };
        const SlotId replaces =
            around_.id(least_useful(selection_, static_cast<uint32_t>(around_.size()), is_exempt));
        remember_around(neighbour, replaces);
        if (replaces == the_node)
            return {};
        return {true, replaces};
    }
    // Sets selection_ to which of the candidates around_ the heuristic selects. `known`: their
    // SelectionCache::Links by place, except the new node's, or null.
    void select_around(const SelectionCache::Link* known)
    {
        if (!known) {
            select_neighbours(around_, {.most = around_.size()}, selection_);
            return;
        }
        const auto count = static_cast<uint32_t>(around_.size());
        selected_.clear();
        uint32_t added = 0;
        for (uint32_t i = 0; i < count; i++) {
            const bool is_new = around_.id(i) == the_node;
            added = is_new ? i : added;
            selected_.push_back(!is_new && known[place_in_links(around_.id(i))].selected);
        }
        update_.add(Around{*this}, added, selected_);
        selection_.clear();
        for (uint32_t i = 0; i < count; i++)
            (selected_[i] ? selection_.selected : selection_.discarded).push_back(i);
    }
    // Remembers the neighbour's links, and the new one in the place of the link to `replaces`.
    void remember_around(SlotId neighbour, SlotId replaces)
    {
        const uint32_t open_place = replaces == the_node ? l_.degree : place_in_links(replaces);
        cache_.remember(neighbour, links_, open_place, [&](SelectionCache::Link* links) {
            const auto remember = [&](uint32_t i, bool selected) {
                const SlotId id = around_.id(i);
                if (id == replaces)
                    return;
                const Proximity p = around_.proximity(i);
                links[id == the_node ? open_place : place_in_links(id)] = {p.distance, p.equal,
                                                                           selected};
            };
            for (const uint32_t i : selection_.selected)
                remember(i, true);
            for (const uint32_t i : selection_.discarded)
                remember(i, false);
        });
    }
    uint32_t place_in_links(SlotId id) const
    {
        return static_cast<uint32_t>(std::find(links_.begin(), links_.end(), id) - links_.begin());
    }
    // The candidates around_, whose codes are read when they are needed.
    struct Around {
        Backlinks& b;

        size_t size() const { return b.around_.size(); }
        Proximity proximity(uint32_t i) const { return b.around_.proximity(i); }
        float pair_distance(uint32_t i, uint32_t j) const
        {
            return b.has_code(i) && b.has_code(j) ? b.around_.pair_distance(i, j) : INFINITY;
        }
    };
    bool has_code(uint32_t i)
    {
        if (around_.has_code(i))
            return true;
        store_.poll();
        // (A stale link, which only damage leaves behind, makes no other superfluous.)
        if (!node_.read_code(store_, around_.id(i)))
            return false;
        around_.set_code(i, node_.code());
        return true;
    }

    // Adds a link from the node's slot `id` to `orphan`, because another link to it will be
    // replaced. False: there is no room, or the orphan is deleted and must not get new links.
    // may_lose_deleted: the caller accepts that a deleted orphan loses the link, so the result is
    // true.
    bool adopt(SlotId id, SlotId orphan, int level, bool may_lose_deleted)
    {
        // (Losing a stale link, which only damage leaves behind, does no harm.)
        if (orphan == id || !node_.read(store_, orphan) || node_.header().level != level)
            return true;
        if (can_adopt(id) && write_own_link(id, orphan, level, free_place))
            return true;
        return may_lose_deleted && node_.header().state != SlotState::live;
    }
    // May slot `id` get a link to the node that node_ has?
    bool can_adopt(SlotId id) const
    {
        const SlotState state = node_.header().state;
        return state == SlotState::live || (state == SlotState::deleted && id < adopts_deleted_);
    }
    // A neighbour's link to `orphan` was replaced. Notes it, and checks that the node still links to the orphan.
    // Another operation may have seen the neighbour's link, and replaced the node's at the same
    // time.
    void note_replaced(SlotId id, SlotId orphan)
    {
        if (replaced_)
            replaced_->set(orphan);
        bool adopted = false;
        store_.read(id, [&](const Slot& slot) { adopted = links_to(slot, orphan); });
        if (!adopted)
            orphans_.push_back(orphan);
    }
    // Like adopt(), on layer 0, but overwrites the node's link to `unneeded`.
    bool adopt_in_place_of(SlotId unneeded, SlotId id, SlotId orphan)
    {
        return node_.read(store_, orphan) && node_.header().level == 0 && can_adopt(id) &&
               write_own_link(id, orphan, 0,
                              [&](const Slot& slot) { return place_of(unneeded, slot); });
    }
    // Writes a link from the node to `to`, whose code is in node_.
    template <class ChoosePlace>
    bool write_own_link(SlotId id, SlotId to, int level, ChoosePlace&& choose_place)
    {
        encoder_.set_centre(own_);
        encoder_.encode(node_.code());
        return is_linked(write_link(store_, id, level, to, encoder_.sketch(), choose_place));
    }

    // Links to the node from the first of the nodes `near` that has a free place, or that has a
    // link whose target this node links to as well.
    bool link_where_nothing_is_lost(SlotId id, const CodedCandidates& near, GroupMarks* donors)
    {
        read_links(store_, id, links_);
        for (size_t i = 0; i < near.size(); i++) {
            const Backlink backlink = encode(near.code(i));
            store_.poll();
            SlotId replaced = no_slot;
            const LinkResult result =
                write_link(store_, near.id(i), 0, id, sketch_of(backlink), [&](const Slot& s) {
                    if (free_place(s) != no_place || (donors && donors->test(near.id(i))))
                        return free_place(s);
                    const uint32_t place = last_shared_place(s);
                    if (place != no_place)
                        replaced = s.ids()[place];
                    return place;
                });
            if (result == LinkResult::written && replaced != no_slot) {
                note_replaced(id, replaced);
                if (donors)
                    donors->set(near.id(i));
            }
            if (is_linked(result))
                return true;
        }
        return false;
    }
    // The place of the slot's last link whose target is also in links_.
    uint32_t last_shared_place(const Slot& slot) const
    {
        for (uint32_t i = degree_of(slot); i-- > 0;)
            if (std::find(links_.begin(), links_.end(), slot.ids()[i]) != links_.end())
                return i;
        return no_place;
    }

    S& store_;
    const Layout& l_;
    const codec::Codec& codec_;
    const Code& own_;
    LinkEncoder encoder_;
    SketchedNeighbours sketched_;
    Node node_;
    Vec<uint64_t> sketches_;   // of the node, relative to the planned neighbours
    Vec<SlotId> links_, orphans_;
    Marks* replaced_ = nullptr;
    SlotId adopts_deleted_ = 0;   // the nodes below this one do
    // ---- of plan_by_codes() ----
    SelectionCache cache_;
    CodeCopy centre_;
    CodedCandidates around_;   // the neighbour's neighbours, and the node
    Selection selection_;      // of these
    Vec<uint8_t> selected_;
    SelectionUpdate update_;
};

}   // namespace quiver::graph
