// The candidates of a search: nodes that it may visit.
#pragma once

#include "core/heap.hpp"
#include "graph/layout.hpp"

namespace quiver::graph {

class Frontier {
  public:
    void clear()
    {
        heap_.clear();
        later_.clear();
        later_ids_.clear();
    }
    bool empty() const { return heap_.empty() && later_.empty(); }
    [[gnu::always_inline]] void add(float distance, SlotId id) { heap_.push(key(distance, id)); }
    // Adds candidates that next() does not return until merge_later() was called. This costs next
    // to nothing. They may be candidates already.
    void add_later(const float* distances, const SlotId* ids, size_t count)
    {
        later_.insert(later_.end(), distances, distances + count);
        later_ids_.insert(later_ids_.end(), ids, ids + count);
    }
    // Leaves out those for which is_visited(id) is true.
    template <class IsVisited>
    void merge_later(IsVisited&& is_visited)
    {
        for (size_t i = 0; i < later_.size(); i++)
            if (!is_visited(later_ids_[i]))
                heap_.append(key(later_[i], later_ids_[i]));
        heap_.heapify();
        later_.clear();
        later_ids_.clear();
    }

    // ---- without those that were added for later ----

    bool has_next() const { return !heap_.empty(); }
    // The distance of the nearest.
    float next_distance() const { return heap_.top().distance(); }
    // Removes the nearest, and returns its id.
    SlotId next() { return ~heap_.pop().id(); }

    // The memory in use.
    size_t bytes() const
    {
        return heap_.bytes() + later_.size() * (sizeof(float) + sizeof(SlotId));
    }

  private:
    // Of candidates at the same distance, the one with the greatest id comes first. It is probably
    // the newest: of many equal nodes, that one has room for another row.
    static Candidate key(float distance, SlotId id) { return {distance, ~id}; }

    MinHeap heap_;
    Vec<float> later_;   // distances
    Vec<SlotId> later_ids_;
};

}   // namespace quiver::graph
