// Asking for memory before it is read.
#pragma once

#include <cstddef>

namespace quiver {

// Has the CPU bring the lines of `bytes` bytes from `p` into its second-level cache.
inline void prefetch(const void* p, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 64)
        __builtin_prefetch(static_cast<const char*>(p) + at, 0, 2);
    // Without this, GCC takes a function that only prefetches for one that does nothing, and drops it.
    asm volatile("" : : "r"(p));
}

}   // namespace quiver
