// hnsw_check(): verifies an index, and checks that it has the rows of its table.
#include "pg/pg.hpp"

#include "am/operator_class.hpp"
#include "am/owner.hpp"
#include "am/rows.hpp"
#include "am/vector_reader.hpp"
#include "graph/check.hpp"
#include "am/filter.hpp"
#include "hnsw/handler.hpp"
#include "hnsw/meta.hpp"
#include "hnsw/slot_store.hpp"
#include "pg/result_row.hpp"

extern "C" {
#include "access/xlog.h"
#include "catalog/pg_am.h"
#include "utils/snapmgr.h"
}

namespace quiver::hnsw {

namespace {

class Check {
  public:
    Check(ReturnSetInfo* result, Relation heap, Relation index)
        : result_(result), heap_(heap), index_(index), meta_(read_meta(index)),
          encoding_(index_, meta_), store_(index, meta_, encoding_),
          reader_(am::opclass_of(index), encoding_.codec(), meta_.rotation_seed),
          filter_(index, meta_.filter_place()), node_(encoding_.layout())
    {
    }

    void run(bool heap_check)
    {
        // The graph cannot be verified if a page of it cannot be read.
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
        pg::ResultRow row;
        row.int8(block);
        slot < 0 ? row.null() : row.int4(slot);
        row.text(problem);
        row.put(result_);
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
                    problem = "not a slot page of a quiver hnsw index";
                else if (end == 0 || end > meta_.slots_per_page * meta_.slot_bytes ||
                         end % meta_.slot_bytes != 0)
                    problem = "page does not contain a whole number of slots";
                if (problem) {
                    report(block, -1, problem);
                    good = false;
                }
            },
            [] { CHECK_FOR_INTERRUPTS(); });
        FreeAccessStrategy(strategy);
        return good;
    }

    // Reports rows that are visible to a new snapshot, but that the index lacks, or has in a node
    // with another vector or filter code.
    void table_to_index()
    {
        const Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
        am::for_each_indexed_row(heap_, index_, snapshot,
                                 [&](ItemPointer tid, const Datum* values, const bool* isnull) {
                                     look_for(tid, values, isnull);
                                 });
        UnregisterSnapshot(snapshot);
    }
    void look_for(ItemPointer tid, const Datum* values, const bool* isnull)
    {
        const uint64 wanted = number(am::to_tid(tid));
        graph::Value x;
        const bool indexed = reader_.read_query(values[0], &x);
        const graph::FilterCode filter = filter_.code(values, isnull);
        auto row = std::lower_bound(rows_.begin(), rows_.end(), wanted,
                                    [](const Row& r, uint64 t) { return r.tid < t; });
        if (row == rows_.end() || row->tid != wanted) {
            if (indexed)
                report(am::meta_block, -1,
                       psprintf("row (%u,%u) is not in the index", ItemPointerGetBlockNumber(tid),
                                ItemPointerGetOffsetNumber(tid)));
            return;
        }
        for (; row != rows_.end() && row->tid == wanted; row++) {
            row->seen = true;
            if (!indexed || !node_.read(store_, row->id) ||
                !encoding_.codec().holds(node_.code(), x))
                report(row->id,
                       psprintf("node does not match the vector of row (%u,%u)",
                                ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid)));
            else if (node_.code().filter != filter)
                report(row->id,
                       psprintf("node does not match the filter columns of row (%u,%u)",
                                ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid)));
        }
    }

    // Reports TIDs in the index that no row of the table has, not even a dead one.
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
    am::VectorReader reader_;
    am::Filter filter_;
    graph::Node node_;
    Vec<Row> rows_;
};

}   // namespace
}   // namespace quiver::hnsw

using namespace quiver;

QUIVER_FUNCTION(hnsw_check)
{
    const Oid oid = PG_GETARG_OID(0);
    const bool heap_check = PG_GETARG_BOOL(1);
    // The check would see half of a concurrent insert's changes, so it locks writers out. A standby
    // cannot do that; there the user must pause replay.
    const LOCKMODE mode = RecoveryInProgress() ? AccessShareLock : ShareLock;
    const am::TableOfIndex t(oid, hnsw::access_method, mode);
    if (heap_check)
        t.need_valid();

    // Functions in the index's expression or predicate run as the table's owner.
    const am::AsOwner as_owner(t.heap);
    ReturnSetInfo* result = pg::materialize(fcinfo);
    (new (palloc(sizeof(hnsw::Check))) hnsw::Check(result, t.heap, t.index))->run(heap_check);
    as_owner.end();
    t.close();
    return static_cast<Datum>(0);
}
