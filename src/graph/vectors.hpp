// A query, prepared for comparisons with nodes, and the encoder of links.
#pragma once

#include "core/heap.hpp"
#include "graph/code.hpp"

namespace quiver::graph {

using codec::Bounds;

// The vector that a search compares nodes with. It is prepared once.
class Query {
  public:
    explicit Query(const Encoding& encoding)
        : own_(encoding.codec().query()),
          sketches_(encoding.sketches() ? encoding.sketches()->query() : nullptr),
          encoding_(encoding)
    {
        if (sketches_)
            estimate_.resize(std::max(encoding.layout().degree, flat_block) + 8);
    }

    void set(const Value& x)
    {
        own_->set(x);
        if (sketches_)
            sketches_->set(*own_);
    }

    // The distance to the decoded code.
    float distance(const Code& c) const { return own_->distance(c); }

    // Estimates the distances to all neighbours of a slot, to which the query has `distance`. In
    // near(), bit i % 64 of word i / 64 tells whether estimate i is at most `limit`. Both are valid
    // until the next call.
    const float* estimates(const Slot& slot, float distance, float limit)
    {
        sketches_->estimate(sketches_in(slot), distance, slot.header().params.norm2, limit,
                            estimate_.data(), near_);
        return estimate_.data();
    }
    const uint64_t* near() const { return near_; }

    // To be called before flat_bounds(), once for a query.
    void begin_flat()
    {
        flat_distance_ = encoding_.has_flat_centre() ? own_->distance(encoding_.flat_centre()) : 0;
    }
    // The most sketches of a block for flat_bounds().
    static constexpr uint32_t flat_block = 64;
    // Lower bounds of the distances to nodes, from sketches as they are on flat pages (flat.hpp). Valid until the
    // next call. The bound of one node in 15 is too high. (A search misses fewer of the nearest nodes, as it has more
    // results than the nearest that count.)
    const float* flat_bounds(const codec::SketchBlock& block)
    {
        constexpr float deviations = 1.5;
        sketches_->lower_bounds(block, flat_distance_, encoding_.flat_centre().params.norm2,
                                deviations, INFINITY, estimate_.data(), near_);
        return estimate_.data();
    }

    // See codec::CodecQuery.
    Bounds bounds(double distance, double norm2, double error) const
    {
        return own_->bounds(distance, norm2, error);
    }
    Bounds likely_bounds(double distance, double norm2, double error) const
    {
        return own_->likely_bounds(distance, norm2, error);
    }
    Bounds fine_bounds(const Code& c) const { return own_->fine_bounds(c); }

  private:
    Owned<codec::CodecQuery> own_;
    Owned<codec::SketchQuery> sketches_;   // null without sketches
    const Encoding& encoding_;
    float flat_distance_ = 0;   // to the flat centre
    Vec<float> estimate_;
    uint64_t near_[(max_degree + 63) / 64];
};

// Makes the links of one node: ids, and sketches of the neighbours relative to the node. If the
// encoding has no sketches, there is nothing to encode.
class LinkEncoder {
  public:
    explicit LinkEncoder(const Encoding& encoding)
        : sketches_(encoding.sketches() ? encoding.sketches()->encoder() : nullptr)
    {
    }

    void set_centre(const Code& c)
    {
        if (sketches_)
            sketches_->set_centre(c);
    }
    // Encodes neighbour `x`; put() writes it. sketch() is valid until the next call.
    void encode(const Code& x)
    {
        filter_ = x.filter;
        if (sketches_)
            sketches_->encode(x);
    }
    codec::Sketch sketch() const
    {
        codec::Sketch sketch = sketches_ ? sketches_->sketch() : codec::Sketch{};
        sketch.filter = filter_;
        return sketch;
    }
    const codec::SketchEncoder& sketches() const { return *sketches_; }

    // Makes the node that was encoded last, node `id`, neighbour i of the centre's slot.
    void put(SlotId id, const MutableSlot& slot, uint32_t i) const
    {
        put_neighbour(id, sketch(), slot, i);
    }

  private:
    Owned<codec::SketchEncoder> sketches_;
    FilterCode filter_ = 0;   // of what was encoded last
};

}   // namespace quiver::graph
