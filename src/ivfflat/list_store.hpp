// The pages of the lists of an index (lists/layout.hpp).
//
// Locks. A process that locks several pages locks a list page before its code pages, and before the next page of the
// list. A page that is to be added to a list was free, and comes last: if it is in use, because the free space map is
// wrong, it is locked only if that needs no waiting. The relation's extension lock is taken before the lock of the page
// that is added. The process that has that lock waits for no page.
#pragma once

#include <optional>

#include "ivfflat/meta.hpp"
#include "lists/search.hpp"
#include "page/change.hpp"
#include "page/pinned_ahead.hpp"

namespace quiver::ivfflat {

class ListStore {
  public:
    ListStore(Relation index, const MetaData& meta, IndexEncoding& encoding)
        : rel_(index), hints_(index), encoding_(encoding), root_(meta.root),
          root_centre_(meta.root_centre), blocks_(RelationGetNumberOfBlocks(index))
    {
    }

    // To be called when the relation may have grown, or its relcache entry may have changed.
    void refresh(Relation index)
    {
        lists_ahead_.forget();   // if there was an error, it has released the pins
        codes_ahead_.forget();
        rel_ = index;
        blocks_ = RelationGetNumberOfBlocks(index);
    }
    Relation relation() const { return rel_; }

    // ---- lists::ReadStore ----

    const lists::Encoding& encoding() const { return encoding_; }
    lists::Block root() const { return root_; }
    template <class F>
    bool read_list(lists::Block block, F&& f)
    {
        return read(block, encoding_.layout(), f);
    }
    template <class F>
    bool read_root(lists::Block block, F&& f)
    {
        return read(block, encoding_.root_layout(), f);
    }
    template <class F>
    bool read_code(lists::Block block, uint32_t place, lists::Block owner, F&& f)
    {
        if (!exists(block))
            return false;
        Buffer buffer = codes_ahead_.take(block);
        if (!BufferIsValid(buffer))
            buffer = hints_.read(rel_, block);
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        const Page page = BufferGetPage(buffer);
        const bool good = belongs_to(page, owner);
        if (good)
            f(lists::code_at(page::contents_of(page) + place, encoding_.codec().traits.code_bytes));
        UnlockReleaseBuffer(buffer);
        return good;
    }
    void prefetch_list(lists::Block block)
    {
        if (exists(block))
            if (const char* page = lists_ahead_.pin(hints_, rel_, block))
                quiver::prefetch(page, 1024);
    }
    void prefetch_code(lists::Block block, uint32_t place)
    {
        if (exists(block))
            if (const char* page = codes_ahead_.pin(hints_, rel_, block)) {
                __builtin_prefetch(page, 0, 2);
                __builtin_prefetch(page + BLCKSZ - sizeof(page::Tail), 0, 2);
                quiver::prefetch(page + MAXALIGN(SizeOfPageHeaderData) + place,
                                 encoding_.layout().code_bytes);
            }
    }
    void release()
    {
        lists_ahead_.release();
        codes_ahead_.release();
    }
    void poll() { pg::poll(); }
    void use_root(uint32_t changes)
    {
        if (root_changes_ == changes)
            return;
        encoding_.read_root_centre(rel_, root_centre_);
        root_changes_ = changes;
    }
    // On a standby, replay does not wait for searches.
    bool may_lose_lists() const { return RecoveryInProgress(); }

    // ---- changes ----

    // Adds a row to the list whose first page is `head`. False: its rows have been copied to other lists (divide.hpp).
    // open: if the last page is closed, it is opened.
    bool add(lists::Block head, const codec::Sketch& sketch, graph::Tid tid,
             codec::FilterCode filter, const codec::Code& code, bool open);

    // Notes the first page of a list that may have free places.
    void set_room(lists::Block head, lists::Block room);

    // Returns a page for a list, locked: a free one, or a new one at the end. The caller may have locked pages of a
    // list, as nbtree does when it splits a page. So nobody adds a page that is not needed.
    Buffer allocate();
    // Adds a page to the list (or the root) whose last page is `last`, which is locked.
    lists::Block add_page(Buffer last);

    // Pins a page that another one refers to. An error if there is none. (PostgreSQL would add a page to the relation
    // if it were asked for lists::no_block.)
    Buffer pin(lists::Block block)
    {
        if (!exists(block))
            throw Error(Errc::corrupt, "page %u is missing", block);
        return hints_.read(rel_, block);
    }
    // Locks a code page of list page `owner`, which is locked. An error if the code page belongs to another one.
    Buffer lock_codes(lists::Block block, lists::Block owner);

    // list: its first page, or lists::root_list
    bool is_page_of(Page page, lists::Block list) const
    {
        return !PageIsNew(page) && page::is_of(page, page::Kind::list) &&
               list_page(page).header().list == list;
    }

    static bool belongs_to(Page page, lists::Block owner)
    {
        return !PageIsNew(page) && page::is_of(page, page::Kind::codes) &&
               page::tail_of(page)->next == owner;
    }
    lists::MutableListPage list_page(Page page) const
    {
        return {encoding_.layout(), page::contents_of(page)};
    }
    lists::MutableListPage root_page(Page page) const
    {
        return {encoding_.root_layout(), page::contents_of(page)};
    }
    // May a page of this kind be used for a list?
    static bool is_free(Page page)
    {
        return PageIsNew(page) || page::is_of(page, page::Kind::free);
    }

  private:
    bool exists(BlockNumber block)
    {
        return block < blocks_ || block < (blocks_ = RelationGetNumberOfBlocks(rel_));
    }
    template <class F>
    bool read(lists::Block block, const lists::Layout& layout, F&& f)
    {
        if (!exists(block))
            return false;
        Buffer buffer = lists_ahead_.take(block);
        if (!BufferIsValid(buffer))
            buffer = hints_.read(rel_, block);
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        const Page page = BufferGetPage(buffer);
        const bool good = !PageIsNew(page) && page::is_of(page, page::Kind::list);
        if (good)
            f(lists::ListPage(layout, page::contents_of(page)));
        UnlockReleaseBuffer(buffer);
        return good;
    }
    Relation rel_;
    page::BufferHints hints_;
    IndexEncoding& encoding_;
    BlockNumber root_, root_centre_;
    std::optional<uint32_t> root_changes_;   // of the root whose centre the encoding has
    BlockNumber blocks_;                     // a lower bound of the current number
    page::PinnedAhead<2> lists_ahead_;
    page::PinnedAhead<8> codes_ahead_;
};
static_assert(lists::ReadStore<ListStore>);

}   // namespace quiver::ivfflat
