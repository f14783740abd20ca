// Sets of slots, with one bit per slot, and small counters, with two bits per slot. Both grow when
// a slot beyond their end is written, to no more than they need: a vector that grows by itself would
// double. GroupMarks do not grow beyond a limit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/function_ref.hpp"
#include "core/memory.hpp"

namespace quiver {

// Makes the vector longer than i.
template <class T>
void grow(Vec<T>& v, size_t i)
{
    const size_t size = i + 1 + v.size() / 8;
    v.reserve(size);
    v.resize(size);
}

class Marks {
  public:
    explicit Marks(size_t expected = 0) : v_((expected + 63) / 64) {}

    bool test(size_t i) const { return i / 64 < v_.size() && (v_[i / 64] >> i % 64 & 1); }
    // Returns false if the bit was set already.
    bool set(size_t i)
    {
        if (i / 64 >= v_.size())
            grow(v_, i / 64);
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

  private:
    Vec<uint64_t> v_;
    size_t count_ = 0;
};

// A set of slots or pages in limited memory, which has some others besides those that were added to
// it. It has one bit per slot if these are few enough, otherwise one for each group of consecutive
// slots.
class GroupMarks {
  public:
    explicit GroupMarks(size_t most_bits, size_t expected = 0)
        : most_(std::max<size_t>(most_bits, 1)), marks_(std::min(expected, most_))
    {
    }

    bool test(size_t i) const { return marks_.test(i >> shift_); }
    void set(size_t i)
    {
        while (i >> shift_ >= most_)
            double_groups();
        marks_.set(i >> shift_);
    }
    void clear()
    {
        marks_ = Marks();
        shift_ = 0;
    }
    // Calls f(i) for each i of the set with from <= i < to.
    void for_each(size_t from, size_t to, FunctionRef<void(size_t)> f) const
    {
        for (size_t g = marks_.next(from >> shift_); g != SIZE_MAX && g << shift_ < to;
             g = marks_.next(g + 1))
            for (size_t i = std::max(from, g << shift_); i < std::min(to, (g + 1) << shift_); i++)
                f(i);
    }

  private:
    void double_groups()
    {
        shift_++;
        for (size_t g = 0; g < most_; g++)
            if (g * 2 < most_ && marks_.any_in(g * 2, g * 2 + 2))
                marks_.set(g);
            else
                marks_.clear(g);
    }

    size_t most_;   // bits
    unsigned shift_ = 0;
    Marks marks_;
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
            grow(v_, i / 4);
        if ((*this)[i] < most)
            v_[i / 4] = static_cast<uint8_t>(v_[i / 4] + (1u << i % 4 * 2));
    }

  private:
    Vec<uint8_t> v_;
};

}   // namespace quiver
