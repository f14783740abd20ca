// The access method's entry: its capabilities and callbacks. Each callback runs in guarded().
#include "pg/pg.hpp"

#include "ivfflat/handler.hpp"

#include "am/operator_class.hpp"
#include "ivfflat/options.hpp"
#include "ivfflat/scan.hpp"
#include "ivfflat/settings.hpp"
#include "pg/entry.hpp"

extern "C" {
#include "commands/progress.h"
}

using namespace quiver;

namespace {

bytea* parse_options(Datum reloptions, bool validate)
{
    return ivfflat::option_table.parse(reloptions, validate);
}
bool validate(Oid opclass) { return am::validate_opclass(opclass, ivfflat::access_method); }
char* phase_name(int64 phase)
{
    switch (phase) {
    case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE: return pstrdup("initializing");
    case ivfflat::phase_scan: return pstrdup("scanning table");
    case ivfflat::phase_kmeans: return pstrdup("performing k-means");
    case ivfflat::phase_assign: return pstrdup("assigning tuples");
    case ivfflat::phase_load: return pstrdup("loading tuples");
    default: return nullptr;
    }
}

}   // namespace

constinit const am::AccessMethod ivfflat::access_method = {
    .name = "ivfflat",
    .estimate_cost = pg::callback<ivfflat::estimate_cost>,
    .explain_scan = ivfflat::explain_scan,
    .meta_magic = 0x49565551,   // "QUVI"
    .format_version = 1,
    .max_nonzero = 0,
    .pgvectors_magic = 0x14FF1A7,
    .find_opclass = ivfflat::find_opclass,
    .info_support = 0,
    .take_part_in_build = ivfflat::take_part_in_build,
};

void ivfflat::load()
{
    option_table.define();
    define_settings();
    am::register_access_method(access_method);
}

QUIVER_FUNCTION(ivfflathandler)
{
    static constexpr IndexAmRoutine routine = [] {
        IndexAmRoutine am = am::common_routine();
        am.amsupport = 5;
        am.ambuild = pg::callback<ivfflat::build>;
        am.ambuildempty = pg::callback<ivfflat::build_empty>;
        am.aminsert = pg::callback<ivfflat::insert>;
        am.ambulkdelete = pg::callback<ivfflat::bulk_delete>;
        am.amvacuumcleanup = pg::callback<ivfflat::vacuum_cleanup>;
        am.amcostestimate = pg::callback<ivfflat::estimate_cost>;
        am.amoptions = pg::callback<parse_options>;
        am.ambuildphasename = pg::callback<phase_name>;
        am.amvalidate = pg::callback<validate>;
        am.ambeginscan = pg::callback<ivfflat::begin_scan>;
        am.amrescan = pg::callback<ivfflat::rescan>;
        am.amgettuple = pg::callback<ivfflat::get_tuple>;
        am.amendscan = pg::callback<ivfflat::end_scan>;
        return am;
    }();
    PG_RETURN_POINTER(pg::index_am_routine(routine));
}
