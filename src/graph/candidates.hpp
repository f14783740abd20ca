// Candidates for the links of a node, with copies of their codes. So the slots need not stay locked
// while the candidates are compared with each other.
#pragma once

#include "core/heap.hpp"
#include "graph/prune.hpp"

namespace quiver::graph {

// A code with a copy of its bytes.
class CodeCopy {
  public:
    void set(const Code& code)
    {
        bytes_.assign(code.bytes, code.bytes + code.length);
        params_ = code.params;
    }
    Code code() const { return {params_, bytes_.data(), static_cast<uint32_t>(bytes_.size())}; }

  private:
    CodeParams params_{};
    Vec<uint8_t> bytes_;
};

class CodedCandidates {
  public:
    explicit CodedCandidates(const codec::Codec& codec) : codec_(codec) {}

    void clear()
    {
        items_.clear();
        bytes_.clear();
    }
    void add(SlotId id, float distance, const Code& code)
    {
        items_.push_back({Candidate(distance, id), code.params, bytes_.size(), code.length, false});
        bytes_.insert(bytes_.end(), code.bytes, code.bytes + code.length);
    }
    // Computes the candidates' distances to a node with this code, and which of them equal it.
    void measure(const Code& node)
    {
        for (Item& item : items_) {
            const Code code = code_of(item);
            item.order = Candidate(codec_.distance(node, code), item.order.id());
            item.equal = codec_.same(node, code);
        }
    }
    // Sorts the candidates from number `first` on, nearest first.
    void sort(size_t first = 0)
    {
        std::sort(items_.begin() + static_cast<ptrdiff_t>(first), items_.end(),
                  [](const Item& x, const Item& y) { return x.order < y.order; });
    }
    // Keeps the first `most` candidates.
    void truncate(size_t most)
    {
        if (items_.size() > most)
            items_.resize(most);
    }

    bool empty() const { return items_.empty(); }
    size_t size() const { return items_.size(); }
    SlotId id(size_t i) const { return items_[i].order.id(); }
    Code code(size_t i) const { return code_of(items_[i]); }
    bool contains(SlotId id) const
    {
        return std::any_of(items_.begin(), items_.end(),
                           [&](const Item& item) { return item.order.id() == id; });
    }

    // ---- for select_neighbours() ----

    Proximity proximity(size_t i) const { return {items_[i].order.distance(), items_[i].equal}; }
    float pair_distance(size_t i, size_t j) const { return codec_.distance(code(i), code(j)); }

  private:
    struct Item {
        Candidate order;   // distance and id
        CodeParams params;
        size_t offset;   // of the code, in bytes_
        uint32_t length;
        bool equal;
    };
    Code code_of(const Item& item) const
    {
        return {item.params, bytes_.data() + item.offset, item.length};
    }

    const codec::Codec& codec_;
    Vec<Item> items_;
    Vec<uint8_t> bytes_;
};

}   // namespace quiver::graph
