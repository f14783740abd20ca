// The form of a page: a header, records of a fixed size one after the other (or the bytes of a
// chain), and a tail that tells the kind of the page.
#pragma once

#include "pg/pg.hpp"

namespace quiver::page {

enum class Kind : uint16 {
    meta = 1,
    records = 2,
    chain = 3,   // part of a value that is longer than a page (chain.hpp)
    list = 4,    // an inverted list: sketches of rows (lists/layout.hpp)
    codes = 5,   // the codes of the rows on a list page, which is the tail's `next`
    free = 6,    // was a page of a list; may become one again
    head = 7,    // what an index keeps about the records of the pages that follow (page_store.hpp)
};

// The end of every page. The id lets tools such as pg_filedump recognize the page.
struct Tail {
    BlockNumber next;   // chain: the next page, or InvalidBlockNumber
    Kind kind;
    uint16 id;
};
static_assert(sizeof(Tail) == 8);
constexpr uint16 tail_id = 0x9D51;

constexpr uint32 usable_bytes = BLCKSZ - MAXALIGN(SizeOfPageHeaderData) - MAXALIGN(sizeof(Tail));

inline Tail* tail_of(Page page) { return reinterpret_cast<Tail*>(PageGetSpecialPointer(page)); }
inline char* contents_of(Page page) { return static_cast<char*>(PageGetContents(page)); }

inline void init(Page page, Kind kind)
{
    PageInit(page, BLCKSZ, sizeof(Tail));
    *tail_of(page) = {InvalidBlockNumber, kind, tail_id};
}
// Bytes after the used ones are neither logged nor kept.
inline void set_used(Page page, Size bytes)
{
    reinterpret_cast<PageHeader>(page)->pd_lower =
        static_cast<LocationIndex>(contents_of(page) + bytes - static_cast<char*>(page));
}
inline Size used_bytes(Page page)
{
    return reinterpret_cast<PageHeader>(page)->pd_lower - MAXALIGN(SizeOfPageHeaderData);
}

inline bool has_tail(Page page)
{
    return reinterpret_cast<PageHeader>(page)->pd_special == BLCKSZ - MAXALIGN(sizeof(Tail));
}
inline bool is_of(Page page, Kind kind)
{
    return has_tail(page) && tail_of(page)->id == tail_id && tail_of(page)->kind == kind;
}
// Raises an error unless this is a page of a quiver index, of this kind.
void check(Relation rel, BlockNumber block, Page page, Kind kind);

}   // namespace quiver::page
