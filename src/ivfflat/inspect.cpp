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
    Vec<int64> rows_of;   // each list

    int64 least() const { return *std::min_element(rows_of.begin(), rows_of.end()); }
    int64 most() const { return *std::max_element(rows_of.begin(), rows_of.end()); }
};

Counts count_pages(Relation index, const MetaData& meta, const lists::Encoding& encoding)
{
    Counts c;
    c.rows_of.resize(meta.lists);
    Vec<BlockNumber> root;   // sorted: list pages of the root
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
            (std::binary_search(root.begin(), root.end(), page::tail_of(page)->next)
                 ? c.root_pages
                 : c.code_pages)++;
        else if (page::is_of(page, page::Kind::list)) {
            const lists::ListHeader& h =
                lists::ListPage(encoding.layout(), page::contents_of(page)).header();
            if (h.list == lists::root_list) {
                root.push_back(block);
                c.root_pages++;
            } else {
                c.list_pages++;
                c.rows += h.taken;
                c.free_places += int64{encoding.layout().entries} - h.taken;
                if (h.list < c.rows_of.size())
                    c.rows_of[h.list] += h.taken;
            }
        }
        UnlockReleaseBuffer(buffer);
    }
    ahead.end();
    FreeAccessStrategy(strategy);
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
    row.int4(static_cast<int64>(meta.lists_of(1)));
    meta.form != codec::Form::dense ? row.null() : row.int4(meta.bits);
    row.int4(layout.words * 64);
    row.int4(layout.entries);
    row.float8(static_cast<double>((1 + layout.code_pages) * BLCKSZ) / layout.entries);
    return row.tuple(fcinfo);
}

QUIVER_FUNCTION(ivfflat_stats)
{
    const Relation index = am::open_index(PG_GETARG_OID(0), access_method, AccessShareLock);
    const MetaData meta = read_meta(index);
    const lists::Encoding encoding(meta.encoding(), page::usable_bytes);
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
    row.int4(meta.lists);
    row.int8(c.least());
    row.float8(rows / meta.lists);
    row.int8(c.most());
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
