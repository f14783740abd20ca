// Slots in an index's pages, through PostgreSQL's buffers; changes go to the WAL as generic records.
#pragma once

#include "am/meta.hpp"
#include "am/recent_buffers.hpp"
#include "core/error.hpp"
#include "core/prefetch.hpp"
#include "pg/entry.hpp"

namespace quiver::am {

// The free space map says of a page whether it has a free slot, not how many.
constexpr Size has_room = BLCKSZ / 2;
constexpr Size recorded_room = BLCKSZ - 1;

// A setting for tests of recovery (am_options.cpp): changes of pages till this process is killed, or 0.
extern int crash_after_writes;
void crash_for_a_test();

class RelationStore {
  public:
    // building: the relation is new and nobody else sees it; its pages are logged when it is done.
    RelationStore(Relation index, const MetaData& meta, const graph::Layout& layout,
                  bool building = false)
        : index_(index), l_(layout), per_page_(meta.slots_per_page), building_(building),
          blocks_(RelationGetNumberOfBlocks(index)), recent_(RecentBuffers::of(index, blocks_))
    {
    }

    const graph::Layout& layout() const { return l_; }

    // A rescan or another insert: the relation may have grown, or be another one.
    void refresh(Relation index)
    {
        // A pin from before an error is long gone.
        std::fill(std::begin(ahead_), std::end(ahead_), Ahead{});
        index_ = index;
        blocks_ = RelationGetNumberOfBlocks(index);
        recent_ = RecentBuffers::of(index, blocks_);
    }

    graph::Entry entry()
    {
        const MetaData meta = read_meta(index_);
        if (meta.entry == graph::no_slot)
            return {};
        return {meta.entry, meta.entry_level};
    }

    template <class F>
    bool read(graph::SlotId id, F&& f)
    {
        const BlockNumber block = block_of(id);
        Buffer buffer = InvalidBuffer;
        for (Ahead& a : ahead_)
            if (a.block == block && BufferIsValid(a.buffer))
                std::swap(buffer, a.buffer);
        if (!BufferIsValid(buffer)) {
            if (!exists(block))
                return false;
            buffer = read_buffer(block);
        }
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        const Page page = BufferGetPage(buffer);
        const bool ok = !PageIsNew(page);
        if (ok) {
            check_page(index_, block, page, kind_slots);
            f(graph::Slot(l_, slot_in(page, id)));
        }
        UnlockReleaseBuffer(buffer);
        return ok;
    }

    template <class F>
    bool write(graph::SlotId id, F&& f)
    {
        const BlockNumber block = block_of(id);
        if (!exists(block))
            return false;
        const Buffer buffer = read_buffer(block);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        bool changed = false;
        if (!PageIsNew(BufferGetPage(buffer)))
            changed = change(buffer, [&](Page page) {
                check_page(index_, block, page, kind_slots);
                return f(graph::MutableSlot(l_, slot_in(page, id)));
            });
        UnlockReleaseBuffer(buffer);
        return changed;
    }

    // Where there is room: a page with a slot that is free for everybody, or a new one.
    template <class F>
    graph::SlotId create(F&& f)
    {
        bool use_map = !building_;
        for (;;) {
            BlockNumber block =
                use_map ? GetPageWithFreeSpace(index_, has_room) : InvalidBlockNumber;
            if (block == InvalidBlockNumber) {
                use_map = false;
                block = blocks_ - 1;   // the free space map forgets the last page
            }
            if (block >= first_slot_block && exists(block)) {
                bool later = false;
                const graph::SlotId id = create_in(block, f, &later);
                if (id != graph::no_slot)
                    return id;
                if (use_map) {
                    // Slots that somebody may still hold the id of stay in the map for later.
                    if (later)
                        use_map = false;
                    else
                        RecordPageWithFreeSpace(index_, block, 0);
                    continue;
                }
            } else if (use_map) {
                RecordPageWithFreeSpace(index_, block, 0);   // a map from before a crash
                continue;
            }
            // Somebody else may have extended it meanwhile.
            const BlockNumber now = RelationGetNumberOfBlocks(index_);
            if (now > blocks_ && !building_) {
                blocks_ = now;
                continue;
            }
            // The new page is as anybody's: before 16 somebody else may lock it first and use it.
            const Buffer buffer = pg::extend_relation(index_, MAIN_FORKNUM, !building_);
            blocks_ = BufferGetBlockNumber(buffer) + 1;
            UnlockReleaseBuffer(buffer);
        }
    }

    uint64 stamp() const { return U64FromFullTransactionId(pg::next_full_xid()); }

    bool raise_entry(graph::Entry e)
    {
        return change_meta([&](MetaData& meta) {
            if (meta.entry != graph::no_slot && e.level <= meta.entry_level)
                return false;
            meta.entry = e.id;
            meta.entry_level = e.level;
            return true;
        });
    }

    // Calls the function with the meta data; what it changed is kept if it returns true.
    template <class F>
    bool change_meta(F&& f)
    {
        const Buffer buffer = ReadBuffer(index_, meta_block);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        const bool changed = change(buffer, [&](Page page) {
            check_page(index_, meta_block, page, kind_meta);
            return f(*reinterpret_cast<MetaData*>(PageGetContents(page)));
        });
        UnlockReleaseBuffer(buffer);
        return changed;
    }

    // Changes a page whose buffer is locked exclusively; logged and kept if f(page) returns true.
    template <class F>
    bool change(Buffer buffer, F&& f)
    {
        if (building_) {
            if (!f(BufferGetPage(buffer)))
                return false;
            MarkBufferDirty(buffer);
            return true;
        }
        GenericXLogState* state = GenericXLogStart(index_);
        const Page page = GenericXLogRegisterBuffer(state, buffer, 0);
        if (!f(page)) {
            GenericXLogAbort(state);
            return false;
        }
        GenericXLogFinish(state);
        if (crash_after_writes > 0 && --crash_after_writes == 0) [[unlikely]]
            crash_for_a_test();
        return true;
    }

    // Pins the page of a slot that is likely to be read next, and has the CPU fetch the slot while
    // the present one is scored: a slot is some 30 cache lines that are in no cache.
    void prefetch(graph::SlotId id)
    {
        const BlockNumber block = block_of(id);
        if (!exists(block))
            return;
        Ahead& a = ahead_[next_ahead_];
        next_ahead_ = (next_ahead_ + 1) % std::size(ahead_);
        if (BufferIsValid(a.buffer))
            ReleaseBuffer(a.buffer);
        a = {block, read_buffer(block)};
        const Page page = BufferGetPage(a.buffer);
        __builtin_prefetch(page, 0, 2);
        __builtin_prefetch(page + BLCKSZ - sizeof(PageTail), 0, 2);
        quiver::prefetch(slot_in(page, id), l_.slot_bytes);
    }
    // Lets go of what prefetch() pinned: call it when the search pauses.
    void release()
    {
        for (Ahead& a : ahead_) {
            if (BufferIsValid(a.buffer))
                ReleaseBuffer(a.buffer);
            a.buffer = InvalidBuffer;
        }
    }
    void poll() { pg::poll(); }

    // Calls look(buffer, page, block) for each page of slots under a lock of that mode, then after()
    // without. Pages that come meanwhile are looked at, too.
    template <class Look, class After>
    void for_each_page(BufferAccessStrategy strategy, int mode, Look&& look, After&& after)
    {
        for (BlockNumber block = first_slot_block; block < RelationGetNumberOfBlocks(index_);
             block++) {
            const Buffer buffer =
                ReadBufferExtended(index_, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
            LockBuffer(buffer, mode);
            // A page that was added and never written, as a crash leaves it, has no slots.
            if (!PageIsNew(BufferGetPage(buffer)))
                look(buffer, BufferGetPage(buffer), block);
            UnlockReleaseBuffer(buffer);
            after();
        }
    }

    uint32 slots_per_page() const { return per_page_; }
    BlockNumber blocks() const { return blocks_; }
    BlockNumber block_of(graph::SlotId id) const { return first_slot_block + id / per_page_; }
    graph::SlotId first_id(BlockNumber block) const
    {
        return (block - first_slot_block) * per_page_;
    }
    char* slot_in(Page page, graph::SlotId id) const
    {
        char* slot =
            static_cast<char*>(PageGetContents(page)) + size_t{id % per_page_} * l_.slot_bytes;
        QUIVER_ASSERT(slot + l_.slot_bytes <= static_cast<char*>(page) + BLCKSZ);
        return slot;
    }

  private:
    Buffer read_buffer(BlockNumber block)
    {
        return recent_ ? recent_->read(index_, block) : ReadBuffer(index_, block);
    }

    bool exists(BlockNumber block)
    {
        if (block < blocks_)
            return true;
        blocks_ = RelationGetNumberOfBlocks(index_);
        return block < blocks_;
    }

    bool is_free(const graph::SlotHeader& h) const
    {
        return h.state == graph::SlotState::free &&
               (h.stamp() == 0 || pg::removable(index_, FullTransactionIdFromU64(h.stamp())));
    }

    // *later: there are free slots, but not yet for everybody.
    template <class F>
    graph::SlotId create_in(BlockNumber block, F& f, bool* later)
    {
        const Buffer buffer = ReadBuffer(index_, block);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        graph::SlotId id = graph::no_slot;
        // Look before anything is copied for the log.
        const Page now = BufferGetPage(buffer);
        const bool fresh = PageIsNew(now);   // extended, but never written: a crash came between
        if (!fresh)
            check_page(index_, block, now, kind_slots);
        uint32 i = 0;
        for (; !fresh && i < per_page_; i++) {
            const auto& h = *reinterpret_cast<graph::SlotHeader*>(slot_in(now, i));
            if (is_free(h))
                break;
            *later |= h.state == graph::SlotState::free;
        }
        if (i < per_page_)
            change(buffer, [&](Page page) {
                if (fresh)
                    init_page(page, kind_slots);
                id = use(block, page, i, f);
                return true;
            });
        UnlockReleaseBuffer(buffer);
        return id;
    }

    // Fills slot i of the page.
    template <class F>
    graph::SlotId use(BlockNumber block, Page page, uint32 i, F& f)
    {
        char* slot = slot_in(page, i);
        // Of a slot used before only the header is cleared: what lies beyond its degree is never
        // looked at, and clearing it would be logged.
        std::memset(slot, 0, sizeof(graph::SlotHeader));
        f(graph::MutableSlot(l_, slot));
        // What lies behind the last slot in use is not logged.
        auto* header = reinterpret_cast<PageHeader>(page);
        const auto end = static_cast<LocationIndex>(slot + l_.slot_bytes - page);
        header->pd_lower = std::max(header->pd_lower, end);
        return first_id(block) + i;
    }

    Relation index_;
    const graph::Layout& l_;
    uint32 per_page_;
    bool building_;
    BlockNumber blocks_;
    RecentBuffers* recent_;
    // Pinned by prefetch(), the last ones, in turn.
    struct Ahead {
        BlockNumber block = InvalidBlockNumber;
        Buffer buffer = InvalidBuffer;
    };
    Ahead ahead_[graph::lookahead + 1];
    size_t next_ahead_ = 0;
};
static_assert(graph::Store<RelationStore>);

}   // namespace quiver::am
