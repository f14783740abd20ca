// Chains: values of any length, stored in pages of their own. Each page has the number of the next
// one.
#pragma once

#include "page/bulk_writer.hpp"

namespace quiver::page {

constexpr BlockNumber chain_pages(Size bytes)
{
    return static_cast<BlockNumber>((bytes + usable_bytes - 1) / usable_bytes);
}
// Writes the bytes into the next pages.
void write_chain(BulkWriter& writer, const char* bytes, Size length);
// Reads a value of this length. An error if the chain is not as expected.
void read_chain(Relation rel, BlockNumber first, char* to, Size length);

}   // namespace quiver::page
