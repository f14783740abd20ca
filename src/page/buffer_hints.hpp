// Hints: the buffer that a block was in when this backend last read it. The buffer manager's hash
// table costs a few cache misses for each page of a search. A hint that is still right avoids them.
//
// There is one table for all relations. It has 4 bytes for each shared buffer, and at most 4 MiB. A
// place may hold the hint of another page. The buffer tells which page it holds, so a wrong hint
// costs only a look-up.
#pragma once

#include "pg/pg.hpp"

namespace quiver::page {

class BufferHints {
  public:
    // The hints of a relation. Temporary relations have none: their pages are in the backend's own
    // memory.
    explicit BufferHints(Relation rel);

    // Like ReadBuffer().
    Buffer read(Relation rel, BlockNumber block) const
    {
        if (!hints_)
            return ReadBuffer(rel, block);
        Buffer& hint = place_of(block);
        if (hint != InvalidBuffer && pg::read_recent_buffer(rel, block, hint))
            return hint;
        return hint = ReadBuffer(rel, block);
    }
    // Like read(). But if the page is in no buffer, asks the kernel to read it ahead, and returns
    // InvalidBuffer.
    Buffer read_ahead(Relation rel, BlockNumber block) const;

    // The buffer's page where the block was last. By now it may hold another block. Null if there
    // is no hint.
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
