// What a codec learns from the rows of the table before an index is built.
#pragma once

#include "codec/codec.hpp"
#include "pg/pg.hpp"

#include <span>

namespace quiver::am {

// The parameters of the codec, learnt from the first rows of the table, in the current memory context. Empty if
// there is nothing to learn. heap: null, if there are no rows.
std::span<const half> learn_codec(Relation heap, Relation index, IndexInfo* info,
                                  const codec::Codec& codec, uint64 seed);

}   // namespace quiver::am
