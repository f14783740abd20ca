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
        bytes_.clear();
        bytes_.append(code.bytes, code.length);
        params_ = code.params;
        filter_ = code.filter;
    }
    Code code() const
    {
        return {params_, bytes_.data(), static_cast<uint32_t>(bytes_.size()), filter_};
    }

  private:
    CodeParams params_{};
    FilterCode filter_ = 0;
    ByteBuffer bytes_;
};

class CodedCandidates {
  public:
    explicit CodedCandidates(const codec::Codec& codec) : codec_(codec), comparer_(codec.comparer())
    {
    }

    void clear()
    {
        items_.clear();
        bytes_.clear();
        prepared_ = none;
    }
    void add(SlotId id, float distance, const Code& code)
    {
        items_.push_back({Candidate(distance, id), {}, none, 0, 0, false});
        set_code(items_.size() - 1, code);
    }
    // Adds a candidate whose code is not known yet. measure() leaves it as it is.
    void add_without_code(SlotId id, Proximity proximity)
    {
        items_.push_back({Candidate(proximity.distance, id), {}, none, 0, 0, proximity.equal});
    }
    bool has_code(size_t i) const { return items_[i].offset != none; }
    void set_code(size_t i, const Code& code)
    {
        Item& item = items_[i];
        item.params = code.params;
        item.offset = bytes_.size();
        item.length = code.length;
        item.filter = code.filter;
        const uint8_t* before = bytes_.data();
        bytes_.append(code.bytes, code.length);
        if (bytes_.data() != before)
            prepared_ = none;
    }
    // Computes the candidates' distances to a node with this code, and which of them equal it. From now
    // on, distances are Euclidean ones if `euclidean`; inner products only.
    void measure(const Code& node, bool euclidean = false)
    {
        euclidean_ = euclidean;
        comparer_->set(node);
        prepared_ = none;
        for (Item& item : items_) {
            if (item.offset == none)
                continue;
            const Code code = code_of(item);
            item.order = Candidate(to_prepared(node, code), item.order.id());
            item.equal = codec_.same(node, code);
        }
    }
    // Sorts the candidates from number `first` on, nearest first.
    void sort(size_t first = 0)
    {
        std::sort(items_.begin() + static_cast<ptrdiff_t>(first), items_.end(),
                  [](const Item& x, const Item& y) { return x.order < y.order; });
        prepared_ = none;
    }
    // Keeps the first `most` candidates.
    void truncate(size_t most)
    {
        if (items_.size() > most)
            items_.resize(most);
    }

    // The memory of the codes.
    size_t bytes() const { return bytes_.size(); }
    // Frees the memory of the codes of candidates that were removed.
    void pack()
    {
        ByteBuffer packed;
        for (Item& item : items_) {
            if (item.offset == none)
                continue;
            const size_t offset = packed.size();
            packed.append(bytes_.data() + item.offset, item.length);
            item.offset = offset;
        }
        std::swap(bytes_, packed);
        prepared_ = none;
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
    // (Candidate i is prepared for comparisons: it is usually the same as in the call before.)
    float pair_distance(size_t i, size_t j) const
    {
        if (prepared_ != i) {
            comparer_->set(code(i));
            prepared_ = i;
        }
        return to_prepared(code(i), code(j));
    }

  private:
    // The distance of a code to the prepared one, `x`.
    float to_prepared(const Code& x, const Code& y) const
    {
        const float distance = comparer_->distance(y);
        return euclidean_ ? std::max(0.0f, x.params.norm2 + y.params.norm2 + 2 * distance)
                          : distance;
    }
    struct Item {
        Candidate order;   // distance and id
        CodeParams params;
        size_t offset;   // of the code, in bytes_
        uint32_t length;
        FilterCode filter;
        bool equal;
    };
    Code code_of(const Item& item) const
    {
        return {item.params, bytes_.data() + item.offset, item.length, item.filter};
    }

    static constexpr size_t none = SIZE_MAX;

    const codec::Codec& codec_;
    Vec<Item> items_;
    ByteBuffer bytes_;
    Owned<codec::CodeComparer> comparer_;
    mutable size_t prepared_ = none;   // the candidate that comparer_ has
    bool euclidean_ = false;
};

}   // namespace quiver::graph
