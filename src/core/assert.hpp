// Assertions of the code's own invariants. Only builds with QUIVER_ASSERTIONS have them (./check
// asan, ./check sanitize). A condition that a user or a damaged page can cause is never an
// assertion: it is an error in every build.
#pragma once

#ifdef QUIVER_ASSERTIONS
#include <stdio.h>
#include <stdlib.h>

namespace quiver {

[[noreturn]] inline void assertion_failed(const char* condition, const char* file, int line)
{
    fprintf(stderr, "quiver: assertion failed: %s, %s:%d\n", condition, file, line);
    abort();
}

}   // namespace quiver

#define QUIVER_ASSERT(condition)                                                                   \
    (static_cast<bool>(condition) ? void()                                                         \
                                  : ::quiver::assertion_failed(#condition, __FILE__, __LINE__))
#else
#define QUIVER_ASSERT(condition) (void())
#endif
