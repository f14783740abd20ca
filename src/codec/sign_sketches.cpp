#include "codec/sign_sketches.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "codec/folding.hpp"
#include "core/assert.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

namespace {

class Query final : public SketchQuery {
  public:
    explicit Query(const SignSketches& sketches)
        : sketches_(sketches), words_(sketches.shape().words),
          ip_(sketches.codec().metric.geometry == Geometry::inner_product),
          folded_(size_t{words_} * 64)
    {
    }

    void set(const CodecQuery& query) override
    {
        query_ = &query;
        sketches_.fold(query.value().dense, folded_.data());
        binary_.set(folded_.data(), words_);
    }
    void estimate(const SketchBlock& neighbours, float distance, float norm2, float limit,
                  float* estimate, uint64_t* near) override
    {
        score(neighbours, distance, norm2, 0, limit, estimate, near);
    }
    void lower_bounds(const SketchBlock& neighbours, float distance, float norm2, float deviations,
                      float limit, float* bound, uint64_t* near) override
    {
        score(neighbours, distance, norm2, deviations * deviation(distance, norm2), limit, bound,
              near);
    }

  private:
    // The standard deviation of estimates, for a factor b of 1 (RaBitQ, arXiv 2405.12497, section 3.2). Let
    // v = q - c, or the part of it that is orthogonal to c. The error is that of <s, v>, in which only the
    // part of s counts that is orthogonal to r: sqrt(1 - x^2) of it, where x = sum |r_i| / (|r| sqrt(D)) is
    // about sqrt(2 / pi). To this comes the rounding of the query to 4 bits.
    float deviation(float distance, float norm2) const
    {
        const float across = 1 - 2 / std::numbers::pi_v<float>, q2 = query_->norm2(),
                    v2 = !ip_        ? distance
                         : norm2 > 0 ? q2 - distance * distance / norm2
                                     : q2;
        const float step = binary_.factor(),
                    rounding = step * step / 12 * 64 * static_cast<float>(words_);
        return std::sqrt(std::max(0.0f, v2) * across + rounding);
    }
    // Estimates, less `allowance` times the factor b. (b is not above 0.)
    void score(const SketchBlock& neighbours, float distance, float norm2, float allowance,
               float limit, float* estimate, uint64_t* near)
    {
        // The kernel uses the stride as the number of sketches, so all of the block is scored.
        QUIVER_ASSERT(neighbours.stride % 4 == 0);
        score_.resize(neighbours.stride + 8);
        simd::kernels().sketches.score(neighbours.bits, words_, neighbours.stride, binary_.planes(),
                                       score_.data());
        // Inner product: only the part of the query that is orthogonal to the node is estimated, so
        // that the lengths of the query and the node do not matter (src/codec/README.md).
        const float along = !ip_ ? 1.0f : norm2 > 0 ? -distance / norm2 : 0.0f;
        simd::kernels().sketches.estimate(
            score_.data(), neighbours.a, neighbours.b,
            std::min(round_up(neighbours.count, 4), neighbours.stride),
            {distance, along, binary_.offset() + allowance, binary_.factor()}, limit, estimate,
            near);
    }

    const SignSketches& sketches_;
    uint32_t words_;
    bool ip_;
    const CodecQuery* query_ = nullptr;
    Vec<float> folded_;
    BinaryQuery binary_;
    Vec<uint32_t> score_;
};

class Encoder final : public SketchEncoder {
  public:
    explicit Encoder(const SignSketches& sketches)
        : SketchEncoder(sketches.shape().words), sketches_(sketches),
          folded_centre_(bits_.size() * 64), folded_x_(bits_.size() * 64)
    {
    }

    void set_centre(const Code& code) override
    {
        centre_ = sketches_.codec().decode(code, centre_buffer_).dense;
        sketches_.fold(centre_, folded_centre_.data());
        centre2_ = static_cast<float>(simd::kernels().norm2_f32(centre_, padded()));
    }
    void encode(const Code& code) override
    {
        const float* x = sketches_.codec().decode(code, x_buffer_).dense;
        sketches_.fold(x, folded_x_.data());
        float abs_sum, sign_dot;
        simd::kernels().sketches.encode(folded_x_.data(), folded_centre_.data(), bits_.size(),
                                        bits_.data(), &abs_sum, &sign_dot);
        const float n2 = simd::kernels().f32.l2sq(x, centre_, padded());
        const float f = abs_sum > 0 ? n2 / abs_sum : 0.0f;
        if (sketches_.codec().metric.geometry == Geometry::inner_product) {
            // -<q, x> = -<q, c> - <c, r> - <q - c, r>. The last term is estimated.
            centre_dot_ = simd::kernels().f32.ip(x, centre_, padded()) - centre2_;
            factors_ = {f * sign_dot - centre_dot_, -f};
        } else   // |q - x|^2 = |q - c|^2 + |r|^2 - 2 <q - c, r>
            factors_ = {n2 + 2 * f * sign_dot, -2 * f};
    }
    // <c, r> of what was encoded last; inner product only
    float centre_dot() const { return centre_dot_; }
    const float* folded_centre() const { return folded_centre_.data(); }

  private:
    uint32_t padded() const { return sketches_.codec().traits.padded; }

    const SignSketches& sketches_;
    Vec<float> centre_buffer_, x_buffer_, folded_centre_, folded_x_;
    const float* centre_ = nullptr;
    float centre2_ = 0, centre_dot_ = 0;
};

// The angle between two residuals is pi times the fraction of bits in which their sketches differ
// (Charikar, "Similarity estimation techniques from rounding algorithms", 2002). The lengths of the
// residuals follow from the factors.
class Set final : public SketchedSet {
  public:
    explicit Set(const SignSketches& sketches)
        : SketchedSet(sketches.shape().words), bits_(static_cast<float>(sketches.bits())),
          ip_(sketches.codec().metric.geometry == Geometry::inner_product),
          root_(std::sqrt(
              2 / (std::numbers::pi_v<float> * static_cast<float>(sketches.codec().traits.padded))))
    {
    }

    void set(const SketchBlock& block, const Code& centre, const SketchEncoder& encoder) override
    {
        const auto& newcomer = static_cast<const Encoder&>(encoder);
        gather(block, encoder);
        length_.resize(distance_.size());
        centre2_ = centre.params.norm2;
        if (ip_) {
            // <c, r> of a neighbour is f <s, c> minus factor a. The kernel estimates <s, c>, with
            // the centre as the query.
            centre_.set(newcomer.folded_centre(), words_);
            score_.resize(block.stride + 8);
            simd::kernels().sketches.score(block.bits, words_, block.stride, centre_.planes(),
                                           score_.data());
        }
        for (uint32_t i = 0; i < block.count; i++) {
            const float a = block.a[i], b = block.b[i];
            measure(
                i, b,
                ip_ ? -b * (centre_.offset() + centre_.factor() * static_cast<float>(score_[i])) - a
                    : 0);
        }
        measure(block.count, newcomer.sketch().factors.b, newcomer.centre_dot());
    }
    // The residual of a neighbour that equals the centre is 0, and so are its factors and length.
    bool equals_centre(uint32_t i) const override { return length_[i] == 0; }
    float pair(uint32_t i, uint32_t j) const override
    {
        const auto differ =
            static_cast<float>(simd::kernels().bits.hamming(bits_of(i), bits_of(j), words_ * 8));
        const float cosine = std::cos(std::numbers::pi_v<float> * differ / bits_);
        const float dot = length_[i] * length_[j] * cosine;
        if (ip_)
            return distance_[i] + distance_[j] + centre2_ - dot;
        return distance_[i] + distance_[j] - 2 * dot;
    }

  private:
    // |r| = f sum|y| / |r|, where y is the folded residual. For a random y, sum|y| / |r| is known.
    void measure(uint32_t i, float b, float centre_dot)
    {
        const float f = ip_ ? -b : -b / 2;
        length_[i] = f * bits_ * root_;
        distance_[i] = ip_ ? -(centre2_ + centre_dot) : length_[i] * length_[i];
    }

    float bits_;
    bool ip_;
    float root_, centre2_ = 0;
    Vec<float> length_;
    Vec<uint32_t> score_;
    BinaryQuery centre_;
};

// Numbers that are not finite count as close: the squares of vectors longer than about 1e19
// overflow.
bool is_close(float x, float y, float by)
{
    return (!std::isfinite(x) && !std::isfinite(y)) || std::fabs(x - y) <= by;
}

}   // namespace

SketchShape SignSketches::shape_for(const CodecSpec& spec, uint32_t fold)
{
    return {static_cast<uint32_t>(sketch_words(codec_traits(spec).padded, fold)), 2};
}

Owned<SketchQuery> SignSketches::query() const { return make_owned<Query>(*this); }
Owned<SketchEncoder> SignSketches::encoder() const { return make_owned<Encoder>(*this); }
Owned<SketchedSet> SignSketches::set() const { return make_owned<Set>(*this); }

void SignSketches::fold(const float* from, float* to) const
{
    if (fold_ == 1)
        std::copy_n(from, codec_.traits.padded, to);
    else
        fold_vector(from, codec_.traits.padded, fold_, shape().words, to);
}

bool SignSketches::holds(const Sketch& stored, const Sketch& made, float slack) const
{
    const uint32_t words = shape().words;
    uint32_t differ = 0;
    for (uint32_t w = 0; w < words; w++)
        differ += static_cast<uint32_t>(std::popcount(stored.bits[w] ^ made.bits[w]));
    return is_close(stored.factors.a, made.factors.a, slack) &&
           is_close(stored.factors.b, made.factors.b, 1e-4f * std::fabs(made.factors.b)) &&
           (differ <= words || !std::isfinite(made.factors.a));
}

}   // namespace quiver::codec
