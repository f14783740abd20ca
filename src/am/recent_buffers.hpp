// Which buffer a block was in when this backend read it last. The buffer manager's hash table costs
// a few cache misses for each page of a search; a hint that still holds costs none of them.
#pragma once

#include "pg/pg.hpp"

namespace quiver::am {

class RecentBuffers {
  public:
    // Those of an index of so many blocks; null where there are none (temporary and huge ones). They may
    // become another index's, and then only hold no longer.
    static RecentBuffers* of(Relation index, BlockNumber blocks);

    // As ReadBuffer().
    Buffer read(Relation index, BlockNumber block)
    {
        if (block >= count_)
            return ReadBuffer(index, block);
        Buffer& hint = hints_[block];
        if (hint != InvalidBuffer && pg::read_recent_buffer(index, block, hint))
            return hint;
        return hint = ReadBuffer(index, block);
    }

  private:
    pg::FileNumber file_{};
    BlockNumber count_ = 0;
    Buffer* hints_ = nullptr;
    uint64 used_ = 0;   // when, as a count of calls to of()
};

}   // namespace quiver::am
