#include "pg/pg.hpp"

#include "ivfflat/list_store.hpp"

extern "C" {
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
}

namespace quiver::ivfflat {

Buffer ListStore::allocate()
{
    constexpr int most_tries = 16;
    for (int tries = 0; tries < most_tries; tries++) {
        const BlockNumber block = GetFreeIndexPage(rel_);
        if (block == InvalidBlockNumber)
            break;
        if (!exists(block))   // the map is not logged, so it may be wrong after a crash
            continue;
        const Buffer buffer = ReadBuffer(rel_, block);
        if (ConditionalLockBuffer(buffer)) {
            if (is_free(BufferGetPage(buffer)))
                return buffer;
            LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
        }
        ReleaseBuffer(buffer);
    }
    for (;;) {
        const bool shared = !RELATION_IS_LOCAL(rel_);
        if (shared)
            LockRelationForExtension(rel_, ExclusiveLock);
        uint32 added = 0;
        const BlockNumber block = pg::extend_relation(rel_, 1, &added);
        if (shared)
            UnlockRelationForExtension(rel_, ExclusiveLock);
        blocks_ = std::max(blocks_, block + 1);
        const Buffer buffer = ReadBuffer(rel_, block);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        if (is_free(BufferGetPage(buffer)))
            return buffer;
        UnlockReleaseBuffer(buffer);   // vacuum found it, and gave it to another process
    }
}

bool ListStore::add(lists::Block head, const codec::Sketch& sketch, graph::Tid tid,
                    codec::FilterCode filter, const codec::Code& code, bool open)
{
    const lists::Layout& l = encoding_.layout();
    lists::Block hint = head;
    read_list(head, [&](const lists::ListPage& page) {
        if (page.header().list == head && exists(page.header().room))
            hint = page.header().room;
    });
    uint64 steps = 0;
    for (lists::Block block = hint;;) {
        CHECK_FOR_INTERRUPTS();
        if (++steps > uint64{4} * RelationGetNumberOfBlocks(rel_) + 1000)
            throw Error(Errc::corrupt, "the pages of list %u form a circle", head);
        const Buffer buffer = pin(block);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        const Page now = BufferGetPage(buffer);
        if (!is_page_of(now, head)) {   // vacuum has taken the page from the list
            UnlockReleaseBuffer(buffer);
            if (block == head)
                return false;
            block = head;
            continue;
        }
        const lists::ListPage page = list_page(now);
        const lists::Block next = page.header().next;
        const bool closed = page.header().closed && !(open && next == lists::no_block);
        const uint32_t place = closed ? l.entries : page.free_place();
        if (place == l.entries) {
            if (next != lists::no_block)
                block = next;
            else if (!closed)
                block = add_page(buffer);
            UnlockReleaseBuffer(buffer);
            if (next == lists::no_block && closed)
                return false;
            continue;
        }
        Buffer codes = InvalidBuffer;
        const bool new_codes =
            !encoding_.exact() && page.code_blocks()[l.code_page_of(place)] == lists::no_block;
        if (!encoding_.exact())
            codes = new_codes ? allocate()
                              : lock_codes(page.code_blocks()[l.code_page_of(place)], block);
        page::Change change(rel_);
        const lists::MutableListPage to = list_page(change.of(buffer));
        if (BufferIsValid(codes)) {
            Page code_page;
            if (new_codes) {
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
        to.header().closed = 0;
        change.keep();
        if (BufferIsValid(codes))
            UnlockReleaseBuffer(codes);
        UnlockReleaseBuffer(buffer);
        if (block != hint)
            set_room(head, block);
        return true;
    }
}

lists::Block ListStore::add_page(Buffer last)
{
    const lists::ListHeader h = list_page(BufferGetPage(last)).header();
    if (h.number == UINT32_MAX)
        throw Error(Errc::limit_exceeded, "list %u cannot have another page", h.list);
    const bool root = h.list == lists::root_list;
    const Buffer buffer = allocate();
    const lists::Block block = BufferGetBlockNumber(buffer);
    page::Change change(rel_);
    lists::link(list_page(change.of(last)), block, h.number + 1);
    const Page fresh = change.fresh(buffer, page::Kind::list);
    lists::init_list_page(root ? root_page(fresh) : list_page(fresh), h.list, h.number + 1);
    page::set_used(fresh, (root ? encoding_.root_layout() : encoding_.layout()).bytes);
    change.keep();
    UnlockReleaseBuffer(buffer);
    return block;
}

Buffer ListStore::lock_codes(lists::Block block, lists::Block owner)
{
    const Buffer buffer = pin(block);
    // While the list page is locked, its code pages stay its own. So this can be known before the lock, and a damaged
    // list page does not make a process wait for itself.
    if (!belongs_to(BufferGetPage(buffer), owner))
        throw Error(Errc::corrupt, "code page %u is damaged", block);
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    return buffer;
}

void ListStore::set_room(lists::Block head, lists::Block room)
{
    const Buffer buffer = pin(head);
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    const Page now = BufferGetPage(buffer);
    if (is_page_of(now, head) && list_page(now).header().room != room) {
        page::Change change(rel_);
        list_page(change.of(buffer)).header().room = room;
        change.keep();
    }
    UnlockReleaseBuffer(buffer);
}

}   // namespace quiver::ivfflat
