// The bytes of a graph: what a slot holds and where. The same on disk and in memory.
//
//   slot = SlotHeader | heap TIDs (or a stamp) | own code | neighbour ids | factors a | factors b |
//          sketches of the neighbours, word-transposed
//
// All slots of a graph have one size, so an id is (block, slot) by arithmetic. A node of level L has
// L + 1 slots. `down` of each is the one a layer below, and heap TIDs are in the lowest. What of a
// sparse vector's code does not fit is in overflow slots, which all slots of a node share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "codec/sketch.hpp"
#include "core/assert.hpp"

namespace quiver::graph {

constexpr uint32_t format_version = 3;

using codec::Code, codec::CodeParams, codec::Value;

using SlotId = uint32_t;
constexpr SlotId no_slot = UINT32_MAX;

constexpr int max_level = 15;
constexpr int max_degree = 200;

// The life of a node: src/graph/README.md, lifecycle.hpp.
enum class SlotState : uint8_t {
    free = 0,   // never used, or freed: the slot's stamp says when it may be used
    live = 1,
    deleted = 2,    // no rows left; searches follow its links until vacuum has removed those to it
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
    SlotId down;         // the node's slot one layer below; no_slot on layer 0
                         // overflow: the slot that goes on; no_slot in the last
    CodeParams params;   // of the own code
    uint32_t length;     // bytes of the own code; overflow: of the part here
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

// Where the parts of a slot are. All sizes are in bytes.
struct Layout {
    // What a slot has to hold.
    struct Parts {
        uint32_t code_bytes;       // room for the own code
        bool codes_vary = false;   // in length: what does not fit goes on in overflow slots
        codec::SketchShape sketch;
        uint32_t degree;   // neighbours that a slot has room for, a multiple of 4
        uint32_t
            tids;   // heap rows that a node has room for; more of the same code make another node
    };

    uint32_t code_bytes;
    bool codes_vary;
    uint32_t degree, tids;
    uint32_t words;   // 64-bit words of a sketch; 0: neighbours are read to be scored
    bool factor_b;    // do sketches have the second factor?
    uint32_t code, ids, a, b, sketches, slot_bytes;   // offsets and the size

    bool sketched() const { return words > 0; }

    static constexpr uint32_t max_tids = 8;

    explicit Layout(const Parts& p)
        : code_bytes(p.code_bytes), codes_vary(p.codes_vary), degree(p.degree), tids(p.tids),
          words(p.sketch.words), factor_b(p.sketch.factors > 1),
          code(static_cast<uint32_t>(sizeof(SlotHeader) + tids * sizeof(Tid) + 7) / 8 * 8),
          ids(code + code_bytes), a(ids + degree * 4), b(a + (sketched() ? degree * 4 : 0)),
          sketches(b + (factor_b ? degree * 4 : 0)), slot_bytes(sketches + words * degree * 8)
    {
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

}   // namespace quiver::graph
