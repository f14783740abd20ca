// Codes of sparse vectors. A code has the ascending indices and then their values, 4 bytes each.
// The part that does not fit into a node's own slot is stored elsewhere (graph/layout.hpp).
#pragma once

#include "codec/codec.hpp"

namespace quiver::codec {

constexpr uint32_t sparse_inline_bytes = 256;     // of a code in the node's own slot
constexpr uint32_t max_sparse_bytes = 8 * 1000;   // of a whole code

inline simd::SparseView sparse_view(const uint8_t* bytes, uint32_t length)
{
    const uint32_t n = length / 8;
    return {reinterpret_cast<const int32_t*>(bytes),
            reinterpret_cast<const float*>(bytes + size_t{n} * 4), n};
}

}   // namespace quiver::codec
