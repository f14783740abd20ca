// Queues of candidates. Candidates are totally ordered by (distance, id), so NaN and ties cannot
// break a heap.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "core/id_table.hpp"
#include "core/memory.hpp"

namespace quiver {

// A distance and an id, packed into one integer that has their order.
struct Candidate {
    uint64_t key;

    Candidate() = default;
    Candidate(float distance, uint32_t id) : key(uint64_t{order(distance)} << 32 | id) {}

    static Candidate of(uint64_t key)
    {
        Candidate c;
        c.key = key;
        return c;
    }
    float distance() const
    {
        const auto o = static_cast<uint32_t>(key >> 32);
        return std::bit_cast<float>(o & 0x80000000u ? o & 0x7fffffffu : ~o);
    }
    uint32_t id() const { return static_cast<uint32_t>(key); }

    friend bool operator<(Candidate a, Candidate b) { return a.key < b.key; }
    friend bool operator>(Candidate a, Candidate b) { return a.key > b.key; }

  private:
    // Maps floats to integers of the same order: negative floats are reversed, and NaN is above
    // infinity.
    static uint32_t order(float x)
    {
        const auto bits = std::bit_cast<int32_t>(x);
        return static_cast<uint32_t>(bits ^ (bits >> 31 | INT32_MIN));
    }
};

// A heap with the nearest candidate on top. Each node has four children: that takes half as many
// levels as two, and the least of four is found without a branch that the CPU cannot predict.
class MinHeap {
  public:
    bool empty() const { return v_.empty(); }
    size_t size() const { return v_.size(); }
    Candidate top() const { return v_.front(); }
    [[gnu::always_inline]] void push(Candidate c)
    {
        v_.push_back(c);
        size_t i = v_.size() - 1;
        for (; i > 0 && c < v_[(i - 1) / 4]; i = (i - 1) / 4)
            v_[i] = v_[(i - 1) / 4];
        v_[i] = c;
    }
    // Replaces all candidates by these, which are swapped out.
    void take(Vec<Candidate>& candidates)
    {
        v_.swap(candidates);
        for (size_t i = (v_.size() + 2) / 4; i-- > 0;)
            sink(i, v_[i]);
    }
    Candidate pop()
    {
        const Candidate top = v_.front(), last = v_.back();
        v_.pop_back();
        if (!v_.empty())
            sink(0, last);
        return top;
    }
    void clear() { v_.clear(); }
    size_t bytes() const { return v_.size() * sizeof(Candidate); }   // in use

  private:
    // Sifts `c` down from position i.
    void sink(size_t i, Candidate c)
    {
        const size_t n = v_.size();
        for (size_t child; (child = 4 * i + 1) < n;) {
            size_t least = child;
            if (child + 4 <= n) {
                const size_t x = child + (v_[child + 1] < v_[child]);
                const size_t y = child + 2 + (v_[child + 3] < v_[child + 2]);
                least = v_[y] < v_[x] ? y : x;
            } else
                for (size_t j = child + 1; j < n; j++)
                    least = v_[j] < v_[least] ? j : least;
            if (!(v_[least] < c))
                break;
            v_[i] = v_[least];
            i = least;
        }
        v_[i] = c;
    }

    Vec<Candidate> v_;
};

// The k nearest of the elements that were added: a heap with the farthest of them on top. T is
// ordered by distance; it is a distance, or a distance with an id.
template <class T>
class KNearest {
  public:
    explicit KNearest(size_t k = 0) : k_(k) {}   // k > 0 before anything is added

    void reset(size_t k)
    {
        k_ = k;
        v_.clear();
    }
    // Allocates memory for all k elements now. A caller needs this if it calls add() in a memory
    // context that is reset before the heap is freed.
    void reserve() { v_.reserve(k_); }
    size_t k() const { return k_; }
    size_t size() const { return v_.size(); }
    bool full() const { return v_.size() >= k_; }
    const T& farthest() const { return v_.front(); }
    // Returns false, and adds nothing, if k elements are at least as near.
    bool add(const T& x)
    {
        if (!full()) {
            v_.push_back(x);
            std::push_heap(v_.begin(), v_.end());
            return true;
        }
        if (!(x < v_.front()))
            return false;
        replace_farthest(x);
        return true;
    }
    // The number of elements that are at most as far as `limit`.
    size_t within(const T& limit) const
    {
        return static_cast<size_t>(
            std::count_if(v_.begin(), v_.end(), [&](const T& x) { return x <= limit; }));
    }
    // In no particular order.
    const Vec<T>& all() const { return v_; }
    // Nearest first. Nothing can be added afterwards.
    const Vec<T>& sorted()
    {
        std::sort_heap(v_.begin(), v_.end());
        return v_;
    }

  private:
    // Replaces the farthest element with `x` and restores the heap. (std::pop_heap() and
    // std::push_heap() would go through the heap twice.)
    void replace_farthest(const T x)
    {
        const size_t n = v_.size();
        size_t i = 0;
        for (size_t child; (child = 2 * i + 1) < n; i = child) {
            if (child + 1 < n)
                child += v_[child] < v_[child + 1];
            if (!(x < v_[child]))
                break;
            v_[i] = v_[child];
        }
        v_[i] = x;
    }

    size_t k_;
    Vec<T> v_;
};

// A KNearest of the nodes that a search has visited, with the member names that the search uses.
class BoundedMaxHeap : public KNearest<Candidate> {
  public:
    using KNearest::KNearest;

    size_t capacity() const { return k(); }
    Candidate top() const { return farthest(); }
    void push(Candidate c) { add(c); }
    // Would a candidate at this distance be added?
    bool wants(float distance) const { return !full() || distance < top().distance(); }
};

// A set of ids.
class IdSet {
  public:
    explicit IdSet(size_t expected = 256) : table_(expected * 2) {}

    bool contains(uint32_t id) const { return place_of(id).is_taken; }
    // Looks at one place only, so it is false for a few ids that are in the set.
    bool contains_at_once(uint32_t id) const { return table_[table_.home_of(id)] == id; }
    // Returns false if the id is in the set already.
    [[gnu::always_inline]] bool insert(uint32_t id)
    {
        const IdTable::Place place = place_of(id);
        if (place.is_taken)
            return false;
        table_[place.number] = id;
        used_.push_back(static_cast<uint32_t>(place.number));
        if (used_.size() * 2 >= table_.size())
            grow();
        return true;
    }
    // The time depends on the number of ids in the set, not on the size of the table.
    void clear()
    {
        for (const uint32_t place : used_)
            table_[place] = IdTable::none;
        used_.clear();
    }
    size_t size() const { return used_.size(); }
    void sorted(Vec<uint32_t>& ids) const
    {
        copy_to(ids);
        std::sort(ids.begin(), ids.end());
    }
    // Memory in use; the table is about a third full.
    size_t bytes() const { return used_.size() * 4 * sizeof(uint32_t); }

  private:
    [[gnu::always_inline]] IdTable::Place place_of(uint32_t id) const
    {
        return table_.place_of(id, [id](uint32_t entry) { return entry == id; });
    }
    void copy_to(Vec<uint32_t>& ids) const
    {
        ids.clear();
        for (const uint32_t place : used_)
            ids.push_back(table_[place]);
    }
    // Not inlined, so that insert() is.
    [[gnu::noinline]] void grow()
    {
        Vec<uint32_t> ids;
        copy_to(ids);
        table_.reset(table_.size() * 2);
        used_.clear();
        for (const uint32_t id : ids)
            insert(id);
    }

    IdTable table_;
    Vec<uint32_t> used_;   // the occupied places
};

}   // namespace quiver
