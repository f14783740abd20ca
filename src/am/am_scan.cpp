// Index scans: rows by lower bounds of their distances; the executor computes the exact distances
// from the table's rows and puts them in exact order, as it does for GiST, but for rows whose place
// is certain.
#include "pg/pg.hpp"

#include "am/am.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "utils/memutils.h"
#include "pgstat.h"
}

namespace quiver::am {

graph::Counters last_scan;
uint64 last_scan_rows;

namespace {

// A damaged index must not send anybody beyond the table, which has at least
// so many blocks.
void check_row(IndexScanDesc scan, BlockNumber* heap_blocks, ItemPointer row)
{
    const BlockNumber block = ItemPointerGetBlockNumberNoCheck(row);
    const Relation heap = scan->heapRelation;
    if (block < *heap_blocks || !heap || heap->rd_rel->relam != HEAP_TABLE_AM_OID)
        return;
    *heap_blocks = RelationGetNumberOfBlocks(heap);
    if (block >= *heap_blocks)
        ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                        errmsg("index \"%s\" leads to block %u, but table \"%s\" has %u blocks",
                               RelationGetRelationName(scan->indexRelation), block,
                               RelationGetRelationName(heap), *heap_blocks),
                        errhint("REINDEX the index.")));
}

// Pins the page of a row where the block was found last time, which spares a search in the buffer
// manager's hash table; the table's access method, asked for the row next, keeps a page that it has.
// Does what it does for a page that it has not.
void pin_page(RecentBuffers& recent, Relation heap, IndexFetchTableData* fetch, ItemPointer row)
{
    const BlockNumber block = ItemPointerGetBlockNumberNoCheck(row);
    Buffer& held = reinterpret_cast<IndexFetchHeapData*>(fetch)->xs_cbuf;
    if (BufferIsValid(held)) {
        if (BufferGetBlockNumber(held) == block)
            return;
        ReleaseBuffer(held);
        held = InvalidBuffer;
    }
    held = recent.read(heap, block);
    heap_page_prune_opt(heap, held);
}

// The executor reads a scan's rows one after the other, and each costs it some cache misses in a
// row: the page's header, the row's place in it, the row. They are asked for together before.
class RowPrefetch {
  public:
    void start()
    {
        heap_ = nullptr;
        left_ = 0;
    }

    // For each row, before the executor sees it. The table has at least so many blocks.
    template <class Scan>
    void next(IndexScanDesc scan, BlockNumber heap_blocks, graph::Tid tid, const Scan& rows)
    {
        const Relation heap = scan->heapRelation;
        if (heap_blocks == 0 || !scan->xs_heapfetch)   // not a heap, or nobody looks at its rows
            return;
        if (!heap_ && !(heap_ = RecentBuffers::of(heap, heap_blocks)))
            return;
        if (left_ > 0)
            left_--;
        else {
            ask(tid, rows);
            left_ = at_once - 1;
        }
        ItemPointerData at = from_tid(tid);
        pin_page(*heap_, heap, scan->xs_heapfetch, &at);
    }

  private:
    static constexpr size_t at_once = 12;   // the usual LIMIT, and what its order takes

    template <class Scan>
    void ask(graph::Tid tid, const Scan& rows)
    {
        size_t count = 0;
        const char* line[at_once];
        const char* page[at_once];
        const auto look = [&](graph::Tid t) {
            ItemPointerData at = from_tid(t);
            const char* p = heap_->page(ItemPointerGetBlockNumberNoCheck(&at));
            const Size place =
                SizeOfPageHeaderData +
                sizeof(ItemIdData) * (ItemPointerGetOffsetNumberNoCheck(&at) - Size{1});
            if (!p || place > BLCKSZ - sizeof(ItemIdData))
                return;
            page[count] = p;
            line[count++] = p + place;
            quiver::prefetch(p, 1);
            quiver::prefetch(p + place, 1);
        };
        look(tid);
        rows.coming(at_once - 1, look);
        // Nothing is pinned or locked: what is read is only where to look, and within the page.
        for (size_t i = 0; i < count; i++) {
            ItemIdData id;
            std::memcpy(&id, line[i], sizeof id);
            const Size bytes = std::min<Size>(id.lp_len, 2048);
            if (id.lp_off + bytes <= BLCKSZ)
                quiver::prefetch(page[i] + id.lp_off, bytes);
        }
    }

    RecentBuffers* heap_ = nullptr;
    size_t left_ = 0;   // rows until the next are asked for
};

// Exact distances, of rows that the scan's snapshot sees: what the executor would compute.
class HeapRows : public graph::Rows {
  public:
    HeapRows() = default;
    HeapRows(const HeapRows&) = delete;

    void start(IndexScanDesc scan)
    {
        scan_ = scan;
        recent_ =
            RecentBuffers::of(scan->heapRelation, RelationGetNumberOfBlocks(scan->heapRelation));
        if (fetch_) {
            table_index_fetch_reset(fetch_);
            return;
        }
        row_context_ =
            AllocSetContextCreate(CurrentMemoryContext, "hnsw row", ALLOCSET_SMALL_SIZES);
        info_ = BuildIndexInfo(scan->indexRelation);
        if (info_->ii_Expressions)
            executor_ = CreateExecutorState();
        slot_ = table_slot_create(scan->heapRelation, nullptr);
        fetch_ = table_index_fetch_begin(scan->heapRelation);
    }

    bool distance(graph::Tid tid, double* to) override
    {
        ItemPointerData at = from_tid(tid);   // becomes that of the version in the row's chain
        check_row(scan_, &heap_blocks_, &at);
        if (heap_blocks_ > 0 && recent_)
            pin_page(*recent_, scan_->heapRelation, fetch_, &at);
        bool again = false, all_dead = false;
        if (!table_index_fetch_tuple(fetch_, &at, scan_->xs_snapshot, slot_, &again, &all_dead))
            return false;
        const MemoryContext old = MemoryContextSwitchTo(row_context_);
        if (executor_)
            GetPerTupleExprContext(executor_)->ecxt_scantuple = slot_;
        Datum value;
        bool null;
        FormIndexDatum(info_, slot_, executor_, &value, &null);
        ScanKey query = scan_->orderByData;
        if (!null)
            *to = DatumGetFloat8(
                FunctionCall2Coll(&query->sk_func, query->sk_collation, value, query->sk_argument));
        MemoryContextSwitchTo(old);
        MemoryContextReset(row_context_);
        if (executor_)
            ResetPerTupleExprContext(executor_);
        return !null;
    }

    // Lets go of the page that was looked at last.
    void pause()
    {
        if (fetch_) {
            ExecClearTuple(slot_);
            table_index_fetch_reset(fetch_);
        }
    }
    void end()
    {
        if (!fetch_)
            return;
        table_index_fetch_end(fetch_);
        ExecDropSingleTupleTableSlot(slot_);
        if (executor_)
            FreeExecutorState(executor_);
    }

    bool used() const { return fetch_ != nullptr; }

  private:
    IndexScanDesc scan_ = nullptr;
    IndexFetchTableData* fetch_ = nullptr;
    TupleTableSlot* slot_ = nullptr;
    IndexInfo* info_ = nullptr;
    EState* executor_ = nullptr;   // to compute what an index on an expression has
    MemoryContext row_context_ = nullptr;
    RecentBuffers* recent_ = nullptr;
    BlockNumber heap_blocks_ = 0;
};

struct ScanState {
    MemoryContext context;
    MetaData meta;
    IndexLayout layout;
    VectorReader reader;
    RelationStore store;
    graph::Scan<RelationStore> scan;
    HeapRows rows;
    RowPrefetch prefetch;
    bool started = false;
    bool null_query = false;
    BlockNumber heap_blocks = 0;
    Oid oid;   // of the index, and its file
    pg::FileNumber file;

    ScanState(Relation index, const MetaData& m, MemoryContext c)
        : context(c), meta(m), layout(index, m), reader(opclass_of(index), layout, m.rotation_seed),
          store(index, meta, layout), scan(store), oid(RelationGetRelid(index)),
          file(pg::file_number(index))
    {
    }
    bool is_of(Relation rel) const
    {
        const pg::FileNumber now = pg::file_number(rel);
        return oid == RelationGetRelid(rel) && std::memcmp(&file, &now, sizeof file) == 0;
    }
};

// States of scans that ended, each for the next scan of its index. To make one and to get its memory
// from the kernel is a tenth of a short query. In use, a state belongs to its query and dies with it.
class KeptStates {
  public:
    // Null if there is none.
    ScanState* take(Relation index)
    {
        for (ScanState*& s : states_)
            if (s && s->is_of(index)) {
                ScanState* found = s;
                s = nullptr;
                MemoryContextSetParent(found->context, CurrentMemoryContext);
                return found;
            }
        return nullptr;
    }
    void keep(ScanState* s)
    {
        constexpr Size most = 1 << 20;
        if (s->rows.used() || MemoryContextMemAllocated(s->context, true) > most) {
            MemoryContextDelete(s->context);
            return;
        }
        MemoryContextSetParent(s->context, CacheMemoryContext);
        std::swap(s, states_[next_]);
        next_ = (next_ + 1) % std::size(states_);
        if (s)
            MemoryContextDelete(s->context);
    }

  private:
    ScanState* states_[4] = {};
    size_t next_ = 0;
};
KeptStates kept_states;

void start(IndexScanDesc scan, ScanState& s)
{
    if (scan->orderByData == nullptr || scan->numberOfOrderBys < 1)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("cannot scan hnsw index without order")));
    if (!IsMVCCSnapshot(scan->xs_snapshot))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("non-MVCC snapshots are not supported with hnsw")));
    pgstat_count_index_scan(scan->indexRelation);
    pg::count_index_search(scan);

    graph::Value x;
    // A query without a direction (NULL, the zero vector under cosine distance) is as near to one
    // row as to any other.
    s.null_query = (scan->orderByData->sk_flags & SK_ISNULL) ||
                   !s.reader.read_query(scan->orderByData->sk_argument, &x);
    if (s.null_query)
        x = s.reader.zero();
    s.store.refresh(scan->indexRelation);
    const double memory = settings.scan_mem_multiplier * work_mem * 1024.0;
    const bool rank = s.layout.coarse() && !s.null_query;
    if (rank)
        s.rows.start(scan);
    s.scan.start(x,
                 {static_cast<size_t>(settings.ef_search),
                  static_cast<graph::Iterate>(settings.iterative_scan),
                  static_cast<size_t>(settings.max_scan_tuples), static_cast<size_t>(memory)},
                 rank ? &s.rows : nullptr);
    s.prefetch.start();
    s.started = true;
    last_scan_rows = 0;
}

}   // namespace

IndexScanDesc begin_scan(Relation index, int keys, int orderbys)
{
    IndexScanDesc scan = RelationGetIndexScan(index, keys, orderbys);
    if (orderbys > 0) {
        scan->xs_orderbyvals = static_cast<Datum*>(palloc0(sizeof(Datum) * orderbys));
        scan->xs_orderbynulls = static_cast<bool*>(palloc(sizeof(bool) * orderbys));
        std::fill_n(scan->xs_orderbynulls, orderbys, true);
    }
    ScanState* state = kept_states.take(index);
    if (!state) {
        const MemoryContext context =
            AllocSetContextCreate(CurrentMemoryContext, "hnsw scan", ALLOCSET_DEFAULT_SIZES);
        const MemoryContext old = MemoryContextSwitchTo(context);
        state = new (palloc(sizeof(ScanState))) ScanState(index, read_meta(index), context);
        MemoryContextSwitchTo(old);
    }
    state->started = false;
    state->heap_blocks = 0;
    scan->opaque = state;
    return scan;
}

void rescan(IndexScanDesc scan, ScanKey keys, int, ScanKey orderbys, int)
{
    static_cast<ScanState*>(scan->opaque)->started = false;
    if (keys && scan->numberOfKeys > 0)
        std::memmove(scan->keyData, keys, sizeof(ScanKeyData) * scan->numberOfKeys);
    if (orderbys && scan->numberOfOrderBys > 0)
        std::memmove(scan->orderByData, orderbys, sizeof(ScanKeyData) * scan->numberOfOrderBys);
}

bool get_tuple(IndexScanDesc scan, ScanDirection)
{
    auto& s = *static_cast<ScanState*>(scan->opaque);
    const MemoryContext old = MemoryContextSwitchTo(s.context);
    if (!s.started)
        start(scan, s);
    graph::Tid tid{};
    double bound;
    bool in_order;
    const bool found = s.scan.next(&tid, &bound, &in_order);
    s.rows.pause();
    MemoryContextSwitchTo(old);
    last_scan = s.scan.counters();
    if (!found)
        return false;
    last_scan_rows++;
    scan->xs_heaptid = from_tid(tid);
    check_row(scan, &s.heap_blocks, &scan->xs_heaptid);
    s.prefetch.next(scan, s.heap_blocks, tid, s.scan);
    scan->xs_recheck = false;
    // A row in its certain place needs no look at the table. Its bound then stands for its distance.
    scan->xs_recheckorderby = s.null_query || !in_order;
    // Without a distance, the bound is one that every row has: NULL is above all numbers.
    scan->xs_orderbynulls[0] = false;
    scan->xs_orderbyvals[0] = Float8GetDatum(s.null_query ? -INFINITY : bound);
    return true;
}

void end_scan(IndexScanDesc scan)
{
    auto* s = static_cast<ScanState*>(scan->opaque);
    s->rows.end();
    kept_states.keep(s);
    scan->opaque = nullptr;
}

}   // namespace quiver::am
