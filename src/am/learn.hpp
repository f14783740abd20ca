// What a build learns from the table before it adds rows.
#pragma once

#include "am/filter.hpp"
#include "codec/codec.hpp"
#include "pg/pg.hpp"

#include <span>

namespace quiver::am {

struct Learnt {
    std::span<const half> parameters;   // of the codec
    std::span<const uint8_t> filter;   // codec::FilterCodec's; empty if there are no filter columns
};

// Learns it in the current memory context. heap: null, if there are no rows.
Learnt learn(Relation heap, Relation index, IndexInfo* info, const codec::Codec& codec,
             uint32 filter_columns, uint64 seed);

}   // namespace quiver::am
