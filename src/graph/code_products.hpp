// Distances between many nodes at a time, as matrix products of their 8-bit codes.
#pragma once

#include <span>

#include "codec/packed_codes.hpp"
#include "graph/memory_store.hpp"

namespace quiver::graph {

// The codes of some nodes (codec::PackedCodes).
class PackedNodes {
    auto code_of(std::span<const SlotId> ids) const
    {
        return [this, ids](size_t i) {
            const MutableSlot slot = store_.slot(ids[i]);
            return Code{slot.header().params, reinterpret_cast<const uint8_t*>(slot.code()), 0};
        };
    }

  public:
    explicit PackedNodes(const MemoryStore& store)
        : store_(store), codes_(store.encoding().codec().traits.padded)
    {
    }

    void set(std::span<const SlotId> ids) { codes_.set(ids.size(), code_of(ids)); }
    size_t columns() const { return codes_.columns(); }
    // Calls f(i, distances) for each row i, with its squared distances to all columns, which f may
    // change.
    template <class F>
    void for_each_row(std::span<const SlotId> rows, F&& f)
    {
        codes_.for_each_row(rows.size(), code_of(rows), f);
    }
    // The same, where the rows are the columns, and the distances of each pair are computed once.
    template <class F>
    void for_each_of_all(std::span<const SlotId> rows, F&& f)
    {
        codes_.for_each_of_all(rows.size(), code_of(rows), f);
    }

  private:
    const MemoryStore& store_;
    codec::PackedCodes codes_;
};

}   // namespace quiver::graph
