// The places in pages, and rows that are put there and removed.
#include "lists/layout.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <vector>

#include "lists/encoding.hpp"

using namespace quiver;
using namespace quiver::lists;
using codec::CodecSpec, codec::Form, codec::Metric;

namespace {

constexpr uint32_t page_bytes = 8160;

Layout layout_of(const CodecSpec& spec, bool filtered)
{
    return {codec::codec_traits(spec), codec::sketch_shape(spec, 1), spec.form == Form::bits,
            filtered, page_bytes};
}

// All parts are aligned, one behind the other, and within the page.
void check(const Layout& l, const std::string& what)
{
    SCOPED_TRACE(what);
    ASSERT_TRUE(l.fits());
    ASSERT_EQ(l.bits % 8, 0u);
    ASSERT_EQ(l.taken % 8, 0u);
    ASSERT_EQ(l.a % 4, 0u);
    ASSERT_EQ(l.b % 4, 0u);
    ASSERT_EQ(l.blocks % 4, 0u);
    ASSERT_EQ(l.tids % 2, 0u);
    ASSERT_EQ(l.filters % 2, 0u);
    ASSERT_GE(l.bits, sizeof(ListHeader));
    ASSERT_GE(l.taken, l.bits + l.words * l.entries * 8);
    ASSERT_GE(l.a, l.taken + (l.entries + 63) / 64 * 8);
    ASSERT_GE(l.b, l.a + l.entries * 4);
    ASSERT_GE(l.blocks, l.b + (l.has_b ? l.entries * 4 : 0));
    ASSERT_GE(l.tids, l.blocks + l.code_pages * 4);
    ASSERT_GE(l.filters, l.tids + l.entries * sizeof(Tid));
    ASSERT_GE(l.bytes, l.filters + (l.filtered ? l.entries * sizeof(FilterCode) : 0));
    ASSERT_LE(l.bytes, page_bytes);
    // The kernels take sketches with two factors four at a time.
    if (l.has_b) {
        ASSERT_EQ(l.entries % 4, 0u);
    }
    ASSERT_LE(l.entries, 65535u);   // header.used
    if (l.code_bytes == 0)
        return;
    ASSERT_EQ(l.code_page_of(l.entries - 1) + 1, l.code_pages);
    ASSERT_EQ(l.code_bytes % 4, 0u);
    for (uint32_t i = 0; i < l.entries; i++)
        ASSERT_LE(l.place_of(i) + l.code_bytes, page_bytes);
}

TEST(ListLayout, VectorsOfAllDimensions)
{
    for (const uint32_t bits : {4u, 8u, 12u, 16u, 32u})
        for (uint32_t dims = 1; dims <= 8000; dims++) {
            const CodecSpec spec{Form::dense, Metric::l2, dims, bits};
            for (const bool filtered : {false, true}) {
                if (!codec::find_codec(spec))
                    continue;
                const Layout l = layout_of(spec, filtered);
                if (bits == 8 || l.fits())
                    check(l,
                          std::to_string(bits) + " bits, " + std::to_string(dims) + " dimensions");
                else
                    ASSERT_GT(codec::codec_traits(spec).code_bytes + sizeof(CodeParams),
                              page_bytes);
            }
        }
}

TEST(ListLayout, BitStringsOfAllLengths)
{
    for (uint32_t dims = 1; dims <= 64000; dims = codec::round_up(dims, 64) + 1)
        for (const bool filtered : {false, true}) {
            const Layout l = layout_of({Form::bits, Metric::hamming, dims, 8}, filtered);
            check(l, std::to_string(dims) + " bits");
            ASSERT_EQ(l.code_pages, 0u);
        }
}

// A row costs no more than its sketch, its code, and little beside.
TEST(ListLayout, PagesAreFull)
{
    for (const uint32_t dims : {64u, 128u, 384u, 768u, 1536u}) {
        const Layout l = layout_of({Form::dense, Metric::l2, dims, 8}, false);
        const double row = (1.0 + l.code_pages) * 8192 / l.entries;
        EXPECT_LT(row, 1.2 * (dims + dims / 8.0 + 20 + 8 + 6)) << dims;
    }
}

TEST(ListPage, RowsArePutAndRemoved)
{
    for (const bool filtered : {false, true})
        for (const CodecSpec& spec : {CodecSpec{Form::dense, Metric::l2, 100, 8},
                                      CodecSpec{Form::bits, Metric::hamming, 100, 8}}) {
            const Layout l = layout_of(spec, filtered);
            std::vector<uint64_t> words(page_bytes / 8, 0x5555555555555555);
            const MutableListPage page(l, reinterpret_cast<char*>(words.data()));
            init_list_page(page, 7, 3);
            EXPECT_EQ(page.header().list, 7u);
            EXPECT_EQ(page.header().number, 3u);
            EXPECT_EQ(page.header().next, no_block);
            for (uint32_t i = 0; i < l.code_pages; i++)
                EXPECT_EQ(page.code_blocks()[i], no_block);
            // The row at a place follows from a number, which changes when the place is used again.
            const auto put = [&](uint32_t i, uint32_t n) {
                std::vector<uint64_t> bits(l.words);
                std::iota(bits.begin(), bits.end(), uint64_t{n} << 20);
                put_entry(page, i, {{static_cast<float>(n), -static_cast<float>(n)}, bits.data()},
                          {1, static_cast<uint16_t>(n), 2}, static_cast<FilterCode>(n * 3));
            };
            const auto has = [&](uint32_t i, uint32_t n) {
                std::vector<uint64_t> bits(l.words);
                const codec::Sketch s = sketch_in(page, i, bits.data());
                return s.factors.a == static_cast<float>(n) &&
                       (!l.has_b || s.factors.b == -static_cast<float>(n)) &&
                       s.bits[0] == uint64_t{n} << 20 &&
                       s.bits[l.words - 1] == (uint64_t{n} << 20) + l.words - 1 &&
                       page.tids()[i].block_low == n &&
                       (!filtered || s.filter == static_cast<FilterCode>(n * 3));
            };
            for (uint32_t i = 0; i < l.entries; i++) {
                ASSERT_EQ(page.free_place(), i);
                put(i, i);
                ASSERT_EQ(page.used(), i + 1);
            }
            ASSERT_EQ(page.free_place(), l.entries);
            std::mt19937 rng(1);
            std::vector<uint32_t> number(l.entries);
            std::iota(number.begin(), number.end(), 0u);
            for (uint32_t n = l.entries; n < 10 * l.entries; n++) {
                const uint32_t i = rng() % l.entries;
                remove_entry(page, i);
                ASSERT_FALSE(page.is_taken(i));
                ASSERT_EQ(page.header().taken, l.entries - 1);
                ASSERT_EQ(page.free_place(), i);
                put(i, number[i] = n % 65536);
            }
            for (uint32_t i = 0; i < l.entries; i++)
                ASSERT_TRUE(has(i, number[i])) << i;
            ASSERT_EQ(page.header().list, 7u);
        }
}

// Factors that are no numbers, or infinite, make a row near.
TEST(ListPage, FactorsThatOverflow)
{
    const auto is_near = [](float a, float b) {
        const codec::SketchFactors f = stored_factors({a, b});
        return f.a == -INFINITY && f.b == 0;
    };
    EXPECT_TRUE(is_near(INFINITY, 1));
    EXPECT_TRUE(is_near(NAN, 1));
    EXPECT_TRUE(is_near(1, -INFINITY));
    EXPECT_TRUE(is_near(1, NAN));
    const codec::SketchFactors f = stored_factors({3, -4});
    EXPECT_EQ(f.a, 3);
    EXPECT_EQ(f.b, -4);
}

TEST(ListPage, PointersToLists)
{
    for (const Block head : {0u, 1u, 65535u, 65536u, 0x12345678u, UINT32_MAX - 1})
        for (const float norm2 : {0.0f, 1.0f, 1e-30f, 123.456f, 3e38f}) {
            const ListPointer p = list_pointer(to_tid({head, norm2}));
            EXPECT_EQ(p.head, head);
            EXPECT_NEAR(p.norm2, norm2, norm2 / 100);
        }
    EXPECT_TRUE(std::isinf(list_pointer(to_tid({1, INFINITY})).norm2));
}

}   // namespace
