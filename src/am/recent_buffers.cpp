#include "pg/pg.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "am/recent_buffers.hpp"

extern "C" {
#include "utils/memutils.h"
}

namespace quiver::am {

RecentBuffers* RecentBuffers::of(Relation rel, BlockNumber blocks)
{
    static RecentBuffers cache[16];   // of indexes and their tables
    static uint64 clock;
    if (RelationUsesLocalBuffers(rel))
        return nullptr;
    const pg::FileNumber file = pg::file_number(rel);
    RecentBuffers* found =
        std::find_if(std::begin(cache), std::end(cache), [&](const RecentBuffers& c) {
            return c.count_ > 0 && std::memcmp(&c.file_, &file, sizeof file) == 0;
        });
    const bool same = found != std::end(cache);
    if (!same)   // in the place of the one not used for longest
        found = std::min_element(
            std::begin(cache), std::end(cache),
            [](const RecentBuffers& x, const RecentBuffers& y) { return x.used_ < y.used_; });
    found->used_ = ++clock;
    if (same && found->count_ >= std::min(blocks, most))
        return found;
    const BlockNumber count = std::min(blocks + blocks / 8 + 64, most);
    auto* hints = static_cast<Buffer*>(MemoryContextAllocExtended(
        TopMemoryContext, count * sizeof(Buffer), MCXT_ALLOC_ZERO | MCXT_ALLOC_NO_OOM));
    if (!hints)
        return nullptr;
    if (same)
        std::copy(found->hints_, found->hints_ + found->count_, hints);
    if (found->hints_)
        pfree(found->hints_);
    found->hints_ = hints;
    found->count_ = count;
    found->file_ = file;
    return found;
}

}   // namespace quiver::am
