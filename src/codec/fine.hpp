// A fine code is stored after a code of 8 bits per coordinate. It adds 4 or 8 bits per coordinate.
#pragma once

#include "codec/scalar.hpp"

namespace quiver::codec {

// The fine code stands for
//     x'' = offset + scale * (code + (fine + 0.5) / 2^bits - 0.5).
// If `bits` is 4, n is even, and byte i has the bits of coordinate i in its low half and those of
// coordinate n / 2 + i in its high half.
struct FineParams {
    float norm2;   // |x''|^2
    float error;   // bounds |x - x''| from above
};

inline uint32_t scalar_fine_at(const uint8_t* fine, size_t n, uint32_t bits, size_t i)
{
    return bits == 8 ? fine[i] : i < n / 2 ? fine[i] & 15u : fine[i - n / 2] >> 4;
}

inline double scalar_fine_decode(const CodeParams& p, uint8_t code, uint32_t fine, uint32_t bits)
{
    return p.offset + p.scale * (code + (fine + 0.5) / (1 << bits) - 0.5);
}

// Writes the fine code to `fine`, n * bits / 8 bytes.
inline FineParams scalar_refine(const float* x, size_t n, const CodeParams& p, const uint8_t* code,
                                uint32_t bits, uint8_t* fine)
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

// <q, x''>. q_sum is the sum of q's coordinates.
inline double scalar_fine_ip(const float* q, double q_sum, const CodeParams& x, const uint8_t* code,
                             const uint8_t* fine, uint32_t bits, size_t n)
{
    // The sum is relative to the middle of the codes, which is close to 0. So it loses no precision
    // to sums of large numbers.
    const double step = x.scale / static_cast<double>(1 << bits),
                 middle = x.offset + x.scale * 127.5 + step / 2;
    return step * static_cast<double>(simd::kernels().ip_fine(q, code, fine, bits, n)) +
           middle * q_sum;
}

}   // namespace quiver::codec
