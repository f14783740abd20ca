// The codec of 8 bits per coordinate of a rotated vector. A query has 16 bits per coordinate, so
// that distances are sums of integers.
#pragma once

#include "codec/dense_codec.hpp"
#include "codec/scalar.hpp"

namespace quiver::codec {

class ScalarCodec : public RotatedCodec {
  public:
    explicit ScalarCodec(const CodecSpec& spec) : RotatedCodec(spec, traits_for(spec)) {}

    static bool fits(const CodecSpec& spec) { return fits_rotated(spec) && spec.bits == 8; }
    static CodecTraits traits_for(const CodecSpec& spec)
    {
        return {.padded = padded(spec),
                .code_bytes = padded(spec),
                .rotated = true,
                .begins_with_scalar = true};
    }

    Code encode(const Value& x, Vec<uint8_t>& buffer) const override
    {
        buffer.resize(traits.code_bytes);
        return {scalar_encode(x.dense, traits.padded, buffer.data()), buffer.data(),
                traits.code_bytes};
    }
    Value decode(const Code& code, Vec<float>& scratch) const override
    {
        scratch.resize(traits.padded);
        scalar_decode(code.params, code.bytes, traits.padded, scratch.data());
        return {.dense = scratch.data()};
    }
    float distance(const Code& x, const Code& y) const override
    {
        return distance_of(scalar_ip(x.params, x.bytes, y.params, y.bytes, traits.padded),
                           x.params.norm2, y.params.norm2);
    }
    Owned<CodecQuery> query() const override;

  protected:
    ScalarCodec(const CodecSpec& spec, const CodecTraits& traits) : RotatedCodec(spec, traits) {}
};

class ScalarCodecQuery : public RotatedQuery {
  public:
    explicit ScalarCodecQuery(const ScalarCodec& codec) : RotatedQuery(codec) {}

    void set(const Value& x) override
    {
        RotatedQuery::set(x);
        scalar_.set(x.dense, dense_.size(), norm2_);
        query_error_ = scalar_.error();
    }
    float distance(const Code& code) const final
    {
        return distance_of(scalar_.ip(code.params, code.bytes), code);
    }

  protected:
    ScalarQuery scalar_;
};

}   // namespace quiver::codec
