// Sets of slots, with one bit per slot, and small counters, with two bits per slot. Both grow when
// a slot beyond their end is written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/memory.hpp"

namespace quiver {

class Marks {
  public:
    explicit Marks(size_t expected = 0) : v_((expected + 63) / 64) {}

    bool test(size_t i) const { return i / 64 < v_.size() && (v_[i / 64] >> i % 64 & 1); }
    // Returns false if the bit was set already.
    bool set(size_t i)
    {
        if (i / 64 >= v_.size())
            v_.resize(i / 64 + 1 + v_.size() / 8);
        const uint64_t bit = uint64_t{1} << i % 64;
        if (v_[i / 64] & bit)
            return false;
        v_[i / 64] |= bit;
        count_++;
        return true;
    }
    // Returns false if the bit was not set.
    bool clear(size_t i)
    {
        if (!test(i))
            return false;
        v_[i / 64] &= ~(uint64_t{1} << i % 64);
        count_--;
        return true;
    }
    size_t count() const { return count_; }
    // The first slot of the set from i on; SIZE_MAX if there is none.
    size_t next(size_t i) const
    {
        size_t w = i / 64;
        for (uint64_t from = ~uint64_t{0} << i % 64; w < v_.size(); w++, from = ~uint64_t{0})
            if (const uint64_t left = v_[w] & from)
                return w * 64 + static_cast<size_t>(__builtin_ctzll(left));
        return SIZE_MAX;
    }
    bool any_in(size_t from, size_t to) const
    {
        for (size_t i = from; i < to; i++)
            if (test(i))
                return true;
        return false;
    }
    // Calls f(i) for each slot i of the set. f may clear slot i.
    template <class F>
    void for_each(F&& f) const
    {
        for (size_t w = 0; w < v_.size(); w++)
            for (uint64_t left = v_[w]; left != 0; left &= left - 1)
                f(w * 64 + static_cast<size_t>(__builtin_ctzll(left)));
    }

  private:
    Vec<uint64_t> v_;
    size_t count_ = 0;
};

// Counters that stop at 3.
class SmallCounts {
  public:
    static constexpr unsigned most = 3;

    explicit SmallCounts(size_t expected = 0) : v_((expected + 3) / 4) {}

    unsigned operator[](size_t i) const
    {
        return i / 4 < v_.size() ? v_[i / 4] >> i % 4 * 2 & 3u : 0;
    }
    void add(size_t i)
    {
        if (i / 4 >= v_.size())
            v_.resize(i / 4 + 1 + v_.size() / 8);
        if ((*this)[i] < most)
            v_[i / 4] = static_cast<uint8_t>(v_[i / 4] + (1u << i % 4 * 2));
    }

  private:
    Vec<uint8_t> v_;
};

}   // namespace quiver
