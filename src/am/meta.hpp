// Block 0: what the graph is, and where searches start.
#pragma once

#include "pg/pg.hpp"

#include "graph/layout.hpp"
#include "graph/store.hpp"

namespace quiver::am {

constexpr BlockNumber meta_block = 0;
constexpr BlockNumber first_slot_block = 1;
constexpr uint32 meta_magic = 0x52565551;   // "QUVR"

struct MetaData {
    uint32 magic;
    uint32 version;
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
    graph::SlotId entry;
    int32 entry_level;
    uint32 deleted;   // slots that a vacuum could not free yet: 0 or not
    uint8 tids;       // that a node has room for; 0, from before this was here: max_tids
    uint8 unused[3];

    graph::Layout layout() const
    {
        return graph::Layout::make(form, metric, dims, degree, fold, bits,
                                   tids ? tids : graph::Layout::max_tids);
    }
};

// Behind it: the codebook, if there is one, and the centre.
inline half* codebook_in(Page page)
{
    return reinterpret_cast<half*>(PageGetContents(page) + sizeof(MetaData));
}
static_assert(sizeof(MetaData) % alignof(half) == 0);
inline Size codebook_bytes(const graph::Layout& l)
{
    return l.coarse() ? quant::SharedCodebook::floats_of(l.subvector()) * sizeof(half) : 0;
}
inline Size centre_bytes(const graph::Layout& l) { return l.padded * sizeof(half); }
inline half* centre_in(Page page, const graph::Layout& l)
{
    return codebook_in(page) + codebook_bytes(l) / sizeof(half);
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
    quant::SharedCodebook own_;
    Vec<float> own_centre_;
};

// Ends every page. The id tells tools such as pg_filedump whose page it is.
struct PageTail {
    uint32 kind;
    uint16 unused;
    uint16 page_id;
};
constexpr uint32 kind_meta = 1;
constexpr uint32 kind_slots = 2;
constexpr uint16 page_id = 0x9D51;

constexpr uint32 usable_bytes =
    BLCKSZ - MAXALIGN(SizeOfPageHeaderData) - MAXALIGN(sizeof(PageTail));

// Is there room for a centre, and use? Inner products are not of differences.
inline bool can_have_centre(const graph::Layout& l)
{
    return l.coarse() && (l.metric == graph::Metric::l2 || l.metric == graph::Metric::cosine) &&
           sizeof(MetaData) + codebook_bytes(l) + centre_bytes(l) <= usable_bytes;
}

inline PageTail* page_tail(Page page)
{
    return reinterpret_cast<PageTail*>(PageGetSpecialPointer(page));
}

inline void init_page(Page page, uint32 kind)
{
    PageInit(page, BLCKSZ, sizeof(PageTail));
    page_tail(page)->kind = kind;
    page_tail(page)->page_id = page_id;
}

inline bool is_page(Page page, uint32 kind)
{
    return reinterpret_cast<PageHeader>(page)->pd_special == BLCKSZ - MAXALIGN(sizeof(PageTail)) &&
           page_tail(page)->page_id == page_id && page_tail(page)->kind == kind;
}

// Raises an error unless the page is of that kind and ours.
void check_page(Relation index, BlockNumber block, Page page, uint32 kind);

// A copy of the meta page's content, checked.
MetaData read_meta(Relation index);

}   // namespace quiver::am
