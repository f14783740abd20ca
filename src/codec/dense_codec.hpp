// Base classes of the codecs of dense vectors.
#pragma once

#include <cmath>
#include <cstring>

#include "codec/codec.hpp"

namespace quiver::codec {

class DenseCodec : public Codec {
  public:
    using Codec::Codec;

    bool same(const Code& x, const Code& y) const override
    {
        return Codec::same(x, y) && x.params.offset == y.params.offset &&
               x.params.scale == y.params.scale;
    }
    bool holds(const Code& code, const Value& x) const override
    {
        return is_within_error(code, x.dense, nullptr);
    }

  protected:
    // Is |x - x'| at most the error that the code states, apart from the rounding of x or of
    // x + centre? `centre` may be null.
    bool is_within_error(const Code& code, const float* x, const float* centre) const
    {
        // If its numbers overflow, the code makes no statement about x.
        if (!std::isfinite(code.params.error) || !std::isfinite(code.params.norm2))
            return true;
        Vec<float> scratch;
        const float* decoded = decode(code, scratch).dense;
        double error = 0;
        for (uint32_t i = 0; i < traits.padded; i++)
            error += power(static_cast<double>(x[i]) - decoded[i]);
        return root(error) <= code.params.error + rounding_of(x, centre);
    }
    double rounding_of(const float* x, const float* centre) const
    {
        double norm = 0;
        for (uint32_t i = 0; i < traits.padded; i++)
            norm += power(std::max(std::fabs(x[i]), centre ? std::fabs(x[i] + centre[i]) : 0.0f));
        return 1e-6 * root(norm);
    }

  private:
    bool is_taxicab() const { return metric.geometry == Geometry::taxicab; }
    double power(double x) const { return is_taxicab() ? std::fabs(x) : x * x; }
    double root(double sum) const { return is_taxicab() ? sum : std::sqrt(sum); }
};

// The base of codecs of rotated vectors. They compute distances from inner products and lengths.
class RotatedCodec : public DenseCodec {
  public:
    using DenseCodec::DenseCodec;

    static bool fits_rotated(const CodecSpec& spec)
    {
        const Geometry geometry = traits_of(spec.metric).geometry;
        return spec.form == Form::dense &&
               (geometry == Geometry::euclidean || geometry == Geometry::inner_product);
    }
    static uint32_t padded(const CodecSpec& spec) { return round_up(spec.dims, 64); }

    // The distance between x' and y', from their inner product and their squared lengths.
    float distance_of(float ip, float x2, float y2) const
    {
        return metric.geometry == Geometry::inner_product ? -ip : x2 + y2 - 2 * ip;
    }
};

class RotatedQuery : public CodecQuery {
  public:
    explicit RotatedQuery(const RotatedCodec& codec)
        : CodecQuery(codec.metric, codec.traits), codec_(codec)
    {
    }

    void set(const Value& x) override
    {
        dense_.assign(x.dense, x.dense + padded_);
        value_.dense = dense_.data();
        norm2_ = static_cast<float>(simd::kernels().norm2_f32(x.dense, dense_.size()));
    }

  protected:
    float distance_of(float ip, const Code& code) const
    {
        return codec_.distance_of(ip, norm2_, code.params.norm2);
    }

    const RotatedCodec& codec_;
    Vec<float> dense_;
};

}   // namespace quiver::codec
