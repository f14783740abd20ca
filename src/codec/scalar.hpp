// Scalar quantization: 8 bits per coordinate, x' = offset + scale * code, with an offset and a
// scale for each vector.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "core/memory.hpp"
#include "codec/code.hpp"

namespace quiver::codec {

// Quantizes n finite floats to `code`.
inline CodeParams scalar_encode(const float* x, size_t n, uint8_t* code)
{
    const simd::CodedTerms t = simd::kernels().encode_u8(x, n, code);
    CodeParams p{};
    p.offset = t.offset;
    p.scale = t.scale;
    p.code_sum = static_cast<float>(t.sum);
    p.norm2 = static_cast<float>(t.norm2);
    p.error = std::nextafter(static_cast<float>(std::sqrt(t.error2)), INFINITY);
    return p;
}

// <x', y'> of two codes of length n, from the inner product of their bytes
inline float scalar_ip(const CodeParams& x, const CodeParams& y, size_t n, double product)
{
    return static_cast<float>(static_cast<double>(x.offset) * y.offset * static_cast<double>(n) +
                              static_cast<double>(x.offset) * y.scale * y.code_sum +
                              static_cast<double>(y.offset) * x.scale * x.code_sum +
                              static_cast<double>(x.scale) * y.scale * product);
}
inline float scalar_ip(const CodeParams& x, const uint8_t* cx, const CodeParams& y,
                       const uint8_t* cy, size_t n)
{
    return scalar_ip(x, y, n, simd::kernels().u8.ip(cx, cy, n));
}

// A query in 16 bits per coordinate, q' = step * code. Its inner products with 8-bit codes are sums
// of integers, which takes half the time of floats.
class ScalarQuery {
  public:
    // norm2: |q|^2
    void set(const float* q, size_t n, double norm2)
    {
        float most;
        simd::kernels().sum_and_max(q, n, &sum_, &most);
        // The smallest step that 16 bits allow and that keeps the sums within 32 bits: the sum of
        // |code| is at most |q| sqrt(n) / step + n / 2 (by the Cauchy-Schwarz inequality, and
        // rounding).
        const double root = std::sqrt(static_cast<double>(n)), most_sum = 2147483647.0 / 255;
        step_ = static_cast<float>(std::max(
            most / 32766.0, std::sqrt(norm2) * root * 1.001 / (most_sum - static_cast<double>(n))));
        const float inverse = 1 / step_;
        // Half a step in each coordinate, plus what floats round.
        error_ = static_cast<float>(root * (0.5 * step_ + 2e-7 * most));
        // The query is so short that it is taken as 0, or it is not finite. (The code of a vector with
        // very large numbers may stand for one that is not.)
        if (!std::isfinite(inverse) || !std::isfinite(step_) || !std::isfinite(sum_)) {
            step_ = code_sum_ = 0;
            error_ = static_cast<float>(root * most);
            code_.assign(n, 0);
            return;
        }
        code_.resize(n);
        code_sum_ = static_cast<float>(simd::kernels().to_i16(q, inverse, code_.data(), n));
    }
    // <q', x'>
    float ip(const CodeParams& x, const uint8_t* code) const
    {
        const auto sum =
            static_cast<float>(simd::kernels().i16_u8.ip(code_.data(), code, code_.size()));
        return step_ * (x.offset * code_sum_ + x.scale * sum);
    }
    float sum() const { return sum_; }   // of the query's coordinates
    float step() const { return step_; }
    const int16_t* code() const { return code_.data(); }
    float error() const { return error_; }   // bounds |q - q'| from above

  private:
    Vec<int16_t> code_;
    float step_ = 0, code_sum_ = 0, error_ = 0, sum_ = 0;
};

inline void scalar_decode(const CodeParams& x, const uint8_t* cx, size_t n, float* to)
{
    simd::kernels().decode_u8(cx, x.offset, x.scale, to, n);
}

}   // namespace quiver::codec
