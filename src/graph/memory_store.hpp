// A graph in memory: chunks of slots that never move, so it grows without a declared capacity.
#pragma once

#include "core/memory.hpp"
#include "core/prefetch.hpp"
#include "graph/store.hpp"

namespace quiver::graph {

class MemoryStore {
  public:
    explicit MemoryStore(const Layout& layout) : l_(layout) {}
    ~MemoryStore()
    {
        for (char* chunk : chunks_)
            memory_hooks.release(chunk);
    }
    MemoryStore(const MemoryStore&) = delete;
    MemoryStore& operator=(const MemoryStore&) = delete;

    const Layout& layout() const { return l_; }
    Entry entry() const { return entry_; }
    SlotId size() const { return size_; }
    size_t bytes() const { return chunks_.size() * chunk_slots * l_.slot_bytes; }

    MutableSlot slot(SlotId id) const
    {
        return {l_, chunks_[id / chunk_slots] + size_t{id % chunk_slots} * l_.slot_bytes};
    }

    template <class F>
    bool read(SlotId id, F&& f)
    {
        if (id >= size_)
            return false;
        f(Slot(slot(id)));
        return true;
    }
    template <class F>
    bool write(SlotId id, F&& f)
    {
        return id < size_ && f(slot(id));
    }
    template <class F>
    SlotId create(F&& f)
    {
        if (size_ % chunk_slots == 0) {
            const size_t bytes = size_t{chunk_slots} * l_.slot_bytes;
            void* chunk = memory_hooks.allocate(bytes);
            if (!chunk)
                throw std::bad_alloc();
            std::memset(chunk, 0, bytes);
            chunks_.push_back(static_cast<char*>(chunk));
        }
        const SlotId id = size_++;
        f(slot(id));
        return id;
    }
    uint64_t stamp() const { return 0; }
    bool raise_entry(Entry e)
    {
        if (e.level <= entry_.level)
            return false;
        entry_ = e;
        return true;
    }
    void set_entry(Entry e) { entry_ = e; }

    void prefetch(SlotId id)
    {
        if (id < size_)
            quiver::prefetch(slot(id).data(), l_.slot_bytes);
    }
    void release() {}
    void poll() {}

  private:
    static constexpr SlotId chunk_slots = 512;

    const Layout& l_;
    Vec<char*> chunks_;
    SlotId size_ = 0;
    Entry entry_;
};
static_assert(Store<MemoryStore>);

}   // namespace quiver::graph
