// The rows of the table that an index scan needs. The scan reads them to put them in exact order,
// and then the executor reads them.
//
// Reading a row costs four cache misses, one after the other: the buffer manager's hash table, the
// page's header, the line pointer, the row. The last three are prefetched, for many rows at once.
// The first is avoided: this class pins the page in the buffer where it was last found
// (page/buffer_hints.hpp), and hands it to the table's access method, which does not look up a page
// that it holds already.
#pragma once

#include <optional>

#include "am/rows.hpp"
#include "core/prefetch.hpp"
#include "graph/scan.hpp"
#include "page/buffer_hints.hpp"

namespace quiver::am {

class HeapRows : public graph::Rows {
  public:
    HeapRows() = default;
    HeapRows(const HeapRows&) = delete;

    // Begins a scan, or restarts it.
    void start(IndexScanDesc scan);

    // An error for a TID that no row can have: the index is damaged.
    void check_tid(graph::Tid tid);
    // To be called for each row that the index returns. scan.coming() tells which rows are likely to follow.
    template <class Scan>
    void coming(graph::Tid tid, const Scan& scan)
    {
        check_tid(tid);
        if (left_ > 0)
            left_--;
        else if (hints_ && scan_->xs_heapfetch) {   // else nobody reads the rows
            prefetch_rows(tid, scan);
            left_ = at_once - 1;
        }
    }

    // The exact distance, as the executor would compute it. False if the row is not visible to the
    // scan's snapshot.
    bool distance(graph::Tid tid, double* to) override;

    // Makes the row the scan's current one, which the executor reads next.
    void give(graph::Tid tid)
    {
        scan_->xs_heaptid = from_tid(tid);
        if (scan_->xs_heapfetch)
            pin(scan_->xs_heapfetch, &scan_->xs_heaptid);
    }

    // Releases the row that was read last, and its page, which the heap keeps pinned in PostgreSQL
    // 19 and later.
    void pause();
    // Ends the scan. Another scan of the same index can use this object then.
    void end();

  private:
    static constexpr size_t at_once = 12;   // LIMIT 10 reads 11 or 12 rows to put 10 in order

    void begin_fetch();
    // The indexed value of the row in slot_, in the current memory context.
    Datum indexed_value(bool* null);

    // Prefetches a row and those that are likely to follow.
    template <class Scan>
    void prefetch_rows(graph::Tid tid, const Scan& scan)
    {
        size_t count = 0;
        const char* line[at_once];
        const char* page[at_once];
        const auto look = [&](graph::Tid t) {
            ItemPointerData at = from_tid(t);
            const char* p = hints_->page(ItemPointerGetBlockNumberNoCheck(&at));
            const Size place =
                SizeOfPageHeaderData +
                sizeof(ItemIdData) * (ItemPointerGetOffsetNumberNoCheck(&at) - Size{1});
            if (!p || place > BLCKSZ - sizeof(ItemIdData))
                return;
            page[count] = p;
            line[count++] = p + place;
            hints_->prefetch(ItemPointerGetBlockNumberNoCheck(&at));
            quiver::prefetch(p, 1);
            quiver::prefetch(p + place, 1);
        };
        look(tid);
        scan.coming(at_once - 1, look);
        // Nothing is pinned or locked, so the line pointers may be wrong. They are used only for
        // prefetching within the page.
        for (size_t i = 0; i < count; i++) {
            ItemIdData id;
            std::memcpy(&id, line[i], sizeof id);
            const Size bytes = std::min<Size>(id.lp_len, 2048);
            if (id.lp_off + bytes <= BLCKSZ)
                quiver::prefetch(page[i] + id.lp_off, bytes);
        }
    }

    // Pins the row's page for the table's access method, which would do it otherwise.
    void pin(IndexFetchTableData* fetch, ItemPointer row)
    {
        if (!hints_)   // not a heap, or a temporary one
            return;
        const BlockNumber block = ItemPointerGetBlockNumberNoCheck(row);
        pg::hold_heap_block(fetch, block, [&] { return hints_->read(scan_->heapRelation, block); });
    }

    IndexScanDesc scan_ = nullptr;
    BlockNumber heap_blocks_ = 0;   // a lower bound of the table's size
    std::optional<page::BufferHints> hints_;
    size_t left_ = 0;   // rows until the next prefetch
    IndexFetchTableData* fetch_ = nullptr;
    TupleTableSlot* slot_ = nullptr;
    bool reading_ = false;   // a row, since pause()
    // Only for an index on an expression: that of the vector, and what computes it.
    ExprState* expression_ = nullptr;
    EState* executor_ = nullptr;
    MemoryContext row_context_ = nullptr;
};

}   // namespace quiver::am
