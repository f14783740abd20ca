// A copy of a node's slot and code, so that it can be looked at while nothing is locked.
#pragma once

#include "codec/sparse_codec.hpp"
#include "graph/code.hpp"
#include "graph/store.hpp"

namespace quiver::graph {

class Node {
  public:
    explicit Node(const Layout& layout) : l_(layout), slot_(layout.slot_bytes) {}

    // False if `id` is not a node. A freed slot is one as long as it has its links: searches still follow them.
    template <ReadStore S>
    bool read(S& store, SlotId id)
    {
        bool node = false;
        store.read(id, [&](const Slot& s) {
            const SlotHeader& h = s.header();
            node = h.state == SlotState::live || h.state == SlotState::deleted ||
                   (h.state == SlotState::free && h.degree > 0);
            if (node)
                std::memcpy(slot_.data(), s.data(), l_.slot_bytes);
        });
        return node && (!l_.codes_vary || gather(store));
    }

    // Only if it is live and on that layer.
    template <ReadStore S>
    bool read_live(S& store, SlotId id, int level)
    {
        return read(store, id) && header().state == SlotState::live && header().level == level;
    }

    Slot slot() const { return {l_, slot_.data()}; }
    const SlotHeader& header() const { return slot().header(); }
    uint32_t degree() const { return std::min<uint32_t>(header().degree, l_.degree); }
    Code code() const
    {
        return l_.codes_vary
                   ? Code{header().params, sparse_.data(), static_cast<uint32_t>(sparse_.size())}
                   : code_in(slot());
    }

  private:
    // Reads the code from the slot and its overflow slots. These are written before anything links to the node, and freed
    // with it. A search that reads them after that finds them unchanged; or they are used again, and the node has no
    // rows that this search could see.
    template <ReadStore S>
    bool gather(S& store)
    {
        const uint32_t length = std::min(header().length, codec::max_sparse_bytes) / 8 * 8;
        const uint8_t* code = slot().code();
        sparse_.assign(code, code + std::min(length, l_.code_bytes));
        for (SlotId at = header().overflow(); sparse_.size() < length;) {
            bool ok = false;
            store.read(at, [&](const Slot& s) {
                const SlotHeader& h = s.header();
                if ((h.state != SlotState::overflow && h.state != SlotState::free) || h.length == 0)
                    return;
                const auto* part = s.code();
                const size_t n =
                    std::min<size_t>({h.length, l_.overflow_bytes(), length - sparse_.size()});
                sparse_.insert(sparse_.end(), part, part + n);
                at = h.down;
                ok = true;
            });
            if (!ok)
                return false;
        }
        return true;
    }

    const Layout& l_;
    Vec<char> slot_;
    Vec<uint8_t> sparse_;
};

}   // namespace quiver::graph
