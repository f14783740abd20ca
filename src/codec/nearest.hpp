// Finds the nearest of many product codes.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "core/heap.hpp"

namespace quiver::codec {

// The k nearest of the codes that were added, ordered by distance and then by id.
class Nearest {
  public:
    struct Found {
        float distance;
        int64_t id;
        friend bool operator<(const Found& x, const Found& y)
        {
            return x.distance != y.distance ? x.distance < y.distance : x.id < y.id;
        }
    };

    explicit Nearest(size_t k) : nearest_(k) {}   // k > 0
    void add(float distance, int64_t id);
    // A code whose distance is not below this cannot be among the k nearest.
    float limit() const { return limit_; }
    size_t k() const { return nearest_.k(); }
    bool full() const { return nearest_.full(); }
    // In no particular order.
    const Vec<Found>& found() const { return nearest_.all(); }
    // Nearest first. Nothing can be added afterwards.
    const Vec<Found>& sorted() { return nearest_.sorted(); }

  private:
    KNearest<Found> nearest_;
    float limit_ = INFINITY;
};

// Lower bounds of distances to 4-bit codes, from tables of bytes (simd::Codebooks::score_nibbles):
//     base + step * score <= distance
class NibbleTables {
  public:
    // Computes the tables of bytes from the float tables of a query (product_l2sq_table and the
    // like), times `sign`. Returns false if these are not finite; then this object cannot be used.
    bool set(size_t code_bytes, const float* tables, float sign);
    // Aligned to a cache line.
    const uint8_t* bytes() const
    {
        return bytes_.data() + (64 - reinterpret_cast<uintptr_t>(bytes_.data()) % 64) % 64;
    }
    // Codes with a score above this are not nearer than `distance`.
    uint32_t most(float distance) const;

  private:
    double base_ = 0, step_ = 0;
    Vec<uint8_t> bytes_;
};

// Finds the nearest product codes from the float tables of a query: distance = sign * the sum of
// the table entries of a code. 4-bit codes are looked up in tables of bytes first, and in the float
// tables only if they may be near. The result is the same.
class ProductNearest {
  public:
    // Codes have `code_bytes` bytes of `bits`-bit numbers. `tables` must outlive this object.
    ProductNearest(uint32_t bits, size_t code_bytes, const float* tables, float sign);
    // Adds `count` codes, which are `stride` bytes apart.
    void add(const uint8_t* codes, size_t stride, size_t count, const int64_t* ids, Nearest* to);

  private:
    static constexpr size_t at_once = 256;

    void add(const uint8_t* code, int64_t id, Nearest* to);

    size_t code_bytes_;
    const float* tables_;
    float sign_;
    float slack_;   // what floats may round
    NibbleTables bytes_;
    bool nibbles_;   // bytes_ is in use
    uint32_t score_[at_once];
    float sum_[at_once];
};

}   // namespace quiver::codec
