// The search for a node's neighbours on each of its layers (HNSW, Malkov and Yashunin 2016,
// algorithm 1). An insert searches for the neighbours of its new node. lifecycle.hpp and
// reachability.hpp search for the vectors of existing nodes, to find out whether the nodes are
// found.
#pragma once

#include "core/function_ref.hpp"
#include "graph/candidates.hpp"
#include "graph/search.hpp"

namespace quiver::graph {

// The node that is being inserted or checked.
struct OwnNode {
    Code code{};
    Vec<SlotId> slots;   // from layer 0 up, those written so far

    bool has_slot(SlotId id) const
    {
        return std::find(slots.begin(), slots.end(), id) != slots.end();
    }
};

// Called for each slot that a search visits.
using SlotCallback = FunctionRef<void(SlotId)>;

template <Store S>
class NeighbourSearch {
  public:
    NeighbourSearch(S& store, const OwnNode& own, uint32_t m, uint32_t ef)
        : store_(store), l_(store.encoding().layout()), codec_(store.encoding().codec()), own_(own),
          m_(std::min(l_.codes_vary ? m + m / 2 : m, l_.degree - 1)),
          least_(l_.codes_vary ? m_ : std::max(m_ / 2, std::min(m_, 4u))), ef_(ef),
          query_(store.encoding()), search_(store, query_, 0, ef), near_(codec_)
    {
        for (int l = 0; l <= max_level; l++)
            neighbours_.emplace_back(codec_);
    }

    // Sets the node's own vector.
    void set_query(const Value& x) { query_.set(x); }

    // Searches from the entry for the `ef` nearest nodes on each layer up to `level`, and selects
    // neighbours from them. With `may_join`, the search ends at a node that has the same code and
    // room for another row. So an UPDATE that does not change the vector takes a fourth of the time
    // of an insert.
    void find(Entry entry, int level, bool may_join, uint32_t ef)
    {
        forget();
        if (entry.empty())
            return;
        level = std::min(level, entry.level);
        SlotId from = descend(search_, entry, level, counters_);
        for (int l = level; l >= 0; l--) {
            if (from == no_slot && l > 0)
                continue;   // layer 0 is searched from the root
            from = search_layer(l, from, may_join, ef, [](SlotId) {});
            if (joinable_ != no_slot)
                return;
            select(l);
        }
    }
    // Searches from the entry for the node itself, and ends when it visits it. If it does not, near()
    // has the `ef` nearest nodes of layer 0.
    void find_self(Entry entry, uint32_t ef)
    {
        forget();
        if (entry.empty())
            return;
        const SlotId from = descend(search_, entry, 0, counters_);
        search_layer(0, from, false, ef, [&](SlotId id) {
            if (own_.has_slot(id))
                search_.stop();
        });
    }
    // Searches layer 0 from `start`, without deleted nodes and slot `avoided`, which may be no_slot.
    // Calls on_visit(id) for each slot that it reaches. Ends when the search needs most_bytes: then the
    // result is false. near() has at least as many of the nearest nodes as an insert would search for,
    // and as many of the `ef` as most_bytes have room for.
    bool find_from(SlotId start, SlotId avoided, uint32_t ef, size_t most_bytes,
                   SlotCallback on_visit)
    {
        forget();
        bool ended = true;
        most_near_bytes_ = most_bytes;
        search_.avoid(true, avoided);
        search_.visit_all(true);
        search_layer(0, start, false, ef, [&](SlotId id) {
            on_visit(id);
            if (search_.bytes() > most_bytes) {
                search_.stop();
                ended = false;
            }
        });
        most_near_bytes_ = SIZE_MAX;
        search_.avoid(false, no_slot);
        search_.visit_all(false);
        return ended;
    }

    // ---- what the last search found ----

    // The neighbours that were selected on a layer.
    CodedCandidates& neighbours(int l) { return neighbours_[static_cast<size_t>(l)]; }
    // The nearest live nodes of layer 0 except the node itself, nearest first.
    const CodedCandidates& near() const { return near_; }
    // The same, in the order in which they should be asked for a link to the node. By inner product, the
    // longest vectors are the nearest nodes of all others. They would lose the links to each other. So
    // the nearest by Euclidean distance come first.
    const CodedCandidates& donors()
    {
        if (lengths_matter_) {
            near_.measure(own_.code, true);
            near_.sort();
        }
        return near_;
    }
    // A node with the same code that has room for a row, or no_slot.
    SlotId joinable() const { return joinable_; }
    // Did the search visit any node of layer 0?
    bool has_landed() const { return landed_; }
    // Did it visit the node itself?
    bool met_self() const { return met_self_; }
    // Was the node among the `ef` nearest when it was visited?
    bool found_self() const { return found_self_; }
    // After find_self(): are all of the `ef` nearest nodes nearer than the node itself? By inner product,
    // longer vectors in its direction are. Then a search for its vector need not find it.
    bool is_outranked(uint32_t ef) const
    {
        return lengths_matter_ && near_.size() >= ef &&
               near_.proximity(near_.size() - 1).distance < -own_.code.params.norm2;
    }

    const Counters& counters() const { return counters_; }

  private:
    void forget()
    {
        near_.clear();
        for (CodedCandidates& n : neighbours_)
            n.clear();
        joinable_ = no_slot;
        landed_ = met_self_ = found_self_ = false;
    }

    // Finds the `ef` nearest nodes of layer l, starting at slot `from`. Returns the slot one layer
    // below the nearest slot that it visited.
    SlotId search_layer(int l, SlotId from, bool may_join, uint32_t ef, SlotCallback on_visit)
    {
        near_.clear();
        SlotId down = no_slot;
        float least = 0;
        search_.restart(l, ef);
        if (from != no_slot)
            search_.add(from, 0);
        search_.run(counters_,
                    [&](SlotId id, const Slot& slot, const Code& code, float distance, bool in_w) {
                        if (down == no_slot || distance < least) {
                            least = distance;
                            down = slot.header().down;
                        }
                        on_visit(id);
                        if (own_.has_slot(id)) {
                            met_self_ |= l == 0;
                            found_self_ |= l == 0 && in_w;
                        } else if (may_join && l == 0 && can_join(slot, code)) {
                            joinable_ = id;
                            search_.stop();
                        } else if (in_w)
                            add_near(id, distance, code, ef);
                    });
        if (l == 0)
            landed_ = search_.landed();
        near_.sort();
        near_.truncate(ef);
        return down;
    }
    void add_near(SlotId id, float distance, const Code& code, uint32_t ef)
    {
        near_.add(id, distance, code);
        // (A search for ef_ nodes is not disturbed: most of its candidates are among the nearest.)
        if (near_.size() >= 4 * size_t{ef_} && near_.bytes() > most_near_bytes_) {
            near_.sort();
            near_.truncate(std::min<size_t>(near_.size() / 2, ef));
            near_.pack();
        }
    }
    bool can_join(const Slot& slot, const Code& code) const
    {
        return slot.header().state == SlotState::live && slot.header().tid_count < l_.tids &&
               can_share_node(codec_, own_.code, code);
    }

    void select(int l)
    {
        if (!lengths_matter_)
            return select_from_near(l, least_, false);
        // By inner product, the longest vectors in the node's direction are the nearest, and they make
        // nearly all others superfluous. The places that they leave are for neighbours by Euclidean
        // distance. (Vectors of equal length are in the same order by both.)
        select_from_near(l, 0, false);
        select_from_near(l, least_, true);
        // Sparse vectors of few terms in common have few such neighbours.
        if (l_.codes_vary && neighbours(l).size() < least_)
            select_from_near(l, least_, false);
    }
    // Selects neighbours from near_, and adds those that are not among them yet while there is room.
    void select_from_near(int l, size_t least, bool euclidean)
    {
        near_.measure(own_.code, euclidean);
        if (lengths_matter_)
            near_.sort();
        select_neighbours(near_, {.least = least, .most = m_}, selection_);
        CodedCandidates& to = neighbours(l);
        for (const uint32_t i : selection_.selected)
            if (to.size() < m_ && !to.contains(near_.id(i)) && !(euclidean && is_only_short(i)))
                to.add(near_.id(i), 0, near_.code(i));
    }
    // Of two sparse vectors: is one of them near the other by Euclidean distance only because it is short?
    // If they have few terms in common, their distance is about |x|^2 + |y|^2. Then the origin is nearer to
    // each of them than they are to each other. near_ has Euclidean distances.
    bool is_only_short(uint32_t i) const
    {
        return l_.codes_vary && near_.proximity(i).distance >=
                                    std::max(own_.code.params.norm2, near_.code(i).params.norm2);
    }

    S& store_;
    const Layout& l_;
    const codec::Codec& codec_;
    const OwnNode& own_;
    // The most and the least links of a new node on a layer. Most distances between sparse vectors are
    // alike, and the heuristic discards nearly all candidates. With half as many links again, all of
    // them used, searches of 10,000 random vectors have recall 0.94 instead of 0.83 for fewer distances
    // computed; of others, the same recall for as many, except where L2 distances differ mostly by the
    // vectors' lengths.
    uint32_t m_, least_;
    const bool lengths_matter_ = codec_.metric.geometry == codec::Geometry::inner_product;
    uint32_t ef_;
    size_t most_near_bytes_ = SIZE_MAX;   // for near_, if it has more than some nodes
    Query query_;
    LayerSearch<S> search_;
    CodedCandidates near_;              // of the layer that was searched last
    Vec<CodedCandidates> neighbours_;   // by layer
    Selection selection_;
    SlotId joinable_ = no_slot;
    bool landed_ = false, met_self_ = false, found_self_ = false;
    Counters counters_;
};

}   // namespace quiver::graph
