// Counters of this backend's last scan, for hnsw_last_scan() and hnsw_recall().
#pragma once

#include "graph/search.hpp"

namespace quiver::hnsw {

struct LastScan {
    graph::Counters counters;
    uint64_t rows = 0;   // handed to the executor
};
extern LastScan last_scan;

}   // namespace quiver::hnsw
