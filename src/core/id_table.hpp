// A hash table with open addressing and linear probing, whose size is a power of two. Its entries are
// ids, or numbers of elements that have ids.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/memory.hpp"

namespace quiver {

class IdTable {
  public:
    static constexpr uint32_t none = UINT32_MAX;   // an empty place

    explicit IdTable(size_t least_size) { reset(least_size); }

    // Removes all entries.
    void reset(size_t least_size)
    {
        const size_t size = std::bit_ceil(least_size);
        entries_.assign(size, none);
        mask_ = size - 1;
    }
    size_t size() const { return mask_ + 1; }
    size_t bytes() const { return entries_.capacity() * sizeof(uint32_t); }

    // The place where the search for an entry begins.
    size_t home_of(uint32_t id) const { return (id * 0x9e3779b1u >> 7) & mask_; }

    struct Place {
        size_t number;
        bool is_taken;
    };
    // The place of the entry for `id`: is_of_id(entry) tells whether an entry is. If there is none,
    // the empty place where it belongs. At least one place must be empty.
    template <class IsOfId>
    [[gnu::always_inline]] Place place_of(uint32_t id, IsOfId&& is_of_id) const
    {
        size_t i = home_of(id);
        for (; entries_[i] != none; i = (i + 1) & mask_)
            if (is_of_id(entries_[i]))
                return {i, true};
        return {i, false};
    }
    uint32_t operator[](size_t place) const { return entries_[place]; }
    uint32_t& operator[](size_t place) { return entries_[place]; }

  private:
    Vec<uint32_t> entries_;
    size_t mask_;
};

}   // namespace quiver
