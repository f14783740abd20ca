#include "core/half.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

using quiver::half;
using quiver::to_float;
using quiver::to_half;

namespace {

// From the definition of binary16, in double.
double value(uint16_t bits)
{
    const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
    const double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 31)
        return mantissa ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * std::ldexp(mantissa, -24);
    return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

// Nearest, ties to even, by searching the two neighbours.
uint16_t nearest(float x)
{
    const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    const double m = std::fabs(x);
    if (m >= 65520)
        return sign | 0x7c00;
    uint16_t low = 0, high = 0x7bff;   // values rise with the bits
    while (low < high) {
        const uint16_t middle = static_cast<uint16_t>((low + high + 1) / 2);
        if (value(middle) <= m)
            low = middle;
        else
            high = static_cast<uint16_t>(middle - 1);
    }
    if (low == 0x7bff)
        return sign | low;
    const double down = m - value(low), up = value(static_cast<uint16_t>(low + 1)) - m;
    if (up < down || (up == down && (low & 1)))
        low++;
    return sign | low;
}

TEST(Half, EveryValueConvertsExactly)
{
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const half h{static_cast<uint16_t>(bits)};
        const double want = value(h.bits);
        if (std::isnan(want)) {
            EXPECT_TRUE(std::isnan(to_float(h)));
            EXPECT_TRUE(std::isnan(to_float(to_half(to_float(h)))));
        } else {
            ASSERT_EQ(to_float(h), want) << bits;
            ASSERT_EQ(to_half(to_float(h)).bits, h.bits) << bits;
        }
    }
}

TEST(Half, RoundsToNearestEven)
{
    for (uint32_t bits = 0; bits < 0x7c00; bits++) {   // around every value and every midpoint
        const double a = value(static_cast<uint16_t>(bits));
        const double b = bits + 1 == 0x7c00 ? 65536 : value(static_cast<uint16_t>(bits + 1));
        const float middle = static_cast<float>((a + b) / 2);
        for (float x : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e6f)}) {
            ASSERT_EQ(to_half(x).bits, nearest(x)) << x;
            ASSERT_EQ(to_half(-x).bits, nearest(-x)) << x;
        }
    }
    std::mt19937 rng(1);
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = rng();
        float x;
        std::memcpy(&x, &bits, sizeof x);
        if (!std::isnan(x)) {
            ASSERT_EQ(to_half(x).bits, nearest(x)) << x;
        }
    }
}

}   // namespace
