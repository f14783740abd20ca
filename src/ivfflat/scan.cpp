// Index scans.
#include "pg/pg.hpp"

#include "ivfflat/scan.hpp"

#include "am/index_scan.hpp"
#include "ivfflat/handler.hpp"
#include "ivfflat/list_store.hpp"
#include "ivfflat/settings.hpp"

namespace quiver::ivfflat {

constinit ScanCounters last_scan;

ScanCounters& ScanCounters::operator+=(const ScanCounters& other)
{
    search.lists += other.search.lists;
    search.estimated += other.search.estimated;
    search.visited += other.search.visited;
    rows += other.rows;
    return *this;
}

size_t lists_at_first(const MetaData& meta)
{
    if (settings.recall <= 0)
        return meta.lists_of(settings.probes);
    const size_t lists = meta.probes.probes_for(settings.recall, meta.lists);
    return lists < meta.lists ? lists : SIZE_MAX;   // VACUUM may have divided lists since
}
size_t lists_at_most(const MetaData& meta)
{
    return std::max(lists_at_first(meta), meta.lists_of(settings.max_probes));
}

namespace {

// Returns all rows, list by list. A row that the scan can see stays at its place.
class AllRows {
  public:
    void start(ListStore& store, lists::NearestLists<ListStore>& lists,
               const codec::FilterSet* filter)
    {
        filter_ = filter;
        tids_.clear();
        heads_ = lists.heads();
        store.release();
    }
    bool next(ListStore& store, lists::NearestLists<ListStore>& lists, graph::Tid* tid)
    {
        while (tids_.empty()) {
            if (heads_.empty())
                return false;
            const lists::Block head = heads_.back();
            heads_.pop_back();
            lists::for_each_list_page(
                head, [&](lists::Block b, auto&& f) { store.read_list(b, f); },
                [&](const lists::ListPage& page) { return page.header().list == head; },
                [&](lists::Block, const lists::ListPage& page) { add(page); },
                [&] { store.poll(); }, [&] { lists.check_that_none_is_lost(); });
            lists.check_that_none_is_lost();
        }
        *tid = tids_.back();
        tids_.pop_back();
        return true;
    }

  private:
    void add(const lists::ListPage& page)
    {
        for (uint32_t i = 0; i < page.used(); i++)
            if (page.is_taken(i) && (!filter_ || filter_->admits(page.filter(i))))
                tids_.push_back(page.tids()[i]);
    }

    const codec::FilterSet* filter_ = nullptr;
    Vec<lists::Block> heads_;   // of lists that are not read yet
    Vec<graph::Tid> tids_;      // of the last list
};

struct Search {
    static constexpr const am::AccessMethod& method = access_method;

    MemoryContext context;
    MetaData meta;
    IndexEncoding encoding;
    am::VectorReader reader;
    am::Filter filter;
    ListStore store;
    lists::Scan<ListStore> scan;
    am::HeapRows rows;
    AllRows all_rows;

    Search(Relation index, MemoryContext c) : Search(index, read_meta(index), c) {}
    Search(Relation index, const MetaData& m, MemoryContext c)
        : context(c), meta(m), encoding(index, m),
          reader(am::opclass_of(index), encoding.codec(), m.rotation_seed),
          filter(index, m.filter_place()), store(index, meta, encoding), scan(store)
    {
    }
    uint64 build_id() const { return meta.build_id; }
    void refresh(Relation index) { store.refresh(index); }

    size_t start(const graph::Value& x, const codec::FilterSet* wanted, bool)
    {
        const lists::SearchLimits limits{lists_at_first(meta), lists_at_most(meta),
                                         settings.iterative_scan != 0};
        scan.start(x, limits, &rows, wanted);
        // Nearer rows may follow as long as there are further lists.
        return limits.iterate ? SIZE_MAX : 0;
    }
    bool next(graph::Tid* tid, double* distance)
    {
        return scan.next(tid, distance, [&](graph::Tid t) { rows.coming(t, scan); });
    }
    void start_all(const codec::FilterSet* wanted) { all_rows.start(store, scan.lists(), wanted); }
    bool next_of_all(graph::Tid* tid) { return all_rows.next(store, scan.lists(), tid); }

    using Counters = ScanCounters;
    void begin_count() {}
    Counters counters(bool searched) const
    {
        return {searched ? scan.counters() : lists::Counters{}, 0};
    }
    static void note(const Counters& scan) { last_scan = scan; }
    static void explain(const Counters& all, am::Explanation& to)
    {
        to.number("Lists Searched", all.search.lists);
        to.number("Rows Estimated", all.search.estimated);
        to.number("Codes Compared", all.search.visited);
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

}   // namespace quiver::ivfflat
