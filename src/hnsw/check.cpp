// hnsw_check(): verifies an index, and checks that it has the rows of its table.
#include "pg/pg.hpp"

#include "am/operator_class.hpp"
#include "am/owner.hpp"
#include "am/row_check.hpp"
#include "graph/check.hpp"
#include "hnsw/handler.hpp"
#include "hnsw/meta.hpp"
#include "hnsw/slot_store.hpp"
#include "pg/result_row.hpp"

extern "C" {
#include "access/xlog.h"
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
        store_.count_pages();
        graph::Checker<SlotStore> checker(store_, store_.pages() * store_.slots_per_page());
        checker.run([&](graph::SlotId id, const char* problem) { report(id, problem); },
                    [&](graph::SlotId id, graph::Tid tid) { rows_.add(tid, id); });
        const auto report_row = [&](const graph::SlotId* id, const char* problem) {
            id ? report(*id, problem) : report(am::meta_block, -1, problem);
        };
        rows_.find_duplicates(report_row);
        if (heap_check)
            rows_.compare(
                heap_, index_, reader_, filter_, "node",
                [&](graph::SlotId id, const graph::Value& x, codec::FilterCode* filter) {
                    if (!node_.read(store_, id) || !encoding_.codec().holds(node_.code(), x))
                        return false;
                    *filter = node_.code().filter;
                    return true;
                },
                report_row);
    }

  private:
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
        for (uint32 i = 0; i < store_.flat_pages(); i++) {
            store_.poll();
            good &= is_flat_page(store_.page_store().block_of_head(i));
        }
        FreeAccessStrategy(strategy);
        return good;
    }

    // (One without contents was left by a crash, and so were the pages of slots after it.)
    bool is_flat_page(BlockNumber block)
    {
        const Buffer buffer = ReadBuffer(index_, block);
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        const Page page = BufferGetPage(buffer);
        const bool good = PageIsNew(page) || (page::is_of(page, page::Kind::head) &&
                                              page::used_bytes(page) == meta_.flat_layout().bytes);
        UnlockReleaseBuffer(buffer);
        if (!good)
            report(block, -1, "not a flat page of a quiver hnsw index");
        return good;
    }

    ReturnSetInfo* result_;
    Relation heap_, index_;
    MetaData meta_;
    IndexEncoding encoding_;
    SlotStore store_;
    am::VectorReader reader_;
    am::Filter filter_;
    graph::Node node_;
    am::RowCheck<graph::SlotId> rows_;
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
