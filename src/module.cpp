// Loads the library: defines the settings and selects the instruction set of the kernels. The
// library need not be in shared_preload_libraries.
#include "pg/pg.hpp"

#include "am/access_method.hpp"
#include "am/only_index.hpp"
#include "am/plan.hpp"
#include "am/thresholds.hpp"
#include "core/memory.hpp"
#include "hnsw/handler.hpp"
#include "ivfflat/handler.hpp"
#include "pg/entry.hpp"
#include "simd/kernels.hpp"

extern "C" {
QUIVER_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

namespace {

using quiver::simd::Level;

constexpr int level_auto = -1;
int simd_level = level_auto;

const config_enum_entry simd_levels[] = {
    {"auto", level_auto, false},
    {"baseline", static_cast<int>(Level::baseline), false},
    {"avx2", static_cast<int>(Level::avx2), false},
    {"avx512", static_cast<int>(Level::avx512), false},
    {nullptr, 0, false},
};

Level resolve(int value)
{
    return value == level_auto ? quiver::simd::available_levels().back()
                               : static_cast<Level>(value);
}

bool check_simd_level(int* value, void**, GucSource)
{
    const Level wanted = resolve(*value);
    for (Level level : quiver::simd::available_levels())
        if (level == wanted)
            return true;
    GUC_check_errdetail("This CPU or this build does not support %s.",
                        quiver::simd::level_name(wanted));
    return false;
}

void assign_simd_level(int value, void*) { quiver::simd::set_level(resolve(value)); }

const char* show_simd_level()
{
    static char text[32];
    if (simd_level != level_auto)
        return quiver::simd::kernels().name;
    strlcpy(text, "auto (", sizeof text);
    strlcat(text, quiver::simd::kernels().name, sizeof text);
    strlcat(text, ")", sizeof text);
    return text;
}

// pgvector's library defines the same settings, which two libraries in one session cannot do. This
// is checked before anything is defined: PostgreSQL cannot unload a library, so a half-loaded one
// would stay. (SET of an undefined setting makes a placeholder, which the definition replaces.)
void refuse_beside_pgvector()
{
    for (const char* name : {"hnsw.ef_search", "ivfflat.probes"})
        if (GetConfigOption(name, true, false) &&
            !(GetConfigOptionFlags(name, true) & GUC_CUSTOM_PLACEHOLDER))
            ereport(
                ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("cannot load quiver: another library has defined the setting \"%s\"", name),
                 errdetail("quiver and pgvector define the same settings, so a session can "
                           "load only one of them."),
                 errhint("Start a new session. If the library is loaded into every session, "
                         "take it out of shared_preload_libraries, session_preload_libraries "
                         "and local_preload_libraries.")));
}

}   // namespace

void _PG_init(void)
{
    quiver::pg::guarded([] {
        refuse_beside_pgvector();
#ifndef QUIVER_SANITIZE   // it uses malloc: AddressSanitizer cannot see palloc chunks
        quiver::memory_hooks = {
            [](size_t bytes) { return MemoryContextAllocHuge(CurrentMemoryContext, bytes); },
            pfree};
#endif
        quiver::hnsw::load();
        quiver::ivfflat::load();
        quiver::am::hook_planner();
        quiver::am::hook_range_scans();
        quiver::am::hook_explain();
        quiver::am::hook_only_index();
        DefineCustomEnumVariable(
            "quiver.simd", "Sets the instruction set of the distance kernels.",
            "\"auto\" selects the best one of the CPU. Lower ones are for tests and comparisons.",
            &simd_level, level_auto, simd_levels, PGC_USERSET, 0, check_simd_level,
            assign_simd_level, show_simd_level);
        quiver::pg::reserve_guc_prefix("quiver");
    });
}
