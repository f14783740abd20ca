// The codec that stores rotated vectors unchanged, as floats.
#include "codec/dense_codec.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

namespace {

const float* floats(const Code& code) { return reinterpret_cast<const float*>(code.bytes); }

class FullCodec final : public RotatedCodec {
  public:
    explicit FullCodec(const CodecSpec& spec) : RotatedCodec(spec, traits_for(spec)) {}

    static bool fits(const CodecSpec& spec) { return fits_rotated(spec) && spec.bits == 32; }
    static CodecTraits traits_for(const CodecSpec& spec)
    {
        return {.padded = padded(spec),
                .code_bytes = padded(spec) * 4,
                .rotated = true,
                .order = CodecTraits::Order::precise};
    }

    Code encode(const Value& x, Vec<uint8_t>& buffer) const override
    {
        buffer.resize(traits.code_bytes);
        std::memcpy(buffer.data(), x.dense, traits.code_bytes);
        Code code{{}, buffer.data(), traits.code_bytes};
        code.params.norm2 = static_cast<float>(simd::kernels().norm2_f32(x.dense, traits.padded));
        return code;
    }
    Value decode(const Code& code, Vec<float>& scratch) const override
    {
        scratch.assign(floats(code), floats(code) + traits.padded);
        return {.dense = scratch.data()};
    }
    float distance(const Code& x, const Code& y) const override
    {
        return between(floats(x), floats(y));
    }
    float between(const float* x, const float* y) const
    {
        return metric.geometry == Geometry::inner_product
                   ? -simd::kernels().f32.ip(x, y, traits.padded)
                   : simd::kernels().f32.l2sq(x, y, traits.padded);
    }
    Owned<CodecQuery> query() const override;
};

class FullQuery final : public RotatedQuery {
  public:
    explicit FullQuery(const FullCodec& codec) : RotatedQuery(codec), full_(codec) {}

    float distance(const Code& code) const override
    {
        return full_.between(dense_.data(), floats(code));
    }

  private:
    const FullCodec& full_;
};

Owned<CodecQuery> FullCodec::query() const { return make_owned<FullQuery>(*this); }

}   // namespace

extern constinit const CodecEntry full_codec = entry_of<FullCodec>("full");

}   // namespace quiver::codec
