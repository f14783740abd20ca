// The codec for the taxicab distance: 8 bits per coordinate. The vectors are not rotated, because a
// rotation would change their taxicab distances.
#include "codec/dense_codec.hpp"
#include "codec/scalar.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

namespace {

// The sum of |x_i - y'_i|. y' is decoded piece by piece.
constexpr uint32_t piece = 256;
float distance_to(const float* x, const CodeParams& params, const uint8_t* y, uint32_t n)
{
    float decoded[piece], sum = 0;
    for (uint32_t i = 0; i < n; i += piece) {
        const uint32_t k = std::min(piece, n - i);
        scalar_decode(params, y + i, k, decoded);
        sum += simd::kernels().f32.l1(x + i, decoded, k);
    }
    return sum;
}

class TaxicabCodec final : public DenseCodec {
  public:
    explicit TaxicabCodec(const CodecSpec& spec) : DenseCodec(spec, traits_for(spec)) {}

    static bool fits(const CodecSpec& spec)
    {
        return spec.form == Form::dense && spec.bits == 8 &&
               traits_of(spec.metric).geometry == Geometry::taxicab;
    }
    static CodecTraits traits_for(const CodecSpec& spec)
    {
        const uint32_t n = round_up(spec.dims, 8);
        return {.padded = n, .code_bytes = n};
    }

    Code encode(const Value& x, Vec<uint8_t>& buffer) const override
    {
        buffer.resize(traits.code_bytes);
        Code code{scalar_encode(x.dense, traits.padded, buffer.data()), buffer.data(),
                  traits.code_bytes};
        double norm = 0, error = 0;
        for (uint32_t i = 0; i < traits.padded; i++) {
            const float decoded =
                code.params.offset + code.params.scale * static_cast<float>(buffer[i]);
            norm += std::fabs(decoded);
            error += std::fabs(static_cast<double>(x.dense[i]) - decoded);
        }
        code.params.norm2 = static_cast<float>(norm);
        code.params.error = std::nextafter(static_cast<float>(error), INFINITY);
        return code;
    }
    Value decode(const Code& code, Vec<float>& scratch) const override
    {
        scratch.resize(traits.padded);
        scalar_decode(code.params, code.bytes, traits.padded, scratch.data());
        return {.dense = scratch.data()};
    }
    float distance(const Code& x, const Code& y) const override
    {
        float decoded[piece], sum = 0;
        for (uint32_t i = 0; i < traits.padded; i += piece) {
            const uint32_t k = std::min(piece, traits.padded - i);
            scalar_decode(x.params, x.bytes + i, k, decoded);
            sum += distance_to(decoded, y.params, y.bytes + i, k);
        }
        return sum;
    }
    Owned<CodecQuery> query() const override;
};

class TaxicabQuery final : public CodecQuery {
  public:
    explicit TaxicabQuery(const TaxicabCodec& codec)
        : CodecQuery(codec.metric, codec.traits), codec_(codec)
    {
    }

    void set(const Value& x) override
    {
        dense_.assign(x.dense, x.dense + codec_.traits.padded);
        value_.dense = dense_.data();
        zero_.resize(dense_.size());
        norm2_ = simd::kernels().f32.l1(dense_.data(), zero_.data(), dense_.size());
    }
    float distance(const Code& code) const override
    {
        return distance_to(dense_.data(), code.params, code.bytes, codec_.traits.padded);
    }

  private:
    const TaxicabCodec& codec_;
    Vec<float> dense_, zero_;
};

Owned<CodecQuery> TaxicabCodec::query() const { return make_owned<TaxicabQuery>(*this); }

}   // namespace

extern constinit const CodecEntry taxicab_codec = entry_of<TaxicabCodec>("taxicab");

}   // namespace quiver::codec
