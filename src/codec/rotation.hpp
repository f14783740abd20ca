// A seeded orthonormal transform of R^dims into R^padded, padded = dims rounded up to a multiple of
// 64. Distances and inner products are unchanged; coordinates become alike, which is what 8-bit and
// 1-bit codes need (RaBitQ, arXiv 2405.12497, section 3).
//
// Rounds of random signs and Walsh-Hadamard transforms over a power of two of the coordinates, at
// the front and at the back in turn, so that every coordinate reaches every other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/code.hpp"
#include "core/memory.hpp"

namespace quiver::codec {

class Rotation {
  public:
    Rotation(size_t dims, uint64_t seed);

    size_t dims() const { return dims_; }
    size_t padded() const { return padded_; }

    // `to` has room for padded() floats.
    void apply(const float* from, float* to) const;

  private:
    static constexpr size_t rounds = 4;

    size_t dims_, padded_, window_;
    Vec<uint32_t> signs_;   // rounds x padded: 0 or the sign bit
};

}   // namespace quiver::codec
