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
    const simd::CodedTerms t = simd::kernels().refine_u8(x, n, p.offset, p.scale, code, bits, fine);
    return {static_cast<float>(t.norm2),
            std::nextafter(static_cast<float>(std::sqrt(t.error2)), INFINITY)};
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
