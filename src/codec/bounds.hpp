// Bounds of the distance between a query q and a vector x. They follow from the distance between q
// and x', the vector that x's code stands for.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "codec/code.hpp"

namespace quiver::codec {

// A computed distance, and what its bounds depend on.
struct Measured {
    double distance;   // as defined by Geometry, computed in floats
    double query_norm2;
    double norm2, error;      // of the code: CodeParams
    double query_error = 0;   // bounds |q - q'| if the distance is that of a code q' of the query
    uint32_t dims;            // coordinates
};

constexpr Bounds no_bounds = {-std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::infinity()};

inline double at_least_0(double x) { return std::max(0.0, x); }

// The relative error of sums over many floats, both here and in the operator whose result the
// bounds must contain.
inline double rounding(uint32_t dims) { return 4e-6 * (1 + dims / 2048.0); }

// By the triangle inequality, |q - x| is between |q - x'| - error and |q - x'| + error.
inline Bounds euclidean_bounds(const Measured& m, OperatorResult result)
{
    const double epsilon = rounding(m.dims),
                 query_margin = m.query_error * std::sqrt(m.norm2) * (1 + epsilon),
                 margin = m.error * (1 + epsilon),
                 margin2 =
                     epsilon * (m.query_norm2 + m.norm2) + 2 * query_margin;   // of the square
    const double low = at_least_0(std::sqrt(at_least_0(m.distance - margin2)) - margin),
                 high = std::sqrt(at_least_0(m.distance + margin2)) + margin;
    if (result == OperatorResult::square_root)
        return {low * (1 - epsilon), high * (1 + epsilon)};
    return {at_least_0(low * low / 2 - epsilon), high * high / 2 + epsilon};
}

// By Cauchy and Schwarz, |<q, x> - <q, x'>| <= |q| error.
inline Bounds inner_product_bounds(const Measured& m)
{
    const double epsilon = rounding(m.dims), q = std::sqrt(m.query_norm2), x = std::sqrt(m.norm2),
                 margin = q * m.error * (1 + epsilon) + epsilon * q * (x + m.error) +
                          m.query_error * x * (1 + epsilon);
    return {m.distance - margin, m.distance + margin};
}

inline Bounds taxicab_bounds(const Measured& m)
{
    const double epsilon = rounding(m.dims),
                 margin = m.error * (1 + epsilon) + epsilon * (m.query_norm2 + m.norm2 + m.error);
    return {at_least_0(m.distance - margin), m.distance + margin};
}

// Bounds that hold for certain.
inline Bounds certain_bounds(const MetricTraits& metric, const Measured& m)
{
    // Squares of coordinates above about 1e19 overflow a float. Then nothing is known about the
    // distance.
    if (!std::isfinite(m.distance) || !std::isfinite(m.norm2) || !std::isfinite(m.error) ||
        !std::isfinite(m.query_norm2))
        return no_bounds;
    switch (metric.geometry) {
    case Geometry::euclidean: return euclidean_bounds(m, metric.result);
    case Geometry::inner_product: return inner_product_bounds(m);
    case Geometry::taxicab: return taxicab_bounds(m);
    case Geometry::hamming: return {m.distance, m.distance};
    case Geometry::jaccard: break;
    }
    const double epsilon = rounding(m.dims);
    return {at_least_0(m.distance - epsilon), m.distance + epsilon};
}

// Bounds that hold with high probability, for codes of rotated vectors whose error is orthogonal to
// x': <x - x', x'> = 0. For a given x, the direction of x' is at a known angle from x, and random
// otherwise. So <q, x> is <q, x'> |x|^2 / |x'|^2, as in RaBitQ (arXiv 2405.12497, section 3.2), plus
// a normally distributed number. Its standard deviation follows from the part of q that is
// orthogonal to x, which is estimated, too. Each of the two bounds fails for about 1 vector in 741
// if q is far from x. If q is near to x, the lower bound of the distance fails less often, and the
// upper bound more often.
inline Bounds likely_bounds(const MetricTraits& metric, const Measured& m)
{
    constexpr double deviations = 3;
    const Bounds certain = certain_bounds(metric, m);
    if (!std::isfinite(certain.high))
        return certain;
    const bool ip = metric.geometry == Geometry::inner_product;
    const double q2 = m.query_norm2, x2 = m.norm2 + m.error * m.error, gain = x2 / m.norm2,
                 qx = gain * (ip ? -m.distance : (q2 + m.norm2 - m.distance) / 2),
                 across = std::sqrt(at_least_0(q2 - qx * qx / x2)),
                 margin = deviations * across * m.error * std::sqrt(gain / m.dims);
    if (!std::isfinite(margin))
        return certain;
    double low = -qx - margin, high = -qx + margin;
    if (!ip) {
        low = at_least_0(q2 + x2 + 2 * low);
        high = at_least_0(q2 + x2 + 2 * high);
        low = metric.result == OperatorResult::halved ? low / 2 : std::sqrt(low);
        high = metric.result == OperatorResult::halved ? high / 2 : std::sqrt(high);
    }
    return {std::max(low, certain.low), std::min(high, certain.high)};
}

}   // namespace quiver::codec
