// The choice of a node's neighbours: the heuristic of HNSW (Malkov and Yashunin 2016, algorithm 4).
// It selects each candidate that is nearer to the node than to every neighbour selected before it.
// So neighbours lie in all directions.
#pragma once

#include "graph/vectors.hpp"

namespace quiver::graph {

// Where a candidate is, relative to the node.
struct Proximity {
    float distance;   // to the node
    bool equal;       // its code is the node's own
};

// Does the neighbour `selected` make `candidate` superfluous? It does if the candidate is not
// nearer to the node than to that neighbour; pair_distance is the distance between the two. But a
// neighbour that equals the node is as far from all others as the node itself. So it makes only
// further equal nodes superfluous. Otherwise equal nodes would link only to each other and be an
// island in the graph.
inline bool makes_superfluous(Proximity selected, Proximity candidate, float pair_distance)
{
    return pair_distance <= candidate.distance && (!selected.equal || candidate.equal);
}

// How many neighbours to select.
struct SelectionLimits {
    // This number of candidates, from the first on, are neighbours in any case. They may be in any
    // order; the others must be sorted.
    size_t fixed = 0;
    // If the heuristic selects fewer, the nearest discarded candidates are selected as well. On
    // 100,000 text embeddings, filling half of the places gave the best recall, and filling all of
    // them cost a fifth of the speed.
    size_t least = 0;
    size_t most;
};

// Numbers of candidates.
struct Selection {
    Vec<uint32_t> selected;
    Vec<uint32_t>
        discarded;   // nearest first; some may be selected as well (SelectionLimits::least)

    void clear()
    {
        selected.clear();
        discarded.clear();
    }
};

// Selects neighbours from `candidates`, which are sorted, nearest first:
//     size()                       how many there are
//     proximity(i)                 of candidate i
//     float pair_distance(i, j)    between candidates i and j
template <class Candidates>
void select_neighbours(const Candidates& candidates, const SelectionLimits& limits, Selection& to)
{
    to.clear();
    for (uint32_t i = 0; i < limits.fixed; i++)
        to.selected.push_back(i);
    const auto is_superfluous = [&](uint32_t i) {
        const Proximity candidate = candidates.proximity(i);
        for (const uint32_t s : to.selected) {
            const Proximity selected = candidates.proximity(s);
            // A fixed neighbour that is farther away than the candidate must not rule it out.
            if (s < limits.fixed && !(selected.distance < candidate.distance))
                continue;
            if (makes_superfluous(selected, candidate, candidates.pair_distance(i, s)))
                return true;
        }
        return false;
    };
    for (auto i = static_cast<uint32_t>(limits.fixed);
         i < candidates.size() && to.selected.size() < limits.most; i++)
        (is_superfluous(i) ? to.discarded : to.selected).push_back(i);
    for (size_t i = 0; i < to.discarded.size() && to.selected.size() < limits.least; i++)
        to.selected.push_back(to.discarded[i]);
}

// The same, where all candidates but number `added` were selected or discarded before, without it.
class SelectionUpdate {
  public:
    // selected[i] tells whether candidate i was selected, and then, whether it is now. The result
    // is that of select_neighbours() with room for all.
    template <class Candidates>
    void add(const Candidates& candidates, uint32_t added, Vec<uint8_t>& selected)
    {
        const auto rules_out = [&](uint32_t s, uint32_t i) {
            return makes_superfluous(candidates.proximity(s), candidates.proximity(i),
                                     candidates.pair_distance(i, s));
        };
        const auto is_ruled_out = [&](uint32_t i) {
            for (uint32_t s = 0; s < i; s++)
                if (selected[s] && rules_out(s, i))
                    return true;
            return false;
        };
        selected[added] = !is_ruled_out(added);
        if (!selected[added])
            return;
        // Only what is new, or gone, can change the fate of a candidate.
        gained_.assign(1, added);
        lost_.clear();
        for (uint32_t i = added + 1; i < candidates.size(); i++) {
            const auto rules_this_out = [&](uint32_t s) { return rules_out(s, i); };
            if (selected[i]) {
                if (std::any_of(gained_.begin(), gained_.end(), rules_this_out)) {
                    selected[i] = false;
                    lost_.push_back(i);
                }
            } else if (std::any_of(lost_.begin(), lost_.end(), rules_this_out) &&
                       !is_ruled_out(i)) {
                selected[i] = true;
                gained_.push_back(i);
            }
        }
    }

  private:
    Vec<uint32_t> gained_, lost_;
};

// The least useful of `count` candidates: the farthest discarded one, or if there is none, the
// farthest of all. is_exempt(i) is true for at most one candidate, which is not returned.
template <class IsExempt>
uint32_t least_useful(const Selection& selection, uint32_t count, IsExempt&& is_exempt)
{
    for (size_t i = selection.discarded.size(); i-- > 0;)
        if (!is_exempt(selection.discarded[i]))
            return selection.discarded[i];
    return is_exempt(count - 1) ? count - 2 : count - 1;
}

// The neighbours of one full slot and a new node, compared by their sketches alone.
class SketchedNeighbours {
  public:
    explicit SketchedNeighbours(const Encoding& encoding)
        : set_(encoding.sketches() ? encoding.sketches()->set() : nullptr)
    {
    }

    // Which link of the slot would a link to the new node replace? `encoder` has just encoded the
    // new node relative to the slot's node. Returns the link's place, or the degree if the new node
    // itself is the least useful one. With `force`, the new node is never chosen.
    uint32_t place_for_new(const Slot& slot, const LinkEncoder& encoder, bool force)
    {
        const uint32_t degree = slot.layout().degree, count = degree + 1;
        set_->set(sketches_in(slot), code_in(slot), encoder.sketches());
        order_.clear();
        for (uint32_t i = 0; i < count; i++)
            order_.push_back(Candidate(set_->distance(i), i));
        std::sort(order_.begin(), order_.end());
        sorted_.clear();
        for (const Candidate& c : order_)
            sorted_.push_back({c.id(), {c.distance(), set_->equals_centre(c.id())}});
        select_neighbours(View{*set_, sorted_}, {.most = count}, selection_);
        const auto is_exempt = [&](uint32_t i) { return force && sorted_[i].number == degree; };
        return sorted_[least_useful(selection_, count, is_exempt)].number;
    }

  private:
    struct Member {
        uint32_t number;   // in set_
        Proximity proximity;
    };
    struct View {
        const codec::SketchedSet& set;
        const Vec<Member>& sorted;

        size_t size() const { return sorted.size(); }
        Proximity proximity(uint32_t i) const { return sorted[i].proximity; }
        float pair_distance(uint32_t i, uint32_t j) const
        {
            return set.pair(sorted[i].number, sorted[j].number);
        }
    };

    Owned<codec::SketchedSet> set_;
    Vec<Candidate> order_;
    Vec<Member> sorted_;
    Selection selection_;
};

}   // namespace quiver::graph
