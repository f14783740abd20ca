// SQL functions that show an index: its meta page, the slots of a page, statistics, the last scan.
#include "pg/pg.hpp"

#include "am/owner.hpp"
#include "am/rows.hpp"
#include "hnsw/handler.hpp"
#include "hnsw/meta.hpp"
#include "hnsw/scan.hpp"
#include "hnsw/slot_store.hpp"
#include "pg/result_row.hpp"

extern "C" {
#include "access/genam.h"
}

namespace quiver::hnsw {

namespace {

MetaData meta_for_owner(Oid oid)
{
    const Relation index = am::open_index(oid, access_method, AccessShareLock);
    const MetaData meta = read_meta(index);
    index_close(index, AccessShareLock);
    return meta;
}

const char* state_name(graph::SlotState state)
{
    switch (state) {
    case graph::SlotState::free: return "free";
    case graph::SlotState::live: return "live";
    case graph::SlotState::deleted: return "deleted";
    case graph::SlotState::overflow: return "overflow";
    }
    return "?";
}

// ---- hnsw_stats ----

struct SlotCounts {
    int64 nodes = 0, upper = 0, rows = 0, deleted = 0, free = 0, overflow = 0, links = 0, full = 0;
    int least = graph::max_degree, most = 0;   // neighbours of a node

    void add(const graph::SlotHeader& h, uint32 degree)
    {
        switch (h.state) {
        case graph::SlotState::deleted: deleted++; return;
        case graph::SlotState::overflow: overflow++; return;
        case graph::SlotState::live: break;
        default: free++; return;
        }
        if (h.level > 0) {
            upper++;
            return;
        }
        nodes++;
        rows += h.tid_count;
        links += h.degree;
        full += h.degree == degree;
        least = std::min<int>(least, h.degree);
        most = std::max<int>(most, h.degree);
    }
    double of_each_node(int64 sum) const
    {
        return nodes ? static_cast<double>(sum) / static_cast<double>(nodes) : 0;
    }
};

SlotCounts count_slots(Relation index, const MetaData& meta, page::PageStore& store)
{
    SlotCounts counts;
    const BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
    store.for_each_page(
        strategy,
        [&](Page page, BlockNumber block) {
            page::check(index, block, page, page::Kind::records);
            for (uint32 i = 0; i < meta.slots_per_page; i++)
                counts.add(*reinterpret_cast<graph::SlotHeader*>(store.record_in(page, i)),
                           meta.degree);
        },
        [] { CHECK_FOR_INTERRUPTS(); });
    FreeAccessStrategy(strategy);
    return counts;
}

// Adds the bytes of the index per row: in total, in vectors, in neighbours' ids, and in sketches.
void add_row_bytes(pg::ResultRow& row, const graph::Layout& layout, const SlotCounts& c,
                   int64 pages)
{
    // (Overflow slots hold nothing but vectors.)
    const auto slots = static_cast<double>(c.nodes + c.upper);
    const double bytes[] = {
        static_cast<double>(pages) * BLCKSZ,
        slots * layout.code_bytes + static_cast<double>(c.overflow) * layout.overflow_bytes(),
        slots * (layout.a - layout.ids), slots * (layout.slot_bytes - layout.a)};
    for (const double b : bytes)
        c.rows == 0 ? row.null() : row.float8(b / static_cast<double>(c.rows));
}

// ---- hnsw_page_items ----

Page copy_raw_page(const bytea* raw)
{
    if (VARSIZE_ANY_EXHDR(raw) != BLCKSZ)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("input page must have %d bytes, not %d", BLCKSZ,
                               static_cast<int>(VARSIZE_ANY_EXHDR(raw)))));
    auto* page = static_cast<char*>(palloc(BLCKSZ));
    std::memcpy(page, VARDATA_ANY(raw), BLCKSZ);
    if (!page::is_of(page, page::Kind::records))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("input page is not a slot page of an hnsw index")));
    return page;
}

Datum neighbours_of(const graph::Slot& slot)
{
    const int degree = std::min<int>(slot.header().degree, static_cast<int>(slot.layout().degree));
    auto* ids = static_cast<Datum*>(palloc(sizeof(Datum) * (degree + 1)));
    for (int n = 0; n < degree; n++)
        ids[n] = Int64GetDatum(slot.ids()[n]);
    return PointerGetDatum(
        construct_array(ids, degree, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

Datum rows_of(const graph::Slot& slot)
{
    const auto tids = static_cast<int>(slot.tid_count());
    auto* rows = static_cast<Datum*>(palloc(sizeof(Datum) * graph::Layout::max_tids));
    for (int n = 0; n < tids; n++) {
        auto* tid = static_cast<ItemPointer>(palloc(sizeof(ItemPointerData)));
        *tid = am::from_tid(slot.tids()[n]);
        rows[n] = PointerGetDatum(tid);
    }
    return PointerGetDatum(
        construct_array(rows, tids, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT));
}

void put_slot(ReturnSetInfo* result, uint32 number, const graph::Slot& slot)
{
    const graph::SlotHeader& h = slot.header();
    pg::ResultRow row;
    row.int4(number);
    row.text(state_name(h.state));
    if (h.state == graph::SlotState::live || h.state == graph::SlotState::deleted) {
        row.int4(h.level);
        h.down == graph::no_slot ? row.null() : row.int8(h.down);
        row.float4(std::sqrt(h.params.norm2));
        row.float4(h.params.error);
        row.datum(neighbours_of(slot));
        row.datum(rows_of(slot));
    } else
        for (int column = 2; column < 8; column++)
            row.null();
    row.put(result);
}

}   // namespace
}   // namespace quiver::hnsw

using namespace quiver;
using namespace quiver::hnsw;

QUIVER_FUNCTION(hnsw_meta)
{
    const MetaData meta = meta_for_owner(PG_GETARG_OID(0));
    pg::ResultRow row;
    row.int4(meta.version);
    row.text(codec::traits_of(meta.metric).name);
    row.int4(meta.dims);
    row.int4(meta.m);
    row.int4(meta.ef_construction);
    row.int4(meta.degree);
    row.int4(meta.layout().words * 64);
    meta.form != codec::Form::dense ? row.null() : row.int4(meta.bits);
    row.int4(meta.slot_bytes);
    row.int4(meta.slots_per_page);
    const bool empty = meta.entry == graph::no_slot;
    empty ? row.null() : row.int8(meta.entry);
    empty ? row.null() : row.int4(meta.entry_level);
    const uint32 group = meta.flat_layout().pages;
    group == 0 ? row.null() : row.int4(static_cast<int32>(group));
    return row.tuple(fcinfo);
}

QUIVER_FUNCTION(hnsw_stats)
{
    const Relation index = am::open_index(PG_GETARG_OID(0), access_method, AccessShareLock);
    const MetaData meta = read_meta(index);
    const graph::Encoding encoding(meta.encoding());
    SlotStore store(index, meta, encoding);
    const SlotCounts c = count_slots(index, meta, store.page_store());
    const int64 pages = store.page_store().blocks();
    index_close(index, AccessShareLock);
    pg::ResultRow row;
    row.int8(pages);
    row.int8(c.nodes);
    row.int8(c.upper);
    row.int8(c.rows);
    row.int8(c.deleted);
    row.int8(c.free);
    row.int8(c.overflow);
    row.float8(c.of_each_node(c.links));
    row.int4(c.nodes ? c.least : 0);
    row.int4(c.most);
    row.float8(c.of_each_node(c.full));
    row.int4(meta.entry_level + 1);
    row.float8(static_cast<double>(meta.slots_per_page * meta.slot_bytes) / BLCKSZ);
    add_row_bytes(row, encoding.layout(), c, pages);
    return row.tuple(fcinfo);
}

// hnsw_page_items(index, page): the slots of a raw page (from pageinspect's get_raw_page). A page
// does not describe the layout of its slots, so the index is an argument, too.
QUIVER_FUNCTION(hnsw_page_items)
{
    const MetaData meta = meta_for_owner(PG_GETARG_OID(0));
    const Page page = copy_raw_page(PG_GETARG_BYTEA_PP(1));
    const graph::Layout layout = meta.layout();
    ReturnSetInfo* result = pg::materialize(fcinfo);
    for (uint32 i = 0; i < meta.slots_per_page; i++)
        put_slot(result, i, graph::Slot(layout, page::contents_of(page) + i * meta.slot_bytes));
    return static_cast<Datum>(0);
}

QUIVER_FUNCTION(hnsw_last_scan)
{
    pg::ResultRow row;
    row.int8(static_cast<int64>(last_scan.search.visited));
    row.int8(static_cast<int64>(last_scan.search.estimated));
    row.int8(static_cast<int64>(last_scan.rows));
    row.int8(static_cast<int64>(last_scan.pages));
    row.int8(static_cast<int64>(last_scan.search.rejected));
    return row.tuple(fcinfo);
}
