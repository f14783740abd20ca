// Which neighbours a node keeps: the heuristic of HNSW (Malkov and Yashunin 2016, algorithm 4): a
// candidate is good if it is nearer to the node than to every neighbour that is nearer still.
#pragma once

#include <numbers>

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

// The neighbours of one slot and a newcomer, known from their sketches alone. Bits are the neighbours
// themselves. Of vectors, the angle between two residuals is pi times the share of bits in which they
// differ (Charikar, "Similarity estimation techniques from rounding algorithms", 2002), their lengths
// follow from the factors.
class SketchedNeighbours {
  public:
    explicit SketchedNeighbours(const Layout& layout)
        : l_(layout), rows_((layout.degree + 1) * layout.words), length_(layout.degree + 1),
          distance_(layout.degree + 1), order_(layout.degree + 1)
    {
    }

    // The place of the neighbour that a full slot gives up for the newcomer in `encoder`; degree if
    // that is the newcomer itself, which `stay` rules out.
    uint32_t victim(const Slot& slot, const SketchEncoder& encoder, bool stay)
    {
        const uint32_t degree = l_.degree, count = degree + 1;
        for (uint32_t i = 0; i < degree; i++)
            for (uint32_t w = 0; w < l_.words; w++)
                rows_[i * l_.words + w] = slot.sketches()[w * degree + i];
        std::copy(encoder.bits(), encoder.bits() + l_.words, rows_.begin() + degree * l_.words);
        if (l_.form == Form::bits)
            for (uint32_t i = 0; i < count; i++)
                distance_[i] = bits_distance(l_.metric, slot.code(), row(i), l_.code_bytes);
        else
            measure(slot, encoder);

        for (uint32_t i = 0; i < count; i++)
            order_[i] = Candidate(distance_[i], i);
        std::sort(order_.begin(), order_.end());
        // An equal neighbour is at no distance: its residual is 0, and so are its factors.
        const auto equal = [&](uint32_t i) {
            return l_.form == Form::bits ? distance_[i] == 0
                                         : (i < degree ? slot.b()[i] : encoder.factors().b) == 0;
        };
        sorted_.clear();
        for (uint32_t i = 0; i < count; i++)
            sorted_.push_back({distance_[order_[i].id()], equal(order_[i].id())});
        const float centre2 = slot.header().params.norm2;
        select_neighbours(
            sorted_, 0, count, kept_,
            [&](uint32_t x, uint32_t y) { return pair(order_[x].id(), order_[y].id(), centre2); },
            &turned_down_);
        const auto spared = [&](uint32_t i) { return stay && order_[i].id() == degree; };
        return order_[least_useful(turned_down_, count, spared)].id();
    }

  private:
    const uint8_t* row(uint32_t i) const
    {
        return reinterpret_cast<const uint8_t*>(&rows_[i * l_.words]);
    }

    // The lengths of the residuals and the distances to the centre.
    void measure(const Slot& slot, const SketchEncoder& encoder)
    {
        const uint32_t degree = l_.degree;
        const float centre2 = slot.header().params.norm2;
        const bool ip = l_.metric == Metric::ip;
        if (ip) {
            // <c, r> of the neighbours: what factor a leaves of f <s, c>
            centre_.set(encoder.folded_centre(), l_.words);
            score_.resize(degree);
            simd::kernels().sketches.score(slot.sketches(), l_.words, degree, centre_.planes(),
                                           score_.data());
        }
        for (uint32_t i = 0; i < degree; i++) {
            const float a = slot.a()[i], b = slot.b()[i];
            set(i, b, centre2,
                ip ? -b * (centre_.offset() + centre_.factor() * static_cast<float>(score_[i])) - a
                   : 0);
        }
        set(degree, encoder.factors().b, centre2, encoder.centre_dot());
    }

    // The distance between two of the rows.
    float pair(uint32_t i, uint32_t j, float centre2) const
    {
        if (l_.form == Form::bits)
            return bits_distance(l_.metric, row(i), row(j), l_.code_bytes);
        const auto bits = static_cast<float>((l_.padded + l_.fold - 1) / l_.fold);
        const auto differ =
            static_cast<float>(simd::kernels().bits.hamming(row(i), row(j), l_.words * 8));
        const float cosine = std::cos(std::numbers::pi_v<float> * differ / bits);
        const float dot = length_[i] * length_[j] * cosine;
        if (l_.metric == Metric::ip)
            return distance_[i] + distance_[j] + centre2 - dot;
        return distance_[i] + distance_[j] - 2 * dot;
    }

    void set(uint32_t i, float b, float centre2, float centre_dot)
    {
        const float f = l_.metric == Metric::ip ? -b : -b / 2;
        const auto bits = static_cast<float>((l_.padded + l_.fold - 1) / l_.fold);
        // |r| = f sum|y| / |r|, and sum|y| of random y is known.
        length_[i] =
            f * bits * std::sqrt(2 / (std::numbers::pi_v<float> * static_cast<float>(l_.padded)));
        distance_[i] = l_.metric == Metric::ip ? -(centre2 + centre_dot) : length_[i] * length_[i];
    }

    const Layout& l_;
    Vec<uint64_t> rows_;
    Vec<float> length_, distance_;
    Vec<Seen> sorted_;
    Vec<Candidate> order_;
    Vec<uint32_t> kept_, turned_down_, score_;
    codec::BinaryQuery centre_;
};

}   // namespace quiver::graph
