// Distances between bit strings.
#pragma once

#include "codec/codec.hpp"

namespace quiver::codec {

inline float bits_distance(Geometry geometry, const uint8_t* x, const uint8_t* y, uint32_t bytes)
{
    if (geometry == Geometry::hamming)
        return static_cast<float>(simd::kernels().bits.hamming(x, y, bytes));
    const auto t = simd::kernels().bits.jaccard(x, y, bytes);
    return t.both == 0 ? 1.0f : 1.0f - static_cast<float>(t.both) / static_cast<float>(t.either);
}

}   // namespace quiver::codec
