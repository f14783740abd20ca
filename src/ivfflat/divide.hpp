// The rows of an index are divided again when the table has grown, by VACUUM. So an index that was built on an empty
// table gets its lists as rows come, and one that was built on a small table stays as good as a new one.
//
// This happens while rows are added and searches read the lists:
//
// 1. The rows, or a sample of them, are divided into clusters, as for a build. Each cluster gets a new list, which the
//    root does not name yet.
// 2. All rows are copied to the new lists, page by page. A page that has been copied is closed, so that no rows are added
//    to it, unless it is the last one of its list: there, the places that have been copied are remembered. This is
//    repeated for the rows that come meanwhile, until they are few.
// 3. A page of the new root is written for each page full of centroids.
// 4. The page lock of the meta page is taken, the only lock for which an insert may have to wait. The last rows are
//    copied, and all last pages are closed. Then one record makes the new pages follow the first page of the root, whose
//    own places are taken no more, gives the root a stamp, and changes the meta page.
// 5. The old lists are *retired*. The root still leads to them, so that their pages are known. Searches that have read the
//    root before go on to read them. When no snapshot is older than the stamp, a later VACUUM clears the way to them in
//    one record, and makes their pages free.
//
// An insert that finds the last page of a list closed takes the page lock, too, in share mode. So it waits for the end of
// step 4. Then it reads the root again. If the process that had the lock has failed, the root is as before, and the insert
// opens the page.
//
// A search reads the root's pages one after the other. So the root counts its changes: if one happens meanwhile, the
// search reads the root again (lists::NearestLists). On a standby nothing waits for searches. There they notice that
// lists have become free, and fail as in other conflicts with recovery.
//
// Only one process does this or removes pages, because VACUUM locks the table against others of its kind. If it is
// interrupted before the end of step 4, nothing leads to the pages that it has written. The root notes that there are
// such pages, so the next VACUUM makes them free, and opens the closed pages. It notes the same when VACUUM begins to make
// the pages of retired lists free.
//
// Locks are taken in this order: the page lock, a page of an old list, a page of a new list, its code page. While pages of
// the root are locked, no others are, but in step 4 the meta page, before.
#pragma once

#include "ivfflat/list_store.hpp"

namespace quiver::ivfflat {

// A list to which the root leads.
struct RootEntry {
    lists::Block head;   // first page of the list
    lists::Block page;   // where the entry is: a page of the root, and a place
    uint32_t place;
    bool retired;
};
// All of them. Only VACUUM may call this: others would have to see the root as a whole.
Vec<RootEntry> read_root(ListStore& store);
// The pages of the root, also of the retired one, sorted.
Vec<lists::Block> root_pages(ListStore& store);

// Are there perhaps pages to which the root does not lead, which must become free?
bool has_leftovers(ListStore& store);
void set_leftovers(ListStore& store, bool value);
// Are there retired lists that no search reads any more?
bool has_forgettable_lists(ListStore& store);
// If there are, they are leftovers after this.
void forget_retired_lists(ListStore& store);

// Divides the rows again if there are too few lists for them. There must be no leftovers. table_rows: about how many rows
// the table has, or more.
void divide_again(Relation index, const MetaData& meta, const IndexEncoding& encoding,
                  ListStore& store, double table_rows);

// Waits until nobody is in step 4 of a division, and keeps it so until end_wait().
void wait_for_division(Relation index);
void end_wait(Relation index);

}   // namespace quiver::ivfflat
