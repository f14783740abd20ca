// Distances between a query and nodes: to codes, and from sketches; and making the sketches.
#pragma once

#include "core/heap.hpp"
#include "graph/code.hpp"

namespace quiver::graph {

// A distance lies between them, in the units of the operator.
struct Bounds {
    double low, high;
};

// What a search compares with, prepared once.
class Query {
  public:
    explicit Query(const Layout& layout) : l_(layout)
    {
        if (!l_.sketched())
            return;
        score_.resize(l_.degree + 8);
        estimate_.resize(l_.degree + 8);
        if (l_.form == Form::dense)
            folded_.resize(l_.words * 64);
    }

    void set(const Value& x)
    {
        switch (l_.form) {
        case Form::dense: {
            dense_.assign(x.dense, x.dense + l_.padded);
            if (l_.metric == Metric::l1) {
                zero_.resize(l_.padded);
                norm2_ = simd::kernels().f32.l1(x.dense, zero_.data(), l_.padded);
            } else {
                norm2_ = static_cast<float>(simd::kernels().norm2_f32(x.dense, l_.padded));
                if (l_.coarse())
                    shared_.set(*l_.codebook, dense_.data(), l_.padded);
                else if (!l_.full())
                    scalar_.set(x.dense, l_.padded, norm2_);
            }
            if (l_.fold == 1)
                binary_.set(x.dense, l_.words);
            else if (l_.sketched()) {
                codec::fold_vector(x.dense, l_.padded, l_.fold, l_.words, folded_.data());
                binary_.set(folded_.data(), l_.words);
            }
            break;
        }
        case Form::bits:
        case Form::sparse: norm2_ = encode(l_, x, bytes_).params.norm2; break;
        }
    }

    // To what the code decodes to.
    float distance(const Code& c) const
    {
        if (l_.full())
            return full_distance(l_, dense_.data(), full_vector(c));
        if (l_.rotated()) {
            const float ip =
                l_.coarse() ? shared_.ip(c.params, c.bytes) : scalar_.ip(c.params, c.bytes);
            return l_.metric == Metric::ip ? -ip : norm2_ + c.params.norm2 - 2 * ip;
        }
        if (l_.form == Form::bits)
            return bits_distance(l_.metric, bytes_.data(), c.bytes, l_.code_bytes);
        if (l_.form == Form::sparse)
            return sparse_distance(l_.metric,
                                   sparse_view(bytes_.data(), static_cast<uint32_t>(bytes_.size())),
                                   sparse_view(c.bytes, c.length));
        return l1_distance(dense_.data(), c, l_.padded);
    }

    // Estimates for all neighbours of a slot to which the query has `distance`. Those of at most
    // `limit` are near(): bit i % 64 of word i / 64. Both are good until the next call.
    const float* estimates(const Slot& slot, float distance, float limit)
    {
        // A damaged degree must not lead out of the slot.
        const uint32_t n = std::min((slot.header().degree + 3u) / 4 * 4, l_.degree);
        if (l_.form == Form::bits)
            return distances_to_bits(slot, n, limit);
        // The stride is the layout's degree, so all of it is scored.
        QUIVER_ASSERT(l_.degree % 4 == 0);
        simd::kernels().sketches.score(slot.sketches(), l_.words, l_.degree, binary_.planes(),
                                       score_.data());
        // Inner product: only what of the query is across the node is estimated, so that neither
        // the query's length nor the node's matters (src/graph/README.md).
        const float norm2 = slot.header().params.norm2;
        const float along = l_.metric != Metric::ip ? 1.0f : norm2 > 0 ? -distance / norm2 : 0.0f;
        simd::kernels().sketches.estimate(score_.data(), slot.a(), slot.b(), n,
                                          {distance, along, binary_.offset(), binary_.factor()},
                                          limit, estimate_.data(), near_);
        return estimate_.data();
    }
    const uint64_t* near() const { return near_; }

    // What the true distance of any vector x with |x - x'| <= error lies between, though its distance()
    // is about codes and computed in floats: in the units of the operator (not squared; cosine from unit
    // vectors' l2).
    Bounds bounds(double distance, double norm2, double error) const
    {
        return bounds(distance, norm2, error, scalar_.error());
    }

    // The same, but for chance, from coarse codes. Rotation leaves a code's error r = x - x' no direction but
    // that along x, which is known as r is across x'. So <q, x> is <q, x'> |x|^2 / |x'|^2, as in RaBitQ (arXiv
    // 2405.12497, section 3.2), but for a normal number of a known deviation.
    Bounds likely_bounds(double distance, double norm2, double error) const
    {
        constexpr double deviations = 3;
        const Bounds certain = bounds(distance, norm2, error, 0);
        if (!std::isfinite(certain.high))
            return certain;
        const double q2 = norm2_, x2 = norm2 + error * error, gain = x2 / norm2,
                     qx =
                         gain * (l_.metric == Metric::ip ? -distance : (q2 + norm2 - distance) / 2),
                     across = std::sqrt(std::max(0.0, q2 - qx * qx / x2)),
                     margin = deviations * across * error * std::sqrt(gain / l_.padded);
        if (!std::isfinite(margin))
            return certain;
        double low = -qx - margin, high = -qx + margin;
        if (l_.metric != Metric::ip) {
            low = std::max(0.0, q2 + x2 + 2 * low);
            high = std::max(0.0, q2 + x2 + 2 * high);
            low = l_.metric == Metric::cosine ? low / 2 : std::sqrt(low);
            high = l_.metric == Metric::cosine ? high / 2 : std::sqrt(high);
        }
        return {std::max(low, certain.low), std::min(high, certain.high)};
    }

    // The same from the fine code.
    Bounds fine_bounds(const Code& c) const
    {
        const FineCode fine(l_, c);
        const double ip = fine.ip(dense_.data(), scalar_.sum());
        const codec::FineParams& p = fine.params();
        return bounds(l_.metric == Metric::ip ? -ip
                                              : static_cast<double>(norm2_) + p.norm2 - 2 * ip,
                      p.norm2, p.error, 0);
    }

  private:
    // query_error: |q - q'|
    Bounds bounds(double distance, double norm2, double error, double query_error) const
    {
        // Squares of coordinates above some 1e19 overflow a float: that says nothing of the distance.
        if (!std::isfinite(distance) || !std::isfinite(norm2) || !std::isfinite(error) ||
            !std::isfinite(norm2_))
            return {-INFINITY, INFINITY};
        // Rounding of sums over many floats, here and in the operator that is compared with.
        const double epsilon = 4e-6 * (1 + l_.padded / 2048.0);
        const double scale2 = norm2_ + norm2;
        // |<q, x'> - <q', x'>|
        const double query_margin = query_error * std::sqrt(norm2) * (1 + epsilon);
        const auto at_least_0 = [](double x) { return std::max(0.0, x); };
        switch (l_.metric) {
        case Metric::hamming: return {distance, distance};
        case Metric::jaccard: return {at_least_0(distance - epsilon), distance + epsilon};
        case Metric::l1: {
            const double margin = error * (1 + epsilon) + epsilon * (scale2 + error);
            return {at_least_0(distance - margin), distance + margin};
        }
        case Metric::ip: {
            const double q = std::sqrt(static_cast<double>(norm2_)), x = std::sqrt(norm2);
            const double margin =
                q * error * (1 + epsilon) + epsilon * q * (x + error) + query_margin;
            return {distance - margin, distance + margin};
        }
        case Metric::l2:
        case Metric::cosine: break;
        }
        const double margin = error * (1 + epsilon);
        const double margin2 = epsilon * scale2 + 2 * query_margin;   // of what is squared
        const double low = at_least_0(std::sqrt(at_least_0(distance - margin2)) - margin);
        const double high = std::sqrt(at_least_0(distance + margin2)) + margin;
        if (l_.metric == Metric::l2)
            return {low * (1 - epsilon), high * (1 + epsilon)};
        return {at_least_0(low * low / 2 - epsilon), high * high / 2 + epsilon};
    }

    // Bits: the sketch of a neighbour is the neighbour, factor a its number of bits.
    const float* distances_to_bits(const Slot& slot, uint32_t n, float limit)
    {
        std::fill(std::begin(near_), std::end(near_), 0);
        simd::kernels().sketches.differ(slot.sketches(), l_.words, l_.degree,
                                        reinterpret_cast<const uint64_t*>(bytes_.data()),
                                        score_.data());
        for (uint32_t i = 0; i < n; i++) {
            const auto differ = static_cast<float>(score_[i]);
            const float sum =
                norm2_ + slot.a()[i];   // twice the common bits, and those that differ
            estimate_[i] = l_.metric == Metric::hamming ? differ
                           : sum > differ               ? 1 - (sum - differ) / (sum + differ)
                                                        : 1;
            near_[i / 64] |= uint64_t{estimate_[i] <= limit} << i % 64;
        }
        return estimate_.data();
    }

    const Layout& l_;
    Vec<float> dense_, folded_, zero_;
    Vec<uint8_t> bytes_;          // of bits and sparse vectors, as encode() makes them
    float norm2_ = 0;             // as a code's
    codec::ScalarQuery scalar_;   // rotated ones, 8 or 16 bits a coordinate
    codec::SharedQuery shared_;   // coarse ones
    codec::BinaryQuery binary_;
    Vec<float> estimate_;
    uint64_t near_[(max_degree + 63) / 64];
    Vec<uint32_t> score_;
};

// What a link says of the neighbour: valid as long as the node is, as codes do not change.
struct Sketch {
    codec::SketchFactors factors{};
    const uint64_t* bits = nullptr;
};

// Makes `sketch`, that of node `id`, neighbour i of the slot.
inline void put_neighbour(SlotId id, const Sketch& sketch, const MutableSlot& slot, uint32_t i)
{
    const Layout& l = slot.layout();
    slot.ids()[i] = id;
    if (!l.sketched())
        return;
    slot.a()[i] = sketch.factors.a;
    if (l.form == Form::dense)
        slot.b()[i] = sketch.factors.b;
    for (uint32_t w = 0; w < l.words; w++)
        slot.sketches()[w * l.degree + i] = sketch.bits[w];
}

// Makes the links of one node: ids, and neighbours encoded relative to it, for which the node is
// decoded and folded once. Without sketches there is nothing to encode.
class SketchEncoder {
  public:
    explicit SketchEncoder(const Layout& layout) : l_(layout), bits_(layout.words)
    {
        if (l_.form != Form::dense || !l_.sketched())
            return;
        centre_.resize(l_.padded);
        x_.resize(l_.padded);
        folded_centre_.resize(l_.words * 64);
        folded_x_.resize(l_.words * 64);
    }

    void set_centre(const Code& c)
    {
        if (l_.form != Form::dense || !l_.sketched())
            return;
        decode_dense(l_, c, centre_.data());
        fold(centre_, folded_centre_);
        centre2_ = static_cast<float>(simd::kernels().norm2_f32(centre_.data(), l_.padded));
    }

    // Encodes neighbour `x`; put() writes it. sketch() is good until the next call.
    void encode(const Code& x)
    {
        if (!l_.sketched())
            return;
        if (l_.form == Form::bits) {
            std::memcpy(bits_.data(), x.bytes, l_.code_bytes);
            factors_ = {x.params.norm2, 0};
            return;
        }
        decode_dense(l_, x, x_.data());
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
    codec::SketchFactors factors() const { return factors_; }
    const uint64_t* bits() const { return bits_.data(); }

    Sketch sketch() const { return {factors_, bits_.data()}; }

    // Makes what was encoded last, node `id`, neighbour i of the centre's slot.
    void put(SlotId id, const MutableSlot& slot, uint32_t i) const
    {
        put_neighbour(id, sketch(), slot, i);
    }

    // Moves neighbour `from` of a slot to place `to`.
    static void move(const MutableSlot& slot, uint32_t from, uint32_t to)
    {
        const Layout& l = slot.layout();
        slot.ids()[to] = slot.ids()[from];
        if (!l.sketched())
            return;
        slot.a()[to] = slot.a()[from];
        if (l.form == Form::dense)
            slot.b()[to] = slot.b()[from];
        for (uint32_t w = 0; w < l.words; w++)
            slot.sketches()[w * l.degree + to] = slot.sketches()[w * l.degree + from];
    }

  private:
    void fold(const Vec<float>& from, Vec<float>& to) const
    {
        if (l_.fold == 1)
            std::copy(from.begin(), from.end(), to.begin());
        else
            codec::fold_vector(from.data(), l_.padded, l_.fold, l_.words, to.data());
    }

    const Layout& l_;
    Vec<float> centre_, x_, folded_centre_, folded_x_;
    Vec<uint64_t> bits_;
    codec::SketchFactors factors_{};
    float centre2_ = 0, centre_dot_ = 0;
};

}   // namespace quiver::graph
