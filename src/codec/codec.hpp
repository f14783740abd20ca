// A codec is a way to store vectors. It makes codes of vectors, and computes distances from codes.
// Each codec is one class in one file; codecs.cpp has the table of all codecs. The codec of an
// index is chosen when the index is built.
//
// The Makefile compiles this file once for all files of the rooms codec and graph. So it has a guard,
// as pg/pg.hpp has.
#ifndef QUIVER_CODEC_CODEC_HPP
#define QUIVER_CODEC_CODEC_HPP

#include "codec/bounds.hpp"
#include "core/half.hpp"
#include "core/memory.hpp"

namespace quiver::codec {

// What an index stores about its codec. The numbers are stored on disk.
struct CodecSpec {
    Form form;
    Metric metric;
    uint32_t dims;   // of the user's vectors
    uint32_t bits;   // per dimension of a dense vector; other codecs have 8
};

// The properties of a codec, which follow from its CodecSpec.
struct CodecTraits {
    uint32_t padded;   // coordinates (or bits) of a code
    // Of a code; if codes vary in length, only of the part in the node's own slot. A multiple of 8:
    // 64-bit words follow it in the slot.
    uint32_t code_bytes;
    bool rotated = false;   // vectors must be rotated (codec/rotation.hpp)
    bool varies_in_length = false;
    // How well the bounds order rows that are not read from the table.
    enum class Order : uint8_t {
        by_chance,   // bounds are likely, not certain: distances are computed from the table's rows
        rough,       // the bounds of most rows overlap with those of other rows
        precise,     // the bounds of most rows determine their place
    } order = Order::rough;
    bool has_fine_code = false;        // codes have a second part, which gives much tighter bounds
    bool begins_with_scalar = false;   // the first part of a code is a scalar code (scalar.hpp)
    uint32_t parameters = 0;           // numbers that an index stores for a codec that is trained
};

// A query, prepared once for comparisons with many codes.
class CodecQuery {
  public:
    CodecQuery(const MetricTraits& metric, const CodecTraits& traits)
        : metric_(metric), padded_(traits.padded)
    {
    }
    virtual ~CodecQuery() = default;
    // The vector is copied.
    virtual void set(const Value& x) = 0;
    // The distance to the vector that the code stands for, as defined by the Geometry.
    virtual float distance(const Code& code) const = 0;
    // Bounds of the distance to the vector itself. They follow from the result of distance() and
    // the CodeParams of the code.
    Bounds bounds(double distance, double norm2, double error) const
    {
        return certain_bounds(metric_, measured(distance, norm2, error, query_error_));
    }
    // Tighter bounds that hold with high probability, for codecs whose certain bounds are too wide
    // to be useful.
    virtual Bounds likely_bounds(double distance, double norm2, double error) const
    {
        return bounds(distance, norm2, error);
    }
    // Bounds computed with the fine part of a code.
    virtual Bounds fine_bounds(const Code&) const { return no_bounds; }
    // The prepared query.
    const Value& value() const { return value_; }
    float norm2() const { return norm2_; }   // as CodeParams::norm2

  protected:
    Measured measured(double distance, double norm2, double error, double query_error) const
    {
        return {distance, norm2_, norm2, error, query_error, padded_};
    }

    const MetricTraits& metric_;
    const uint32_t padded_;
    Value value_{};
    float norm2_ = 0;
    double query_error_ = 0;   // of distance(): Measured::query_error
};

class Codec;

// A code, prepared once for comparisons with many codes.
class CodeComparer {
  public:
    explicit CodeComparer(const Codec& codec) : codec_(codec) {}
    virtual ~CodeComparer() = default;
    // The bytes of the code may be used until the next call.
    virtual void set(const Code& x) { code_ = x; }
    // Codec::distance() of the two codes.
    virtual float distance(const Code& y) const;

  protected:
    const Codec& codec_;

  private:
    Code code_{};
};

// Learns a codec's parameters from vectors.
class Training {
  public:
    virtual ~Training() = default;
    virtual void add(const Value& x) = 0;
    virtual bool has_enough() const = 0;
    // Computes the parameters, Codec::parameter_count() numbers. This works without any vector,
    // too. poll() is called often and may throw (or longjmp).
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

    // Returns the code of a vector, whose bytes are in `buffer`.
    virtual Code encode(const Value& x, Vec<uint8_t>& buffer) const = 0;
    // Returns the vector that a code stands for; `scratch` holds decoded numbers.
    virtual Value decode(const Code& code, Vec<float>& scratch) const = 0;
    // The distance between the vectors that two codes stand for, as defined by the Geometry.
    virtual float distance(const Code& x, const Code& y) const = 0;
    // Do the two codes stand for the same vector?
    virtual bool same(const Code& x, const Code& y) const;
    // Can this be the code of this vector? Rounding may differ between the CPU that made the code
    // and this one.
    virtual bool holds(const Code& code, const Value& x) const;
    virtual Owned<CodecQuery> query() const = 0;
    virtual Owned<CodeComparer> comparer() const { return make_owned<CodeComparer>(*this); }

    // ---- codecs that are trained ----

    size_t parameter_count() const { return traits.parameters; }
    virtual void set_parameters(const half*) {}
    // Null if there is nothing to learn.
    virtual Owned<Training> training() const { return nullptr; }
    // Changes a rotated vector in place to what encode() and CodecQuery::set() take.
    virtual void prepare(float*) const {}
};

inline float CodeComparer::distance(const Code& y) const { return codec_.distance(code_, y); }

// A row of the table of codecs.
struct CodecEntry {
    const char* name;
    bool (*fits)(const CodecSpec&);
    CodecTraits (*traits)(const CodecSpec&);
    Owned<Codec> (*make)(const CodecSpec&);
};

// The row of a codec T, which must have static functions fits(spec) and traits_for(spec).
template <class T>
constexpr CodecEntry entry_of(const char* name)
{
    return {name, T::fits, T::traits_for,
            [](const CodecSpec& spec) -> Owned<Codec> { return make_owned<T>(spec); }};
}

// Null if no codec fits.
const CodecEntry* find_codec(const CodecSpec& spec);
// A codec must fit the spec.
CodecTraits codec_traits(const CodecSpec& spec);
Owned<Codec> make_codec(const CodecSpec& spec);

}   // namespace quiver::codec

#endif
