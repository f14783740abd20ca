// A seeded orthonormal transform of R^dims into R^padded, where padded is dims rounded up to a
// multiple of 64. It does not change distances and inner products. It makes coordinates alike,
// which 8-bit and 1-bit codes need (RaBitQ, arXiv 2405.12497, section 3).
//
// Each round changes random signs and then applies a Walsh-Hadamard transform to a power of two of
// the coordinates, alternately at the front and at the back, so that every coordinate reaches every
// other.
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
