// Sketches of neighbours against plain loops in double: estimates of a query's distances, and distances among the neighbours.
#include "codec/sketch.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

using namespace quiver;
using namespace quiver::codec;

namespace {

struct Kind {
    const char* name;
    CodecSpec spec;
    uint32_t fold;
    // Of estimates, relative to |q - c| |x - c|, root mean square: some 1.2 / sqrt(bits). 0: they are exact.
    double most_error;
};
void PrintTo(const Kind& kind, std::ostream* to) { *to << kind.name; }

constexpr Kind kinds[] = {
    {"l2", {Form::dense, Metric::l2, 256, 8}, 1, 0.08},
    {"ip", {Form::dense, Metric::ip, 256, 8}, 1, 0.08},
    {"cosine", {Form::dense, Metric::cosine, 384, 16}, 1, 0.07},
    {"folded_l2", {Form::dense, Metric::l2, 500, 8}, 3, 0.12},
    {"folded_ip", {Form::dense, Metric::ip, 512, 8}, 4, 0.12},
    {"full", {Form::dense, Metric::l2, 256, 32}, 2, 0.12},
    {"hamming", {Form::bits, Metric::hamming, 100, 8}, 1, 0},
    {"jaccard", {Form::bits, Metric::jaccard, 300, 8}, 1, 0},
};

constexpr uint32_t stride = 20, count = 18;

struct SketchTest : testing::TestWithParam<Kind> {
    const Kind& kind = GetParam();
    Owned<Codec> codec = make_codec(kind.spec);
    Owned<Sketches> sketches = make_sketches(*codec, kind.fold);
    const Geometry geometry = codec->metric.geometry;
    const SketchShape shape = sketches->shape();
    std::mt19937 rng{5};
    // A node, its neighbours, and a query.
    std::vector<std::vector<float>> dense;
    std::vector<std::vector<uint8_t>> bits;
    std::vector<Vec<uint8_t>> buffers = std::vector<Vec<uint8_t>>(count + 2);
    std::vector<Code>
        codes;   // 0: the node; then its neighbours, of which the last is the newcomer
    Value query_value;
    std::vector<uint64_t> words = std::vector<uint64_t>(stride * shape.words);
    std::vector<float> a = std::vector<float>(stride), b = std::vector<float>(stride);
    Owned<SketchEncoder> encoder = sketches->encoder();

    Value value(size_t i) const
    {
        return kind.spec.form == Form::dense ? Value{.dense = dense[i].data()}
                                             : Value{.bits = bits[i].data()};
    }
    SketchTest()
    {
        std::normal_distribution<float> normal(0, 1);
        for (size_t i = 0; i < count + 3; i++) {   // the last is the query
            std::vector<float> x;
            std::vector<uint8_t> y(codec->traits.padded / 8);
            for (uint32_t j = 0; j < codec->traits.padded; j++) {
                x.push_back(normal(rng) * 0.5f + (i > 0 ? dense[0][j] : 2.0f * normal(rng)));
                if (j < kind.spec.dims && rng() % 2)
                    y[j / 8] |= static_cast<uint8_t>(128 >> j % 8);
            }
            dense.push_back(x);
            bits.push_back(y);
        }
        // The last neighbour equals the node.
        dense[count] = dense[0];
        bits[count] = bits[0];
        for (size_t i = 0; i < count + 2; i++)
            codes.push_back(codec->encode(value(i), buffers[i]));
        query_value = value(count + 2);
        encoder->set_centre(codes[0]);
        for (uint32_t i = 0; i < count; i++) {
            encoder->encode(codes[i + 1]);
            const Sketch s = encoder->sketch();
            a[i] = s.factors.a;
            b[i] = s.factors.b;
            for (uint32_t w = 0; w < shape.words; w++)
                words[w * stride + i] = s.bits[w];
        }
    }
    SketchBlock block(uint32_t n = count) const
    {
        return {words.data(), a.data(), b.data(), stride, n};
    }
    std::vector<double> decoded(size_t i) const
    {
        Vec<float> scratch;
        const Value v = codec->decode(codes[i], scratch);
        std::vector<double> x;
        for (uint32_t j = 0; j < codec->traits.padded; j++)
            x.push_back(v.dense ? v.dense[j] : v.bits[j / 8] >> (7 - j % 8) & 1);
        return x;
    }
    double distance(const std::vector<double>& x, const std::vector<double>& y) const
    {
        double l2 = 0, ip = 0, differ = 0, both = 0;
        for (size_t i = 0; i < x.size(); i++) {
            l2 += (x[i] - y[i]) * (x[i] - y[i]);
            ip += x[i] * y[i];
            differ += x[i] != y[i];
            both += x[i] != 0 && y[i] != 0;
        }
        return geometry == Geometry::euclidean       ? l2
               : geometry == Geometry::inner_product ? -ip
               : geometry == Geometry::hamming       ? differ
               : both == 0                           ? 1
                                                     : 1 - both / (both + differ);
    }
    static double l2(const std::vector<double>& x, const std::vector<double>& y)
    {
        double sum = 0;
        for (size_t i = 0; i < x.size(); i++)
            sum += (x[i] - y[i]) * (x[i] - y[i]);
        return std::sqrt(sum);
    }
};

TEST_P(SketchTest, Estimates)
{
    const Owned<CodecQuery> own = codec->query();
    const Owned<SketchQuery> query = sketches->query();
    own->set(query_value);
    query->set(*own);
    std::vector<double> q, c = decoded(0);
    for (uint32_t j = 0; j < codec->traits.padded; j++)
        q.push_back(query_value.dense ? query_value.dense[j]
                                      : query_value.bits[j / 8] >> (7 - j % 8) & 1);
    const float to_node = own->distance(codes[0]);
    std::vector<float> estimate(stride + 8);
    uint64_t near[4] = {};
    query->estimate(block(), to_node, codes[0].params.norm2, INFINITY, estimate.data(), near);
    double square = 0, bias = 0;
    for (uint32_t i = 0; i < count; i++) {
        const std::vector<double> x = decoded(i + 1);
        const double error = estimate[i] - distance(q, x);
        if (kind.most_error == 0)
            EXPECT_NEAR(error, 0, 1e-6);
        else {
            if (i == count - 1) {   // equals the node
                EXPECT_NEAR(error, 0, 1e-3 * (1 + std::fabs(to_node)));
                continue;
            }
            const double scale = (geometry == Geometry::euclidean ? 2 : 1) * l2(q, c) * l2(x, c);
            square += error * error / scale / scale;
            bias += error / scale;
        }
        EXPECT_TRUE(near[0] >> i & 1);
    }
    if (kind.most_error > 0) {
        EXPECT_LT(std::sqrt(square / count), kind.most_error);
        EXPECT_LT(std::fabs(bias / count), kind.most_error / 2);
    }
    // Those of at most the limit are near.
    const float limit = estimate[count / 2];
    query->estimate(block(), to_node, codes[0].params.norm2, limit, estimate.data(), near);
    for (uint32_t i = 0; i < count; i++)
        EXPECT_EQ(near[0] >> i & 1, estimate[i] <= limit) << i;
}

TEST_P(SketchTest, DistancesAmongNeighbours)
{
    encoder->encode(codes[count + 1]);
    const Owned<SketchedSet> set = sketches->set();
    set->set(block(), codes[0], *encoder);
    double square = 0, to_centre = 0;
    int pairs = 0;
    for (uint32_t i = 0; i <= count; i++) {
        const std::vector<double> x = decoded(i + 1), c = decoded(0);
        EXPECT_EQ(set->equals_centre(i), i == count - 1) << i;
        const double error = set->distance(i) - distance(c, x);
        if (kind.most_error == 0)
            EXPECT_NEAR(error, 0, 1e-6);
        else if (i != count - 1)
            to_centre += error * error /
                         std::pow(l2(x, c) * (l2(x, c) + l2(c, std::vector<double>(c.size()))), 2);
        for (uint32_t j = 0; j < i; j++) {
            const std::vector<double> y = decoded(j + 1);
            const double off = set->pair(i, j) - distance(x, y);
            if (kind.most_error == 0)
                EXPECT_NEAR(off, 0, 1e-6);
            else if (i != count - 1 && j != count - 1) {
                square += off * off / std::pow(l2(x, c) * l2(y, c), 2);
                pairs++;
            }
        }
    }
    if (kind.most_error > 0) {
        EXPECT_LT(std::sqrt(square / pairs), geometry == Geometry::inner_product ? 1.2 : 0.4);
        EXPECT_LT(std::sqrt(to_centre / (count + 1)), 0.15);
    }
}

TEST_P(SketchTest, HeldSketches)
{
    encoder->encode(codes[1]);
    std::vector<uint64_t> made(encoder->sketch().bits, encoder->sketch().bits + shape.words);
    const Sketch first{encoder->sketch().factors, made.data()};
    EXPECT_TRUE(sketches->holds(first, encoder->sketch(), 0.01f));
    Sketch other = first;
    other.factors.a += 1;
    EXPECT_FALSE(sketches->holds(other, encoder->sketch(), 0.01f));
    other = first;
    other.factors.b *= 1.01f;
    if (shape.factors == 2) {
        EXPECT_FALSE(sketches->holds(other, encoder->sketch(), 0.01f));
    }
    encoder->encode(codes[2]);
    EXPECT_FALSE(sketches->holds(first, encoder->sketch(), 1e9f));
}

// The factors are right, the bits are not.
TEST_P(SketchTest, SketchesOfOtherBitsAreNotHeld)
{
    encoder->encode(codes[1]);
    std::vector<uint64_t> turned(encoder->sketch().bits, encoder->sketch().bits + shape.words);
    for (uint64_t& word : turned)
        word ^= 7;
    EXPECT_FALSE(
        sketches->holds({encoder->sketch().factors, turned.data()}, encoder->sketch(), 0.01f));
}

// Lengths of residuals follow from the factors; with folds, only some of a sketch's bits are in use.
TEST_P(SketchTest, DistancesToTheNodeAreUnbiased)
{
    if (geometry != Geometry::euclidean)
        return;
    encoder->encode(codes[count + 1]);
    const Owned<SketchedSet> set = sketches->set();
    set->set(block(), codes[0], *encoder);
    const std::vector<double> c = decoded(0);
    double estimated = 0, exact = 0;
    for (uint32_t i = 0; i <= count; i++) {
        estimated += set->distance(i);
        exact += distance(c, decoded(i + 1));
    }
    EXPECT_NEAR(estimated / exact, 1, 0.08);
}

INSTANTIATE_TEST_SUITE_P(Sketches, SketchTest, testing::ValuesIn(kinds),
                         [](const auto& info) { return std::string(info.param.name); });

// The share of rows that are nearer than their bounds is the normal distribution's tail, whatever the metric, the
// distance to the centre and the length of the row.
class LowerBounds : public testing::TestWithParam<Metric> {};

TEST_P(LowerBounds, AreViolatedAsOftenAsDeviationsSay)
{
    constexpr uint32_t dims = 384, rows = 4000, of_block = 40;
    const Owned<Codec> codec = make_codec({Form::dense, GetParam(), dims, 8});
    const Owned<Sketches> sketches = make_sketches(*codec, 1);
    const Owned<SketchEncoder> encoder = sketches->encoder();
    const Owned<CodecQuery> own = codec->query();
    const Owned<SketchQuery> query = sketches->query();
    const uint32_t shape_words = sketches->shape().words;
    const bool unit = codec->metric.prepare != nullptr;
    std::mt19937 rng(8);
    std::normal_distribution<float> normal(0, 1);
    const auto random = [&](const std::vector<float>& around, float spread) {
        std::vector<float> x;
        for (uint32_t j = 0; j < dims; j++)
            x.push_back((around.empty() ? 0 : around[j]) + spread * normal(rng));
        if (unit)
            codec->metric.prepare(x.data(), x.size(), x.data());
        return x;
    };
    const std::vector<float> origin;
    uint32_t violated[4] = {}, count = 0;
    for (uint32_t block = 0; block < rows / of_block; block++) {
        const std::vector<float> c = random(origin, 1);
        Vec<uint8_t> buffer, centre_bytes;
        const Code centre = codec->encode({.dense = c.data()}, centre_bytes);
        encoder->set_centre(centre);
        std::vector<uint64_t> words(of_block * shape_words);
        std::vector<float> a(of_block), b(of_block), distance;
        // Queries are near or far.
        const std::vector<float> q = random(block % 4 == 0 ? origin : c, block % 4 == 1 ? 0.3f : 1);
        own->set({.dense = q.data()});
        query->set(*own);
        for (uint32_t i = 0; i < of_block; i++) {
            const std::vector<float> x = random(c, i % 2 ? 0.7f : 0.2f);
            const Code code = codec->encode({.dense = x.data()}, buffer);
            distance.push_back(own->distance(code));
            encoder->encode(code);
            a[i] = encoder->sketch().factors.a;
            b[i] = encoder->sketch().factors.b;
            for (uint32_t w = 0; w < shape_words; w++)
                words[w * of_block + i] = encoder->sketch().bits[w];
        }
        std::vector<float> estimate(of_block + 8), bound(of_block + 8);
        uint64_t near[1];
        const SketchBlock all = {words.data(), a.data(), b.data(), of_block, of_block};
        query->estimate(all, own->distance(centre), centre.params.norm2, INFINITY, estimate.data(),
                        near);
        for (uint32_t deviations = 0; deviations <= 3; deviations++) {
            const float limit = distance[7];
            query->lower_bounds(all, own->distance(centre), centre.params.norm2,
                                static_cast<float>(deviations), limit, bound.data(), near);
            for (uint32_t i = 0; i < of_block; i++) {
                violated[deviations] += bound[i] > distance[i];
                ASSERT_EQ(near[0] >> i & 1, bound[i] <= limit);
                if (deviations == 0) {
                    ASSERT_EQ(bound[i], estimate[i]);
                } else
                    ASSERT_LT(bound[i], estimate[i]);
            }
        }
        count += of_block;
    }
    const auto share = [&](uint32_t deviations) {
        return violated[deviations] / static_cast<double>(count);
    };
    EXPECT_NEAR(share(0), 0.5, 0.05);
    EXPECT_NEAR(share(1), 0.159, 0.04);
    EXPECT_NEAR(share(2), 0.0228, 0.015);
    EXPECT_LT(share(3), 0.004);
}

INSTANTIATE_TEST_SUITE_P(Metrics, LowerBounds,
                         testing::Values(Metric::l2, Metric::ip, Metric::cosine),
                         [](const auto& info) { return std::string(traits_of(info.param).name); });

// No bit is set in either: as far as can be, as for the operator.
TEST(Sketches, EmptyBitStrings)
{
    const Owned<Codec> codec = make_codec({Form::bits, Metric::jaccard, 64, 8});
    const Owned<Sketches> sketches = make_sketches(*codec, 1);
    const uint8_t zero[8] = {};
    const Owned<CodecQuery> own = codec->query();
    own->set({.bits = zero});
    const Owned<SketchQuery> query = sketches->query();
    query->set(*own);
    const uint64_t bits[4] = {};
    const float a[4] = {};
    float estimate[12];
    uint64_t near[1];
    query->estimate({bits, a, nullptr, 4, 1}, 1, 0, INFINITY, estimate, near);
    EXPECT_EQ(estimate[0], 1);
    EXPECT_TRUE(near[0] & 1);
}

TEST(Sketches, WhoHasSome)
{
    EXPECT_EQ(sketch_shape({Form::dense, Metric::l2, 384, 8}, 1).words, 6u);
    EXPECT_EQ(sketch_shape({Form::dense, Metric::l2, 384, 8}, 2).words, 3u);
    EXPECT_EQ(sketch_shape({Form::dense, Metric::l2, 384, 8}, 2).factors, 2u);
    EXPECT_EQ(sketch_shape({Form::dense, Metric::l2, 384, 8}, 0).words, 0u);
    EXPECT_EQ(sketch_shape({Form::dense, Metric::l1, 384, 8}, 1).words, 0u);
    EXPECT_EQ(sketch_shape({Form::sparse, Metric::l2, 384, 8}, 1).words, 0u);
    EXPECT_EQ(sketch_shape({Form::bits, Metric::hamming, 100, 8}, 1).words, 2u);
    EXPECT_EQ(sketch_shape({Form::bits, Metric::hamming, 100, 8}, 1).factors, 1u);
    EXPECT_EQ(sketch_shape({Form::bits, Metric::hamming, 100, 8}, 2).words, 0u);
}

}   // namespace
