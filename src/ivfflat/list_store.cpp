#include "pg/pg.hpp"

#include "ivfflat/list_store.hpp"

extern "C" {
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
}

namespace quiver::ivfflat {

// Returns a page that was free when this was called, pinned.
Buffer ListStore::allocate()
{
    for (int tries = 0; tries < 16; tries++) {
        const BlockNumber block = GetFreeIndexPage(rel_);
        if (block == InvalidBlockNumber)
            break;
        if (!exists(block))   // the map is not logged, so it may be wrong after a crash
            continue;
        const Buffer buffer = ReadBuffer(rel_, block);
        if (ConditionalLockBuffer(buffer)) {
            const bool free = is_free(BufferGetPage(buffer));
            LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
            if (free)
                return buffer;
        }
        ReleaseBuffer(buffer);
    }
    const bool shared = !RELATION_IS_LOCAL(rel_);
    if (shared)
        LockRelationForExtension(rel_, ExclusiveLock);
    uint32 added = 0;
    const BlockNumber block = pg::extend_relation(rel_, 1, &added);
    if (shared)
        UnlockRelationForExtension(rel_, ExclusiveLock);
    blocks_ = std::max(blocks_, block + 1);
    return ReadBuffer(rel_, block);
}

namespace {

// Takes a page that allocate() has returned. False: another process has taken it.
bool lock_if_free(Buffer buffer)
{
    if (!ConditionalLockBuffer(buffer))
        return false;
    if (ListStore::is_free(BufferGetPage(buffer)))
        return true;
    LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
    return false;
}

}   // namespace

void ListStore::add(uint32_t list, lists::Block head, const codec::Sketch& sketch, graph::Tid tid,
                    codec::FilterCode filter, const codec::Code& code)
{
    const lists::Layout& l = encoding_.layout();
    lists::Block hint = head;
    if (!read_list(head, [&](const lists::ListPage& page) {
            if (page.header().list == list && page.header().room != lists::no_block)
                hint = page.header().room;
        }))
        throw Error(Errc::corrupt, "list page %u is damaged", head);
    Buffer spare = InvalidBuffer;   // a free page, if one is needed
    uint64 steps = 0;
    for (lists::Block block = hint;;) {
        CHECK_FOR_INTERRUPTS();
        if (++steps > uint64{4} * RelationGetNumberOfBlocks(rel_) + 1000)
            throw Error(Errc::corrupt, "the pages of list %u form a circle", list);
        const Buffer buffer = hints_.read(rel_, block);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        const Page now = BufferGetPage(buffer);
        const bool good = !PageIsNew(now) && page::is_of(now, page::Kind::list) &&
                          list_page(now).header().list == list;
        if (!good) {   // vacuum has taken the page from the list
            UnlockReleaseBuffer(buffer);
            if (block == head)
                throw Error(Errc::corrupt, "list page %u is damaged", head);
            block = head;
            continue;
        }
        const lists::ListPage page = list_page(now);
        const uint32_t place = page.free_place();
        const lists::Block next = page.header().next;
        if (place == l.entries && next != lists::no_block) {
            UnlockReleaseBuffer(buffer);
            block = next;
            continue;
        }
        // A row needs its list page, and the code page. One of them may be new.
        const bool new_list_page = place == l.entries;
        const lists::Block code_block = new_list_page || encoding_.exact()
                                            ? lists::no_block
                                            : page.code_blocks()[l.code_page_of(place)];
        const bool needs_page =
            new_list_page || (!encoding_.exact() && code_block == lists::no_block);
        if (needs_page && (!BufferIsValid(spare) || !lock_if_free(spare))) {
            UnlockReleaseBuffer(buffer);
            if (BufferIsValid(spare))
                ReleaseBuffer(spare);
            spare = allocate();
            continue;   // with the same page, which may have changed
        }
        if (new_list_page) {
            const uint32_t number = page.header().number + 1;
            page::Change change(rel_);
            lists::link(list_page(change.of(buffer)), BufferGetBlockNumber(spare), number);
            const Page fresh = change.fresh(spare, page::Kind::list);
            lists::init_list_page(list_page(fresh), list, number);
            page::set_used(fresh, l.bytes);
            change.keep();
            block = BufferGetBlockNumber(spare);
            UnlockReleaseBuffer(spare);
            spare = InvalidBuffer;
            UnlockReleaseBuffer(buffer);
            continue;
        }
        Buffer codes = InvalidBuffer;
        if (!encoding_.exact()) {
            codes = code_block == lists::no_block ? std::exchange(spare, InvalidBuffer)
                                                  : hints_.read(rel_, code_block);
            if (code_block != lists::no_block) {
                LockBuffer(codes, BUFFER_LOCK_EXCLUSIVE);
                if (!belongs_to(BufferGetPage(codes), block))
                    throw Error(Errc::corrupt, "code page %u is damaged", code_block);
            }
        }
        page::Change change(rel_);
        const lists::MutableListPage to = list_page(change.of(buffer));
        if (BufferIsValid(codes)) {
            Page code_page;
            if (code_block == lists::no_block) {
                code_page = change.fresh(codes, page::Kind::codes);
                page::tail_of(code_page)->next = block;
                to.code_blocks()[l.code_page_of(place)] = BufferGetBlockNumber(codes);
            } else
                code_page = change.of(codes);
            const uint32_t at = l.place_of(place);
            lists::put_code(code, page::contents_of(code_page) + at);
            page::set_used(code_page,
                           std::max<Size>(page::used_bytes(code_page), at + l.code_bytes));
        }
        lists::put_entry(to, place, sketch, tid, filter);
        change.keep();
        if (BufferIsValid(codes))
            UnlockReleaseBuffer(codes);
        UnlockReleaseBuffer(buffer);
        if (BufferIsValid(spare)) {   // it is not needed any more
            RecordFreeIndexPage(rel_, BufferGetBlockNumber(spare));
            ReleaseBuffer(spare);
        }
        if (block != hint)
            set_room(list, head, block);
        return;
    }
}

void ListStore::set_room(uint32_t list, lists::Block head, lists::Block room)
{
    const Buffer buffer = hints_.read(rel_, head);
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    const Page now = BufferGetPage(buffer);
    if (!PageIsNew(now) && page::is_of(now, page::Kind::list) &&
        list_page(now).header().list == list && list_page(now).header().room != room) {
        page::Change change(rel_);
        list_page(change.of(buffer)).header().room = room;
        change.keep();
    }
    UnlockReleaseBuffer(buffer);
}

}   // namespace quiver::ivfflat
