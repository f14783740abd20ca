// The access method's entry: its capabilities and callbacks. Each callback runs in guarded().
#include "pg/pg.hpp"

#include "hnsw/handler.hpp"

#include "am/operator_class.hpp"
#include "codec/sparse_codec.hpp"
#include "graph/layout.hpp"
#include "hnsw/options.hpp"
#include "hnsw/scan.hpp"
#include "hnsw/settings.hpp"
#include "pg/entry.hpp"

extern "C" {
#include "commands/progress.h"
}

using namespace quiver;

namespace {

bytea* parse_options(Datum reloptions, bool validate)
{
    return hnsw::option_table.parse(reloptions, validate);
}
bool validate(Oid opclass) { return am::validate_opclass(opclass, hnsw::access_method); }
char* phase_name(int64 phase)
{
    switch (phase) {
    case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE: return pstrdup("initializing");
    case hnsw::phase_load: return pstrdup("loading tuples");
    case hnsw::phase_link: return pstrdup("linking nodes");
    case hnsw::phase_write: return pstrdup("writing pages");
    default: return nullptr;
    }
}

}   // namespace

constinit const am::AccessMethod hnsw::access_method = {
    .name = "hnsw",
    .estimate_cost = pg::callback<hnsw::estimate_cost>,
    .explain_scan = hnsw::explain_scan,
    .meta_magic = 0x52565551,   // "QUVR"
    .format_version = graph::format_version,
    .max_nonzero = codec::max_sparse_bytes / 8,
    .pgvectors_magic = 0xA953A953,
    .find_opclass = hnsw::find_opclass,
    .info_support = 3,
    .take_part_in_build = hnsw::take_part_in_build,
};

void hnsw::load()
{
    option_table.define();
    define_settings();
    am::register_access_method(access_method);
}

QUIVER_FUNCTION(hnswhandler)
{
    static constexpr IndexAmRoutine routine = [] {
        IndexAmRoutine am = am::common_routine();
        am.amsupport = 3;
        am.amusemaintenanceworkmem = true;
        am.ambuild = pg::callback<hnsw::build>;
        am.ambuildempty = pg::callback<hnsw::build_empty>;
        am.aminsert = pg::callback<hnsw::insert>;
        am.ambulkdelete = pg::callback<hnsw::bulk_delete>;
        am.amvacuumcleanup = pg::callback<hnsw::vacuum_cleanup>;
        am.amcostestimate = pg::callback<hnsw::estimate_cost>;
        am.amoptions = pg::callback<parse_options>;
        am.ambuildphasename = pg::callback<phase_name>;
        am.amvalidate = pg::callback<validate>;
        am.ambeginscan = pg::callback<hnsw::begin_scan>;
        am.amrescan = pg::callback<hnsw::rescan>;
        am.amgettuple = pg::callback<hnsw::get_tuple>;
        am.amendscan = pg::callback<hnsw::end_scan>;
        return am;
    }();
    PG_RETURN_POINTER(pg::index_am_routine(routine));
}
