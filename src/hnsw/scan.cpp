// Index scans. They return rows in the order of their exact distances, which are computed from the
// table's rows, except for rows whose place is certain from their bounds.
#include "pg/pg.hpp"

#include "hnsw/scan.hpp"

#include "am/index_scan.hpp"
#include "graph/scan.hpp"
#include "hnsw/handler.hpp"
#include "hnsw/meta.hpp"
#include "hnsw/settings.hpp"
#include "hnsw/slot_store.hpp"

namespace quiver::hnsw {

constinit ScanCounters last_scan;

ScanCounters& ScanCounters::operator+=(const ScanCounters& other)
{
    search += other.search;
    pages += other.pages;
    rows += other.rows;
    return *this;
}

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

struct Search {
    static constexpr const am::AccessMethod& method = access_method;

    MemoryContext context;
    MetaData meta;
    IndexEncoding encoding;
    am::VectorReader reader;
    am::Filter filter;
    SlotStore store;
    graph::Scan<SlotStore> scan;
    am::HeapRows rows;
    RowsByPage by_page;        // the rows of a scan of all
    uint64 reads_before = 0;   // of the page store, when a scan began

    Search(Relation index, MemoryContext c) : Search(index, read_meta(index), c) {}
    Search(Relation index, const MetaData& m, MemoryContext c)
        : context(c), meta(m), encoding(index, m),
          reader(am::opclass_of(index), encoding.codec(), m.rotation_seed),
          filter(index, m.filter_place()), store(index, meta, encoding), scan(store)
    {
    }
    uint64 build_id() const { return meta.build_id; }
    void refresh(Relation index) { store.refresh(index); }

    size_t start(const graph::Value& x, const codec::FilterSet* wanted, bool in_order)
    {
        const double memory = settings.scan_mem_multiplier * work_mem * 1024.0;
        auto iterate = static_cast<graph::Iterate>(settings.iterative_scan);
        if (iterate == graph::Iterate::strict && !in_order)
            iterate = graph::Iterate::relaxed;
        const graph::ScanLimits limits{static_cast<size_t>(settings.ef_search), iterate,
                                       static_cast<size_t>(settings.max_scan_tuples),
                                       static_cast<size_t>(memory)};
        scan.start(x, limits, &rows, wanted);
        // In relaxed order, nearer rows may follow a row that is too far: as many as a batch has.
        return iterate == graph::Iterate::relaxed ? limits.beam() : 0;
    }
    bool next(graph::Tid* tid, double* distance)
    {
        return scan.next(tid, distance, [&](graph::Tid t) { rows.coming(t, scan); });
    }
    void start_all(const codec::FilterSet* wanted) { by_page.start(store, wanted); }
    bool next_of_all(graph::Tid* tid) { return by_page.next(store, tid); }

    using Counters = ScanCounters;
    void begin_count() { reads_before = store.page_store().reads(); }
    Counters counters(bool searched)
    {
        return {searched ? scan.counters() : graph::Counters{},
                store.page_store().reads() - reads_before, 0};
    }
    static void note(const Counters& scan) { last_scan = scan; }
    static void explain(const Counters& all, am::Explanation& to)
    {
        to.number("Nodes Visited", all.search.visited);
        to.number("Index Pages Read", all.pages);
        if (all.search.rejected > 0)
            to.number("Nodes Rejected by Filter Codes", all.search.rejected);
    }
};

}   // namespace

IndexScanDesc begin_scan(Relation index, int keys, int orderbys)
{
    return am::begin_scan<Search>(index, keys, orderbys);
}
void rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys)
{
    am::rescan<Search>(scan, keys, nkeys, orderbys, norderbys);
}
bool get_tuple(IndexScanDesc scan, ScanDirection direction)
{
    return am::get_tuple<Search>(scan, direction);
}
void end_scan(IndexScanDesc scan) { am::end_scan<Search>(scan); }
void explain_scan(IndexScanDesc scan, am::Explanation& to) { am::explain_scan<Search>(scan, to); }

}   // namespace quiver::hnsw
