// What the algorithms ask of the place where slots are. Stores: MemoryStore (CREATE INDEX builds in it),
// SlotStore (PostgreSQL's buffers), and the unit tests' store that runs other operations at each call.
#pragma once

#include <concepts>

#include "core/memory.hpp"
#include "graph/encoding.hpp"

namespace quiver::graph {

// Slots that a search asks for before it reads the first of them. (3 and 4 were no faster.)
constexpr size_t lookahead = 2;

// Where searches start. `id` is a slot of the top layer, `level` its layer; from there a search comes down to
// a slot of layer 0 near the query. `root` is the slot of layer 0 from which every node can be reached: a
// search that has visited all that it can reach from its own start goes on from there.
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
    // Calls the function with the slot, which does not change meanwhile; false if there is none.
    {
        s.read(id, [](const Slot&) {})
        } -> std::convertible_to<bool>;
    // The slot is likely to be read next; release() when the search pauses.
    {s.prefetch(id)};
    {s.release()};
    // A place to be interrupted: nothing is locked.
    {s.poll()};
    // A point in time.
    {
        s.now()
        } -> std::convertible_to<uint64_t>;
    // Calls the function with each slot of the sorted ids that may have been written since that point.
    {s.read_written(ids, uint64_t{}, [](SlotId, const Slot&) {})};
};

template <class S>
concept Store = ReadStore<S> && requires(S& s, SlotId id, Entry e)
{
    // Calls the function with the slot; what it changed is kept, atomically, if it returns true.
    {
        s.write(id, [](const MutableSlot&) { return true; })
        } -> std::convertible_to<bool>;
    // A slot that nobody uses, filled by the function; its id.
    {
        s.create([](const MutableSlot&) {})
        } -> std::convertible_to<SlotId>;
    // The next transaction's id (64 bit).
    {
        s.stamp()
        } -> std::convertible_to<uint64_t>;
    // Compare and set: makes `e` the entry if the entry is `expected`. Returns what the entry was, so the
    // entry was replaced if that equals `expected`.
    {
        s.replace_entry(e, e)
        } -> std::convertible_to<Entry>;
};

// The slots of a page, whose ids follow each other.
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

// What vacuum needs beyond that: pages, and who is at work.
template <class S>
concept PagedStore = Store<S> && requires(S& s, uint32_t page)
{
    // The number of pages when they were counted last. Slot `id` is on page id / slots_per_page().
    {
        s.pages()
        } -> std::convertible_to<uint32_t>;
    {s.count_pages()};
    {
        s.slots_per_page()
        } -> std::convertible_to<uint32_t>;
    // Calls the function with the slots of the page, which do not change meanwhile.
    {s.read_page(page, [](const Slots&) {})};
    // Calls change(slots) if look(slots) returns true; what it changed is kept atomically.
    {s.write_page(
        page, [](const Slots&) { return true; }, [](const MutableSlots&) {})};
    // Every insert that is at work now, and has looked at the graph, has a transaction id of at least this one.
    {
        s.insert_horizon()
        } -> std::convertible_to<uint64_t>;
    // The stamp of slots that become free now, to which nothing links: 0 if nobody can hold their ids.
    {
        s.free_stamp()
        } -> std::convertible_to<uint64_t>;
    // The page has free slots, the oldest of them with that stamp.
    {s.note_room(page, uint64_t{})};
};

}   // namespace quiver::graph
