// The codec of 12 or 16 bits per coordinate. A code has three parts: a code of 8 bits per
// coordinate, FineParams, and the other bits. Searches read the first part only.
#include "codec/fine.hpp"
#include "codec/scalar_codec.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

namespace {

// The second part of a code.
struct FinePart {
    FineParams params;
    const uint8_t* bytes;
};

class FineCodec final : public ScalarCodec {
  public:
    explicit FineCodec(const CodecSpec& spec) : ScalarCodec(spec, traits_for(spec)) {}

    static bool fits(const CodecSpec& spec)
    {
        return fits_rotated(spec) && (spec.bits == 12 || spec.bits == 16);
    }
    static CodecTraits traits_for(const CodecSpec& spec)
    {
        const uint32_t n = padded(spec), bytes = n + static_cast<uint32_t>(sizeof(FineParams)) +
                                                 n * (spec.bits - 8) / 8;
        return {.padded = n,
                .code_bytes = bytes,
                .rotated = true,
                .order = CodecTraits::Order::precise,
                .has_fine_code = true,
                .begins_with_scalar = true};
    }
    uint32_t more_bits() const { return spec.bits - 8; }

    FinePart fine_part(const Code& code) const
    {
        FinePart part;
        const uint8_t* at = code.bytes + traits.padded;
        std::memcpy(&part.params, at, sizeof part.params);
        part.bytes = at + sizeof part.params;
        return part;
    }

    Code encode(const Value& x, Vec<uint8_t>& buffer) const override
    {
        const Code code = ScalarCodec::encode(x, buffer);
        uint8_t* after = buffer.data() + traits.padded;
        const FineParams params = scalar_refine(x.dense, traits.padded, code.params, code.bytes,
                                                more_bits(), after + sizeof(FineParams));
        std::memcpy(after, &params, sizeof params);
        return code;
    }
    bool holds(const Code& code, const Value& x) const override
    {
        if (!ScalarCodec::holds(code, x))
            return false;
        if (!std::isfinite(code.params.error) || !std::isfinite(code.params.norm2))
            return true;
        const FinePart fine = fine_part(code);
        double error2 = 0;
        for (uint32_t i = 0; i < traits.padded; i++) {
            const double decoded = scalar_fine_decode(
                code.params, code.bytes[i],
                scalar_fine_at(fine.bytes, traits.padded, more_bits(), i), more_bits());
            error2 += (x.dense[i] - decoded) * (x.dense[i] - decoded);
        }
        return std::sqrt(error2) <= fine.params.error + rounding_of(x.dense, nullptr);
    }
    Owned<CodecQuery> query() const override;
};

class FineQuery final : public ScalarCodecQuery {
  public:
    explicit FineQuery(const FineCodec& codec) : ScalarCodecQuery(codec), fine_codec_(codec) {}

    Bounds fine_bounds(const Code& code) const override
    {
        const FinePart fine = fine_codec_.fine_part(code);
        const double ip = scalar_fine_ip(dense_.data(), scalar_.sum(), code.params, code.bytes,
                                         fine.bytes, fine_codec_.more_bits(), dense_.size());
        const double distance = codec_.metric.geometry == Geometry::inner_product
                                    ? -ip
                                    : static_cast<double>(norm2_) + fine.params.norm2 - 2 * ip;
        return certain_bounds(codec_.metric,
                              measured(distance, fine.params.norm2, fine.params.error, 0));
    }

  private:
    const FineCodec& fine_codec_;
};

Owned<CodecQuery> FineCodec::query() const { return make_owned<FineQuery>(*this); }

}   // namespace

extern constinit const CodecEntry fine_codec = entry_of<FineCodec>("fine");

}   // namespace quiver::codec
