// Counters of this backend's last scan, for ivfflat_last_scan().
#pragma once

#include "ivfflat/meta.hpp"
#include "lists/search.hpp"

namespace quiver::ivfflat {

struct LastScan {
    lists::Counters counters;
    uint64_t rows = 0;   // handed to the executor
};
extern LastScan last_scan;

// How many lists a search of this index reads, by the settings: at first, and at most.
size_t lists_at_first(const MetaData& meta);
size_t lists_at_most(const MetaData& meta);

}   // namespace quiver::ivfflat
