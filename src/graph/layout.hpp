// The bytes of a graph: what a slot holds and where. The same on disk and in memory.
//
//   slot = SlotHeader | heap TIDs (or a stamp) | own code | neighbour ids | factors a | factors b |
//          sketches of the neighbours, word-transposed
//
// All slots of a graph have one size, so an id is (block, slot) by arithmetic. A node of level L has
// L + 1 slots: `down` leads from each to the one a layer below; heap TIDs are in the lowest. What of
// a sparse vector's code does not fit goes on in overflow slots, which all slots of a node share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/assert.hpp"
#include "codec/binary.hpp"
#include "codec/scalar.hpp"
#include "codec/shared.hpp"

namespace quiver::graph {

constexpr uint32_t format_version = 3;

using SlotId = uint32_t;
constexpr SlotId no_slot = UINT32_MAX;

constexpr int max_level = 15;
constexpr int max_degree = 200;

enum class Metric : uint8_t {
    l2 = 1,       // squared Euclidean distance
    ip = 2,       // inner product, negated
    cosine = 3,   // unit vectors under l2
    l1 = 4,       // taxicab distance
    hamming = 5,
    jaccard = 6,
};

// What is indexed, and how a slot keeps it as the node's own code.
enum class Form : uint8_t {
    dense = 1,    // Layout::bits a coordinate of the rotated vector, or, for l1, 8 of the vector itself
    bits = 2,     // the bits
    sparse = 3,   // ascending indices, then their values, 4 bytes each
};
constexpr uint32_t sparse_inline_bytes = 256;     // of a code in the node's own slot
constexpr uint32_t max_sparse_bytes = 8 * 1000;   // of all of it
constexpr uint32_t max_dims_of(Form form)
{
    return form == Form::dense ? 16000 : form == Form::bits ? 64000 : 1000000000;
}

// The life of a node: src/graph/README.md, lifecycle.hpp.
enum class SlotState : uint8_t {
    free = 0,       // never used, or freed: the slot's stamp says when it may be used
    live = 1,
    deleted = 2,    // no rows left; still leads on until vacuum has removed the links to it
    overflow = 3,   // not a node: more of a node's code
};

// A heap row: block number and offset, as PostgreSQL's ItemPointerData.
struct Tid {
    uint16_t block_high, block_low, offset;
    friend bool operator==(Tid, Tid) = default;
};
static_assert(sizeof(Tid) == 6);

struct SlotHeader {
    SlotState state;
    uint8_t level;
    uint8_t degree;
    uint8_t tid_count;
    SlotId down;                  // the node's slot one layer below; no_slot on layer 0
                                  // overflow: the slot that goes on; no_slot in the last
    codec::ScalarParams params;   // of the own code
    uint32_t length;              // bytes of the own code; overflow: of the part here
    // sparse: the first overflow slot, or no_slot. Lies where other codes have their offset.
    SlotId& overflow() { return *reinterpret_cast<SlotId*>(&params); }
    SlotId overflow() const
    {
        SlotId id;
        std::memcpy(&id, &params, sizeof id);
        return id;
    }
    // overflow: the node's slot of layer 0
    SlotId& owner() { return overflow(); }
    SlotId owner() const { return overflow(); }
};
static_assert(sizeof(SlotHeader) == 32);
static_assert(offsetof(SlotHeader, params) == 8);

// Where the parts of a slot are.
struct Layout {
    uint32_t dims;         // of the user's vectors
    uint32_t padded;       // coordinates (or bits) of a code: rotated ones a multiple of 64
    uint32_t code_bytes;   // room for the own code
    // Of a coordinate of the own code, dense. 8: scalar; 12 or 16: then FineParams and the rest; 32: the
    // vector itself, in floats; 1, 2 or 4: product quantization by the codebook.
    uint32_t bits;
    codec::SharedCodebook* codebook;   // whoever makes the layout sets it
    // Subtracted from rotated vectors before they are anything else, padded floats; null: nothing is.
    // Small codes are of lengths from here. L2 distances, those of cosine included, do not see it.
    const float* centre;
    void subtract_centre(float* x) const
    {
        for (uint32_t i = 0; centre && i < padded; i++)
            x[i] -= centre[i];
    }
    uint32_t tids;     // heap rows of one code that a node has room for; more make another node
    uint32_t degree;   // neighbours a slot has room for, a multiple of 4
    uint32_t fold;     // coordinates a sketch bit stands for; 0: no sketches
    uint32_t words;    // 64-bit words of a sketch; 0: neighbours are read to be scored
    uint32_t code, ids, a, b, sketches, slot_bytes;   // offsets and the size
    Form form;
    Metric metric;

    bool rotated() const { return form == Form::dense && metric != Metric::l1; }
    bool sketched() const { return words > 0; }
    bool fine() const { return bits == 12 || bits == 16; }
    bool full() const { return bits == 32; }
    // So exact that most rows are put in order without their distances from the table.
    bool precise() const { return bits > 8; }
    // Too coarse to put rows in order by: their distances are computed from the table's rows.
    bool coarse() const { return bits < 8; }
    uint32_t subvector() const { return 8 / bits; }   // coarse: coordinates of a byte

    static constexpr uint32_t max_tids = 8;
    // Who wants small codes wants a small index.
    static constexpr uint32_t tids_beside(uint32_t bits) { return bits < 8 ? 4 : max_tids; }

    // Sketches need rotated vectors; of bits there is only fold 1, the neighbour itself.
    static Layout make(Form form, Metric metric, uint32_t dims, uint32_t degree, uint32_t fold,
                       uint32_t bits, uint32_t tids)
    {
        Layout l{};
        l.form = form;
        l.metric = metric;
        l.dims = dims;
        l.padded = l.rotated() || form == Form::bits ? (dims + 63) / 64 * 64 : (dims + 7) / 8 * 8;
        l.code_bytes = form == Form::dense  ? l.padded
                       : form == Form::bits ? l.padded / 8
                                            : sparse_inline_bytes;
        l.bits = l.rotated() ? bits : 8;
        if (l.fine())
            l.code_bytes +=
                static_cast<uint32_t>(sizeof(codec::FineParams)) + l.padded * (l.bits - 8) / 8;
        else if (l.full())
            l.code_bytes = l.padded * 4;
        else if (l.coarse())
            l.code_bytes = l.padded / l.subvector();
        l.degree = degree;
        l.fold = fold;
        if (fold > 0 && (l.rotated() || form == Form::bits))
            l.words = static_cast<uint32_t>(codec::sketch_words(l.padded, fold));
        l.tids = tids;
        l.code = static_cast<uint32_t>(sizeof(SlotHeader) + tids * sizeof(Tid) + 7) / 8 * 8;
        l.ids = l.code + l.code_bytes;
        l.a = l.ids + degree * 4;
        l.b = l.a + (l.sketched() ? degree * 4 : 0);
        l.sketches = l.b + (l.sketched() && form == Form::dense ? degree * 4 : 0);
        l.slot_bytes = l.sketches + l.words * degree * 8;
        return l;
    }
    // One node in so many is on the next layer. HNSW has one in m. As a visit scores all neighbours, one
    // in three times the degree does as well with fewer visits, and the index is 2 % smaller than with
    // one in the degree (bench_graph, 100,000 text embeddings). Fewer cost some 3 % of the speed, which slots
    // that take a page each are worth: they are no more than pgvector's pages then.
    double level_base() const
    {
        constexpr uint32_t half_a_page = 4096;
        return slot_bytes > half_a_page ? 1.0 * degree * degree : 3.0 * degree;
    }
    uint32_t slots_per_page(uint32_t usable) const { return usable / slot_bytes; }
    uint32_t overflow_bytes() const { return slot_bytes - code; }
};

constexpr int choose_fold = 0, no_sketches = -1;
constexpr int choose_bits = 0;
constexpr bool is_vector_bits(uint32_t bits)
{
    return bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 12 || bits == 16 ||
           bits == 32;
}

// What an index is asked for.
struct LayoutWishes {
    uint32_t m;               // HNSW's
    int fold = choose_fold;   // or no_sketches
    int bits = choose_bits;   // of a coordinate of the own vector: 1, 2, 4, 8, 12, 16 or 32
    uint32_t row_bytes = 0;   // of a vector in the table
};

// Rows above this are in a TOAST table: to read one takes several times as long as to visit a node.
constexpr uint32_t toasted_row_bytes = 1950;

// Degree and fold, so that slots tile a page of `usable` bytes: up to an eighth of the 2m neighbours
// of layer 0 is given up where that fits one more slot into a page, up to a quarter more are kept where
// the page would not be full, and the sketch is folded where the slot would not fit at all. Vectors too
// wide for that (above some 6,500 dimensions) get fewer bits a coordinate; bits of neighbours are kept
// where two slots fit a page.
// slot_bytes > usable in the result: no choice fits.
inline Layout choose_layout(Form form, Metric metric, uint32_t dims, const LayoutWishes& wishes,
                            uint32_t usable)
{
    const uint32_t most = (2 * wishes.m + 3) / 4 * 4;
    const bool choose = wishes.fold == choose_fold;
    const auto with = [&](uint32_t degree, uint32_t f, uint32_t bits) {
        return Layout::make(form, metric, dims, degree, f, bits, Layout::tids_beside(bits));
    };
    // The best degree for a fold.
    const auto tiled = [&](uint32_t f, uint32_t bits) {
        Layout best = with(most, f, bits);
        for (uint32_t degree = most; degree >= 4 && degree * 8 >= most * 7; degree -= 4)
            if (with(degree, f, bits).slots_per_page(usable) > best.slots_per_page(usable))
                best = with(degree, f, bits);
        // Room that would stay empty holds more neighbours.
        for (const uint32_t slots = best.slots_per_page(usable);
             slots > 0 && slots * best.slot_bytes * 20 < usable * 17 &&
             best.degree * 4 < most * 5 && best.degree + 4 <= max_degree;) {
            const Layout more = with(best.degree + 4, f, bits);
            if (more.slots_per_page(usable) < slots)
                break;
            best = more;
        }
        return best;
    };
    const bool bits_chosen = wishes.bits == choose_bits;
    // Without fine codes
    const uint32_t at_first = bits_chosen ? 8 : std::min(static_cast<uint32_t>(wishes.bits), 8u);
    // Who wants small codes wants small sketches, too: half as wide they cost a sixth of the speed, on
    // 100,000 text embeddings, and the index takes two thirds.
    const uint32_t first =
        choose ? (at_first < 8 ? 2 : 1) : static_cast<uint32_t>(std::max(wishes.fold, 0));
    const auto fits = [&](const Layout& l) { return l.slots_per_page(usable) > 0; };
    // Narrower sketches make a smaller index at a small cost of speed, down to some 300 bits (200 beside
    // coarse codes, which are there for their size): 16 bits of 1,024 dimensions, half the size for
    // an eighth; 2 bits of 1,536, two fifths for a fifth.
    const auto denser = [&](Layout l) {
        const uint32_t least = l.coarse() ? 3 : 5;   // words
        for (uint32_t f = l.fold + 1; choose && form == Form::dense && l.sketched(); f++) {
            const Layout next = tiled(f, l.bits);
            if (next.words < least)
                break;
            if (next.slots_per_page(usable) > l.slots_per_page(usable))
                l = next;
        }
        return l;
    };
    const auto plain_of = [&](uint32_t b) {
        Layout l = with(most, first, b);
        if (l.sketched() && form == Form::bits && choose && l.slots_per_page(usable) < 2)
            l = with(most, 0, b);
        if (!l.sketched()) {
            // Small slots, and few of them in the way: links go only where there is no room at all.
            for (uint32_t degree = most; degree > 4 && !fits(l); degree -= 4)
                l = with(degree - 4, 0, b);
            return l;
        }
        const uint32_t last = !choose || form != Form::dense ? first
                              : b == 8 && bits_chosen        ? 32
                                                             : 64;
        for (uint32_t f = first; f <= last; f++) {
            l = tiled(f, b);
            if (fits(l))
                break;
        }
        return l;
    };
    Layout plain = plain_of(at_first);
    for (uint32_t b = 4; b >= 1 && bits_chosen && plain.rotated() && !fits(plain); b /= 2)
        plain = plain_of(b);
    const bool precise =
        bits_chosen ? !plain.coarse() && wishes.row_bytes > toasted_row_bytes : wishes.bits > 8;
    if (!plain.rotated())
        return plain;
    if (!precise)
        return denser(plain);
    // Fine codes instead of wide sketches: as long as the index does not grow.
    const auto fine_of = [&](uint32_t bits) {
        const uint32_t slots = bits == 32 ? 1 : std::max(plain.slots_per_page(usable), 1u);
        const uint32_t last = choose ? 8 : first;
        for (uint32_t f = first; f <= last; f++)
            if (const Layout l = tiled(f, bits); l.slots_per_page(usable) >= slots)
                return denser(l);
        return Layout{};
    };
    const uint32_t wide_bits = bits_chosen ? 16 : static_cast<uint32_t>(wishes.bits);
    const Layout fine = fine_of(wide_bits);
    if (bits_chosen) {
        const Layout best = fine.slot_bytes ? fine : plain;
        // Of 1,536 dimensions 12 bits make an index of half the size, and a query takes a quarter longer.
        const Layout fewer = fine_of(12);
        return fewer.slot_bytes && fewer.slots_per_page(usable) > best.slots_per_page(usable)
                   ? fewer
                   : best;
    }
    if (fine.slot_bytes)
        return fine;
    for (uint32_t f = first;; f *= 2)
        if (const Layout l = tiled(f, wide_bits); fits(l) || f >= 64 || !choose)
            return l;
}

// A slot in memory or in a page.
template <class Byte>
class BasicSlot {
  public:
    template <class T>
    using Part = std::conditional_t<std::is_const_v<Byte>, const T, T>;

    BasicSlot(const Layout& layout, Byte* base) : l_(layout), p_(base)
    {
        QUIVER_ASSERT(reinterpret_cast<uintptr_t>(base) % alignof(uint64_t) == 0);
    }
    operator BasicSlot<const char>() const { return {l_, p_}; }

    Part<SlotHeader>& header() const { return *reinterpret_cast<Part<SlotHeader>*>(p_); }
    Part<Tid>* tids() const { return reinterpret_cast<Part<Tid>*>(p_ + sizeof(SlotHeader)); }
    // Where a live node has its rows. A transaction id (64 bit):
    //   deleted   the next one when the node was marked: who has a later one has never met it alive
    //   free      the next one when the slot was freed: who has no older snapshot does not know its id.
    //             0: nobody does
    //   overflow  the next one when it was written
    Part<uint64_t>& stamp() const
    {
        return *reinterpret_cast<Part<uint64_t>*>(p_ + sizeof(SlotHeader));
    }
    uint32_t tid_count() const { return std::min<uint32_t>(header().tid_count, l_.tids); }
    Part<uint8_t>* code() const { return reinterpret_cast<Part<uint8_t>*>(p_ + l_.code); }
    Part<SlotId>* ids() const { return reinterpret_cast<Part<SlotId>*>(p_ + l_.ids); }
    Part<float>* a() const { return reinterpret_cast<Part<float>*>(p_ + l_.a); }
    Part<float>* b() const { return reinterpret_cast<Part<float>*>(p_ + l_.b); }
    // word w of neighbour i: sketches()[w * degree + i]
    Part<uint64_t>* sketches() const { return reinterpret_cast<Part<uint64_t>*>(p_ + l_.sketches); }
    const Layout& layout() const { return l_; }
    Byte* data() const { return p_; }

  private:
    const Layout& l_;
    Byte* p_;
};
using Slot = BasicSlot<const char>;
using MutableSlot = BasicSlot<char>;

// A node's own code: in its slot, or copied out.
struct Code {
    codec::ScalarParams params;
    const uint8_t* bytes;
    uint32_t length;
};

// Of a slot that holds all of its code.
template <class Byte>
Code code_in(const BasicSlot<Byte>& slot)
{
    return {slot.header().params, slot.code(), slot.layout().code_bytes};
}

}   // namespace quiver::graph
