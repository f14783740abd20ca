// Pages that are pinned because they will probably be read soon.
#pragma once

#include "core/prefetch.hpp"
#include "page/buffer_hints.hpp"

namespace quiver::page {

template <size_t most>
class PinnedAhead {
  public:
    // Pins a page, in the place of the one that was pinned longest ago. Returns the page. If it is in no buffer,
    // asks the kernel to read it, and returns null.
    const char* pin(const BufferHints& hints, Relation rel, BlockNumber block)
    {
        Pinned& p = pinned_[next_];
        next_ = (next_ + 1) % most;
        if (BufferIsValid(p.buffer))
            ReleaseBuffer(p.buffer);
        p = {block, hints.read_ahead(rel, block)};
        return BufferIsValid(p.buffer) ? BufferGetPage(p.buffer) : nullptr;
    }
    // The buffer of the page, whose pin is the caller's now; InvalidBuffer if it is not pinned.
    Buffer take(BlockNumber block)
    {
        Buffer buffer = InvalidBuffer;
        for (Pinned& p : pinned_)
            if (p.block == block && BufferIsValid(p.buffer))
                std::swap(buffer, p.buffer);
        return buffer;
    }
    // Releases the pins.
    void release()
    {
        for (Pinned& p : pinned_) {
            if (BufferIsValid(p.buffer))
                ReleaseBuffer(p.buffer);
            p.buffer = InvalidBuffer;
        }
    }
    // To be called after an error, which has released the pins.
    void forget() { std::fill(std::begin(pinned_), std::end(pinned_), Pinned{}); }

  private:
    struct Pinned {
        BlockNumber block = InvalidBlockNumber;
        Buffer buffer = InvalidBuffer;
    };
    Pinned pinned_[most];
    size_t next_ = 0;
};

}   // namespace quiver::page
