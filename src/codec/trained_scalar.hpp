// Scalar quantization with an offset and a scale for each dimension. They are trained, and the same
// for all vectors.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace quiver::codec {

// x' = offset + scale * code in each coordinate. Values outside the range of the training rows are
// clamped to it.

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
