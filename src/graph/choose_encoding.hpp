// Which encoding an index gets.
#pragma once

#include "graph/encoding.hpp"

namespace quiver::graph {

constexpr int choose_fold = 0, no_sketches = -1;
constexpr int choose_bits = 0;

// What an index is asked for.
struct EncodingWishes {
    uint32_t m;               // HNSW's
    int fold = choose_fold;   // or no_sketches, or coordinates that a bit of a sketch stands for
    int bits = choose_bits;   // of a coordinate of the own vector
    uint32_t row_bytes = 0;   // of a vector in the table
};

// The encoding for pages with room for `usable` bytes. Its slots do not fit into a page (Layout::slots_per_page() is 0) if
// no choice does.
EncodingShape choose_encoding(codec::Form form, codec::Metric metric, uint32_t dims,
                              const EncodingWishes& wishes, uint32_t usable);

}   // namespace quiver::graph
