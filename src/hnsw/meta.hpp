// Block 0 of an index: what the graph is, and where searches start. Format 3.
#pragma once

#include "graph/layout.hpp"
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
    graph::Metric metric;
    graph::Form form;
    uint8 bits;      // of a dimension of a node's own vector
    uint8 centred;   // whether vectors are stored as they lie from a centre
    uint32 dims;
    uint32 m;
    uint32 ef_construction;
    uint32 degree;
    uint32 fold;
    uint32 slot_bytes;
    uint32 slots_per_page;
    uint64 rotation_seed;
    uint32 tids;                    // that a node has room for
    BlockNumber first_slot_block;   // behind the codebook
    graph::SlotId entry;
    int32 entry_level;
    graph::SlotId root;
    uint32 deleted;   // slots that the last vacuum left deleted
    // Chains of pages, or InvalidBlockNumber.
    BlockNumber codebook;   // the codebook of small codes, and the centre
    BlockNumber pending;    // for rows that wait to be inserted: none in this version
    // For filter columns: none in this version.
    uint32 filter_columns;
    BlockNumber filter_codes;
    uint32 features;   // that a reader must know: none in this version
    uint32 unused[8];

    graph::Layout layout() const
    {
        return graph::Layout::make(form, metric, dims, degree, fold, bits, tids);
    }
};

inline graph::Entry entry_in(const MetaData& meta)
{
    if (meta.entry == graph::no_slot)
        return {};
    return {meta.entry, meta.entry_level, meta.root};
}

inline Size codebook_bytes(const graph::Layout& l)
{
    return l.coarse() ? codec::SharedCodebook::floats_of(l.subvector()) * sizeof(half) : 0;
}
inline Size centre_bytes(const graph::Layout& l) { return l.padded * sizeof(half); }

// Is there use for a centre? Inner products are not of differences.
inline bool can_have_centre(const graph::Layout& l)
{
    return l.coarse() && (l.metric == graph::Metric::l2 || l.metric == graph::Metric::cosine);
}

// The layout of an index, with its codebook.
class IndexLayout : public graph::Layout {
  public:
    explicit IndexLayout(const MetaData& meta) : graph::Layout(meta.layout()) {}
    IndexLayout(Relation index, const MetaData& meta);
    IndexLayout(const IndexLayout&) = delete;
    void set_codebook(const half* stored);
    void set_centre(const half* stored);

  private:
    codec::SharedCodebook own_;
    Vec<float> own_centre_;
};

// Of which build the index is. (Of one of another format, any number.)
uint64 read_build_id(Relation index);
// A copy of the meta page's content, checked: an error unless this version can use the index.
MetaData read_meta(Relation index);
// For the planner, which must not fail: false for an index that can't be used.
bool try_read_meta(Relation index, MetaData* to);

}   // namespace quiver::am
