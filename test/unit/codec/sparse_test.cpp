// Sparse vectors in hash tables, compared with others on every instruction set, against sums in
// double. The vectors that are looked up end at a page that may not be read.
#include "codec/sparse_hash.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "codec/codec.hpp"
#include "guarded_buffer.hpp"

using namespace quiver;
using namespace quiver::codec;
using simd::SparseTerms;
using simd::SparseView;

namespace {

using Elements = std::map<int32_t, float>;

// A copy of a vector, which ends at a page that may not be touched.
struct Sparse {
    GuardedBuffer<int32_t> index;
    GuardedBuffer<float> value;

    explicit Sparse(const Elements& x) : index(x.size()), value(x.size())
    {
        size_t n = 0;
        for (const auto& [i, v] : x) {
            index[n] = i;
            value[n++] = v;
        }
    }
    SparseView view() const { return {index.data(), value.data(), index.size()}; }
};

struct Expected {
    double l2sq = 0, ip = 0, l1 = 0;
    double ip_magnitude = 0;   // the sum of the absolute terms

    Expected(const Elements& a, const Elements& b)
    {
        std::set<int32_t> all;
        for (const Elements& x : {a, b})
            for (const auto& [i, v] : x)
                all.insert(i);
        const auto at = [](const Elements& x, int32_t i) {
            const auto found = x.find(i);
            return found == x.end() ? 0.0 : found->second;
        };
        for (const int32_t i : all) {
            const double x = at(a, i), y = at(b, i);
            l2sq += (x - y) * (x - y);
            l1 += std::fabs(x - y);
            ip += x * y;
            ip_magnitude += std::fabs(x * y);
        }
    }
};

struct SparseTest : testing::TestWithParam<simd::Level> {
    const simd::Sparse& k = simd::kernels_at(GetParam()).sparse;
    std::mt19937 rng{5};

    float value() { return std::normal_distribution<float>()(rng); }
    Elements random(size_t n, int32_t dims)
    {
        Elements x;
        while (x.size() < n)
            x[static_cast<int32_t>(rng() % static_cast<uint32_t>(dims))] = value();
        return x;
    }
    void compare(const Elements& a, const Elements& b) const
    {
        const Sparse x(a), y(b);
        const Expected want(a, b);
        SparseHash hash;
        hash.set(x.view());
        const auto distance = [&](SparseTerms (*terms)(const simd::SparseTable&, SparseView)) {
            return terms(hash.table(), y.view()).apart +
                   (terms(hash.table(), x.view()).shared - terms(hash.table(), y.view()).shared);
        };
        double l2 = 0, l1 = 0;   // of a
        for (const auto& [i, v] : a) {
            l2 += static_cast<double>(v) * v;
            l1 += std::fabs(v);
        }
        EXPECT_NEAR(distance(k.l2sq_terms), want.l2sq, 1e-13 * (want.l2sq + l2));
        EXPECT_NEAR(distance(k.l1_terms), want.l1, 1e-13 * (want.l1 + l1));
        const SparseTerms ip = k.ip_terms(hash.table(), y.view());
        EXPECT_NEAR(ip.apart, want.ip, 1e-13 * want.ip_magnitude);
        EXPECT_EQ(ip.shared, 0);
    }
};

const size_t lengths[] = {0, 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 100, 1000, 16000};

TEST_P(SparseTest, AllLengths)
{
    for (const size_t n : lengths)
        for (const size_t m : lengths) {
            SCOPED_TRACE(std::to_string(n) + " and " + std::to_string(m) + " elements");
            // Half of the shorter vector's elements are in both.
            compare(random(n, static_cast<int32_t>(2 * std::max({n, m, size_t{1}}))),
                    random(m, static_cast<int32_t>(2 * std::max({n, m, size_t{1}}))));
            if (HasFailure())
                return;
        }
}

TEST_P(SparseTest, IndicesUpToTheMost)
{
    for (const size_t n : {1, 16, 300}) {
        Elements a = random(n, 1000000000), b = random(n, 1000000000);
        a[0] = b[0] = 1;
        a[999999999] = 2;
        b[999999999] = 3;
        compare(a, b);
        for (const auto& [i, v] : a)
            if (i % 2)
                b[i] = value();
        compare(a, b);
    }
}

TEST_P(SparseTest, NothingAndEverythingShared)
{
    for (const size_t n : {1, 5, 16, 77, 1000}) {
        Elements even, odd, same;
        for (int32_t i = 0; i < static_cast<int32_t>(n); i++) {
            even[2 * i] = value();
            odd[2 * i + 1] = value();
            same[2 * i] = value();
        }
        compare(even, odd);
        compare(even, same);
        compare(even, even);
    }
}

TEST_P(SparseTest, ManyIndicesOfOnePlace)
{
    // With 300 elements, the places are the highest 13 bits of the product: these are all the same.
    Elements a, b;
    std::vector<int32_t> indices;
    for (int32_t i = 0; indices.size() < 600; i++)
        if (static_cast<uint32_t>(i) * simd::SparseTable::factor >> 19 == 77)
            indices.push_back(i);
    for (size_t i = 0; i < indices.size(); i++) {
        if (i % 2)
            a[indices[i]] = value();
        if (i % 3)
            b[indices[i]] = value();
    }
    ASSERT_EQ(a.size(), 300u);
    compare(a, b);
    compare(b, a);
    compare(a, {});
    SparseHash hash;
    const Sparse x(a);
    hash.set(x.view());
    EXPECT_EQ(hash.table().rest.count, 299u);
    // The table can be used again.
    for (const size_t n : {3, 1000, 10, 0}) {
        const Elements c = random(n, 5000), d = random(100, 5000);
        const Sparse y(c), z(d);
        hash.set(y.view());
        EXPECT_NEAR(k.ip_terms(hash.table(), z.view()).apart, Expected(c, d).ip, 1e-9) << n;
        EXPECT_EQ(k.ip_terms(hash.table(), x.view()).apart, Expected(c, a).ip) << n;
    }
}

TEST_P(SparseTest, LargeAndSmallValues)
{
    const float most = std::numeric_limits<float>::max(), least = 1e-45f;
    for (const float v : {most, -most, 1e38f, least, -least}) {
        Elements a, b;
        for (int32_t i = 0; i < 40; i++) {
            a[3 * i] = v;
            b[2 * i] = -v;
        }
        compare(a, b);
        compare(a, a);
    }
    compare({{1, 1e6f}, {2, 1e-3f}}, {{1, 1e6f}});
}

INSTANTIATE_TEST_SUITE_P(Levels, SparseTest, testing::ValuesIn(simd::available_levels()),
                         [](const auto& info) { return simd::level_name(info.param); });

// Rows are equal if their distance is 0, whatever the sums are rounded to.
TEST(SparseCodec, EqualVectorsHaveDistance0)
{
    std::mt19937 rng(6);
    for (const simd::Level level : simd::available_levels()) {
        ASSERT_TRUE(simd::set_level(level));
        for (const Metric metric : {Metric::l2, Metric::cosine, Metric::l1}) {
            const Owned<Codec> codec = make_codec({Form::sparse, metric, 1000000, 8});
            const Owned<CodecQuery> query = codec->query();
            const Owned<CodeComparer> comparer = codec->comparer();
            for (size_t n = 0; n < 200; n++) {
                Elements x;
                while (x.size() < n)
                    x[static_cast<int32_t>(rng() % 1000000)] =
                        std::exp(3 * std::normal_distribution<float>()(rng));
                const Sparse sparse(x);
                Vec<uint8_t> buffer;
                Value value;
                value.sparse = sparse.view();
                const Code code = codec->encode(value, buffer);
                query->set(value);
                comparer->set(code);
                ASSERT_EQ(query->distance(code), 0) << n;
                ASSERT_EQ(comparer->distance(code), 0) << n;
                ASSERT_EQ(codec->distance(code, code), 0) << n;
                // A vector that has more elements is not nearer than that.
                x[1000000] = 1e-30f;
                const Sparse longer(x);
                value.sparse = longer.view();
                const Code other = codec->encode(value, buffer);
                ASSERT_GE(query->distance(other), 0) << n;
            }
        }
    }
    ASSERT_TRUE(simd::set_level(simd::available_levels().back()));
}

}   // namespace
