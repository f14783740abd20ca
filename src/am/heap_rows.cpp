#include "pg/pg.hpp"

#include "am/heap_rows.hpp"

extern "C" {
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "utils/memutils.h"
}

namespace quiver::am {

void HeapRows::start(IndexScanDesc scan)
{
    scan_ = scan;
    hints_.reset();
    heap_blocks_ = 0;
    left_ = 0;
    if (fetch_)
        table_index_fetch_reset(fetch_);
}

bool HeapRows::distance(graph::Tid tid, double* to)
{
    check_tid(tid);
    if (!fetch_)
        begin_fetch();
    reading_ = true;
    ItemPointerData at = from_tid(tid);   // becomes the visible version's in the HOT chain
    pin(fetch_, &at);
    bool again = false, all_dead = false;
    if (!table_index_fetch_tuple(fetch_, &at, scan_->xs_snapshot, slot_, &again, &all_dead))
        return false;
    const MemoryContext old = MemoryContextSwitchTo(row_context_);
    bool null;
    const Datum value = indexed_value(&null);
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

Datum HeapRows::indexed_value(bool* null)
{
    const AttrNumber column = scan_->indexRelation->rd_index->indkey.values[0];
    if (column != 0)
        return slot_getattr(slot_, column, null);
    ExprContext* context = GetPerTupleExprContext(executor_);
    context->ecxt_scantuple = slot_;
    return ExecEvalExprSwitchContext(expression_, context, null);
}

void HeapRows::pause()
{
    if (!reading_)
        return;
    reading_ = false;
    ExecClearTuple(slot_);
    table_index_fetch_reset(fetch_);
}

void HeapRows::end()
{
    if (!fetch_)
        return;
    reading_ = false;
    table_index_fetch_end(fetch_);
    fetch_ = nullptr;
    ExecDropSingleTupleTableSlot(slot_);
    if (executor_)
        FreeExecutorState(executor_);
    executor_ = nullptr;
}

void HeapRows::check_tid(graph::Tid tid)
{
    ItemPointerData at = from_tid(tid);
    const BlockNumber block = ItemPointerGetBlockNumberNoCheck(&at);
    if (tid.offset == InvalidOffsetNumber) [[unlikely]]
        ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                        errmsg("index \"%s\" points to an invalid row in block %u",
                               RelationGetRelationName(scan_->indexRelation), block),
                        errhint("REINDEX the index.")));
    const Relation heap = scan_->heapRelation;
    if (block < heap_blocks_ || !heap || heap->rd_rel->relam != HEAP_TABLE_AM_OID)
        return;
    heap_blocks_ = RelationGetNumberOfBlocks(heap);
    if (block >= heap_blocks_)
        ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                        errmsg("index \"%s\" points to block %u, but table \"%s\" has %u blocks",
                               RelationGetRelationName(scan_->indexRelation), block,
                               RelationGetRelationName(heap), heap_blocks_),
                        errhint("REINDEX the index.")));
    if (page::BufferHints hints(heap); hints.usable())
        hints_ = hints;
}

void HeapRows::begin_fetch()
{
    if (!row_context_)
        row_context_ =
            AllocSetContextCreate(CurrentMemoryContext, "quiver row", ALLOCSET_SMALL_SIZES);
    if (scan_->indexRelation->rd_index->indkey.values[0] == 0) {
        executor_ = CreateExecutorState();
        const MemoryContext old = MemoryContextSwitchTo(executor_->es_query_cxt);
        const List* expressions = RelationGetIndexExpressions(scan_->indexRelation);
        expression_ = ExecPrepareExpr(static_cast<Expr*>(linitial(expressions)), executor_);
        MemoryContextSwitchTo(old);
    }
    slot_ = table_slot_create(scan_->heapRelation, nullptr);
    fetch_ = pg::begin_index_fetch(scan_->heapRelation);
}

}   // namespace quiver::am
