// Index scans. They return rows in the order of their exact distances, which are computed from the
// table's rows, except for rows whose place is certain from their bounds.
#include "pg/pg.hpp"

#include "hnsw/scan.hpp"

#include "am/filter_columns.hpp"
#include "am/heap_rows.hpp"
#include "am/kept_states.hpp"
#include "am/thresholds.hpp"
#include "am/vector_reader.hpp"
#include "graph/scan.hpp"
#include "hnsw/filter.hpp"
#include "hnsw/handler.hpp"
#include "hnsw/meta.hpp"
#include "hnsw/settings.hpp"
#include "hnsw/slot_store.hpp"

extern "C" {
#include "pgstat.h"
}

namespace quiver::hnsw {

constinit LastScan last_scan;

namespace {

// Returns rows in the order of their pages. It serves queries to which all rows are equally near, so
// that no search is needed. (Every row that the scan can see is in one node all the time.)
class RowsByPage {
  public:
    // filter: if not null, only rows of nodes that it admits
    void start(SlotStore& store, const codec::FilterSet* filter)
    {
        filter_ = filter;
        store.count_pages();
        page_ = 0;
        tids_.clear();
    }
    bool next(SlotStore& store, graph::Tid* tid)
    {
        while (tids_.empty()) {
            if (page_ == store.pages())
                return false;
            store.poll();
            store.read_page(page_++, [&](const graph::Slots& slots) {
                for (uint32_t i = 0; i < slots.count(); i++)
                    add(slots[i]);
            });
        }
        *tid = tids_.back();
        tids_.pop_back();
        return true;
    }

  private:
    void add(const graph::Slot& slot)
    {
        const graph::SlotHeader& h = slot.header();
        if (h.state == graph::SlotState::live && h.level == 0 &&
            (!filter_ || filter_->admits(graph::filter_in(slot))))
            tids_.insert(tids_.end(), slot.tids(), slot.tids() + slot.tid_count());
    }

    const codec::FilterSet* filter_ = nullptr;
    uint32_t page_ = 0;
    Vec<graph::Tid> tids_;   // of the last page
};

struct ScanState {
    MemoryContext context;
    MetaData meta;
    IndexEncoding encoding;
    am::VectorReader reader;
    Filter filter;
    codec::FilterSet wanted;   // the codes that the conditions on filter columns admit
    SlotStore store;
    graph::Scan<SlotStore> scan;
    am::HeapRows rows;
    bool started = false;
    bool filtered = false;     // has conditions on filter columns, which the executor checks
    bool null_query = false;   // then by_page has the rows
    RowsByPage by_page;
    double threshold = INFINITY;   // rows beyond this distance are not wanted
    size_t beyond = 0;             // rows that were beyond it, one after the other
    size_t most_beyond = 0;        // after more of them the scan ends
    bool ended = false;

    ScanState(Relation index, const MetaData& m, MemoryContext c)
        : context(c), meta(m), encoding(index, m),
          reader(am::opclass_of(index), encoding.codec(), m.rotation_seed), filter(index, m),
          store(index, meta, encoding), scan(store)
    {
    }
    uint64 build_id() const { return meta.build_id; }
    void end() { rows.end(); }

    // Will no further row be within the threshold? (Rows beyond it are dropped by the executor.)
    bool is_beyond_threshold(double distance)
    {
        beyond = distance > threshold ? beyond + 1 : 0;
        return beyond > most_beyond;
    }
};

constinit am::KeptStates<ScanState> kept_states;

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
    // All rows are equally near to a query without a direction: NULL, or the zero vector under
    // cosine distance.
    s.null_query = (scan->orderByData->sk_flags & SK_ISNULL) ||
                   !s.reader.read_query(scan->orderByData->sk_argument, &x);
    s.store.refresh(scan->indexRelation);
    const double memory = settings.scan_mem_multiplier * work_mem * 1024.0;
    auto iterate = static_cast<graph::Iterate>(settings.iterative_scan);
    if (iterate == graph::Iterate::strict && am::is_unordered(scan))
        iterate = graph::Iterate::relaxed;
    const graph::ScanLimits limits{static_cast<size_t>(settings.ef_search), iterate,
                                   static_cast<size_t>(settings.max_scan_tuples),
                                   static_cast<size_t>(memory)};
    s.filtered = am::has_filters(scan);
    const codec::FilterSet* const filter =
        s.filtered && s.filter.read_conditions(scan, &s.wanted) ? &s.wanted : nullptr;
    s.rows.start(scan);
    if (s.null_query)
        s.by_page.start(s.store, filter);
    else
        s.scan.start(x, limits, &s.rows, filter);
    s.started = true;
    s.ended = !am::read_threshold(scan, &s.threshold) || (filter && filter->empty());
    s.beyond = 0;
    // In relaxed order, nearer rows may follow a row that is too far: as many as a batch has.
    s.most_beyond = limits.iterate == graph::Iterate::relaxed ? limits.beam() : 0;
    last_scan.rows = 0;
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
    ScanState* state = kept_states.take(am::read_build_id(index));
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
    double distance = 0;
    if (!s.ended && s.null_query) {
        s.ended = !s.by_page.next(s.store, &tid);
        if (!s.ended)
            s.rows.check_tid(tid);
    } else if (!s.ended)
        s.ended = !s.scan.next(&tid, &distance, [&](graph::Tid t) { s.rows.coming(t, s.scan); }) ||
                  s.is_beyond_threshold(distance);
    s.rows.pause();
    MemoryContextSwitchTo(old);
    last_scan.counters = s.null_query ? graph::Counters{} : s.scan.counters();
    if (s.ended)
        return false;
    last_scan.rows++;
    s.rows.give(tid);
    // Rows come in exact order. The executor could reorder them instead, but before the releases of
    // late 2026 it loses the ctid of the rows that it reorders (so FOR UPDATE fails).
    scan->xs_recheck = s.filtered;
    scan->xs_recheckorderby = false;
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

}   // namespace quiver::hnsw
