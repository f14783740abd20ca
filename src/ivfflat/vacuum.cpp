// The callbacks of VACUUM. It reads all pages in order and removes dead rows from their places. A list page that
// has no rows any more is taken out of its list, and becomes free with its code pages, unless it is the first
// page of the list. Nothing else moves.
//
// A crash can leave a page that was added to the file but never written: it becomes free, too.
#include "pg/pg.hpp"

#include "am/rows.hpp"
#include "ivfflat/handler.hpp"
#include "ivfflat/list_store.hpp"

extern "C" {
#include "storage/indexfsm.h"
}

namespace quiver::ivfflat {

namespace {

class Vacuum {
  public:
    Vacuum(IndexVacuumInfo* info, IndexBulkDeleteCallback callback, void* state)
        : index_(info->index), strategy_(info->strategy), callback_(callback), state_(state),
          meta_(read_meta(index_)), encoding_(index_, meta_), store_(index_, meta_, encoding_),
          lists_(meta_.lists)
    {
    }

    void run()
    {
        pg::ReadAhead ahead(index_, am::meta_block + 1, RelationGetNumberOfBlocks(index_),
                            strategy_);
        for (BlockNumber block = am::meta_block + 1; block < RelationGetNumberOfBlocks(index_);
             block++) {
            pg::vacuum_pause();
            const Buffer buffer = ahead.next(block);
            look_at(block, buffer);
        }
        ahead.end();
        find_heads();
        for (uint32_t list = 0; list < meta_.lists; list++) {
            ListState& l = lists_[list];
            BlockNumber last = l.head;
            if (l.emptied)
                last = remove_empty_pages(list);
            if (l.removed)
                store_.set_room(list, l.head, l.room != lists::no_block ? l.room : last);
        }
        IndexFreeSpaceMapVacuum(index_);
    }
    double rows() const { return static_cast<double>(rows_); }
    double removed() const { return static_cast<double>(removed_rows_); }
    BlockNumber free_pages() const { return free_; }

  private:
    // A list, as far as this vacuum knows it.
    struct ListState {
        BlockNumber head = lists::no_block;
        bool removed = false;   // were rows removed?
        bool emptied = false;   // has a page no rows?
        // Of the pages that have rows and free places, the first one.
        BlockNumber room = lists::no_block;
        uint32 room_number = 0;
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
        const uint32_t list = page.header().list;
        if (list == lists::root_list)
            return;
        if (list >= meta_.lists)
            throw Error(Errc::corrupt, "list page %u is damaged", BufferGetBlockNumber(buffer));
        ListState& l = lists_[list];
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
        rows_ += taken;
        if (!dead_.empty()) {
            page::Change change(index_);
            const lists::MutableListPage to = store_.list_page(change.of(buffer));
            for (const uint32_t i : dead_)
                lists::remove_entry(to, i);
            change.keep();
            removed_rows_ += dead_.size();
            l.removed = true;
        }
        if (taken == 0 && h.number > 0)
            l.emptied = true;
        else if (taken < page.layout().entries &&
                 (l.room == lists::no_block || h.number < l.room_number)) {
            l.room = BufferGetBlockNumber(buffer);
            l.room_number = h.number;
        }
    }

    void note_free(BlockNumber block)
    {
        RecordFreeIndexPage(index_, block);
        free_++;
    }

    void find_heads()
    {
        lists::Query query(encoding_);
        lists::NearestLists<ListStore> lists(store_, query);
        lists.for_each([&](uint32_t list, lists::Block head) {
            if (list < meta_.lists)
                lists_[list].head = head;
        });
    }

    // Takes the pages without rows out of a list, except the first one. Returns the last page of the list.
    BlockNumber remove_empty_pages(uint32_t list)
    {
        BlockNumber before = lists_[list].head;
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
                free_code_pages(buffer);
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
    Buffer lock(BlockNumber block, uint32_t list, uint32_t number)
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
    void free_code_pages(Buffer buffer)
    {
        const lists::ListPage page = store_.list_page(BufferGetPage(buffer));
        for (uint32_t i = 0; i < page.layout().code_pages; i++) {
            const BlockNumber block = page.code_blocks()[i];
            if (block == lists::no_block)
                continue;
            const Buffer codes = store_.lock_codes(block, BufferGetBlockNumber(buffer));
            page::Change change(index_);
            store_.list_page(change.of(buffer)).code_blocks()[i] = lists::no_block;
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
    Vec<ListState> lists_;
    Vec<uint32_t> dead_;   // places of a page
    uint64 rows_ = 0, removed_rows_ = 0;
    BlockNumber free_ = 0;
};

IndexBulkDeleteResult* vacuum(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                              IndexBulkDeleteCallback callback, void* state)
{
    if (!stats)
        stats = static_cast<IndexBulkDeleteResult*>(palloc0(sizeof(IndexBulkDeleteResult)));
    const MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "ivfflat vacuum", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext old = MemoryContextSwitchTo(context);
    auto* vacuum = new (palloc(sizeof(Vacuum))) Vacuum(info, callback, state);
    vacuum->run();
    stats->num_index_tuples = vacuum->rows();
    stats->estimated_count = false;
    stats->tuples_removed += vacuum->removed();
    stats->pages_free = vacuum->free_pages();
    MemoryContextSwitchTo(old);
    MemoryContextDelete(context);
    return stats;
}

}   // namespace

IndexBulkDeleteResult* bulk_delete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                   IndexBulkDeleteCallback callback, void* state)
{
    return vacuum(info, stats, callback, state);
}

IndexBulkDeleteResult* vacuum_cleanup(IndexVacuumInfo* info, IndexBulkDeleteResult* stats)
{
    if (info->analyze_only || !stats)
        return stats;   // nothing was deleted
    stats->num_pages = RelationGetNumberOfBlocks(info->index);
    return stats;
}

}   // namespace quiver::ivfflat
