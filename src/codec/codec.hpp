// A codec is one way to keep vectors: it makes codes, and computes distances from them. Each is one type in one file;
// codecs.cpp has the table of all. An index chooses one when it is built.
#pragma once

#include "codec/bounds.hpp"
#include "core/half.hpp"
#include "core/memory.hpp"

namespace quiver::codec {

// What an index stores of its codec. The numbers are on disk.
struct CodecSpec {
    Form form;
    Metric metric;
    uint32_t dims;   // of the user's vectors
    uint32_t bits;   // of a coordinate of a dense vector; other codecs have 8
};

// What follows from that.
struct CodecTraits {
    uint32_t padded;   // coordinates (or bits) that a code has
    uint32_t
        code_bytes;   // of a code; if codes vary in length, room for its begin in a node's own slot
    bool rotated = false;   // it wants rotated vectors (codec/rotation.hpp)
    bool varies_in_length = false;
    // How well rows can be put in order without reading them from the table.
    enum class Order : uint8_t {
        by_chance,   // bounds hold but for chance: distances are computed from the table's rows
        rough,       // most rows overlap with others
        precise,     // most rows have their place for certain
    } order = Order::rough;
    bool has_fine_code = false;   // codes have a second part, which gives much tighter bounds
};

// What a query compares with, prepared once.
class CodecQuery {
  public:
    virtual ~CodecQuery() = default;
    // The vector is copied.
    virtual void set(const Value& x) = 0;
    // To what the code stands for, as the geometry says.
    virtual float distance(const Code& code) const = 0;
    // What the distance to the vector itself lies between: from distance(), and CodeParams of the code.
    virtual Bounds bounds(double distance, double norm2, double error) const = 0;
    // Tighter ones that hold but for chance, where certain ones are of no use.
    virtual Bounds likely_bounds(double distance, double norm2, double error) const
    {
        return bounds(distance, norm2, error);
    }
    // From a code's finer part.
    virtual Bounds fine_bounds(const Code&) const { return no_bounds; }
    // The prepared query: dense vectors, bits.
    const Value& value() const { return value_; }
    float norm2() const { return norm2_; }   // as CodeParams::norm2

  protected:
    Value value_{};
    float norm2_ = 0;
};

// Learns a codec's parameters from vectors.
class Training {
  public:
    virtual ~Training() = default;
    virtual void add(const Value& x) = 0;
    virtual bool has_enough() const = 0;
    // The parameters, Codec::parameter_count() numbers. Also without any vector. poll() is called often and may throw
    // (or jump).
    virtual void finish(uint64_t seed, half* parameters, void (*poll)()) = 0;
};

class Codec {
  public:
    Codec(const CodecSpec& spec, const CodecTraits& traits)
        : spec(spec), traits(traits), metric(traits_of(spec.metric))
    {
    }
    virtual ~Codec() = default;
    Codec(const Codec&) = delete;
    Codec& operator=(const Codec&) = delete;

    const CodecSpec spec;
    const CodecTraits traits;
    const MetricTraits& metric;

    // The code of a vector, in `buffer`.
    virtual Code encode(const Value& x, Vec<uint8_t>& buffer) const = 0;
    // The vector that a code stands for; `scratch` holds what is decoded.
    virtual Value decode(const Code& code, Vec<float>& scratch) const = 0;
    // Between what two codes stand for, as the geometry says.
    virtual float distance(const Code& x, const Code& y) const = 0;
    // Do they stand for the same vector?
    virtual bool same(const Code& x, const Code& y) const;
    // Can that be the code of this vector? Rounding may differ between the CPU that made it and this one.
    virtual bool holds(const Code& code, const Value& x) const;
    virtual Owned<CodecQuery> query() const = 0;

    // ---- codecs that are trained ----

    // Numbers that an index keeps for its codec.
    virtual size_t parameter_count() const { return 0; }
    virtual void set_parameters(const half*) {}
    // Null if there is nothing to learn.
    virtual Owned<Training> training() const { return nullptr; }
    // A rotated vector as encode() and queries want it.
    virtual void prepare(float*) const {}
};

// A row of the table of codecs.
struct CodecEntry {
    const char* name;
    bool (*fits)(const CodecSpec&);
    CodecTraits (*traits)(const CodecSpec&);
    Owned<Codec> (*make)(const CodecSpec&);
};

// For a codec T with static functions fits(spec) and traits_for(spec).
template <class T>
constexpr CodecEntry entry_of(const char* name)
{
    return {name, T::fits, T::traits_for,
            [](const CodecSpec& spec) -> Owned<Codec> { return make_owned<T>(spec); }};
}

// Null if no codec fits.
const CodecEntry* find_codec(const CodecSpec& spec);
// The spec must be one that a codec fits.
CodecTraits codec_traits(const CodecSpec& spec);
Owned<Codec> make_codec(const CodecSpec& spec);

}   // namespace quiver::codec
