// hnsw_check(): verifies an index, and that it has the rows of its table.
#include "pg/pg.hpp"

#include "hnsw/hnsw.hpp"
#include "graph/check.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "funcapi.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
}

namespace quiver::am {

namespace {

class Check {
  public:
    Check(ReturnSetInfo* result, Relation heap, Relation index)
        : result_(result), heap_(heap), index_(index), meta_(read_meta(index)),
          encoding_(index_, meta_), store_(index, meta_, encoding_),
          reader_(opclass_of(index), encoding_.codec(), meta_.rotation_seed),
          node_(encoding_.layout())
    {
    }

    void run(bool heap_check)
    {
        // Of a damaged page nothing can be said but that, and little of those that lead to it.
        if (!pages())
            return;
        page::PageStore& pages = store_.page_store();
        graph::Checker<SlotStore> checker(store_, pages.first_id(pages.count_blocks()));
        checker.run([&](graph::SlotId id, const char* problem) { report(id, problem); },
                    [&](graph::SlotId id, graph::Tid tid) {
                        rows_.push_back({number(tid), id, false});
                    });
        std::sort(rows_.begin(), rows_.end(),
                  [](const Row& x, const Row& y) { return x.tid < y.tid; });
        for (size_t i = 1; i < rows_.size(); i++)
            if (rows_[i].tid == rows_[i - 1].tid)
                report(rows_[i].id, psprintf("row (%u,%u) is in the index twice",
                                             block_of(rows_[i]), offset_of(rows_[i])));
        if (heap_check) {
            table_to_index();
            index_to_table();
        }
    }

  private:
    struct Row {
        uint64 tid;   // block and offset
        graph::SlotId id;
        bool seen;
    };
    static uint64 number(graph::Tid t)
    {
        return uint64{t.block_high} << 32 | uint64{t.block_low} << 16 | t.offset;
    }
    static BlockNumber block_of(const Row& r) { return static_cast<BlockNumber>(r.tid >> 16); }
    static OffsetNumber offset_of(const Row& r) { return static_cast<OffsetNumber>(r.tid); }

    void report(BlockNumber block, int slot, const char* problem)
    {
        Datum values[3] = {Int64GetDatum(block), Int32GetDatum(slot), CStringGetTextDatum(problem)};
        bool nulls[3] = {false, slot < 0, false};
        tuplestore_putvalues(result_->setResult, result_->setDesc, values, nulls);
    }
    void report(graph::SlotId id, const char* problem)
    {
        report(store_.page_store().block_of(id), static_cast<int>(id % store_.slots_per_page()),
               problem);
    }

    bool pages()
    {
        bool good = true;
        const BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
        store_.page_store().for_each_page(
            strategy,
            [&](Page page, BlockNumber block) {
                const auto end = static_cast<uint32>(reinterpret_cast<PageHeader>(page)->pd_lower -
                                                     SizeOfPageHeaderData);
                const char* problem = nullptr;
                if (!page::is_of(page, page::Kind::records))
                    problem = "not a page of slots of a quiver hnsw index";
                else if (end == 0 || end > meta_.slots_per_page * meta_.slot_bytes ||
                         end % meta_.slot_bytes != 0)
                    problem = "the page does not end with a slot";
                if (problem) {
                    report(block, -1, problem);
                    good = false;
                }
            },
            [] { CHECK_FOR_INTERRUPTS(); });
        FreeAccessStrategy(strategy);
        return good;
    }

    // Is every row that the table's snapshot sees in the index, in a node of its vector?
    void table_to_index()
    {
        IndexInfo* info = BuildIndexInfo(index_);
        info->ii_Concurrent = true;   // by the snapshot
        const Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
        const TableScanDesc scan = table_beginscan_strat(heap_, snapshot, 0, nullptr, true, true);
        table_index_build_scan(heap_, index_, info, true, false, look_for_row, this, scan);
        UnregisterSnapshot(snapshot);
    }
    static void look_for_row(Relation, ItemPointer tid, Datum* values, bool* isnull, bool,
                             void* arg)
    {
        pg::guarded([&] {
            if (!isnull[0])
                static_cast<Check*>(arg)->look_for(tid, values[0]);
        });
    }
    void look_for(ItemPointer tid, Datum value)
    {
        const uint64 wanted = number(to_tid(tid));
        graph::Value x;
        const bool indexed = reader_.read_query(value, &x);
        auto row = std::lower_bound(rows_.begin(), rows_.end(), wanted,
                                    [](const Row& r, uint64 t) { return r.tid < t; });
        if (row == rows_.end() || row->tid != wanted) {
            if (indexed)
                report(meta_block, -1,
                       psprintf("row (%u,%u) is not in the index", ItemPointerGetBlockNumber(tid),
                                ItemPointerGetOffsetNumber(tid)));
            return;
        }
        for (; row != rows_.end() && row->tid == wanted; row++) {
            row->seen = true;
            if (!indexed || !node_.read(store_, row->id) || !encoding_.codec().holds(node_.code(), x))
                report(row->id,
                       psprintf("the node is not of the vector of row (%u,%u)",
                                ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid)));
        }
    }
    // Does every entry lead to a row, if only to one that vacuum has not taken away yet?
    void index_to_table()
    {
        if (heap_->rd_rel->relam != HEAP_TABLE_AM_OID)
            return;
        const BlockNumber blocks = RelationGetNumberOfBlocks(heap_);
        for (const Row& r : rows_) {
            if (r.seen)
                continue;
            CHECK_FOR_INTERRUPTS();
            bool there = false;
            if (block_of(r) < blocks) {
                const Buffer buffer = ReadBuffer(heap_, block_of(r));
                LockBuffer(buffer, BUFFER_LOCK_SHARE);
                const Page page = BufferGetPage(buffer);
                there = !PageIsNew(page) && offset_of(r) >= FirstOffsetNumber &&
                        offset_of(r) <= PageGetMaxOffsetNumber(page) &&
                        ItemIdIsUsed(PageGetItemId(page, offset_of(r)));
                UnlockReleaseBuffer(buffer);
            }
            if (!there)
                report(r.id,
                       psprintf("row (%u,%u) is not in the table", block_of(r), offset_of(r)));
        }
    }

    ReturnSetInfo* result_;
    Relation heap_, index_;
    MetaData meta_;
    IndexEncoding encoding_;
    SlotStore store_;
    VectorReader reader_;
    graph::Node node_;
    Vec<Row> rows_;
    Vec<uint8_t> encoded_;
    Vec<float> decoded_;
};

}   // namespace
}   // namespace quiver::am

using namespace quiver;
using namespace quiver::am;

QUIVER_FUNCTION(hnsw_check)
{
    const Oid oid = PG_GETARG_OID(0);
    const bool heap_check = PG_GETARG_BOOL(1);
    // Writers would make it see half of what they do. A standby can't lock them out: there, stop replay.
    const LOCKMODE mode = RecoveryInProgress() ? AccessShareLock : ShareLock;
    const TableOfIndex t(oid, mode);
    if (heap_check)
        t.need_valid();

    // What an expression or predicate calls, it calls as the table's owner.
    const AsOwner as_owner(t.heap);
    ReturnSetInfo* result = pg::materialize(fcinfo);
    (new (palloc(sizeof(Check))) Check(result, t.heap, t.index))->run(heap_check);
    as_owner.end();
    t.close();
    return static_cast<Datum>(0);
}
