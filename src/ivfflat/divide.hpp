// VACUUM divides the rows of an index into new lists when the table has grown. So an index that was built on an empty table
// gets its lists as rows come, and the lists of one that was built on a small table do not become long. What else the build
// has learnt stays: the parameters of the codec, and the filter codes.
//
// This happens while rows are added and searches read the lists:
//
// 1. The rows, or a sample of them, are divided into clusters, as for a build. Each cluster gets a new list, which the
//    root does not name yet.
// 2. All rows are copied to the new lists, page by page. A page that has been copied is closed, so that no rows are added
//    to it. The last page of a list stays open; VACUUM remembers which of its places it has copied. This is repeated for
//    the rows that come meanwhile, until they are few.
// 3. A page of the new root is written for each page full of centroids.
// 4. VACUUM takes the page lock of the meta page (LockPage), a heavyweight lock for which inserts may have to wait. It closes
//    the last page of each list, and then copies the last rows. Then one record clears the taken bits of the root's first
//    page, links the new pages behind it, notes the next transaction id in it (the *stamp*), and updates the meta page and
//    the centre of the root.
// 5. The old lists are *retired*. The root still has pointers to them, so that VACUUM can tell their pages from others, and
//    remove dead rows from them. Searches that have read the root before continue to read them. When no snapshot and no
//    transaction is older than the stamp, a later VACUUM clears these pointers in one record, and makes the pages free.
//
// An insert that finds the last page of a list closed takes the page lock in share mode, so it waits for the end of step 4. (It
// asks again and again: an insert that waited for the lock would make PostgreSQL cancel autovacuum after deadlock_timeout.)
// Then it reads the root again. If VACUUM has failed in step 4, the root is unchanged, and the insert opens the page.
//
// A search reads the pages of the root one after the other. If the root's count of changes is another one afterwards, the
// search reads the root again (lists::NearestLists). On a standby, replay does not wait for searches. A search there checks
// whether its lists have become free, and fails then, as in other conflicts with recovery.
//
// Only one process at a time divides rows or removes pages, because VACUUM takes a lock of the table that conflicts with
// itself. If it is interrupted before the end of step 4, the root does not lead to the pages that it has written. The root
// has a flag that there may be such pages (*leftovers*): the next VACUUM makes them free, and opens the closed pages. The flag
// is also set while VACUUM makes the pages of retired lists free.
//
// Locks are taken in this order: the page lock, a list page, a code page of it. A page of an old list and one of a new list are
// never locked together. The record of step 4 locks the meta page, the pages of the centre, and then the first page of the root.
#pragma once

#include "ivfflat/list_store.hpp"

namespace quiver::ivfflat {

// A list to which the root leads.
struct RootEntry {
    lists::Block head;   // first page of the list
    bool retired;
};
// All lists. Only VACUUM may call this: in other processes, the root could change while they read it.
Vec<RootEntry> read_root(ListStore& store);
// The pages of the root, including those of the retired one, sorted.
Vec<lists::Block> root_pages(ListStore& store);

// May there be *leftovers*: pages in use to which the root does not lead? The next VACUUM makes them free.
bool has_leftovers(ListStore& store);
void set_leftovers(ListStore& store, bool value);
// Are there retired lists that no search reads any more?
bool has_forgettable_lists(ListStore& store);
// If so, clears the root's pointers to them. Their pages are leftovers after this.
void forget_retired_lists(ListStore& store);

// Divides the rows again if there are too few lists for them. There must be no leftovers. table_rows: about how many rows
// the table has, or more.
void divide_again(Relation index, const MetaData& meta, const IndexEncoding& encoding,
                  ListStore& store, double table_rows);

// Waits until no process is in step 4 of a division. None enters it before end_wait(). (An error ends the wait, too: the abort
// of the transaction or subtransaction releases the lock.)
void wait_for_division(Relation index);
void end_wait(Relation index);

}   // namespace quiver::ivfflat
