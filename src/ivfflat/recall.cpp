// ivfflat_recall(): the recall of an index for several numbers of probes.
#include "pg/pg.hpp"

#include "am/recall.hpp"
#include "ivfflat/handler.hpp"
#include "ivfflat/meta.hpp"
#include "ivfflat/scan.hpp"
#include "pg/entry.hpp"

using namespace quiver;

// Probes that mean all lists.
static int most_probes(Relation index)
{
    const ivfflat::MetaData meta = ivfflat::read_meta(index);
    int probes = 1;
    while (meta.lists_of(probes) < meta.lists)
        probes *= 2;
    return probes;
}

static constexpr am::RecallKind kind = {
    ivfflat::access_method, "ivfflat.recall", "ivfflat.probes", 1, most_probes, []() -> uint64 {
        return ivfflat::last_scan.search.estimated;
    }};

QUIVER_FUNCTION(ivfflat_recall) { return am::recall(fcinfo, kind, false); }
QUIVER_FUNCTION(ivfflat_recall_of_queries) { return am::recall(fcinfo, kind, true); }
