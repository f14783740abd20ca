// A graph in memory, in chunks of slots. Chunks never move, so the graph can grow without a
// capacity that is known in advance. Or all slots are in a block of the host's, which several processes
// can share. Then each has a store of its own on the block.
#pragma once

#include "core/error.hpp"
#include "core/memory.hpp"
#include "core/prefetch.hpp"
#include "core/spin_lock.hpp"
#include "graph/store.hpp"

namespace quiver::graph {

class MemoryStore {
  public:
    // poll() is called when nothing is being changed, and may not return.
    explicit MemoryStore(
        const Encoding& encoding, uint32_t slots_per_page = 8, void (*poll)() = [] {})
        : encoding_(encoding), l_(encoding.layout()), per_page_(slots_per_page), poll_(poll),
          flat_(encoding, slots_per_page)
    {
    }
    ~MemoryStore()
    {
        if (!block_)
            for (char* chunk : chunks_)
                memory_hooks.release(chunk);
    }
    MemoryStore(const MemoryStore&) = delete;
    MemoryStore& operator=(const MemoryStore&) = delete;

    // Instead of chunks, uses a block with room for `capacity` slots, aligned to 8 bytes. The caller
    // writes `count` slots.
    void use_block(char* block, SlotId count, SlotId capacity)
    {
        QUIVER_ASSERT(size_ == 0 && count <= capacity);
        block_ = block;
        capacity_ = capacity;
        for (SlotId id = 0; id < count; id += chunk_slots)
            chunks_.push_back(block + size_t{id} * l_.slot_bytes);
        size_ = count;
    }

    // What processes share, besides the block, while they change the graph at the same time.
    struct Shared {
        SlotId size;
        uint8_t lock;   // of the entry
        Entry entry;
    };
    SlotId capacity() const { return capacity_; }
    // From now on, other processes use the block as well, and each slot is locked while it is used.
    // `locks` has a zero for each slot of the block's capacity. Before, one of the processes sets
    // `shared` to the number of slots and the entry.
    void share(Shared& shared, uint8_t* locks)
    {
        QUIVER_ASSERT(block_);
        while (chunks_.size() * chunk_slots < capacity_)
            chunks_.push_back(block_ + chunks_.size() * chunk_slots * l_.slot_bytes);
        shared_ = &shared;
        locks_ = locks;
    }
    // The others do not use the block any more.
    void end_sharing()
    {
        size_ = shared_->size;
        entry_ = shared_->entry;
        shared_ = nullptr;
    }

    // Adds slots, which the caller writes.
    void add_slots(SlotId count)
    {
        QUIVER_ASSERT(!block_ || size_ + count <= capacity_);
        for (const SlotId end = size_ + count; size_ < end;
             size_ = std::min(end, (size_ / chunk_slots + 1) * chunk_slots))
            add_chunk();
    }

    const Encoding& encoding() const { return encoding_; }
    Entry entry() const
    {
        if (!shared_)
            return entry_;
        const SpinLock lock(shared_->lock, poll_);
        return shared_->entry;
    }
    SlotId size() const { return size_; }
    // The memory of its chunks.
    size_t bytes() const { return block_ ? 0 : chunks_.size() * chunk_slots * l_.slot_bytes; }

    MutableSlot slot(SlotId id) const
    {
        return {l_, chunks_[id / chunk_slots] + size_t{id % chunk_slots} * l_.slot_bytes};
    }

    template <class F>
    bool read(SlotId id, F&& f)
    {
        if (id >= end())
            return false;
        if (!shared_) {
            f(Slot(slot(id)));
            return true;
        }
        const SpinLock lock(locks_[id], poll_);
        f(Slot(slot(id)));
        return true;
    }
    template <class F>
    bool write(SlotId id, F&& f)
    {
        if (id >= end())
            return false;
        if (!shared_)
            return f(slot(id));
        const SpinLock lock(locks_[id], poll_);
        return f(slot(id));
    }
    // Uses a freed slot, or adds one.
    template <class F>
    SlotId create(F&& f)
    {
        if (shared_)
            return create_shared(f);
        SlotId id = no_slot;
        while (id == no_slot && !free_.empty()) {
            const SlotHeader& h = slot(free_.back()).header();
            if (h.state == SlotState::free)
                id = free_.back();
            free_.pop_back();
        }
        if (id == no_slot)
            id = append();
        slot(id).header() = {};
        f(slot(id));
        return id;
    }
    // Puts the slots into a new order: slot i is then the old slot order[i]. Ids in slots are not
    // changed. `order` is used up.
    void reorder(SlotId* order)
    {
        Vec<char> first(l_.slot_bytes);
        const auto copy = [&](SlotId to, const char* from) {
            std::memcpy(slot(to).data(), from, l_.slot_bytes);
        };
        for (SlotId i = 0; i < size_; i++) {
            poll();
            if (order[i] == i)
                continue;
            std::memcpy(first.data(), slot(i).data(), l_.slot_bytes);
            SlotId to = i;
            for (SlotId from = order[i]; from != i; from = std::exchange(order[from], from)) {
                copy(to, slot(from).data());
                to = from;
            }
            copy(to, first.data());
            order[i] = i;
        }
    }
    // There is only one transaction.
    uint64_t stamp() const { return 0; }
    uint64_t insert_horizon() const { return 0; }
    uint64_t free_stamp() const { return 0; }

    Entry replace_entry(Entry expected, Entry by)
    {
        if (!shared_)
            return replace(entry_, expected, by);
        const SpinLock lock(shared_->lock, poll_);
        return replace(shared_->entry, expected, by);
    }
    void set_entry(Entry e) { entry_ = e; }

    void prefetch(SlotId id) { prefetch(id, l_.slot_bytes); }
    void prefetch(SlotId id, size_t bytes)
    {
        if (id < end())
            quiver::prefetch(slot(id).data(), bytes);
    }
    void release() {}
    void poll() const { poll_(); }
    auto poller() const { return poll_; }
    // Nobody writes while a search runs.
    uint64_t now() const { return 0; }
    template <class F>
    void read_written(const Vec<SlotId>&, uint64_t, F&&)
    {
    }

    // ---- pages, of per_page_ slots each ----

    uint32_t slots_per_page() const { return per_page_; }
    uint32_t pages() const { return (size_ + per_page_ - 1) / per_page_; }
    void count_pages() {}
    template <class F>
    void read_page(uint32_t page, F&& f)
    {
        f(slots_of<const char>(page));
    }
    template <class Look, class Change>
    void write_page(uint32_t page, Look&& look, Change&& change)
    {
        if (look(slots_of<const char>(page)))
            change(slots_of<char>(page));
    }
    uint32_t flat_pages() const
    {
        const uint32_t entries = flat_.layout().entries;
        return entries ? (size_ + entries - 1) / entries : 0;
    }
    template <class F>
    bool read_flat(uint32_t page, F&& f)
    {
        if (page >= flat_pages())
            return false;
        f(flat_.page(page, size_, [&](SlotId id) { return Slot(slot(id)); }));
        return true;
    }
    uint32_t flat_entries() const { return flat_.layout().entries; }
    void prefetch_flat(uint32_t) {}
    void note_room(uint32_t page, uint64_t)
    {
        const PageSlots<const char> slots = slots_of<const char>(page);
        for (uint32_t i = 0; i < slots.count(); i++)
            if (slots[i].header().state == SlotState::free)
                free_.push_back(slots.id(i));
    }

  private:
    static constexpr SlotId chunk_slots = 512;

    SlotId end() const
    {
        return shared_ ? std::atomic_ref(shared_->size).load(std::memory_order_relaxed) : size_;
    }
    static Entry replace(Entry& entry, Entry expected, Entry by)
    {
        const Entry was = entry;
        if (was == expected)
            entry = by;
        return was;
    }
    template <class F>
    SlotId create_shared(F&& f)
    {
        const SlotId id = std::atomic_ref(shared_->size).fetch_add(1, std::memory_order_relaxed);
        if (id >= capacity_)
            throw Error(Errc::internal, block_is_full);
        const SpinLock lock(locks_[id], poll_);
        std::memset(slot(id).data(), 0, l_.slot_bytes);
        f(slot(id));
        return id;
    }

    SlotId append()
    {
        add_chunk();
        if (block_ && size_ == capacity_)
            throw Error(Errc::internal, block_is_full);
        if (block_)
            std::memset(slot(size_).data(), 0, l_.slot_bytes);
        return size_++;
    }
    // If there is none for the next slot.
    void add_chunk()
    {
        if (size_ % chunk_slots == 0)
            chunks_.push_back(block_ ? block_ + size_t{size_} * l_.slot_bytes : new_chunk());
    }
    char* new_chunk() const
    {
        const size_t bytes = size_t{chunk_slots} * l_.slot_bytes;
        void* chunk = memory_hooks.allocate(bytes);
        if (!chunk)
            throw std::bad_alloc();
        std::memset(chunk, 0, bytes);
        return static_cast<char*>(chunk);
    }
    template <class Byte>
    PageSlots<Byte> slots_of(uint32_t page) const
    {
        const SlotId first = page * per_page_;
        QUIVER_ASSERT(chunk_slots % per_page_ == 0);
        return {l_, slot(first).data(), first, std::min(per_page_, size_ - first)};
    }

    static constexpr char block_is_full[] = "a graph has more slots than its block has room for";

    const Encoding& encoding_;
    const Layout& l_;
    uint32_t per_page_;
    void (*poll_)();
    char* block_ = nullptr;
    SlotId capacity_ = 0;   // of the block
    Shared* shared_ = nullptr;
    uint8_t* locks_ = nullptr;   // by slot
    Vec<char*> chunks_;
    SlotId size_ = 0;
    Entry entry_;
    Vec<SlotId> free_;
    FlatOfSlots flat_;
};
static_assert(PagedStore<MemoryStore>);

}   // namespace quiver::graph
