// Repairs the links of one live node that links to deleted nodes. It drops those links, and adds
// links to some of the deleted nodes' own neighbours in their place (as FreshDiskANN consolidates
// deletes, arXiv 2105.09613, section 4.2). The sketches in a deleted node still tell which of its
// neighbours are near, so only these are read. If few neighbours are left, it searches for others,
// as an insert does. Vacuum calls this (lifecycle.hpp).
#pragma once

#include "graph/links.hpp"
#include "graph/search.hpp"

namespace quiver::graph {

template <Store S>
class Repairer {
  public:
    explicit Repairer(S& store)
        : store_(store), l_(store.encoding().layout()), codec_(store.encoding().codec()),
          query_(store.encoding()), search_(store, query_, 0, 64), encoder_(store.encoding()),
          node_(l_), candidates_(codec_)
    {
    }

    // is_deleted(id): is this slot deleted? It may read the slot. Returns whether slot `id` had links
    // to deleted slots.
    template <class IsDeleted>
    bool repair(SlotId id, IsDeleted&& is_deleted)
    {
        if (!read_node(id, is_deleted))
            return false;
        query_.set(codec_.decode(own_.code(), decoded_));
        find_neighbours_of_lost(is_deleted);
        candidates_.clear();
        for (const SlotId n : kept_)
            add_candidate(n);
        const size_t kept = candidates_.size();
        for (const Candidate c : found_)
            if (!candidates_.contains(c.id()))
                add_candidate(c.id());
        if (candidates_.size() < l_.degree || lost_.size() >= kept_.size())
            search_neighbours();
        candidates_.measure(own_.code());
        candidates_.sort(kept);
        // If the heuristic leaves places of lost links free, the nearest discarded candidates take
        // them.
        const size_t most = std::min<size_t>(l_.degree, kept_.size() + lost_.size());
        select_neighbours(candidates_, {.fixed = kept, .least = most, .most = most}, selection_);
        write_links(kept);
        // The new neighbours link back if they have room. When a node's neighbours are deleted, it
        // also loses their links to it, and a node that is no other node's nearest would become
        // hard to find.
        for (const SlotId n : added_)
            link_back(n);
        return true;
    }

  private:
    // Reads the node, and sorts its links into kept_ and lost_. False: there is nothing to repair.
    template <class IsDeleted>
    bool read_node(SlotId id, IsDeleted&& is_deleted)
    {
        kept_.clear();
        lost_.clear();
        if (!node_.read(store_, id) || node_.header().state != SlotState::live)
            return false;
        id_ = id;
        level_ = node_.header().level;
        for (const SlotId n : links_of(node_.slot()))
            (is_deleted(n) ? lost_ : kept_).push_back(n);
        if (lost_.empty())
            return false;
        own_.set(node_.code());
        return true;
    }

    // Finds the nearest neighbours of each lost neighbour, by estimate. It takes the same number
    // from each, so that links to far nodes replace a link to a far node. Otherwise the parts of
    // the graph would drift apart.
    template <class IsDeleted>
    void find_neighbours_of_lost(IsDeleted&& is_deleted)
    {
        found_.clear();
        const size_t share = std::max<size_t>(8, 2 * l_.degree / lost_.size());
        for (const SlotId lost : lost_) {
            const size_t before = found_.size();
            if (!node_.read(store_, lost) || node_.header().level != level_)
                continue;
            const Slot slot = node_.slot();
            const float* estimate =
                l_.sketched() ? query_.estimates(slot, query_.distance(node_.code()), 0) : nullptr;
            for (uint32_t i = 0; i < node_.degree(); i++) {
                const SlotId n = slot.ids()[i];
                if (n != id_ && !is_in(kept_, n))
                    found_.push_back(Candidate(estimate ? estimate[i] : 0.0f, n));
            }
            if (estimate)
                std::sort(found_.begin() + static_cast<ptrdiff_t>(before), found_.end());
            // Without estimates nothing tells which are near, so more of them are read.
            const size_t most = before + (estimate ? share : 2 * share);
            size_t left = before;
            for (size_t i = before; i < found_.size() && left < most; i++)
                if (!is_deleted(found_[i].id()))
                    found_[left++] = found_[i];
            found_.resize(left);
        }
    }
    static bool is_in(const Vec<SlotId>& ids, SlotId id)
    {
        return std::find(ids.begin(), ids.end(), id) != ids.end();
    }
    void add_candidate(SlotId id)
    {
        if (node_.read_live(store_, id, level_))
            candidates_.add(id, 0, node_.code());
    }
    // Adds the nodes that a search for the node's vector finds.
    void search_neighbours()
    {
        Counters counters;
        const Entry entry = store_.entry();
        const SlotId from =
            entry.level < level_ ? no_slot : descend(search_, entry, level_, counters);
        if (from == no_slot)
            return;
        search_.restart(level_, std::max<size_t>(64, 2 * l_.degree));
        search_.add(from, 0);
        search_.run(counters, [&](SlotId n, const Slot&, const Code& code, float, bool in_w) {
            if (in_w && n != id_ && !candidates_.contains(n))   // deleted ones are not in W
                candidates_.add(n, 0, code);
        });
    }

    // Drops the lost links, and appends links to the selected nodes. An insert may have changed the
    // other links since they were read; they stay as they are. (If it has added one to a deleted node,
    // it met that node alive, so this vacuum does not free the node.)
    void write_links(size_t kept)
    {
        added_.clear();
        store_.poll();
        store_.write(id_, [&](const MutableSlot& slot) {
            if (!is_live_node(slot, level_))
                return false;
            remove_links(slot, [&](SlotId n) { return is_in(lost_, n); });
            encoder_.set_centre(code_in(slot));
            for (const uint32_t i : selection_.selected)
                if (i >= kept && append_link(slot, candidates_, i, l_.degree, encoder_))
                    added_.push_back(candidates_.id(i));
            return true;
        });
    }
    void link_back(SlotId neighbour)
    {
        // Most are full. A look under a shared lock is enough to find that out.
        if (!node_.read_live(store_, neighbour, level_) || node_.degree() >= l_.degree)
            return;
        encoder_.set_centre(node_.code());
        encoder_.encode(own_.code());
        write_link(store_, neighbour, level_, id_, encoder_.sketch(), free_place);
    }

    S& store_;
    const Layout& l_;
    const codec::Codec& codec_;
    Query query_;
    LayerSearch<S> search_;
    LinkEncoder encoder_;
    Node node_;
    // ---- of the node that is repaired ----
    SlotId id_ = no_slot;
    int level_ = 0;
    CodeCopy own_;
    Vec<float> decoded_;
    Vec<SlotId> kept_, lost_;      // the nodes to which it links
    Vec<Candidate> found_;         // neighbours of lost_
    CodedCandidates candidates_;   // the nodes of kept_ come first
    Selection selection_;
    Vec<SlotId> added_;
};

}   // namespace quiver::graph
