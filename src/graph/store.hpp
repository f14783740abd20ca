// What the algorithms ask of the place where slots are. Two stores: MemoryStore (the build's buffer
// and the tests' fixture) and RelationStore (PostgreSQL's buffers).
#pragma once

#include <concepts>

#include "graph/layout.hpp"

namespace quiver::graph {

// Slots that a search asks for before it reads the first of them. (3 and 4 were no faster.)
constexpr size_t lookahead = 2;

// Where searches start: a slot on the top layer.
struct Entry {
    SlotId id = no_slot;
    int level = -1;
    bool empty() const { return id == no_slot; }
};

template <class S>
concept ReadStore = requires(S& s, SlotId id)
{
    {
        s.layout()
        } -> std::convertible_to<const Layout&>;
    {
        s.entry()
        } -> std::convertible_to<Entry>;
    // Calls the function with the slot, which does not change meanwhile; false if there is none.
    {
        s.read(id, [](const Slot&) {})
        } -> std::convertible_to<bool>;
    // Likely to be read next; release() when the search pauses.
    {s.prefetch(id)};
    {s.release()};
    // A place to be interrupted: nothing is locked.
    {s.poll()};
};

template <class S>
concept Store = ReadStore<S> && requires(S& s, SlotId id, Entry e)
{
    // Calls the function with the slot; what it changed is kept, atomically, if it returns true.
    {
        s.write(id, [](const MutableSlot&) { return true; })
        } -> std::convertible_to<bool>;
    // A new slot, filled by the function; its id.
    {
        s.create([](const MutableSlot&) {})
        } -> std::convertible_to<SlotId>;
    // The next transaction's id, for what may turn out to belong to nobody; 0 where there are none.
    {
        s.stamp()
        } -> std::convertible_to<uint64_t>;
    // Makes `e` the entry if the present one is lower. False: it was not.
    {
        s.raise_entry(e)
        } -> std::convertible_to<bool>;
};

}   // namespace quiver::graph
