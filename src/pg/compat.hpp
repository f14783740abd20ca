// The only file that knows PostgreSQL's versions (13 to 18).
#pragma once

extern "C" {
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
}

#if PG_VERSION_NUM < 130000
#error "quiver needs PostgreSQL 13 or later"
#endif

#if PG_VERSION_NUM >= 180000
#define QUIVER_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "quiver", .version = QUIVER_VERSION)
#else
#define QUIVER_MODULE_MAGIC PG_MODULE_MAGIC
#endif

namespace quiver::pg {

// Settings of ours that nobody defined are typing mistakes: say so.
inline void reserve_guc_prefix(const char* prefix)
{
#if PG_VERSION_NUM >= 150000
    MarkGUCPrefixReserved(prefix);
#else
    EmitWarningsOnPlaceholders(prefix);
#endif
}

}   // namespace quiver::pg
