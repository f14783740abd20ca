// Codes and sketches in slots.
#pragma once

#include <span>

#include "graph/encoding.hpp"

namespace quiver::graph {

template <class Byte>
FilterCode filter_in(const BasicSlot<Byte>& slot)
{
    return slot.layout().filtered ? slot.filter() : FilterCode{0};
}

// The code in a slot that holds all of it.
template <class Byte>
Code code_in(const BasicSlot<Byte>& slot)
{
    return {slot.header().params, slot.code(), slot.layout().code_bytes, filter_in(slot)};
}

// May rows with these codes share a node?
inline bool can_share_node(const codec::Codec& codec, const Code& x, const Code& y)
{
    return x.filter == y.filter && codec.same(x, y);
}

// Writes a node's code into its slot. `overflow` is the slot with the rest of the code.
inline void put_code(const Code& c, const MutableSlot& slot, SlotId overflow)
{
    SlotHeader& h = slot.header();
    h.params = c.params;
    h.length = c.length;
    if (slot.layout().codes_vary)
        h.overflow() = overflow;
    if (slot.layout().filtered)
        slot.filter() = c.filter;
    std::memcpy(slot.code(), c.bytes, std::min(c.length, slot.layout().code_bytes));
}

inline uint32_t degree_of(const Slot& slot)
{
    // With a damaged degree, nothing outside of the slot may be read.
    return std::min<uint32_t>(slot.header().degree, slot.layout().degree);
}

// The slots to which this one links.
inline std::span<const SlotId> links_of(const Slot& slot) { return {slot.ids(), degree_of(slot)}; }

// The sketches of the neighbours.
inline codec::SketchBlock sketches_in(const Slot& slot)
{
    return {slot.sketches(), slot.a(), slot.b(), slot.layout().degree, degree_of(slot)};
}

// Makes node `id`, with this sketch, neighbour i of the slot.
inline void put_neighbour(SlotId id, const codec::Sketch& sketch, const MutableSlot& slot,
                          uint32_t i)
{
    const Layout& l = slot.layout();
    slot.ids()[i] = id;
    if (l.filtered)
        slot.filters()[i] = sketch.filter;
    if (!l.sketched())
        return;
    slot.a()[i] = sketch.factors.a;
    if (l.factor_b)
        slot.b()[i] = sketch.factors.b;
    for (uint32_t w = 0; w < l.words; w++)
        slot.sketches()[w * l.degree + i] = sketch.bits[w];
}

// Moves neighbour `from` of a slot to place `to`.
inline void move_neighbour(const MutableSlot& slot, uint32_t from, uint32_t to)
{
    const Layout& l = slot.layout();
    slot.ids()[to] = slot.ids()[from];
    if (l.filtered)
        slot.filters()[to] = slot.filters()[from];
    if (!l.sketched())
        return;
    slot.a()[to] = slot.a()[from];
    if (l.factor_b)
        slot.b()[to] = slot.b()[from];
    for (uint32_t w = 0; w < l.words; w++)
        slot.sketches()[w * l.degree + to] = slot.sketches()[w * l.degree + from];
}

// Copies a node's slot without the unused places for neighbours. Nobody reads those, and writing
// them would make the WAL record larger.
inline void copy_node(const Slot& from, const MutableSlot& to)
{
    const Layout& l = from.layout();
    const uint32_t n = degree_of(from);
    std::memcpy(to.data(), from.data(), l.ids + n * sizeof(SlotId));
    if (l.filtered)
        std::copy_n(from.filters(), n, to.filters());
    if (!l.sketched())
        return;
    std::copy_n(from.a(), n, to.a());
    if (l.factor_b)
        std::copy_n(from.b(), n, to.b());
    for (uint32_t w = 0; w < l.words; w++)
        std::copy_n(from.sketches() + w * l.degree, n, to.sketches() + w * l.degree);
}

}   // namespace quiver::graph
