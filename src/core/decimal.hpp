// Reads decimal numbers as floats: the usual ones, and about twice as fast as std::from_chars.
#pragma once

#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace quiver {

namespace decimal {

// These are exact.
inline constexpr double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                           1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                           1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr int64_t most_exponent = 22;
constexpr int64_t most_digits = 19;   // that always fit into a uint64_t

struct Digits {
    uint64_t number, count;
};
constexpr uint64_t at_once = 7;

// The digits at the front of seven of eight bytes. Here and in read_digits(), how many there are decides no
// branch, because it would often be mispredicted.
inline Digits digits_of(const char* p)
{
    uint64_t bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    if constexpr (std::endian::native == std::endian::big)
        bytes = __builtin_bswap64(bytes);
    // Now a digit is a byte from 0 to 9. Adding 0x76 to a greater one carries to its highest bit. (It may
    // carry into the byte after it, too, which does not matter.)
    bytes ^= 0x3030303030303030;
    const uint64_t others = (bytes + 0x7676767676767676) | bytes | uint64_t{1} << 63;
    const auto count = static_cast<uint64_t>(std::countr_zero(others & 0x8080808080808080)) / 8;
    // Puts zeros before the digits, and drops the bytes behind them. Then computes numbers of two, four and
    // eight digits.
    bytes = bytes << 8 << (56 - 8 * count);
    bytes = (bytes * 10 + (bytes >> 8)) & 0x00ff00ff00ff00ff;
    bytes = (bytes * 100 + (bytes >> 16)) & 0x0000ffff0000ffff;
    bytes = (bytes * 10000 + (bytes >> 32)) & 0x00000000ffffffff;
    return {bytes, count};
}

// Appends the digits at p to a number, one by one.
inline const char* read_few_digits(const char* p, const char* end, uint64_t* number)
{
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        *number = *number * 10 + static_cast<uint64_t>(*p - '0');
    return p;
}
// Appends the digits at p to a number. Returns where they end. The number is wrong if it has too many.
inline const char* read_digits(const char* p, const char* end, uint64_t* number)
{
    static constexpr uint64_t scale[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    while (end - p >= 16) {
        const Digits x = digits_of(p), y = digits_of(p + at_once);
        const uint64_t with_y = x.count == at_once ? ~uint64_t{0} : 0, count = y.count & with_y;
        *number = (*number * scale[x.count] + x.number) * scale[count] + (y.number & with_y);
        p += x.count + count;
        if (count < at_once)
            return p;
    }
    return read_few_digits(p, end, number);
}

}   // namespace decimal

// Reads a number such as -0.0123 or 4e-05 from the text between p and end, and rounds it to the nearest float,
// as strtof does. Returns where the number ends. Returns null if there is none, or if strtof must read it: a
// number of more than 19 digits, hexadecimal, not a normal float or 0, or very near to the middle between two
// floats.
inline const char* read_float(const char* p, const char* end, float* value)
{
    using namespace decimal;
    // The bound of the error below is for arithmetic that rounds to double.
    if constexpr (FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 1)
        return nullptr;
    const bool negative = p < end && *p == '-';
    p += negative;
    uint64_t digits = 0;
    const char* const begin = p;
    p = read_few_digits(p, end, &digits);
    int64_t count = p - begin, exponent = 0;
    if (p < end && *p == '.') {
        const char* const fraction = ++p;
        p = read_digits(p, end, &digits);
        count += p - fraction;
        exponent = fraction - p;
    }
    if (count == 0)
        return nullptr;
    if (count > most_digits) {
        for (const char* at = begin; at < p && (*at == '0' || *at == '.'); at++)
            count -= *at == '0';
        if (count > most_digits)
            return nullptr;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        const bool minus = p < end && *p == '-';
        p += p < end && (*p == '-' || *p == '+');
        uint64_t written = 0;
        const char* const first = p;
        p = read_few_digits(p, end, &written);
        if (p == first || p - first > 4)
            return nullptr;
        exponent += minus ? -static_cast<int64_t>(written) : static_cast<int64_t>(written);
    } else if (p < end && (*p == 'x' || *p == 'X'))
        return nullptr;
    if (exponent < -most_exponent || exponent > most_exponent)
        return nullptr;
    // Two operations round to double, so x is wrong by at most 2 units of its last place.
    auto x = static_cast<double>(digits);
    x = exponent < 0 ? x / powers_of_ten[-exponent] : x * powers_of_ten[exponent];
    // Rounding x to float is right unless the middle between two floats is as near as that.
    constexpr int dropped_bits = DBL_MANT_DIG - FLT_MANT_DIG;
    constexpr int64_t middle = int64_t{1} << (dropped_bits - 1);
    const auto dropped = static_cast<int64_t>(std::bit_cast<uint64_t>(x)) & (2 * middle - 1);
    constexpr int64_t error = 4;
    if ((dropped >= middle - error && dropped <= middle + error) ||
        x > static_cast<double>(FLT_MAX) || (x < static_cast<double>(FLT_MIN) && digits != 0))
        return nullptr;
    *value = std::bit_cast<float>(std::bit_cast<uint32_t>(static_cast<float>(x)) |
                                  static_cast<uint32_t>(negative) << 31);
    return p;
}

}   // namespace quiver
