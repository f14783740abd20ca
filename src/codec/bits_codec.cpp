// The codec of bit strings. A code is the bit string itself.
#include "codec/bits_codec.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

namespace {

class BitsCodec final : public Codec {
  public:
    explicit BitsCodec(const CodecSpec& spec) : Codec(spec, traits_for(spec)) {}

    static bool fits(const CodecSpec& spec)
    {
        const Geometry geometry = traits_of(spec.metric).geometry;
        return spec.form == Form::bits && spec.bits == 8 &&
               (geometry == Geometry::hamming || geometry == Geometry::jaccard);
    }
    static CodecTraits traits_for(const CodecSpec& spec)
    {
        const uint32_t bits = round_up(spec.dims, 64);
        return {.padded = bits, .code_bytes = bits / 8};
    }

    Code encode(const Value& x, Vec<uint8_t>& buffer) const override
    {
        buffer.assign(x.bits, x.bits + traits.code_bytes);
        Code code{{}, buffer.data(), traits.code_bytes};
        code.params.norm2 =
            static_cast<float>(simd::kernels().bits.popcount(x.bits, traits.code_bytes));
        return code;
    }
    Value decode(const Code& code, Vec<float>&) const override { return {.bits = code.bytes}; }
    float distance(const Code& x, const Code& y) const override
    {
        return bits_distance(metric.geometry, x.bytes, y.bytes, traits.code_bytes);
    }
    Owned<CodecQuery> query() const override;
};

class BitsQuery final : public CodecQuery {
  public:
    explicit BitsQuery(const BitsCodec& codec)
        : CodecQuery(codec.metric, codec.traits), codec_(codec)
    {
    }

    void set(const Value& x) override
    {
        norm2_ = codec_.encode(x, bits_).params.norm2;
        value_.bits = bits_.data();
    }
    float distance(const Code& code) const override
    {
        return bits_distance(codec_.metric.geometry, bits_.data(), code.bytes,
                             codec_.traits.code_bytes);
    }

  private:
    const BitsCodec& codec_;
    Vec<uint8_t> bits_;
};

Owned<CodecQuery> BitsCodec::query() const { return make_owned<BitsQuery>(*this); }

}   // namespace

extern constinit const CodecEntry bits_codec = entry_of<BitsCodec>("bits");

}   // namespace quiver::codec
