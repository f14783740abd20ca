// What scans have done, for ivfflat_last_scan() and EXPLAIN.
#pragma once

#include "am/access_method.hpp"
#include "ivfflat/meta.hpp"
#include "lists/search.hpp"

namespace quiver::ivfflat {

struct ScanCounters {
    lists::Counters search;
    uint64_t rows = 0;   // handed to the executor

    ScanCounters& operator+=(const ScanCounters& other);
};
// Of this backend's last scan, since its last rescan.
extern ScanCounters last_scan;

// Shows what a scan has done, in all rescans together.
void explain_scan(IndexScanDesc scan, am::Explanation& to);

// How many lists a search of this index reads, by the settings: at first, and at most.
// (SIZE_MAX: all.)
size_t lists_at_first(const MetaData& meta);
size_t lists_at_most(const MetaData& meta);

}   // namespace quiver::ivfflat
