// Sketches. A node stores a sketch of each of its neighbours, so that the distances of a query to
// all of them can be estimated without reading them. A sketch has a few bits and two factors. It is
// relative to the node, which is called its centre.
#pragma once

#include <cmath>
#include <limits>

#include "codec/codec.hpp"

namespace quiver::codec {

// The factors of a sketch.
struct SketchFactors {
    float a, b;
};

// The factors as lists and flat pages store them. Factors that overflow tell nothing: the vector may be near to any
// query.
inline SketchFactors stored_factors(SketchFactors f)
{
    if (std::isfinite(f.a) && std::isfinite(f.b))
        return f;
    return {-std::numeric_limits<float>::infinity(), 0};
}

struct Sketch {
    SketchFactors factors{};
    const uint64_t* bits = nullptr;
    FilterCode filter = 0;   // of the neighbour
};

// What an index stores about its sketches.
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

// A query, prepared for the estimates of many distances.
class SketchQuery {
  public:
    virtual ~SketchQuery() = default;
    virtual void set(const CodecQuery& query) = 0;
    // Writes the estimated distances to the neighbours of a node, as defined by the Geometry, to
    // `estimate`, which must have room for 8 more floats than the stride. Sets bit i % 64 of
    // near[i / 64] if estimate i is at most `limit`. `distance` is the distance of the query to the
    // node, and `norm2` is from the CodeParams of the node.
    virtual void estimate(const SketchBlock& neighbours, float distance, float norm2, float limit,
                          float* estimate, uint64_t* near) = 0;
    // The same with lower bounds of the distances instead of estimates. Bounds are likely, not certain: an
    // estimate is `deviations` standard deviations above its bound.
    virtual void lower_bounds(const SketchBlock& neighbours, float distance, float norm2,
                              float deviations, float limit, float* bound, uint64_t* near) = 0;
};

// Makes the sketches of one node's neighbours.
class SketchEncoder {
  public:
    explicit SketchEncoder(uint32_t words) : bits_(words) {}
    virtual ~SketchEncoder() = default;
    virtual void set_centre(const Code& code) = 0;
    virtual void encode(const Code& code) = 0;
    // The sketch of what was encoded last. It is valid until the next call of encode().
    Sketch sketch() const { return {factors_, bits_.data()}; }

  protected:
    Vec<uint64_t> bits_;
    SketchFactors factors_{};
};

// Distances among the neighbours of a node and one more vector, the newcomer, as estimated from
// their sketches.
class SketchedSet {
  public:
    virtual ~SketchedSet() = default;
    // The newcomer is what `encoder` has encoded last, relative to the same centre. Its number is
    // block.count.
    virtual void set(const SketchBlock& block, const Code& centre,
                     const SketchEncoder& encoder) = 0;
    float distance(uint32_t i) const { return distance_[i]; }   // to the centre
    virtual bool equals_centre(uint32_t i) const = 0;
    virtual float pair(uint32_t i, uint32_t j) const = 0;

  protected:
    explicit SketchedSet(uint32_t words) : words_(words) {}
    // Copies the sketches, so that the words of each are adjacent.
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
    explicit Sketches(const SketchShape& shape) : shape_(shape) {}
    virtual ~Sketches() = default;
    const SketchShape& shape() const { return shape_; }
    virtual Owned<SketchQuery> query() const = 0;
    virtual Owned<SketchEncoder> encoder() const = 0;
    virtual Owned<SketchedSet> set() const = 0;
    // Are the two sketches the same, apart from rounding? `slack` is how much factor a may differ.
    virtual bool holds(const Sketch& stored, const Sketch& made, float slack) const = 0;

  private:
    SketchShape shape_;
};

// `fold` is the number of coordinates per bit; 0 means no sketches. A codec whose vectors are
// neither rotated nor bit strings has no sketches.
SketchShape sketch_shape(const CodecSpec& spec, uint32_t fold);
// Null if there are none.
Owned<Sketches> make_sketches(const Codec& codec, uint32_t fold);

}   // namespace quiver::codec
