// What an index scan costs. A search visits about as many slots as it keeps, plus a few for each
// layer; every slot is a page read at random and some arithmetic. The first ef_search rows are startup
// cost, as they are found before the first of them is returned. Each further row costs further visits.
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

// False for an index that cannot be used, such as one of another format: a query of its table can be planned
// without it. A warning says so to a query that would use it.
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

// Of reading a page at random. Neighbours are on pages of their own, and often cached: a search's pages are a small
// part of the index that every search begins with.
double cost_of_page(const IndexOptInfo* index)
{
    double random_page_cost, sequential_page_cost;
    get_tablespace_page_costs(index->reltablespace, &random_page_cost, &sequential_page_cost);
    return std::min(random_page_cost,
                    sequential_page_cost + (random_page_cost - sequential_page_cost) / 4);
}

// Of visiting a node: its page, its own distance, and one bit-sliced estimate for each neighbour.
double cost_of_visit(const MetaData& meta, double page)
{
    const double cpu =
        cpu_index_tuple_cost + cpu_operator_cost * (meta.dims / 64.0 + meta.degree / 4.0);
    double visit = page + cpu;
    if (!meta.layout().sketched())   // reads the neighbours, of which the search met half before
        visit += meta.degree / 2.0 *
                 (page / 4 + cpu_index_tuple_cost +
                  cpu_operator_cost * meta.layout().code_bytes / 256.0);
    return visit;
}

// Of reading a row of the table to put it in order. Coarse codes leave that to do for most rows that a scan keeps.
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
    // The index gives an order by one distance, and nothing else.
    if (list_length(path->indexorderbys) != 1 || !readable) {
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
    // Visits beyond ef shrink as the graph does; at the end there is nothing left to visit.
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
