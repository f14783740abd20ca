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

// Nearest on top.
class MinHeap {
  public:
    bool empty() const { return v_.empty(); }
    size_t size() const { return v_.size(); }
    Candidate top() const { return v_.front(); }
    void push(Candidate c)
    {
        v_.push_back(c);
        std::push_heap(v_.begin(), v_.end(), std::greater<Candidate>());
    }
    Candidate pop()
    {
        std::pop_heap(v_.begin(), v_.end(), std::greater<Candidate>());
        const Candidate c = v_.back();
        v_.pop_back();
        return c;
    }
    void clear() { v_.clear(); }
    // Adds all of `more` and empties it.
    void take(Vec<Candidate>& more)
    {
        v_.insert(v_.end(), more.begin(), more.end());
        std::make_heap(v_.begin(), v_.end(), std::greater<Candidate>());
        more.clear();
    }
    size_t bytes() const { return v_.capacity() * sizeof(Candidate); }

  private:
    Vec<Candidate> v_;
};

// The `capacity` nearest; the farthest of them on top.
class BoundedMaxHeap {
  public:
    explicit BoundedMaxHeap(size_t capacity) : capacity_(capacity) {}

    void reset(size_t capacity)
    {
        capacity_ = capacity;
        v_.clear();
    }
    size_t capacity() const { return capacity_; }
    bool full() const { return v_.size() >= capacity_; }
    size_t size() const { return v_.size(); }
    Candidate top() const { return v_.front(); }
    // Would a candidate at this distance enter?
    bool wants(float distance) const { return !full() || distance < top().distance(); }
    void push(Candidate c)
    {
        v_.push_back(c);
        std::push_heap(v_.begin(), v_.end());
        if (v_.size() > capacity_) {
            std::pop_heap(v_.begin(), v_.end());
            v_.pop_back();
        }
    }

  private:
    size_t capacity_;
    Vec<Candidate> v_;
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
        if (++size_ * 2 > mask_)
            grow();
        return true;
    }
    void clear()
    {
        std::fill(v_.begin(), v_.end(), none);
        size_ = 0;
    }
    size_t size() const { return size_; }
    size_t bytes() const { return v_.capacity() * sizeof(uint32_t); }

  private:
    static constexpr uint32_t none = UINT32_MAX;

    size_t slot(uint32_t id) const { return (id * 0x9e3779b1u >> 7) & mask_; }
    void rehash(size_t n)
    {
        v_.assign(n, none);
        mask_ = n - 1;
        size_ = 0;
    }
    void grow()
    {
        Vec<uint32_t> old;
        old.swap(v_);
        rehash(old.size() * 2);
        for (uint32_t id : old)
            if (id != none)
                insert(id);
    }

    Vec<uint32_t> v_;
    size_t mask_ = 0, size_ = 0;
};

}   // namespace quiver
