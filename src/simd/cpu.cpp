// Detects the instruction sets that this CPU and its operating system support, and stores which
// table of kernels is in use.
#include "simd/kernels.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "core/no_postgres.hpp"

namespace quiver::simd {

extern const Kernels baseline;
#if defined(__x86_64__)
extern const Kernels avx2;
extern const Kernels avx512;
#endif

namespace {

struct Detected {
    Level levels[3];
    size_t count;
};

// __builtin_cpu_supports() also checks that the operating system saves the registers (OSXSAVE,
// XGETBV). This function must ask for every feature that avx2.flags and avx512.flags allow the
// compiler to use.
Detected detect() noexcept
{
    Detected d{{Level::baseline}, 1};
#if defined(__x86_64__)
    __builtin_cpu_init();
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    const bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
    const bool has_avx2 = f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                          __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                          __builtin_cpu_supports("popcnt");
    if (has_avx2)
        d.levels[d.count++] = Level::avx2;
    if (has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
        __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vnni") &&
        __builtin_cpu_supports("avx512vpopcntdq"))
        d.levels[d.count++] = Level::avx512;
#endif
    return d;
}

const Detected& detected() noexcept
{
    static const Detected d = detect();
    return d;
}

constinit const Kernels* in_force = nullptr;

}   // namespace

std::span<const Level> available_levels() noexcept { return {detected().levels, detected().count}; }

const char* level_name(Level level) noexcept
{
    switch (level) {
    case Level::avx2: return "avx2";
    case Level::avx512: return "avx512";
    default: return "baseline";
    }
}

const Kernels& kernels_at(Level level) noexcept
{
#if defined(__x86_64__)
    if (level == Level::avx512)
        return avx512;
    if (level == Level::avx2)
        return avx2;
#endif
    (void) level;
    return baseline;
}

const Kernels& kernels() noexcept
{
    if (!in_force) [[unlikely]]
        in_force = &kernels_at(available_levels().back());
    return *in_force;
}

bool set_level(Level level) noexcept
{
    for (Level have : available_levels()) {
        if (have == level) {
            in_force = &kernels_at(level);
            return true;
        }
    }
    return false;
}

}   // namespace quiver::simd
