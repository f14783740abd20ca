// The settings hnsw.*, with pgvector's names. Each is a member of Settings and a row in
// settings.cpp.
#pragma once

namespace quiver::hnsw {

struct Settings {
    int ef_search;
    int iterative_scan;   // graph::Iterate
    int max_scan_tuples;
    double scan_mem_multiplier;
#ifdef QUIVER_FAILURE_POINTS
    int vacuum_memory;   // bytes, instead of maintenance_work_mem; 0: that
#endif
};
extern Settings settings;

void define_settings();

}   // namespace quiver::hnsw
