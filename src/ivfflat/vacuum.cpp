// The callbacks of VACUUM. It reads all pages in order and removes dead rows from their places. A list page that
// has no rows any more is taken out of its list, and becomes free with its code pages, unless it is the first
// page of the list. Nothing else moves. At last, the rows are divided again if the table has grown (divide.hpp).
//
// A crash can leave a page that was added to the file but never written: it becomes free, too. So do the pages to which
// the root does not lead: those of lists that were replaced, and those of a division that was interrupted.
#include "pg/pg.hpp"

#include <cmath>

#include "am/rows.hpp"
#include "ivfflat/divide.hpp"
#include "ivfflat/handler.hpp"

extern "C" {
#include "storage/indexfsm.h"
}

namespace quiver::ivfflat {

namespace {

class Vacuum {
  public:
    Vacuum(IndexVacuumInfo* info, IndexBulkDeleteCallback callback, void* state)
        : index_(info->index), strategy_(info->strategy), callback_(callback), state_(state),
          meta_(read_meta(index_)), encoding_(index_, meta_), store_(index_, meta_, encoding_)
    {
    }

    void run()
    {
        forget_retired_lists(store_);
        leftovers_ = has_leftovers(store_);
        root_pages_ = root_pages(store_);
        for (const RootEntry& entry : read_root(store_))
            lists_.push_back({.head = entry.head, .retired = entry.retired});
        std::sort(lists_.begin(), lists_.end(),
                  [](const ListState& x, const ListState& y) { return x.head < y.head; });
        pg::ReadAhead ahead(index_, am::meta_block + 1, RelationGetNumberOfBlocks(index_),
                            strategy_);
        for (BlockNumber block = am::meta_block + 1; block < RelationGetNumberOfBlocks(index_);
             block++) {
            pg::vacuum_pause();
            const Buffer buffer = ahead.next(block);
            look_at(block, buffer);
        }
        ahead.end();
        for (const ListState& l : lists_) {
            if (l.retired)
                continue;
            BlockNumber last = l.head;
            if (l.emptied)
                last = remove_empty_pages(l.head);
            if (l.removed)
                store_.set_room(l.head, l.room != lists::no_block ? l.room : last);
        }
        free_pages_of_no_list();
        IndexFreeSpaceMapVacuum(index_);
        if (leftovers_)
            set_leftovers(store_, false);
    }
    // Are there pages to be made free, even if no row is dead?
    bool has_work() { return has_leftovers(store_) || has_forgettable_lists(store_); }
    // To be called at the end, after run() if that was needed.
    void divide(double table_rows)
    {
        divide_again(index_, meta_, encoding_, store_, table_rows);
        IndexFreeSpaceMapVacuum(index_);
    }
    double rows() const { return static_cast<double>(rows_); }
    double removed() const { return static_cast<double>(removed_rows_); }
    BlockNumber free_pages() const { return free_; }

  private:
    // A list, as far as this vacuum knows it.
    struct ListState {
        BlockNumber head;
        bool retired;
        bool removed = false;   // were rows removed?
        bool emptied = false;   // has a page no rows?
        // Of the pages that have rows and free places, the first one.
        BlockNumber room = lists::no_block;
        uint32 room_number = 0;
    };

    struct PageOfNoList {
        BlockNumber list, block;
    };

    void look_at(BlockNumber block, Buffer buffer)
    {
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        const Page page = BufferGetPage(buffer);
        const bool free = ListStore::is_free(page);
        if (!free && page::is_of(page, page::Kind::list))
            remove_dead(buffer);
        UnlockReleaseBuffer(buffer);
        if (free)
            note_free(block);
    }
    void remove_dead(Buffer buffer)
    {
        const lists::ListPage page = store_.list_page(BufferGetPage(buffer));
        const BlockNumber list = page.header().list;
        if (list == lists::root_list) {
            if (const BlockNumber block = BufferGetBlockNumber(buffer);
                !std::binary_search(root_pages_.begin(), root_pages_.end(), block))
                add_leftover({list, block});
            return;
        }
        const auto found =
            std::lower_bound(lists_.begin(), lists_.end(), list,
                             [](const ListState& l, BlockNumber head) { return l.head < head; });
        if (found == lists_.end() || found->head != list) {
            add_leftover({list, BufferGetBlockNumber(buffer)});
            return;
        }
        ListState& l = *found;
        dead_.clear();
        uint32_t taken = 0;
        for (uint32_t i = 0; i < page.used(); i++) {
            if (!page.is_taken(i))
                continue;
            ItemPointerData tid = am::from_tid(page.tids()[i]);
            // No table has a row of number 0, but a damaged index may.
            if (callback_ && tid.ip_posid != InvalidOffsetNumber && callback_(&tid, state_))
                dead_.push_back(i);
            else
                taken++;
        }
        const lists::ListHeader h = page.header();
        if (h.taken != taken + dead_.size())
            throw Error(Errc::corrupt, "list page %u is damaged", BufferGetBlockNumber(buffer));
        // (No division runs now, so one that was interrupted has closed this page.)
        const bool open = h.closed && !l.retired;
        if (!dead_.empty() || open) {
            page::Change change(index_);
            const lists::MutableListPage to = store_.list_page(change.of(buffer));
            for (const uint32_t i : dead_)
                lists::remove_entry(to, i);
            if (open)
                to.header().closed = 0;
            change.keep();
            l.removed = true;
        }
        if (l.retired)
            return;
        rows_ += taken;
        removed_rows_ += dead_.size();
        if (taken == 0 && h.number > 0)
            l.emptied = true;
        else if (taken < page.layout().entries &&
                 (l.room == lists::no_block || h.number < l.room_number)) {
            l.room = BufferGetBlockNumber(buffer);
            l.room_number = h.number;
        }
    }

    void add_leftover(const PageOfNoList& p)
    {
        if (!leftovers_)
            throw Error(Errc::corrupt, "list page %u is of no list", p.block);
        of_no_list_.push_back(p);
    }
    void note_free(BlockNumber block)
    {
        RecordFreeIndexPage(index_, block);
        free_++;
    }

    // Makes the pages free to which the root does not lead. The first page of a list, which tells that there was such a
    // list, comes last.
    void free_pages_of_no_list()
    {
        for (const bool first : {false, true})
            for (const PageOfNoList& p : of_no_list_) {
                if ((p.block == p.list) != first)
                    continue;
                pg::vacuum_pause();
                const bool root = p.list == lists::root_list;
                if (!first && !root) {
                    const Buffer head = lock(p.list, p.list, 0);
                    UnlockReleaseBuffer(head);
                }
                const Buffer buffer = store_.pin(p.block);
                LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
                if (!store_.is_page_of(BufferGetPage(buffer), p.list))
                    throw Error(Errc::corrupt, "list page %u is damaged", p.block);
                free_code_pages(buffer, root);
                page::Change change(index_);
                page::set_used(change.fresh(buffer, page::Kind::free), 0);
                change.keep();
                UnlockReleaseBuffer(buffer);
                note_free(p.block);
            }
        of_no_list_.clear();
    }

    // Takes the pages without rows out of a list, except the first one. Returns the last page of the list.
    BlockNumber remove_empty_pages(BlockNumber list)
    {
        BlockNumber before = list;
        for (uint32_t number = 0;;) {
            pg::vacuum_pause();
            const Buffer previous = lock(before, list, number);
            const lists::ListHeader h = store_.list_page(BufferGetPage(previous)).header();
            const BlockNumber block = h.next;
            if (block == lists::no_block) {
                UnlockReleaseBuffer(previous);
                return before;
            }
            // (Only damaged pages form a circle. Nobody may wait for a page that he has locked himself.)
            if (block == before || h.next_number <= number)
                throw Error(Errc::corrupt, "list page %u is damaged", before);
            const Buffer buffer = lock(block, list, h.next_number);
            const lists::ListHeader gone = store_.list_page(BufferGetPage(buffer)).header();
            const bool empty = gone.taken == 0;
            if (empty) {
                free_code_pages(buffer, false);
                page::Change change(index_);
                lists::link(store_.list_page(change.of(previous)), gone.next, gone.next_number);
                page::set_used(change.fresh(buffer, page::Kind::free), 0);
                change.keep();
            }
            UnlockReleaseBuffer(buffer);
            UnlockReleaseBuffer(previous);
            if (empty)
                note_free(block);
            else {
                before = block;
                number = h.next_number;
            }
        }
    }
    // Locks the page of a list that has this number. An error if it is another page: only vacuum takes pages away.
    Buffer lock(BlockNumber block, BlockNumber list, uint32_t number)
    {
        const Buffer buffer = store_.pin(block);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        const Page page = BufferGetPage(buffer);
        if (!store_.is_page_of(page, list) || store_.list_page(page).header().number != number)
            throw Error(Errc::corrupt, "list page %u is damaged", block);
        return buffer;
    }
    // Makes the code pages of a list page free, which has no rows and is locked. Each of them changes together with
    // the list page, so after a crash every code page is free or belongs to a list page.
    void free_code_pages(Buffer buffer, bool root)
    {
        const auto page_of = [&](Page p) {
            return root ? store_.root_page(p) : store_.list_page(p);
        };
        const lists::ListPage page = page_of(BufferGetPage(buffer));
        for (uint32_t i = 0; i < page.layout().code_pages; i++) {
            const BlockNumber block = page.code_blocks()[i];
            if (block == lists::no_block)
                continue;
            const Buffer codes = store_.lock_codes(block, BufferGetBlockNumber(buffer));
            page::Change change(index_);
            page_of(change.of(buffer)).code_blocks()[i] = lists::no_block;
            page::set_used(change.fresh(codes, page::Kind::free), 0);
            change.keep();
            UnlockReleaseBuffer(codes);
            note_free(block);
        }
    }

    Relation index_;
    BufferAccessStrategy strategy_;
    IndexBulkDeleteCallback callback_;
    void* state_;
    MetaData meta_;
    IndexEncoding encoding_;
    ListStore store_;
    Vec<ListState> lists_;     // in the order of their first pages
    bool leftovers_ = false;   // may there be pages of no list?
    Vec<PageOfNoList> of_no_list_;
    Vec<lists::Block> root_pages_;   // sorted
    Vec<uint32_t> dead_;             // places of a page
    uint64 rows_ = 0, removed_rows_ = 0;
    BlockNumber free_ = 0;
};

// Calls f with a vacuum of the index, in a memory context of its own.
template <class F>
void with_vacuum(IndexVacuumInfo* info, IndexBulkDeleteCallback callback, void* state, F&& f)
{
    const MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "ivfflat vacuum", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext old = MemoryContextSwitchTo(context);
    f(*new (palloc(sizeof(Vacuum))) Vacuum(info, callback, state));
    MemoryContextSwitchTo(old);
    MemoryContextDelete(context);
}
IndexBulkDeleteResult* new_stats()
{
    return static_cast<IndexBulkDeleteResult*>(palloc0(sizeof(IndexBulkDeleteResult)));
}
void run(Vacuum& vacuum, IndexBulkDeleteResult* stats)
{
    vacuum.run();
    stats->num_index_tuples = vacuum.rows();
    stats->estimated_count = false;
    stats->tuples_removed += vacuum.removed();
    stats->pages_free = vacuum.free_pages();
}

}   // namespace

IndexBulkDeleteResult* bulk_delete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                   IndexBulkDeleteCallback callback, void* state)
{
    if (!stats)
        stats = new_stats();
    with_vacuum(info, callback, state, [&](Vacuum& vacuum) { run(vacuum, stats); });
    return stats;
}

IndexBulkDeleteResult* vacuum_cleanup(IndexVacuumInfo* info, IndexBulkDeleteResult* stats)
{
    if (info->analyze_only)
        return stats;
    IndexBulkDeleteResult* const fresh = stats ? nullptr : new_stats();
    with_vacuum(info, nullptr, nullptr, [&](Vacuum& vacuum) {
        if (!stats && vacuum.has_work()) {
            run(vacuum, fresh);
            stats = fresh;
        }
        // (Nothing that may fail for want of space must hold up freezing.)
        if (!pg::is_wraparound_vacuum())
            vacuum.divide(stats                        ? stats->num_index_tuples
                          : info->num_heap_tuples >= 0 ? info->num_heap_tuples
                                                       : HUGE_VAL);
    });
    if (stats)
        stats->num_pages = RelationGetNumberOfBlocks(info->index);
    return stats;
}

}   // namespace quiver::ivfflat
