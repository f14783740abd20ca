// Which encoding an index gets.
#pragma once

#include "graph/encoding.hpp"

namespace quiver::graph {

constexpr int choose_fold = 0, no_sketches = -1;
constexpr int choose_bits = 0;

// What the index's options and its column ask for.
struct EncodingRequest {
    uint32_t m;               // as in HNSW
    int fold = choose_fold;   // or no_sketches, or the number of coordinates per bit of a sketch
    int bits = choose_bits;   // per coordinate of a node's own vector
    uint32_t row_bytes = 0;   // of a vector in the table
    bool filtered = false;    // does the index have filter columns?
};

// The encoding for pages with room for `usable` bytes. If no encoding fits into a page,
// Layout::slots_per_page() of the result is 0.
EncodingShape choose_encoding(codec::Form form, codec::Metric metric, uint32_t dims,
                              const EncodingRequest& request, uint32_t usable);

}   // namespace quiver::graph
