// Which neighbours a node keeps: the heuristic of HNSW (Malkov and Yashunin 2016, algorithm 4): a
// candidate is good if it is nearer to the node than to every neighbour that is nearer still.
#pragma once

#include <numbers>

#include "graph/vectors.hpp"

namespace quiver::graph {

// Up to `most` of `count` candidates (nearest first, distances to the node given) into `kept`. Where
// that leaves fewer than `least`, the nearest of those turned down are kept too: on 100,000 text
// embeddings filling half of the places gave the best recall, filling all cost a fifth of the speed.
//     float pair(i, j): the distance between candidates i and j
template <class PairDistance>
void select_neighbours(size_t count, const float* distance, size_t least, size_t most,
                       Vec<uint32_t>& kept, PairDistance&& pair,
                       Vec<uint32_t>* turned_down = nullptr)
{
    kept.clear();
    Vec<uint32_t> pruned;
    for (uint32_t i = 0; i < count && kept.size() < most; i++) {
        bool good = true;
        for (const uint32_t k : kept)
            if (pair(i, k) <= distance[i]) {
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

// The neighbours of one slot and a newcomer, known from their sketches alone: the angle between two
// residuals is pi times the share of bits in which they differ (Charikar, "Similarity estimation
// techniques from rounding algorithms", 2002), their lengths follow from the factors.
class SketchedNeighbours {
  public:
    explicit SketchedNeighbours(const Layout& layout)
        : l_(layout), rows_((layout.degree + 1) * layout.words), length_(layout.degree + 1),
          distance_(layout.degree + 1), order_(layout.degree + 1)
    {
    }

    // The place of the neighbour that a full slot gives up for the newcomer in `encoder`; degree if
    // that is the newcomer itself.
    uint32_t victim(const Slot& slot, const SketchEncoder& encoder)
    {
        const uint32_t degree = l_.degree, count = degree + 1;
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
            for (uint32_t w = 0; w < l_.words; w++)
                rows_[i * l_.words + w] = slot.sketches()[w * degree + i];
            const float a = slot.a()[i], b = slot.b()[i];
            set(i, b, centre2,
                ip ? -b * (centre_.offset() + centre_.factor() * static_cast<float>(score_[i])) - a : 0);
        }
        std::copy(encoder.bits(), encoder.bits() + l_.words, rows_.begin() + degree * l_.words);
        set(degree, encoder.factors().b, centre2, encoder.centre_dot());

        for (uint32_t i = 0; i < count; i++)
            order_[i] = Candidate(distance_[i], i);
        std::sort(order_.begin(), order_.end());
        Vec<float>& sorted = sorted_;
        sorted.resize(count);
        for (uint32_t i = 0; i < count; i++)
            sorted[i] = distance_[order_[i].id()];
        const auto hamming = simd::kernels().bits.hamming;
        const auto bytes = l_.words * 8;
        const auto bits = static_cast<float>((l_.padded + l_.fold - 1) / l_.fold);
        const auto pair = [&](uint32_t x, uint32_t y) {
            const uint32_t i = order_[x].id(), j = order_[y].id();
            const auto differ = static_cast<float>(
                hamming(reinterpret_cast<const uint8_t*>(&rows_[i * l_.words]),
                        reinterpret_cast<const uint8_t*>(&rows_[j * l_.words]), bytes));
            const float cosine = std::cos(std::numbers::pi_v<float> * differ / bits);
            const float dot = length_[i] * length_[j] * cosine;
            if (ip)
                return distance_[i] + distance_[j] + centre2 - dot;
            return distance_[i] + distance_[j] - 2 * dot;
        };
        select_neighbours(count, sorted.data(), 0, count, kept_, pair, &turned_down_);
        return order_[turned_down_.empty() ? count - 1 : turned_down_.back()].id();
    }

  private:
    void set(uint32_t i, float b, float centre2, float centre_dot)
    {
        const float f = l_.metric == Metric::ip ? -b : -b / 2;
        const auto bits = static_cast<float>((l_.padded + l_.fold - 1) / l_.fold);
        // |r| = f sum|y| / |r|, and sum|y| of random y is known.
        length_[i] = f * bits * std::sqrt(2 / (std::numbers::pi_v<float> * static_cast<float>(l_.padded)));
        distance_[i] = l_.metric == Metric::ip ? -(centre2 + centre_dot) : length_[i] * length_[i];
    }

    const Layout& l_;
    Vec<uint64_t> rows_;
    Vec<float> length_, distance_, sorted_;
    Vec<Candidate> order_;
    Vec<uint32_t> kept_, turned_down_, score_;
    quant::BinaryQuery centre_;
};

}   // namespace quiver::graph
