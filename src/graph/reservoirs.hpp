// Reservoirs: the nearest nodes that each node has met so far. They are kept in the nodes' own
// slots, where the links will be. A slot can have several reservoirs.
//
// What a reservoir holds at the end does not depend on the order in which nodes were offered: of two
// nodes at the same distance, the one with the lower id counts as nearer, and if a node is offered
// with several distances, which differ by rounding, the least of them counts.
#pragma once

#include "core/heap.hpp"
#include "core/spin_lock.hpp"
#include "graph/memory_store.hpp"
#include "graph/team.hpp"

namespace quiver::graph {

class Reservoirs {
  public:
    // What there is of each reservoir besides the slot.
    struct Head {
        float farthest = std::numeric_limits<float>::infinity();   // if the reservoir is full
        uint8_t count = 0, farthest_at = 0;
        uint8_t locked = false;
    };
    static_assert(sizeof(Head) == 8);

    // Each has room for `capacity` nodes, which begin at entry `first` of the slot. `heads` has a
    // place for each slot from number `first_slot` on. shared: several processes offer nodes at the
    // same time.
    Reservoirs(MemoryStore& store, uint32_t first, uint32_t capacity, SlotId first_slot,
               Head* heads, bool shared)
        : store_(store), first_(first), capacity_(capacity), first_slot_(first_slot), heads_(heads),
          shared_(shared)
    {
    }

    static constexpr uint32_t most_capacity = 252;
    // How many entries a slot has room for.
    static uint32_t entries_in(const Layout& l)
    {
        return (l.slot_bytes - l.ids) / static_cast<uint32_t>(sizeof(SlotId) + sizeof(float));
    }
    void clear(SlotId id) { head(id) = Head{}; }

    void offer(SlotId id, SlotId other, float distance)
    {
        Head& head = this->head(id);
        // (`farthest` only becomes less. So it does no harm to read it before the lock.)
        if (!(distance <= std::atomic_ref(head.farthest).load(std::memory_order_relaxed)) ||
            distance == std::numeric_limits<float>::infinity())
            return;
        if (!shared_)
            return add(id, other, distance);
        const SpinLock lock(head.locked, store_.poller());
        add(id, other, distance);
    }
    // Copies what the reservoir has, nearest first.
    void read(SlotId id, Vec<Candidate>& to) const
    {
        to.clear();
        for (uint32_t i = 0; i < head(id).count; i++)
            to.push_back(Candidate(distances_of(id)[i], ids_of(id)[i]));
        std::sort(to.begin(), to.end());
    }
    void prefetch(SlotId id) const
    {
        quiver::prefetch(reinterpret_cast<const char*>(ids_of(id)),
                         capacity_ * (sizeof(SlotId) + sizeof(float)));
    }

  private:
    void add(SlotId id, SlotId other, float distance)
    {
        Head& head = this->head(id);
        SlotId* const ids = ids_of(id);
        float* const distances = distances_of(id);
        uint32_t at = capacity_;   // where it is already
        for (uint32_t i = 0; i < head.count; i++)
            at = ids[i] == other ? i : at;
        if (at < capacity_) {
            if (!(distance < distances[at]))
                return;
        } else if (head.count < capacity_)
            at = head.count++;
        else if (Candidate(distance, other) <
                 Candidate(distances[head.farthest_at], ids[head.farthest_at]))
            at = head.farthest_at;
        else
            return;
        ids[at] = other;
        distances[at] = distance;
        if (head.count == capacity_)
            find_farthest(id);
    }

    Head& head(SlotId id) const { return heads_[id - first_slot_]; }
    SlotId* ids_of(SlotId id) const { return store_.slot(id).ids() + 2 * first_; }
    float* distances_of(SlotId id) const
    {
        return reinterpret_cast<float*>(ids_of(id) + capacity_);
    }
    void find_farthest(SlotId id)
    {
        const float* d = distances_of(id);
        const SlotId* ids = ids_of(id);
        float most = d[0];
        for (uint32_t i = 1; i < capacity_; i++)
            most = std::max(most, d[i]);
        uint32_t at = 0;
        while (d[at] != most)
            at++;
        for (uint32_t i = at + 1; i < capacity_; i++)
            if (d[i] == most && ids[i] > ids[at])
                at = i;
        Head& head = this->head(id);
        std::atomic_ref(head.farthest).store(most, std::memory_order_relaxed);
        head.farthest_at = static_cast<uint8_t>(at);
    }

    MemoryStore& store_;
    uint32_t first_, capacity_;
    SlotId first_slot_;
    Head* heads_;
    bool shared_;
};

}   // namespace quiver::graph
