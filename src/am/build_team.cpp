#include "pg/pg.hpp"

#include "am/build_team.hpp"

#include "am/access_method.hpp"
#include "pg/entry.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_proc.h"
#include "executor/instrument.h"
#include "optimizer/clauses.h"
#include "optimizer/paths.h"
#include "tcop/tcopprot.h"

PGDLLEXPORT void quiver_build_worker(dsm_segment* segment, shm_toc* toc);
}

namespace quiver::am {

namespace {

// The keys of what is in the parallel context's memory.
constexpr uint64 key_shared = 1, key_query = 2, key_usage = 3;

struct Usage {
    BufferUsage buffers;
    WalUsage wal;
};

Size aligned(Size bytes) { return MAXALIGN(bytes); }

// Can workers compute the expressions of the index? (The function of PostgreSQL that also answers this,
// plan_create_index_workers(), looks at the size of the main part of the table, which is small where
// vectors are TOASTed, and gives each participant 32 MB of maintenance_work_mem, which they share
// here.)
bool is_parallel_safe(Relation index)
{
    PlannerInfo* root = makeNode(PlannerInfo);
    root->glob = makeNode(PlannerGlobal);
    root->glob->maxParallelHazard = PROPARALLEL_UNSAFE;
    return ::is_parallel_safe(root, reinterpret_cast<Node*>(RelationGetIndexExpressions(index))) &&
           ::is_parallel_safe(root, reinterpret_cast<Node*>(RelationGetIndexPredicate(index)));
}

// How many workers should help to build the index.
int workers_for_build(Relation heap, Relation index)
{
    if (!pg::can_share_files || max_parallel_maintenance_workers == 0 || !IsUnderPostmaster ||
        IsInParallelMode() || heap->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
        return 0;
    if (!is_parallel_safe(index))
        return 0;
    const int wanted = RelationGetParallelWorkers(heap, -1);
    if (wanted >= 0)
        return std::min(wanted, max_parallel_maintenance_workers);
    BlockNumber blocks = RelationGetNumberOfBlocks(heap);
    if (OidIsValid(heap->rd_rel->reltoastrelid)) {
        const Relation toast = table_open(heap->rd_rel->reltoastrelid, AccessShareLock);
        blocks += RelationGetNumberOfBlocks(toast);
        table_close(toast, AccessShareLock);
    }
    return blocks < static_cast<BlockNumber>(min_parallel_table_scan_size)
               ? 0
               : max_parallel_maintenance_workers;
}

}   // namespace

// Behind it are the access method's MetaData, the codec's parameters, how filter codes are made, and the
// ParallelTableScanDesc.
struct BuildTeam::Shared {
    Oid heap, index;
    bool concurrent;
    Size meta_bytes, parameter_count, filter_bytes;
    SharedFileSet files;
    graph::Team::Shared steps;
    pg_atomic_uint64 tuples;

    ConditionVariable began;
    slock_t mutex;
    uint32 size;          // of the team; 0 until the leader knows it
    double heap_tuples;   // of those who have finished their part of the scan
    bool broken_hot_chain;
    Barrier barrier;

    Size block_bytes;
    bool block_is_file;
    dsm_handle block;

    char* meta() { return reinterpret_cast<char*>(this) + aligned(sizeof(Shared)); }
    half* parameters() { return reinterpret_cast<half*>(meta() + aligned(meta_bytes)); }
    uint8_t* filter()
    {
        return reinterpret_cast<uint8_t*>(parameters()) + aligned(parameter_count * sizeof(half));
    }
    ParallelTableScanDesc scan()
    {
        return reinterpret_cast<ParallelTableScanDesc>(filter() + aligned(filter_bytes));
    }
};

BuildTeam* BuildTeam::begin(Relation heap, Relation index, const IndexInfo* info,
                            std::span<const char> meta, const Learnt& learnt)
{
    const int workers = workers_for_build(heap, index);
    if (workers == 0)
        return nullptr;
    EnterParallelMode();
    ParallelContext* context = CreateParallelContext("quiver", "quiver_build_worker", workers);
    const Snapshot snapshot =
        info->ii_Concurrent ? RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;
    const Size bytes = aligned(sizeof(Shared)) + aligned(meta.size()) +
                       aligned(learnt.parameters.size_bytes()) + aligned(learnt.filter.size()) +
                       table_parallelscan_estimate(heap, snapshot);
    const Size query_bytes = debug_query_string ? std::strlen(debug_query_string) + 1 : 1;
    const auto usages = static_cast<Size>(workers);
    shm_toc_estimate_chunk(&context->estimator, bytes);
    shm_toc_estimate_chunk(&context->estimator, query_bytes);
    shm_toc_estimate_chunk(&context->estimator, usages * sizeof(Usage));
    shm_toc_estimate_keys(&context->estimator, 3);
    InitializeParallelDSM(context);

    auto* team = new (palloc(sizeof(BuildTeam))) BuildTeam(nullptr, 0);
    team->context_ = context;
    team->snapshot_ = IsMVCCSnapshot(snapshot) ? snapshot : nullptr;
    if (context->seg) {
        auto* shared = static_cast<Shared*>(shm_toc_allocate(context->toc, bytes));
        team->shared_ = new (shared) Shared{};
        shared->heap = RelationGetRelid(heap);
        shared->index = RelationGetRelid(index);
        shared->concurrent = info->ii_Concurrent;
        shared->meta_bytes = meta.size();
        shared->parameter_count = learnt.parameters.size();
        shared->filter_bytes = learnt.filter.size();
        std::copy(meta.begin(), meta.end(), shared->meta());
        std::copy(learnt.parameters.begin(), learnt.parameters.end(), shared->parameters());
        std::copy(learnt.filter.begin(), learnt.filter.end(), shared->filter());
        SharedFileSetInit(&shared->files, context->seg);
        pg_atomic_init_u64(&shared->tuples, 0);
        ConditionVariableInit(&shared->began);
        SpinLockInit(&shared->mutex);
        table_parallelscan_initialize(heap, shared->scan(), snapshot);
        shm_toc_insert(context->toc, key_shared, shared);
        auto* query = static_cast<char*>(shm_toc_allocate(context->toc, query_bytes));
        strlcpy(query, debug_query_string ? debug_query_string : "", query_bytes);
        shm_toc_insert(context->toc, key_query, query);
        shm_toc_insert(context->toc, key_usage,
                       shm_toc_allocate(context->toc, usages * sizeof(Usage)));
        LaunchParallelWorkers(context);
    }
    if (context->nworkers_launched == 0) {
        team->end();
        return nullptr;
    }
    ereport(DEBUG1, (errmsg("using %d parallel workers", context->nworkers_launched)));
    Shared* shared = team->shared_;
    const auto size = static_cast<uint32>(context->nworkers_launched) + 1;
    BarrierInit(&shared->barrier, static_cast<int>(size));
    SpinLockAcquire(&shared->mutex);
    shared->size = size;
    SpinLockRelease(&shared->mutex);
    ConditionVariableBroadcast(&shared->began);
    team->join();
    return team;
}

void BuildTeam::end()
{
    WaitForParallelWorkersToFinish(context_);
    if (context_->nworkers_launched > 0) {
        auto* usage = static_cast<Usage*>(shm_toc_lookup(context_->toc, key_usage, false));
        for (int i = 0; i < context_->nworkers_launched; i++)
            InstrAccumParallelQuery(&usage[i].buffers, &usage[i].wal);
    }
    block_file_.close();
    if (shared_)
        tuples_ = static_cast<double>(pg_atomic_read_u64(&shared_->tuples));
    if (snapshot_)
        UnregisterSnapshot(snapshot_);
    DestroyParallelContext(context_);
    ExitParallelMode();
    shared_ = nullptr;
}

// ---- all participants ----

void BuildTeam::join()
{
    const auto wait = [](void* self) { static_cast<BuildTeam*>(self)->wait(); };
    team_ = new (palloc(sizeof(graph::Team)))
        graph::Team(size(), number_, shared_->steps, wait, this, pg::poll);
}

void BuildTeam::wait()
{
    // A worker that could not start would never come.
    if (context_ && !have_attached_)
        WaitForParallelWorkersToAttach(context_);
    have_attached_ = true;
    BarrierArriveAndWait(&shared_->barrier, WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
}

const char* BuildTeam::meta_bytes() const { return shared_->meta(); }
uint32 BuildTeam::size() const { return shared_->size; }
Learnt BuildTeam::learnt() const
{
    return {{shared_->parameters(), shared_->parameter_count},
            {shared_->filter(), shared_->filter_bytes}};
}

TableScanDesc BuildTeam::begin_scan(Relation heap) const
{
    return table_beginscan_parallel(heap, shared_->scan());
}

double BuildTeam::add_tuples(uint32 count)
{
    return static_cast<double>(pg_atomic_add_fetch_u64(&shared_->tuples, count));
}

void BuildTeam::finish_scan(double* heap_tuples, bool* broken_hot_chain)
{
    SpinLockAcquire(&shared_->mutex);
    shared_->heap_tuples += *heap_tuples;
    shared_->broken_hot_chain |= *broken_hot_chain;
    SpinLockRelease(&shared_->mutex);
    wait();
    *heap_tuples = shared_->heap_tuples;
    *broken_hot_chain = shared_->broken_hot_chain;
}

namespace {

struct Name {
    char text[32];
};
Name row_file(uint32 number)
{
    Name n;
    pg_snprintf(n.text, sizeof n.text, "rows.%u", number);
    return n;
}

}   // namespace

pg::TempFile BuildTeam::create_row_file() const
{
    return pg::TempFile::create(&shared_->files, row_file(number_).text);
}

std::span<const char> BuildTeam::map_rows(uint32 number, MemoryContext context) const
{
    pg::TempFile file = pg::TempFile::open(&shared_->files, row_file(number).text);
    const std::span<const char> rows(file.map(context), file.size());
    file.close();
    return rows;
}

namespace {

// Keeps the segment attached until `context` is reset or deleted. Returns its memory.
char* keep(dsm_segment* segment, MemoryContext context)
{
    auto* callback = static_cast<MemoryContextCallback*>(
        MemoryContextAllocZero(context, sizeof(MemoryContextCallback)));
    dsm_pin_mapping(segment);
    callback->arg = segment;
    callback->func = [](void* arg) { dsm_detach(static_cast<dsm_segment*>(arg)); };
    MemoryContextRegisterResetCallback(context, callback);
    return static_cast<char*>(dsm_segment_address(segment));
}

}   // namespace

std::span<char> BuildTeam::make_block(Size bytes, MemoryContext context, const char* what)
{
    constexpr Size spare = 16 << 20;   // for others, of the shared memory
    constexpr Size mb = 1 << 20;
    char* block = nullptr;
    if (number_ == 0) {
        const Size work_mem = static_cast<Size>(maintenance_work_mem) * 1024,
                   free = pg::free_shared_memory();
        shared_->block_bytes = bytes;
        shared_->block_is_file = bytes > work_mem || free < spare || bytes > free - spare;
        if (!shared_->block_is_file) {
            dsm_segment* segment = dsm_create(bytes, 0);
            shared_->block = dsm_segment_handle(segment);
            block = keep(segment, context);
        } else {
            if (!what)
                ;
            else if (bytes > work_mem)
                // (pgvector's words, which tools look for.)
                ereport(NOTICE, (errmsg("%s no longer fits into maintenance_work_mem", what),
                                 errdetail("It needs %zu MB, so it is built in a temporary file.",
                                           bytes / mb + 1),
                                 errhint("Increase maintenance_work_mem to speed up builds.")));
            else
                ereport(NOTICE,
                        (errmsg("%s does not fit into shared memory", what),
                         errdetail("It needs %zu MB, and /dev/shm has %zu MB left, so it is built "
                                   "in a temporary file.",
                                   bytes / mb + 1, free / mb),
                         errhint("Make /dev/shm larger, in docker with the option --shm-size.")));
            block_file_ = pg::TempFile::create(&shared_->files, "block");
            block_file_.write_zeros(bytes);
            block = block_file_.map(context);
        }
    }
    wait();
    if (number_ > 0) {
        if (shared_->block_is_file) {
            pg::TempFile file = pg::TempFile::open(&shared_->files, "block");
            block = file.map(context);
            file.close();
        } else {
            dsm_segment* segment = dsm_attach(shared_->block);
            if (!segment)
                ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                                errmsg("could not map dynamic shared memory segment")));
            block = keep(segment, context);
        }
    }
    return {block, shared_->block_bytes};
}

// ---- workers ----

void BuildTeam::work(dsm_segment* segment, shm_toc* toc)
{
    auto* query = static_cast<char*>(shm_toc_lookup(toc, key_query, false));
    debug_query_string = query;
    pgstat_report_activity(STATE_RUNNING, query);
    auto* shared = static_cast<Shared*>(shm_toc_lookup(toc, key_shared, false));
    auto* usage = static_cast<Usage*>(shm_toc_lookup(toc, key_usage, false));

    ConditionVariablePrepareToSleep(&shared->began);
    for (;;) {
        SpinLockAcquire(&shared->mutex);
        const uint32 size = shared->size;
        SpinLockRelease(&shared->mutex);
        if (size > 0)
            break;
        ConditionVariableSleep(&shared->began, WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
    }
    ConditionVariableCancelSleep();
    SharedFileSetAttach(&shared->files, segment);

    // The locks that the leader has.
    const LOCKMODE heap_lock = shared->concurrent ? ShareUpdateExclusiveLock : ShareLock,
                   index_lock = shared->concurrent ? RowExclusiveLock : AccessExclusiveLock;
    const Relation heap = table_open(shared->heap, heap_lock);
    const Relation index = index_open(shared->index, index_lock);
    IndexInfo* info = BuildIndexInfo(index);
    info->ii_Concurrent = shared->concurrent;

    InstrStartParallelQuery();
    BuildTeam team(shared, static_cast<uint32>(ParallelWorkerNumber) + 1);
    team.join();
    access_method_of(index)->take_part_in_build(heap, index, info, team);
    InstrEndParallelQuery(&usage[ParallelWorkerNumber].buffers, &usage[ParallelWorkerNumber].wal);

    index_close(index, index_lock);
    table_close(heap, heap_lock);
}

}   // namespace quiver::am

void quiver_build_worker(dsm_segment* segment, shm_toc* toc)
{
    quiver::pg::guarded([&] { quiver::am::BuildTeam::work(segment, toc); });
}
