// hnsw_recall(): the recall of an index for several values of ef_search.
#include "pg/pg.hpp"

#include "am/recall.hpp"
#include "hnsw/handler.hpp"
#include "hnsw/scan.hpp"
#include "pg/entry.hpp"

using namespace quiver;

static constexpr am::RecallKind kind = {hnsw::access_method,
                                        nullptr,
                                        "hnsw.ef_search",
                                        10,
                                        [](Relation) { return 640; },
                                        []() -> uint64 { return hnsw::last_scan.search.visited; }};

QUIVER_FUNCTION(hnsw_recall) { return am::recall(fcinfo, kind, false); }
QUIVER_FUNCTION(hnsw_recall_of_queries) { return am::recall(fcinfo, kind, true); }
