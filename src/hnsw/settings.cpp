#include "pg/pg.hpp"

#include "hnsw/settings.hpp"

#include "am/setting.hpp"
#include "am/thresholds.hpp"
#include "graph/scan.hpp"
#include "page/page_store.hpp"

namespace quiver::hnsw {

Settings settings;

namespace {

const config_enum_entry iterate_names[] = {
    {"off", static_cast<int>(graph::Iterate::off), false},
    {"relaxed_order", static_cast<int>(graph::Iterate::relaxed), false},
    {"strict_order", static_cast<int>(graph::Iterate::strict), false},
    {nullptr, 0, false},
};

}   // namespace

void define_settings()
{
    using am::define_setting;
    define_setting("hnsw.ef_search", &settings.ef_search, 40, 1, 10000,
                   "Sets the size of the dynamic candidate list for search.",
                   "A larger list finds more of the nearest rows and takes longer.");
    define_setting("hnsw.iterative_scan", &settings.iterative_scan,
                   static_cast<int>(graph::Iterate::strict), iterate_names,
                   "Sets the mode for iterative scans.",
                   "Determines whether and how a scan continues after ef_search rows.");
    define_setting("hnsw.max_scan_tuples", &settings.max_scan_tuples, 20000, 1, PG_INT32_MAX,
                   "Sets the maximum number of nodes to visit for iterative scans.",
                   "Scans with conditions on filter columns end there, too. For them, 1,600 filter "
                   "codes or 64 "
                   "sketches on flat pages count as one node.");
    define_setting("hnsw.scan_mem_multiplier", &settings.scan_mem_multiplier, 1, 1, 1000,
                   "Sets the multiple of work_mem to use for iterative scans.");
    define_setting("hnsw.range_scan", &am::range_scans, false,
                   "Lets an index answer WHERE distance < c without ORDER BY.",
                   "As with ORDER BY, a search may then miss some of the rows.");
#ifdef QUIVER_FAILURE_POINTS
    DefineCustomIntVariable("hnsw.crash_after_writes",
                            "Crashes the server after this number of changes to index pages.",
                            "For tests of recovery. WAL written before the crash is flushed first.",
                            &page::crash_after_writes, 0, 0, PG_INT32_MAX, PGC_SUSET,
                            GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "hnsw.vacuum_memory", "Sets the number of slots that VACUUM removes at once.",
        "For tests. Zero: maintenance_work_mem decides.", &settings.vacuum_memory, 0, 0,
        PG_INT32_MAX, PGC_SUSET, GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL, nullptr, nullptr, nullptr);
#endif
    pg::reserve_guc_prefix("hnsw");
}

}   // namespace quiver::hnsw
