// The access method's entry: its capabilities and callbacks. Each callback runs in guarded().
#include "pg/pg.hpp"

#include "am/am.hpp"

#include <bit>

extern "C" {
#include "commands/progress.h"
#include "nodes/pathnodes.h"
}

namespace quiver::am {

void estimate_cost(PlannerInfo* root, IndexPath* path, double loops, Cost* startup, Cost* total,
                   Selectivity* selectivity, double* correlation, double* pages);

void check_page(Relation index, BlockNumber block, Page page, uint32 kind)
{
    if (!is_page(page, kind))
        ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                        errmsg("block %u of index \"%s\" is not a page of a quiver hnsw index",
                               block, RelationGetRelationName(index)),
                        errhint("REINDEX the index.")));
}

MetaData read_meta(Relation index)
{
    const Buffer buffer = ReadBuffer(index, meta_block);
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    const Page page = BufferGetPage(buffer);
    if (PageIsNew(page))
        ereport(ERROR,
                (errcode(ERRCODE_INDEX_CORRUPTED),
                 errmsg("index \"%s\" has an empty meta page", RelationGetRelationName(index)),
                 errhint("REINDEX the index.")));
    check_page(index, meta_block, page, kind_meta);
    const MetaData meta = *reinterpret_cast<MetaData*>(PageGetContents(page));
    UnlockReleaseBuffer(buffer);
    if (meta.magic != meta_magic || meta.version != graph::format_version)
        ereport(ERROR,
                (errcode(ERRCODE_INDEX_CORRUPTED),
                 errmsg("index \"%s\" has format version %u, but this version of quiver reads %u",
                        RelationGetRelationName(index), meta.version, graph::format_version),
                 errhint("REINDEX the index.")));
    // Unknown where the column's type lost them after the index was built.
    const int32 dims = TupleDescAttr(RelationGetDescr(index), 0)->atttypmod;
    // What a layout divides by.
    const bool sane = graph::is_vector_bits(meta.bits);
    const graph::Layout l = sane ? meta.layout() : graph::Layout{};
    if (meta.form < graph::Form::dense || meta.form > graph::Form::sparse ||
        meta.metric < graph::Metric::l2 || meta.metric > graph::Metric::jaccard ||
        meta.tids > graph::Layout::max_tids || meta.dims < 1 ||
        meta.dims > graph::max_dims_of(meta.form) || meta.degree < 4 ||
        meta.degree > graph::max_degree || meta.degree % 4 != 0 || meta.fold > 64 || !sane ||
        l.bits != meta.bits || meta.m < 2 || meta.m > 100 || meta.ef_construction < 4 ||
        meta.ef_construction > 1000 || meta.entry_level < -1 ||
        meta.entry_level > graph::max_level || meta.slots_per_page < 1 ||
        meta.centred > (can_have_centre(l) ? 1 : 0) || l.slot_bytes != meta.slot_bytes ||
        meta.slots_per_page * meta.slot_bytes > usable_bytes ||
        (dims > 0 && meta.dims != static_cast<uint32>(dims)))
        ereport(ERROR,
                (errcode(ERRCODE_INDEX_CORRUPTED),
                 errmsg("index \"%s\" has a damaged meta page", RelationGetRelationName(index)),
                 errhint("REINDEX the index.")));
    return meta;
}

IndexLayout::IndexLayout(Relation index, const MetaData& meta) : IndexLayout(meta)
{
    if (!coarse())
        return;
    half stored[usable_bytes / sizeof(half)];
    const Buffer buffer = ReadBuffer(index, meta_block);
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    std::memcpy(stored, codebook_in(BufferGetPage(buffer)),
                codebook_bytes(*this) + (meta.centred ? centre_bytes(*this) : 0));
    UnlockReleaseBuffer(buffer);
    set_codebook(stored);
    if (meta.centred)
        set_centre(stored + codebook_bytes(*this) / sizeof(half));
}

void IndexLayout::set_codebook(const half* stored)
{
    own_.set(stored, subvector());
    codebook = &own_;
}

void IndexLayout::set_centre(const half* stored)
{
    own_centre_.resize(padded);
    simd::kernels().to_f32(stored, own_centre_.data(), padded);
    centre = own_centre_.data();
}

}   // namespace quiver::am

namespace {

using namespace quiver;
using pg::guarded;

extern "C" {

static IndexBuildResult* hnsw_build(Relation heap, Relation index, IndexInfo* info)
{
    return guarded([&] { return am::build(heap, index, info); });
}
static void hnsw_buildempty(Relation index)
{
    guarded([&] { am::build_empty(index); });
}
static IndexBulkDeleteResult* hnsw_bulkdelete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                              IndexBulkDeleteCallback callback, void* state)
{
    return guarded([&] { return am::bulk_delete(info, stats, callback, state); });
}
static IndexBulkDeleteResult* hnsw_vacuumcleanup(IndexVacuumInfo* info,
                                                 IndexBulkDeleteResult* stats)
{
    return guarded([&] { return am::vacuum_cleanup(info, stats); });
}
static void hnsw_costestimate(PlannerInfo* root, IndexPath* path, double loops, Cost* startup,
                              Cost* total, Selectivity* selectivity, double* correlation,
                              double* pages)
{
    guarded([&] {
        am::estimate_cost(root, path, loops, startup, total, selectivity, correlation, pages);
    });
}
static bytea* hnsw_options(Datum reloptions, bool validate)
{
    return guarded([&] { return am::parse_options(reloptions, validate); });
}
static char* hnsw_buildphasename(int64 phase)
{
    switch (phase) {
    case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE: return pstrdup("initializing");
    case 2: return pstrdup("loading tuples");
    case 3: return pstrdup("writing pages");
    default: return nullptr;
    }
}
static bool hnsw_validate(Oid opclass)
{
    return guarded([&] { return am::validate_opclass(opclass); });
}
static IndexScanDesc hnsw_beginscan(Relation index, int keys, int orderbys)
{
    return guarded([&] { return am::begin_scan(index, keys, orderbys); });
}
static void hnsw_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys,
                        int norderbys)
{
    guarded([&] { am::rescan(scan, keys, nkeys, orderbys, norderbys); });
}
static bool hnsw_gettuple(IndexScanDesc scan, ScanDirection direction)
{
    return guarded([&] { return am::get_tuple(scan, direction); });
}
static void hnsw_endscan(IndexScanDesc scan)
{
    guarded([&] { am::end_scan(scan); });
}
}

}   // namespace

QUIVER_FUNCTION(hnswhandler)
{
    IndexAmRoutine* am = makeNode(IndexAmRoutine);
    am->amstrategies = 0;
    am->amsupport = 3;
    am->amoptsprocnum = 0;
    am->amcanorder = false;
    am->amcanorderbyop = true;
    am->amcanbackward = false;
    am->amcanunique = false;
    am->amcanmulticol = false;
    am->amoptionalkey = true;
    am->amsearcharray = false;
    am->amsearchnulls = false;
    am->amstorage = false;
    am->amclusterable = false;
    am->ampredlocks = false;
    am->amcanparallel = false;
    am->amcaninclude = false;
    am->amusemaintenanceworkmem = false;
    am->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
    am->amkeytype = InvalidOid;

    am->ambuild = hnsw_build;
    am->ambuildempty = hnsw_buildempty;
    am->aminsert = am::insert;
    am->ambulkdelete = hnsw_bulkdelete;
    am->amvacuumcleanup = hnsw_vacuumcleanup;
    am->amcanreturn = nullptr;
    am->amcostestimate = hnsw_costestimate;
    am->amoptions = hnsw_options;
    am->amproperty = nullptr;
    am->ambuildphasename = hnsw_buildphasename;
    am->amvalidate = hnsw_validate;
    am->ambeginscan = hnsw_beginscan;
    am->amrescan = hnsw_rescan;
    am->amgettuple = hnsw_gettuple;
    am->amgetbitmap = nullptr;
    am->amendscan = hnsw_endscan;
    am->ammarkpos = nullptr;
    am->amrestrpos = nullptr;
    am->amestimateparallelscan = nullptr;
    am->aminitparallelscan = nullptr;
    am->amparallelrescan = nullptr;
    PG_RETURN_POINTER(am);
}

bool quiver::am::is_of_hnsw(const IndexOptInfo* index)
{
    return reinterpret_cast<void (*)()>(index->amcostestimate) ==
           reinterpret_cast<void (*)()>(hnsw_costestimate);
}
