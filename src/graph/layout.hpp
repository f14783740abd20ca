// The bytes of a graph: what a slot holds and where. The same on disk and in memory.
//
//   slot = SlotHeader | own code, 8 bit a coordinate | neighbour ids | factors a | factors b |
//          sketches of the neighbours, word-transposed
//
// All slots of a graph have one size, so an id is (block, slot) by arithmetic. A node of level L has
// L + 1 slots: `down` leads from each to the one a layer below; heap TIDs are in the lowest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "quant/binary.hpp"
#include "quant/scalar.hpp"

namespace quiver::graph {

constexpr uint32_t format_version = 1;

using SlotId = uint32_t;
constexpr SlotId no_slot = UINT32_MAX;

constexpr int max_level = 15;
constexpr int max_tids = 8;
constexpr int max_degree = 200;

enum class Metric : uint8_t {
    l2 = 1,       // squared Euclidean distance
    ip = 2,       // inner product, negated
    cosine = 3,   // unit vectors under l2
};

enum class SlotState : uint8_t {
    free = 0,      // never used, or freed: `stamp` says since when
    live = 1,
    deleted = 2,   // no rows left; still leads on until vacuum has removed the links to it
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
    quant::ScalarParams params;   // of the own code
    uint32_t reserved;
    Tid tids[max_tids];
    // free: the transaction id (64 bit) as of which nobody who could hold this id started
    uint64_t& stamp() { return *reinterpret_cast<uint64_t*>(&params); }
    uint64_t stamp() const
    {
        uint64_t s;
        std::memcpy(&s, &params, sizeof s);
        return s;
    }
};
static_assert(sizeof(SlotHeader) == 80);
static_assert(offsetof(SlotHeader, params) == 8);

// Where the parts of a slot are.
struct Layout {
    uint32_t dims;       // of the user's vectors
    uint32_t padded;     // after rotation, a multiple of 64
    uint32_t degree;     // neighbours a slot has room for, a multiple of 4
    uint32_t fold;       // coordinates a sketch bit stands for
    uint32_t words;      // 64-bit words of a sketch
    uint32_t ids, a, b, sketches, slot_bytes;   // offsets and the size
    Metric metric;

    static Layout make(Metric metric, uint32_t dims, uint32_t degree, uint32_t fold)
    {
        Layout l{};
        l.metric = metric;
        l.dims = dims;
        l.padded = (dims + 63) / 64 * 64;
        l.degree = degree;
        l.fold = fold;
        l.words = static_cast<uint32_t>(quant::sketch_words(l.padded, fold));
        l.ids = static_cast<uint32_t>(sizeof(SlotHeader)) + l.padded;
        l.a = l.ids + degree * 4;
        l.b = l.a + degree * 4;
        l.sketches = l.b + degree * 4;
        l.slot_bytes = l.sketches + l.words * degree * 8;
        return l;
    }
    uint32_t slots_per_page(uint32_t usable) const { return usable / slot_bytes; }
};

// Degree and fold for `dims` dimensions and HNSW's m, so that slots tile a page of `usable` bytes:
// up to an eighth of the 2m neighbours of layer 0 is given up where that fits one more slot into a
// page, and the sketch is folded where the slot would not fit at all. `fold` 0: choose.
// slot_bytes > usable in the result: no choice fits.
inline Layout choose_layout(Metric metric, uint32_t dims, uint32_t m, uint32_t fold, uint32_t usable)
{
    const uint32_t most = (2 * m + 3) / 4 * 4;
    Layout best{};
    for (uint32_t f = fold ? fold : 1; f <= (fold ? fold : 64); f *= 2) {
        best = Layout::make(metric, dims, most, f);
        for (uint32_t degree = most; degree >= 4 && degree * 8 >= most * 7; degree -= 4) {
            const Layout l = Layout::make(metric, dims, degree, f);
            if (l.slots_per_page(usable) > best.slots_per_page(usable))
                best = l;
        }
        if (best.slots_per_page(usable) > 0)
            break;
    }
    return best;
}

// A slot in memory or in a page.
template <class Byte>
class BasicSlot {
  public:
    template <class T>
    using Part = std::conditional_t<std::is_const_v<Byte>, const T, T>;

    BasicSlot(const Layout& layout, Byte* base) : l_(layout), p_(base) {}
    operator BasicSlot<const char>() const { return {l_, p_}; }

    Part<SlotHeader>& header() const { return *reinterpret_cast<Part<SlotHeader>*>(p_); }
    Part<uint8_t>* code() const
    {
        return reinterpret_cast<Part<uint8_t>*>(p_ + sizeof(SlotHeader));
    }
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

// A node's own code, copied out of its slot.
struct Code {
    quant::ScalarParams params;
    const uint8_t* bytes;
};

}   // namespace quiver::graph
