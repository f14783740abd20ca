// Loading the library: settings, and which instruction set the kernels use. Needs no
// shared_preload_libraries.
#include "pg/pg.hpp"

#include "am/am.hpp"
#include "core/memory.hpp"
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
    GUC_check_errdetail("This CPU or this build has no %s.", quiver::simd::level_name(wanted));
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

}   // namespace

void _PG_init(void)
{
    quiver::pg::guarded([] {
#ifndef QUIVER_SANITIZE   // else malloc: AddressSanitizer sees no palloc chunks
        quiver::memory_hooks = {
            [](size_t bytes) { return MemoryContextAllocHuge(CurrentMemoryContext, bytes); },
            pfree};
#endif
        quiver::am::define_options();
        quiver::am::hook_planner();
        DefineCustomEnumVariable(
            "quiver.simd", "Sets the instruction set of the distance kernels.",
            "auto takes the best that the CPU has; a lower one serves tests and comparisons.",
            &simd_level, level_auto, simd_levels, PGC_USERSET, 0, check_simd_level,
            assign_simd_level, show_simd_level);
        quiver::pg::reserve_guc_prefix("quiver");
    });
}
