// Queues of candidates. Order is total on (distance, id), so NaN or ties never confuse a heap.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "core/memory.hpp"

namespace quiver {

// A distance and an id in one integer that orders like the distance.
struct Candidate {
    uint64_t key;

    Candidate() = default;
    Candidate(float distance, uint32_t id) : key(uint64_t{order(distance)} << 32 | id) {}

    float distance() const
    {
        const auto o = static_cast<uint32_t>(key >> 32);
        return std::bit_cast<float>(o & 0x80000000u ? o & 0x7fffffffu : ~o);
    }
    uint32_t id() const { return static_cast<uint32_t>(key); }

    friend bool operator<(Candidate a, Candidate b) { return a.key < b.key; }
    friend bool operator>(Candidate a, Candidate b) { return a.key > b.key; }

  private:
    // Floats as integers of the same order: negative ones reversed, NaN above infinity.
    static uint32_t order(float x)
    {
        const auto bits = std::bit_cast<int32_t>(x);
        return static_cast<uint32_t>(bits ^ (bits >> 31 | INT32_MIN));
    }
};

// Nearest on top. Four children a node: half as many levels as with two, and the least of four takes no
// branch that cannot be predicted.
class MinHeap {
  public:
    bool empty() const { return v_.empty(); }
    size_t size() const { return v_.size(); }
    Candidate top() const { return v_.front(); }
    void push(Candidate c)
    {
        v_.push_back(c);
        size_t i = v_.size() - 1;
        for (; i > 0 && c < v_[(i - 1) / 4]; i = (i - 1) / 4)
            v_[i] = v_[(i - 1) / 4];
        v_[i] = c;
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
    // Many at once: append() each, then heapify().
    void append(Candidate c) { v_.push_back(c); }
    void heapify()
    {
        for (size_t i = (v_.size() + 2) / 4; i-- > 0;)   // those that have children
            sink(i, v_[i]);
    }
    size_t bytes() const { return v_.size() * sizeof(Candidate); }   // in use

  private:
    // Puts `c` at i or below it, where it belongs.
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

// The k nearest of all that was added: a heap with the farthest of them on top. T orders by distance; it is a distance,
// or has an id, too.
template <class T>
class KNearest {
  public:
    explicit KNearest(size_t k = 0) : k_(k) {}   // k > 0 before anything is added

    void reset(size_t k)
    {
        k_ = k;
        v_.clear();
    }
    // Allocates room for all k now, for a caller whose add() runs in a memory context that does not last.
    void reserve() { v_.reserve(k_); }
    size_t k() const { return k_; }
    size_t size() const { return v_.size(); }
    bool full() const { return v_.size() >= k_; }
    const T& farthest() const { return v_.front(); }
    // False if k others are nearer.
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
    // How many are at most that far.
    size_t within(const T& limit) const
    {
        return static_cast<size_t>(
            std::count_if(v_.begin(), v_.end(), [&](const T& x) { return x <= limit; }));
    }
    // In no order.
    const Vec<T>& all() const { return v_; }
    // Nearest first. Nothing can be added afterwards.
    const Vec<T>& sorted()
    {
        std::sort_heap(v_.begin(), v_.end());
        return v_;
    }

  private:
    // Puts `x` where it belongs. (std::pop_heap() and push_heap() would go through the heap twice.)
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

// The same of the nodes that a search has visited, by the names that the search has for it.
class BoundedMaxHeap : public KNearest<Candidate> {
  public:
    using KNearest::KNearest;

    size_t capacity() const { return k(); }
    Candidate top() const { return farthest(); }
    void push(Candidate c) { add(c); }
    // Would a candidate at this distance enter?
    bool wants(float distance) const { return !full() || distance < top().distance(); }
};

// Ids seen so far: open addressing over powers of two.
class IdSet {
  public:
    explicit IdSet(size_t expected = 256) { rehash(std::bit_ceil(expected * 2)); }

    bool contains(uint32_t id) const
    {
        for (size_t i = slot(id);; i = (i + 1) & mask_) {
            if (v_[i] == id)
                return true;
            if (v_[i] == none)
                return false;
        }
    }
    // False if it was there.
    bool insert(uint32_t id)
    {
        size_t i = slot(id);
        for (; v_[i] != none; i = (i + 1) & mask_)
            if (v_[i] == id)
                return false;
        v_[i] = id;
        used_.push_back(static_cast<uint32_t>(i));
        if (used_.size() * 2 > mask_)
            grow();
        return true;
    }
    // In the time that it took to fill it.
    void clear()
    {
        for (const uint32_t i : used_)
            v_[i] = none;
        used_.clear();
    }
    size_t size() const { return used_.size(); }
    void sorted(Vec<uint32_t>& ids) const
    {
        ids.clear();
        for (const uint32_t i : used_)
            ids.push_back(v_[i]);
        std::sort(ids.begin(), ids.end());
    }
    // In use: v_ is about a third full.
    size_t bytes() const { return used_.size() * 4 * sizeof(uint32_t); }

  private:
    static constexpr uint32_t none = UINT32_MAX;

    size_t slot(uint32_t id) const { return (id * 0x9e3779b1u >> 7) & mask_; }
    void rehash(size_t n)
    {
        v_.assign(n, none);
        mask_ = n - 1;
        used_.clear();
    }
    // Not inlined, so that insert() is.
    [[gnu::noinline]] void grow()
    {
        Vec<uint32_t> old;
        old.swap(v_);
        rehash(old.size() * 2);
        for (uint32_t id : old)
            if (id != none)
                insert(id);
    }

    Vec<uint32_t> v_, used_;   // used_: places in v_
    size_t mask_ = 0;
};

}   // namespace quiver
