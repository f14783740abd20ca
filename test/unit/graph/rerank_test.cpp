// Tests of Rerank, the layer of a scan that orders rows by exact distances, alone. The rows, their
// bounds and their distances are made up.
#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "graph/rerank.hpp"

using namespace quiver;
using namespace quiver::graph;

namespace {

Tid tid_of(int row) { return {0, static_cast<uint16_t>(row), 1}; }

struct Row {
    int number;
    double low;
    bool certain = false;
    bool same_node = false;   // as the row before
    double width = 0;         // of the bounds
};

// The source of a Rerank: batches of rows in the order of their lower bounds.
struct Source {
    std::vector<std::vector<Row>> batches;
    std::vector<size_t> most_rows;   // of each batch; if there is no number, there is no limit
    bool probabilistic = false;
    size_t batch = 0, at = 0, left = SIZE_MAX;
    bool started = false;
    std::vector<double> returned_distances;
    int polls = 0;
    std::vector<int> put_back;

    bool next(BoundedRow* row)
    {
        while (batch_is_read())
            if (!next_batch())
                return false;
        const Row& r = batches[batch][at++];
        *row = {tid_of(r.number), r.low, r.low + r.width, r.certain};
        return true;
    }
    bool next_batch()
    {
        for (; started && batch < batches.size() && at < batches[batch].size(); at++)
            put_back.push_back(batches[batch][at].number);
        if (started)
            batch++;
        started = true;
        at = 0;
        if (batch >= batches.size())
            return false;
        left = batch < most_rows.size() ? most_rows[batch] : SIZE_MAX;
        return true;
    }
    void returned(double distance)
    {
        left--;
        returned_distances.push_back(distance);
    }
    bool bounds_are_probabilistic() const { return probabilistic; }
    bool needs_next_batch() const { return left == 0; }
    bool batch_is_read() const
    {
        return !started || batch >= batches.size() || at == batches[batch].size();
    }
    bool within_node() const { return !batch_is_read() && at > 0 && batches[batch][at].same_node; }
    void poll() { polls++; }
};

struct Fixture : Source, graph::Rows {
    std::map<int, std::optional<double>> exact;   // nothing: the row is not visible to the scan
    std::vector<int> asked, met;
    std::vector<double> distances;
    Rerank<Source> rerank{*this};

    bool distance(Tid tid, double* to) override
    {
        asked.push_back(tid.block_low);
        EXPECT_NE(std::find(met.begin(), met.end(), tid.block_low), met.end());
        const std::optional<double> d = exact.at(tid.block_low);
        *to = d.value_or(-1e9);
        return d.has_value();
    }
    std::vector<int> take(size_t count)
    {
        std::vector<int> got;
        Tid tid;
        for (double d; got.size() < count &&
                       rerank.next(&tid, &d, [&](Tid t) { met.push_back(t.block_low); });) {
            got.push_back(tid.block_low);
            distances.push_back(d);
        }
        return got;
    }
    std::vector<int> all(bool strict = true)
    {
        rerank.start(this, strict);
        return take(1000);
    }
};
using Numbers = std::vector<int>;

TEST(Rerank, RowsComeInTheOrderOfExactDistances)
{
    Fixture f;
    f.batches = {{{1, 0}, {2, 1}, {3, 2}, {4, 9}}};
    f.exact = {{1, 5.0}, {2, 2.5}, {3, 3.0}, {4, 9.5}};
    EXPECT_EQ(f.all(), (Numbers{2, 3, 1, 4}));
    EXPECT_EQ(f.distances, (std::vector<double>{2.5, 3, 5, 9.5}));
    EXPECT_EQ(f.returned_distances, f.distances);
    EXPECT_EQ(f.polls, 4);
    EXPECT_EQ(f.take(1), Numbers{});
    EXPECT_EQ(f.take(1), Numbers{});
}

// A row waits only as long as another row can be nearer.
TEST(Rerank, RowsWaitForTheLowerBoundOfTheNext)
{
    Fixture f;
    f.batches = {{{1, 0}, {2, 3}, {3, 4}, {4, 5}}};
    f.exact = {{1, 3.0}, {2, 4.5}, {3, 6.0}, {4, 5.5}};
    f.rerank.start(&f, true);
    EXPECT_EQ(f.take(1), Numbers{1});   // its distance equals the bound of row 2
    EXPECT_EQ(f.asked, Numbers{1});
    EXPECT_EQ(f.met, (Numbers{1, 2}));
    EXPECT_EQ(f.take(1), Numbers{2});
    EXPECT_EQ(f.asked, (Numbers{1, 2, 3}));
    EXPECT_EQ(f.take(9), (Numbers{4, 3}));
}

TEST(Rerank, CertainRowsAreNotAskedFor)
{
    Fixture f;
    f.batches = {{{1, 1, true}, {2, 2}, {3, 3}, {4, 4, true}, {5, 5}}};
    f.exact = {{2, 3.5}, {3, 3.2}, {5, 5.5}};
    EXPECT_EQ(f.all(), (Numbers{1, 3, 2, 4, 5}));
    EXPECT_EQ(f.asked, (Numbers{2, 3, 5}));
    EXPECT_EQ(f.met, (Numbers{1, 2, 3, 4, 5}));
    EXPECT_EQ(f.distances,
              (std::vector<double>{1, 3.2, 3.5, 4, 5.5}));   // the bounds of certain ones
    EXPECT_EQ(f.returned_distances, f.distances);
}

TEST(Rerank, WithoutRowsTheOrderIsThatOfBounds)
{
    Fixture f;
    f.batches = {{{1, 1}, {2, 2}}, {{3, 1.5}}};
    f.rerank.start(nullptr, true);
    EXPECT_EQ(f.take(9), (Numbers{1, 2, 3}));
    EXPECT_EQ(f.asked, Numbers{});
    EXPECT_EQ(f.distances, (std::vector<double>{1, 2, 1.5}));
}

TEST(Rerank, NoRowsAndOne)
{
    Fixture none;
    EXPECT_EQ(none.all(), Numbers{});
    none.batches = {{}, {}};
    EXPECT_EQ(none.all(), Numbers{});
    Fixture one;
    one.batches = {{{7, 1}}};
    one.exact = {{7, 2.0}};
    EXPECT_EQ(one.all(), Numbers{7});
}

TEST(Rerank, RowsThatTheScanDoesNotSeeAreSkipped)
{
    Fixture f;
    f.batches = {{{1, 0}, {2, 1}, {3, 2}}};
    f.exact = {{1, {}}, {2, 2.5}, {3, {}}};
    EXPECT_EQ(f.all(false), Numbers{2});
    EXPECT_EQ(f.polls, 3);
    Fixture all_gone;
    all_gone.batches = {{{1, 0}, {2, 1}}};
    all_gone.exact = {{1, {}}, {2, {}}};
    EXPECT_EQ(all_gone.all(), Numbers{});
}

TEST(Rerank, EqualDistancesAllCome)
{
    Fixture f;
    f.batches = {{{1, 0}, {2, 0}, {3, 0}}, {{4, 0}}};
    f.exact = {{1, 1.0}, {2, 1.0}, {3, 1.0}, {4, 1.0}};
    Numbers got = f.all();
    std::sort(got.begin(), got.end());
    EXPECT_EQ(got, (Numbers{1, 2, 3, 4}));
}

TEST(Rerank, NaNComesLast)
{
    Fixture f;
    f.batches = {{{1, -INFINITY}, {2, -INFINITY}, {3, -INFINITY}, {4, 1}}};
    f.exact = {{1, NAN}, {2, -INFINITY}, {3, 1e300}, {4, 2.0}};
    EXPECT_EQ(f.all(), (Numbers{2, 4, 3, 1}));
    EXPECT_EQ(f.distances, (std::vector<double>{-INFINITY, 2, 1e300, INFINITY}));
}

// Row 3 is found after row 2 was returned, and is nearer than row 2. Row 4 is as near as row 2.
TEST(Rerank, StrictOrderDropsWhatComesTooLate)
{
    Fixture f;
    f.batches = {{{1, 0}, {2, 1}}, {{3, 2}, {4, 2}, {5, 2}}};
    f.exact = {{1, 1.0}, {2, 1.5}, {3, 1.4}, {4, 1.5}, {5, 6.0}};
    EXPECT_EQ(f.all(true), (Numbers{1, 2, 4, 5}));
    Fixture g;
    g.batches = f.batches;
    g.exact = f.exact;
    EXPECT_EQ(g.all(false), (Numbers{1, 2, 3, 4, 5}));
}

// A certain row has only bounds. Its distance may be the upper one.
TEST(Rerank, StrictOrderDropsWhatMayBeNearerThanACertainRow)
{
    Fixture f;
    f.batches = {{{1, 2, true, false, 0.5}}, {{2, 1}, {3, 1}, {4, 1}}};
    f.exact = {{2, 1.9}, {3, 2.4}, {4, 2.5}};
    EXPECT_EQ(f.all(true), (Numbers{1, 4}));
    EXPECT_EQ(f.distances, (std::vector<double>{2, 2.5}));
    EXPECT_EQ(f.returned_distances, (std::vector<double>{2.5, 2.5}));
}

// A batch allows two rows. The third is certain, but the next batch may have a nearer one.
TEST(Rerank, CertainRowsWaitForTheNextBatch)
{
    Fixture f;
    f.batches = {{{1, 1, true}, {2, 2, true}, {3, 4, true}, {4, 6, true}},
                 {{5, 3, true}, {4, 6, true}}};
    f.most_rows = {2};
    f.exact = {{3, 4.5}};
    EXPECT_EQ(f.all(true), (Numbers{1, 2, 5, 3, 4}));
    EXPECT_EQ(f.asked, Numbers{3});
    EXPECT_EQ(f.put_back, Numbers{4});
}

// With certain bounds, a row waits until the next batch shows that no other row is nearer.
TEST(Rerank, RowsWaitForTheNextBatch)
{
    Fixture f;
    f.batches = {{{1, 0}, {2, 1}}, {{3, 2}}};
    f.exact = {{1, 4.0}, {2, 3.0}, {3, 2.5}};
    EXPECT_EQ(f.all(), (Numbers{3, 2, 1}));
}

// With probabilistic bounds, rows would always wait for another batch.
TEST(Rerank, WithProbabilisticBoundsABatchThatIsReadIsReturnedFirst)
{
    Fixture f;
    f.probabilistic = true;
    f.batches = {{{1, 0}, {2, 1}}, {{3, 2}}};
    f.exact = {{1, 4.0}, {2, 3.0}, {3, 2.5}};
    f.rerank.start(&f, false);
    EXPECT_EQ(f.take(2), (Numbers{2, 1}));
    EXPECT_EQ(f.batch, 0u);
    EXPECT_EQ(f.take(9), Numbers{3});
    Fixture strict;
    strict.probabilistic = true;
    strict.batches = f.batches;
    strict.exact = f.exact;
    EXPECT_EQ(strict.all(true), (Numbers{2, 1}));
}

// One row may be returned; then the next batch is searched for. The row that was read ahead, and
// the other rows of its node, wait for it with their exact distances. The rest of the batch is put
// back.
TEST(Rerank, ABatchGivesNoMoreRowsThanItMay)
{
    Fixture f;
    f.probabilistic = true;
    f.batches = {{{1, 0}, {2, 1}, {3, 4}, {4, 4, false, true}, {5, 4}}, {{6, 2}, {5, 4}}};
    f.most_rows = {1};
    f.exact = {{1, 3.0}, {2, 3.5}, {3, 4.5}, {4, 4.2}, {5, 5.0}, {6, 3.2}};
    f.rerank.start(&f, true);
    f.met = {4};   // on_row() is called only for the first row of a node
    EXPECT_EQ(f.take(1), Numbers{1});
    EXPECT_EQ(f.asked, (Numbers{1, 2}));
    EXPECT_EQ(f.take(1), Numbers{6});
    EXPECT_EQ(f.asked, (Numbers{1, 2, 3, 4, 6}));
    EXPECT_EQ(f.put_back, Numbers{5});
    EXPECT_EQ(f.take(9), (Numbers{2, 4, 3, 5}));
}

// All rows of a batch may be too late. Then the next row is in the batch after it.
TEST(Rerank, ABatchWithoutRowsLetsNoRowGo)
{
    Fixture f;
    f.probabilistic = true;
    f.batches = {{{1, 0}, {2, 0}}, {}, {{3, 1}}};
    f.most_rows = {1};
    f.exact = {{1, 3.0}, {2, 3.5}, {3, 3.2}};
    EXPECT_EQ(f.all(), (Numbers{1, 3, 2}));
}

// When there is no further batch, all waiting rows are returned, whatever the last batch allowed.
TEST(Rerank, TheLastBatchGivesAll)
{
    Fixture f;
    f.probabilistic = true;
    f.batches = {{{1, 0}, {2, 0}}, {{3, 0}}};
    f.most_rows = {1, 1};
    f.exact = {{1, 3.0}, {2, 3.5}, {3, 4.5}};
    EXPECT_EQ(f.all(), (Numbers{1, 2, 3}));
}

TEST(Rerank, EachStartForgetsTheScanBefore)
{
    Fixture f;
    f.batches = {{{1, 0}, {2, 1}, {3, 9}}};
    f.exact = {{1, 5.0}, {2, 6.0}, {3, 10.0}};
    f.rerank.start(&f, true);
    EXPECT_EQ(f.take(1), Numbers{1});   // 2 waits, and 3 was read ahead
    static_cast<Source&>(f) = Source{};
    f.batches = {{{4, 1}}};
    f.exact = {{4, 2.0}};
    EXPECT_EQ(f.all(), Numbers{4});
}

}   // namespace
