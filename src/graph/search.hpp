// Search of one layer, and the descent through the layers above it (HNSW, Malkov and Yashunin 2016,
// algorithms 2 and 5; neighbours by estimate as in SymphonyQG, arXiv 2411.12229).
//
// Candidates wait in a heap, sorted by their estimated distance. Visiting a candidate reads its
// slot: this gives its own distance, which is nearly exact, and estimates for all of its
// neighbours. W (the dynamic list of the HNSW paper) keeps the `ef` nearest visited nodes. The
// search ends when W is full and the best candidate's estimate is farther than the worst node of W.
// Without sketches, a visit also reads the neighbours, and their own distances take the place of
// estimates.
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

#include "core/error.hpp"
#include "core/marks.hpp"
#include "graph/node.hpp"
#include "graph/vectors.hpp"

namespace quiver::graph {

// Counters of a search. Further searches add to them.
struct Counters {
    uint64_t visited = 0;     // slots read
    uint64_t estimated = 0;   // neighbours scored
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

    void restart(int level, size_t ef)
    {
        level_ = level;
        landed_ = rooted_ = false;
        w_.reset(ef);
        seen_.clear();
        candidates_.clear();
        later_.clear();
        later_ids_.clear();
    }

    // Adds an entry point. Its distance is computed when it is visited.
    void add(SlotId id, float estimate)
    {
        if (!l_.sketched())
            seen_.insert(id);
        candidates_.push(Candidate(estimate, id));
    }

    // Runs until the stop rule holds. `keep`: candidates farther than the worst node of W are kept
    // for resume().
    template <class OnVisit>
    void run(Counters& counters, bool keep, OnVisit&& on_visit)
    {
        // The next candidates are prefetched, so that they come from memory while a slot is scored.
        // They were the best before the neighbours of the current slot were known, and are visited
        // in any case. In a descent nothing is prefetched, because each step makes the other
        // candidates useless.
        const size_t most_ahead = w_.capacity() > 1 ? lookahead : 1;
        SlotId ahead[lookahead] = {};
        size_t count = 0;
        for (stopped_ = false; !stopped_;) {
            while (count < most_ahead) {
                const SlotId id = take();
                if (id == no_slot)
                    break;
                store_.prefetch(id);
                ahead[count++] = id;
            }
            if (count == 0) {
                if (!go_on_from_root())
                    break;
                continue;
            }
            const SlotId id = ahead[0];
            static_assert(lookahead == 2);
            ahead[0] = ahead[1];
            count--;
            store_.poll();
            if (l_.sketched())
                store_.read(id, [&](const Slot& slot) {
                    if (arrive(id, slot, code_in(slot), counters, on_visit) && !stopped_)
                        estimate_neighbours(slot, counters, keep);
                });
            else if (node_.read(store_, id) &&
                     arrive(id, node_.slot(), node_.code(), counters, on_visit) && !stopped_)
                read_neighbours(counters, keep);
        }
        store_.release();
    }

    // To be called by on_visit(): ends run().
    void stop() { stopped_ = true; }

    // The nearest visited nodes so far, not sorted.
    BoundedMaxHeap& w() { return w_; }

    // Continues after run(keep = true) with an empty W of size `ef`.
    void resume(size_t ef)
    {
        w_.reset(ef);
        // With sketches, all neighbours were kept, whether near or not, and may have been visited
        // since.
        for (size_t i = 0; i < later_.size(); i++)
            if (!l_.sketched() || !seen_.contains(later_ids_[i]))
                candidates_.append(Candidate(later_[i], later_ids_[i]));
        candidates_.heapify();
        later_.clear();
        later_ids_.clear();
    }
    // To be called when the search has run out of nodes. Adds the current neighbours of those
    // visited slots that were written since then, so that run() visits them. False: no slot was
    // written.
    bool expand_written(uint64_t since)
    {
        bool any = false;
        const auto want = [&](SlotId id) {
            if (l_.sketched() ? !seen_.contains(id) : seen_.insert(id))
                candidates_.push(Candidate(-INFINITY, id));
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
    bool exhausted() const
    {
        return candidates_.empty() && later_.empty() && (rooted_ || level_ > 0);
    }
    // Has the search met a node since restart()? If not, its start is not a node any more.
    bool landed() const { return landed_; }
    // Sets the slots that are not to be visited; may be null.
    void avoid(const Marks* slots) { avoided_ = slots; }
    // The memory that this search needs. Unused capacity from earlier searches does not count.
    size_t bytes() const
    {
        return candidates_.bytes() + seen_.bytes() + later_.size() * 2 * sizeof(float);
    }

  private:
    // The best candidate that was not visited; no_slot when the stop rule holds. With sketches,
    // seen_ has the visited nodes. Without sketches, it has the nodes whose distance was computed,
    // each of which is a candidate once.
    SlotId take()
    {
        while (!candidates_.empty()) {
            if (w_.full() && candidates_.top().distance() > w_.top().distance())
                return no_slot;
            const SlotId id = candidates_.pop().id();
            if ((!l_.sketched() || seen_.insert(id)) && !(avoided_ && avoided_->test(id)))
                return id;
        }
        return no_slot;
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
        candidates_.push(Candidate(0, root));
        return true;
    }

    // Scores a slot. False: the link to it was stale.
    template <class OnVisit>
    bool arrive(SlotId id, const Slot& slot, const Code& code, Counters& counters,
                OnVisit&& on_visit)
    {
        const SlotHeader& h = slot.header();
        if (h.state == SlotState::overflow || h.state > SlotState::overflow || h.level != level_)
            return false;
        if (h.state != SlotState::free)
            landed_ = true;
        else if (h.degree == 0)
            return false;
        distance_ = q_.distance(code);
        counters.visited++;
        bool in_w = false;
        if (h.state == SlotState::live && w_.wants(distance_)) {
            in_w = true;
            w_.push(Candidate(distance_, id));
        }
        on_visit(id, slot, code, distance_, in_w);
        return true;
    }

    void estimate_neighbours(const Slot& slot, Counters& counters, bool keep)
    {
        const bool full = w_.full();
        const float* estimate =
            q_.estimates(slot, distance_, full ? w_.top().distance() : INFINITY);
        const SlotId* ids = slot.ids();
        const uint32_t degree = std::min<uint32_t>(slot.header().degree, l_.degree);
        counters.estimated += degree;
        for (uint32_t first = 0; first < degree; first += 64) {
            uint64_t near = full ? q_.near()[first / 64] : ~uint64_t{0};   // NaN, too
            if (degree - first < 64)
                near &= (uint64_t{1} << (degree - first)) - 1;
            for (; near != 0; near &= near - 1) {
                const auto i = first + static_cast<uint32_t>(std::countr_zero(near));
                if (!seen_.contains(ids[i]))
                    candidates_.push(Candidate(estimate[i], ids[i]));
            }
        }
        if (keep) {
            later_.insert(later_.end(), estimate, estimate + degree);
            later_ids_.insert(later_ids_.end(), ids, ids + degree);
        }
    }

    void read_neighbours(Counters& counters, bool keep)
    {
        const bool full = w_.full();
        const float worst = full ? w_.top().distance() : 0;
        fresh_.clear();
        for (uint32_t i = 0; i < node_.degree(); i++)
            if (seen_.insert(node_.slot().ids()[i]))
                fresh_.push_back(node_.slot().ids()[i]);
        for (size_t i = 0; i < fresh_.size(); i++) {
            store_.poll();
            if (i + 1 < fresh_.size())
                store_.prefetch(fresh_[i + 1]);
            if (!neighbour_.read(store_, fresh_[i]) || neighbour_.header().level != level_)
                continue;
            counters.estimated++;
            const Candidate c(q_.distance(neighbour_.code()), fresh_[i]);
            if (full && !(c.distance() <= worst)) {
                if (keep) {
                    later_.push_back(c.distance());
                    later_ids_.push_back(c.id());
                }
            } else
                candidates_.push(c);
        }
    }

    S& store_;
    const Layout& l_;
    Query& q_;
    int level_;
    float distance_ = 0;   // of the node being visited
    bool stopped_ = false, landed_ = false, rooted_ = false;
    const Marks* avoided_ = nullptr;
    BoundedMaxHeap w_;
    IdSet seen_;
    MinHeap candidates_;
    Vec<float> later_;   // distances of the neighbours kept for resume(); later_ids_ has their ids
    Vec<SlotId> later_ids_, visited_;
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
        search.run(counters, false,
                   [&](SlotId, const Slot& slot, const Code&, float distance, bool) {
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
