// The meta page of an hnsw index: the parameters of the graph, and where searches start. Format 3.
#pragma once

#include "am/filter.hpp"
#include "am/meta_page.hpp"
#include "core/memory.hpp"
#include "graph/encoding.hpp"
#include "graph/store.hpp"

namespace quiver::hnsw {

// The order of the members is the order on disk. A new member takes the place of unused ones; new_meta() sets it.
struct MetaData : am::MetaHead {
    codec::Metric metric;
    codec::Form form;
    uint8 bits;   // per dimension of a node's own vector
    uint8 unused_byte;
    uint32 dims;
    uint32 m;
    uint32 ef_construction;
    uint32 degree;
    uint32 fold;
    uint32 slot_bytes;
    uint32 slots_per_page;
    uint64 rotation_seed;           // also of a build: its levels, and the codec's training
    uint32 tids;                    // most rows of a node
    BlockNumber first_slot_block;   // after the codec's parameters
    graph::SlotId entry;
    int32 entry_level;
    graph::SlotId root;
    uint32 deleted;   // slots that were deleted, but not freed, after the last vacuum
    // Chains of pages, or InvalidBlockNumber.
    BlockNumber codec_parameters;   // learnt by the codec
    BlockNumber pending;            // for rows that wait to be inserted: none in this version
    uint32 filter_columns;
    BlockNumber filter_codes;   // chain of how filter codes are made, if there are filter columns
    uint32 features;            // that a reader must know: see `flat_pages`
    uint32 filter_bytes;        // of filter_codes
    BlockNumber flat_centre;    // chain of the code of the flat centre, if there is one
    uint32 unused[6];

    // A feature: there are flat pages among the pages of slots.
    static constexpr uint32 flat_pages = 1;

    graph::EncodingShape encoding() const
    {
        return {{form, metric, dims, bits}, fold, degree, tids, filter_columns > 0};
    }
    am::FilterPlace filter_place() const { return {filter_columns, filter_codes, filter_bytes}; }
    graph::Layout layout() const { return encoding().layout(); }
    graph::FlatLayout flat_layout() const;
};
static_assert(std::is_trivially_copyable_v<MetaData> && sizeof(MetaData) == 136);

inline graph::Entry entry_in(const MetaData& meta)
{
    if (meta.entry == graph::no_slot)
        return {};
    return {meta.entry, meta.entry_level, meta.root};
}

inline Size parameter_bytes(const codec::CodecSpec& spec)
{
    return codec::codec_traits(spec).parameters * sizeof(half);
}

// Those of the record of the flat centre; 0 if the index has none.
inline Size flat_centre_bytes(const graph::EncodingShape& shape)
{
    return shape.filtered && shape.layout().sketched() && shape.codec.form == codec::Form::dense
               ? codec::record_bytes(codec::codec_traits(shape.codec).code_bytes)
               : 0;
}

// The encoding of an index, with the codec's learnt parameters.
class IndexEncoding : public graph::Encoding {
  public:
    // For an index that is being built: the codec has not learnt anything yet.
    explicit IndexEncoding(const MetaData& meta) : graph::Encoding(meta.encoding()) {}
    IndexEncoding(Relation index, const MetaData& meta);
};

// The meta data of an index that is to be built. Raises an error if its columns or its options do
// not allow it.
MetaData new_meta(Relation index);
// The meta data of an index, checked. Raises an error unless this version can use it.
MetaData read_meta(Relation index);
// False, after a warning, for an index that cannot be used, such as one of another format or one that pgvector built.
// Queries of its table can be planned without it.
bool read_meta_for_planner(const IndexPath* path, MetaData* to);

}   // namespace quiver::hnsw
