// Which neighbours a node keeps: the heuristic of HNSW (Malkov and Yashunin 2016, algorithm 4): a
// candidate is good if it is nearer to the node than to every neighbour that is nearer still.
#pragma once

#include "graph/vectors.hpp"

namespace quiver::graph {

// A candidate as a node sees it.
struct Seen {
    float distance;   // to the node
    bool equal;       // has the node's own code
};

// Does neighbour `kept` make `candidate` superfluous, `pair` being the distance between the two? It does if the
// candidate is not nearer to the node than to that neighbour. But a neighbour that equals the node is as far
// from all others as the node is. It makes only further equals superfluous: else equal nodes would lead to
// nobody but each other, an island in the graph.
inline bool makes_superfluous(Seen kept, Seen candidate, float pair)
{
    return pair <= candidate.distance && (!kept.equal || candidate.equal);
}

// Up to `most` of `count` candidates (nearest first) into `kept`. Where that leaves fewer than `least`, the
// nearest of those turned down are kept too: on 100,000 text embeddings filling half of the places gave the
// best recall, filling all cost a fifth of the speed.
//     float pair(i, j): the distance between candidates i and j
template <class PairDistance>
void select_neighbours(const Vec<Seen>& candidates, size_t least, size_t most, Vec<uint32_t>& kept,
                       PairDistance&& pair, Vec<uint32_t>* turned_down = nullptr)
{
    kept.clear();
    Vec<uint32_t> pruned;
    for (uint32_t i = 0; i < candidates.size() && kept.size() < most; i++) {
        bool good = true;
        for (const uint32_t k : kept)
            if (makes_superfluous(candidates[k], candidates[i], pair(i, k))) {
                good = false;
                break;
            }
        (good ? kept : pruned).push_back(i);
    }
    if (turned_down)
        *turned_down = pruned;
    for (size_t i = 0; i < pruned.size() && kept.size() < least; i++)
        kept.push_back(pruned[i]);
}

// Of `count` candidates, nearest first, the one to give up: the farthest of those that were turned
// down, or of all. Not one that is spared.
template <class Spared>
uint32_t least_useful(const Vec<uint32_t>& turned_down, uint32_t count, Spared&& spared)
{
    for (size_t i = turned_down.size(); i-- > 0;)
        if (!spared(turned_down[i]))
            return turned_down[i];
    return spared(count - 1) ? count - 2 : count - 1;
}

// The neighbours of one slot and a newcomer, known from their sketches alone.
class SketchedNeighbours {
  public:
    explicit SketchedNeighbours(const Encoding& encoding)
        : set_(encoding.sketches() ? encoding.sketches()->set() : nullptr)
    {
    }

    // The place of the neighbour that a full slot gives up for the newcomer in `encoder`; degree if
    // that is the newcomer itself, which `stay` rules out.
    uint32_t victim(const Slot& slot, const LinkEncoder& encoder, bool stay)
    {
        const uint32_t degree = slot.layout().degree, count = degree + 1;
        set_->set(sketches_in(slot), code_in(slot), encoder.sketches());
        order_.clear();
        for (uint32_t i = 0; i < count; i++)
            order_.push_back(Candidate(set_->distance(i), i));
        std::sort(order_.begin(), order_.end());
        sorted_.clear();
        for (const Candidate& c : order_)
            sorted_.push_back({c.distance(), set_->equals_centre(c.id())});
        select_neighbours(
            sorted_, 0, count, kept_,
            [&](uint32_t x, uint32_t y) { return set_->pair(order_[x].id(), order_[y].id()); },
            &turned_down_);
        const auto spared = [&](uint32_t i) { return stay && order_[i].id() == degree; };
        return order_[least_useful(turned_down_, count, spared)].id();
    }

  private:
    Owned<codec::SketchedSet> set_;
    Vec<Seen> sorted_;
    Vec<Candidate> order_;
    Vec<uint32_t> kept_, turned_down_;
};

}   // namespace quiver::graph
