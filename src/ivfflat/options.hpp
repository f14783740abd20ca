// The options of an ivfflat index. Each is a member of Options and a row of the table.
#pragma once

#include "am/option_table.hpp"
#include "lists/layout.hpp"

namespace quiver::ivfflat {

constexpr int choose_lists = 0, choose_bits = 0;

struct Options {
    int32 vl_len_;     // varlena header
    int lists;         // or choose_lists
    int vector_bits;   // those of a codec (codec/codecs.cpp), or choose_bits
};

// name, where it is stored, default, least, greatest, description
inline constexpr am::IndexOption<Options> option_rows[] = {
    {"lists", &Options::lists, choose_lists, 1, lists::max_lists,
     "Number of inverted lists (default: chosen by the size of the table)"},
    {"vector_bits", &Options::vector_bits, choose_bits, 0, 32,
     "Bits per dimension of a row's code (0: chosen by the index)"},
};
inline constinit am::OptionTable<Options> option_table(option_rows);

}   // namespace quiver::ivfflat
