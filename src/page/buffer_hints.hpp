// Hints: the buffer that a block was in when this backend last read it. The buffer manager's hash
// table costs a few cache misses for each page of a search. A hint that is still right avoids them.
//
// There is one table for all relations. It has 4 bytes for each shared buffer, and at most 4 MiB. A
// place may hold the hint of another page. The buffer tells which page it holds, so a wrong hint
// costs only a look-up.
#pragma once

#include "core/prefetch.hpp"
#include "pg/pg.hpp"

namespace quiver::page {

class BufferHints {
  public:
    // The hints of a relation. Temporary relations have none: their pages are in the backend's own
    // memory.
    explicit BufferHints(Relation rel);

    // Like ReadBuffer(). *right becomes false if there was a hint, but the block was not in that buffer.
    Buffer read(Relation rel, BlockNumber block, bool* right = nullptr) const
    {
        if (!hints_)
            return ReadBuffer(rel, block);
        Buffer& hint = place_of(block);
        if (hint != InvalidBuffer && pg::read_recent_buffer(rel, block, hint))
            return hint;
        const Buffer buffer = ReadBuffer(rel, block);
        if (right && hint != InvalidBuffer && hint != buffer)
            *right = false;
        return hint = buffer;
    }
    // Like read(). But if the page is in no buffer, asks the kernel to read it ahead, and returns
    // InvalidBuffer.
    Buffer read_ahead(Relation rel, BlockNumber block) const;

    // Prefetches what read() needs of the buffer manager.
    void prefetch(BlockNumber block) const
    {
        if (const Buffer hint = hints_ ? place_of(block) : InvalidBuffer; hint != InvalidBuffer)
            quiver::prefetch(pg::buffer_header(hint), 1);
    }

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
