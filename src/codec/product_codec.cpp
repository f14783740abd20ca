// The codec of 1, 2 or 4 bits per coordinate: product quantization with one codebook for all
// subvectors. If the distance does not change when all vectors are moved, the codec subtracts the
// centre, which is the mean of the training vectors, from all vectors. That makes them shorter, and
// their codes more exact.
#include "codec/dense_codec.hpp"
#include "codec/shared_product.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

namespace {

class ProductCodec final : public RotatedCodec {
  public:
    explicit ProductCodec(const CodecSpec& spec) : RotatedCodec(spec, traits_for(spec)) {}

    static bool fits(const CodecSpec& spec)
    {
        return fits_rotated(spec) && (spec.bits == 1 || spec.bits == 2 || spec.bits == 4);
    }
    static CodecTraits traits_for(const CodecSpec& spec)
    {
        return {.padded = padded(spec),
                .code_bytes = padded(spec) * spec.bits / 8,
                .rotated = true,
                .order = CodecTraits::Order::by_chance,
                .parameters = codebook_count(spec) + (has_centre(spec) ? padded(spec) : 0)};
    }

    Code encode(const Value& x, Vec<uint8_t>& buffer) const override
    {
        buffer.resize(traits.code_bytes);
        return {codebook_.encode(x.dense, traits.padded, buffer.data()), buffer.data(),
                traits.code_bytes};
    }
    Value decode(const Code& code, Vec<float>& scratch) const override
    {
        scratch.resize(traits.padded);
        codebook_.decode(code.params, code.bytes, traits.padded, scratch.data());
        return {.dense = scratch.data()};
    }
    float distance(const Code& x, const Code& y) const override
    {
        return distance_of(codebook_.ip(x.params, x.bytes, y.params, y.bytes, traits.padded),
                           x.params.norm2, y.params.norm2);
    }
    bool holds(const Code& code, const Value& x) const override
    {
        return is_within_error(code, x.dense, centre_.empty() ? nullptr : centre_.data());
    }
    Owned<CodecQuery> query() const override;

    // The codebook, then the centre.
    void set_parameters(const half* parameters) override
    {
        codebook_.set(parameters, subvector(), traits.padded);
        if (!has_centre())
            return;
        centre_.resize(traits.padded);
        simd::kernels().to_f32(parameters + codebook_count(), centre_.data(), traits.padded);
    }
    Owned<Training> training() const override;
    void prepare(float* x) const override
    {
        for (size_t i = 0; i < centre_.size(); i++)
            x[i] -= centre_[i];
    }

    uint32_t subvector() const { return subvector(spec); }
    size_t codebook_count() const { return codebook_count(spec); }
    bool has_centre() const { return has_centre(spec); }
    const SharedCodebook& codebook() const { return codebook_; }

  private:
    static uint32_t subvector(const CodecSpec& spec) { return 8 / spec.bits; }   // dims per byte
    static uint32_t codebook_count(const CodecSpec& spec)
    {
        return static_cast<uint32_t>(SharedCodebook::floats_of(subvector(spec)));
    }
    static bool has_centre(const CodecSpec& spec)
    {
        return traits_of(spec.metric).geometry == Geometry::euclidean;
    }

    mutable SharedCodebook codebook_;   // encode() uses its buffers
    Vec<float> centre_;
};

class ProductQuery final : public RotatedQuery {
  public:
    explicit ProductQuery(const ProductCodec& codec) : RotatedQuery(codec), product_(codec) {}

    void set(const Value& x) override
    {
        RotatedQuery::set(x);
        shared_.set(product_.codebook(), dense_.data(), dense_.size());
    }
    float distance(const Code& code) const override
    {
        return distance_of(shared_.ip(code.params, code.bytes), code);
    }
    Bounds likely_bounds(double distance, double norm2, double error) const override
    {
        return codec::likely_bounds(metric_, measured(distance, norm2, error, 0));
    }

  private:
    const ProductCodec& product_;
    SharedQuery shared_;
};

class ProductTraining final : public Training {
  public:
    explicit ProductTraining(const ProductCodec& codec) : codec_(codec), trainer_(codec.subvector())
    {
    }
    void add(const Value& x) override { trainer_.add(x.dense, codec_.traits.padded); }
    bool has_enough() const override { return trainer_.full(); }
    void finish(uint64_t seed, half* parameters, void (*poll)()) override
    {
        if (codec_.has_centre())
            trainer_.centre(parameters + codec_.codebook_count(), codec_.traits.padded);
        trainer_.train(seed, parameters, poll);
    }

  private:
    const ProductCodec& codec_;
    SharedTrainer trainer_;
};

Owned<CodecQuery> ProductCodec::query() const { return make_owned<ProductQuery>(*this); }
Owned<Training> ProductCodec::training() const { return make_owned<ProductTraining>(*this); }

}   // namespace

extern constinit const CodecEntry product_codec = entry_of<ProductCodec>("product");

}   // namespace quiver::codec
