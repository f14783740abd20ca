// Scans of inverted files in memory: which rows they find, in which order, and what changes during a scan may do.
#include "lists/search.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "codec/filter_code.hpp"
#include "lists/memory_lists.hpp"

using namespace quiver;
using namespace quiver::lists;
using namespace quiver::lists::test;
using codec::CodecSpec, codec::Form, codec::Metric, codec::Geometry;

namespace {

using Vector = std::vector<float>;

struct Kind {
    const char* name;
    CodecSpec spec;
};
void PrintTo(const Kind& kind, std::ostream* to) { *to << kind.name; }

constexpr Kind kinds[] = {
    {"l2", {Form::dense, Metric::l2, 100, 8}},
    {"ip", {Form::dense, Metric::ip, 100, 8}},
    {"cosine", {Form::dense, Metric::cosine, 100, 8}},
    {"l2_wide", {Form::dense, Metric::l2, 1000, 8}},
    {"l2_short", {Form::dense, Metric::l2, 3, 8}},
    {"l2_4", {Form::dense, Metric::l2, 128, 4}},
    {"ip_4", {Form::dense, Metric::ip, 128, 4}},
    {"cosine_12", {Form::dense, Metric::cosine, 100, 12}},
    {"l2_16", {Form::dense, Metric::l2, 100, 16}},
    {"ip_16", {Form::dense, Metric::ip, 64, 16}},
    {"l2_32", {Form::dense, Metric::l2, 100, 32}},
    {"cosine_32", {Form::dense, Metric::cosine, 64, 32}},
    {"hamming", {Form::bits, Metric::hamming, 200, 8}},
    {"hamming_wide", {Form::bits, Metric::hamming, 2000, 8}},
};

// A vector, as the codec takes it.
struct Item {
    Vector dense;
    std::vector<uint8_t> bits;

    Value value() const
    {
        return dense.empty() ? Value{.bits = bits.data()} : Value{.dense = dense.data()};
    }
};

// A table and its index.
class Table final : public graph::Rows {
  public:
    Table(const CodecSpec& spec, size_t lists, const std::vector<Item>& rows, bool filtered = false)
        : encoding_({spec, filtered}, page_bytes), rows_(rows), visible_(rows.size(), true)
    {
        learn();
        Clusters clusters(spec.form, traits().padded);
        ScalarCodes sample(spec.form, traits().padded);
        for (const Item& x : rows_)
            sample.add(x.value());
        clusters.train(sample, lists, 1, [] {});
        if (clusters.size() == 0)
            clusters.set(Vec<float>(clusters.coordinates()), 1);
        std::vector<Vec<uint8_t>> buffers(clusters.size() + 1);
        if (!encoding_.exact()) {
            const Item origin{Vector(traits().padded), {}};
            encoding_.set_root_centre(encoding_.codec().encode(origin.value(), buffers.back()));
        }
        store_ = std::make_unique<MemoryLists>(encoding_);
        for (size_t c = 0; c < clusters.size(); c++)
            store_->add_list(encoding_.codec().encode(clusters.value(c), buffers[c]));
        list_of_.resize(rows_.size());
        clusters.nearest(sample, list_of_.data());
        scan_ = std::make_unique<Scan<MemoryLists>>(*store_);
    }

    Encoding& encoding() { return encoding_; }
    MemoryLists& store() { return *store_; }
    Scan<MemoryLists>& scanner() { return *scan_; }
    const codec::CodecTraits& traits() const { return encoding_.codec().traits; }
    size_t size() const { return rows_.size(); }
    uint32_t list_of(size_t row) const { return list_of_[row]; }
    const Item& row(size_t i) const { return rows_[i]; }

    void insert(size_t row, codec::FilterCode filter = 0) { insert(row, list_of_[row], filter); }
    void insert(size_t row, uint32_t list, codec::FilterCode filter)
    {
        Vec<uint8_t> buffer;
        store_->insert(list, encoding_.codec().encode(rows_[row].value(), buffer), tid_of(row),
                       filter);
    }
    void insert_all()
    {
        for (size_t i = 0; i < rows_.size(); i++)
            insert(i);
    }
    void remove(const std::set<size_t>& rows)
    {
        for (uint32_t list = 0; list < lists(); list++) {
            store_->remove(list, [&](Tid t) { return rows.count(row_of(t)) > 0; });
            store_->free_empty_pages(list);
        }
        for (const size_t r : rows)
            visible_[r] = false;
    }
    void hide(size_t row) { visible_[row] = false; }
    uint32_t lists() { return *std::max_element(list_of_.begin(), list_of_.end()) + 1; }

    // As the operator computes it.
    double exact(const Item& q, size_t row) const
    {
        double sum = 0;
        const Item& x = rows_[row];
        if (q.dense.empty()) {
            for (size_t i = 0; i < q.bits.size(); i++)
                sum += std::popcount(static_cast<unsigned>(q.bits[i] ^ x.bits[i]));
            return sum;
        }
        const codec::MetricTraits& metric = encoding_.codec().metric;
        const bool ip = metric.geometry == Geometry::inner_product;
        for (size_t i = 0; i < q.dense.size(); i++) {
            const double a = q.dense[i], b = x.dense[i];
            sum += ip ? -a * b : (a - b) * (a - b);
        }
        return metric.result == codec::OperatorResult::square_root ? std::sqrt(sum)
               : metric.result == codec::OperatorResult::halved    ? sum / 2
                                                                   : sum;
    }
    bool distance(Tid tid, double* to) override
    {
        if (row_of(tid) >= rows_.size() || !visible_[row_of(tid)])
            return false;
        *to = exact(*query_, row_of(tid));
        return true;
    }
    // The first `most` rows that a scan returns.
    std::vector<size_t> scan(const Item& q, const SearchLimits& limits, size_t most,
                             bool reranked = true, const codec::FilterSet* filter = nullptr)
    {
        query_ = &q;
        scan_->start(q.value(), limits, reranked ? this : nullptr, filter);
        std::vector<size_t> got;
        Tid tid;
        double d;
        while (got.size() < most && scan_->next(&tid, &d, [](Tid) {}))
            got.push_back(row_of(tid));
        return got;
    }
    // The share of the k nearest visible rows among `got`. Ties count.
    double recall(const Item& q, const std::vector<size_t>& got, size_t k) const
    {
        std::vector<double> all;
        for (size_t i = 0; i < rows_.size(); i++)
            if (visible_[i])
                all.push_back(exact(q, i));
        std::sort(all.begin(), all.end());
        k = std::min(k, all.size());
        if (k == 0)
            return 1;
        const double limit = all[k - 1] + 1e-6 * std::fabs(all[k - 1]);
        size_t found = 0;
        for (const size_t r : got)
            found += exact(q, r) <= limit;
        return static_cast<double>(std::min(found, k)) / static_cast<double>(k);
    }
    // How many rows come after a farther one.
    size_t late(const Item& q, const std::vector<size_t>& got) const
    {
        size_t count = 0;
        double most = -INFINITY;
        for (const size_t r : got) {
            const double d = exact(q, r);
            // (Certain rows come in the order of codes, which is that of the distances but for rounding.)
            count += d < most - 1e-5 * std::fabs(most);
            most = std::max(most, d);
        }
        return count;
    }

  private:
    // What the codec learns of the rows. That takes seconds, so what it has learnt of some rows of a kind is used for
    // all rows of that kind.
    void learn()
    {
        const Owned<codec::Training> training = encoding_.codec().training();
        if (!training)
            return;
        const codec::CodecSpec& spec = encoding_.shape().codec;
        static std::map<std::tuple<codec::Metric, uint32_t, uint32_t>, std::vector<half>> learnt;
        std::vector<half>& parameters = learnt[{spec.metric, spec.dims, spec.bits}];
        if (parameters.empty()) {
            for (const Item& x : rows_)
                training->add(x.value());
            parameters.resize(encoding_.codec().parameter_count());
            training->finish(1, parameters.data(), [] {});
        }
        encoding_.set_parameters(parameters.data());
        for (Item& x : rows_)
            encoding_.codec().prepare(x.dense.data());
    }

    Encoding encoding_;
    std::vector<Item> rows_;
    std::vector<bool> visible_;
    std::vector<uint32_t> list_of_;
    std::unique_ptr<MemoryLists> store_;
    std::unique_ptr<Scan<MemoryLists>> scan_;
    const Item* query_ = nullptr;
};

std::vector<Item> random_items(const CodecSpec& spec, size_t count, uint32_t seed)
{
    std::mt19937 rng(seed), of_groups(1);
    std::normal_distribution<float> normal(0, 1);
    const Owned<codec::Codec> codec = codec::make_codec(spec);
    std::vector<Vector> groups(10);
    for (Vector& g : groups)
        for (uint32_t j = 0; j < codec->traits.padded; j++)
            g.push_back(j < spec.dims || codec->traits.rotated ? normal(of_groups) : 0);
    std::vector<Item> items(count);
    for (Item& x : items) {
        const Vector& g = groups[rng() % groups.size()];
        for (uint32_t j = 0; j < codec->traits.padded; j++)
            x.dense.push_back(j < spec.dims || codec->traits.rotated ? g[j] + normal(rng) : 0);
        if (spec.form == Form::bits) {
            x.bits.resize(codec->traits.code_bytes);
            for (uint32_t j = 0; j < spec.dims; j++)
                if (x.dense[j] > 0)
                    x.bits[j / 8] |= static_cast<uint8_t>(0x80 >> j % 8);
            x.dense.clear();
        } else if (codec->metric.prepare)
            codec->metric.prepare(x.dense.data(), x.dense.size(), x.dense.data());
    }
    return items;
}

constexpr SearchLimits all_lists = {max_lists, max_lists, false};

class ListSearch : public testing::TestWithParam<Kind> {
  protected:
    const Kind& kind = GetParam();
    std::vector<Item> queries(Table& table, size_t count) const
    {
        std::vector<Item> q = random_items(kind.spec, count, 77);
        if (table.encoding().parameter_count() > 0)
            for (Item& x : q)
                table.encoding().codec().prepare(x.dense.data());
        return q;
    }
};

// With all lists, the nearest rows are found: all but a few whose sketches mislead.
TEST_P(ListSearch, AllListsHaveTheNearestRows)
{
    Table table(kind.spec, 20, random_items(kind.spec, 3000, 5));
    table.insert_all();
    double recall = 0;
    size_t late = 0, count = 0;
    for (const Item& q : queries(table, 60)) {
        const std::vector<size_t> got = table.scan(q, all_lists, 10);
        ASSERT_EQ(got.size(), 10u);
        recall += table.recall(q, got, 10) / 60;
        late += table.late(q, got);
        count += got.size();
    }
    EXPECT_GE(recall, table.encoding().exact() ? 1 : 0.99);
    EXPECT_LE(late, count / 100);
}

// Codes alone give nearly the same.
TEST_P(ListSearch, CodesAlone)
{
    Table table(kind.spec, 20, random_items(kind.spec, 1000, 5));
    table.insert_all();
    double recall = 0;
    for (const Item& q : queries(table, 30))
        recall += table.recall(q, table.scan(q, all_lists, 10, false), 10) / 30;
    EXPECT_GE(recall, kind.spec.bits == 4 ? 0.7 : 0.95);
}

// A scan that goes on returns each row once, however long the batches before were, and however often.
TEST_P(ListSearch, EachRowComesOnce)
{
    Table table(kind.spec, 20, random_items(kind.spec, 1500, 5));
    table.insert_all();
    for (const Item& q : queries(table, 4))
        for (const SearchLimits& limits :
             {all_lists, SearchLimits{1, max_lists, true}, SearchLimits{3, max_lists, true}})
            for (const bool reranked : {true, false}) {
                std::vector<size_t> got = table.scan(q, limits, SIZE_MAX, reranked);
                if (!limits.iterate) {
                    EXPECT_LE(table.late(q, got), reranked ? got.size() / 50 : got.size());
                }
                std::sort(got.begin(), got.end());
                ASSERT_EQ(got.size(), table.size());
                for (size_t i = 0; i < got.size(); i++)
                    ASSERT_EQ(got[i], i);
            }
}

// Some lists have only their rows; the search does not go on beyond the limits.
TEST_P(ListSearch, ProbesLimitTheLists)
{
    Table table(kind.spec, 20, random_items(kind.spec, 1500, 5));
    table.insert_all();
    const Item q = queries(table, 1)[0];
    for (const size_t probes : {1, 2, 5, 20}) {
        std::set<uint32_t> lists;
        const std::vector<size_t> got = table.scan(q, {probes, max_lists, false}, SIZE_MAX);
        for (const size_t r : got)
            lists.insert(table.list_of(r));
        EXPECT_LE(lists.size(), probes);
        // All rows of these lists.
        size_t rows = 0;
        for (size_t i = 0; i < table.size(); i++)
            rows += lists.count(table.list_of(i));
        EXPECT_EQ(got.size(), rows);
        std::set<uint32_t> of_iterated;
        for (const size_t r : table.scan(q, {1, probes, true}, SIZE_MAX))
            of_iterated.insert(table.list_of(r));
        EXPECT_EQ(of_iterated, lists);
        // Fewer than the probes are not possible.
        std::set<uint32_t> of_fewer;
        for (const size_t r : table.scan(q, {probes, 1, true}, SIZE_MAX))
            of_fewer.insert(table.list_of(r));
        EXPECT_EQ(of_fewer, lists);
    }
}

TEST_P(ListSearch, RowsThatAreEqual)
{
    const Item x = random_items(kind.spec, 1, 9)[0];
    Table table(kind.spec, 20, std::vector<Item>(2000, x));
    table.insert_all();
    EXPECT_EQ(table.scan(queries(table, 1)[0], all_lists, 10).size(), 10u);
    for (const Item& q : {table.row(0), queries(table, 1)[0]}) {
        std::vector<size_t> got = table.scan(q, all_lists, SIZE_MAX);
        std::sort(got.begin(), got.end());
        EXPECT_EQ(got.size(), table.size());
        EXPECT_EQ(std::unique(got.begin(), got.end()), got.end());
    }
}

TEST_P(ListSearch, NoRowsAndFewRows)
{
    Table table(kind.spec, 3, random_items(kind.spec, 40, 5));
    for (const Item& q : queries(table, 2))
        EXPECT_TRUE(table.scan(q, {1, max_lists, true}, 10).empty());
    table.insert(7);
    for (const Item& q : queries(table, 2))
        EXPECT_EQ(table.scan(q, {1, max_lists, true}, 10), std::vector<size_t>{7});
}

// Only rows whose codes a filter admits are found, and all of them.
TEST_P(ListSearch, Filters)
{
    using namespace quiver::codec;
    constexpr FilterColumn columns[] = {{FilterKind::ordered, true}};
    FilterTraining training(columns);
    const auto tenant = [](size_t row) {
        return row % 7 == 0 ? uint64_t{1} : row % 100 == 1 ? 2 : 3;
    };
    Table table(kind.spec, 20, random_items(kind.spec, 2000, 5), true);
    for (size_t i = 0; i < table.size(); i++) {
        const FilterKey key{false, tenant(i)};
        training.add({&key, 1});
    }
    const Vec<uint8_t> bytes = training.finish();
    const FilterCodec filters(columns, std::span<const uint8_t>(bytes.data(), bytes.size()));
    for (size_t i = 0; i < table.size(); i++) {
        const FilterKey key{false, tenant(i)};
        table.insert(i, filters.encode({&key, 1}));
        if (tenant(i) != 2)
            table.hide(i);   // for recall()
    }
    const auto set = std::make_unique<FilterSet>();
    const FilterCondition condition{0, FilterOp::equal, 2};
    filters.make_set({&condition, 1}, set.get());
    double recall = 0;
    for (const Item& q : queries(table, 20)) {
        const std::vector<size_t> got = table.scan(q, all_lists, 10, true, set.get());
        for (const size_t r : got)
            EXPECT_EQ(tenant(r), 2u);
        recall += table.recall(q, got, 10) / 20;
        EXPECT_EQ(table.scan(q, {1, max_lists, true}, SIZE_MAX, true, set.get()).size(), 17u);
    }
    EXPECT_GE(recall, 0.99);
    // Rows that the filter does not admit are not compared.
    EXPECT_LE(table.scanner().counters().visited, 17u);
}

// A search that stops early compares few rows by their codes.
TEST_P(ListSearch, SketchesRuleOutMostRows)
{
    if (kind.spec.dims < 64 || kind.spec.form == Form::bits)
        return;
    Table table(kind.spec, 20, random_items(kind.spec, 3000, 5));
    table.insert_all();
    uint64_t visited = 0;
    for (const Item& q : queries(table, 20)) {
        table.scan(q, all_lists, 10);
        visited += table.scanner().counters().visited;
        EXPECT_EQ(table.scanner().counters().estimated, table.size());
        EXPECT_EQ(table.scanner().counters().lists, table.lists());
    }
    EXPECT_LT(visited / 20, table.size() / 3);
}

TEST_P(ListSearch, PlacesAreUsedAgain)
{
    Table table(kind.spec, 5, random_items(kind.spec, 4000, 5));
    for (size_t i = 0; i < 2000; i++)
        table.insert(i);
    std::set<size_t> removed;
    for (size_t i = 0; i < 2000; i++)
        if (i % 4)
            removed.insert(i);
    table.remove(removed);
    for (size_t i = 2000; i < 4000; i++)
        table.insert(i);
    for (const Item& q : queries(table, 2)) {
        std::vector<size_t> got = table.scan(q, all_lists, SIZE_MAX);
        EXPECT_EQ(std::set<size_t>(got.begin(), got.end()).size(), got.size());
        EXPECT_EQ(got.size(), 2500u);
    }
}

INSTANTIATE_TEST_SUITE_P(Kinds, ListSearch, testing::ValuesIn(kinds),
                         [](const auto& info) { return std::string(info.param.name); });

// ---- distances that overflow ----

class LongVectors : public testing::TestWithParam<Metric> {};

// Vectors whose squares are no floats: those that are near come first.
TEST_P(LongVectors, AreFound)
{
    const CodecSpec spec{Form::dense, GetParam(), 64, 8};
    for (const size_t lists : {1, 10})
        for (const float scale : {5e17f, 1e18f, 1.4e18f, 2e18f, 3e18f, 3e19f, 1e25f, 1e37f}) {
            std::vector<Item> rows = random_items({Form::dense, Metric::l2, 64, 8}, 1500, 5);
            for (size_t i = 0; i < rows.size(); i += 3)
                for (float& x : rows[i].dense)
                    x *= scale;
            Table table(spec, lists, rows);
            table.insert_all();
            for (size_t r = 0; r < table.size(); r += 31) {
                SCOPED_TRACE(testing::Message() << scale << " row " << r << " lists " << lists);
                const Item q = table.row(r);
                const std::vector<size_t> got = table.scan(q, all_lists, 5);
                ASSERT_EQ(got.size(), 5u);
                EXPECT_EQ(table.recall(q, got, 1), 1);
                std::vector<size_t> all = table.scan(q, {1, max_lists, true}, SIZE_MAX);
                std::sort(all.begin(), all.end());
                EXPECT_EQ(all.size(), table.size());
                EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
            }
        }
}

INSTANTIATE_TEST_SUITE_P(Metrics, LongVectors, testing::Values(Metric::l2, Metric::ip),
                         [](const auto& info) {
                             return std::string(codec::traits_of(info.param).name);
                         });

// ---- walks ----

// Calls a walk over a list, and returns the numbers of its rows.
std::vector<size_t> walk(MemoryLists& store, uint32_t list)
{
    std::vector<size_t> rows;
    for_each_list_page(
        store.head(list), [&](Block b, auto&& f) { store.read_list(b, f); },
        [&](const ListPage& page) { return page.header().list == store.head(list); },
        [&](Block, const ListPage& page) {
            for (uint32_t i = 0; i < page.used(); i++)
                if (page.is_taken(i))
                    rows.push_back(row_of(page.tids()[i]));
        },
        [] {}, [] {});
    std::sort(rows.begin(), rows.end());
    return rows;
}

class ListWalk : public testing::Test {
  protected:
    static constexpr CodecSpec spec{Form::dense, Metric::l2, 1000, 8};
    Table table{spec, 2, random_items(spec, 600, 5)};
    MemoryLists& store = table.store();
    size_t per_page = table.encoding().layout().entries;
    size_t next_row = 0;

    // Adds a number of full pages to a list.
    void add_pages(uint32_t list, size_t pages)
    {
        for (size_t i = 0; i < pages * per_page; i++)
            table.insert(next_row++, list, 0);
    }
    // Takes page `which` of a list away.
    void take(uint32_t list, size_t which)
    {
        const MutableListPage page = store.page(store.chain(list)[which]);
        std::set<size_t> rows;
        for (uint32_t i = 0; i < page.used(); i++)
            rows.insert(row_of(page.tids()[i]));
        store.remove(list, [&](Tid t) { return rows.count(row_of(t)) > 0; });
        store.free_empty_pages(list);
    }
};

// A page that vacuum takes out of the list between two reads, and that comes back: at the end of the same list, in
// another list, as a code page, or not at all. The rows that stay are read, each once.
TEST_F(ListWalk, PagesLeaveAndComeBack)
{
    for (const int to : {0, 1, 2, 3})
        for (const size_t pages : {3, 4, 6})
            for (size_t left = 1; left < pages; left++)
                for (size_t when = 1; when < pages + 1; when++) {
                    SCOPED_TRACE(testing::Message()
                                 << to << ' ' << pages << ' ' << left << ' ' << when);
                    Table fresh(spec, 2, random_items(spec, 600, 5));
                    MemoryLists& lists = fresh.store();
                    size_t next = 0;
                    const auto add = [&](uint32_t list, size_t count) {
                        for (size_t i = 0; i < count; i++)
                            fresh.insert(next++, list, 0);
                    };
                    add(0, pages * per_page);
                    add(1, per_page);
                    const std::vector<Block> before = lists.chain(0);
                    std::set<size_t> stay;
                    for (const Block b : before)
                        for (uint32_t i = 0; b != before[left] && i < lists.page(b).used(); i++)
                            stay.insert(row_of(lists.page(b).tids()[i]));
                    size_t reads = 0;
                    bool changed = false;
                    lists.before = [&](Block) {
                        if (changed || ++reads != when + 1)
                            return;
                        changed = true;
                        lists.remove(0, [&](Tid t) { return !stay.count(row_of(t)); });
                        lists.free_empty_pages(0);
                        if (to == 1)
                            add(0, per_page + 1);   // back, behind the others
                        else if (to == 2)
                            add(1, per_page + 1);
                        else if (to == 3)
                            add(1, 2 * per_page);
                    };
                    const std::vector<size_t> got = walk(lists, 0);
                    std::set<size_t> rows(got.begin(), got.end());
                    for (const size_t r : stay)
                        EXPECT_TRUE(rows.count(r)) << r;
                    // Rows that were there at the beginning come once.
                    for (const size_t r : stay)
                        EXPECT_EQ(std::count(got.begin(), got.end(), r), 1);
                }
}

// Random changes before each read, many pages: nothing that stays is missed by a walk, or by a scan.
TEST_F(ListWalk, RandomChanges)
{
    for (uint32_t seed = 1; seed <= 60; seed++) {
        std::mt19937 rng(seed);
        Table fresh(spec, 2, random_items(spec, 600, 5));
        MemoryLists& lists = fresh.store();
        std::vector<size_t> present[2];
        std::set<size_t> stay;
        size_t next = 0;
        const auto add = [&](uint32_t list) {
            if (next == fresh.size())
                return;
            present[list].push_back(next);
            fresh.insert(next++, list, 0);
        };
        for (int i = 0; i < 250; i++)
            add(rng() % 2);
        for (size_t r = 0; r < 250; r++)
            if (rng() % 8 == 0)
                stay.insert(r);
        bool busy = false;
        lists.before = [&](Block) {
            if (busy)
                return;
            busy = true;
            if (rng() % 2) {
                const uint32_t list = rng() % 2;
                // A range of rows, so that pages become empty.
                const size_t from = rng() % (next + 1), to = from + 60;
                lists.remove(list, [&](Tid t) {
                    return row_of(t) >= from && row_of(t) < to && !stay.count(row_of(t));
                });
                lists.free_empty_pages(list);
            }
            for (int i = static_cast<int>(rng() % 8); i > 0; i--)
                add(rng() % 2);
            busy = false;
        };
        std::vector<size_t> got = walk(lists, 0), of_other = walk(lists, 1);
        got.insert(got.end(), of_other.begin(), of_other.end());
        for (const size_t r : stay)
            EXPECT_EQ(std::count(got.begin(), got.end(), r), 1) << "seed " << seed << " row " << r;
        const Item q = random_items(spec, 1, seed)[0];
        const std::vector<size_t> found = fresh.scan(q, {1, max_lists, true}, SIZE_MAX);
        for (const size_t r : stay)
            EXPECT_EQ(std::count(found.begin(), found.end(), r), 1)
                << "seed " << seed << " row " << r;
    }
}

// Damaged links end in an error.
TEST_F(ListWalk, DamagedLinks)
{
    add_pages(0, 5);
    add_pages(1, 2);
    const std::vector<Block> chain = store.chain(0);
    const auto fails = [&](size_t which, Block next, uint32_t number) {
        ListHeader& h = store.page(chain[which]).header();
        const ListHeader kept = h;
        h.next = next;
        h.next_number = number;
        EXPECT_THROW(walk(store, 0), Error) << which << ' ' << next << ' ' << number;
        EXPECT_THROW(table.scan(table.row(0), all_lists, 10), Error);
        h = kept;
    };
    for (const size_t which : {0, 2, 4}) {
        fails(which, chain[which], static_cast<uint32_t>(which));   // itself
        fails(which, chain[which], static_cast<uint32_t>(which) + 1);
        fails(which, chain[0], 0);   // back
        fails(which, chain[0], 17);
        if (which > 0)
            fails(which, chain[1], 1);
        fails(which, store.chain(1)[0], static_cast<uint32_t>(which) + 1);   // another list
        fails(which, 1000000, static_cast<uint32_t>(which) + 1);             // no page
        fails(which, store.page(chain[0]).code_blocks()[0], static_cast<uint32_t>(which) + 1);
    }
    // A circle that begins while the walk starts again.
    size_t reads = 0;
    store.before = [&](Block) {
        if (++reads == 3)
            take(0, 2);
        if (reads == 5)
            link(store.page(store.chain(0).back()), chain[1], 1);
    };
    EXPECT_THROW(walk(store, 0), Error);
    store.before = [](Block) {};
    // The first page is not the list's.
    store.page(chain[0]).header().list = 1;
    EXPECT_THROW(walk(store, 0), Error);
}

// ---- the root ----

class ReplacedRoot : public testing::Test {
  protected:
    // Adds so many lists that the root has several pages.
    void SetUp() override
    {
        Query query(encoding);
        std::mt19937 rng(4);
        std::vector<float> x(dims);
        Vec<uint8_t> code;
        for (float& y : x)
            y = 0;
        encoding.set_root_centre(encoding.codec().encode({.dense = x.data()}, code));
        store.emplace(encoding);
        for (int i = 0; i < lists; i++) {
            for (float& y : x)
                y = std::normal_distribution<float>()(rng);
            store->add_list(encoding.codec().encode({.dense = x.data()}, code));
        }
    }
    static constexpr uint32_t dims = 64;
    static constexpr int lists = 700;
    Encoding encoding{{{Form::dense, Metric::l2, dims, 8}, false}, page_bytes};
    std::optional<MemoryLists> store;
};

// A search sees the lists before or after, whenever the root is replaced.
TEST_F(ReplacedRoot, IsSeenAsAWhole)
{
    Query query(encoding);
    const std::vector<float> q(dims, 0.5f);
    query.set({.dense = q.data()});
    NearestLists<MemoryLists> nearest(*store, query);
    const Vec<Block> old = nearest.heads();
    ASSERT_EQ(old.size(), size_t{lists});
    for (size_t at = 1, before = old[0];; at++) {
        size_t reads = 0;
        store->before_root = [&](Block) {
            if (++reads == at)
                store->replace_root();
        };
        nearest.start();
        EXPECT_EQ(nearest.size(), size_t{lists}) << at;
        const Block first = nearest.heads()[0];
        store->before_root = [](Block) {};
        ASSERT_EQ(nearest.heads().size(), size_t{lists}) << at;
        ASSERT_EQ(nearest.heads()[0], first) << at;
        if (reads < at)
            break;
        EXPECT_NE(first, before) << at;
        before = first;
        ASSERT_LT(at, size_t{100});
    }
}

// On a standby, lists can become free while a search reads them. It may have begun when the lists before them had
// been replaced, and it may go on when the standby has been promoted.
TEST_F(ReplacedRoot, ListsOfASearchAreLost)
{
    Query query(encoding);
    NearestLists<MemoryLists> nearest(*store, query);
    store->lists_may_be_lost = true;
    store->replace_root();
    nearest.heads();
    store->free_replaced_lists();
    EXPECT_NO_THROW(nearest.check_that_none_is_lost()) << "lists that this search does not read";
    store->replace_root();
    store->lists_may_be_lost = false;
    EXPECT_NO_THROW(nearest.check_that_none_is_lost()) << "they are still there";
    store->free_replaced_lists();
    EXPECT_THROW(nearest.check_that_none_is_lost(), Error);
    nearest.heads();
    EXPECT_NO_THROW(nearest.check_that_none_is_lost()) << "others";
}

}   // namespace
