#include "pg/pg.hpp"

#include "page/buffer_hints.hpp"

extern "C" {
#include "common/hashfn.h"
#include "utils/memutils.h"
}

namespace quiver::page {

namespace {

constexpr uint32 most = 1 << 20;
Buffer* table;
uint32 table_mask;

}   // namespace

BufferHints::BufferHints(Relation rel)
{
    if (RelationUsesLocalBuffers(rel))
        return;
    if (!table) {
        const uint32 size =
            std::min(std::bit_ceil(static_cast<uint32>(std::max(NBuffers, 1024))), most);
        table = static_cast<Buffer*>(MemoryContextAllocExtended(
            TopMemoryContext, size * sizeof(Buffer), MCXT_ALLOC_ZERO | MCXT_ALLOC_NO_OOM));
        if (!table)
            return;
        table_mask = size - 1;
    }
    hints_ = table;
    mask_ = table_mask;
    // Consecutive blocks of a relation use consecutive places, so they do not overwrite each
    // other's hints.
    offset_ = hash_bytes_uint32(static_cast<uint32>(pg::file_of(rel)));
}

Buffer BufferHints::read_ahead(Relation rel, BlockNumber block) const
{
    if (!hints_)
        return ReadBuffer(rel, block);
    Buffer& hint = place_of(block);
    if (hint != InvalidBuffer && pg::read_recent_buffer(rel, block, hint))
        return hint;
    const PrefetchBufferResult result = PrefetchBuffer(rel, MAIN_FORKNUM, block);
    if (!BufferIsValid(result.recent_buffer))
        return InvalidBuffer;
    return hint = ReadBuffer(rel, block);
}

}   // namespace quiver::page
