// The cost of an index scan, in PostgreSQL's units. docs/manual/querying.md explains it to
// users.
//
// The figures were measured with all pages cached, on tables of 100 to 100,000 rows of 3 to 1,536
// dimensions. There a sequential scan takes about 3 microseconds per unit of its cost.
#include "pg/pg.hpp"

#include "am/cost.hpp"
#include "am/index_conditions.hpp"
#include "am/thresholds.hpp"
#include "graph/scan.hpp"
#include "hnsw/handler.hpp"
#include "hnsw/meta.hpp"
#include "hnsw/settings.hpp"

extern "C" {
#include "access/genam.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/float.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"
}

namespace quiver::hnsw {

namespace {

// How many nodes the first batch of a scan visits. 2.5 for each place in the candidate list, but in
// a small graph, a search meets many of them twice. Measured at 40 to 400 places: 1.1 to 2 with 3
// dimensions, 2.5 with SIFT, 2.5 to 5 with text embeddings; random vectors of many dimensions: 6
// to 11.
double visits_of_first_batch(double rows, double ef, int layers)
{
    return rows * (1 - std::exp(-2.5 * ef / rows)) + 3.0 * layers;
}

// What a scan does besides these visits to find the rows that match, if only a share of the rows does.
struct Finding {
    double visits;   // or what takes as long
    double pages;    // that it reads
    bool flat;       // it reads flat pages (graph/filtered_search.hpp)
};
// Through the graph it has to judge the nodes as far as the tenth that matches. Measured with 100,000 SIFT
// vectors and text embeddings, and shares from 0.5 to 50 %: about one visit for each of these nodes. Without sketches, a search through the
// graph has to visit all nodes as far as the last that matches, and a flat one all that match, but not their
// neighbours.
Finding finding(const MetaData& meta, double rows, double ef, double share)
{
    const bool sketched = meta.layout().sketched();
    const double by_graph = (sketched ? std::max(10.0, ef / 4) : ef) * (1 / share - 1);
    const double by_flat = graph::flat_visits(meta.layout(), rows, share) +
                           (sketched ? 0 : rows * share / (meta.degree / 2.0));
    if (by_graph < by_flat)
        return {by_graph, by_graph, false};
    const double flat_pages = rows / meta.flat_layout().entries;
    return {by_flat, flat_pages + (sketched ? 0 : rows * share), true};
}

// The CPU cost of visiting a node: its own distance, and one estimate for each neighbour.
double cost_of_visit(const MetaData& meta)
{
    const auto layout = meta.layout();
    const double own = cpu_operator_cost * layout.code_bytes / 12.0;
    double visit = cpu_index_tuple_cost + own + cpu_operator_cost * 2 * meta.degree;
    if (!layout.sketched())   // reads the neighbours; half of them were met before
        visit += meta.degree / 2.0 * (cpu_index_tuple_cost + own + cpu_operator_cost * 4);
    return visit;
}

// With coarse codes, a scan computes the exact distances of most rows that it keeps.
bool reranks_most_rows(const MetaData& meta)
{
    return codec::codec_traits(meta.encoding().codec).order == codec::CodecTraits::Order::by_chance;
}

}   // namespace

void estimate_cost(PlannerInfo* root, IndexPath* path, double loops, Cost* startup, Cost* total,
                   Selectivity* selectivity, double* correlation, double* pages)
{
    MetaData meta{};
    am::complete_conditions(root, path);
    // The index can only return rows ordered by one distance.
    if (list_length(path->indexorderbys) != 1 || am::has_own_conditions(path) ||
        !read_meta_for_planner(path, &meta)) {
        am::rule_out(path, startup, total, selectivity, correlation, pages);
        return;
    }
    GenericCosts costs{};
    genericcostestimate(root, path, loops, &costs);

    const bool strict = settings.iterative_scan == static_cast<int>(graph::Iterate::strict);
    const bool iterates = settings.iterative_scan != static_cast<int>(graph::Iterate::off);
    const IndexOptInfo* index = path->indexinfo;
    const double rows = std::max(1.0, index->tuples);
    constexpr double least_ef = graph::least_iterating_ef;
    const double ef =
        iterates ? std::max<double>(least_ef, settings.ef_search) : settings.ef_search;

    double random_page_cost, sequential_page_cost;
    get_tablespace_page_costs(index->reltablespace, &random_page_cost, &sequential_page_cost);
    const double missed = am::miss_rate(root, index);
    const double share = am::share_that_matches(root, path), matching = std::max(1.0, rows * share);
    const double exact = am::cost_of_exact_distance(root, path);
    // With conditions, a visit also judges the neighbours.
    const double plain_visit = cost_of_visit(meta),
                 visit = plain_visit + (share < 1 ? cpu_operator_cost * 2 * meta.degree : 0);

    // The startup cost is that of the first batch, because the search finds all of its rows before
    // it returns one.
    constexpr double begin = 3;   // the first page, and the preparation of the query
    const Finding found = finding(meta, rows, ef, share);
    const double first = visits_of_first_batch(rows, ef, std::max(0, meta.entry_level)),
                 visits = first + found.visits;
    *startup = costs.indexStartupCost + begin + visits * visit + first * missed * random_page_cost;
    if (reranks_most_rows(meta))
        *startup += std::min(matching, ef) * exact;

    // A row after the first batch. With a selective condition, the scan visits 3 to 10 nodes for
    // each row that it returns. It keeps all neighbours, searches again with a beam twice as wide,
    // and computes more exact distances. Measured: 4 to 10 microseconds with up to 128 dimensions, 5
    // to 20 with 384, 40 to 60 with 1,536 dimensions stored out of line. Most of the index is read,
    // so a larger index makes a row more expensive.
    const double visits_of_row = found.flat ? 2 : 5 + 0.1 * (1 / share - 1);
    const double pages_of_visit = std::max(missed, index->pages / rows / 2);
    const auto cost_of_row = [&](double count, double cost) {
        return count * (2 * cost + pages_of_visit * random_page_cost) + exact;
    };
    const double further = cost_of_row(visits_of_row, visit);

    // For a LIMIT, PostgreSQL takes a share of the cost after the first row: the number of rows of
    // the LIMIT divided by the number of rows that fulfil the WHERE condition. So the total cost is
    // that of returning all rows of the index, even if hnsw.max_scan_tuples or iterative_scan = off
    // end the scan earlier: a scan that returns too few rows must not seem cheap. But the rows of
    // the first batch cost nothing more.
    const double batch = strict ? std::max(least_ef, ef / 2) : ef;
    const bool threshold = iterates && am::has_threshold(path);
    const am::Wanted wanted = am::rows_wanted(root, path, matching, share, threshold);
    // The pages that it reads to find the rows that match. The query could be answered without them by reading the
    // rows that match by another index. There, PostgreSQL takes no page to be cached, so neither does this. With all
    // pages cached, both take as long at a share of about 0.2 % of 100,000 rows. Or by a scan without the conditions, of
    // another index on the same vector, whose rows the executor filters. That is slower, so it must not cost less.
    const double unfiltered =
        (std::min(rows, wanted.rows / share) - batch) * cost_of_row(5, plain_visit);
    const double page_cost = found.flat ? sequential_page_cost : random_page_cost;
    *startup += std::clamp(0.75 * unfiltered - found.visits * visit, 0.0, found.pages * page_cost);
    *total = *startup +
             (std::max(0.0, wanted.rows - batch) * further + wanted.rows * cpu_index_tuple_cost) /
                 wanted.share;
    if (root->tuple_fraction <= 0 && !threshold)
        *total += am::too_few_rows;
    *selectivity = costs.indexSelectivity;
    *correlation = 0;
    *pages = std::min(visits, std::max(1.0, static_cast<double>(index->pages)));
}

}   // namespace quiver::hnsw
