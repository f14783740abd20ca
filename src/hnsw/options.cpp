// Index options and settings, named as pgvector's.
#include "pg/pg.hpp"

#include "hnsw/hnsw.hpp"

extern "C" {
#include "access/reloptions.h"
}

namespace quiver::am {

Settings settings;

namespace {

relopt_kind kind;

const config_enum_entry iterate_names[] = {
    {"off", static_cast<int>(graph::Iterate::off), false},
    {"relaxed_order", static_cast<int>(graph::Iterate::relaxed), false},
    {"strict_order", static_cast<int>(graph::Iterate::strict), false},
    {nullptr, 0, false},
};

}   // namespace

void define_options()
{
    kind = add_reloption_kind();
    add_int_reloption(kind, "m", "Max number of connections", default_m, 2, 100,
                      AccessExclusiveLock);
    add_int_reloption(kind, "ef_construction",
                      "Size of the dynamic candidate list for construction",
                      default_ef_construction, 4, 1000, AccessExclusiveLock);
    add_int_reloption(kind, "sketch_fold",
                      "Coordinates for each bit of a neighbour's sketch (0: chosen by the "
                      "dimensions, -1: no sketches)",
                      graph::choose_fold, graph::no_sketches, 64, AccessExclusiveLock);
    add_int_reloption(kind, "vector_bits",
                      "Bits for each dimension of a node's own vector: 32 (in full), 16, 12, 8, or "
                      "4, 2, 1 by product quantization (0: chosen)",
                      graph::choose_bits, 0, 32, AccessExclusiveLock);

    DefineCustomIntVariable(
        "hnsw.ef_search", "Sets the size of the dynamic candidate list for search",
        "More finds more of the nearest rows and takes longer.", &settings.ef_search, 40, 1, 10000,
        PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomEnumVariable("hnsw.iterative_scan", "Sets the mode for iterative scans",
                             "Whether and how a scan goes on after the first ef_search rows.",
                             &settings.iterative_scan, static_cast<int>(graph::Iterate::strict),
                             iterate_names, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("hnsw.max_scan_tuples",
                            "Sets the max number of tuples to visit for iterative scans", nullptr,
                            &settings.max_scan_tuples, 20000, 1, PG_INT32_MAX, PGC_USERSET, 0,
                            nullptr, nullptr, nullptr);
    DefineCustomRealVariable("hnsw.scan_mem_multiplier",
                             "Sets the multiple of work_mem to use for iterative scans", nullptr,
                             &settings.scan_mem_multiplier, 1, 1, 1000, PGC_USERSET, 0, nullptr,
                             nullptr, nullptr);
#ifdef QUIVER_FAILURE_POINTS
    DefineCustomIntVariable(
        "hnsw.crash_after_writes", "Crashes the server after so many changes of index pages.",
        "For tests of recovery: what was logged till then is flushed, the rest is lost.",
        &page::crash_after_writes, 0, 0, PG_INT32_MAX, PGC_SUSET,
        GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL, nullptr, nullptr, nullptr);
#endif
    pg::reserve_guc_prefix("hnsw");
}

bytea* parse_options(Datum reloptions, bool validate)
{
    static const relopt_parse_elt table[] = {
        {"m", RELOPT_TYPE_INT, offsetof(Options, m)},
        {"ef_construction", RELOPT_TYPE_INT, offsetof(Options, ef_construction)},
        {"sketch_fold", RELOPT_TYPE_INT, offsetof(Options, sketch_fold)},
        {"vector_bits", RELOPT_TYPE_INT, offsetof(Options, vector_bits)},
    };
    return static_cast<bytea*>(
        build_reloptions(reloptions, validate, kind, sizeof(Options), table, lengthof(table)));
}

Options options_of(Relation index)
{
    if (index->rd_options)
        return *reinterpret_cast<Options*>(index->rd_options);
    return {0, default_m, default_ef_construction, graph::choose_fold, graph::choose_bits};
}

}   // namespace quiver::am
