// Records of a fixed size in the pages of a relation. A record's place follows from its id by
// arithmetic. The caller knows what is in a record, and which records are free; the store finds
// pages with free records.
//
// Changes are logged as generic WAL records. The first change of a page logs it whole: during
// replay the page may have other contents than it had here, to which a difference cannot be applied
// (full_page_writes = off).
//
// Free space. The free space map has one of three values for each page:
//   usable   has a free record that anybody may use
//   later    has free records, but when they were last checked, all had been freed too recently
//   none
// create() looks at the page that this backend used last, at some usable pages of the map, and at
// one of the value `later`. Then it extends the relation. While it waits for the extension lock,
// another process may have extended the relation, so it looks at the map again. A vacuum enters
// every page that has free records, also one that a crash has left without contents. The map is not
// logged. After a crash it may be wrong, so create() checks each page.
#pragma once

#include "core/assert.hpp"
#include "core/memory.hpp"
#include "page/change.hpp"
#include "page/pinned_ahead.hpp"
#include "pg/entry.hpp"

namespace quiver::page {

enum class Room : uint8 { none, later, usable };

class PageStore;

// Asks the kernel to read pages ahead when pages are read one after the other.
class SequentialReadAhead {
  public:
    // To be called before block `block` is read.
    inline void want(const PageStore& store, BlockNumber block);

  private:
    BlockNumber last_ = InvalidBlockNumber, asked_ = 0;
};

// Head pages: before each group of so many pages of records, there is a page that belongs to them.
struct Heads {
    uint32 pages = 0;   // 0: there are no head pages
    uint32 bytes = 0;   // of a head page, in use
};

class PageStore {
  public:
    PageStore(Relation rel, BlockNumber first_block, uint32 record_bytes, Heads heads = {})
        : rel_(rel), hints_(rel), first_block_(first_block), record_bytes_(record_bytes),
          per_page_(usable_bytes / record_bytes), heads_(heads),
          blocks_(RelationGetNumberOfBlocks(rel))
    {
    }

    // To be called when the relcache entry may have changed.
    void refresh(Relation rel)
    {
        ahead_.forget();   // if there was an error, it has released the pins
        hints_are_right_ = true;
        rel_ = rel;
    }

    Relation relation() const { return rel_; }
    uint32 records_per_page() const { return per_page_; }
    BlockNumber first_block() const { return first_block_; }
    BlockNumber blocks() const { return blocks_; }
    // How often read(), read_page() and read_written() have read a page.
    uint64 reads() const { return reads_; }
    // The current number.
    BlockNumber count_blocks() { return blocks_ = RelationGetNumberOfBlocks(rel_); }
    BlockNumber block_of(uint32 id) const { return block_of_page(id / per_page_); }
    // Pages of records, and head pages, are counted from 0.
    BlockNumber block_of_page(uint32 page) const
    {
        return first_block_ + page + (heads_.pages > 0 ? page / heads_.pages + 1 : 0);
    }
    BlockNumber block_of_head(uint32 head) const
    {
        return first_block_ + head * (heads_.pages + 1);
    }
    bool is_head(BlockNumber block) const
    {
        return heads_.pages > 0 && block >= first_block_ &&
               (block - first_block_) % (heads_.pages + 1) == 0;
    }
    uint32 record_pages() const { return blocks_ - std::min(blocks_, first_block_) - head_pages(); }
    uint32 head_pages() const
    {
        const uint32 all = blocks_ - std::min(blocks_, first_block_);
        return heads_.pages > 0 ? (all + heads_.pages) / (heads_.pages + 1) : 0;
    }
    // Of a page of records.
    uint32 first_id(BlockNumber block) const
    {
        const uint32 page = block - first_block_;
        return (heads_.pages > 0 ? page - page / (heads_.pages + 1) - 1 : page) * per_page_;
    }
    // The number of a record among those of its group.
    uint32 place_in_group(uint32 id) const { return id % (heads_.pages * per_page_); }

    // Calls f(record). The record does not change during the call. False: there is no such record.
    template <class F>
    bool read(uint32 id, F&& f)
    {
        return read_block(block_of(id), Kind::records,
                          [&](Page page) { f(static_cast<const char*>(record_in(page, id))); });
    }

    // Calls f(contents) for a head page. False: there is none, or a crash has left it without contents.
    template <class F>
    bool read_head(uint32 head, F&& f)
    {
        return read_block(block_of_head(head), Kind::head,
                          [&](Page page) { f(static_cast<const char*>(contents_of(page))); });
    }

    // Calls f(record). If it returns true, its changes are kept and logged.
    template <class F>
    bool write(uint32 id, F&& f)
    {
        const BlockNumber block = block_of(id);
        if (!exists(block))
            return false;
        const Buffer buffer = hints_.read(rel_, block);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        bool changed = false;
        if (!PageIsNew(BufferGetPage(buffer))) {
            check(rel_, block, BufferGetPage(buffer), Kind::records);
            changed = change(buffer, [&](Page page) { return f(record_in(page, id)); });
        }
        UnlockReleaseBuffer(buffer);
        return changed;
    }

    // The current point in time: later changes get a higher LSN. Changes that others are making
    // right now may get a higher LSN as well.
    XLogRecPtr now() const
    {
        return is_permanent() ? pg::wal_position() : GetFakeLSNForUnloggedRel();
    }
    // Calls f(id, record) for each record of the sorted ids whose page was written since that time.
    template <class F>
    void read_written(const Vec<uint32>& ids, XLogRecPtr since, F&& f)
    {
        for (size_t first = 0, end; first < ids.size(); first = end) {
            const BlockNumber block = block_of(ids[first]);
            for (end = first + 1; end < ids.size() && block_of(ids[end]) == block;)
                end++;
            if (!exists(block))
                continue;
            pg::poll();
            const Buffer buffer = hints_.read(rel_, block);
            reads_++;
            LockBuffer(buffer, BUFFER_LOCK_SHARE);
            const Page page = BufferGetPage(buffer);
            if (!PageIsNew(page) && PageGetLSN(page) > since) {
                check(rel_, block, page, Kind::records);
                for (size_t i = first; i < end; i++)
                    f(ids[i], static_cast<const char*>(record_in(page, ids[i])));
            }
            UnlockReleaseBuffer(buffer);
        }
    }

    // Calls f(first record) for the records of a page. False: a crash has left a page that was added
    // but never written. It has no records.
    template <class F>
    bool read_page(BlockNumber block, BufferAccessStrategy strategy, F&& f)
    {
        const Buffer buffer = ReadBufferExtended(rel_, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
        reads_++;
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        const Page page = BufferGetPage(buffer);
        const bool any = !PageIsNew(page);
        if (any) {
            check(rel_, block, page, Kind::records);
            f(static_cast<const char*>(contents_of(page)));
        }
        UnlockReleaseBuffer(buffer);
        return any;
    }
    // The head page of a page of records, in a change of that page. Whoever locks both locks the head page last.
    class Head {
      public:
        Head(const PageStore& store, Change& change, BlockNumber records)
            : store_(store), change_(change), records_(records)
        {
        }
        Head(const Head&) = delete;

        // A copy of its contents, to be changed. From the first call on the page is locked.
        char* contents()
        {
            if (!page_) {
                const BlockNumber block = store_.block_of_head((records_ - store_.first_block_) /
                                                               (store_.heads_.pages + 1));
                buffer_ = store_.hints_.read(store_.rel_, block);
                LockBuffer(buffer_, BUFFER_LOCK_EXCLUSIVE);
                const bool fresh = PageIsNew(BufferGetPage(buffer_));
                if (!fresh)
                    check(store_.rel_, block, BufferGetPage(buffer_), Kind::head);
                page_ = change_.of(buffer_);
                if (fresh) {
                    init(page_, Kind::head);
                    set_used(page_, store_.heads_.bytes);
                }
            }
            return contents_of(page_);
        }
        // To be called when the change is done.
        void release()
        {
            if (page_)
                UnlockReleaseBuffer(buffer_);
        }

      private:
        const PageStore& store_;
        Change& change_;
        BlockNumber records_;
        Buffer buffer_ = InvalidBuffer;
        Page page_ = nullptr;
    };

    // Calls f(first record, head) if look(first record) is true.
    template <class Look, class F>
    void write_page(BlockNumber block, BufferAccessStrategy strategy, Look&& look, F&& f)
    {
        const Buffer buffer = ReadBufferExtended(rel_, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        const Page page = BufferGetPage(buffer);
        if (!PageIsNew(page)) {
            check(rel_, block, page, Kind::records);
            if (look(static_cast<const char*>(contents_of(page))))
                change_records(buffer, block, [&](Page p, Head& head) { f(contents_of(p), head); });
        }
        UnlockReleaseBuffer(buffer);
    }

    // Calls look(page, block) for each page of records, under a shared lock, and then after()
    // without a lock. This includes pages that are added meanwhile. Pages are read ahead.
    template <class Look, class After>
    void for_each_page(BufferAccessStrategy strategy, Look&& look, After&& after)
    {
        pg::ReadAhead ahead(rel_, first_block_, count_blocks(), strategy);
        for (BlockNumber block = first_block_; block < count_blocks(); block++) {
            const Buffer buffer = ahead.next(block);
            LockBuffer(buffer, BUFFER_LOCK_SHARE);
            if (!is_head(block) && !PageIsNew(BufferGetPage(buffer)))
                look(BufferGetPage(buffer), block);
            UnlockReleaseBuffer(buffer);
            after();
        }
        ahead.end();
    }

    // Takes a free record, or adds a zeroed one, and returns its id. fill(id, record, head) sets its contents
    // while the page is locked.
    //     Room room_of(record): may the record be used, now or later?
    template <class RoomOf, class Fill>
    uint32 create(RoomOf&& room_of, Fill&& fill)
    {
        uint32 id = no_record;
        BlockNumber block = RelationGetTargetBlock(rel_);
        if (block != InvalidBlockNumber && use(block, room_of, fill, &id))
            return id;
        for (int tries = 0; tries < 16; tries++) {
            block = GetPageWithFreeSpace(rel_, asked(Room::usable));
            if (block == InvalidBlockNumber)
                break;
            if (use(block, room_of, fill, &id))
                return id;
        }
        block = GetPageWithFreeSpace(rel_, asked(Room::later));
        if (block != InvalidBlockNumber && use(block, room_of, fill, &id))
            return id;
        while (id == no_record)
            if (use(extend(), room_of, fill, &id))
                break;
        return id;
    }

    // Enters a page into the free space map.
    void note_room(BlockNumber block, Room room)
    {
        RecordPageWithFreeSpace(rel_, block, recorded(room));
    }

    // Changes a page whose buffer is locked exclusively. If f(page) returns true, the change is
    // kept and logged.
    template <class F>
    bool change(Buffer buffer, F&& f)
    {
        Change change(rel_);
        if (!f(change.of(buffer))) {
            change.drop();
            return false;
        }
        change.keep();
        return true;
    }

    // Makes the CPU fetch a record that is likely to be read next while the current one is being
    // processed: a slot has about 30 cache lines, which are in no cache. If the page is in no buffer,
    // asks the kernel to read it.
    //
    // Whether a hint is right is in the header of its buffer, which is in no cache, either. So as long as
    // all hints were right, nobody waits for that. From then on, the page is pinned here.
    void prefetch(uint32 id) { prefetch(id, record_bytes_); }
    // The same for the first bytes of it.
    void prefetch(uint32 id, Size bytes)
    {
        if (const char* page = prefetch_page(block_of(id)))
            quiver::prefetch(record_in(const_cast<char*>(page), id), bytes);
    }
    // The same for the first bytes of a head page, all of which are read one after the other. If the pages are in no
    // buffers, asks for several.
    void prefetch_head(uint32 head, Size bytes)
    {
        const BlockNumber block = block_of_head(head);
        if (!exists(block))
            return;
        if (const BlockNumber later = block_of_head(head + heads_ahead);
            hints_.usable() && !hints_.page(later) && exists(later))
            PrefetchBuffer(rel_, MAIN_FORKNUM, later);
        if (const char* page = prefetch_page(block))
            quiver::prefetch(contents_of(const_cast<char*>(page)), bytes);
    }
    // Releases the pins of prefetch(). To be called when work pauses.
    void release() { ahead_.release(); }

    char* record_in(Page page, uint32 id) const
    {
        char* record = contents_of(page) + size_t{id % per_page_} * record_bytes_;
        QUIVER_ASSERT(record + record_bytes_ <= static_cast<char*>(page) + BLCKSZ);
        return record;
    }

  private:
    static constexpr uint32 no_record = UINT32_MAX;
    static constexpr int lookahead = 3;
    static constexpr uint32 heads_ahead = 16;

    static Size recorded(Room room)
    {
        return room == Room::usable ? BLCKSZ - 1 : room == Room::later ? BLCKSZ / 4 : 0;
    }
    static Size asked(Room room) { return room == Room::usable ? BLCKSZ / 2 : BLCKSZ / 8; }

    // Prefetches a page's header and tail. Returns the page, or null if it is in no buffer.
    const char* prefetch_page(BlockNumber block)
    {
        if (!exists(block))
            return nullptr;
        const char* page = hints_are_right_ ? hints_.page(block) : nullptr;
        if (page)
            hints_.prefetch(block);
        else
            page = ahead_.pin(hints_, rel_, block);
        if (page) {
            quiver::prefetch(page, 1);
            quiver::prefetch(page + BLCKSZ - sizeof(Tail), 1);
        }
        return page;
    }
    // Changes a page of records, and maybe its head page, in one WAL record: f(page, head).
    template <class F>
    void change_records(Buffer buffer, BlockNumber block, F&& f)
    {
        Change change(rel_);
        Head head(*this, change, block);
        f(change.of(buffer), head);
        change.keep();
        head.release();
    }

    // Calls f(page) for a page of this kind, under a shared lock. False: it is not there, or was never written.
    template <class F>
    [[gnu::always_inline]] bool read_block(BlockNumber block, Kind kind, F&& f)
    {
        Buffer buffer = ahead_.take(block);
        if (!BufferIsValid(buffer)) {
            if (!exists(block))
                return false;
            buffer = hints_.read(rel_, block, &hints_are_right_);
        }
        reads_++;
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        const Page page = BufferGetPage(buffer);
        const bool ok = !PageIsNew(page);
        if (ok) {
            check(rel_, block, page, kind);
            f(page);
        }
        UnlockReleaseBuffer(buffer);
        return ok;
    }
    bool is_permanent() const { return rel_->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT; }
    bool exists(BlockNumber block) { return block < blocks_ || block < count_blocks(); }

    // Fills a free record of the page, if there is one. Corrects the free space map if it was
    // wrong.
    template <class RoomOf, class Fill>
    bool use(BlockNumber block, RoomOf&& room_of, Fill&& fill, uint32* id)
    {
        if (block < first_block_ || is_head(block) || !exists(block)) {
            note_room(block, Room::none);
            return false;
        }
        const Buffer buffer = hints_.read(rel_, block);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        // Check the page before GenericXLogStart() copies it.
        const Page now = BufferGetPage(buffer);
        const bool fresh = PageIsNew(now);
        if (!fresh)
            check(rel_, block, now, Kind::records);
        uint32 found = fresh ? 0 : per_page_;
        Room room = fresh && per_page_ > 1 ? Room::usable : Room::none;   // of the other records
        for (uint32 i = 0; !fresh && i < per_page_; i++) {
            const Room of_this = room_of(static_cast<const char*>(record_in(now, i)));
            if (of_this == Room::usable && found == per_page_)
                found = i;
            else
                room = std::max(room, of_this);
        }
        if (found < per_page_)
            change_records(buffer, block, [&](Page page, Head& head) {
                if (fresh)
                    init(page, Kind::records);
                fill(first_id(block) + found, record_in(page, found), head);
                set_used(page, std::max<Size>(used_bytes(page), (found + Size{1}) * record_bytes_));
            });
        UnlockReleaseBuffer(buffer);
        const bool target = RelationGetTargetBlock(rel_) == block;
        if (found == per_page_ || room != Room::usable) {
            note_room(block, room);
            if (target)
                RelationSetTargetBlock(rel_, InvalidBlockNumber);
        } else if (!target)
            RelationSetTargetBlock(rel_, block);
        if (found == per_page_)
            return false;
        *id = first_id(block) + found;
        return true;
    }

    // Returns a new page at the end of the relation, or one that another process added while this
    // one waited.
    BlockNumber extend()
    {
        const bool shared = !RELATION_IS_LOCAL(rel_);
        // (A head page at the end has no room, so create() extends once more.)
        uint32 wanted = 1;
        if (shared && !ConditionalLockRelationForExtension(rel_, ExclusiveLock)) {
            LockRelationForExtension(rel_, ExclusiveLock);
            const BlockNumber block = GetPageWithFreeSpace(rel_, asked(Room::usable));
            if (block != InvalidBlockNumber) {
                UnlockRelationForExtension(rel_, ExclusiveLock);
                return block;
            }
            wanted += static_cast<uint32>(RelationExtensionLockWaiterCount(rel_));
        }
        if (count_blocks() - first_block_ >= no_record / per_page_ - wanted) {
            if (shared)
                UnlockRelationForExtension(rel_, ExclusiveLock);
            ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                            errmsg("index \"%s\" cannot have more than %u nodes",
                                   RelationGetRelationName(rel_), no_record),
                            errhint("Partition the table.")));
        }
        uint32 added = 0;
        const BlockNumber first = pg::extend_relation(rel_, wanted, &added);
        for (uint32 i = 0; i < added; i++)
            if (!is_head(first + i))
                note_room(first + i, Room::usable);
        if (shared)
            UnlockRelationForExtension(rel_, ExclusiveLock);
        FreeSpaceMapVacuumRange(rel_, first, first + added);
        blocks_ = std::max(blocks_, first + added);
        return first;
    }

    Relation rel_;
    BufferHints hints_;
    BlockNumber first_block_;
    uint32 record_bytes_, per_page_;
    Heads heads_;
    BlockNumber blocks_;   // a lower bound of the current number
    uint64 reads_ = 0;
    PinnedAhead<lookahead> ahead_;   // by prefetch()
    bool hints_are_right_ = true;    // none was wrong since refresh()
};

void SequentialReadAhead::want(const PageStore& store, BlockNumber block)
{
    if (last_ != InvalidBlockNumber &&
        (block == last_ + 1 || (block == last_ + 2 && store.is_head(last_ + 1))))
        for (asked_ = std::max(asked_, block + 1);
             asked_ <= block + static_cast<BlockNumber>(maintenance_io_concurrency) &&
             asked_ < store.blocks();
             asked_++)
            PrefetchBuffer(store.relation(), MAIN_FORKNUM, asked_);
    else
        asked_ = 0;
    last_ = block;
}

}   // namespace quiver::page
