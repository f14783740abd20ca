// Index scans: rows in the order of their exact distances, which are computed from the table's rows
// but for those whose place is certain by their bounds.
#include "pg/pg.hpp"

#include "hnsw/hnsw.hpp"

#include <optional>

extern "C" {
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

// The rows of the table, for the scan and, after it, for the executor.
//
// To read one costs some cache misses in a row: the buffer manager's hash table, the page's header, the
// row's place in it, the row. The last three are asked for together, for many rows at once; and a
// page is pinned where it was found last time, for the table's access method keeps a page that it has.
class HeapRows : public graph::Rows {
  public:
    HeapRows() = default;
    HeapRows(const HeapRows&) = delete;

    void start(IndexScanDesc scan)
    {
        scan_ = scan;
        hints_.reset();
        heap_blocks_ = 0;
        left_ = 0;
        if (fetch_)
            table_index_fetch_reset(fetch_);
    }

    // For each row as it comes out of the index. `scan` knows which are coming.
    template <class Scan>
    void coming(graph::Tid tid, const Scan& scan)
    {
        check(tid);
        if (left_ > 0)
            left_--;
        else if (hints_ && scan_->xs_heapfetch) {   // or nobody looks at its rows
            ask(tid, scan);
            left_ = at_once - 1;
        }
    }

    // What the executor would compute, of a row that the scan's snapshot sees.
    bool distance(graph::Tid tid, double* to) override
    {
        check(tid);
        if (!fetch_)
            open();
        ItemPointerData at = from_tid(tid);   // becomes that of the version in the row's chain
        pin(fetch_, &at);
        bool again = false, all_dead = false;
        if (!table_index_fetch_tuple(fetch_, &at, scan_->xs_snapshot, slot_, &again, &all_dead))
            return false;
        const MemoryContext old = MemoryContextSwitchTo(row_context_);
        Datum value;
        bool null;
        const AttrNumber column = scan_->indexRelation->rd_index->indkey.values[0];
        if (column != 0)
            value = slot_getattr(slot_, column, &null);
        else {
            GetPerTupleExprContext(executor_)->ecxt_scantuple = slot_;
            FormIndexDatum(info_, slot_, executor_, &value, &null);
        }
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

    // For the executor, which reads it next.
    void give(graph::Tid tid)
    {
        scan_->xs_heaptid = from_tid(tid);
        if (scan_->xs_heapfetch)
            pin(scan_->xs_heapfetch, &scan_->xs_heaptid);
    }

    // Lets go of the row that was looked at last, and of its page, which the heap keeps since 19.
    void pause()
    {
        if (fetch_) {
            ExecClearTuple(slot_);
            table_index_fetch_reset(fetch_);
        }
    }
    // True: as good as new.
    bool end()
    {
        if (!fetch_)
            return true;
        table_index_fetch_end(fetch_);
        fetch_ = nullptr;
        ExecDropSingleTupleTableSlot(slot_);
        if (!executor_)
            return true;
        FreeExecutorState(executor_);
        return false;
    }

  private:
    static constexpr size_t at_once = 12;   // the usual LIMIT, and what its order takes

    // A damaged index must not send anybody beyond the table, or to a row that no table has.
    void check(graph::Tid tid)
    {
        ItemPointerData at = from_tid(tid);
        const BlockNumber block = ItemPointerGetBlockNumberNoCheck(&at);
        if (tid.offset == InvalidOffsetNumber) [[unlikely]]
            ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                            errmsg("index \"%s\" leads to no row of block %u",
                                   RelationGetRelationName(scan_->indexRelation), block),
                            errhint("REINDEX the index.")));
        const Relation heap = scan_->heapRelation;
        if (block < heap_blocks_ || !heap || heap->rd_rel->relam != HEAP_TABLE_AM_OID)
            return;
        heap_blocks_ = RelationGetNumberOfBlocks(heap);
        if (block >= heap_blocks_)
            ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                            errmsg("index \"%s\" leads to block %u, but table \"%s\" has %u blocks",
                                   RelationGetRelationName(scan_->indexRelation), block,
                                   RelationGetRelationName(heap), heap_blocks_),
                            errhint("REINDEX the index.")));
        if (page::BufferHints hints(heap); hints.usable())
            hints_ = hints;
    }

    void open()
    {
        if (!row_context_)
            row_context_ =
                AllocSetContextCreate(CurrentMemoryContext, "hnsw row", ALLOCSET_SMALL_SIZES);
        if (scan_->indexRelation->rd_index->indkey.values[0] == 0) {
            info_ = BuildIndexInfo(scan_->indexRelation);
            executor_ = CreateExecutorState();
        }
        slot_ = table_slot_create(scan_->heapRelation, nullptr);
        fetch_ = pg::begin_index_fetch(scan_->heapRelation);
    }

    template <class Scan>
    void ask(graph::Tid tid, const Scan& scan)
    {
        size_t count = 0;
        const char* line[at_once];
        const char* page[at_once];
        const auto look = [&](graph::Tid t) {
            ItemPointerData at = from_tid(t);
            const char* p = hints_->page(ItemPointerGetBlockNumberNoCheck(&at));
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
        scan.coming(at_once - 1, look);
        // Nothing is pinned or locked: what is read is only where to look, and within the page.
        for (size_t i = 0; i < count; i++) {
            ItemIdData id;
            std::memcpy(&id, line[i], sizeof id);
            const Size bytes = std::min<Size>(id.lp_len, 2048);
            if (id.lp_off + bytes <= BLCKSZ)
                quiver::prefetch(page[i] + id.lp_off, bytes);
        }
    }

    // Does what the table's access method would do for a row on a page that it has not.
    void pin(IndexFetchTableData* fetch, ItemPointer row)
    {
        if (!hints_)   // not a heap, or a temporary one
            return;
        const BlockNumber block = ItemPointerGetBlockNumberNoCheck(row);
        pg::hold_heap_block(fetch, block,
                            [&] { return hints_->read(scan_->heapRelation, block); });
    }

    IndexScanDesc scan_ = nullptr;
    BlockNumber heap_blocks_ = 0;   // the table has at least so many
    std::optional<page::BufferHints> hints_;
    size_t left_ = 0;   // rows until the next are asked for
    IndexFetchTableData* fetch_ = nullptr;
    TupleTableSlot* slot_ = nullptr;
    IndexInfo* info_ = nullptr;    // of an index on an expression,
    EState* executor_ = nullptr;   // and what computes that
    MemoryContext row_context_ = nullptr;
};

struct ScanState {
    MemoryContext context;
    MetaData meta;
    IndexEncoding encoding;
    VectorReader reader;
    SlotStore store;
    graph::Scan<SlotStore> scan;
    HeapRows rows;
    bool started = false;
    bool null_query = false;

    ScanState(Relation index, const MetaData& m, MemoryContext c)
        : context(c), meta(m), encoding(index, m),
          reader(opclass_of(index), encoding.codec(), m.rotation_seed),
          store(index, meta, encoding), scan(store)
    {
    }
};

// States of scans that ended, each for the next scan of its index, as long as that is of the same build. To make
// one and to get its memory from the kernel is a tenth of a short query. In use, a state belongs to its query and
// dies with it. Together they take no more than work_mem (or 1 MiB, if that is more).
class KeptStates {
  public:
    // Null if there is none.
    ScanState* take(uint64 build_id)
    {
        for (Kept& k : states_)
            if (k.state && k.state->meta.build_id == build_id) {
                ScanState* found = k.state;
                bytes_ -= k.bytes;
                k = {};
                MemoryContextSetParent(found->context, CurrentMemoryContext);
                return found;
            }
        return nullptr;
    }
    void keep(ScanState* s)
    {
        const Size most = std::max(static_cast<Size>(work_mem) * 1024, Size{1} << 20);
        const Size bytes = MemoryContextMemAllocated(s->context, true);
        if (!s->rows.end() || bytes > most / 4) {
            MemoryContextDelete(s->context);
            return;
        }
        Kept* place = oldest(true);
        while (!place || bytes_ + bytes > most) {
            place = oldest(false);
            bytes_ -= place->bytes;
            MemoryContextDelete(place->state->context);
            *place = {};
        }
        MemoryContextSetParent(s->context, CacheMemoryContext);
        *place = {s, bytes, ++clock_};
        bytes_ += bytes;
    }

  private:
    struct Kept {
        ScanState* state = nullptr;
        Size bytes = 0;
        uint64 since = 0;
    };
    // The one kept for longest, or an empty place; null if there is none.
    Kept* oldest(bool empty)
    {
        Kept* found = nullptr;
        for (Kept& k : states_)
            if ((k.state == nullptr) == empty && (!found || k.since < found->since))
                found = &k;
        return found;
    }

    Kept states_[64];
    Size bytes_ = 0;
    uint64 clock_ = 0;
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
    s.rows.start(scan);
    s.scan.start(x,
                 {static_cast<size_t>(settings.ef_search),
                  static_cast<graph::Iterate>(settings.iterative_scan),
                  static_cast<size_t>(settings.max_scan_tuples), static_cast<size_t>(memory)},
                 s.null_query ? nullptr : &s.rows);
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
    ScanState* state = kept_states.take(read_build_id(index));
    if (!state) {
        const MemoryContext context =
            AllocSetContextCreate(CurrentMemoryContext, "hnsw scan", ALLOCSET_DEFAULT_SIZES);
        const MemoryContext old = MemoryContextSwitchTo(context);
        state = new (palloc(sizeof(ScanState))) ScanState(index, read_meta(index), context);
        MemoryContextSwitchTo(old);
    }
    state->started = false;
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
    double distance;
    const bool found =
        s.scan.next(&tid, &distance, [&](graph::Tid t) { s.rows.coming(t, s.scan); });
    s.rows.pause();
    MemoryContextSwitchTo(old);
    last_scan = s.scan.counters();
    if (!found)
        return false;
    last_scan_rows++;
    s.rows.give(tid);
    // Rows come in exact order. The executor, which could put them in order, loses their ctid where it
    // does, before the releases of late 2026 (so FOR UPDATE fails).
    scan->xs_recheck = scan->xs_recheckorderby = false;
    scan->xs_orderbynulls[0] = s.null_query;
    scan->xs_orderbyvals[0] = Float8GetDatum(distance);
    return true;
}

void end_scan(IndexScanDesc scan)
{
    auto* s = static_cast<ScanState*>(scan->opaque);
    kept_states.keep(s);
    scan->opaque = nullptr;
}

}   // namespace quiver::am
