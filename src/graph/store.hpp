// A store holds the slots of a graph. These concepts are what the algorithms need from it. There
// are three stores: MemoryStore (CREATE INDEX builds in it), SlotStore (PostgreSQL's buffers), and
// the unit tests' store, which runs other operations at each call.
#pragma once

#include <concepts>

#include "core/memory.hpp"
#include "graph/flat.hpp"

namespace quiver::graph {

// The number of slots that a search prefetches before it reads the first of them.
constexpr size_t lookahead = 3;

// Where searches start. `id` is a slot of the top layer, `level` its layer. From there a search
// comes down to a slot of layer 0 near the query. `root` is the slot of layer 0 from which every
// node can be reached. A search that has visited all nodes that it can reach from its own start
// continues from the root.
struct Entry {
    SlotId id = no_slot;
    int level = -1;
    SlotId root = no_slot;

    bool empty() const { return id == no_slot; }
    friend bool operator==(const Entry&, const Entry&) = default;
};

template <class S>
concept ReadStore = requires(S& s, SlotId id, const Vec<SlotId>& ids)
{
    {
        s.encoding()
        } -> std::convertible_to<const Encoding&>;
    {
        s.entry()
        } -> std::convertible_to<Entry>;
    // Calls the function with the slot, which does not change during the call. False if there is no
    // such slot.
    {
        s.read(id, [](const Slot&) {})
        } -> std::convertible_to<bool>;
    // Prepares for reading the slot soon, or its first bytes. release() must be called when the search pauses.
    {s.prefetch(id)};
    {s.prefetch(id, size_t{})};
    {s.release()};
    // Checks for interrupts. Nothing may be locked.
    {s.poll()};
    // The current point in time.
    {
        s.now()
        } -> std::convertible_to<uint64_t>;
    // Calls the function with each slot of the sorted ids that may have been written since a point
    // in time.
    {s.read_written(ids, uint64_t{}, [](SlotId, const Slot&) {})};
    // The number of pages when count_pages() was last called. Slot `id` is on page id /
    // slots_per_page().
    {
        s.pages()
        } -> std::convertible_to<uint32_t>;
    {s.count_pages()};
    {
        s.slots_per_page()
        } -> std::convertible_to<uint32_t>;
    // The number of flat pages when count_pages() was last called; 0 if the index has none. Entry i of page p
    // is that of slot p * entries + i.
    {
        s.flat_pages()
        } -> std::convertible_to<uint32_t>;
    {
        s.flat_entries()
        } -> std::convertible_to<uint32_t>;
    // Calls the function with a flat page, which does not change during the call. False if there is no such page.
    {
        s.read_flat(uint32_t{}, [](const FlatPage&) {})
        } -> std::convertible_to<bool>;
    // Prepares for reading the flat page soon.
    {s.prefetch_flat(uint32_t{})};
};

template <class S>
concept Store = ReadStore<S> && requires(S& s, SlotId id, Entry e)
{
    // Calls the function with the slot. If it returns true, its changes are kept, atomically.
    {
        s.write(id, [](const MutableSlot&) { return true; })
        } -> std::convertible_to<bool>;
    // Takes an unused slot, lets the function fill it, and returns its id.
    {
        s.create([](const MutableSlot&) {})
        } -> std::convertible_to<SlotId>;
    // The next transaction id (64 bits).
    {
        s.stamp()
        } -> std::convertible_to<uint64_t>;
    // Compare and set: makes `e` the entry if the entry is `expected`. Returns the old entry; it
    // was replaced if that equals `expected`.
    {
        s.replace_entry(e, e)
        } -> std::convertible_to<Entry>;
};

// The slots of a page. Their ids are consecutive.
template <class Byte>
class PageSlots {
  public:
    PageSlots(const Layout& layout, Byte* base, SlotId first, uint32_t count)
        : l_(layout), base_(base), first_(first), count_(count)
    {
    }
    uint32_t count() const { return count_; }
    SlotId id(uint32_t i) const { return first_ + i; }
    BasicSlot<Byte> operator[](uint32_t i) const { return {l_, base_ + size_t{i} * l_.slot_bytes}; }

  private:
    const Layout& l_;
    Byte* base_;
    SlotId first_;
    uint32_t count_;
};
using Slots = PageSlots<const char>;
using MutableSlots = PageSlots<char>;

// Vacuum and the verifier also need pages, and need to know which other operations are running.
template <class S>
concept PagedStore = Store<S> && requires(S& s, uint32_t page)
{
    // Calls the function with the slots of the page, which do not change during the call.
    {s.read_page(page, [](const Slots&) {})};
    // Calls change(slots) if look(slots) returns true. The changes are kept, atomically.
    {s.write_page(
        page, [](const Slots&) { return true; }, [](const MutableSlots&) {})};
    // The transaction id of every insert that is running now, and has read the graph, is at least
    // this one.
    {
        s.insert_horizon()
        } -> std::convertible_to<uint64_t>;
    // The stamp for slots that are freed now, to which no node links: 0 if no other process can
    // know their ids.
    {
        s.free_stamp()
        } -> std::convertible_to<uint64_t>;
    // Notes that the page has free slots, and the stamp of the oldest of them.
    {s.note_room(page, uint64_t{})};
};

}   // namespace quiver::graph
