// The filter columns of an index: the codes of its rows, and what a scan wants.
#pragma once

#include <optional>

#include "am/filter_columns.hpp"
#include "hnsw/meta.hpp"

namespace quiver::hnsw {

class Filter {
  public:
    // For an index that is being built. learnt: what FilterTraining has made.
    Filter(Relation index, const MetaData& meta, std::span<const uint8_t> learnt)
    {
        if (meta.filter_columns == 0)
            return;
        columns_.emplace(index);
        codec_.emplace(columns_->columns(), learnt);
    }
    Filter(Relation index, const MetaData& meta);

    // The code of a row of the index; 0 without filter columns.
    graph::FilterCode code(const Datum* values, const bool* isnull)
    {
        return codec_ ? codec_->encode(columns_->read(values, isnull)) : graph::FilterCode{0};
    }
    // Makes the set of codes that may fulfil the scan's conditions on filter columns. False: codes tell
    // nothing about them.
    bool read_conditions(IndexScanDesc scan, codec::FilterSet* to);

  private:
    std::optional<am::FilterColumns> columns_;
    std::optional<codec::FilterCodec> codec_;
};

}   // namespace quiver::hnsw
