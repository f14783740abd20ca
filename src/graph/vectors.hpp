// Distances of the graph: between a query and codes, between codes, and from sketches. All are
// about decoded vectors x', in the rotated space.
#pragma once

#include "core/heap.hpp"
#include "graph/layout.hpp"

namespace quiver::graph {

// What a search compares with: a rotated vector, prepared once.
class Query {
  public:
    explicit Query(const Layout& layout) : l_(layout), x_(layout.padded), estimate_(layout.degree + 8)
    {
        score_.resize(layout.degree + 8);
        folded_.resize(layout.words * 64);
    }

    // `rotated` has layout.padded floats.
    void set(const float* rotated)
    {
        std::copy(rotated, rotated + l_.padded, x_.begin());
        norm2_ = static_cast<float>(simd::kernels().norm2_f32(rotated, l_.padded));
        float most;
        simd::kernels().sum_and_max(rotated, l_.padded, &sum_, &most);
        if (l_.fold == 1)
            binary_.set(rotated, l_.words);
        else {
            quant::fold_vector(rotated, l_.padded, l_.fold, l_.words, folded_.data());
            binary_.set(folded_.data(), l_.words);
        }
    }

    const float* data() const { return x_.data(); }

    // To the node's decoded vector: |q - x'|^2, or -<q, x'>.
    float distance(const Slot& slot) const
    {
        const auto& p = slot.header().params;
        const float ip = quant::scalar_ip(x_.data(), sum_, p, slot.code(), l_.padded);
        return l_.metric == Metric::ip ? -ip : norm2_ + p.norm2 - 2 * ip;
    }

    // Estimates for all neighbours of a slot to which the query has `distance`. Good until the next
    // call.
    const float* estimates(const Slot& slot, float distance)
    {
        // A damaged degree must not lead out of the slot.
        const uint32_t n = std::min((slot.header().degree + 3u) / 4 * 4, l_.degree);
        // The stride is the layout's degree, so all of it is scored.
        simd::kernels().sketches.score(slot.sketches(), l_.words, l_.degree, binary_.planes(),
                                       score_.data());
        const float offset = binary_.offset(), factor = binary_.factor();
        // Inner product: only what of the query is across the node is estimated, so that neither
        // the query's length nor the node's matters (src/graph/README.md).
        const float norm2 = slot.header().params.norm2;
        const float along = l_.metric != Metric::ip ? 1.0f : norm2 > 0 ? -distance / norm2 : 0.0f;
        const float *a = slot.a(), *b = slot.b();
        for (uint32_t i = 0; i < n; i++)
            estimate_[i] =
                distance + along * a[i] + b[i] * (offset + factor * static_cast<float>(score_[i]));
        return estimate_.data();
    }

    // A number that the true distance of any vector x with |x - x'| <= error is not below, though
    // it is computed in floats: in the units of the operator (not squared; cosine from unit
    // vectors' l2).
    double lower_bound(float distance, float norm2, float error) const
    {
        // Rounding of sums over many floats, here and in the operator that is compared with.
        constexpr double epsilon = 4e-6;
        const double q = std::sqrt(static_cast<double>(norm2_)), x = std::sqrt(static_cast<double>(norm2));
        if (l_.metric == Metric::ip)
            return distance - q * error * (1 + epsilon) - epsilon * q * (x + error);
        const double scale2 = static_cast<double>(norm2_) + norm2;
        const double d2 = std::max(0.0, distance - epsilon * scale2);
        const double bound = std::max(0.0, std::sqrt(d2) - error * (1 + epsilon));
        if (l_.metric == Metric::l2)
            return bound * (1 - epsilon);
        return std::max(0.0, bound * bound / 2 - epsilon);
    }

  private:
    const Layout& l_;
    Vec<float> x_, folded_;
    float norm2_ = 0, sum_ = 0;
    quant::BinaryQuery binary_;
    Vec<float> estimate_;
    Vec<uint32_t> score_;
};

// Between two codes: |x' - y'|^2, or -<x', y'>.
inline float code_distance(const Layout& l, const Code& x, const Code& y)
{
    const float ip = quant::scalar_ip(x.params, x.bytes, y.params, y.bytes, l.padded);
    return l.metric == Metric::ip ? -ip : x.params.norm2 + y.params.norm2 - 2 * ip;
}

// Encodes neighbours relative to one node: decodes and folds the node once.
class SketchEncoder {
  public:
    explicit SketchEncoder(const Layout& layout)
        : l_(layout), centre_(layout.padded), x_(layout.padded), folded_centre_(layout.words * 64),
          folded_x_(layout.words * 64), bits_(layout.words)
    {
    }

    void set_centre(const Code& c)
    {
        quant::scalar_decode(c.params, c.bytes, l_.padded, centre_.data());
        fold(centre_, folded_centre_);
        centre2_ = static_cast<float>(simd::kernels().norm2_f32(centre_.data(), l_.padded));
    }

    // Encodes neighbour `x`; put() writes it.
    void encode(const Code& x)
    {
        quant::scalar_decode(x.params, x.bytes, l_.padded, x_.data());
        fold(x_, folded_x_);
        float abs_sum, sign_dot;
        simd::kernels().sketches.encode(folded_x_.data(), folded_centre_.data(), l_.words,
                                        bits_.data(), &abs_sum, &sign_dot);
        const float n2 = simd::kernels().f32.l2sq(x_.data(), centre_.data(), l_.padded);
        const float f = abs_sum > 0 ? n2 / abs_sum : 0.0f;
        if (l_.metric == Metric::ip) {
            // -<q, x> = -<q, c> - <c, r> - <q - c, r>, the last of them estimated
            centre_dot_ = simd::kernels().f32.ip(x_.data(), centre_.data(), l_.padded) - centre2_;
            factors_ = {f * sign_dot - centre_dot_, -f};
        } else   // |q - x|^2 = |q - c|^2 + |r|^2 - 2 <q - c, r>
            factors_ = {n2 + 2 * f * sign_dot, -2 * f};
    }
    // <c, r> of what was encoded last; inner product only
    float centre_dot() const { return centre_dot_; }
    const float* folded_centre() const { return folded_centre_.data(); }
    quant::SketchFactors factors() const { return factors_; }
    const uint64_t* bits() const { return bits_.data(); }

    // Makes what was encoded last, node `id`, neighbour i of the centre's slot.
    void put(SlotId id, const MutableSlot& slot, uint32_t i) const
    {
        slot.ids()[i] = id;
        slot.a()[i] = factors_.a;
        slot.b()[i] = factors_.b;
        for (uint32_t w = 0; w < l_.words; w++)
            slot.sketches()[w * l_.degree + i] = bits_[w];
    }

  private:
    void fold(const Vec<float>& from, Vec<float>& to) const
    {
        if (l_.fold == 1)
            std::copy(from.begin(), from.end(), to.begin());
        else
            quant::fold_vector(from.data(), l_.padded, l_.fold, l_.words, to.data());
    }

    const Layout& l_;
    Vec<float> centre_, x_, folded_centre_, folded_x_;
    Vec<uint64_t> bits_;
    quant::SketchFactors factors_{};
    float centre2_ = 0, centre_dot_ = 0;
};

}   // namespace quiver::graph
