// The cost of an index scan, in PostgreSQL's units.
#include "pg/pg.hpp"

#include "am/cost.hpp"
#include "am/index_conditions.hpp"
#include "am/thresholds.hpp"
#include "ivfflat/handler.hpp"
#include "ivfflat/meta.hpp"
#include "ivfflat/scan.hpp"
#include "ivfflat/settings.hpp"

extern "C" {
#include "access/genam.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"
}

namespace quiver::ivfflat {

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

    const IndexOptInfo* index = path->indexinfo;
    const lists::Layout layout = lists::Encoding(meta.encoding(), page::usable_bytes).layout();
    const double rows = std::max(1.0, index->tuples), share = am::share_that_matches(root, path),
                 matching = std::max(1.0, rows * share), all = meta.lists,
                 probes = std::min(all, static_cast<double>(lists_at_first(meta))),
                 searched = rows * probes / all;
    double random_page_cost;
    get_tablespace_page_costs(index->reltablespace, &random_page_cost, nullptr);
    const double missed = am::miss_rate(root, index),
                 exact = am::cost_of_exact_distance(root, path);

    // Eight sketches of centroids or of rows take as long as one operator. Of the rows whose sketches are read, the
    // codes of some tens are read, too.
    const double sketch = cpu_operator_cost / 8 * std::max(1.0, layout.words / 6.0),
                 code = cpu_index_tuple_cost + cpu_operator_cost * layout.code_bytes / 12.0,
                 codes = std::min(searched * share, 100.0),
                 list_pages = probes + searched / layout.entries;
    constexpr double begin = 3;   // the first page, and the preparation of the query
    *startup = costs.indexStartupCost + begin + (all + searched) * sketch + 2 * probes * code +
               codes * code + (list_pages + probes + codes) * missed * random_page_cost;

    // A row after the first ones. Lists are searched again for four times as many rows.
    const double further = (searched * sketch / std::max(1.0, searched * share)) * 2 + 2 * code +
                           missed * random_page_cost + exact;
    constexpr double batch = 16;
    // A scan that does not iterate ends after its first lists. It returns only some of the rows within a threshold.
    const bool threshold = settings.iterative_scan != 0 && am::has_threshold(path);
    const am::Wanted wanted = am::rows_wanted(root, path, matching, share, threshold);
    *total = *startup +
             (std::max(0.0, wanted.rows - batch) * further + wanted.rows * cpu_index_tuple_cost) /
                 wanted.share;
    if (root->tuple_fraction <= 0 && !threshold)
        *total += am::too_few_rows;
    *selectivity = costs.indexSelectivity;
    *correlation = 0;
    *pages = std::min(list_pages + codes, std::max(1.0, static_cast<double>(index->pages)));
}

}   // namespace quiver::ivfflat
