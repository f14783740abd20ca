// SQL functions that show an index: its meta page, the slots of a page, statistics, the last scan.
#include "pg/pg.hpp"

#include "hnsw/hnsw.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "commands/defrem.h"
#include "funcapi.h"
#include "utils/syscache.h"
}

namespace quiver::am {

namespace {

TupleDesc result_type(FunctionCallInfo fcinfo)
{
    TupleDesc desc;
    if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    return BlessTupleDesc(desc);
}

template <size_t Columns>
Datum row(TupleDesc desc, Datum (&values)[Columns], bool (&nulls)[Columns])
{
    if (desc->natts != static_cast<int>(Columns))
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("the SQL objects of extension \"quiver\" are of another version "
                               "than its library"),
                        errhint("ALTER EXTENSION quiver UPDATE.")));
    return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

}   // namespace

// Before anything is locked: whoever may not look at an index must not make others wait.
static void check_owner(Oid oid)
{
    const HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
    if (!HeapTupleIsValid(tuple))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("relation with OID %u does not exist", oid)));
    const auto* form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    if (form->relkind != RELKIND_INDEX || form->relam != get_am_oid("hnsw", false))
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                        errmsg("\"%s\" is not an hnsw index", NameStr(form->relname))));
    if (!pg::owns_relation(oid))
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("must be owner of index %s", NameStr(form->relname))));
    ReleaseSysCache(tuple);
}

Relation open_index(Oid oid, LOCKMODE mode)
{
    check_owner(oid);
    const Relation index = index_open(oid, mode);
    check_owner(oid);   // it may have changed hands before it was locked
    if (RELATION_IS_OTHER_TEMP(index))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("cannot access temporary tables of other sessions")));
    return index;
}

TableOfIndex::TableOfIndex(Oid oid, LOCKMODE m) : mode(m)
{
    check_owner(oid);
    const Oid heap_oid = IndexGetRelation(oid, true);
    heap = OidIsValid(heap_oid) ? table_open(heap_oid, mode) : nullptr;
    index = open_index(oid, mode);
    if (!heap || IndexGetRelation(oid, false) != heap_oid)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("could not open the table of index \"%s\"",
                               RelationGetRelationName(index))));
}

void TableOfIndex::need_valid() const
{
    if (!index->rd_index->indisvalid)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("index \"%s\" is not valid", RelationGetRelationName(index)),
                        errhint("hnsw_check without heap_check verifies its pages.")));
}

void TableOfIndex::close() const
{
    index_close(index, mode);
    table_close(heap, mode);
}

AsOwner::AsOwner(Relation heap)
{
    GetUserIdAndSecContext(&user_, &context_);
    SetUserIdAndSecContext(heap->rd_rel->relowner, context_ | SECURITY_RESTRICTED_OPERATION);
    nest_ = NewGUCNestLevel();
    pg::restrict_search_path();
}

void AsOwner::end() const
{
    AtEOXact_GUC(false, nest_);
    SetUserIdAndSecContext(user_, context_);
}

}   // namespace quiver::am

using namespace quiver;
using namespace quiver::am;

QUIVER_FUNCTION(hnsw_meta)
{
    const Relation index = open_index(PG_GETARG_OID(0), AccessShareLock);
    const MetaData meta = read_meta(index);
    index_close(index, AccessShareLock);
    Datum values[12];
    bool nulls[12] = {};
    values[0] = Int32GetDatum(static_cast<int32>(meta.version));
    values[1] = CStringGetTextDatum(codec::traits_of(meta.metric).name);
    values[2] = Int32GetDatum(static_cast<int32>(meta.dims));
    values[3] = Int32GetDatum(static_cast<int32>(meta.m));
    values[4] = Int32GetDatum(static_cast<int32>(meta.ef_construction));
    values[5] = Int32GetDatum(static_cast<int32>(meta.degree));
    values[6] = Int32GetDatum(static_cast<int32>(meta.layout().words * 64));
    nulls[7] = meta.form != codec::Form::dense;
    values[7] = Int32GetDatum(meta.bits);
    values[8] = Int32GetDatum(static_cast<int32>(meta.slot_bytes));
    values[9] = Int32GetDatum(static_cast<int32>(meta.slots_per_page));
    nulls[10] = nulls[11] = meta.entry == graph::no_slot;
    values[10] = Int64GetDatum(meta.entry);
    values[11] = Int32GetDatum(meta.entry_level);
    PG_RETURN_DATUM(row(result_type(fcinfo), values, nulls));
}

QUIVER_FUNCTION(hnsw_stats)
{
    const Relation index = open_index(PG_GETARG_OID(0), AccessShareLock);
    const MetaData meta = read_meta(index);
    const graph::Encoding encoding(meta.encoding());
    const graph::Layout& layout = encoding.layout();
    SlotStore graph_store(index, meta, encoding);
    page::PageStore& store = graph_store.page_store();
    int64 nodes = 0, upper = 0, rows = 0, deleted = 0, free = 0, overflow = 0, links = 0, full = 0;
    int least = graph::max_degree, most = 0;
    const BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
    store.for_each_page(
        strategy,
        [&](Page page, BlockNumber block) {
            page::check(index, block, page, page::Kind::records);
            for (uint32 i = 0; i < meta.slots_per_page; i++) {
                const auto& h = *reinterpret_cast<graph::SlotHeader*>(store.record_in(page, i));
                if (h.state == graph::SlotState::deleted)
                    deleted++;
                else if (h.state == graph::SlotState::overflow)
                    overflow++;
                else if (h.state != graph::SlotState::live)
                    free++;
                else if (h.level > 0)
                    upper++;
                else {
                    nodes++;
                    rows += h.tid_count;
                    links += h.degree;
                    full += h.degree == meta.degree;
                    least = std::min<int>(least, h.degree);
                    most = std::max<int>(most, h.degree);
                }
            }
        },
        [] { CHECK_FOR_INTERRUPTS(); });
    FreeAccessStrategy(strategy);
    const int64 pages = store.blocks();
    index_close(index, AccessShareLock);
    Datum values[17];
    bool nulls[17] = {};
    values[0] = Int64GetDatum(pages);
    values[1] = Int64GetDatum(nodes);
    values[2] = Int64GetDatum(upper);
    values[3] = Int64GetDatum(rows);
    values[4] = Int64GetDatum(deleted);
    values[5] = Int64GetDatum(free);
    values[6] = Int64GetDatum(overflow);
    values[7] = Float8GetDatum(nodes ? static_cast<double>(links) / static_cast<double>(nodes) : 0);
    values[8] = Int32GetDatum(nodes ? least : 0);
    values[9] = Int32GetDatum(most);
    values[10] = Float8GetDatum(nodes ? static_cast<double>(full) / static_cast<double>(nodes) : 0);
    values[11] = Int32GetDatum(meta.entry_level + 1);
    values[12] =
        Float8GetDatum(static_cast<double>(meta.slots_per_page * meta.slot_bytes) / BLCKSZ);
    // (Overflow slots hold nothing but vectors.)
    const auto slots = static_cast<double>(nodes + upper);
    const double bytes[] = {
        static_cast<double>(pages) * BLCKSZ,
        slots * layout.code_bytes + static_cast<double>(overflow) * layout.overflow_bytes(),
        slots * (layout.a - layout.ids), slots * (layout.slot_bytes - layout.a)};
    for (int i = 0; i < 4; i++) {
        nulls[13 + i] = rows == 0;
        values[13 + i] = Float8GetDatum(bytes[i] / static_cast<double>(rows));
    }
    PG_RETURN_DATUM(row(result_type(fcinfo), values, nulls));
}

// hnsw_page_items(meta, page): what a raw page (from pageinspect's get_raw_page) holds. It carries
// no description of its slots, so the index is named beside it.
QUIVER_FUNCTION(hnsw_page_items)
{
    const Relation index = open_index(PG_GETARG_OID(0), AccessShareLock);
    const MetaData meta = read_meta(index);
    index_close(index, AccessShareLock);
    bytea* raw = PG_GETARG_BYTEA_PP(1);
    if (VARSIZE_ANY_EXHDR(raw) != BLCKSZ)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("a page has %d bytes, not %d", BLCKSZ,
                               static_cast<int>(VARSIZE_ANY_EXHDR(raw)))));
    auto* page = static_cast<char*>(palloc(BLCKSZ));
    std::memcpy(page, VARDATA_ANY(raw), BLCKSZ);
    if (!page::is_of(page, page::Kind::records))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("input page is not a page of slots of an hnsw index")));

    const graph::Layout layout = meta.layout();
    ReturnSetInfo* result = pg::materialize(fcinfo);
    for (uint32 i = 0; i < meta.slots_per_page; i++) {
        const graph::Slot slot(layout,
                               static_cast<char*>(PageGetContents(page)) + i * meta.slot_bytes);
        const graph::SlotHeader& h = slot.header();
        static const char* const states[] = {"free", "live", "deleted", "overflow"};
        const auto state = static_cast<size_t>(h.state);
        Datum values[8];
        bool nulls[8] = {};
        values[0] = Int32GetDatum(static_cast<int32>(i));
        values[1] = CStringGetTextDatum(state < 4 ? states[state] : "?");
        const bool used = h.state == graph::SlotState::live || h.state == graph::SlotState::deleted;
        for (int n = 2; n < 8; n++)
            nulls[n] = !used;
        if (used) {
            values[2] = Int32GetDatum(h.level);
            nulls[3] = h.down == graph::no_slot;
            values[3] = Int64GetDatum(h.down);
            values[4] = Float4GetDatum(std::sqrt(h.params.norm2));
            values[5] = Float4GetDatum(h.params.error);
            const int degree = std::min<int>(h.degree, static_cast<int>(layout.degree));
            auto* ids = static_cast<Datum*>(palloc(sizeof(Datum) * (degree + 1)));
            for (int n = 0; n < degree; n++)
                ids[n] = Int64GetDatum(slot.ids()[n]);
            values[6] = PointerGetDatum(construct_array(ids, degree, INT8OID, sizeof(int64),
                                                        FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
            const auto tids = static_cast<int>(slot.tid_count());
            auto* rows = static_cast<Datum*>(palloc(sizeof(Datum) * graph::Layout::max_tids));
            for (int n = 0; n < tids; n++) {
                auto* tid = static_cast<ItemPointer>(palloc(sizeof(ItemPointerData)));
                *tid = from_tid(slot.tids()[n]);
                rows[n] = PointerGetDatum(tid);
            }
            values[7] = PointerGetDatum(construct_array(rows, tids, TIDOID, sizeof(ItemPointerData),
                                                        false, TYPALIGN_SHORT));
        }
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return static_cast<Datum>(0);
}

QUIVER_FUNCTION(hnsw_last_scan)
{
    Datum values[3];
    bool nulls[3] = {};
    values[0] = Int64GetDatum(static_cast<int64>(last_scan.visited));
    values[1] = Int64GetDatum(static_cast<int64>(last_scan.estimated));
    values[2] = Int64GetDatum(static_cast<int64>(last_scan_rows));
    PG_RETURN_DATUM(row(result_type(fcinfo), values, nulls));
}
