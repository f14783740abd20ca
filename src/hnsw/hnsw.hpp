// The access method hnsw: what its files share.
#pragma once

#include "hnsw/slot_store.hpp"
#include "graph/choose_encoding.hpp"
#include "graph/scan.hpp"
#include "pg/entry.hpp"
#include "codec/rotation.hpp"

namespace quiver::am {

// ---- options and settings (options.cpp) ----

struct Options {
    int32 vl_len_;
    int m;
    int ef_construction;
    int sketch_fold;   // or graph::choose_fold, graph::no_sketches
    int vector_bits;   // 1, 2, 4, 8, 12, 16, 32, or graph::choose_bits
};
constexpr int default_m = 16;
constexpr int default_ef_construction = 64;

struct Settings {
    int ef_search;
    int iterative_scan;   // graph::Iterate
    int max_scan_tuples;
    double scan_mem_multiplier;
};
extern Settings settings;

void define_options();
void hook_planner();   // am/plan.cpp
Options options_of(Relation index);
bytea* parse_options(Datum reloptions, bool validate);

// ---- operator classes (am/opclass.cpp) ----

enum class ElementType : uint8 { f32, f16, bit, sparse };

// What an operator class means: returned by its support function 3.
struct Opclass {
    codec::Metric metric;
    ElementType element;
    const char* type;
    uint32 max_dims;

    codec::Form form() const
    {
        return element == ElementType::bit      ? codec::Form::bits
               : element == ElementType::sparse ? codec::Form::sparse
                                                : codec::Form::dense;
    }
};
const Opclass& opclass_of(Relation index);
bool validate_opclass(Oid opclass);

// Turns indexed values and queries into what the graph compares.
class VectorReader {
  public:
    VectorReader(const Opclass& opclass, const codec::Codec& codec, uint64 seed)
        : opclass_(opclass), codec_(codec),
          rotation_(codec.traits.rotated ? codec.spec.dims : 0, seed),
          plain_(opclass.form() == codec::Form::dense ? codec.traits.padded : 0),
          rotated_(codec.traits.rotated ? codec.traits.padded : 0)
    {
    }
    // Good until the next call. False for what is not indexed: the zero vector under cosine distance.
    bool read(Datum value, graph::Value* to);
    // Of what may be asked for but not be in an index, sparse vectors of any length, too.
    bool read_query(Datum value, graph::Value* to);
    // The origin, in place of queries that are nowhere.
    graph::Value zero();

  private:
    bool read_dense(struct varlena* value, graph::Value* to);
    bool read_sparse(struct varlena* value, graph::Value* to);

    const Opclass& opclass_;
    const codec::Codec& codec_;
    codec::Rotation rotation_;
    Vec<float> plain_, rotated_;
    Vec<uint8_t> bits_;
    Vec<int32_t> index_;
};

// ---- heap rows ----

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

// An index of this access method; an error unless its owner asks.
Relation open_index(Oid oid, LOCKMODE mode);

// An index and its table, locked; for its owner.
struct TableOfIndex {
    Relation heap, index;
    LOCKMODE mode;

    TableOfIndex(Oid index, LOCKMODE mode);
    void need_valid() const;   // an error unless all rows are in it
    void close() const;
};

// Until end() (or an error), functions that an index calls run as the owner of its table.
class AsOwner {
  public:
    explicit AsOwner(Relation heap);
    void end() const;

  private:
    Oid user_;
    int context_, nest_;
};

bool is_of_hnsw(const IndexOptInfo* index);

// The last scan of this backend.
extern graph::Counters last_scan;
extern uint64 last_scan_rows;

// ---- callbacks ----

IndexBuildResult* build(Relation heap, Relation index, IndexInfo* info);
void build_empty(Relation index);
bool insert(QUIVER_AMINSERT_ARGS);
IndexBulkDeleteResult* bulk_delete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                   IndexBulkDeleteCallback callback, void* state);
IndexBulkDeleteResult* vacuum_cleanup(IndexVacuumInfo* info, IndexBulkDeleteResult* stats);
IndexScanDesc begin_scan(Relation index, int keys, int orderbys);
void rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys);
bool get_tuple(IndexScanDesc scan, ScanDirection direction);
void end_scan(IndexScanDesc scan);

}   // namespace quiver::am
