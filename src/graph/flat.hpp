// Flat pages. An index with filter columns has a flat page for each group of pages of slots. It has an
// entry for each slot of the group: whether the slot is a node of layer 0, the node's filter code, and a
// sketch of its vector. All sketches are relative to one vector, the flat centre. So a search can find the
// matching nodes that are nearest to a query without the graph: it reads all flat pages, one after the
// other, which are about a fiftieth of the index. (An index that searches do not enter but read whole is
// called flat: Johnson, Douze, Jegou 2017, arXiv 1702.08734, section 2.)
//
// An entry is written together with its node's slot, in one change, and removed when the slot is freed. A search
// that has read the entry before that finds no node in the slot.
#pragma once

#include "core/prefetch.hpp"
#include "graph/vectors.hpp"

namespace quiver::graph {

// Where the parts of a flat page are. Offsets and sizes are in bytes:
//     which entries are nodes, a bit each | filter codes | sketches, each: factor a, factor b, bits
struct FlatLayout {
    uint32_t pages = 0;     // pages of slots in a group; 0: there are no flat pages
    uint32_t entries = 0;   // slots of these
    uint32_t words = 0;     // of a sketch
    uint32_t filters = 0, sketches = 0, bytes = 0;

    FlatLayout() = default;
    // Has no flat pages if slots have no filter codes. If they have no sketches, flat pages have none.
    FlatLayout(const Layout& slots, uint32_t slots_per_page, uint32_t page_bytes)
        : words(slots.words)
    {
        if (!slots.filtered)
            return;
        while (place((pages + 1) * slots_per_page) <= page_bytes)
            pages++;
        bytes = place(pages * slots_per_page);
    }
    uint32_t sketch_bytes() const { return words > 0 ? words * 8 + 8 : 0; }

  private:
    uint32_t place(uint32_t n)
    {
        entries = n;
        filters = (n + 63) / 64 * 8;
        sketches = (filters + n * static_cast<uint32_t>(sizeof(FilterCode)) + 7) / 8 * 8;
        return sketches + n * sketch_bytes();
    }
};

template <class Byte>
class BasicFlatPage {
  public:
    template <class T>
    using Part = std::conditional_t<std::is_const_v<Byte>, const T, T>;

    BasicFlatPage(const FlatLayout& layout, Byte* base) : l_(layout), base_(base) {}
    operator BasicFlatPage<const char>() const { return {l_, base_}; }

    const FlatLayout& layout() const { return l_; }
    // Bit i % 64 of word i / 64: is slot i a node of layer 0?
    Part<uint64_t>* nodes() const { return at<uint64_t>(0); }
    bool is_node(uint32_t i) const { return nodes()[i / 64] >> i % 64 & 1; }
    Part<FilterCode>* filters() const { return at<FilterCode>(l_.filters); }
    void prefetch(uint32_t i) const { quiver::prefetch(at<char>(place(i)), l_.sketch_bytes()); }
    codec::Sketch sketch(uint32_t i) const
    {
        if (l_.words == 0)
            return {.filter = filters()[i]};
        codec::SketchFactors factors;
        std::memcpy(&factors, at<char>(place(i)), sizeof factors);
        return {factors, at<uint64_t>(place(i) + sizeof factors), filters()[i]};
    }

    void put(uint32_t i, const codec::Sketch& sketch) const
    {
        static_assert(sizeof(codec::SketchFactors) == 8);
        if (l_.words > 0) {
            std::memcpy(at<char>(place(i)), &sketch.factors, sizeof sketch.factors);
            std::memcpy(at<char>(place(i) + sizeof sketch.factors), sketch.bits, l_.words * 8);
        }
        filters()[i] = sketch.filter;
        nodes()[i / 64] |= uint64_t{1} << i % 64;
    }
    void clear(uint32_t i) const { nodes()[i / 64] &= ~(uint64_t{1} << i % 64); }

  private:
    uint32_t place(uint32_t i) const { return l_.sketches + i * l_.sketch_bytes(); }
    template <class T>
    Part<T>* at(uint32_t offset) const
    {
        return reinterpret_cast<Part<T>*>(base_ + offset);
    }

    const FlatLayout& l_;
    Byte* base_;
};
using FlatPage = BasicFlatPage<const char>;
using MutableFlatPage = BasicFlatPage<char>;

// What takes as long as a visit to a node: to look at the filter codes of so many entries, and at so many sketches.
// (Measured with text embeddings of 384 dimensions.)
constexpr size_t codes_of_visit = 1600, sketches_of_visit = 64;
// What it takes to look at the entries of so many slots, in visits, if this share of them matches.
inline double flat_visits(const Layout& layout, double slots, double share)
{
    return slots / codes_of_visit + (layout.sketched() ? slots * share / sketches_of_visit : 0);
}

// Writes entries.
class FlatEncoder {
  public:
    // The encoding has its flat centre.
    explicit FlatEncoder(const Encoding& encoding) : encoder_(encoding)
    {
        encoder_.set_centre(encoding.flat_centre());
    }
    // Writes entry i of page(), which is called when the sketch is made. A slot that is no node has no entry.
    template <class PageOf>
    void write(const Slot& slot, uint32_t i, PageOf&& page)
    {
        if (!is_node(slot))
            return;
        const codec::Sketch sketch = sketch_of(slot);
        page().put(i, sketch);
    }
    static bool is_node(const Slot& slot)
    {
        const SlotHeader& h = slot.header();
        return (h.state == SlotState::live || h.state == SlotState::deleted) && h.level == 0;
    }
    // Valid until the next call.
    codec::Sketch sketch_of(const Slot& slot)
    {
        encoder_.encode(code_in(slot));   // (without sketches, that is the filter code)
        codec::Sketch sketch = encoder_.sketch();
        sketch.factors = codec::stored_factors(sketch.factors);
        return sketch;
    }

  private:
    LinkEncoder encoder_;
};

// The flat pages of a store in memory: made of the slots whenever they are read.
class FlatOfSlots {
  public:
    FlatOfSlots(const Encoding& encoding, uint32_t slots_per_page)
        : encoding_(encoding), layout_(encoding.layout(), slots_per_page, page_bytes),
          buffer_(layout_.bytes)
    {
    }
    const FlatLayout& layout() const { return layout_; }
    // slot(id): the slot; it is called for ids below `slots`.
    template <class SlotOf>
    FlatPage page(uint32_t page, SlotId slots, SlotOf&& slot)
    {
        FlatEncoder encoder(encoding_);
        std::fill(buffer_.begin(), buffer_.end(), 0);
        const SlotId first = page * layout_.entries;
        for (uint32_t i = 0; i < layout_.entries && first + i < slots; i++)
            encoder.write(slot(first + i), i,
                          [&] { return MutableFlatPage(layout_, buffer_.data()); });
        return {layout_, buffer_.data()};
    }

  private:
    static constexpr uint32_t page_bytes = 8160;
    const Encoding& encoding_;
    FlatLayout layout_;
    Vec<char> buffer_;
};

}   // namespace quiver::graph
