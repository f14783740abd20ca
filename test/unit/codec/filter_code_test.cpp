// Filter codes: sets of codes beside conditions that are evaluated row by row.
#include "codec/filter_code.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "core/error.hpp"

using namespace quiver;
using namespace quiver::codec;

namespace {

constexpr uint64_t last = ~uint64_t{0};

// A row's value: of sets, any number of elements.
struct Value {
    bool null = false;
    uint64_t key = 0;
    std::vector<uint64_t> elements = {};
};
using Row = std::vector<Value>;

std::vector<FilterKey> keys_of(const Row& row)
{
    std::vector<FilterKey> keys;
    for (const Value& v : row)
        keys.push_back({v.null, v.key, v.elements});
    return keys;
}

FilterCodec trained(const std::vector<FilterColumn>& columns, const std::vector<Row>& sample)
{
    FilterTraining training(columns);
    for (const Row& row : sample)
        training.add(keys_of(row));
    return {columns, training.finish()};
}

uint64_t hash_of(uint64_t x) { return Rng(x).next(); }

bool has(std::span<const uint64_t> keys, uint64_t key)
{
    return std::find(keys.begin(), keys.end(), key) != keys.end();
}

// Can a row with this value match, as far as its keys tell?
bool may_match(const FilterColumn& column, const Value& v, const FilterCondition& c)
{
    const bool injective = column.injective, ordered = column.kind == FilterKind::ordered;
    const auto all_of = [](std::span<const uint64_t> keys, std::span<const uint64_t> in) {
        return std::all_of(keys.begin(), keys.end(), [&](uint64_t key) { return has(in, key); });
    };
    if (c.op == FilterOp::never)
        return false;
    if (c.op == FilterOp::is_null || v.null)
        return v.null && c.op == FilterOp::is_null;
    if (column.kind == FilterKind::set)
        switch (c.op) {
        case FilterOp::overlaps:
            return std::any_of(v.elements.begin(), v.elements.end(),
                               [&](uint64_t key) { return has(c.keys, key); });
        case FilterOp::contains: return all_of(c.keys, v.elements);
        case FilterOp::contained: return all_of(v.elements, c.keys);
        default: return true;
        }
    switch (c.op) {
    case FilterOp::equal: return v.key == c.key;
    case FilterOp::in: return has(c.keys, v.key);
    case FilterOp::less: return !ordered || v.key < c.key || (!injective && v.key == c.key);
    case FilterOp::less_equal: return !ordered || v.key <= c.key;
    case FilterOp::greater_equal: return !ordered || v.key >= c.key;
    case FilterOp::greater: return !ordered || v.key > c.key || (!injective && v.key == c.key);
    default: return true;
    }
}
// Does it certainly match?
bool must_match(const FilterColumn& column, const Value& v, const FilterCondition& c)
{
    if (!may_match(column, v, c))
        return false;
    switch (c.op) {
    case FilterOp::is_null:
    case FilterOp::is_not_null: return true;
    case FilterOp::equal:
    case FilterOp::in: return column.injective && column.kind != FilterKind::set;
    case FilterOp::less:
    case FilterOp::less_equal:
    case FilterOp::greater_equal:
    case FilterOp::greater:
        return column.kind == FilterKind::ordered && (column.injective || v.key != c.key);
    default: return false;
    }
}

// The share of the rows that do not match, but are admitted.
double false_positives(const FilterCodec& codec, const std::vector<Row>& rows,
                       const std::vector<FilterColumn>& columns,
                       const std::vector<FilterCondition>& conditions)
{
    FilterSet set;
    codec.make_set(conditions, &set);
    size_t wrong = 0, others = 0;
    for (const Row& row : rows) {
        const bool matches =
            std::all_of(conditions.begin(), conditions.end(), [&](const FilterCondition& c) {
                return may_match(columns[c.column], row[c.column], c);
            });
        const bool admits = set.admits(codec.encode(keys_of(row)));
        EXPECT_TRUE(admits || !matches);
        others += !matches;
        wrong += admits && !matches;
    }
    return others > 0 ? static_cast<double>(wrong) / static_cast<double>(others) : 0;
}

// ---- soundness ----

// Keys of many kinds: few and frequent, dense, any, and the extremes, among them those of NaN and infinities.
uint64_t random_key(std::mt19937_64& rng)
{
    constexpr uint64_t extremes[] = {0,
                                     1,
                                     last,
                                     last - 1,
                                     uint64_t{1} << 63,
                                     (uint64_t{1} << 63) - 1,
                                     0xfff8000000000000ull,
                                     0xfff0000000000000ull,
                                     0x000fffffffffffffull};
    switch (rng() % 4) {
    case 0: return rng() % 5 * 1000;
    case 1: return (uint64_t{1} << 63) + rng() % 3000;
    case 2: return rng();
    default: return extremes[rng() % std::size(extremes)];
    }
}
Value random_value(const FilterColumn& column, std::mt19937_64& rng)
{
    Value v;
    v.null = rng() % 8 == 0;
    if (column.kind == FilterKind::set)
        for (size_t n = rng() % 5; n > 0; n--)
            v.elements.push_back(random_key(rng));
    else
        v.key = random_key(rng);
    return v;
}

// Random columns, samples, rows and conditions. No row that matches is rejected, and rows whose code is certain
// do match.
TEST(FilterCode, NeverRejectsAMatch)
{
    std::mt19937_64 rng(1);
    size_t admitted = 0, certain = 0, rejected = 0;
    for (int round = 0; round < 200; round++) {
        std::vector<FilterColumn> columns(1 + rng() % max_filter_columns);
        for (FilterColumn& c : columns)
            c = {static_cast<FilterKind>(1 + rng() % 3), rng() % 2 == 0, rng() % 2 == 0,
                 static_cast<uint8_t>(rng() % 4 == 0 ? 2 : 16)};
        const auto random_row = [&] {
            Row row;
            for (const FilterColumn& c : columns)
                row.push_back(random_value(c, rng));
            return row;
        };
        constexpr size_t sizes[] = {0, 1, 2, 20, 3000};
        std::vector<Row> sample(sizes[rng() % std::size(sizes)]);
        std::generate(sample.begin(), sample.end(), random_row);
        const FilterCodec codec = trained(columns, sample);

        std::vector<Row> rows(300);
        std::vector<FilterCode> codes;
        for (Row& row : rows) {
            row = !sample.empty() && rng() % 2 ? sample[rng() % sample.size()] : random_row();
            codes.push_back(codec.encode(keys_of(row)));
        }
        for (int query = 0; query < 20; query++) {
            std::vector<FilterCondition> conditions;
            std::vector<std::vector<uint64_t>> lists(3);
            for (size_t i = 0, n = rng() % 4; i < n; i++) {
                const auto column = static_cast<uint32_t>(rng() % columns.size());
                const auto op =
                    static_cast<FilterOp>(rng() % (static_cast<uint64_t>(FilterOp::never) + 1));
                const Value& v = rows[rng() % rows.size()][column];
                for (size_t k = rng() % 5; k > 0; k--)
                    lists[i].push_back(random_key(rng));
                if (!v.elements.empty() && rng() % 2)
                    lists[i] = v.elements;
                lists[i].push_back(v.key);
                conditions.push_back({column, op, rng() % 2 ? v.key : random_key(rng), lists[i]});
            }
            FilterSet set;
            codec.make_set(conditions, &set);
            bool any = false;
            for (size_t i = 0; i < rows.size(); i++) {
                const auto all = [&](auto&& matches) {
                    return std::all_of(conditions.begin(), conditions.end(),
                                       [&](const FilterCondition& c) {
                                           return matches(columns[c.column], rows[i][c.column], c);
                                       });
                };
                const bool may = all(may_match), admits = set.admits(codes[i]);
                any |= may;
                ASSERT_TRUE(admits || !may) << "round " << round;
                if (set.is_certain(codes[i])) {
                    ASSERT_TRUE(admits);
                    ASSERT_TRUE(all(must_match)) << "round " << round;
                    certain++;
                }
                admitted += admits;
                rejected += !admits;
            }
            ASSERT_TRUE(!any || !set.empty());
            for (size_t first = 0; first < codes.size(); first += 64) {
                const size_t count = std::min<size_t>(64, codes.size() - first);
                const uint64_t bits = set.admitted(&codes[first], count);
                for (size_t i = 0; i < 64; i++)
                    ASSERT_EQ(bits >> i & 1, i < count && set.admits(codes[first + i]));
            }
        }
    }
    // The test is of use only if each happens often.
    EXPECT_GT(admitted, 50000u);
    EXPECT_GT(certain, 5000u);
    EXPECT_GT(rejected, 50000u);
}

// ---- exactness ----

// Few values, each with a cell of its own: the codes decide everything, whatever the values are.
TEST(FilterCode, IsExactForFewValues)
{
    const std::vector<FilterColumn> columns = {{FilterKind::ordered, true},
                                               {FilterKind::ordered, true, false, 2},
                                               {FilterKind::hashed},
                                               {FilterKind::set}};
    std::mt19937_64 rng(2);
    std::vector<Row> rows(2000);
    for (Row& row : rows) {
        Value tags{rng() % 10 == 0};
        for (uint64_t i = 0; i < 3 && !tags.null; i++)
            tags.elements.push_back(hash_of(rng() % 5));
        row = {{rng() % 10 == 0, rng() % 10 * 7}, {rng() % 10 == 0, rng() % 2}, {}, tags};
        row[2].key = hash_of(rng() % 6);
    }
    const FilterCodec codec = trained(columns, rows);
    for (uint64_t i = 0; i < 10; i++)
        for (const FilterOp op : {FilterOp::equal, FilterOp::less, FilterOp::less_equal,
                                  FilterOp::greater_equal, FilterOp::greater, FilterOp::is_null}) {
            EXPECT_EQ(false_positives(codec, rows, columns, {{0, op, i * 7}}), 0);
            EXPECT_EQ(false_positives(codec, rows, columns, {{1, op, i % 2}}), 0);
        }
    for (uint64_t i = 0; i < 6; i++)
        EXPECT_EQ(false_positives(codec, rows, columns,
                                  {{2, FilterOp::equal, hash_of(i)},
                                   {0, FilterOp::is_not_null},
                                   {1, FilterOp::is_not_null}}),
                  0);
    for (uint64_t i = 0; i < 5; i++)
        for (const FilterOp op : {FilterOp::overlaps, FilterOp::contains}) {
            const std::vector<uint64_t> keys = {hash_of(i), hash_of((i + 1) % 5)};
            EXPECT_EQ(false_positives(codec, rows, columns, {{3, op, 0, keys}}), 0);
        }
    // Whoever knows the code need not look at the values.
    FilterSet set;
    const FilterCondition more = {0, FilterOp::greater, 21};
    codec.make_set({&more, 1}, &set);
    for (const Row& row : rows) {
        const FilterCode code = codec.encode(keys_of(row));
        ASSERT_EQ(set.is_certain(code), set.admits(code));
    }
}

TEST(FilterCode, AnEmptySetMatchesNothing)
{
    const std::vector<FilterColumn> columns = {{FilterKind::ordered, true}, {FilterKind::set}};
    for (const size_t size : {0, 1000}) {
        std::vector<Row> sample;
        for (size_t i = 0; i < size; i++)
            sample.push_back({{false, 10 + i % 5}, {false, 0, {i % 3}}});
        const FilterCodec codec = trained(columns, sample);
        const std::vector<FilterCondition> nothing[] = {
            {{0, FilterOp::never}},
            {{0, FilterOp::is_null}, {0, FilterOp::is_not_null}},
            {{0, FilterOp::is_null}, {0, FilterOp::equal, 10}},
            {{0, FilterOp::in}},
            {{1, FilterOp::overlaps}},
            {{0, FilterOp::less, 0}},
            {{0, FilterOp::greater, last}}};
        FilterSet set;
        for (const auto& conditions : nothing) {
            codec.make_set(conditions, &set);
            EXPECT_TRUE(set.empty());
            for (uint32_t code = 0; code <= 0xffff; code++)
                ASSERT_FALSE(set.admits(static_cast<FilterCode>(code)));
        }
        const std::vector<FilterCondition> something[] = {{},
                                                          {{0, FilterOp::is_null}},
                                                          {{0, FilterOp::equal, 10}},
                                                          {{1, FilterOp::contains}},
                                                          {{1, FilterOp::contained}}};
        for (const auto& conditions : something) {
            codec.make_set(conditions, &set);
            EXPECT_FALSE(set.empty());
        }
    }
}

// ---- false positives ----

// The key of row i of n
using Distribution = std::function<uint64_t(std::mt19937_64&, size_t i, size_t n)>;
// Value i with a probability that falls as 1 / i
Distribution zipf(size_t values)
{
    std::vector<double> sums;
    double sum = 0;
    for (size_t i = 0; i < values; i++)
        sums.push_back(sum += 1 / static_cast<double>(i + 1));
    return [=](std::mt19937_64& rng, size_t, size_t) {
        const double u = std::uniform_real_distribution<>(0, sum)(rng);
        return static_cast<uint64_t>(std::lower_bound(sums.begin(), sums.end(), u) - sums.begin());
    };
}
Distribution uniform(size_t values)
{
    return [=](std::mt19937_64& rng, size_t, size_t) { return rng() % values; };
}

constexpr size_t table = 20000;
const FilterColumn time_column = {FilterKind::ordered, true, true};

std::vector<Row> table_of(const std::vector<Distribution>& columns, size_t from, size_t to)
{
    std::mt19937_64 rng(3);
    std::vector<Row> rows;
    for (size_t i = from; i < to; i++) {
        Row row;
        for (const auto& key : columns)
            row.push_back({false, key(rng, i, table)});
        rows.push_back(row);
    }
    return rows;
}

// Two columns: one that is mostly compared for equality, and the time.
TEST(FilterCode, RejectsMostRows)
{
    const auto time = [](std::mt19937_64& rng, size_t i, size_t) {
        return (uint64_t{1} << 63) + i * 1000000 + rng() % 1000000;
    };
    for (const size_t values : {10, 1000, 100000})
        for (const bool skewed : {false, true})
            for (const FilterKind kind : {FilterKind::ordered, FilterKind::hashed}) {
                const std::vector<FilterColumn> columns = {{kind, true}, time_column};
                const auto rows =
                    table_of({skewed ? zipf(values) : uniform(values), time}, 0, table);
                const FilterCodec codec = trained(columns, rows);
                for (size_t i = 0; i < table; i += table / 10)
                    EXPECT_LT(false_positives(codec, rows, columns,
                                              {{0, FilterOp::equal, rows[i][0].key}}),
                              values == 10 ? 1e-9 : 0.03)
                        << values;
                for (const double share : {0.01, 0.1, 0.5}) {
                    const uint64_t from = rows[table / 3][1].key,
                                   to = rows[table / 3 + static_cast<size_t>(share * table)][1].key;
                    EXPECT_LT(false_positives(
                                  codec, rows, columns,
                                  {{1, FilterOp::greater_equal, from}, {1, FilterOp::less, to}}),
                              0.03);
                }
            }
}

// A table that grew to twice its size: new values of both columns, which are greater than those of the sample.
TEST(FilterCode, TellsNewValuesApart)
{
    const auto time = [](std::mt19937_64& rng, size_t i, size_t) {
        return (uint64_t{1} << 63) + i * 1000000 + rng() % 1000000;
    };
    const auto tenant = [](std::mt19937_64& rng, size_t i, size_t n) {
        return rng() % 1000 + (i < n ? 0 : 1000);
    };
    const std::vector<FilterColumn> columns = {{FilterKind::ordered, true}, time_column};
    const auto rows = table_of({tenant, time}, 0, 2 * table);
    const FilterCodec codec = trained(columns, {rows.begin(), rows.begin() + table});
    for (size_t i = table; i < 2 * table; i += table / 10)
        EXPECT_LT(false_positives(codec, rows, columns, {{0, FilterOp::equal, rows[i][0].key}}),
                  0.1);
    EXPECT_LT(false_positives(codec, rows, columns,
                              {{1, FilterOp::greater, rows[2 * table - table / 10][1].key}}),
              0.1);
}

// Trained without rows: equality works, ranges admit everything but NULL.
TEST(FilterCode, NeedsNoSample)
{
    const std::vector<FilterColumn> columns = {{FilterKind::ordered, true}, {FilterKind::hashed}};
    auto rows = table_of({uniform(1000), uniform(1000)}, 0, table);
    const FilterCodec codec = trained(columns, {});
    for (const uint32_t column : {0, 1})
        EXPECT_LT(false_positives(codec, rows, columns, {{column, FilterOp::equal, 5}}), 0.02);
    EXPECT_EQ(false_positives(codec, rows, columns, {{0, FilterOp::less, 5}}), 1);
    rows[0][0].null = true;
    rows.resize(1);
    EXPECT_EQ(false_positives(codec, rows, columns, {{0, FilterOp::less, 5}}), 0);
}

TEST(FilterCode, TellsSetsApart)
{
    const std::vector<FilterColumn> columns = {{FilterKind::set}};
    std::mt19937_64 rng(4);
    const auto element = zipf(1000);
    std::vector<Row> rows(table);
    for (Row& row : rows) {
        row = {{}};
        for (size_t i = 1 + rng() % 5; i > 0; i--)
            row[0].elements.push_back(hash_of(element(rng, 0, 0)));
    }
    const FilterCodec codec = trained(columns, rows);
    double overlaps = 0, contains = 0;
    constexpr size_t queries = 50;
    for (size_t i = 0; i < queries; i++) {
        const std::vector<uint64_t>& keys = rows[i][0].elements;
        overlaps +=
            false_positives(codec, rows, columns, {{0, FilterOp::overlaps, 0, {keys.data(), 1}}});
        contains += false_positives(codec, rows, columns, {{0, FilterOp::contains, 0, keys}});
    }
    EXPECT_LT(overlaps / queries, 0.15);
    EXPECT_LT(contains / queries, 0.08);
}

// ---- bytes ----

TEST(FilterCode, RefusesDamagedBytes)
{
    const std::vector<FilterColumn> columns = {
        {FilterKind::ordered, true}, {FilterKind::set}, {FilterKind::hashed}};
    std::mt19937_64 rng(5);
    FilterTraining training(columns);
    for (int i = 0; i < 3000; i++) {
        const Value tags{false, 0, {rng() % 9, rng() % 100}};
        training.add(keys_of({{false, rng() % 2000}, tags, {false, rng() % 50}}));
    }
    const Vec<uint8_t> bytes = training.finish();
    EXPECT_LE(bytes.size(), max_filter_codec_bytes);
    const auto refuses = [&](std::span<const FilterColumn> c, std::span<const uint8_t> b) {
        try {
            FilterCodec(c, b);
        } catch (const Error& e) {
            return e.code() == Errc::corrupt;
        }
        return false;
    };
    EXPECT_FALSE(refuses(columns, bytes));
    for (size_t i = 0; i < bytes.size(); i++) {
        Vec<uint8_t> damaged = bytes;
        damaged[i] ^= static_cast<uint8_t>(1 + rng() % 255);
        ASSERT_TRUE(refuses(columns, damaged)) << i;
    }
    for (size_t n = 0; n < bytes.size(); n += 1 + n / 16)
        ASSERT_TRUE(refuses(columns, {bytes.data(), n}));
    ASSERT_TRUE(refuses({columns.data(), 2}, bytes));
    const std::vector<FilterColumn> others = {
        {FilterKind::hashed}, {FilterKind::set}, {FilterKind::hashed}};
    ASSERT_TRUE(refuses(others, bytes));
}

// However many columns and values there are.
TEST(FilterCode, FitsIntoAPage)
{
    std::mt19937_64 rng(6);
    for (size_t n = 1; n <= max_filter_columns; n++)
        for (const FilterKind kind : {FilterKind::ordered, FilterKind::hashed, FilterKind::set}) {
            const std::vector<FilterColumn> columns(n, {kind});
            FilterTraining training(columns);
            for (int i = 0; i < 20000; i++) {
                Row row(n);
                for (Value& v : row)
                    v = {false, rng() % (1 + rng() % 5000), {rng() % 100}};
                training.add(keys_of(row));
            }
            const Vec<uint8_t> bytes = training.finish();
            EXPECT_LE(bytes.size(), max_filter_codec_bytes);
            const FilterCodec codec(columns, bytes);
            uint32_t bits = 0;
            for (size_t i = 0; i < n; i++)
                bits += codec.bits(i);
            EXPECT_EQ(bits, filter_code_bits);
        }
}

}   // namespace
