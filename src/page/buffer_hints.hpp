// Which buffer a block was in when this backend read it last. The buffer manager's hash table costs a few
// cache misses for each page of a search; a hint that still holds costs none of them.
//
// There is one table for all relations, of 4 bytes for each shared buffer and 4 MiB at most. A place may hold the hint of
// another page: the buffer says which page it holds, so that costs a look-up and nothing else.
#pragma once

#include "pg/pg.hpp"

namespace quiver::page {

class BufferHints {
  public:
    // Of a relation; none for temporary ones, whose pages lie in the backend's own memory.
    explicit BufferHints(Relation rel);

    // As ReadBuffer().
    Buffer read(Relation rel, BlockNumber block) const
    {
        if (!hints_)
            return ReadBuffer(rel, block);
        Buffer& hint = place_of(block);
        if (hint != InvalidBuffer && pg::read_recent_buffer(rel, block, hint))
            return hint;
        return hint = ReadBuffer(rel, block);
    }
    // As read(), but of a page that is in no buffer the kernel is asked to read it ahead, and the
    // result is InvalidBuffer.
    Buffer read_ahead(Relation rel, BlockNumber block) const;

    // The page where the block was last; by now it may be another's. Null if there is no hint.
    const char* page(BlockNumber block) const
    {
        const Buffer hint = hints_ ? place_of(block) : InvalidBuffer;
        return hint != InvalidBuffer ? BufferGetPage(hint) : nullptr;
    }
    bool usable() const { return hints_ != nullptr; }

  private:
    Buffer& place_of(BlockNumber block) const { return hints_[(block + offset_) & mask_]; }

    Buffer* hints_ = nullptr;
    uint32 mask_ = 0, offset_ = 0;
};

}   // namespace quiver::page
