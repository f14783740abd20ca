// The options of an hnsw index, with pgvector's names. Each is a member of Options and a row of the
// table.
#pragma once

#include "am/option_table.hpp"
#include "graph/choose_encoding.hpp"

namespace quiver::hnsw {

struct Options {
    int32 vl_len_;   // varlena header
    int m;
    int ef_construction;
    int sketch_fold;   // or graph::choose_fold, graph::no_sketches
    int vector_bits;   // those of a codec (codec/codecs.cpp), or graph::choose_bits
};

// name, where it is stored, default, least, greatest, description
inline constexpr am::IndexOption<Options> option_rows[] = {
    {"m", &Options::m, 16, 2, 100, "Max number of connections"},
    {"ef_construction", &Options::ef_construction, 64, 4, 1000,
     "Size of the dynamic candidate list for construction"},
    {"sketch_fold", &Options::sketch_fold, graph::choose_fold, graph::no_sketches, 64,
     "Number of dimensions per bit of a neighbour's sketch (0: chosen by the index, -1: no "
     "sketches)"},
    {"vector_bits", &Options::vector_bits, graph::choose_bits, 0, 32,
     "Bits per dimension of a node's own vector (0: chosen by the index)"},
};
inline constinit am::OptionTable<Options> option_table(option_rows);

}   // namespace quiver::hnsw
