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
          sketches_(encoding.sketches() ? encoding.sketches()->query() : nullptr)
    {
        if (sketches_)
            estimate_.resize(encoding.layout().degree + 8);
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
