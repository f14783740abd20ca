#include "pg/pg.hpp"

#include "page/chain.hpp"

namespace quiver::page {

void write_chain(BulkWriter& writer, const char* bytes, Size length)
{
    for (Size at = 0; at < length;) {
        const Size n = std::min<Size>(length - at, usable_bytes);
        const Page page = writer.next();
        init(page, Kind::chain);
        std::memcpy(contents_of(page), bytes + at, n);
        set_used(page, n);
        at += n;
        if (at < length)
            tail_of(page)->next = writer.block() + 1;
    }
}

void read_chain(Relation rel, BlockNumber first, char* to, Size length)
{
    BlockNumber block = first;
    for (Size at = 0; at < length;) {
        if (block >= RelationGetNumberOfBlocks(rel))
            ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                            errmsg("a page chain of index \"%s\" is too short",
                                   RelationGetRelationName(rel)),
                            errhint("REINDEX the index.")));
        const Buffer buffer = ReadBuffer(rel, block);
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        const Page page = BufferGetPage(buffer);
        if (PageIsNew(page) || !is_of(page, Kind::chain) ||
            used_bytes(page) != std::min<Size>(length - at, usable_bytes))
            ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                            errmsg("block %u of index \"%s\" is not the expected page of a chain",
                                   block, RelationGetRelationName(rel)),
                            errhint("REINDEX the index.")));
        std::memcpy(to + at, contents_of(page), used_bytes(page));
        at += used_bytes(page);
        block = tail_of(page)->next;
        UnlockReleaseBuffer(buffer);
    }
}

}   // namespace quiver::page
