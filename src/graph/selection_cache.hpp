// What a graph without sketches remembers of full slots: the distances of a slot's links to its
// node, and which of the links the heuristic selects (prune.hpp). A new node that wants to replace
// one of the links is then compared with each of them once. Otherwise they would all be compared
// with each other again, which takes about 500 distances instead of 30.
//
// A checksum of the links tells whether they are still those that were remembered. It does not tell
// whether the nodes at the other ends are. So a cache must not outlive the time in which a slot can be
// freed and used again: an insert's belongs to its statement, whose snapshot keeps freed slots from
// being used. A vacuum clears its cache when it has freed slots.
#pragma once

#include <span>

#include "core/id_table.hpp"
#include "core/memory.hpp"
#include "core/spin_lock.hpp"
#include "graph/layout.hpp"

namespace quiver::graph {

class SelectionCache {
  public:
    // Of one link.
    struct Link {
        float distance;
        bool equal, selected;
    };

    // How many slots this memory has room for. (For a moment, a growing array takes twice its size.)
    static size_t slots_in(size_t bytes, uint32_t degree) { return bytes / (16 * (degree + 4)); }

    // If `most` slots are remembered, a further one makes the cache forget all.
    SelectionCache(uint32_t degree, size_t most) : degree_(degree), most_(most) {}

    // Processes that insert side by side share what they remember. Otherwise each would find that the
    // others have changed most slots. The memory for this many slots:
    static size_t shared_bytes(size_t slots, uint32_t degree) { return slots * stride(degree); }
    // From now on, remembers slots in `memory` of shared_bytes(), which was zeroed.
    void share(char* memory, void (*poll)())
    {
        shared_ = memory;
        poll_ = poll;
        copy_.resize(degree_);
    }

    // Memory of its own.
    size_t bytes() const
    {
        return table_.bytes() + slots_.capacity() * sizeof(Remembered) +
               links_.capacity() * sizeof(Link);
    }

    void clear()
    {
        slots_.clear();
        links_.clear();
        table_.reset(table_.size());
    }

    // The links of slot `id`, by place. Null if the slot was not remembered, or has other links
    // now.
    const Link* find(SlotId id, std::span<const SlotId> links)
    {
        if (shared_) {
            Remembered& slot = shared_slot(id);
            const SpinLock lock(slot.lock, poll_);
            if (slot.checksum != checksum(links))
                return nullptr;
            std::memcpy(copy_.data(), &slot + 1, degree_ * sizeof(Link));
            return copy_.data();
        }
        const uint32_t number = table_[place_of(id)];
        if (number == IdTable::none || slots_[number].checksum != checksum(links))
            return nullptr;
        return links_.data() + size_t{number} * degree_;
    }
    // Remembers a slot. set(links) sets its links, by place. At `open_place` another link is about to be
    // written: close() tells its target. (If there is no such place, it is the degree.)
    template <class Set>
    void remember(SlotId id, std::span<const SlotId> links, uint32_t open_place, Set&& set)
    {
        const auto remember_in = [&](Remembered& slot, Link* to) {
            slot.open_place = static_cast<uint16_t>(open_place);
            slot.checksum = checksum(links);
            if (open_place < degree_)
                slot.checksum -= term(open_place, links[open_place]);
            set(to);
        };
        if (shared_) {
            Remembered& slot = shared_slot(id);
            const SpinLock lock(slot.lock, poll_);
            remember_in(slot, reinterpret_cast<Link*>(&slot + 1));
        } else {
            Remembered& slot = find_or_add(id);
            remember_in(slot, links_.data() + static_cast<size_t>(&slot - slots_.data()) * degree_);
        }
    }
    // The open place of slot `id` now has a link to `to`.
    void close(SlotId id, SlotId to)
    {
        const auto close_in = [&](Remembered& slot) {
            if (slot.open_place < degree_)
                slot.checksum += term(slot.open_place, to);
            slot.open_place = static_cast<uint16_t>(degree_);
        };
        if (shared_) {
            // (Another process may have remembered the slot in between. Then no checksum agrees.)
            Remembered& slot = shared_slot(id);
            const SpinLock lock(slot.lock, poll_);
            return close_in(slot);
        }
        const uint32_t number = table_[place_of(id)];
        if (number != IdTable::none)
            close_in(slots_[number]);
    }

  private:
    struct Remembered {
        uint64_t checksum;
        SlotId id;
        uint16_t open_place;
        uint8_t lock;   // if it is shared
    };

    static size_t stride(uint32_t degree) { return sizeof(Remembered) + degree * sizeof(Link); }
    Remembered& shared_slot(SlotId id)
    {
        return *reinterpret_cast<Remembered*>(shared_ + id * stride(degree_));
    }

    static uint64_t term(uint32_t place, SlotId id)
    {
        uint64_t x = (uint64_t{place} << 32 | id) * 0x9e3779b97f4a7c15;
        x = (x ^ x >> 32) * 0xd6e8feb86659fd93;
        return x ^ x >> 32;
    }
    uint64_t checksum(std::span<const SlotId> links) const
    {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < links.size(); i++)
            sum += term(i, links[i]);
        return sum;
    }
    size_t place_of(SlotId id) const
    {
        return table_.place_of(id, [&](uint32_t number) { return slots_[number].id == id; }).number;
    }
    Remembered& find_or_add(SlotId id)
    {
        if (slots_.size() >= most_)
            clear();
        if (slots_.size() * 2 >= table_.size()) {
            table_.reset(table_.size() * 2);
            for (uint32_t i = 0; i < slots_.size(); i++)
                table_[place_of(slots_[i].id)] = i;
        }
        uint32_t& number = table_[place_of(id)];
        if (number == IdTable::none) {
            number = static_cast<uint32_t>(slots_.size());
            slots_.push_back({0, id, static_cast<uint16_t>(degree_), 0});
            links_.resize(slots_.size() * degree_);
        }
        return slots_[number];
    }

    uint32_t degree_;
    size_t most_;
    IdTable table_{64};   // of numbers in slots_
    Vec<Remembered> slots_;
    Vec<Link> links_;   // degree_ for each slot

    char* shared_ = nullptr;   // by id: a Remembered and its links
    void (*poll_)() = nullptr;
    Vec<Link> copy_;   // of a slot's links
};

}   // namespace quiver::graph
