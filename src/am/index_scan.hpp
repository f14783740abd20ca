// What the scans of all access methods have in common: they return rows in the order of the exact distances
// from a query, and end at a threshold. A Search, which is the access method's, finds the rows.
#pragma once

#include "am/filter.hpp"
#include "am/heap_rows.hpp"
#include "am/kept_states.hpp"
#include "am/meta_page.hpp"
#include "am/thresholds.hpp"
#include "am/vector_reader.hpp"

extern "C" {
#include "pgstat.h"
}

namespace quiver::am {

// The search of an index, with all memory that it needs. It is made in `context`, which it keeps.
template <class S>
concept IndexSearch = requires(S& s, Relation index, graph::Tid tid, double distance,
                               const graph::Value& x, const codec::FilterSet* filter,
                               Explanation& explanation)
{
    {
        S::method
        } -> std::convertible_to<const AccessMethod&>;
    {
        s.context
        } -> std::convertible_to<MemoryContext>;
    {
        s.build_id()
        } -> std::convertible_to<uint64>;
    {
        s.reader
        } -> std::convertible_to<VectorReader&>;
    {
        s.filter
        } -> std::convertible_to<Filter&>;
    {
        s.rows
        } -> std::convertible_to<HeapRows&>;
    // To be called when the index may have grown, or its relcache entry may have changed.
    {s.refresh(index)};
    // Starts a search for a vector. filter: if not null, only rows with codes that it admits are found.
    // in_order: the caller needs rows in order. Returns how many nearer rows may follow a row.
    {
        s.start(x, filter, true)
        } -> std::convertible_to<size_t>;
    {
        s.next(&tid, &distance)
        } -> std::convertible_to<bool>;
    // Starts a scan of all rows, in any order.
    {s.start_all(filter)};
    {
        s.next_of_all(&tid)
        } -> std::convertible_to<bool>;
    // What scans do is counted: begin_count() begins, and counters(searched) tells what has been done since (searched:
    // by a search, not by a scan of all rows). Its member `rows` is set by the caller.
    {
        typename S::Counters{}.rows
        } -> std::convertible_to<uint64>;
    {s.begin_count()};
    {
        s.counters(true)
        } -> std::convertible_to<typename S::Counters>;
    // Notes what a scan has done until now, and shows what several have done.
    {S::note(s.counters(true))};
    {S::explain(s.counters(true), explanation)};
};

template <IndexSearch Search>
struct ScanState : Search {
    using Search::Search;

    bool started = false;
    codec::FilterSet wanted;       // the codes that the conditions on filter columns admit
    bool filtered = false;         // has conditions on filter columns, which the executor checks
    bool null_query = false;       // all rows are equally near
    double threshold = INFINITY;   // rows beyond this distance are not wanted
    size_t beyond = 0;             // rows that were beyond it, one after the other
    size_t most_beyond = 0;        // after more of them the scan ends
    bool ended = false;
    typename Search::Counters past{}, now{};   // of earlier rescans, and since the last one

    void end() { this->rows.end(); }

    // Will no further row be within the threshold? (Rows beyond it are dropped by the executor.)
    bool is_beyond_threshold(double distance)
    {
        beyond = distance > threshold ? beyond + 1 : 0;
        return beyond > most_beyond;
    }

    void begin(IndexScanDesc scan)
    {
        const char* name = Search::method.name;
        if (scan->orderByData == nullptr || scan->numberOfOrderBys < 1)
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("cannot scan %s index without order", name)));
        if (!IsMVCCSnapshot(scan->xs_snapshot))
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("non-MVCC snapshots are not supported with %s", name)));
        pgstat_count_index_scan(scan->indexRelation);
        pg::count_index_search(scan);

        past += std::exchange(now, {});
        this->begin_count();
        graph::Value x;
        // All rows are equally near to a query without a direction: NULL, or the zero vector under
        // cosine distance.
        null_query = (scan->orderByData->sk_flags & SK_ISNULL) ||
                     !this->reader.read_query(scan->orderByData->sk_argument, &x);
        this->refresh(scan->indexRelation);
        filtered = has_filters(scan);
        const codec::FilterSet* const filter =
            filtered && this->filter.read_conditions(scan, &wanted) ? &wanted : nullptr;
        this->rows.start(scan);
        most_beyond = 0;
        if (null_query)
            this->start_all(filter);
        else
            most_beyond = this->start(x, filter, !is_unordered(scan));
        started = true;
        ended = !read_threshold(scan, &threshold) || (filter && filter->empty());
        beyond = 0;
    }
    void count()
    {
        const uint64 rows = now.rows;
        now = this->counters(!null_query);
        now.rows = rows;
        Search::note(now);
    }
    // The next row, and its distance. False: there is none.
    bool step(graph::Tid* tid, double* distance)
    {
        if (ended)
            return false;
        if (null_query) {
            ended = !this->next_of_all(tid);
            if (!ended)
                this->rows.check_tid(*tid);
        } else
            ended = !this->next(tid, distance) || is_beyond_threshold(*distance);
        if (!ended)
            now.rows++;
        return !ended;
    }
};

template <IndexSearch Search>
inline constinit KeptStates<ScanState<Search>> kept_scans;

// The callbacks of IndexAmRoutine.

template <IndexSearch Search>
IndexScanDesc begin_scan(Relation index, int keys, int orderbys)
{
    IndexScanDesc scan = RelationGetIndexScan(index, keys, orderbys);
    if (orderbys > 0) {
        scan->xs_orderbyvals = static_cast<Datum*>(palloc0(sizeof(Datum) * orderbys));
        scan->xs_orderbynulls = static_cast<bool*>(palloc(sizeof(bool) * orderbys));
        std::fill_n(scan->xs_orderbynulls, orderbys, true);
    }
    using State = ScanState<Search>;
    State* state = kept_scans<Search>.take(read_build_id(index));
    if (!state) {
        const MemoryContext context = AllocSetContextCreate(
            CurrentMemoryContext, "vector index scan", ALLOCSET_DEFAULT_SIZES);
        const MemoryContext old = MemoryContextSwitchTo(context);
        state = new (palloc(sizeof(State))) State(index, context);
        MemoryContextSwitchTo(old);
    }
    state->started = false;
    state->past = state->now = {};
    scan->opaque = state;
    return scan;
}

template <IndexSearch Search>
void rescan(IndexScanDesc scan, ScanKey keys, int, ScanKey orderbys, int)
{
    static_cast<ScanState<Search>*>(scan->opaque)->started = false;
    if (keys && scan->numberOfKeys > 0)
        std::memmove(scan->keyData, keys, sizeof(ScanKeyData) * scan->numberOfKeys);
    if (orderbys && scan->numberOfOrderBys > 0)
        std::memmove(scan->orderByData, orderbys, sizeof(ScanKeyData) * scan->numberOfOrderBys);
}

template <IndexSearch Search>
bool get_tuple(IndexScanDesc scan, ScanDirection)
{
    auto& s = *static_cast<ScanState<Search>*>(scan->opaque);
    const MemoryContext old = MemoryContextSwitchTo(s.context);
    if (!s.started)
        s.begin(scan);
    graph::Tid tid{};
    double distance = 0;
    const bool found = s.step(&tid, &distance);
    s.rows.pause();
    MemoryContextSwitchTo(old);
    s.count();
    if (!found)
        return false;
    s.rows.give(tid);
    // Rows come in exact order. The executor could reorder them instead, but before the releases of
    // late 2026 it loses the ctid of the rows that it reorders (so FOR UPDATE fails).
    scan->xs_recheck = s.filtered;
    scan->xs_recheckorderby = false;
    scan->xs_orderbynulls[0] = s.null_query;
    scan->xs_orderbyvals[0] = Float8GetDatum(distance);
    return true;
}

// Shows what a scan has done, in all rescans together.
template <IndexSearch Search>
void explain_scan(IndexScanDesc scan, Explanation& to)
{
    const auto& s = *static_cast<const ScanState<Search>*>(scan->opaque);
    typename Search::Counters all = s.past;
    all += s.now;
    Search::explain(all, to);
}

template <IndexSearch Search>
void end_scan(IndexScanDesc scan)
{
    kept_scans<Search>.keep(static_cast<ScanState<Search>*>(scan->opaque));
    scan->opaque = nullptr;
}

}   // namespace quiver::am
