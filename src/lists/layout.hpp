// The pages of an inverted file: an index that divides rows into lists. The rows of a list are those whose
// vectors are nearest to its centroid (Jegou, Douze, Schmid 2011, "Product quantization for nearest neighbor
// search", section 4).
//
// A list has one list page or more, which form a chain. A list page has places for rows. For each row it has
// a sketch, relative to the centroid, the row's TID and, if there are filter columns, its filter code: all
// that a search needs to judge the row. Sketches are word-transposed (simd::Sketches). The codes of these
// rows, which tell their distances nearly exactly, are on code pages, which belong to the list page. A row
// stays at its place until vacuum removes it.
//
// The root is a list, too: its rows are the centroids. In the place of the TID it has the first page of the
// list.
//
// When the table has grown, the rows are divided again: they are copied to new lists, which then take the place of
// the others in the root (ivfflat/divide.hpp). The old lists stay until no search reads them any more: they are
// retired.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "codec/sketch.hpp"
#include "graph/layout.hpp"

namespace quiver::lists {

using codec::Code;
using codec::code_at;
using codec::CodeParams;
using codec::FilterCode;
using codec::put_code;
using codec::stored_factors;
using codec::Value;
using graph::Tid;

using Block = uint32_t;   // the number of a page
constexpr Block no_block = UINT32_MAX;

constexpr uint32_t max_lists = 32768;   // as in pgvector
constexpr uint32_t root_list = UINT32_MAX;

struct ListHeader {
    Block list;       // its first page, by which a list is known; or root_list
    Block next;       // the next page of the list, or no_block
    Block room;       // first page of a list: the first page that may have free places. A hint
    uint16_t used;    // places that have been used; no place after these is taken
    uint16_t taken;   // places that have a row
    // Numbers of the page, and of the next one. The first page of a list has number 0, and numbers rise along the
    // list. A page that comes to a list again, behind others, has another number than before.
    uint32_t number;
    uint32_t next_number;
    uint32_t
        closed;   // not 0: the rows are being divided again, and this page takes no more of them
    // First page of the root only.
    uint32_t changes;      // how often the lists were replaced by others
    uint32_t freed;        // the lists before this change are free; 0: all are still there
    uint32_t leftovers;    // not 0: there may be pages to which the root does not lead
    Block retired_next;    // the next page of the root as it was before, or no_block
    uint64_t retired_at;   // when it was replaced: a stamp; 0: there is no retired root
};
static_assert(sizeof(ListHeader) == 56);

// The places in pages. All follows from the codec, the sketches, and the size of a page.
struct Layout {
    uint32_t words = 0;        // of a sketch
    uint32_t entries = 0;      // places on a list page
    uint32_t code_bytes = 0;   // of a record on a code page; 0: there are none, sketches are exact
    uint32_t codes_per_page = 0;
    uint32_t code_pages = 0;   // of a full list page
    bool has_b = false;        // sketches have a second factor
    bool filtered = false;
    uint32_t page_bytes = 0;
    // Offsets in a list page.
    uint32_t bits = 0, taken = 0, a = 0, b = 0, blocks = 0, tids = 0, filters = 0, bytes = 0;

    Layout(const codec::CodecTraits& codec, const codec::SketchShape& sketch, bool exact_sketches,
           bool with_filters, uint32_t bytes_of_page)
        : words(sketch.words),
          code_bytes(exact_sketches ? 0
                                    : codec::round_up(codec::record_bytes(codec.code_bytes), 4u)),
          codes_per_page(exact_sketches ? 1 : bytes_of_page / code_bytes),
          has_b(sketch.factors > 1), filtered(with_filters), page_bytes(bytes_of_page)
    {
        // As many places as fill the code pages best. Kernels take a multiple of 4 sketches with factors.
        const uint32_t step = has_b ? 4 : 1;
        double least = std::numeric_limits<double>::infinity();
        uint32_t best = 0;
        for (uint32_t n = step; n <= max_entries && place(n) <= page_bytes; n += step)
            if (const double pages = (1.0 + code_pages) / n; pages <= least) {
                least = pages;
                best = n;
            }
        bytes = place(best);
    }
    // A list with fewer rows wastes space: they fill a quarter of its page. (This does not depend on the codes.)
    uint32_t least_rows() const
    {
        const uint32_t row = words * 8 + (has_b ? 8 : 4) + static_cast<uint32_t>(sizeof(Tid)) +
                             (filtered ? static_cast<uint32_t>(sizeof(FilterCode)) : 0);
        return std::max(1u, page_bytes / row / 4);
    }
    // False if not even one row fits.
    bool fits() const { return entries > 0 && codes_per_page > 0; }

    uint32_t code_page_of(uint32_t entry) const { return entry / codes_per_page; }
    uint32_t place_of(uint32_t entry) const { return entry % codes_per_page * code_bytes; }

  private:
    static constexpr uint32_t max_entries = 2048;

    // Sets the offsets for pages with `n` places. Returns the bytes that they need.
    uint32_t place(uint32_t n)
    {
        entries = n;
        code_pages =
            code_bytes == 0 || codes_per_page == 0 ? 0 : (n + codes_per_page - 1) / codes_per_page;
        bits = sizeof(ListHeader);
        taken = bits + words * n * 8;
        a = taken + (n + 63) / 64 * 8;
        b = a + n * 4;
        blocks = b + (has_b ? n * 4 : 0);
        tids = blocks + code_pages * 4;
        filters = tids + n * static_cast<uint32_t>(sizeof(Tid));
        return filters + (filtered ? n * static_cast<uint32_t>(sizeof(FilterCode)) : 0);
    }
};

template <class Byte>
class BasicListPage {
    template <class T>
    using Of = std::conditional_t<std::is_const_v<Byte>, const T, T>;

  public:
    BasicListPage(const Layout& layout, Byte* base) : l_(layout), base_(base) {}
    operator BasicListPage<const char>() const { return {l_, base_}; }

    const Layout& layout() const { return l_; }
    Of<ListHeader>& header() const { return *at<ListHeader>(0); }
    Of<uint64_t>* bits() const { return at<uint64_t>(l_.bits); }
    Of<float>* a() const { return at<float>(l_.a); }
    Of<float>* b() const { return at<float>(l_.b); }
    Of<Block>* code_blocks() const { return at<Block>(l_.blocks); }
    Of<Tid>* tids() const { return at<Tid>(l_.tids); }
    Of<FilterCode>* filters() const { return at<FilterCode>(l_.filters); }
    Of<uint64_t>* taken() const { return at<uint64_t>(l_.taken); }

    // (With a damaged header, nothing outside of the page may be read.)
    uint32_t used() const { return std::min<uint32_t>(header().used, l_.entries); }
    bool is_taken(uint32_t i) const { return taken()[i / 64] >> i % 64 & 1; }
    FilterCode filter(uint32_t i) const { return l_.filtered ? filters()[i] : FilterCode{0}; }
    codec::SketchBlock sketches() const { return {bits(), a(), b(), l_.entries, used()}; }
    // A place without a row; `entries` if there is none.
    uint32_t free_place() const
    {
        for (uint32_t w = 0; w < (l_.entries + 63) / 64; w++)
            if (const uint64_t free = ~taken()[w]; free != 0)
                return std::min(w * 64 + static_cast<uint32_t>(std::countr_zero(free)), l_.entries);
        return l_.entries;
    }

  private:
    template <class T>
    Of<T>* at(uint32_t offset) const
    {
        return reinterpret_cast<Of<T>*>(base_ + offset);
    }

    const Layout& l_;
    Byte* base_;
};
using ListPage = BasicListPage<const char>;
using MutableListPage = BasicListPage<char>;

inline void init_list_page(const MutableListPage& page, Block list, uint32_t number)
{
    page.header() = {};
    page.header().list = list;
    page.header().next = page.header().room = page.header().retired_next = no_block;
    page.header().number = number;
    std::fill_n(page.tids(), page.layout().entries, Tid{});
    std::fill_n(page.taken(), (page.layout().entries + 63) / 64, 0);
    std::fill_n(page.code_blocks(), page.layout().code_pages, no_block);
}

// Makes `next` the page after this one.
inline void link(const MutableListPage& page, Block next, uint32_t number)
{
    page.header().next = next;
    page.header().next_number = number;
}

// Puts a row at place i, which is free. Its code is written separately.
inline void put_entry(const MutableListPage& page, uint32_t i, const codec::Sketch& sketch, Tid tid,
                      FilterCode filter)
{
    const Layout& l = page.layout();
    for (uint32_t w = 0; w < l.words; w++)
        page.bits()[size_t{w} * l.entries + i] = sketch.bits[w];
    const codec::SketchFactors factors = stored_factors(sketch.factors);
    page.a()[i] = factors.a;
    if (l.has_b)
        page.b()[i] = factors.b;
    page.tids()[i] = tid;
    if (l.filtered)
        page.filters()[i] = filter;
    page.taken()[i / 64] |= uint64_t{1} << i % 64;
    ListHeader& h = page.header();
    h.used = static_cast<uint16_t>(std::max<uint32_t>(h.used, i + 1));
    h.taken++;
}

inline void remove_entry(const MutableListPage& page, uint32_t i)
{
    page.taken()[i / 64] &= ~(uint64_t{1} << i % 64);
    page.header().taken--;
}

// The bytes of a sketch at place i, one word after the other, to `to`.
inline codec::Sketch sketch_in(const ListPage& page, uint32_t i, uint64_t* to)
{
    const Layout& l = page.layout();
    for (uint32_t w = 0; w < l.words; w++)
        to[w] = page.bits()[size_t{w} * l.entries + i];
    return {{page.a()[i], l.has_b ? page.b()[i] : 0.0f}, to, page.filter(i)};
}

// The root has the first page of a list in the place of a TID, and the squared length of its centroid, rounded
// to the upper 16 bits of a float.
struct ListPointer {
    Block head;
    float norm2;
};
inline Tid to_tid(ListPointer p)
{
    return {static_cast<uint16_t>(p.head >> 16), static_cast<uint16_t>(p.head),
            static_cast<uint16_t>(std::bit_cast<uint32_t>(p.norm2) >> 16)};
}
inline ListPointer list_pointer(Tid t)
{
    return {Block{t.block_high} << 16 | t.block_low,
            std::bit_cast<float>(uint32_t{t.offset} << 16)};
}

// The places of retired lists on the first page of the root are not taken any more, but lead to them until they
// become free. Then they lead to page 0, which is of no list.
inline bool leads_to_list(const ListPage& page, uint32_t i)
{
    return list_pointer(page.tids()[i]).head != 0;
}

}   // namespace quiver::lists
