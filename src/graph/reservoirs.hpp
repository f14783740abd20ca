// Reservoirs: the nearest nodes that each node has met so far. They are kept in the nodes' own
// slots, where the links will be. A slot can have several reservoirs.
#pragma once

#include "graph/memory_store.hpp"

namespace quiver::graph {

class Reservoirs {
  public:
    // Each has room for `capacity` nodes, which begin at entry `first` of the slot.
    Reservoirs(MemoryStore& store, uint32_t first, uint32_t capacity)
        : store_(store), first_(first), capacity_(capacity)
    {
    }

    static constexpr uint32_t most_capacity = 252;
    static constexpr size_t bytes_per_node = 8;   // besides the slots
    // How many entries a slot has room for.
    static uint32_t entries_in(const Layout& l)
    {
        return (l.slot_bytes - l.ids) / static_cast<uint32_t>(sizeof(SlotId) + sizeof(float));
    }
    // Empties all reservoirs.
    void clear(size_t nodes) { heads_.assign(nodes, Head{}); }

    void offer(SlotId id, SlotId other, float distance)
    {
        Head& head = heads_[id];
        if (!(distance < head.farthest))
            return;
        SlotId* const ids = ids_of(id);
        bool known = false;
        for (uint32_t i = 0; i < head.count; i++)
            known |= ids[i] == other;
        if (known)
            return;
        const uint32_t at = head.count < capacity_ ? head.count++ : head.farthest_at;
        ids[at] = other;
        distances_of(id)[at] = distance;
        if (head.count == capacity_)
            find_farthest(id);
    }
    // Copies what the reservoir has, nearest first.
    void read(SlotId id, Vec<Candidate>& to) const
    {
        to.clear();
        for (uint32_t i = 0; i < heads_[id].count; i++)
            to.push_back(Candidate(distances_of(id)[i], ids_of(id)[i]));
        std::sort(to.begin(), to.end());
    }
    void prefetch(SlotId id) const
    {
        quiver::prefetch(reinterpret_cast<const char*>(ids_of(id)),
                         capacity_ * (sizeof(SlotId) + sizeof(float)));
    }

  private:
    struct Head {
        float farthest = std::numeric_limits<float>::infinity();   // if the reservoir is full
        uint8_t count = 0, farthest_at = 0;
    };
    static_assert(sizeof(Head) == bytes_per_node);

    SlotId* ids_of(SlotId id) const { return store_.slot(id).ids() + 2 * first_; }
    float* distances_of(SlotId id) const
    {
        return reinterpret_cast<float*>(ids_of(id) + capacity_);
    }
    void find_farthest(SlotId id)
    {
        const float* d = distances_of(id);
        float most = d[0];
        for (uint32_t i = 1; i < capacity_; i++)
            most = std::max(most, d[i]);
        uint32_t at = 0;
        while (d[at] != most)
            at++;
        heads_[id].farthest = most;
        heads_[id].farthest_at = static_cast<uint8_t>(at);
    }

    MemoryStore& store_;
    uint32_t first_, capacity_;
    Vec<Head> heads_;
};

}   // namespace quiver::graph
