// Carving: the division of nodes into overlapping leaves of near ones (PiPNN, arXiv 2602.21247).
#pragma once

#include "core/rng.hpp"
#include "graph/code_products.hpp"
#include "graph/team.hpp"

namespace quiver::graph {

struct CarveLimits {
    uint32_t leaf;      // the most nodes of a leaf
    uint32_t leaders;   // the most leaders of a division
    // On the first level of the division, each node belongs to this number of leaders. So it is in
    // about as many leaves.
    uint32_t fan;
};

// A division takes some of the nodes at random as leaders, and puts each node to its nearest leader.
// Groups that are larger than a leaf are divided again. The participants of the team make the first
// division together, and then each of them divides groups on its own. The leaves do not depend on
// their number.
class Carver {
  public:
    Carver(const MemoryStore& store, Team& team, Arena& arena)
        : team_(team), arena_(arena), leaders_(store)
    {
    }

    // The part of the arena that carve() uses.
    static size_t bytes(size_t nodes, const CarveLimits& limits)
    {
        return 2 * Arena::bytes_of<SlotId>(nodes * limits.fan) +
               Arena::bytes_of<size_t>(limits.leaders + 1);
    }

    // All participants call this, with the same ids, which are in shared memory and change their order.
    // It calls leaf(ids, rng, first) for each leaf in one of them. Every node is in one leaf at least,
    // and in each leaf once. rng has random numbers for this leaf. If fan is 1, near leaves come one
    // after the other, and `first` is the number of nodes in leaves before this one.
    template <class Leaf>
    void carve(std::span<SlotId> ids, const CarveLimits& limits, uint64_t seed, Leaf&& leaf)
    {
        if (ids.size() <= limits.leaf) {
            team_.each(ids.size(), ids.size(), [&](size_t, size_t) {
                Rng rng(seed);
                leaf(std::span<const SlotId>(ids), rng, size_t{0});
            });
            return;
        }
        const size_t used = arena_.used(), fan = fan_of(ids.size(), limits),
                     count = leaders_of(ids.size(), fan, limits);
        uint32_t* const leader = arena_.take<uint32_t>(ids.size() * fan);
        SlotId* const of = arena_.take<SlotId>(ids.size() * fan);
        size_t* const start = arena_.take<size_t>(count + 1);
        team_.alone([&] {
            Rng rng(seed);
            choose_leaders(ids, count, rng);
        });
        leaders_.set(std::span<const SlotId>(ids).first(count));
        team_.each(ids.size(), 512, [&](size_t from, size_t to) {
            find_leaders(std::span<const SlotId>(ids).subspan(from, to - from), from, count, fan,
                         leader + from * fan);
        });
        team_.alone([&] { group(ids, fan, count, leader, start, of); });

        const Groups groups{of, start, count};
        const Vec<Unit> units = units_of(groups, limits);
        Vec<uint32_t>
            order;   // large ones first, so that all participants are done at the same time
        for (uint32_t i = 0; i < units.size(); i++)
            order.push_back(i);
        std::stable_sort(order.begin(), order.end(),
                         [&](uint32_t x, uint32_t y) { return units[x].nodes > units[y].nodes; });
        team_.each(units.size(), 1, [&](size_t i, size_t) {
            const Unit& unit = units[order[i]];
            Rng rng(seed + (order[i] + 1) * 0xd1342543de82ef95ull);
            size_t first = unit.first;
            const auto one = [&](std::span<const SlotId> nodes) {
                leaf(nodes, rng, first);
                first += nodes.size();
            };
            if (unit.groups.size() == 1)
                divide(groups[unit.groups[0]], ids.size(), limits, 1, rng, one);
            else {
                Vec<SlotId> small;
                for (const uint32_t g : unit.groups)
                    append(small, groups[g]);
                cut(small, limits, one);
            }
        });
        arena_.give_back(used);
    }

  private:
    // A division that does not get smaller after this number of levels is cut instead.
    static constexpr int most_levels = 30;

    // The nodes of each leader.
    struct Groups {
        const SlotId* nodes;
        const size_t* start;   // of each, and the end of the last
        size_t count;

        std::span<const SlotId> operator[](size_t i) const
        {
            return {nodes + start[i], start[i + 1] - start[i]};
        }
    };
    // What one participant divides: a group, or several small ones together.
    struct Unit {
        Vec<uint32_t> groups;
        size_t first, nodes;
    };

    static size_t leaders_of(size_t nodes, size_t fan, const CarveLimits& limits)
    {
        const size_t wanted = nodes * fan * 2 / limits.leaf;
        return std::min(std::clamp<size_t>(wanted, 2, limits.leaders), nodes);
    }
    static size_t fan_of(size_t nodes, const CarveLimits& limits)
    {
        return std::min<size_t>(limits.fan, leaders_of(nodes, limits.fan, limits));
    }
    static bool is_small(std::span<const SlotId> nodes, const CarveLimits& limits)
    {
        return nodes.size() < limits.leaf / 8;
    }
    static void append(Vec<SlotId>& to, std::span<const SlotId> nodes)
    {
        to.insert(to.end(), nodes.begin(), nodes.end());
    }

    // Calls alone(g) for each group that is not small, and together(list) for lists of small ones.
    template <class Alone, class Together>
    static void put_together(const Groups& groups, const CarveLimits& limits, Alone&& alone,
                             Together&& together)
    {
        Vec<uint32_t> small;
        size_t nodes = 0;
        const auto flush = [&] {
            if (!small.empty())
                together(small);
            small.clear();
            nodes = 0;
        };
        for (uint32_t g = 0; g < groups.count; g++) {
            if (!is_small(groups[g], limits)) {
                alone(g);
                continue;
            }
            if (!groups[g].empty())
                small.push_back(g);
            nodes += groups[g].size();
            if (nodes >= limits.leaf / 2)
                flush();
        }
        flush();
    }
    static Vec<Unit> units_of(const Groups& groups, const CarveLimits& limits)
    {
        Vec<Unit> units;
        size_t first = 0;
        const auto add = [&](const Vec<uint32_t>& list) {
            Unit unit{list, first, 0};
            for (const uint32_t g : list)
                unit.nodes += groups[g].size();
            first += unit.nodes;
            units.push_back(std::move(unit));
        };
        put_together(
            groups, limits, [&](uint32_t g) { add(Vec<uint32_t>(1, g)); }, add);
        return units;
    }

    // Divides the nodes, `before` of which were in the group from which they come.
    template <class Leaf>
    void divide(std::span<const SlotId> nodes, size_t before, const CarveLimits& limits, int level,
                Rng& rng, Leaf&& leaf)
    {
        Vec<SlotId> ids(nodes.begin(), nodes.end());
        if (ids.size() <= limits.leaf || ids.size() >= before || level > most_levels)
            return cut(ids, limits, leaf);
        const size_t count = leaders_of(ids.size(), 1, limits);
        choose_leaders(ids, count, rng);
        leaders_.set(std::span<const SlotId>(ids).first(count));
        Vec<uint32_t> leader(ids.size());
        Vec<SlotId> of(ids.size());
        Vec<size_t> start(count + 1);
        find_leaders(ids, 0, count, 1, leader.data());
        group(ids, 1, count, leader.data(), start.data(), of.data());
        before = ids.size();
        Vec<SlotId>().swap(ids);
        Vec<uint32_t>().swap(leader);
        const Groups groups{of.data(), start.data(), count};
        put_together(
            groups, limits,
            [&](uint32_t g) { divide(groups[g], before, limits, level + 1, rng, leaf); },
            [&](const Vec<uint32_t>& list) {
                Vec<SlotId> small;
                for (const uint32_t g : list)
                    append(small, groups[g]);
                cut(small, limits, leaf);
            });
    }
    // Cuts the nodes into leaves as they come.
    template <class Leaf>
    static void cut(Vec<SlotId>& ids, const CarveLimits& limits, Leaf&& leaf)
    {
        std::sort(ids.begin(), ids.end());
        ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
        for (size_t i = 0; i < ids.size(); i += limits.leaf)
            leaf(std::span<const SlotId>(ids).subspan(
                i, std::min<size_t>(limits.leaf, ids.size() - i)));
    }

    // Puts `count` of the ids first.
    static void choose_leaders(std::span<SlotId> ids, size_t count, Rng& rng)
    {
        for (size_t i = 0; i < count; i++)
            std::swap(ids[i], ids[i + rng.next() % (ids.size() - i)]);
    }
    // For each of the nodes, which are numbers `first` on of those that are divided, finds the numbers
    // of its `fan` nearest leaders. If there are fewer, `none` follows.
    void find_leaders(std::span<const SlotId> nodes, size_t first, size_t count, size_t fan,
                      uint32_t* leader)
    {
        float unused[64];
        constexpr size_t at_once = 64;   // between two polls
        for (size_t from = 0; from < nodes.size(); from += at_once) {
            team_.poll();
            const auto rows = nodes.subspan(from, std::min(at_once, nodes.size() - from));
            leaders_.for_each_row(rows, [&](size_t i, const float* distances) {
                uint32_t* to = leader + (from + i) * fan;
                size_t got =
                    simd::kernels().products.least(distances, leaders_.columns(), fan, to, unused);
                // A vector whose numbers overflow is near to none.
                if (got == 0)
                    to[got++] = static_cast<uint32_t>((first + from + i) % count);
                std::fill(to + got, to + fan, none);
            });
        }
    }
    // Puts the nodes of each leader together.
    static void group(std::span<const SlotId> ids, size_t fan, size_t count, const uint32_t* leader,
                      size_t* start, SlotId* of)
    {
        std::fill_n(start, count + 1, 0);
        for (size_t i = 0; i < ids.size() * fan; i++)
            if (leader[i] != none)
                start[leader[i] + 1]++;
        for (size_t g = 0; g < count; g++)
            start[g + 1] += start[g];
        Vec<size_t> at(start, start + count);
        for (size_t i = 0; i < ids.size() * fan; i++)
            if (leader[i] != none)
                of[at[leader[i]]++] = ids[i / fan];
    }

    static constexpr uint32_t none = UINT32_MAX;

    Team& team_;
    Arena& arena_;
    PackedNodes leaders_;
};

}   // namespace quiver::graph
