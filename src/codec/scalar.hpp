// Scalar quantization: a vector as 8 bits a coordinate, with an offset and a scale of its own.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "core/memory.hpp"
#include "simd/kernels.hpp"

namespace quiver::codec {

// x' = offset + scale * code. The decoded vector x' is what every distance of the graph is about;
// `error` bounds |x - x'| from above.
struct ScalarParams {
    float offset;
    float scale;
    float norm2;      // |x'|^2
    float code_sum;   // sum of the codes
    float error;
};

// Quantizes n finite floats to `code`.
inline ScalarParams scalar_encode(const float* x, size_t n, uint8_t* code)
{
    float low = x[0], high = x[0];
    for (size_t i = 1; i < n; i++) {
        low = std::min(low, x[i]);
        high = std::max(high, x[i]);
    }
    ScalarParams p{};
    p.offset = low;
    p.scale = (high - low) / 255.0f;
    // All equal (or so close that the step vanishes): the offset says it all.
    const float inverse = p.scale > 0 ? 1.0f / p.scale : 0.0f;
    if (!std::isfinite(inverse))
        p.scale = 0;
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        const float u = p.scale > 0 ? (x[i] - low) * inverse + 0.5f : 0.0f;
        code[i] = static_cast<uint8_t>(std::clamp(u, 0.0f, 255.0f));
        sum += code[i];
    }
    double norm2 = 0, error2 = 0;
    for (size_t i = 0; i < n; i++) {
        const float decoded = p.offset + p.scale * static_cast<float>(code[i]);
        const double e = static_cast<double>(x[i]) - decoded;
        norm2 += static_cast<double>(decoded) * decoded;
        error2 += e * e;
    }
    p.norm2 = static_cast<float>(norm2);
    p.code_sum = static_cast<float>(sum);
    p.error = std::nextafter(static_cast<float>(std::sqrt(error2)), INFINITY);
    return p;
}

// <x', y'> of two codes
inline float scalar_ip(const ScalarParams& x, const uint8_t* cx, const ScalarParams& y,
                       const uint8_t* cy, size_t n)
{
    const double uu = simd::kernels().u8.ip(cx, cy, n);
    return static_cast<float>(static_cast<double>(x.offset) * y.offset * static_cast<double>(n) +
                              static_cast<double>(x.offset) * y.scale * y.code_sum +
                              static_cast<double>(y.offset) * x.scale * x.code_sum +
                              static_cast<double>(x.scale) * y.scale * uu);
}

// A query in 16 bits a coordinate, q' = step * code. Sums of its products with a vector's 8 bits are of
// integers, which takes half the time.
class ScalarQuery {
  public:
    // norm2: |q|^2
    void set(const float* q, size_t n, double norm2)
    {
        float most;
        simd::kernels().sum_and_max(q, n, &sum_, &most);
        // As small a step as 16 bits allow, and such that the sums stay within 32 bits: no sum of
        // |code| is above |q| sqrt(n) / step + n / 2 (Cauchy and Schwarz; rounding).
        const double root = std::sqrt(static_cast<double>(n)), most_sum = 2147483647.0 / 255;
        step_ = static_cast<float>(std::max(
            most / 32766.0, std::sqrt(norm2) * root * 1.001 / (most_sum - static_cast<double>(n))));
        float inverse = 1 / step_;
        // Half a step in each coordinate, and what floats round.
        error_ = static_cast<float>(root * (0.5 * step_ + 2e-7 * most));
        // So short that it is taken as 0, or not finite.
        if (!std::isfinite(inverse) || !std::isfinite(step_)) {
            step_ = inverse = 0;
            error_ = static_cast<float>(root * most);
        }
        code_.resize(n);
        code_sum_ = static_cast<float>(simd::kernels().to_i16(q, inverse, code_.data(), n));
    }
    // <q', x'>
    float ip(const ScalarParams& x, const uint8_t* code) const
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

inline void scalar_decode(const ScalarParams& x, const uint8_t* cx, size_t n, float* to)
{
    simd::kernels().decode_u8(cx, x.offset, x.scale, to, n);
}

// ---- a finer code beside the first: 4 or 8 more bits a coordinate ----
//
// x'' = offset + scale * (code + (fine + 0.5) / 2^bits - 0.5). Of 4 bits, byte i holds those of coordinates
// i, in its low half, and n / 2 + i; n is even.
struct FineParams {
    float norm2;   // |x''|^2
    float error;   // bounds |x - x''| from above
};

inline uint32_t scalar_fine_at(const uint8_t* fine, size_t n, uint32_t bits, size_t i)
{
    return bits == 8 ? fine[i] : i < n / 2 ? fine[i] & 15u : fine[i - n / 2] >> 4;
}

inline double scalar_fine_decode(const ScalarParams& p, uint8_t code, uint32_t fine, uint32_t bits)
{
    return p.offset + p.scale * (code + (fine + 0.5) / (1 << bits) - 0.5);
}

// `fine`: n * bits / 8 bytes
inline FineParams scalar_refine(const float* x, size_t n, const ScalarParams& p,
                                const uint8_t* code, uint32_t bits, uint8_t* fine)
{
    const double levels = 1 << bits;
    double norm2 = 0, error2 = 0;
    for (size_t i = 0; i < n; i++) {
        const double rest =
            p.scale > 0 ? (static_cast<double>(x[i]) - p.offset) / p.scale - code[i] : 0.0;
        const auto f = static_cast<uint8_t>(std::clamp((rest + 0.5) * levels, 0.0, levels - 1));
        if (bits == 8)
            fine[i] = f;
        else if (i < n / 2)
            fine[i] = f;
        else
            fine[i - n / 2] |= static_cast<uint8_t>(f << 4);
        const double decoded = scalar_fine_decode(p, code[i], f, bits);
        norm2 += decoded * decoded;
        error2 += (x[i] - decoded) * (x[i] - decoded);
    }
    return {static_cast<float>(norm2),
            std::nextafter(static_cast<float>(std::sqrt(error2)), INFINITY)};
}

// <q, x''>; q_sum: of q's coordinates
inline double scalar_fine_ip(const float* q, double q_sum, const ScalarParams& x,
                             const uint8_t* code, const uint8_t* fine, uint32_t bits, size_t n)
{
    // In the middle between the codes, which is close to 0: nothing is lost to sums of large numbers.
    const double step = x.scale / static_cast<double>(1 << bits),
                 middle = x.offset + x.scale * 127.5 + step / 2;
    return step * static_cast<double>(simd::kernels().ip_fine(q, code, fine, bits, n)) +
           middle * q_sum;
}

// ---- trained: an offset and a scale for each dimension, shared by all vectors ----

// x' = offset + scale * code, coordinate by coordinate; what lies outside the range of the training
// rows takes its end.

inline void trained_scalar_train(const float* x, size_t rows, size_t dims, float* offset,
                                 float* scale)
{
    for (size_t j = 0; j < dims; j++) {
        float low = x[j], high = x[j];
        for (size_t i = 1; i < rows; i++) {
            low = std::min(low, x[i * dims + j]);
            high = std::max(high, x[i * dims + j]);
        }
        offset[j] = low;
        scale[j] = high / 255.0f - low / 255.0f;   // high - low may overflow
    }
}

inline void trained_scalar_encode(const float* x, size_t dims, const float* offset,
                                  const float* scale, uint8_t* code)
{
    for (size_t j = 0; j < dims; j++) {
        const double u = scale[j] > 0 ? (static_cast<double>(x[j]) - offset[j]) / scale[j] : 0.0;
        code[j] = static_cast<uint8_t>(std::clamp(u + 0.5, 0.0, 255.0));
    }
}

inline void trained_scalar_decode(const uint8_t* code, size_t dims, const float* offset,
                                  const float* scale, float* x)
{
    for (size_t j = 0; j < dims; j++)
        x[j] = offset[j] + scale[j] * static_cast<float>(code[j]);
}

}   // namespace quiver::codec
