#include "codec/bit_sketches.hpp"

#include <algorithm>
#include <cstring>

#include "codec/bits_codec.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

namespace {

class Query final : public SketchQuery {
  public:
    Query(Geometry geometry, uint32_t words) : geometry_(geometry), words_(words) {}

    void set(const CodecQuery& query) override { query_ = &query; }
    void estimate(const SketchBlock& neighbours, float, float, float limit, float* estimate,
                  uint64_t* near) override
    {
        const uint32_t n = std::min(round_up(neighbours.count, 4), neighbours.stride);
        std::fill_n(near, round_up(neighbours.stride, 64) / 64, 0);
        differ_.resize(neighbours.stride + 8);
        simd::kernels().sketches.differ(neighbours.bits, words_, neighbours.stride,
                                        reinterpret_cast<const uint64_t*>(query_->value().bits),
                                        differ_.data());
        for (uint32_t i = 0; i < n; i++) {
            const auto differ = static_cast<float>(differ_[i]);
            // The sum of both norms counts the common ones twice and the differing bits once.
            const float sum = query_->norm2() + neighbours.a[i];
            estimate[i] = geometry_ == Geometry::hamming ? differ
                          : sum > differ                 ? 1 - (sum - differ) / (sum + differ)
                                                         : 1;
            near[i / 64] |= uint64_t{estimate[i] <= limit} << i % 64;
        }
    }
    // Estimates are exact.
    void lower_bounds(const SketchBlock& neighbours, float distance, float norm2, float,
                      float limit, float* bound, uint64_t* near) override
    {
        estimate(neighbours, distance, norm2, limit, bound, near);
    }

  private:
    Geometry geometry_;
    uint32_t words_;
    const CodecQuery* query_ = nullptr;
    Vec<uint32_t> differ_;
};

class Encoder final : public SketchEncoder {
  public:
    using SketchEncoder::SketchEncoder;

    void set_centre(const Code&) override {}
    void encode(const Code& code) override
    {
        std::memcpy(bits_.data(), code.bytes, code.length);
        factors_ = {code.params.norm2, 0};
    }
};

class Set final : public SketchedSet {
  public:
    Set(Geometry geometry, uint32_t words) : SketchedSet(words), geometry_(geometry) {}

    void set(const SketchBlock& block, const Code& centre, const SketchEncoder& encoder) override
    {
        gather(block, encoder);
        for (uint32_t i = 0; i <= block.count; i++)
            distance_[i] = bits_distance(geometry_, centre.bytes, bits_of(i), words_ * 8);
    }
    bool equals_centre(uint32_t i) const override { return distance_[i] == 0; }
    float pair(uint32_t i, uint32_t j) const override
    {
        return bits_distance(geometry_, bits_of(i), bits_of(j), words_ * 8);
    }

  private:
    Geometry geometry_;
};

}   // namespace

Owned<SketchQuery> BitSketches::query() const
{
    return make_owned<Query>(codec_.metric.geometry, shape().words);
}
Owned<SketchEncoder> BitSketches::encoder() const { return make_owned<Encoder>(shape().words); }
Owned<SketchedSet> BitSketches::set() const
{
    return make_owned<Set>(codec_.metric.geometry, shape().words);
}

bool BitSketches::holds(const Sketch& stored, const Sketch& made, float) const
{
    return stored.factors.a == made.factors.a &&
           std::equal(made.bits, made.bits + shape().words, stored.bits);
}

}   // namespace quiver::codec
