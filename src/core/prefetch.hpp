// Prefetches memory that will be read soon.
#pragma once

#include <cstddef>

namespace quiver {

// Prefetches the cache lines of `bytes` bytes from `p` into the CPU's second-level cache.
inline void prefetch(const void* p, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 64)
        __builtin_prefetch(static_cast<const char*>(p) + at, 0, 2);
    // Without this, GCC assumes that a function that only prefetches has no effect, and removes it.
    asm volatile("" : : "r"(p));
}

}   // namespace quiver
