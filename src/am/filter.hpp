// The filter columns of an index: the codes of its rows, and what a scan wants.
#pragma once

#include "am/filter_columns.hpp"
#include "core/memory.hpp"

namespace quiver::am {

// Where an index has what a build has learnt of its filter columns: a chain of pages.
struct FilterPlace {
    uint32 columns;
    BlockNumber block;
    uint32 bytes;
};

class Filter {
  public:
    // For an index that is being built. learnt: what FilterTraining has made; empty without filter columns.
    Filter(Relation index, std::span<const uint8_t> learnt)
    {
        if (learnt.empty())
            return;
        columns_.emplace(index);
        codec_.emplace(columns_->columns(), learnt);
    }
    Filter(Relation index, FilterPlace place);

    // The code of a row of the index; 0 without filter columns.
    codec::FilterCode code(const Datum* values, const bool* isnull)
    {
        return codec_ ? codec_->encode(columns_->read(values, isnull)) : codec::FilterCode{0};
    }
    // Makes the set of codes that may fulfil the scan's conditions on filter columns. False: codes tell
    // nothing about them.
    bool read_conditions(IndexScanDesc scan, codec::FilterSet* to);

  private:
    std::optional<FilterColumns> columns_;
    std::optional<codec::FilterCodec> codec_;
};

// Learns from rows in all parts of the table how filter codes are made, for `columns` filter columns. In the
// current memory context. heap: null, if there are no rows.
std::span<const uint8_t> learn_filter(Relation heap, Relation index, IndexInfo* info,
                                      uint32 columns, uint64 seed);

}   // namespace quiver::am
