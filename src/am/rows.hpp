// Rows of the table: conversion of their TIDs, and the rows that an index should hold.
#pragma once

#include "graph/layout.hpp"
#include "pg/entry.hpp"

extern "C" {
#include "access/tableam.h"
#include "catalog/index.h"
}

namespace quiver::am {

inline graph::Tid to_tid(ItemPointer p)
{
    return {p->ip_blkid.bi_hi, p->ip_blkid.bi_lo, p->ip_posid};
}
inline ItemPointerData from_tid(graph::Tid t)
{
    ItemPointerData p;
    p.ip_blkid.bi_hi = t.block_high;
    p.ip_blkid.bi_lo = t.block_low;
    p.ip_posid = t.offset;
    return p;
}

// Calls f(tid, values, isnull) for each row that is visible to the snapshot and that the index should hold.
// The index holds no rows that its predicate excludes, and none whose vector is NULL.
template <class F>
void for_each_indexed_row(Relation heap, Relation index, Snapshot snapshot, F&& f)
{
    IndexInfo* info = BuildIndexInfo(index);
    info->ii_Concurrent = true;   // the scan uses our snapshot
    const TableScanDesc scan = table_beginscan_strat(heap, snapshot, 0, nullptr, true, true);
    const auto row = [](Relation, ItemPointer tid, Datum* values, bool* isnull, bool, void* arg) {
        pg::guarded([&] {
            if (!isnull[0])
                (*static_cast<std::remove_reference_t<F>*>(arg))(tid, values, isnull);
        });
    };
    table_index_build_scan(heap, index, info, true, false, row, &f, scan);
}

// Calls f(values, isnull) for each row of some blocks that an index which is being built should hold. f runs in the
// memory context of the row.
template <class F>
void for_each_row_to_index(Relation heap, Relation index, IndexInfo* info, BlockNumber first,
                           BlockNumber count, F&& f)
{
    const auto row = [](Relation, ItemPointer, Datum* values, bool* isnull, bool, void* arg) {
        pg::guarded([&] {
            CHECK_FOR_INTERRUPTS();
            (*static_cast<std::remove_reference_t<F>*>(arg))(values, isnull);
        });
    };
    table_index_build_range_scan(heap, index, info, false, false, false, first, count, row,
                                 const_cast<void*>(static_cast<const void*>(&f)), nullptr);
}
// The same for single blocks, at most `blocks`, evenly spread over the table.
template <class F>
void for_each_sampled_row(Relation heap, Relation index, IndexInfo* info, BlockNumber blocks, F&& f)
{
    const BlockNumber all = RelationGetNumberOfBlocks(heap), parts = std::min(all, blocks);
    for (BlockNumber i = 0; i < parts; i++)
        for_each_row_to_index(heap, index, info, static_cast<BlockNumber>(uint64{all} * i / parts),
                              1, f);
}

}   // namespace quiver::am
