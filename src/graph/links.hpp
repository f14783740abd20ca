// The links of one slot. A writer checks the slot again under its lock. Since the writer read it,
// the slot may have been deleted, freed, or used for another node, and its links may have changed.
#pragma once

#include "graph/candidates.hpp"
#include "graph/store.hpp"

namespace quiver::graph {

constexpr uint32_t no_place = UINT32_MAX;

// Is this a live node of the layer, with a valid degree?
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

// The result of writing a link.
enum class LinkResult {
    written,
    was_there,
    no_place,
    not_live,   // the slot is not a live node of that layer any more
};
inline bool is_linked(LinkResult r)
{
    return r == LinkResult::written || r == LinkResult::was_there;
}

// Writes a link from slot `from`, of layer `level`, to `to`. choose_place(slot), called under the
// lock, returns the place for the link, or no_place. If another link has that place, it is
// replaced.
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

// Appends a link to candidate i, unless the slot has one already, or has `most` links. The caller
// has locked the slot, and has made its code the centre of `encoder`. Returns whether the link was
// appended.
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

// Removes the links of a locked slot for which is_removed(id) is true.
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
