// A copy of a node's slot and code, which can be used while nothing is locked.
#pragma once

#include "codec/sparse_codec.hpp"
#include "graph/code.hpp"
#include "graph/store.hpp"

namespace quiver::graph {

class Node {
  public:
    explicit Node(const Layout& layout) : l_(layout), slot_(layout.slot_bytes) {}

    // False if `id` is not a node. A freed slot counts as a node while it has its links, because
    // searches still follow them.
    template <ReadStore S>
    bool read(S& store, SlotId id)
    {
        return read(store, id, l_.slot_bytes);
    }
    // As read(), but of the slot only the header and the code are valid afterwards.
    template <ReadStore S>
    bool read_code(S& store, SlotId id)
    {
        return read(store, id, l_.codes_vary ? l_.code : l_.ids);
    }

    // As read(), but false if the node is not live or not on this layer.
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
        return l_.codes_vary ? Code{header().params, sparse_.data(),
                                    static_cast<uint32_t>(sparse_.size()), filter_in(slot())}
                             : code_in(slot());
    }

  private:
    template <ReadStore S>
    bool read(S& store, SlotId id, size_t bytes)
    {
        bool node = false;
        store.read(id, [&](const Slot& s) {
            const SlotHeader& h = s.header();
            node = h.state == SlotState::live || h.state == SlotState::deleted ||
                   (h.state == SlotState::free && h.degree > 0);
            if (!node)
                return;
            std::memcpy(slot_.data(), s.data(), bytes);
            if (l_.codes_vary) {
                sparse_.clear();
                sparse_.append(s.code(), std::min(code_length(), l_.code_bytes));
            }
        });
        return node && (!l_.codes_vary || read_overflow(store));
    }
    uint32_t code_length() const
    {
        return std::min(header().length, codec::max_sparse_bytes) / 8 * 8;
    }
    // Reads the rest of the code from overflow slots. These are written before any node links to
    // this one, and freed together with it. After that, a search may find them unchanged, or used
    // again; then the node has no rows that the search could see.
    template <ReadStore S>
    bool read_overflow(S& store)
    {
        const uint32_t length = code_length();
        for (SlotId at = header().overflow(); sparse_.size() < length;) {
            bool ok = false;
            store.read(at, [&](const Slot& s) {
                const SlotHeader& h = s.header();
                if ((h.state != SlotState::overflow && h.state != SlotState::free) || h.length == 0)
                    return;
                const auto* part = s.code();
                const size_t n =
                    std::min<size_t>({h.length, l_.overflow_bytes(), length - sparse_.size()});
                sparse_.append(part, n);
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
    ByteBuffer sparse_;
};

}   // namespace quiver::graph
