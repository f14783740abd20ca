// Block 0 of an index: what the graph is, and where searches start. Format 3.
#pragma once

#include "graph/encoding.hpp"
#include "graph/store.hpp"
#include "page/page.hpp"

namespace quiver::am {

constexpr BlockNumber meta_block = 0;
constexpr uint32 meta_magic = 0x52565551;   // "QUVR"

struct MetaData {
    uint32 magic;
    uint32 version;
    // Random, new with each build: what a backend keeps of an index between two scans is of one build. (TRUNCATE
    // builds an index anew in the same file, if the transaction made that.)
    uint64 build_id;
    codec::Metric metric;
    codec::Form form;
    uint8 bits;      // of a dimension of a node's own vector
    uint8 unused_byte;
    uint32 dims;
    uint32 m;
    uint32 ef_construction;
    uint32 degree;
    uint32 fold;
    uint32 slot_bytes;
    uint32 slots_per_page;
    uint64 rotation_seed;
    uint32 tids;                    // that a node has room for
    BlockNumber first_slot_block;   // behind the codec's parameters
    graph::SlotId entry;
    int32 entry_level;
    graph::SlotId root;
    uint32 deleted;   // slots that the last vacuum left deleted
    // Chains of pages, or InvalidBlockNumber.
    BlockNumber codec_parameters;   // what the codec has learnt
    BlockNumber pending;    // for rows that wait to be inserted: none in this version
    // For filter columns: none in this version.
    uint32 filter_columns;
    BlockNumber filter_codes;
    uint32 features;   // that a reader must know: none in this version
    uint32 unused[8];

    graph::EncodingShape encoding() const { return {{form, metric, dims, bits}, fold, degree, tids}; }
    graph::Layout layout() const { return encoding().layout(); }
};

inline graph::Entry entry_in(const MetaData& meta)
{
    if (meta.entry == graph::no_slot)
        return {};
    return {meta.entry, meta.entry_level, meta.root};
}

inline Size parameter_bytes(const codec::Codec& codec)
{
    return codec.parameter_count() * sizeof(half);
}

// The encoding of an index, with what its codec has learnt.
class IndexEncoding : public graph::Encoding {
  public:
    // Of an index that is being built: the codec has learnt nothing yet.
    explicit IndexEncoding(const MetaData& meta) : graph::Encoding(meta.encoding()) {}
    IndexEncoding(Relation index, const MetaData& meta);
};

// Of which build the index is. (Of one of another format, any number.)
uint64 read_build_id(Relation index);
// A copy of the meta page's content, checked: an error unless this version can use the index.
MetaData read_meta(Relation index);
// For the planner, which must not fail: false for an index that can't be used.
bool try_read_meta(Relation index, MetaData* to);

}   // namespace quiver::am
