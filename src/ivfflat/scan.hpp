// Counters of this backend's last scan, for ivfflat_last_scan().
#pragma once

#include "lists/search.hpp"

namespace quiver::ivfflat {

struct LastScan {
    lists::Counters counters;
    uint64_t rows = 0;   // handed to the executor
};
extern LastScan last_scan;

}   // namespace quiver::ivfflat
