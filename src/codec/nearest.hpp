// The nearest of many product codes.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "core/heap.hpp"

namespace quiver::codec {

// The k nearest of what was added, by distance and then id.
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
    // A code that is not nearer than this cannot be among them.
    float limit() const { return limit_; }
    size_t k() const { return nearest_.k(); }
    bool full() const { return nearest_.full(); }
    // In no order.
    const Vec<Found>& found() const { return nearest_.all(); }
    // Nearest first. Nothing can be added afterwards.
    const Vec<Found>& sorted() { return nearest_.sorted(); }

  private:
    KNearest<Found> nearest_;
    float limit_ = INFINITY;
};

// Bounds of distances on 4-bit codes, from tables of bytes (simd::Codebooks::score_nibbles):
//     base + step * score <= distance
class NibbleTables {
  public:
    // From the float tables of a query (product_l2sq_table and the like), times `sign`. False, and no use
    // of this, if they are not finite.
    bool set(size_t code_bytes, const float* tables, float sign);
    // At the start of a cache line
    const uint8_t* bytes() const
    {
        return bytes_.data() + (64 - reinterpret_cast<uintptr_t>(bytes_.data()) % 64) % 64;
    }
    // Codes with a greater score are not nearer than `distance`.
    uint32_t most(float distance) const;

  private:
    double base_ = 0, step_ = 0;
    Vec<uint8_t> bytes_;
};

// Finds them by a query's float tables: distance = sign * what product codes add up to. 4-bit codes are
// looked up in tables of bytes, and only those that may be near in floats; the result is the same.
class ProductNearest {
  public:
    // Codes of `code_bytes` bytes of `bits`-bit numbers; `tables` must stay.
    ProductNearest(uint32_t bits, size_t code_bytes, const float* tables, float sign);
    // `count` codes that lie `stride` bytes apart
    void add(const uint8_t* codes, size_t stride, size_t count, const int64_t* ids, Nearest* to);

  private:
    static constexpr size_t at_once = 256;

    void add(const uint8_t* code, int64_t id, Nearest* to);

    size_t code_bytes_;
    const float* tables_;
    float sign_;
    float slack_;   // what floats may round
    NibbleTables bytes_;
    bool nibbles_;   // they are in use
    uint32_t score_[at_once];
    float sum_[at_once];
};

}   // namespace quiver::codec
