// The only file that knows PostgreSQL's versions (13 to 18).
#pragma once

extern "C" {
#include "access/amapi.h"
#include "access/genam.h"
#include "access/generic_xlog.h"
#include "access/relscan.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "commands/vacuum.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/pathnodes.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
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

// Can nobody, in any snapshot, have seen what was removed as of `xid`?
inline bool removable(Relation rel, FullTransactionId xid)
{
#if PG_VERSION_NUM >= 140000
    return GlobalVisCheckRemovableFullXid(rel, xid);
#else
    return TransactionIdPrecedes(XidFromFullTransactionId(xid), RecentGlobalXmin);
#endif
}

// Every transaction before this one has ended, and no snapshot is from before its end.
inline FullTransactionId oldest_full_xid([[maybe_unused]] Relation rel)
{
#if PG_VERSION_NUM >= 140000
    const TransactionId oldest = GetOldestNonRemovableTransactionId(rel);
#else
    const TransactionId oldest = GetOldestXmin(rel, PROCARRAY_FLAGS_VACUUM);
#endif
    const FullTransactionId next = ReadNextFullTransactionId();
    return FullTransactionIdFromU64(U64FromFullTransactionId(next) -
                                    (XidFromFullTransactionId(next) - oldest));
}

// Every transaction before this one that could have written anything has ended.
inline FullTransactionId oldest_running_full_xid()
{
    const TransactionId oldest = GetOldestActiveTransactionId();
    const FullTransactionId next = ReadNextFullTransactionId();
    return FullTransactionIdFromU64(U64FromFullTransactionId(next) -
                                    (XidFromFullTransactionId(next) - oldest));
}

inline FullTransactionId next_full_xid() { return ReadNextFullTransactionId(); }

// For code that calls what others wrote: no search_path of the caller's.
inline void restrict_search_path()
{
#if PG_VERSION_NUM >= 170000
    RestrictSearchPath();
#endif
}

inline void vacuum_pause()
{
#if PG_VERSION_NUM >= 180000
    vacuum_delay_point(false);
#else
    vacuum_delay_point();
#endif
}

inline void count_index_search(IndexScanDesc scan)
{
#if PG_VERSION_NUM >= 180000
    if (scan->instrument)
        scan->instrument->nsearches++;
#endif
}

// A path that must not run. Its cost alone does not say so any more since 18, where a path that a
// setting (enable_seqscan) disables comes after all others, whatever they cost.
inline void never_choose([[maybe_unused]] Path* path)
{
#if PG_VERSION_NUM >= 180000
    path->disabled_nodes = 1000000;
#endif
}

inline IndexScanDesc begin_index_scan(Relation heap, Relation index, Snapshot snapshot, int keys,
                                      int orderbys)
{
#if PG_VERSION_NUM >= 180000
    return index_beginscan(heap, index, snapshot, nullptr, keys, orderbys);
#else
    return index_beginscan(heap, index, snapshot, keys, orderbys);
#endif
}

inline bool owns_relation(Oid rel)
{
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(RelationRelationId, rel, GetUserId());
#else
    return pg_class_ownercheck(rel, GetUserId());
#endif
}

// A new block at the end of the fork, locked exclusively. `shared`: others may extend it too.
inline Buffer extend_relation(Relation rel, ForkNumber fork, bool shared)
{
#if PG_VERSION_NUM >= 160000
    return ExtendBufferedRel(BMR_REL(rel), fork, nullptr,
                             EB_LOCK_FIRST | (shared ? 0 : EB_SKIP_EXTENSION_LOCK));
#else
    if (shared)
        LockRelationForExtension(rel, ExclusiveLock);
    const Buffer buffer = ReadBufferExtended(rel, fork, P_NEW, RBM_NORMAL, nullptr);
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    if (shared)
        UnlockRelationForExtension(rel, ExclusiveLock);
    return buffer;
#endif
}

// The file of a relation.
#if PG_VERSION_NUM >= 160000
using FileNumber = RelFileLocator;
inline FileNumber file_number(Relation rel) { return rel->rd_locator; }
#else
using FileNumber = RelFileNode;
inline FileNumber file_number(Relation rel) { return rel->rd_node; }
#endif

// Pins `buffer` if it still holds that block.
inline bool read_recent_buffer([[maybe_unused]] Relation rel, [[maybe_unused]] BlockNumber block,
                               [[maybe_unused]] Buffer buffer)
{
#if PG_VERSION_NUM >= 140000
    if (!ReadRecentBuffer(file_number(rel), MAIN_FORKNUM, block, buffer))
        return false;
    pgstat_count_buffer_read(rel);
    pgstat_count_buffer_hit(rel);
    return true;
#else
    return false;
#endif
}

// Prepares a function that returns all of its rows in a tuplestore.
inline ReturnSetInfo* materialize(FunctionCallInfo fcinfo)
{
    auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
#if PG_VERSION_NUM >= 150000
    InitMaterializedSRF(fcinfo, 0);
#else
    if (!result || !IsA(result, ReturnSetInfo) || !(result->allowedModes & SFRM_Materialize))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("set-valued function called in context that cannot accept a set")));
    const MemoryContext old = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
    TupleDesc desc;
    if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    result->returnMode = SFRM_Materialize;
    result->setResult = tuplestore_begin_heap(true, false, work_mem);
    result->setDesc = BlessTupleDesc(desc);
    MemoryContextSwitchTo(old);
#endif
    return result;
}

// aminsert has had one more argument since 14: whether the UPDATE left the indexed columns alone.
#if PG_VERSION_NUM >= 140000
#define QUIVER_AMINSERT_ARGS                                                                       \
    Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation, IndexUniqueCheck,      \
        [[maybe_unused]] bool unchanged, IndexInfo *info
#else
#define QUIVER_AMINSERT_ARGS                                                                       \
    Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation, IndexUniqueCheck,      \
        IndexInfo *info
#endif

}   // namespace quiver::pg
