// SQL functions that show an index: its meta page, statistics, the last scan.
#include "pg/pg.hpp"

#include "am/owner.hpp"
#include "ivfflat/handler.hpp"
#include "ivfflat/list_store.hpp"
#include "ivfflat/scan.hpp"
#include "pg/result_row.hpp"

extern "C" {
#include "access/genam.h"
}

namespace quiver::ivfflat {

namespace {

// What the pages of an index are used for.
struct Counts {
    int64 list_pages = 0, code_pages = 0, root_pages = 0, free_pages = 0;
    int64 rows = 0, free_places = 0;
    int64 lists = 0, least = 0,
          most = 0;   // lists, and the rows of the shortest and of the longest one

    void add_list(int64 count)
    {
        least = lists == 0 ? count : std::min(least, count);
        most = std::max(most, count);
        rows += count;
        lists++;
    }
};

Counts count_pages(Relation index, const MetaData& meta, IndexEncoding& encoding)
{
    Counts c;
    ListStore store(index, meta, encoding);
    lists::Query query(encoding);
    lists::NearestLists<ListStore> nearest(store, query);
    Vec<BlockNumber> heads = nearest.heads(),
                     root,   // sorted: list pages of the root
        owners;              // list pages of code pages
    struct ListRows {
        lists::Block list;
        int64 rows, free;   // on a page of it
    };
    Vec<ListRows> rows;
    const BlockNumber blocks = RelationGetNumberOfBlocks(index);
    const BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
    pg::ReadAhead ahead(index, am::meta_block + 1, blocks, strategy);
    for (BlockNumber block = am::meta_block + 1; block < blocks; block++) {
        CHECK_FOR_INTERRUPTS();
        const Buffer buffer = ahead.next(block);
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        const Page page = BufferGetPage(buffer);
        if (ListStore::is_free(page))
            c.free_pages++;
        else if (page::is_of(page, page::Kind::codes))
            owners.push_back(page::tail_of(page)->next);
        else if (page::is_of(page, page::Kind::list)) {
            const lists::ListHeader& h =
                lists::ListPage(encoding.layout(), page::contents_of(page)).header();
            if (h.list == lists::root_list) {
                root.push_back(block);
                c.root_pages++;
            } else {
                c.list_pages++;
                rows.push_back({h.list, h.taken, int64{encoding.layout().entries} - h.taken});
            }
        }
        UnlockReleaseBuffer(buffer);
    }
    ahead.end();
    FreeAccessStrategy(strategy);
    for (const BlockNumber owner : owners)
        (std::binary_search(root.begin(), root.end(), owner) ? c.root_pages : c.code_pages)++;
    // (Retired lists have copies of rows.)
    std::sort(heads.begin(), heads.end());
    std::sort(rows.begin(), rows.end(),
              [](const ListRows& x, const ListRows& y) { return x.list < y.list; });
    auto at = rows.begin();
    for (const BlockNumber head : heads) {
        int64 count = 0;
        for (; at != rows.end() && at->list <= head; ++at)
            if (at->list == head) {
                count += at->rows;
                c.free_places += at->free;
            }
        c.add_list(count);
    }
    return c;
}

}   // namespace
}   // namespace quiver::ivfflat

using namespace quiver;
using namespace quiver::ivfflat;

QUIVER_FUNCTION(ivfflat_meta)
{
    const Relation index = am::open_index(PG_GETARG_OID(0), access_method, AccessShareLock);
    const MetaData meta = read_meta(index);
    index_close(index, AccessShareLock);
    const lists::Layout layout = lists::Encoding(meta.encoding(), page::usable_bytes).layout();
    pg::ResultRow row;
    row.int4(meta.version);
    row.text(codec::traits_of(meta.metric).name);
    row.int4(meta.dims);
    row.int4(meta.lists);
    row.datum(BoolGetDatum(meta.chosen_lists));
    row.int4(static_cast<int64>(std::min<size_t>(meta.lists, meta.lists_of(1))));
    meta.form != codec::Form::dense ? row.null() : row.int4(meta.bits);
    row.int4(layout.words * 64);
    row.int4(layout.entries);
    row.float8(static_cast<double>((1 + layout.code_pages) * BLCKSZ) / layout.entries);
    return row.tuple(fcinfo);
}

// How many lists an index of this form chooses for so many rows.
QUIVER_FUNCTION(ivfflat_lists_for)
{
    const Relation index = am::open_index(PG_GETARG_OID(0), access_method, AccessShareLock);
    const MetaData meta = read_meta(index);
    index_close(index, AccessShareLock);
    const lists::Encoding encoding(meta.encoding(), page::usable_bytes);
    PG_RETURN_INT32(static_cast<int32>(lists_for(PG_GETARG_FLOAT8(1), encoding.layout())));
}

QUIVER_FUNCTION(ivfflat_stats)
{
    const Relation index = am::open_index(PG_GETARG_OID(0), access_method, AccessShareLock);
    const MetaData meta = read_meta(index);
    IndexEncoding encoding(index, meta);
    const Counts c = count_pages(index, meta, encoding);
    const int64 pages = RelationGetNumberOfBlocks(index);
    index_close(index, AccessShareLock);
    const auto rows = static_cast<double>(c.rows),
               places = rows + static_cast<double>(c.free_places);
    pg::ResultRow row;
    row.int8(pages);
    row.int8(c.list_pages);
    row.int8(c.code_pages);
    row.int8(c.root_pages);
    row.int8(c.free_pages);
    row.int8(c.rows);
    row.int4(c.lists);
    row.int8(c.least);
    c.lists == 0 ? row.null() : row.float8(rows / static_cast<double>(c.lists));
    row.int8(c.most);
    row.int8(c.free_places);
    row.float8(places > 0 ? rows / places : 0);
    c.rows == 0 ? row.null() : row.float8(static_cast<double>(pages) * BLCKSZ / rows);
    return row.tuple(fcinfo);
}

QUIVER_FUNCTION(ivfflat_last_scan)
{
    pg::ResultRow row;
    row.int8(static_cast<int64>(last_scan.search.lists));
    row.int8(static_cast<int64>(last_scan.search.estimated));
    row.int8(static_cast<int64>(last_scan.search.visited));
    row.int8(static_cast<int64>(last_scan.rows));
    return row.tuple(fcinfo);
}
