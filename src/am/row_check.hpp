// The rows that an index has, beside those of its table: for the functions that verify indexes.
#pragma once

#include <algorithm>

#include "am/filter.hpp"
#include "am/rows.hpp"
#include "am/vector_reader.hpp"

extern "C" {
#include "catalog/pg_am.h"
#include "utils/snapmgr.h"
}

namespace quiver::am {

// Place tells where the index has a row.
template <class Place>
class RowCheck {
  public:
    void add(graph::Tid tid, Place place) { rows_.push_back({number(tid), place, false}); }

    // Calls report(place, problem) for each row that the index has twice. To be called when all rows were added,
    // and before compare().
    template <class Report>
    void find_duplicates(Report&& report)
    {
        std::sort(rows_.begin(), rows_.end(),
                  [](const Row& x, const Row& y) { return x.tid < y.tid; });
        for (size_t i = 1; i < rows_.size(); i++)
            if (rows_[i].tid == rows_[i - 1].tid)
                report(&rows_[i].place, psprintf("row (%u,%u) is in the index twice",
                                                 block_of(rows_[i]), offset_of(rows_[i])));
    }
    // Calls report(place, problem), where the place may be null, for each row that is visible to a new snapshot, but
    // that the index lacks or has with another vector or filter code; and for each row of the index that the table
    // does not have, not even as a dead one. holds(place, x, &filter): can this be the row of this vector? If so, it
    // sets the filter code. what: the name of a place.
    template <class Holds, class Report>
    void compare(Relation heap, Relation index, VectorReader& reader, Filter& filter,
                 const char* what, Holds&& holds, Report&& report)
    {
        const Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
        for_each_indexed_row(heap, index, snapshot,
                             [&](ItemPointer tid, const Datum* values, const bool* isnull) {
                                 graph::Value x;
                                 const bool indexed = reader.read_query(values[0], &x);
                                 const codec::FilterCode code = filter.code(values, isnull);
                                 look_for(tid, indexed ? &x : nullptr, code, what, holds, report);
                             });
        UnregisterSnapshot(snapshot);
        if (heap->rd_rel->relam == HEAP_TABLE_AM_OID)
            look_into(heap, report);
    }

  private:
    struct Row {
        uint64 tid;   // block and offset
        Place place;
        bool seen;
    };
    static uint64 number(graph::Tid t)
    {
        return uint64{t.block_high} << 32 | uint64{t.block_low} << 16 | t.offset;
    }
    static BlockNumber block_of(const Row& r) { return static_cast<BlockNumber>(r.tid >> 16); }
    static OffsetNumber offset_of(const Row& r) { return static_cast<OffsetNumber>(r.tid); }

    // x: null if the index should not have the row.
    template <class Holds, class Report>
    void look_for(ItemPointer tid, const graph::Value* x, codec::FilterCode filter,
                  const char* what, Holds&& holds, Report&& report)
    {
        const BlockNumber block = ItemPointerGetBlockNumber(tid);
        const OffsetNumber offset = ItemPointerGetOffsetNumber(tid);
        const uint64 wanted = number(to_tid(tid));
        auto row = std::lower_bound(rows_.begin(), rows_.end(), wanted,
                                    [](const Row& r, uint64 t) { return r.tid < t; });
        if (x && (row == rows_.end() || row->tid != wanted))
            report(nullptr, psprintf("row (%u,%u) is not in the index", block, offset));
        for (; row != rows_.end() && row->tid == wanted; row++) {
            row->seen = true;
            codec::FilterCode own{};
            if (!x || !holds(row->place, *x, &own))
                report(&row->place, psprintf("%s does not match the vector of row (%u,%u)", what,
                                             block, offset));
            else if (own != filter)
                report(&row->place, psprintf("%s does not match the filter columns of row (%u,%u)",
                                             what, block, offset));
        }
    }
    template <class Report>
    void look_into(Relation heap, Report&& report)
    {
        const BlockNumber blocks = RelationGetNumberOfBlocks(heap);
        for (const Row& r : rows_) {
            if (r.seen)
                continue;
            CHECK_FOR_INTERRUPTS();
            bool there = false;
            if (block_of(r) < blocks) {
                const Buffer buffer = ReadBuffer(heap, block_of(r));
                LockBuffer(buffer, BUFFER_LOCK_SHARE);
                const Page page = BufferGetPage(buffer);
                there = !PageIsNew(page) && offset_of(r) >= FirstOffsetNumber &&
                        offset_of(r) <= PageGetMaxOffsetNumber(page) &&
                        ItemIdIsUsed(PageGetItemId(page, offset_of(r)));
                UnlockReleaseBuffer(buffer);
            }
            if (!there)
                report(&r.place,
                       psprintf("row (%u,%u) is not in the table", block_of(r), offset_of(r)));
        }
    }

    Vec<Row> rows_;
};

}   // namespace quiver::am
