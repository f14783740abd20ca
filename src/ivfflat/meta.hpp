// The meta page of an ivfflat index. Format 1.
#pragma once

#include "am/filter.hpp"
#include "am/meta_page.hpp"
#include "lists/encoding.hpp"
#include "lists/probe_table.hpp"

namespace quiver::ivfflat {

// The order of the members is the order on disk. A new member takes the place of unused ones.
struct MetaData : am::MetaHead {
    codec::Metric metric;
    codec::Form form;
    uint8 bits;          // per dimension of a row's code
    bool chosen_lists;   // by the index, not by the option
    uint32 dims;
    uint32 lists;   // after the build or the last division
    uint32 unused_word;
    uint64 rotation_seed;   // also of the training
    // Chains of pages, or InvalidBlockNumber.
    BlockNumber codec_parameters;   // learnt by the codec
    BlockNumber filter_codes;       // how filter codes are made, if there are filter columns
    BlockNumber root_centre;        // the code of the centre of the root; not for bit strings
    BlockNumber root;               // the first page of the root
    uint32 filter_columns;
    uint32 filter_bytes;
    double rows;       // at the last division, or at an attempt that failed because many are equal
    uint32 features;   // features that a reader must know: none in this version
    lists::ProbeTable probes;
    uint32 unused[5];

    lists::EncodingShape encoding() const
    {
        return {{form, metric, dims, bits}, filter_columns > 0};
    }
    // How many lists are meant by a number of probes. SIZE_MAX: all.
    size_t lists_of(int probes) const
    {
        const auto count = static_cast<size_t>(probes);
        return !chosen_lists ? count : count < 100 ? (count * lists + 99) / 100 : SIZE_MAX;
    }
    am::FilterPlace filter_place() const { return {filter_columns, filter_codes, filter_bytes}; }
};
static_assert(std::is_trivially_copyable_v<MetaData> && sizeof(MetaData) == 120);

inline Size parameter_bytes(const codec::CodecSpec& spec)
{
    return codec::codec_traits(spec).parameters * sizeof(half);
}
inline Size root_centre_bytes(const codec::CodecSpec& spec)
{
    return codec::record_bytes(codec::codec_traits(spec).code_bytes);
}

// The encoding of an index, with the codec's learnt parameters.
class IndexEncoding : public lists::Encoding {
  public:
    // For an index that is being built.
    explicit IndexEncoding(const MetaData& meta);
    // Without the centre of the root.
    IndexEncoding(Relation index, const MetaData& meta);
    void read_root_centre(Relation index, BlockNumber chain);
};

// How many lists an index of so many rows has by default. Lists are small, because a search reads a list faster than it
// finds the list, but a list should fill a part of its page.
uint32 lists_for(double rows, const lists::Layout& layout);

// The meta data of an index that is to be built, without places of pages. Raises an error if its columns or its
// options do not allow it.
MetaData new_meta(Relation index);
// The meta data of an index, checked. Raises an error unless this version can use it.
MetaData read_meta(Relation index);
// False, after a warning, for an index that cannot be used, such as one of another format or one that pgvector built.
// Queries of its table can be planned without it.
bool read_meta_for_planner(const IndexPath* path, MetaData* to);

}   // namespace quiver::ivfflat
