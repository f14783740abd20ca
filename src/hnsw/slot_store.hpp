// The store of the graph in an index. A PageStore has the slots, and the meta page has the entry. The head pages
// of the PageStore are the flat pages (graph/flat.hpp).
#pragma once

#include <optional>

#include "hnsw/meta.hpp"
#include "graph/store.hpp"
#include "page/page_store.hpp"

namespace quiver::hnsw {

class SlotStore {
  public:
    SlotStore(Relation index, const MetaData& meta, const graph::Encoding& encoding)
        : encoding_(encoding), l_(encoding.layout()), flat_(meta.flat_layout()),
          pages_(index, meta.first_slot_block, meta.slot_bytes, {flat_.pages, flat_.bytes})
    {
    }

    const graph::Encoding& encoding() const { return encoding_; }
    page::PageStore& page_store() { return pages_; }
    // To be called before a rescan or another insert.
    void refresh(Relation index) { pages_.refresh(index); }

    // ---- graph::Store ----

    // (The rest of the meta page was checked when the store was made.)
    graph::Entry entry()
    {
        const Buffer buffer = ReadBuffer(index(), am::meta_block);
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        page::check(index(), am::meta_block, BufferGetPage(buffer), page::Kind::meta);
        const graph::Entry entry =
            entry_in(*reinterpret_cast<MetaData*>(page::contents_of(BufferGetPage(buffer))));
        UnlockReleaseBuffer(buffer);
        return entry;
    }

    // See graph/store.hpp.
    graph::Entry replace_entry(graph::Entry expected, graph::Entry by)
    {
        graph::Entry was;
        change_meta([&](MetaData& meta) {
            was = entry_in(meta);
            if (was != expected)
                return false;
            meta.entry = by.id;
            meta.entry_level = by.level;
            meta.root = by.root;
            return true;
        });
        return was;
    }

    template <class F>
    bool read(graph::SlotId id, F&& f)
    {
        return pages_.read(id, [&](const char* record) { f(graph::Slot(l_, record)); });
    }
    template <class F>
    bool write(graph::SlotId id, F&& f)
    {
        return pages_.write(id, [&](char* record) { return f(graph::MutableSlot(l_, record)); });
    }
    // If the slot was used before, clears only its header. Nobody reads links beyond the degree, and
    // clearing them would make the WAL record larger.
    template <class F>
    graph::SlotId create(F&& f)
    {
        ask_horizon();
        return pages_.create([&](const char* record) { return room_of(graph::Slot(l_, record)); },
                             [&](graph::SlotId id, char* record, page::PageStore::Head& head) {
                                 std::memset(record, 0, sizeof(graph::SlotHeader));
                                 const graph::MutableSlot slot(l_, record);
                                 f(slot);
                                 if (has_flat_pages())
                                     flat_encoder().write(slot, pages_.place_in_group(id),
                                                          [&] { return flat_page(head); });
                             });
    }
    uint64_t stamp() const { return U64FromFullTransactionId(pg::next_full_xid()); }
    void prefetch(graph::SlotId id) { pages_.prefetch(id); }
    void prefetch(graph::SlotId id, size_t bytes) { pages_.prefetch(id, bytes); }
    uint32_t flat_pages() const { return has_flat_pages() ? pages_.head_pages() : 0; }
    template <class F>
    bool read_flat(uint32_t page, F&& f)
    {
        return pages_.read_head(page,
                                [&](const char* contents) { f(graph::FlatPage(flat_, contents)); });
    }
    uint32_t flat_entries() const { return flat_.entries; }
    // (Filter codes come first.)
    void prefetch_flat(uint32_t page) { pages_.prefetch_head(page, flat_.sketches); }
    void release() { pages_.release(); }
    uint64_t now() const { return pages_.now(); }
    template <class F>
    void read_written(const Vec<graph::SlotId>& ids, uint64_t since, F&& f)
    {
        pages_.read_written(ids, since, [&](graph::SlotId id, const char* record) {
            f(id, graph::Slot(l_, record));
        });
    }
    void poll()
    {
        if (vacuum_)
            pg::vacuum_pause();
        else
            pg::poll();
    }

    // ---- graph::PagedStore ----

    // From here on, pages that are read one after the other use the strategy's ring of buffers, and
    // VACUUM sleeps in poll().
    void start_vacuum(BufferAccessStrategy strategy)
    {
        strategy_ = strategy;
        vacuum_ = true;
    }
    uint32_t pages() const { return pages_.record_pages(); }
    void count_pages() { pages_.count_blocks(); }
    uint32_t slots_per_page() const { return pages_.records_per_page(); }
    template <class F>
    void read_page(uint32_t page, F&& f)
    {
        const BlockNumber block = pages_.block_of_page(page);
        ahead_.want(pages_, block);
        const bool any = pages_.read_page(block, strategy_, [&](const char* records) {
            f(graph::Slots(l_, records, pages_.first_id(block), slots_per_page()));
        });
        if (!any && vacuum_)   // a crash has left the page, and may have lost its free space entry
            pages_.note_room(block, page::Room::usable);
    }
    template <class Look, class Change>
    void write_page(uint32_t page, Look&& look, Change&& change)
    {
        const BlockNumber block = pages_.block_of_page(page);
        pages_.write_page(
            block, strategy_,
            [&](const char* records) {
                return look(graph::Slots(l_, records, pages_.first_id(block), slots_per_page()));
            },
            [&](char* records, page::PageStore::Head& head) {
                const graph::MutableSlots slots(l_, records, pages_.first_id(block),
                                                slots_per_page());
                if (!has_flat_pages())
                    return change(slots);
                nodes_.clear();
                for (uint32_t i = 0; i < slots.count(); i++)
                    nodes_.push_back(graph::FlatEncoder::is_node(slots[i]));
                change(slots);
                for (uint32_t i = 0; i < slots.count(); i++)
                    if (nodes_[i] && !graph::FlatEncoder::is_node(slots[i]))
                        flat_page(head).clear(pages_.place_in_group(slots.id(i)));
            });
    }
    uint64_t insert_horizon() { return pg::oldest_writer(index()); }
    uint64_t free_stamp() { return pg::is_open_elsewhere(index()) ? stamp() : 0; }
    void note_room(uint32_t page, uint64_t stamp)
    {
        ask_horizon();
        pages_.note_room(pages_.block_of_page(page),
                         is_usable(stamp) ? page::Room::usable : page::Room::later);
    }

    // Calls the function with the meta data. If it returns true, its changes are kept.
    template <class F>
    bool change_meta(F&& f)
    {
        const Buffer buffer = ReadBuffer(index(), am::meta_block);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        page::check(index(), am::meta_block, BufferGetPage(buffer), page::Kind::meta);
        const bool changed = pages_.change(buffer, [&](Page page) {
            return f(*reinterpret_cast<MetaData*>(page::contents_of(page)));
        });
        UnlockReleaseBuffer(buffer);
        return changed;
    }

  private:
    Relation index() const { return pages_.relation(); }

    bool has_flat_pages() const { return flat_.pages > 0; }
    graph::MutableFlatPage flat_page(page::PageStore::Head& head) const
    {
        return {flat_, head.contents()};
    }
    graph::FlatEncoder& flat_encoder()
    {
        if (!flat_encoder_)
            flat_encoder_.emplace(encoding_);
        return *flat_encoder_;
    }

    // May a slot with this stamp be used? ask_horizon() must have been called.
    bool is_usable(uint64_t stamp) const { return stamp == 0 || horizon_->removable(stamp); }
    void ask_horizon()
    {
        if (!horizon_)
            horizon_.emplace(index());
    }
    page::Room room_of(const graph::Slot& slot) const
    {
        if (slot.header().state != graph::SlotState::free)
            return page::Room::none;
        return is_usable(slot.stamp()) ? page::Room::usable : page::Room::later;
    }

    const graph::Encoding& encoding_;
    const graph::Layout& l_;
    graph::FlatLayout flat_;
    page::PageStore pages_;
    BufferAccessStrategy strategy_ = nullptr;
    bool vacuum_ = false;
    page::SequentialReadAhead ahead_;
    std::optional<pg::Horizon> horizon_;
    std::optional<graph::FlatEncoder> flat_encoder_;
    Vec<bool> nodes_;   // slots of a page
};
static_assert(graph::PagedStore<SlotStore>);

}   // namespace quiver::hnsw
