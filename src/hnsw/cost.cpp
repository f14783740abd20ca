// The cost of an index scan. A search visits about as many slots as it keeps, plus a few for each
// layer. Each visit reads a page at random and does some arithmetic. Finding the first ef_search
// rows is the startup cost, because the search finds them before it returns one. Each further row
// costs further visits.
#include "pg/pg.hpp"

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

// False for an index that cannot be used, such as one of another format. Queries of its table can
// be planned without it. If a query would use the index, this raises a warning.
bool read_meta_for_planner(const IndexPath* path, MetaData* meta)
{
    const Relation index = index_open(path->indexinfo->indexoid, NoLock);
    const bool readable = try_read_meta(index, meta);
    if (!readable && path->indexorderbys != NIL)
        ereport(WARNING, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                          errmsg("index \"%s\" cannot be used by this version of quiver",
                                 RelationGetRelationName(index)),
                          errhint("REINDEX the index.")));
    index_close(index, NoLock);
    return readable;
}

// Does the query itself have a condition that was matched to the index? The only operator is that of
// thresholds, which is for am/thresholds.cpp, and is always true elsewhere.
bool has_own_conditions(const IndexPath* path)
{
    ListCell* cell;
    foreach (cell, path->indexclauses)
        if (!static_cast<IndexClause*>(lfirst(cell))->lossy)
            return true;
    return false;
}

// The cost of reading a page at random. Neighbours are on different pages. Those are often cached,
// because all searches begin in the same small part of the index.
double cost_of_page(const IndexOptInfo* index)
{
    double random_page_cost, sequential_page_cost;
    get_tablespace_page_costs(index->reltablespace, &random_page_cost, &sequential_page_cost);
    return std::min(random_page_cost,
                    sequential_page_cost + (random_page_cost - sequential_page_cost) / 4);
}

// The cost of visiting a node: its page, its own distance, and one bit-sliced estimate for each
// neighbour.
double cost_of_visit(const MetaData& meta, double page)
{
    const double cpu =
        cpu_index_tuple_cost + cpu_operator_cost * (meta.dims / 64.0 + meta.degree / 4.0);
    double visit = page + cpu;
    if (!meta.layout().sketched())   // reads the neighbours; half of them were met before
        visit += meta.degree / 2.0 *
                 (page / 4 + cpu_index_tuple_cost +
                  cpu_operator_cost * meta.layout().code_bytes / 256.0);
    return visit;
}

// The cost of reading a row of the table to put it in order. With coarse codes a scan must do that
// for most of the rows that it keeps.
double cost_of_rerank(const MetaData& meta, double page)
{
    const bool most_rows =
        codec::codec_traits(meta.encoding().codec).order == codec::CodecTraits::Order::by_chance;
    return most_rows ? page + cpu_tuple_cost + 2 * cpu_operator_cost : 0.0;
}

}   // namespace

void estimate_cost(PlannerInfo* root, IndexPath* path, double loops, Cost* startup, Cost* total,
                   Selectivity* selectivity, double* correlation, double* pages)
{
    MetaData meta{};
    const bool readable = read_meta_for_planner(path, &meta);
    // The index can only return rows ordered by one distance.
    if (list_length(path->indexorderbys) != 1 || has_own_conditions(path) || !readable) {
        *startup = *total = get_float8_infinity();
        *selectivity = 0;
        *correlation = 0;
        *pages = 0;
        pg::never_choose(&path->path);
        return;
    }
    GenericCosts costs{};
    genericcostestimate(root, path, loops, &costs);

    const double rows = std::max(1.0, path->indexinfo->tuples);
    const double layers = std::max(0, meta.entry_level);
    const double ef = settings.ef_search;
    // In a small graph there are fewer nodes to visit beyond ef: no more than there are rows.
    const double first = std::min(rows, 2 * ef) + layers * 3;
    const double most = settings.iterative_scan == static_cast<int>(graph::Iterate::off)
                            ? std::min(rows, ef)
                            : std::min(rows, std::max<double>(settings.max_scan_tuples, ef));
    const double page = cost_of_page(path->indexinfo);
    const double visit = cost_of_visit(meta, page), rerank = cost_of_rerank(meta, page);
    *startup = costs.indexStartupCost + first * visit + std::min(rows, ef) * rerank;
    *total = *startup + std::max(0.0, most - ef) * (1.2 * visit + rerank) +
             std::min(most, ef) * cpu_index_tuple_cost;
    *selectivity = most / rows;
    *correlation = 0;
    *pages = std::min(first + std::max(0.0, most - ef),
                      std::max(1.0, static_cast<double>(path->indexinfo->pages)));
}

}   // namespace quiver::hnsw
