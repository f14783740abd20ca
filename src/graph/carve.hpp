// Carving: the division of nodes into overlapping leaves of near ones (PiPNN, arXiv 2602.21247).
#pragma once

#include "core/rng.hpp"
#include "graph/code_products.hpp"

namespace quiver::graph {

struct CarveLimits {
    uint32_t leaf;      // the most nodes of a leaf
    uint32_t leaders;   // the most leaders of a division
    // On the first level of the division, each node belongs to this number of leaders. So it is in
    // about as many leaves.
    uint32_t fan;
};

// A division takes some of the nodes at random as leaders, and puts each node to its nearest leader.
// Groups that are larger than a leaf are divided again.
class Carver {
  public:
    Carver(const MemoryStore& store, uint64_t seed, void (*poll)())
        : rng_(seed), poll_(poll), leaders_(store)
    {
    }

    // Calls leaf(ids) for each leaf. Every node is in one leaf at least, and in each leaf once.
    template <class Leaf>
    void carve(Vec<SlotId> ids, const CarveLimits& limits, Leaf&& leaf)
    {
        divide(std::move(ids), limits, 0, leaf);
    }

  private:
    // A division that does not get smaller after this number of levels is cut instead.
    static constexpr int most_levels = 30;

    template <class Leaf>
    void divide(Vec<SlotId> ids, const CarveLimits& limits, int level, Leaf&& leaf)
    {
        if (ids.size() <= limits.leaf) {
            if (!ids.empty())
                leaf(std::span<const SlotId>(ids));
            return;
        }
        const size_t before = ids.size(), fan = level == 0 ? limits.fan : 1;
        Vec<size_t> start;
        Vec<SlotId> of = assign(std::move(ids), limits, fan, start);
        const auto group = [&](size_t g) {
            return std::span<const SlotId>(of).subspan(start[g], start[g + 1] - start[g]);
        };
        // Small groups are put together.
        Vec<SlotId> small;
        for (size_t g = 0; g + 1 < start.size(); g++) {
            const std::span<const SlotId> nodes = group(g);
            if (nodes.size() < limits.leaf / 8) {
                small.insert(small.end(), nodes.begin(), nodes.end());
                if (small.size() >= limits.leaf / 2)
                    cut(small, limits, leaf);
            } else if (nodes.size() >= before || level >= most_levels) {
                Vec<SlotId> all(nodes.begin(), nodes.end());
                cut(all, limits, leaf);
            } else
                divide(Vec<SlotId>(nodes.begin(), nodes.end()), limits, level + 1, leaf);
        }
        cut(small, limits, leaf);
    }
    // Cuts the nodes into leaves as they come.
    template <class Leaf>
    void cut(Vec<SlotId>& ids, const CarveLimits& limits, Leaf&& leaf)
    {
        std::sort(ids.begin(), ids.end());
        ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
        for (size_t i = 0; i < ids.size(); i += limits.leaf)
            leaf(std::span<const SlotId>(ids).subspan(
                i, std::min<size_t>(limits.leaf, ids.size() - i)));
        ids.clear();
    }

    // Assigns each node to its `fan` nearest leaders. The nodes of leader g are numbers start[g] to
    // start[g + 1] of the result.
    Vec<SlotId> assign(Vec<SlotId> ids, const CarveLimits& limits, size_t fan, Vec<size_t>& start)
    {
        const size_t wanted = ids.size() * fan * 2 / limits.leaf,
                     count = std::min(std::clamp<size_t>(wanted, 2, limits.leaders), ids.size());
        for (size_t i = 0; i < count; i++)
            std::swap(ids[i], ids[i + rng_.next() % (ids.size() - i)]);
        leaders_.set(std::span<const SlotId>(ids).first(count));
        fan = std::min(fan, count);

        constexpr uint32_t none = UINT32_MAX;
        Vec<uint32_t> leader(ids.size() * fan);
        start.assign(count + 1, 0);
        float unused[64];
        constexpr size_t at_once = 64;   // between two polls
        for (size_t first = 0; first < ids.size(); first += at_once) {
            poll_();
            const auto rows =
                std::span<const SlotId>(ids).subspan(first, std::min(at_once, ids.size() - first));
            leaders_.for_each_row(rows, [&](size_t i, const float* distances) {
                uint32_t* to = &leader[(first + i) * fan];
                size_t got =
                    simd::kernels().products.least(distances, leaders_.columns(), fan, to, unused);
                // A vector whose numbers overflow is near to none.
                if (got == 0)
                    to[got++] = static_cast<uint32_t>((first + i) % count);
                for (size_t j = 0; j < got; j++)
                    start[to[j] + 1]++;
                for (size_t j = got; j < fan; j++)
                    to[j] = none;
            });
        }
        for (size_t g = 0; g < count; g++)
            start[g + 1] += start[g];
        Vec<SlotId> of(start[count]);
        Vec<size_t> at(start.begin(), start.end() - 1);
        for (size_t i = 0; i < ids.size(); i++)
            for (size_t j = 0; j < fan; j++)
                if (const uint32_t g = leader[i * fan + j]; g != none)
                    of[at[g]++] = ids[i];
        return of;
    }

    Rng rng_;
    void (*poll_)();
    PackedCodes leaders_;
};

}   // namespace quiver::graph
