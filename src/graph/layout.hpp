// The bytes of a graph: what a slot holds and where. They are the same on disk and in memory.
//
//   slot = SlotHeader | heap TIDs (or a stamp) | own filter code | own code | neighbour ids |
//          factors a | factors b | sketches of the neighbours, word-transposed |
//          filter codes of the neighbours
//
// Only an index with filter columns has filter codes.
//
// All slots of a graph have the same size, so block and place follow from a slot's id by
// arithmetic. A node of level L has L + 1 slots, one per layer. `down` is the node's slot one layer
// below. The lowest slot has the heap TIDs. If a sparse vector's code does not fit into a slot, the
// rest is stored in overflow slots, which all slots of the node share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "codec/sketch.hpp"
#include "core/assert.hpp"

namespace quiver::graph {

constexpr uint32_t format_version = 3;

using codec::Code, codec::CodeParams, codec::FilterCode, codec::Value;

using SlotId = uint32_t;
constexpr SlotId no_slot = UINT32_MAX;

constexpr int max_level = 15;
constexpr int max_degree = 200;

// src/graph/README.md ("The life of a node") and lifecycle.hpp describe how the state changes.
enum class SlotState : uint8_t {
    free = 0,   // never used, or freed: the slot's stamp tells when it may be used again
    live = 1,
    deleted = 2,    // has no rows; searches follow its links until vacuum frees it
    overflow = 3,   // not a node: a further part of a node's code
};

// A heap row: block number and offset, like PostgreSQL's ItemPointerData.
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
                         // overflow: the slot with the next part; no_slot in the last
    CodeParams params;   // of the node's own code
    uint32_t length;     // bytes of the node's own code; overflow: bytes of the part in this slot
    // sparse: the first overflow slot, or no_slot. It uses the bytes of other codes' offset.
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

// Where the parts of a slot are. Sizes and offsets are in bytes.
struct Layout {
    // What a slot must have room for.
    struct Parts {
        uint32_t code_bytes;       // room for the node's own code
        bool codes_vary = false;   // in length: overflow slots have the part that does not fit
        codec::SketchShape sketch;
        uint32_t degree;   // most neighbours of a slot, a multiple of 4
        uint32_t
            tids;   // most heap rows of a node; further rows with the same code get another node
        bool filtered = false;   // are there filter codes?
    };

    uint32_t code_bytes;
    bool codes_vary;
    uint32_t degree, tids;
    uint32_t words;   // 64-bit words of a sketch; 0: no sketches, so searches read the neighbours
    bool factor_b;    // do sketches have the second factor?
    bool filtered;
    uint32_t filter, code, ids, a, b, sketches, filters, slot_bytes;   // offsets and the size

    bool sketched() const { return words > 0; }
    uint32_t filter_bytes() const { return filtered ? uint32_t{sizeof(FilterCode)} : 0; }

    static constexpr uint32_t max_tids = 8;

    explicit Layout(const Parts& p)
        : code_bytes(p.code_bytes), codes_vary(p.codes_vary), degree(p.degree), tids(p.tids),
          words(p.sketch.words), factor_b(p.sketch.factors > 1), filtered(p.filtered),
          filter(static_cast<uint32_t>(sizeof(SlotHeader) +
                                       std::max(tids * sizeof(Tid), sizeof(uint64_t)))),
          code((filter + filter_bytes() + 7) / 8 * 8), ids(code + code_bytes), a(ids + degree * 4),
          b(a + (sketched() ? degree * 4 : 0)), sketches(b + (factor_b ? degree * 4 : 0)),
          filters(sketches + words * degree * 8), slot_bytes(filters + degree * filter_bytes())
    {
    }
    // One node in this number is also on the next layer. In HNSW it is one in m. Here a visit
    // scores all neighbours, so one in three times the degree is as good with fewer visits, and the
    // index is 2 % smaller than with one in the degree (bench_graph, 100,000 text embeddings).
    // Still fewer upper nodes cost about 3 % of the speed. If a slot takes a page, that is worth
    // it: the index then has no more pages than pgvector's.
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
    // A 64-bit transaction id, stored where a live node has its rows:
    //   deleted   the next transaction id when the node was marked: a transaction with this id or a
    //             later one never met the node alive
    //   free      the next transaction id when the slot was freed: only a process with an older
    //             snapshot can still know the slot's id. 0: no process can
    //   overflow  the next transaction id when the slot was written
    Part<uint64_t>& stamp() const
    {
        return *reinterpret_cast<Part<uint64_t>*>(p_ + sizeof(SlotHeader));
    }
    uint32_t tid_count() const { return std::min<uint32_t>(header().tid_count, l_.tids); }
    // The filter code of the node, and those of its neighbours. Only if Layout::filtered.
    Part<FilterCode>& filter() const
    {
        return *reinterpret_cast<Part<FilterCode>*>(p_ + l_.filter);
    }
    Part<FilterCode>* filters() const
    {
        return reinterpret_cast<Part<FilterCode>*>(p_ + l_.filters);
    }
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
