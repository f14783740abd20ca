// Each codec against plain loops in double: what its codes stand for, distances, bounds, errors that it admits.
#include "codec/codec.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "codec/fine.hpp"
#include "codec/sparse_codec.hpp"

using namespace quiver;
using namespace quiver::codec;

namespace {

struct Kind {
    const char* name;
    CodecSpec spec;
    double most_error;   // of |x - x'| / |x|; 0: codes are exact
};

void PrintTo(const Kind& kind, std::ostream* to) { *to << kind.name; }

// A vector of any form.
struct Sample {
    std::vector<double> x;   // coordinates, or bits as 0 and 1
    std::vector<float> dense;
    std::vector<uint8_t> bits;
    std::vector<int32_t> index;
    std::vector<float> value;

    Value view() const
    {
        Value v;
        if (!dense.empty())
            v.dense = dense.data();
        else if (!bits.empty())
            v.bits = bits.data();
        else
            v.sparse = {index.data(), value.data(), index.size()};
        return v;
    }
};

double distance_of(Geometry geometry, const std::vector<double>& x, const std::vector<double>& y)
{
    double l2 = 0, ip = 0, l1 = 0, differ = 0, either = 0, both = 0;
    for (size_t i = 0; i < x.size(); i++) {
        l2 += (x[i] - y[i]) * (x[i] - y[i]);
        ip += x[i] * y[i];
        l1 += std::fabs(x[i] - y[i]);
        differ += x[i] != y[i];
        either += x[i] != 0 || y[i] != 0;
        both += x[i] != 0 && y[i] != 0;
    }
    switch (geometry) {
    case Geometry::euclidean: return l2;
    case Geometry::inner_product: return -ip;
    case Geometry::taxicab: return l1;
    case Geometry::hamming: return differ;
    case Geometry::jaccard: break;
    }
    return both == 0 ? 1 : 1 - both / either;
}

double operator_result(OperatorResult result, double distance)
{
    return result == OperatorResult::square_root ? std::sqrt(distance)
           : result == OperatorResult::halved    ? distance / 2
                                                 : distance;
}

struct CodecTest : testing::TestWithParam<Kind> {
    const CodecSpec& spec = GetParam().spec;
    Owned<Codec> codec = make_codec(spec);
    const Geometry geometry = traits_of(spec.metric).geometry;
    std::mt19937 rng{7};
    Vec<float> scratch;

    CodecTest()
    {
        if (const Owned<Training> training = codec->training()) {
            // Training takes long, so all tests of a codec use the same parameters.
            struct Learnt {
                std::vector<half> parameters;
                std::mt19937 rng;
            };
            static std::map<std::string, Learnt> learnt;
            Learnt& l = learnt[GetParam().name];
            if (l.parameters.empty()) {
                for (int i = 0; i < 300; i++)
                    training->add(sample(false).view());
                l.parameters.resize(codec->parameter_count());
                training->finish(1, l.parameters.data(), [] {});
                l.rng = rng;
            }
            codec->set_parameters(l.parameters.data());
            rng = l.rng;
        }
    }

    // As rotation makes them: coordinates are alike. Away from the origin, so that a centre is of use.
    Sample sample(bool prepared = true)
    {
        std::normal_distribution<float> normal(0.3f, 1);
        Sample s;
        const uint32_t n = codec->traits.padded;
        if (spec.form == Form::dense) {
            for (uint32_t i = 0; i < n; i++)
                s.dense.push_back(i < spec.dims || codec->traits.rotated ? normal(rng) : 0);
            if (codec->metric.prepare) {
                EXPECT_TRUE(codec->metric.prepare(s.dense.data(), s.dense.size(), s.dense.data()));
            }
            if (prepared)
                codec->prepare(s.dense.data());
            s.x.assign(s.dense.begin(), s.dense.end());
        } else if (spec.form == Form::bits) {
            s.bits.resize(codec->traits.code_bytes);
            for (uint32_t i = 0; i < n; i++) {
                const bool one = i < spec.dims && rng() % 3 == 0;
                s.bits[i / 8] |= static_cast<uint8_t>(one << (7 - i % 8));
                s.x.push_back(one);
            }
        } else {
            s.x.resize(spec.dims);
            for (uint32_t i = 0; i < spec.dims; i++)
                if (rng() % 8 == 0) {
                    s.index.push_back(static_cast<int32_t>(i));
                    s.value.push_back(normal(rng));
                    s.x[i] = s.value.back();
                }
        }
        return s;
    }
    // What a code stands for.
    std::vector<double> decoded(const Code& code)
    {
        const Value v = codec->decode(code, scratch);
        std::vector<double> x;
        if (v.dense)
            x.assign(v.dense, v.dense + codec->traits.padded);
        else if (v.bits)
            for (uint32_t i = 0; i < codec->traits.padded; i++)
                x.push_back(v.bits[i / 8] >> (7 - i % 8) & 1);
        else {
            x.resize(spec.dims);
            for (size_t i = 0; i < v.sparse.count; i++)
                x[static_cast<size_t>(v.sparse.index[i])] = v.sparse.value[i];
        }
        return x;
    }
    double size_of(const std::vector<double>& x) const
    {
        double sum = 0;
        for (const double v : x)
            sum += geometry == Geometry::taxicab ? std::fabs(v) : v * v;
        return geometry == Geometry::taxicab ? sum : std::sqrt(sum);
    }
};

TEST_P(CodecTest, CodesStandForTheirVectors)
{
    for (int i = 0; i < 20; i++) {
        const Sample s = sample();
        Vec<uint8_t> buffer;
        const Code code = codec->encode(s.view(), buffer);
        EXPECT_EQ(code.length,
                  codec->traits.varies_in_length ? s.index.size() * 8 : codec->traits.code_bytes);
        const std::vector<double> x = decoded(code);
        std::vector<double> difference(x.size());
        for (size_t j = 0; j < x.size(); j++)
            difference[j] = s.x[j] - x[j];
        const double error = size_of(difference), size = size_of(x);
        EXPECT_LE(error, code.params.error + 1e-6 * size);   // the decoder rounds differently
        EXPECT_LE(code.params.error, GetParam().most_error * size_of(s.x));
        const double norm2 = geometry == Geometry::taxicab ? size : size * size;
        EXPECT_NEAR(code.params.norm2, norm2, 1e-5 * norm2);
    }
}

TEST_P(CodecTest, Distances)
{
    const Owned<CodecQuery> query = codec->query();
    const Owned<CodeComparer> comparer = codec->comparer();
    for (int i = 0; i < 20; i++) {
        const Sample q = sample(), a = sample(), b = sample();
        Vec<uint8_t> a_buffer, b_buffer;
        const Code x = codec->encode(a.view(), a_buffer), y = codec->encode(b.view(), b_buffer);
        const std::vector<double> dx = decoded(x), dy = decoded(y);
        const double slack =
            1e-5 * (1 + size_of(dx) * (1 + size_of(dy)) + size_of(q.x) * size_of(dx));
        EXPECT_NEAR(codec->distance(x, y), distance_of(geometry, dx, dy), slack);
        comparer->set(x);
        EXPECT_NEAR(comparer->distance(y), distance_of(geometry, dx, dy), slack);
        query->set(q.view());
        // (The query of 16 bits a coordinate is off by what its bounds know.)
        EXPECT_NEAR(query->distance(x), distance_of(geometry, q.x, dx), 4 * slack);
        EXPECT_NEAR(query->norm2(),
                    geometry == Geometry::taxicab ? size_of(q.x) : size_of(q.x) * size_of(q.x),
                    slack);
    }
}

TEST_P(CodecTest, BoundsHoldAndAreTight)
{
    const Owned<CodecQuery> query = codec->query();
    const bool by_chance = codec->traits.order == CodecTraits::Order::by_chance;
    int likely_misses = 0, count = 0;
    double width = 0, likely_width = 0, fine_width = 0, error = 0;
    for (int i = 0; i < 400; i++) {
        const Sample q = sample(), a = sample();
        Vec<uint8_t> buffer;
        const Code x = codec->encode(a.view(), buffer);
        query->set(q.view());
        const double distance =
            operator_result(codec->metric.result, distance_of(geometry, q.x, a.x));
        const Bounds certain = query->bounds(query->distance(x), x.params.norm2, x.params.error),
                     likely =
                         query->likely_bounds(query->distance(x), x.params.norm2, x.params.error);
        ASSERT_LE(certain.low, distance);
        ASSERT_GE(certain.high, distance);
        likely_misses += distance < likely.low || distance > likely.high;
        width += certain.high - certain.low;
        likely_width += likely.high - likely.low;
        error += x.params.error;
        if (codec->traits.has_fine_code) {
            const Bounds fine = query->fine_bounds(x);
            ASSERT_LE(fine.low, distance);
            ASSERT_GE(fine.high, distance);
            fine_width += fine.high - fine.low;
        }
        count++;
    }
    if (by_chance) {
        EXPECT_LE(likely_misses, count * 2 / 100);   // 1 in 741 in theory, of each side
        EXPECT_LT(likely_width, width / 2);
    } else
        EXPECT_EQ(likely_misses, 0);
    if (codec->traits.has_fine_code) {
        EXPECT_LT(fine_width, width / (spec.bits == 12 ? 6 : 30));
    }
    // Not wider than the error makes them, but for rounding.
    if (codec->metric.result == OperatorResult::square_root) {
        EXPECT_LT(width, 2.3 * error + 4e-3 * count);
    }
}

// The query lies in the direction of the error, so the whole error is in the distance.
TEST_P(CodecTest, BoundsHoldInTheDirectionOfTheError)
{
    if (spec.form != Form::dense || GetParam().most_error == 0)
        return;
    const Owned<CodecQuery> query = codec->query();
    const uint32_t n = codec->traits.padded, more_bits = spec.bits - 8;
    for (int i = 0; i < 10; i++) {
        const Sample a = sample();
        Vec<uint8_t> buffer;
        const Code x = codec->encode(a.view(), buffer);
        std::vector<double> coarse = decoded(x), fine(n);
        if (codec->traits.has_fine_code)
            for (uint32_t j = 0; j < n; j++)
                fine[j] = scalar_fine_decode(
                    x.params, x.bytes[j],
                    scalar_fine_at(x.bytes + n + sizeof(FineParams), n, more_bits, j), more_bits);
        for (const bool by_fine : {false, true})
            for (const double by : {-10000.0, -3.0, 0.5, 3.0, 10000.0}) {
                if (by_fine && !codec->traits.has_fine_code)
                    continue;
                const std::vector<double>& to = by_fine ? fine : coarse;
                Sample q;
                for (uint32_t j = 0; j < n; j++)
                    q.dense.push_back(static_cast<float>(
                        (geometry == Geometry::inner_product ? 0 : to[j]) + by * (a.x[j] - to[j])));
                q.x.assign(q.dense.begin(), q.dense.end());
                query->set(q.view());
                const double distance =
                    operator_result(codec->metric.result, distance_of(geometry, q.x, a.x));
                const Bounds b =
                    by_fine ? query->fine_bounds(x)
                            : query->bounds(query->distance(x), x.params.norm2, x.params.error);
                EXPECT_LE(b.low, distance) << by_fine << " " << by;
                EXPECT_GE(b.high, distance) << by_fine << " " << by;
            }
    }
}

TEST_P(CodecTest, BoundsOfWhatOverflows)
{
    if (spec.form != Form::dense)
        return;
    Sample q = sample(), a = sample();
    for (float& v : a.dense)
        v *= 1e30f;
    Vec<uint8_t> buffer;
    const Owned<CodecQuery> query = codec->query();
    for (const bool long_query : {false, true}) {
        const Code x = codec->encode(long_query ? q.view() : a.view(), buffer);
        query->set(long_query ? a.view() : q.view());
        const Bounds b = query->bounds(query->distance(x), x.params.norm2, x.params.error);
        double distance = 0;
        for (size_t i = 0; i < a.dense.size(); i++)
            distance += geometry == Geometry::inner_product
                            ? -static_cast<double>(a.dense[i]) * q.dense[i]
                        : geometry == Geometry::taxicab
                            ? std::fabs(static_cast<double>(a.dense[i]) - q.dense[i])
                            : std::pow(static_cast<double>(a.dense[i]) - q.dense[i], 2);
        distance = operator_result(codec->metric.result, distance);
        EXPECT_LE(b.low, distance * (1 + 1e-5 * (distance < 0 ? -1 : 1)));
        EXPECT_GE(b.high, distance * (1 - 1e-5 * (distance < 0 ? -1 : 1)));
    }
}

TEST_P(CodecTest, SameAndHeldCodes)
{
    const Sample a = sample(), b = sample();
    Vec<uint8_t> first, second, other;
    const Code x = codec->encode(a.view(), first), again = codec->encode(a.view(), second),
               y = codec->encode(b.view(), other);
    EXPECT_TRUE(codec->same(x, again));
    EXPECT_FALSE(codec->same(x, y));
    EXPECT_TRUE(codec->holds(x, a.view()));
    EXPECT_FALSE(codec->holds(x, b.view()));
    // A change of any part of the code is noticed, but for unused bits.
    if (codec->traits.has_fine_code) {
        second[codec->traits.padded + sizeof(float) * 2] ^= 0xff;
        second[codec->traits.padded + sizeof(float) * 2 + 9] ^= 0xff;
        EXPECT_FALSE(codec->same(x, again));
        EXPECT_FALSE(codec->holds(again, a.view()));
    }
    if (spec.form == Form::dense) {
        Code scaled = x;
        scaled.params.scale *= 2;
        if (spec.bits != 32) {
            EXPECT_FALSE(codec->same(x, scaled));
            EXPECT_FALSE(codec->holds(scaled, a.view()));
        }
    }
}

TEST_P(CodecTest, ShiftedCodesAreNotTheSame)
{
    if (spec.form != Form::dense)
        return;
    const Sample a = sample();
    Vec<uint8_t> buffer;
    const Code x = codec->encode(a.view(), buffer);
    Code shifted = x;
    shifted.params.offset += 1;
    EXPECT_FALSE(codec->same(x, shifted));
}

// Another CPU may round a vector differently, but not move it farther than its code's error.
TEST_P(CodecTest, OnlyRoundedVectorsAreHeld)
{
    if (spec.form != Form::dense)
        return;
    for (int i = 0; i < 20; i++) {
        Sample a = sample();
        Vec<uint8_t> buffer;
        const Code x = codec->encode(a.view(), buffer);
        const std::vector<double> code = decoded(x);
        Sample rounded = a, moved = a;
        const auto n = static_cast<float>(a.dense.size());
        const float by =
            3 * x.params.error / (geometry == Geometry::taxicab ? n : std::sqrt(n)) + 1e-3f;
        for (size_t j = 0; j < a.dense.size(); j++) {
            // Away from what the code stands for
            rounded.dense[j] = std::nextafter(a.dense[j], a.dense[j] > code[j] ? 1e9f : -1e9f);
            moved.dense[j] += by;
        }
        EXPECT_TRUE(codec->holds(x, rounded.view()));
        EXPECT_FALSE(codec->holds(x, moved.view()));
        for (float& v : a.dense)
            v *= 1e30f;
        EXPECT_TRUE(codec->holds(codec->encode(a.view(), buffer), a.view()));   // it overflows
    }
}

TEST_P(CodecTest, ZeroAndEqualCoordinates)
{
    const Owned<CodecQuery> query = codec->query();
    for (const float all : {0.0f, 1.0f, -2.5f}) {
        Sample s;
        if (spec.form == Form::dense)
            s.dense.assign(codec->traits.padded, all);
        else if (spec.form == Form::bits)
            s.bits.assign(codec->traits.code_bytes, all > 0 ? 255 : 0);
        Vec<uint8_t> buffer;
        const Code x = codec->encode(s.view(), buffer);
        query->set(s.view());
        const Bounds b = query->bounds(query->distance(x), x.params.norm2, x.params.error);
        EXPECT_TRUE(std::isfinite(query->distance(x)));
        EXPECT_TRUE(codec->holds(x, s.view()));
        if (geometry == Geometry::euclidean || geometry == Geometry::taxicab ||
            geometry == Geometry::hamming) {
            EXPECT_LE(b.low, 0);
            EXPECT_GE(b.high, 0);
        }
    }
}

// Codes of few bits are of vectors from which the mean was taken, where that changes no distance.
TEST_P(CodecTest, TheCentreMakesErrorsSmaller)
{
    if (codec->traits.order != CodecTraits::Order::by_chance)
        return;
    double moved = 0, before = 0, after = 0;
    for (int i = 0; i < 50; i++) {
        Sample s = sample(false);
        const std::vector<float> away = s.dense;
        Vec<uint8_t> buffer;
        before += codec->encode(s.view(), buffer).params.error;
        codec->prepare(s.dense.data());
        after += codec->encode(s.view(), buffer).params.error;
        for (size_t j = 0; j < away.size(); j++)
            moved += std::fabs(away[j] - s.dense[j]);
    }
    if (geometry == Geometry::euclidean)
        EXPECT_LT(after, 0.98 * before);
    else
        EXPECT_EQ(moved, 0);
}

constexpr Kind kinds[] = {
    {"scalar_l2", {Form::dense, Metric::l2, 100, 8}, 0.01},
    {"scalar_ip", {Form::dense, Metric::ip, 192, 8}, 0.01},
    {"scalar_cosine", {Form::dense, Metric::cosine, 384, 8}, 0.01},
    {"fine12_l2", {Form::dense, Metric::l2, 300, 12}, 0.01},
    {"fine12_cosine", {Form::dense, Metric::cosine, 384, 12}, 0.01},
    {"fine16_ip", {Form::dense, Metric::ip, 192, 16}, 0.01},
    {"fine16_l2", {Form::dense, Metric::l2, 64, 16}, 0.01},
    {"full_l2", {Form::dense, Metric::l2, 100, 32}, 0},
    {"full_ip", {Form::dense, Metric::ip, 100, 32}, 0},
    {"product4_l2", {Form::dense, Metric::l2, 128, 4}, 0.25},
    {"product2_ip", {Form::dense, Metric::ip, 384, 2}, 0.6},
    {"product2_cosine", {Form::dense, Metric::cosine, 384, 2}, 0.6},
    {"product1_l2", {Form::dense, Metric::l2, 768, 1}, 0.8},
    {"taxicab", {Form::dense, Metric::l1, 101, 8}, 0.01},
    {"taxicab_wide", {Form::dense, Metric::l1, 700, 8}, 0.01},
    {"hamming", {Form::bits, Metric::hamming, 100, 8}, 0},
    {"jaccard", {Form::bits, Metric::jaccard, 700, 8}, 0},
    {"sparse_l2", {Form::sparse, Metric::l2, 500, 8}, 0},
    {"sparse_ip", {Form::sparse, Metric::ip, 500, 8}, 0},
    {"sparse_l1", {Form::sparse, Metric::l1, 500, 8}, 0},
};
INSTANTIATE_TEST_SUITE_P(Codecs, CodecTest, testing::ValuesIn(kinds),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Codecs, WhatNoCodecFits)
{
    EXPECT_FALSE(find_codec({Form::dense, Metric::l2, 10, 3}));
    EXPECT_FALSE(find_codec({Form::dense, Metric::l1, 10, 16}));
    EXPECT_FALSE(find_codec({Form::dense, Metric::hamming, 10, 8}));
    EXPECT_FALSE(find_codec({Form::bits, Metric::l2, 10, 8}));
    EXPECT_FALSE(find_codec({Form::sparse, Metric::jaccard, 10, 8}));
    for (const Kind& kind : kinds)
        EXPECT_TRUE(find_codec(kind.spec)) << kind.name;
    EXPECT_FALSE(is_metric(Metric{0}));
    EXPECT_TRUE(is_metric(static_cast<Metric>(std::size(metrics))));
    EXPECT_FALSE(is_metric(static_cast<Metric>(std::size(metrics) + 1)));
}

TEST(Codecs, BitStringsWithoutCommonBitsAreFarthest)
{
    const Owned<Codec> codec = make_codec({Form::bits, Metric::jaccard, 64, 8});
    const uint8_t none[8] = {}, some[8] = {0xf0}, others[8] = {0x0f, 1};
    Vec<uint8_t> buffer[3];
    const Code codes[] = {codec->encode({.bits = none}, buffer[0]),
                          codec->encode({.bits = some}, buffer[1]),
                          codec->encode({.bits = others}, buffer[2])};
    for (const Code& x : codes)
        for (const Code& y : codes)
            if (&x != &y || &x == codes) {
                EXPECT_EQ(codec->distance(x, y), 1);
            }
}

// The rounding of a vector grows with its distance from the origin, not with that from the centre.
TEST(Codecs, VectorsAtAFarCentreAreHeld)
{
    const Owned<Codec> codec = make_codec({Form::dense, Metric::l2, 64, 4});
    std::vector<half> parameters(codec->parameter_count(),
                                 to_half(10000.0f));   // the centre is last
    codec->set_parameters(parameters.data());
    std::vector<float> at(64, 10000.0f), beside(64, std::nextafter(10000.0f, 20000.0f));
    codec->prepare(at.data());
    codec->prepare(beside.data());
    Vec<uint8_t> buffer;
    const Code code = codec->encode({.dense = at.data()}, buffer);
    EXPECT_TRUE(codec->holds(code, {.dense = beside.data()}));
}

TEST(Metrics, UnitLength)
{
    float x[] = {3, 0, 4};
    EXPECT_TRUE(to_unit_length(x, 3, x));
    EXPECT_FLOAT_EQ(x[0], 0.6f);
    EXPECT_FLOAT_EQ(x[2], 0.8f);
    const float zero[3] = {};
    EXPECT_FALSE(to_unit_length(zero, 3, x));
}

}   // namespace
