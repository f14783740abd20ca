// What scans have done, for hnsw_last_scan(), hnsw_recall() and EXPLAIN.
#pragma once

#include "am/access_method.hpp"
#include "graph/search.hpp"

namespace quiver::hnsw {

struct ScanCounters {
    graph::Counters search;
    uint64 pages = 0;   // of the index, each as often as it was read
    uint64 rows = 0;    // handed to the executor

    ScanCounters& operator+=(const ScanCounters& other);
};

// Of this backend's last scan, since its last rescan.
extern ScanCounters last_scan;

// Shows what a scan has done, in all rescans together.
void explain_scan(IndexScanDesc scan, am::Explanation& to);

}   // namespace quiver::hnsw
