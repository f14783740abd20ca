// IEEE 754 binary16. The conversions use portable arithmetic that compilers vectorize. They round
// to nearest even; a value that is too large becomes infinity.
#pragma once

#include <bit>
#include <cstdint>

namespace quiver {

struct half {
    uint16_t bits;
};
static_assert(sizeof(half) == 2);

inline constexpr float half_max = 65504.0f;

inline float to_float(half h) noexcept
{
    const uint32_t sign = (h.bits & 0x8000u) << 16;
    const uint32_t magnitude = h.bits & 0x7fffu;
    // The shift moves exponent and mantissa to their places in a float, and the multiplication
    // changes the bias of the exponent from 15 to 127. It is exact, also for subnormals.
    uint32_t bits = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude << 13) * 0x1p112f);
    bits |= magnitude >= 0x7c00u ? 0x7f800000u : 0u;
    return std::bit_cast<float>(bits | sign);
}

inline half to_half(float x) noexcept
{
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t result;
    if (magnitude > 0x7f800000u) {
        result = 0x7e00u;   // NaN
    } else if (magnitude >= 0x477ff000u) {
        result = 0x7c00u;   // rounds to 65536 or more
    } else if (magnitude < 0x38800000u) {
        // The result is subnormal. Floats at 0.5 have the ulp of binary16's subnormals, so the
        // addition rounds like them.
        result = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
    } else {
        result = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    }
    return half{static_cast<uint16_t>(sign | result)};
}

}   // namespace quiver
