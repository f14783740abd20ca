// Metrics. The table `metrics` has a row for each.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "simd/kernels.hpp"

namespace quiver::codec {

// The numbers are stored on disk.
enum class Metric : uint8_t { l2 = 1, ip = 2, cosine = 3, l1 = 4, hamming = 5, jaccard = 6 };

// A geometry says what number is computed for two vectors. A smaller number means nearer.
enum class Geometry : uint8_t {
    euclidean,       // squared distance
    inner_product,   // negated
    taxicab,         // sum of |x_i - y_i|
    hamming,
    jaccard,
};

// How the result of the operator follows from the result of the Geometry.
enum class OperatorResult : uint8_t { as_computed, square_root, halved };

// Changes the n coordinates of a vector before it is indexed or searched for. `to` may be `x`.
// Returns false if the vector cannot be indexed. Then, and only then, the operator's distance of the
// vector from itself is NaN. A sparse vector is given by its n non-zero elements alone, and an
// element must not become 0 or cease to be 0.
using Prepare = bool (*)(const float* x, size_t n, float* to);

// Scales a vector to length 1. The zero vector has no direction.
inline bool to_unit_length(const float* x, size_t n, float* to)
{
    const double norm = std::sqrt(simd::kernels().norm2_f32(x, n));
    if (!(norm > 0))
        return false;
    simd::kernels().scale(x, 1 / norm, to, n);
    return true;
}

struct MetricTraits {
    const char* name;
    Geometry geometry;
    OperatorResult result;
    Prepare prepare;   // null: vectors are not changed
};

// Ordered by the numbers of Metric.
constexpr MetricTraits metrics[] = {
    {"l2", Geometry::euclidean, OperatorResult::square_root, nullptr},
    {"ip", Geometry::inner_product, OperatorResult::as_computed, nullptr},
    {"cosine", Geometry::euclidean, OperatorResult::halved, to_unit_length},
    {"l1", Geometry::taxicab, OperatorResult::as_computed, nullptr},
    {"hamming", Geometry::hamming, OperatorResult::as_computed, nullptr},
    {"jaccard", Geometry::jaccard, OperatorResult::as_computed, nullptr},
};
constexpr bool is_metric(Metric metric)
{
    return metric >= Metric{1} && static_cast<size_t>(metric) <= std::size(metrics);
}
constexpr const MetricTraits& traits_of(Metric metric)
{
    return metrics[static_cast<size_t>(metric) - 1];
}

}   // namespace quiver::codec
