// The only file that knows PostgreSQL's versions (13 to 19).
#pragma once

extern "C" {
#include "access/amapi.h"
#include "access/genam.h"
#include "access/generic_xlog.h"
#include "access/heapam.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#if PG_VERSION_NUM >= 150000
#include "access/xlogrecovery.h"
#endif
#include "access/relscan.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain.h"
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#else
#include "commands/explain.h"
#endif
#include "commands/vacuum.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/restrictinfo.h"
#include "pgstat.h"
#include "postmaster/autovacuum.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/sharedfileset.h"
#include "storage/smgr.h"
#if PG_VERSION_NUM < 170000
#include "storage/sinvaladt.h"
#endif
#if PG_VERSION_NUM >= 170000
#include "storage/bulk_write.h"
#include "storage/read_stream.h"
#endif
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"
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

// Makes PostgreSQL report settings with our prefix that are not defined: they are typing mistakes.
inline void reserve_guc_prefix(const char* prefix)
{
#if PG_VERSION_NUM >= 150000
    MarkGUCPrefixReserved(prefix);
#else
    EmitWarningsOnPlaceholders(prefix);
#endif
}

// Tells whether a snapshot may still see what was removed from an index.
class Horizon {
  public:
    explicit Horizon([[maybe_unused]] Relation index)
    {
#if PG_VERSION_NUM >= 140000
        // PostgreSQL has an assertion against asking for the horizon of an index, so ask for its
        // table's. A process that uses an index has the table open, so this is only a look-up.
        const Relation table = RelationIdGetRelation(index->rd_index->indrelid);
        state_ = GlobalVisTestFor(table);
        RelationClose(table);
#endif
    }
    // True if no snapshot can see any more what was removed before this transaction id. May be
    // called under any lock.
    bool removable(uint64 full_xid) const
    {
        const FullTransactionId xid = FullTransactionIdFromU64(full_xid);
#if PG_VERSION_NUM >= 190000
        return GlobalVisTestIsRemovableFullXid(state_, xid, true);
#elif PG_VERSION_NUM >= 140000
        return GlobalVisTestIsRemovableFullXid(state_, xid);
#else
        return TransactionIdPrecedes(XidFromFullTransactionId(xid), RecentGlobalXmin);
#endif
    }

#if PG_VERSION_NUM >= 140000
  private:
    GlobalVisState* state_;
#endif
};

// The end of the WAL; on a standby, the end of the part that was replayed.
inline XLogRecPtr wal_position()
{
    return RecoveryInProgress() ? GetXLogReplayRecPtr(nullptr) : GetXLogInsertRecPtr();
}

inline FullTransactionId next_full_xid() { return ReadNextFullTransactionId(); }

// For code that calls functions of other users: does not use the caller's search_path.
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

// Does this process vacuum to prevent the wraparound of transaction ids? Then it does only what is needed.
inline bool is_wraparound_vacuum()
{
#if PG_VERSION_NUM >= 140000
    return (MyProc->statusFlags & PROC_VACUUM_FOR_WRAPAROUND) != 0;
#else
    return (MyPgXact->vacuumFlags & PROC_VACUUM_FOR_WRAPAROUND) != 0;
#endif
}

// The memory that VACUUM may use, in kilobytes.
inline int vacuum_work_mem()
{
#if PG_VERSION_NUM >= 170000
    const bool autovacuum = AmAutoVacuumWorkerProcess();
#else
    const bool autovacuum = IsAutoVacuumWorkerProcess();
#endif
    return autovacuum && autovacuum_work_mem != -1 ? autovacuum_work_mem : maintenance_work_mem;
}

inline void count_index_search(IndexScanDesc scan)
{
#if PG_VERSION_NUM >= 180000
    if (scan->instrument)
        scan->instrument->nsearches++;
#endif
}

// Calls f(table, rel) for each table of a query, when the planner knows its indexes and has no paths yet. To be called
// once.
using PlannedTable = void (*)(Oid table, RelOptInfo* rel);
inline PlannedTable planned_table;
#if PG_VERSION_NUM >= 190000
inline build_simple_rel_hook_type next_table_hook;
inline void plan_table(PlannerInfo* root, RelOptInfo* rel, RangeTblEntry* entry)
{
    if (next_table_hook)
        next_table_hook(root, rel, entry);
    if (entry->rtekind == RTE_RELATION)
        planned_table(entry->relid, rel);
}
#else
inline get_relation_info_hook_type next_table_hook;
inline void plan_table(PlannerInfo* root, Oid table, bool is_parent, RelOptInfo* rel)
{
    if (next_table_hook)
        next_table_hook(root, table, is_parent, rel);
    planned_table(table, rel);
}
#endif
inline void hook_planned_tables(PlannedTable f)
{
    planned_table = f;
#if PG_VERSION_NUM >= 190000
    next_table_hook = build_simple_rel_hook;
    build_simple_rel_hook = plan_table;
#else
    next_table_hook = get_relation_info_hook;
    get_relation_info_hook = plan_table;
#endif
}

// Calls f(scan, to) for each index scan that EXPLAIN ANALYZE has run, where explain_number() may add to what EXPLAIN
// shows. To be called once. Before PostgreSQL 18, this does nothing.
using ExplainedScan = void (*)(IndexScanDesc scan, ExplainState* to);
#if PG_VERSION_NUM >= 180000
inline explain_per_node_hook_type next_explain_hook;
inline ExplainedScan explained_scan;
inline void explain_node(PlanState* node, List* ancestors, const char* relationship,
                         const char* plan, ExplainState* to)
{
    if (next_explain_hook)
        next_explain_hook(node, ancestors, relationship, plan, to);
    // A scan that has not begun has no descriptor.
    if (to->analyze && IsA(node, IndexScanState))
        if (const IndexScanDesc scan = reinterpret_cast<IndexScanState*>(node)->iss_ScanDesc)
            explained_scan(scan, to);
}
#endif
inline void hook_explained_scans([[maybe_unused]] ExplainedScan f)
{
#if PG_VERSION_NUM >= 180000
    explained_scan = f;
    next_explain_hook = explain_per_node_hook;
    explain_per_node_hook = explain_node;
#endif
}
inline void explain_number(const char* label, uint64 value, ExplainState* to)
{
    ExplainPropertyUInteger(label, nullptr, value, to);
}

// Marks a path that must not run. Since PostgreSQL 18 an infinite cost alone is not enough: a path
// that a setting such as enable_seqscan disables comes after all other paths, whatever they cost.
inline void never_choose([[maybe_unused]] Path* path)
{
#if PG_VERSION_NUM >= 180000
    path->disabled_nodes = 1000000;
#endif
}

// Casts between the floating-point types.
#if PG_VERSION_NUM >= 140000
constexpr Oid float8_to_float4 = F_FLOAT4_FLOAT8, float4_to_float8 = F_FLOAT8_FLOAT4;
#else
constexpr Oid float8_to_float4 = F_DTOF, float4_to_float8 = F_FTOD;
#endif

inline RestrictInfo* make_restriction([[maybe_unused]] PlannerInfo* root, Expr* condition)
{
#if PG_VERSION_NUM >= 140000
    return make_simple_restrictinfo(root, condition);
#else
    return make_simple_restrictinfo(condition);
#endif
}

// The order by a float8 expression of the table.
inline List* expression_pathkey(PlannerInfo* root, Expr* expr, Oid less, Relids table)
{
#if PG_VERSION_NUM >= 160000
    return build_expression_pathkey(root, expr, less, table, true);
#else
    return build_expression_pathkey(root, expr, nullptr, less, table, true);
#endif
}

inline IndexScanDesc begin_index_scan(Relation heap, Relation index, Snapshot snapshot, int keys,
                                      int orderbys)
{
#if PG_VERSION_NUM >= 190000
    return index_beginscan(heap, index, snapshot, nullptr, keys, orderbys, SO_NONE);
#elif PG_VERSION_NUM >= 180000
    return index_beginscan(heap, index, snapshot, nullptr, keys, orderbys);
#else
    return index_beginscan(heap, index, snapshot, keys, orderbys);
#endif
}

inline IndexFetchTableData* begin_index_fetch(Relation table)
{
#if PG_VERSION_NUM >= 190000
    return table_index_fetch_begin(table, SO_NONE);
#else
    return table_index_fetch_begin(table);
#endif
}

// Makes `fetch`, of a heap, hold the page of `block`, as heapam_index_fetch_tuple() would, but with
// the pin that read() returns. In a version that is not known here, this does nothing, and the heap
// pins the page itself.
template <class Read>
void hold_heap_block([[maybe_unused]] IndexFetchTableData* fetch,
                     [[maybe_unused]] BlockNumber block, [[maybe_unused]] Read read)
{
#if PG_VERSION_NUM < 200000
    auto* held = reinterpret_cast<IndexFetchHeapData*>(fetch);
    if (BufferIsValid(held->xs_cbuf)) {
        if (BufferGetBlockNumber(held->xs_cbuf) == block)
            return;
        ReleaseBuffer(held->xs_cbuf);
        held->xs_cbuf = InvalidBuffer;
    }
#if PG_VERSION_NUM >= 190000
    // The heap checks only xs_blk, so it must never differ from the buffer's block.
    held->xs_blk = InvalidBlockNumber;
    held->xs_cbuf = read();
    held->xs_blk = block;
    heap_page_prune_opt(fetch->rel, held->xs_cbuf, &held->xs_vmbuffer,
                        fetch->flags & SO_HINT_REL_READ_ONLY);
#else
    held->xs_cbuf = read();
    heap_page_prune_opt(fetch->rel, held->xs_cbuf);
#endif
#endif
}

// The return value of an access method's handler. PostgreSQL 19 and later keep the pointer. Earlier
// versions copy the routine and free it.
inline const IndexAmRoutine* index_am_routine(const IndexAmRoutine& routine)
{
#if PG_VERSION_NUM >= 190000
    return &routine;
#else
    return new (palloc(sizeof routine)) IndexAmRoutine(routine);
#endif
}

// Since PostgreSQL 17, an access method says that it builds indexes in parallel.
constexpr void set_builds_parallel([[maybe_unused]] IndexAmRoutine& routine)
{
#if PG_VERSION_NUM >= 170000
    routine.amcanbuildparallel = true;
#endif
}

// Temporary files that parallel workers share. Before PostgreSQL 14, only the process that created a
// file can write to it.
constexpr bool can_share_files = PG_VERSION_NUM >= 140000;
inline File create_shared_file(SharedFileSet* set, const char* name)
{
#if PG_VERSION_NUM >= 150000
    return FileSetCreate(&set->fs, name);
#else
    return SharedFileSetCreate(set, name);
#endif
}
inline File open_shared_file(SharedFileSet* set, const char* name, [[maybe_unused]] int mode)
{
#if PG_VERSION_NUM >= 150000
    return FileSetOpen(&set->fs, name, mode);
#elif PG_VERSION_NUM >= 140000
    return SharedFileSetOpen(set, name, mode);
#else
    return SharedFileSetOpen(set, name);
#endif
}

// The type of BUFFER_LOCK_SHARE and the other modes.
#if PG_VERSION_NUM >= 190000
using BufferLock = BufferLockMode;
#else
using BufferLock = int;
#endif

inline bool owns_relation(Oid rel)
{
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(RelationRelationId, rel, GetUserId());
#else
    return pg_class_ownercheck(rel, GetUserId());
#endif
}

// Adds up to `count` blocks to the relation, which no other process may extend at the same time.
// Returns the first block, and in `added` their number.
inline BlockNumber extend_relation(Relation rel, uint32 count, uint32* added)
{
    constexpr uint32 most = 16;
    count = std::min(count, most);
#if PG_VERSION_NUM >= 160000
    Buffer buffers[most];
    const BlockNumber first = ExtendBufferedRelBy(BMR_REL(rel), MAIN_FORKNUM, nullptr,
                                                  EB_SKIP_EXTENSION_LOCK, count, buffers, added);
    for (uint32 i = 0; i < *added; i++)
        ReleaseBuffer(buffers[i]);
    return first;
#else
    BlockNumber first = InvalidBlockNumber;
    for (*added = 0; *added < count; (*added)++) {
        const Buffer buffer = ReadBufferExtended(rel, MAIN_FORKNUM, P_NEW, RBM_NORMAL, nullptr);
        if (*added == 0)
            first = BufferGetBlockNumber(buffer);
        ReleaseBuffer(buffer);
    }
    return first;
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

inline Oid file_of(Relation rel)
{
#if PG_VERSION_NUM >= 160000
    return rel->rd_locator.relNumber;
#else
    return rel->rd_node.relNode;
#endif
}

// Where the buffer manager keeps what it knows about a shared buffer.
inline const void* buffer_header(Buffer buffer)
{
    return GetBufferDescriptor(static_cast<uint32>(buffer - 1));
}

// Pins `buffer` if it still holds this block. Before PostgreSQL 19, this does not raise the
// buffer's usage count, so pages that are read only in this way would be evicted as if nobody read
// them. Therefore those versions return false while the usage count is low, and the caller's
// ReadBuffer() raises it. Then the page survives several turns of the clock sweep, and pages that
// are read again and again stay. (With a limit of 2 instead of 4, and buffers of one and a half
// times the size of the index, searches between other work read three times as many pages.)
inline bool read_recent_buffer([[maybe_unused]] Relation rel, [[maybe_unused]] BlockNumber block,
                               [[maybe_unused]] Buffer buffer)
{
#if PG_VERSION_NUM >= 140000
#if PG_VERSION_NUM < 190000
    const uint32 state =
        pg_atomic_read_u32(&GetBufferDescriptor(static_cast<uint32>(buffer - 1))->state);
    constexpr uint32 enough = 4;   // of 5
    if (BUF_STATE_GET_USAGECOUNT(state) < enough)
        return false;
#endif
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

// Since PostgreSQL 14, aminsert has one more argument: whether the UPDATE did not change the
// indexed columns.
#if PG_VERSION_NUM >= 140000
#define QUIVER_AMINSERT_ARGS                                                                       \
    Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation, IndexUniqueCheck,      \
        [[maybe_unused]] bool unchanged, IndexInfo *info
#else
#define QUIVER_AMINSERT_ARGS                                                                       \
    Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation, IndexUniqueCheck,      \
        IndexInfo *info
#endif

// Writes pages of a new relation, bypassing the shared buffers, and logs them whole.
class BulkWrite {
  public:
    BulkWrite(Relation rel, ForkNumber fork)
        : rel_(rel), fork_(fork), log_(RelationNeedsWAL(rel) || fork == INIT_FORKNUM)
    {
#if PG_VERSION_NUM >= 170000
        state_ = smgr_bulk_start_smgr(RelationGetSmgr(rel), fork, log_);
#else
        for (Page& p : pages_)
            p = static_cast<Page>(palloc(BLCKSZ));
#endif
    }
    // Memory for the next page, zeroed.
    Page page()
    {
#if PG_VERSION_NUM >= 170000
        const Page p = reinterpret_cast<Page>(smgr_bulk_get_buf(state_));
#else
        const Page p = pages_[used_];
#endif
        std::memset(p, 0, BLCKSZ);
        return p;
    }
    // Writes the page that page() returned last as this block. Blocks must come in order.
    void write(BlockNumber block, [[maybe_unused]] Page page)
    {
#if PG_VERSION_NUM >= 170000
        smgr_bulk_write(state_, block, reinterpret_cast<BulkWriteBuffer>(page), true);
#else
        blocks_[used_++] = block;
        if (used_ == std::size(pages_))
            flush();
#endif
    }
    void finish()
    {
#if PG_VERSION_NUM >= 170000
        smgr_bulk_finish(state_);
#else
        flush();
        for (Page p : pages_)
            pfree(p);
        // A checkpoint that began meanwhile would not sync the file.
        if (log_)
            smgrimmedsync(smgr(), fork_);
#endif
    }

  private:
#if PG_VERSION_NUM < 170000
    SMgrRelation smgr()
    {
#if PG_VERSION_NUM >= 150000
        return RelationGetSmgr(rel_);
#else
        RelationOpenSmgr(rel_);
        return rel_->rd_smgr;
#endif
    }
    void flush()
    {
        if (used_ == 0)
            return;
        FileNumber file = file_number(rel_);
        if (log_) {
#if PG_VERSION_NUM >= 140000
            log_newpages(&file, fork_, static_cast<int>(used_), blocks_, pages_, true);
#else
            for (size_t i = 0; i < used_; i++)
                log_newpage(&file, fork_, blocks_[i], pages_[i], true);
#endif
        }
        for (size_t i = 0; i < used_; i++) {
            PageSetChecksumInplace(pages_[i], blocks_[i]);
            smgrextend(smgr(), fork_, blocks_[i], pages_[i], true);
        }
        used_ = 0;
    }
    Page pages_[32];   // as many as fit into one record of log_newpages()
    BlockNumber blocks_[32];
    size_t used_ = 0;
#else
    BulkWriteState* state_;
#endif
    Relation rel_;
    ForkNumber fork_;
    bool log_;
};

// Reads the blocks of a relation one after the other, with read-ahead.
class ReadAhead {
  public:
    ReadAhead(Relation rel, BlockNumber from, BlockNumber to, BufferAccessStrategy strategy)
        : rel_(rel), strategy_(strategy), next_(from), to_(to)
    {
#if PG_VERSION_NUM >= 170000
        stream_ = read_stream_begin_relation(READ_STREAM_FULL | READ_STREAM_MAINTENANCE, strategy,
                                             rel, MAIN_FORKNUM, next_block, this, 0);
#endif
    }
    ReadAhead(const ReadAhead&) = delete;

    // Returns each block in turn, pinned. Blocks from `to` on, which were added later, may be read
    // as well.
    Buffer next(BlockNumber block)
    {
#if PG_VERSION_NUM >= 170000
        if (block < to_)
            return read_stream_next_buffer(stream_, nullptr);
#else
        for (next_ = std::max(next_, block + 1);
             next_ <= block + static_cast<BlockNumber>(maintenance_io_concurrency) && next_ < to_;
             next_++)
            PrefetchBuffer(rel_, MAIN_FORKNUM, next_);
#endif
        return ReadBufferExtended(rel_, MAIN_FORKNUM, block, RBM_NORMAL, strategy_);
    }
    void end()
    {
#if PG_VERSION_NUM >= 170000
        read_stream_end(stream_);
#endif
    }

  private:
#if PG_VERSION_NUM >= 170000
    static BlockNumber next_block(ReadStream*, void* self, void*)
    {
        auto& a = *static_cast<ReadAhead*>(self);
        return a.next_ < a.to_ ? a.next_++ : InvalidBlockNumber;
    }
    ReadStream* stream_;
#endif
    Relation rel_;
    BufferAccessStrategy strategy_;
    BlockNumber next_, to_;
};

// ---- other processes that use a relation ----

// Calls f(transaction id, or 0) for each other process that has a lock on the relation which conflicts with
// `mode`. Prepared transactions do not count, and neither do workers that vacuum the relation
// together with this process.
template <class F>
void for_each_locker(Relation rel, LOCKMODE mode, F&& f)
{
    LOCKTAG tag;
    SET_LOCKTAG_RELATION(tag, rel->rd_lockInfo.lockRelId.dbId, rel->rd_lockInfo.lockRelId.relId);
    int count = 0;
    VirtualTransactionId* lockers = GetLockConflicts(&tag, mode, &count);
    for (int i = 0; i < count; i++) {
        TransactionId xid = InvalidTransactionId, xmin = InvalidTransactionId;
#if PG_VERSION_NUM >= 170000
        if (lockers[i].procNumber == INVALID_PROC_NUMBER)
            continue;
        int nsubxid;
        bool overflowed;
        const PGPROC* proc = ProcNumberGetProc(lockers[i].procNumber);
        ProcNumberGetTransactionIds(lockers[i].procNumber, &xid, &xmin, &nsubxid, &overflowed);
#else
        if (lockers[i].backendId == InvalidBackendId)
            continue;
        const PGPROC* proc = BackendIdGetProc(lockers[i].backendId);
#if PG_VERSION_NUM >= 160000
        int nsubxid;
        bool overflowed;
        BackendIdGetTransactionIds(lockers[i].backendId, &xid, &xmin, &nsubxid, &overflowed);
#else
        BackendIdGetTransactionIds(lockers[i].backendId, &xid, &xmin);
#endif
#endif
        if (!proc || (MyProc->lockGroupLeader && proc->lockGroupLeader == MyProc->lockGroupLeader))
            continue;
        f(xid);
    }
    pfree(lockers);
}

// The transaction id of every other transaction that has the relation open to write to it, and has
// an id, is at least this one. (It does no harm if a transaction ends between two of the calls
// here, and its process begins another one: this function then sees the later one.)
inline uint64 oldest_writer(Relation rel)
{
    const uint64 next = U64FromFullTransactionId(ReadNextFullTransactionId());
    uint64 oldest = next;
    for_each_locker(rel, ShareLock, [&](TransactionId xid) {
        if (TransactionIdIsNormal(xid)) {
            const auto before = static_cast<int32>(static_cast<uint32>(next) - xid);
            oldest = std::min(oldest, next - static_cast<uint64>(std::max(before, 0)));
        }
    });
    return oldest;
}
// Does another process have the relation open, to read or write?
inline bool is_open_elsewhere(Relation rel)
{
    bool open = false;
    for_each_locker(rel, AccessExclusiveLock, [&](TransactionId) { open = true; });
    return open;
}

}   // namespace quiver::pg
