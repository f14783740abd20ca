// Which nodes a search can get to, and links to those that it can't: vacuum may have taken away the
// last node that led there, or a crash the links that an insert was about to make.
#pragma once

#include "graph/insert.hpp"

namespace quiver::graph {

// Ways to a slot: how many links lead there from nodes that can be reached from the entry, as far as
// that matters. The entry, and what is below a node of an upper layer, needs no links.
constexpr uint8_t no_way = 0, enough_ways = 3;

// Of the slots 0 .. count - 1. Deleted nodes lead on if `through_deleted`.
template <ReadStore S>
Vec<uint8_t> ways(S& store, SlotId count, bool through_deleted)
{
    struct Step {
        SlotId id;
        int level;
    };
    constexpr uint8_t looked_at = 128;
    Vec<uint8_t> found(count);
    Vec<Step> todo;
    const auto go = [&](SlotId id, int level, int more) {
        if (id >= count)
            return;
        const int known = found[id] & ~looked_at;
        found[id] = static_cast<uint8_t>((found[id] & looked_at) |
                                         std::min<int>(known + more, enough_ways));
        if (!(found[id] & looked_at))
            todo.push_back({id, level});
    };
    const Entry entry = store.entry();
    if (!entry.empty())
        go(entry.id, entry.level, enough_ways);
    while (!todo.empty()) {
        store.poll();
        const Step at = todo.back();
        todo.pop_back();
        if (found[at.id] & looked_at)
            continue;
        store.read(at.id, [&](const Slot& slot) {
            const SlotHeader& h = slot.header();
            if (h.level != at.level ||
                !(h.state == SlotState::live || (through_deleted && h.state == SlotState::deleted)))
                return;
            found[at.id] |= looked_at;
            if (h.level > 0)
                go(h.down, h.level - 1, enough_ways);
            const uint32_t degree = std::min<uint32_t>(h.degree, slot.layout().degree);
            for (uint32_t i = 0; i < degree; i++)
                go(slot.ids()[i], h.level, 1);
        });
    }
    for (uint8_t& f : found)
        f = f & looked_at ? f & ~looked_at : no_way;
    return found;
}

// Has others lead to the live nodes of layer 0 to which there are few ways, and that a search does not
// find. How many there were.
template <Store S>
size_t connect(S& store, Inserter<S>& inserter, const Vec<uint8_t>& known)
{
    size_t connected = 0;
    for (SlotId id = 0; id < known.size(); id++) {
        if (known[id] >= enough_ways)
            continue;
        bool live = false;
        store.read(id, [&](const Slot& slot) {
            live = slot.header().state == SlotState::live && slot.header().level == 0;
        });
        if (live)
            connected += inserter.link_to(id);
    }
    return connected;
}

// Every node can be reached, and found by its own vector: where few links lead to a node, they may come
// from far away, as newcomers lead to those whose places they take. A new link may push another one out,
// so they are looked for again. (Of sparse rows that came and went, at m 6, a search for 200 missed 2.6 %
// without this, and 0.7 % with it.)
template <Store S>
void connect_all(S& store, Inserter<S>& inserter, SlotId count)
{
    for (int round = 0; round < 5 && connect(store, inserter, ways(store, count, false)) > 0;
         round++)
        ;
}

}   // namespace quiver::graph
