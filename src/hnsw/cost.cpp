// What an index scan costs. A search visits about as many slots as it keeps, plus a few for each
// layer; every slot is a page read at random and some arithmetic. All of the first ef_search rows
// are paid for before the first comes out; more rows cost more visits each.
#include "pg/pg.hpp"

#include "hnsw/hnsw.hpp"

extern "C" {
#include "access/genam.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/float.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"
}

namespace quiver::am {

void estimate_cost(PlannerInfo* root, IndexPath* path, double loops, Cost* startup, Cost* total,
                   Selectivity* selectivity, double* correlation, double* pages)
{
    const Relation index = index_open(path->indexinfo->indexoid, NoLock);
    MetaData meta{};
    const bool readable = try_read_meta(index, &meta);
    // The statement may well do without the index, but its owner should know.
    if (!readable && path->indexorderbys != NIL)
        ereport(WARNING,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("index \"%s\" cannot be used by this version of quiver",
                        RelationGetRelationName(index)),
                 errhint("REINDEX the index.")));
    index_close(index, NoLock);

    // Only the order is worth anything, by one distance: rows of the same one would have to be put in order by the next.
    // An index of another format can't be used, but a query of its table can be planned without.
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

    double random_page_cost, sequential_page_cost;
    get_tablespace_page_costs(path->indexinfo->reltablespace, &random_page_cost,
                              &sequential_page_cost);
    const double rows = std::max(1.0, path->indexinfo->tuples);
    const double layers = std::max(0, meta.entry_level);
    const double ef = settings.ef_search;
    // Visits beyond ef shrink as the graph does; at the end there is nothing left to visit.
    const double first = std::min(rows, 2 * ef) + layers * 3;
    const double most = settings.iterative_scan == static_cast<int>(graph::Iterate::off)
                            ? std::min(rows, ef)
                            : std::min(rows, std::max<double>(settings.max_scan_tuples, ef));
    // A visit: its page (neighbours are on pages of their own, and often cached: a search's pages
    // are a small part of the index that every search begins with), its own distance, and one
    // bit-sliced estimate for each neighbour.
    const double page = std::min(
        random_page_cost, sequential_page_cost + (random_page_cost - sequential_page_cost) / 4);
    const double cpu =
        cpu_index_tuple_cost + cpu_operator_cost * (meta.dims / 64.0 + meta.degree / 4.0);
    double visit = page + cpu;
    if (!meta.layout().sketched())   // reads the neighbours, of which the search met half before
        visit += meta.degree / 2.0 *
                 (page / 4 + cpu_index_tuple_cost +
                  cpu_operator_cost * meta.layout().code_bytes / 256.0);

    // Coarse codes: most of the rows that it keeps are read to be put in order.
    const double ranked =
        codec::codec_traits(meta.encoding().codec).order == codec::CodecTraits::Order::by_chance ? page + cpu_tuple_cost + 2 * cpu_operator_cost : 0.0;

    *startup = costs.indexStartupCost + first * visit + std::min(rows, ef) * ranked;
    *total = *startup + std::max(0.0, most - ef) * (1.2 * visit + ranked) +
             std::min(most, ef) * cpu_index_tuple_cost;
    *selectivity = most / rows;
    *correlation = 0;
    *pages = std::min(first + std::max(0.0, most - ef),
                      std::max(1.0, static_cast<double>(path->indexinfo->pages)));
}

}   // namespace quiver::am
