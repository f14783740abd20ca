// Which nodes a search can get to, and links to those that it can't: vacuum may have taken away the
// last node that led there, or a crash the links that an insert was about to make.
#pragma once

#include "graph/insert.hpp"

namespace quiver::graph {

using Bitmap = std::vector<bool, Allocator<bool>>;

// The slots among 0 .. count - 1 to which links and steps down lead from the entry; deleted nodes
// lead on if `through_deleted`.
template <ReadStore S>
Bitmap reachable(S& store, SlotId count, bool through_deleted)
{
    struct Step {
        SlotId id;
        int level;
    };
    Bitmap reached(count);
    Vec<Step> todo;
    const auto go = [&](SlotId id, int level) {
        if (id < count && !reached[id])
            todo.push_back({id, level});
    };
    const Entry entry = store.entry();
    if (!entry.empty())
        go(entry.id, entry.level);
    while (!todo.empty()) {
        store.poll();
        const Step at = todo.back();
        todo.pop_back();
        if (reached[at.id])
            continue;
        store.read(at.id, [&](const Slot& slot) {
            const SlotHeader& h = slot.header();
            if (h.level != at.level ||
                !(h.state == SlotState::live || (through_deleted && h.state == SlotState::deleted)))
                return;
            reached[at.id] = true;
            if (h.level > 0)
                go(h.down, h.level - 1);
            const uint32_t degree = std::min<uint32_t>(h.degree, slot.layout().degree);
            for (uint32_t i = 0; i < degree; i++)
                go(slot.ids()[i], h.level);
        });
    }
    return reached;
}

// Links to the live nodes of layer 0 that are not `known`. How many there were.
template <Store S>
size_t connect(S& store, Inserter<S>& inserter, const Bitmap& known)
{
    size_t connected = 0;
    for (SlotId id = 0; id < known.size(); id++) {
        if (known[id])
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

// Until all can be reached: a new link may push another one out.
template <Store S>
void connect_all(S& store, Inserter<S>& inserter, SlotId count)
{
    for (int round = 0; round < 5 && connect(store, inserter, reachable(store, count, false)) > 0;
         round++)
        ;
}

}   // namespace quiver::graph
