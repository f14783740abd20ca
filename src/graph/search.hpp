// Search of one layer, and the descent through the layers above it (HNSW, Malkov and Yashunin 2016,
// algorithms 2 and 5; neighbours by estimate as in SymphonyQG, arXiv 2411.12229).
//
// Candidates are visited in the order of their estimated distances. Visiting a candidate reads its
// slot: this gives its own distance, which is nearly exact, and estimates for all of its
// neighbours. W (the dynamic list of the HNSW paper) keeps the `ef` nearest visited nodes. The
// search ends when W is full and the best candidate's estimate is farther than the worst node of W.
// Without sketches, a visit also reads the neighbours, and their own distances take the place of
// estimates.
//
// Many nodes can be as far as the worst node of W: equal rows, or bit strings. A search visits at
// most `ef` of these, or ten, so equal rows cost no more than others.
//
// Estimates may be too inexact to tell distances apart: those of random vectors of many dimensions,
// or from the middle of the data to all of it. Then half of all neighbours seem nearer than the
// worst node of W, and are not. So a search also ends when 6 * ef visits of live nodes, but at least
// 240, one after the other, have found nothing for W.
//
// From the slot where a search comes down to layer 0, it may reach only a part of the graph. So a
// search that runs out of candidates on layer 0 continues from the root, from which every node can
// be reached.
//
// A search that has run out of nodes may have missed one: after the search visited a node X, X got
// a link to a node V, and then the other link to V, which the search had not followed yet, was
// replaced. So the search reads the slots again that were written meanwhile.
//
// When a search visits a slot, the slot may have been freed, or used again. A freed slot still has
// its links, so the search follows them as before. A slot that is used by another node is scored by
// its own vector like any other, if it is on the same layer. So the search continues correctly
// (src/graph/README.md, "Races").
#pragma once

#include "codec/filter_code.hpp"
#include "core/error.hpp"
#include "graph/frontier.hpp"
#include "graph/node.hpp"
#include "graph/vectors.hpp"

namespace quiver::graph {

// Counters of a search. Further searches add to them.
struct Counters {
    uint64_t visited = 0;     // slots read
    uint64_t estimated = 0;   // neighbours scored
    uint64_t rejected = 0;    // nodes that do not match the filter, by their codes

    Counters& operator+=(const Counters& other)
    {
        visited += other.visited;
        estimated += other.estimated;
        rejected += other.rejected;
        return *this;
    }
};

// What a search does with neighbours that are too far for its beam.
enum class Far : uint8_t {
    drop,   // restore() finds them again; most searches never need them
    keep    // they become candidates when the search is resumed
};

// Searches layer `level`. `on_visit(id, slot, code, distance, in_w)` is called for each visited
// node, which cannot change during the call. in_w tells whether the node is among the `ef` nearest
// so far.
template <ReadStore S>
class LayerSearch {
  public:
    LayerSearch(S& store, Query& query, int level, size_t ef)
        : store_(store), l_(store.encoding().layout()), q_(query), level_(level), w_(ef),
          seen_(ef * 16), node_(l_), neighbour_(l_)
    {
    }

    void restart(int level, size_t ef, Far far = Far::drop)
    {
        level_ = level;
        far_ = far;
        landed_ = rooted_ = dropped_ = false;
        w_.reset(ef);
        seen_.clear();
        candidates_.clear();
    }

    // Adds an entry point. Its distance is computed when it is visited.
    void add(SlotId id, float estimate)
    {
        if (!l_.sketched())
            seen_.insert(id);
        candidates_.add(estimate, id);
    }

    // Runs until a stop rule holds.
    template <class OnVisit>
    void run(Counters& counters, OnVisit&& on_visit)
    {
        // The next candidates are prefetched, so that they come from memory while other slots are
        // scored. They were the best before the neighbours of these slots were known, and are
        // visited in any case.
        coming_count_ = ties_ = in_vain_ = 0;
        for (stopped_ = false; !stopped_;) {
            take();
            if (coming_count_ == 0) {
                if (!go_on_from_root())
                    break;
                continue;
            }
            const SlotId id = coming_[0];
            std::copy(coming_ + 1, coming_ + coming_count_, coming_);
            coming_count_--;
            store_.poll();
            if (l_.sketched())
                store_.read(id, [&](const Slot& slot) {
                    if (arrive(id, slot, code_in(slot), counters, on_visit) && !stopped_)
                        estimate_neighbours(slot, counters);
                });
            else if (node_.read(store_, id) &&
                     arrive(id, node_.slot(), node_.code(), counters, on_visit) && !stopped_)
                read_neighbours(counters);
        }
        store_.release();
    }

    // To be called by on_visit(): ends run().
    void stop() { stopped_ = true; }

    // The nearest visited nodes so far, not sorted.
    BoundedMaxHeap& w() { return w_; }

    // Prepares for another run() with an empty W of size `ef`. From then on nothing is dropped.
    // restore() must have been called if neighbours were dropped. (With sketches, visited nodes may
    // be among the neighbours that were kept.)
    void resume(size_t ef)
    {
        w_.reset(ef);
        far_ = Far::keep;
        candidates_.merge_later([&](SlotId id) { return l_.sketched() && seen_.contains(id); });
    }
    // Does the search drop neighbours now, because W is full?
    bool drops() const { return far_ == Far::drop && w_.full(); }
    bool has_dropped() const { return dropped_; }
    // Makes all neighbours of the visited slots candidates. It reads the slots again, and calls
    // on_visit(id, slot, distance) for each of them.
    template <class OnVisit>
    void restore(OnVisit&& on_visit)
    {
        QUIVER_ASSERT(l_.sketched());   // so seen_ has the visited nodes
        far_ = Far::keep;
        dropped_ = false;
        candidates_.clear();
        Counters uncounted;
        seen_.sorted(visited_);
        for (size_t i = 0; i < visited_.size(); i++) {
            store_.poll();
            if (i + 1 < visited_.size())
                store_.prefetch(visited_[i + 1]);
            store_.read(visited_[i], [&](const Slot& slot) {
                if (!score(slot, code_in(slot)))
                    return;
                on_visit(visited_[i], slot, distance_);
                estimate_neighbours(slot, uncounted);
            });
        }
        store_.release();
    }
    // To be called when the search has run out of nodes. Adds the current neighbours of those
    // visited slots that were written since then, so that run() visits them. False: no slot was
    // written.
    bool expand_written(uint64_t since)
    {
        bool any = false;
        const auto want = [&](SlotId id) {
            if (l_.sketched() ? !seen_.contains(id) : seen_.insert(id))
                candidates_.add(-INFINITY, id);
        };
        seen_.sorted(visited_);
        store_.read_written(visited_, since, [&](SlotId, const Slot& slot) {
            const SlotHeader& h = slot.header();
            if (h.state >= SlotState::overflow || h.level != level_)
                return;
            any = true;
            for (uint32_t i = 0; i < std::min<uint32_t>(h.degree, l_.degree); i++)
                want(slot.ids()[i]);
        });
        if (const SlotId root = store_.entry().root; any && root != no_slot)
            want(root);
        return any;
    }
    // Puts an already visited node into W.
    void revisit(Candidate c) { w_.push(c); }
    bool exhausted() const { return candidates_.empty() && !dropped_ && (rooted_ || level_ > 0); }
    // Has the search met a node since restart()? If not, its start is not a node any more.
    bool landed() const { return landed_; }
    // From now on the search does not visit this slot, which may be no_slot, and, if deleted_nodes,
    // no deleted nodes.
    void avoid(bool deleted_nodes, SlotId slot)
    {
        avoids_deleted_ = deleted_nodes;
        avoided_ = slot;
    }
    // From now on, nodes of layer 0 without rows are followed, but are not among the nearest (lifecycle.hpp
    // may have made one the root).
    void find_only_rows() { only_rows_ = true; }
    // From now on, only nodes of layer 0 that may match are among the nearest. Null: all may.
    void set_filter(const codec::FilterSet* filter) { filter_ = filter; }
    // Whether all candidates that seem as near as the worst node of W are visited, however many. That
    // tells which of many equal nodes can be reached.
    void visit_all(bool all) { all_ = all; }
    // The memory that this search needs. Unused capacity from earlier searches does not count.
    size_t bytes() const { return candidates_.bytes() + seen_.bytes(); }

  private:
    // At least ten, because a scan with a narrow beam returns ten equal rows (Search::hand_out()).
    size_t most_ties() const { return all_ ? SIZE_MAX : std::max(w_.capacity(), size_t{10}); }
    // With other data than that of inexact estimates, searches come nowhere near these numbers: those
    // for SIFT, MiniLM and random 64-dimensional vectors end as they did without this rule.
    bool has_lost_patience() const
    {
        return in_vain_ >= std::max(6 * w_.capacity(), size_t{240}) && !all_ && w_.capacity() > 1;
    }

    // Takes the best candidates that were not visited, and prefetches them, unless the stop rule
    // holds. With sketches, seen_ has the visited nodes. Without sketches, it has the nodes whose
    // distance was computed, each of which is a candidate once.
    void take()
    {
        // In a descent nothing is taken ahead, because each step makes the other candidates useless.
        const bool ahead = w_.capacity() > 1;
        while (coming_count_ <= (ahead ? lookahead - 2 : 0)) {
            const bool full = w_.full();
            const float worst = full ? w_.top().distance() : INFINITY;
            size_t taken = 0;
            for (const Candidate c : candidates_.nearest(worst)) {
                const bool tie = full && c.distance() == worst;
                if (taken == (ahead ? 2 : 1) || (tie && ties_ >= most_ties()) ||
                    (full && has_lost_patience()))
                    break;
                taken++;
                const SlotId id = Frontier::id(c);
                if ((!l_.sketched() || seen_.insert(id)) && id != avoided_) {
                    ties_ += tie;
                    store_.prefetch(id);
                    coming_[coming_count_++] = id;
                }
            }
            if (taken == 0)
                return;
            candidates_.remove(taken);
        }
    }

    // The search has seen all nodes that it can reach from its start, and W is not full. On layer 0
    // it can reach the rest from the root.
    bool go_on_from_root()
    {
        if (level_ > 0 || rooted_ || w_.full() || !candidates_.empty())
            return false;
        rooted_ = true;
        const SlotId root = store_.entry().root;
        if (root == no_slot || (l_.sketched() ? seen_.contains(root) : !seen_.insert(root)))
            return false;
        candidates_.add(0, root);
        return true;
    }

    // Sets distance_ to that of a slot. False: the link to it was stale.
    bool score(const Slot& slot, const Code& code)
    {
        const SlotHeader& h = slot.header();
        if (h.state >= SlotState::overflow || h.level != level_ ||
            (h.state == SlotState::free && h.degree == 0))
            return false;
        distance_ = q_.distance(code);
        return true;
    }

    // May the live node in the slot be among the nearest?
    bool may_count(const Slot& slot, const Code& code) const
    {
        return level_ > 0 || ((!only_rows_ || slot.header().tid_count > 0) &&
                              (!filter_ || filter_->admits(code.filter)));
    }
    // Scores a slot, and tries to put it into W. False: the link to it was stale, or the node is
    // avoided.
    template <class OnVisit>
    bool arrive(SlotId id, const Slot& slot, const Code& code, Counters& counters,
                OnVisit&& on_visit)
    {
        if (!score(slot, code))
            return false;
        const SlotState state = slot.header().state;
        if (state == SlotState::deleted && avoids_deleted_)
            return false;
        landed_ |= state != SlotState::free;
        counters.visited++;
        const bool counts = state == SlotState::live && may_count(slot, code);
        counters.rejected += filter_ && level_ == 0 && !filter_->admits(code.filter);
        const bool in_w = counts && w_.wants(distance_);
        if (counts)
            in_vain_ = in_w ? 0 : in_vain_ + 1;
        if (in_w)
            w_.push(Candidate(distance_, id));
        on_visit(id, slot, code, distance_, in_w);
        return true;
    }

    void estimate_neighbours(const Slot& slot, Counters& counters)
    {
        // Only neighbours that are near enough for W are likely to be visited.
        const bool full = w_.full(), keep = far_ == Far::keep;
        dropped_ |= drops();
        const float* estimate =
            q_.estimates(slot, distance_, full ? w_.top().distance() : INFINITY);
        const SlotId* ids = slot.ids();
        const uint32_t degree = degree_of(slot);
        counters.estimated += degree;
        for (uint32_t first = 0; first < degree; first += 64) {
            const uint32_t count = std::min<uint32_t>(degree - first, 64);
            const uint64_t all = ~uint64_t{0} >> (64 - count);
            const uint64_t near = full ? q_.near()[first / 64] & all : all;   // NaN, too
            // A visited node that becomes a candidate is recognised when it is taken.
            candidates_.add(estimate + first, ids + first, near,
                            [&](SlotId id) { return seen_.contains_at_once(id); });
        }
        if (full && keep)
            candidates_.add_later(estimate, ids, degree);
    }

    void read_neighbours(Counters& counters)
    {
        const bool full = w_.full(), keep = far_ == Far::keep;
        dropped_ |= drops();
        const float worst = full ? w_.top().distance() : 0;
        fresh_.clear();
        for (uint32_t i = 0; i < node_.degree(); i++)
            if (seen_.insert(node_.slot().ids()[i]))
                fresh_.push_back(node_.slot().ids()[i]);
        for (size_t i = 0; i < fresh_.size(); i++) {
            store_.poll();
            if (i + 1 < fresh_.size())
                store_.prefetch(fresh_[i + 1]);
            if (!neighbour_.read_code(store_, fresh_[i]) || neighbour_.header().level != level_)
                continue;
            counters.estimated++;
            const float distance = q_.distance(neighbour_.code());
            if (!full || distance <= worst)
                candidates_.add(distance, fresh_[i]);
            else if (keep)
                candidates_.add_later(&distance, &fresh_[i], 1);
        }
    }

    S& store_;
    const Layout& l_;
    Query& q_;
    int level_;
    float distance_ = 0;   // of the node being visited
    Far far_ = Far::drop;
    bool stopped_ = false, landed_ = false, rooted_ = false;
    bool dropped_ = false;   // some neighbours
    bool all_ = false, only_rows_ = false;
    SlotId coming_[lookahead];   // the next to be visited
    size_t coming_count_ = 0;
    size_t ties_ = 0;      // candidates of this run() that were as far as the worst node of W
    size_t in_vain_ = 0;   // visits of live nodes since one was found for W
    bool avoids_deleted_ = false;
    SlotId avoided_ = no_slot;
    const codec::FilterSet* filter_ = nullptr;
    BoundedMaxHeap w_;
    IdSet seen_;
    Frontier candidates_;
    Vec<SlotId> visited_;
    Node node_, neighbour_;   // without sketches
    Vec<SlotId> fresh_;
};

// To be called when a search from `entry` met no node. Either the entry has moved since it was
// read, or the index is damaged, which is an error.
template <ReadStore S>
void expect_moved(S& store, const Entry& entry)
{
    if (store.entry() == entry)
        throw Error(Errc::corrupt,
                    "entry point (slot %u) and root (slot %u) of the graph are not nodes", entry.id,
                    entry.root);
}

// Descends from the entry to `level`. Returns the slot on that layer where the search continues;
// no_slot if the nodes on the way no longer exist.
template <ReadStore S>
SlotId descend(LayerSearch<S>& search, Entry from, int level, Counters& counters)
{
    SlotId at = from.id;
    for (int l = from.level; l > level && at != no_slot; l--) {
        SlotId down = no_slot;
        float best = 0;
        search.restart(l, 1);
        search.add(at, 0);
        // Deleted nodes never enter W, but their links and lower slots are as good as others.
        search.run(counters, [&](SlotId, const Slot& slot, const Code&, float distance, bool) {
            if (down == no_slot || distance < best) {
                best = distance;
                down = slot.header().down;
            }
        });
        at = down;
    }
    return at;
}

}   // namespace quiver::graph
