// All rooms that use PostgreSQL include its headers through this file: first the C++ headers, then
// PostgreSQL's with C linkage; then it undefines the macros that break C++. Include it before
// anything else. The Makefile compiles it once for all files. So it has a guard: g++ warns about
// "pragma once" in a file that it compiles on its own.
#ifndef QUIVER_PG_HPP
#define QUIVER_PG_HPP

#include "core/platform.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

// Everything is compiled with hidden visibility. PostgreSQL before 16 leaves PGDLLEXPORT empty here.
#ifndef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

extern "C" {
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "storage/freespace.h"
#include "utils/timestamp.h"
#include "libpq/pqformat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/varbit.h"
}

#include "pg/compat.hpp"

#undef Min
#undef Max
#undef Abs
#undef snprintf
#undef vsnprintf
#undef printf
#undef qsort

#endif
