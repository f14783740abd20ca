// Which buffer a block was in when this backend read it last. The buffer manager's hash table costs
// a few cache misses for each page of a search; a hint that still holds costs none of them. Beyond
// `most` blocks, several share a hint.
#pragma once

#include "pg/pg.hpp"

namespace quiver::am {

class RecentBuffers {
  public:
    // Those of an index or table of so many blocks; null where there are none (temporary ones). They
    // may become another relation's, and then only hold no longer.
    static RecentBuffers* of(Relation rel, BlockNumber blocks);

    // As ReadBuffer().
    Buffer read(Relation rel, BlockNumber block)
    {
        Buffer& hint = hint_of(block);
        if (hint != InvalidBuffer && pg::read_recent_buffer(rel, block, hint))
            return hint;
        return hint = ReadBuffer(rel, block);
    }

    // The page where the block was last; by now it may be another's. Null if there is no hint.
    const char* page(BlockNumber block) const
    {
        const Buffer hint = hint_of(block);
        return hint != InvalidBuffer ? BufferGetPage(hint) : nullptr;
    }

  private:
    static constexpr BlockNumber most = 1 << 20;   // 4 MiB of hints

    Buffer& hint_of(BlockNumber block) const
    {
        return hints_[block < count_ ? block : block % count_];
    }

    pg::FileNumber file_{};
    BlockNumber count_ = 0;
    Buffer* hints_ = nullptr;
    uint64 used_ = 0;   // when, as a count of calls to of()
};

}   // namespace quiver::am
