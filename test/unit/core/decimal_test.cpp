#include "core/decimal.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

using quiver::read_float;

namespace {

// Reads the number, if read_float() can, at the end of the text and before other bytes, and compares it with
// what strtof reads. Returns whether read_float() can.
bool compare(const std::string& number)
{
    char* stop;
    const float expected = std::strtof(number.c_str(), &stop);
    bool any = false;
    for (const char* after : {"", ",", "]", " ,123456789"}) {
        const std::string text = number + after;
        float value = 0;
        const char* end = read_float(text.data(), text.data() + text.size(), &value);
        if (!end)
            continue;
        any = true;
        EXPECT_EQ(end - text.data(), stop - number.c_str()) << text;
        EXPECT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(expected)) << text;
    }
    return any;
}

template <class... T>
std::string print(const char* format, T... x)
{
    char text[400];
    std::snprintf(text, sizeof text, format, x...);
    return text;
}

}   // namespace

TEST(Decimal, ReadsUsualNumbers)
{
    for (const char* number : {"0",
                               "-0",
                               "1",
                               "-1",
                               "12",
                               "123",
                               "12345678",
                               "123456789",
                               "0.5",
                               ".5",
                               "5.",
                               "-.25",
                               "0.0123456789",
                               "1e5",
                               "1E5",
                               "1e-5",
                               "1e+5",
                               "-4.1259766e-05",
                               "1234567.875",
                               "0.0",
                               "0.000000000000000000000",
                               "0.00004125976636171341",
                               "0.04125976636171341",
                               "16777217.5",
                               "3.4028235e38",
                               "1.1754944e-38",
                               "00001",
                               "99999999",
                               "1e0000"})
        EXPECT_EQ(compare(number), std::fabs(std::strtof(number, nullptr)) != 3.4028235e38f &&
                                       std::strtof(number, nullptr) != 1.1754944e-38f)
            << number;
}

TEST(Decimal, LeavesOtherNumbersToStrtof)
{
    for (const char* text : {"",         "-",       "+1",
                             ".",        "-.",      "e5",
                             "nan",      "inf",     "-inf",
                             "x",        " 1",      "0x10",
                             "0X1p3",    "1e",      "1e+",
                             "1e-",      "1e99999", "1e39",
                             "1e-39",    "1e-46",   "340282356779733661637539395458142568448",
                             "16777217", "1e00005", "1.00000005960464477539062500001",
                             "--1",      "/",       ":",
                             ",1",       "]"}) {
        float value;
        EXPECT_EQ(read_float(text, text + std::strlen(text), &value), nullptr) << text;
    }
    // What follows is not a part of the number.
    for (const char* text : {"1.2.3", "1-2", "1:", "1/", "12345678:", "1234567/9", "1 2", "1\x80",
                             "0.5\xb0\xb1\xb2\xb3\xb4\xb5\xb6\xb7"})
        EXPECT_TRUE(compare(text)) << text;
}

TEST(Decimal, RoundsAsStrtof)
{
    std::mt19937_64 random(1);
    size_t read = 0, all = 0;
    const auto count = [&](const std::string& number) {
        read += compare(number);
        all++;
    };
    std::normal_distribution<double> normal(0, 0.05);
    for (int i = 0; i < 100000; i++) {
        const double x = normal(random);
        count(print("%.9g", x));
        count(print("%.17g", x));   // as of a float that was converted to double
        count(print("%.17g", static_cast<double>(static_cast<float>(x))));
        count(print("%.*f", static_cast<int>(random() % 15),
                    x * static_cast<double>(random() % 100000)));
        count(print("%.*e", static_cast<int>(random() % 17), x));
    }
    EXPECT_GT(read, all * 99 / 100);
    // Any float, and numbers near to the middle between two.
    for (int i = 0; i < 100000; i++) {
        const auto bits = static_cast<uint32_t>(random());
        const float x = std::bit_cast<float>(bits), next = std::bit_cast<float>(bits + 1);
        if (!std::isfinite(x) || !std::isfinite(next))
            continue;
        const double middle = (static_cast<double>(x) + static_cast<double>(next)) / 2;
        for (const int digits : {9, 15, 16, 17, 18, 19, 25}) {
            compare(print("%.*g", digits, static_cast<double>(x)));
            compare(print("%.*g", digits, middle));
            compare(print("%.*g", digits, std::nextafter(middle, static_cast<double>(next))));
            compare(print("%.*f", digits, middle));
        }
        compare(print("%.8a", static_cast<double>(x)));
    }
}

TEST(Decimal, StopsAtTheEnd)
{
    // Digits behind the end do not count.
    const char text[] = "123456789012345678901234567890";
    for (int n = 1; n <= 18; n++) {
        float value = 0;
        EXPECT_EQ(read_float(text, text + n, &value), text + n);
        EXPECT_EQ(value, std::strtof(std::string(text, static_cast<size_t>(n)).c_str(), nullptr));
    }
}
