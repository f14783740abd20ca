// Sketches: what a node keeps of each of its neighbours, so that the distances of a query to all of them can be estimated
// without reading them. A sketch is relative to the node, its centre: a few bits and two factors.
#pragma once

#include "codec/codec.hpp"

namespace quiver::codec {

// Numbers of a sketch.
struct SketchFactors {
    float a, b;
};

struct Sketch {
    SketchFactors factors{};
    const uint64_t* bits = nullptr;
};

// What an index stores of its sketches.
struct SketchShape {
    uint32_t words = 0;     // of 64 bits
    uint32_t factors = 0;   // 1: a; 2: a and b
};

// The sketches of a node's neighbours: word w of neighbour i is bits[w * stride + i].
struct SketchBlock {
    const uint64_t* bits;
    const float* a;
    const float* b;
    uint32_t stride;   // a multiple of 4
    uint32_t count;
};

// A query that distances are estimated for.
class SketchQuery {
  public:
    virtual ~SketchQuery() = default;
    virtual void set(const CodecQuery& query) = 0;
    // Distances to the neighbours of a node, as the geometry says, to `estimate`, which has room for 8 more than the stride.
    // Bit i % 64 of near[i / 64] is set for those of at most `limit`. distance: of the query to the node; norm2:
    // CodeParams of the node.
    virtual void estimate(const SketchBlock& neighbours, float distance, float norm2, float limit,
                          float* estimate, uint64_t* near) = 0;
};

// Makes the sketches of one node's neighbours.
class SketchEncoder {
  public:
    explicit SketchEncoder(uint32_t words) : bits_(words) {}
    virtual ~SketchEncoder() = default;
    virtual void set_centre(const Code& code) = 0;
    virtual void encode(const Code& code) = 0;
    // Of what was encoded last; good until the next call.
    Sketch sketch() const { return {factors_, bits_.data()}; }

  protected:
    Vec<uint64_t> bits_;
    SketchFactors factors_{};
};

// Distances among a node's neighbours and one more, the newcomer, as far as their sketches tell.
class SketchedSet {
  public:
    virtual ~SketchedSet() = default;
    // The newcomer is what `encoder` has encoded last, relative to the same centre. It is number block.count.
    virtual void set(const SketchBlock& block, const Code& centre,
                     const SketchEncoder& encoder) = 0;
    float distance(uint32_t i) const { return distance_[i]; }   // to the centre
    virtual bool equals_centre(uint32_t i) const = 0;
    virtual float pair(uint32_t i, uint32_t j) const = 0;

  protected:
    explicit SketchedSet(uint32_t words) : words_(words) {}
    // The sketches one after the other.
    void gather(const SketchBlock& block, const SketchEncoder& newcomer);
    const uint8_t* bits_of(uint32_t i) const
    {
        return reinterpret_cast<const uint8_t*>(&rows_[size_t{i} * words_]);
    }

    uint32_t words_;
    Vec<float> distance_;

  private:
    Vec<uint64_t> rows_;
};

// One way to make sketches.
class Sketches {
  public:
    virtual ~Sketches() = default;
    virtual SketchShape shape() const = 0;
    virtual Owned<SketchQuery> query() const = 0;
    virtual Owned<SketchEncoder> encoder() const = 0;
    virtual Owned<SketchedSet> set() const = 0;
    // Is that what the sketch would be, but for rounding? slack: what factors may differ by.
    virtual bool holds(const Sketch& stored, const Sketch& made, float slack) const = 0;
};

// fold: coordinates that a bit stands for; 0: no sketches. Codecs that need other vectors than sketches do have none.
SketchShape sketch_shape(const CodecSpec& spec, uint32_t fold);
// Null if there are none.
Owned<Sketches> make_sketches(const Codec& codec, uint32_t fold);

}   // namespace quiver::codec
