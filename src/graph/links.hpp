// The links of one slot. A writer looks at the slot under its lock: since the writer read it, the slot may have been
// deleted, freed, or used for another node, and its links may have changed.
#pragma once

#include "graph/candidates.hpp"
#include "graph/store.hpp"

namespace quiver::graph {

constexpr uint32_t no_place = UINT32_MAX;

// Is that a live node of the layer, with a degree that can be?
inline bool is_live_node(const Slot& slot, int level)
{
    const SlotHeader& h = slot.header();
    return h.state == SlotState::live && h.level == level && h.degree <= slot.layout().degree;
}

// The place of the slot's link to `id`, or no_place.
inline uint32_t place_of(SlotId id, const Slot& slot)
{
    const std::span<const SlotId> links = links_of(slot);
    const auto at = std::find(links.begin(), links.end(), id);
    return at == links.end() ? no_place : static_cast<uint32_t>(at - links.begin());
}
inline bool links_to(const Slot& slot, SlotId id) { return place_of(id, slot) != no_place; }

// The place of the next link, or no_place if the slot is full.
inline uint32_t free_place(const Slot& slot)
{
    return slot.header().degree < slot.layout().degree ? slot.header().degree : no_place;
}

// Copies the ids to which slot `id` links.
template <ReadStore S>
void read_links(S& store, SlotId id, Vec<SlotId>& links)
{
    links.clear();
    store.read(id, [&](const Slot& slot) {
        const std::span<const SlotId> ids = links_of(slot);
        links.assign(ids.begin(), ids.end());
    });
}

// What became of a link that was to be written.
enum class LinkResult {
    written,
    was_there,
    no_place,
    not_live,   // the slot is no live node of that layer any more
};
inline bool is_linked(LinkResult r)
{
    return r == LinkResult::written || r == LinkResult::was_there;
}

// Has slot `from`, of layer `level`, link to `to`. choose_place(slot), under the lock: the place of the link, which may be
// that of another link, or no_place.
template <Store S, class ChoosePlace>
LinkResult write_link(S& store, SlotId from, int level, SlotId to, const codec::Sketch& sketch,
                      ChoosePlace&& choose_place)
{
    LinkResult result = LinkResult::not_live;
    store.write(from, [&](const MutableSlot& slot) {
        if (!is_live_node(slot, level))
            return false;
        if (links_to(slot, to)) {
            result = LinkResult::was_there;
            return false;
        }
        const uint32_t place = choose_place(slot);
        if (place == no_place) {
            result = LinkResult::no_place;
            return false;
        }
        put_neighbour(to, sketch, slot, place);
        SlotHeader& h = slot.header();
        h.degree = std::max(h.degree, static_cast<uint8_t>(place + 1));
        result = LinkResult::written;
        return true;
    });
    return result;
}

// For a slot that the caller has locked, and whose code is the centre of `encoder`: appends a link to candidate i, unless
// there is one, or there are `most` links. Returns whether it was appended.
inline bool append_link(const MutableSlot& slot, const CodedCandidates& candidates, size_t i,
                        uint32_t most, LinkEncoder& encoder)
{
    SlotHeader& h = slot.header();
    if (h.degree >= most || links_to(slot, candidates.id(i)))
        return false;
    encoder.encode(candidates.code(i));
    encoder.put(candidates.id(i), slot, h.degree++);
    return true;
}

// Removes those links of a locked slot of which is_removed(id) is true.
template <class IsRemoved>
void remove_links(const MutableSlot& slot, IsRemoved&& is_removed)
{
    const uint32_t degree = degree_of(slot);
    uint32_t left = 0;
    for (uint32_t i = 0; i < degree; i++)
        if (!is_removed(slot.ids()[i]))
            move_neighbour(slot, i, left++);
    slot.header().degree = static_cast<uint8_t>(left);
}

}   // namespace quiver::graph
