#include "pg/pg.hpp"

#include "hnsw/meta.hpp"

#include "page/chain.hpp"

namespace quiver::am {

namespace {

enum class Verdict { good, empty, foreign, other_version, damaged };

// Is it a meta page that this code can have written?
bool is_sane(const MetaData& meta, int32 dims)
{
    // What follows computes with these.
    if (!codec::is_metric(meta.metric) || meta.form < codec::Form::dense ||
        meta.form > codec::Form::sparse || meta.dims < 1 ||
        meta.dims > codec::max_dims_of(meta.form) || !codec::find_codec(meta.encoding().codec) ||
        meta.fold > 64 || meta.degree < 4 || meta.degree > graph::max_degree ||
        meta.degree % 4 != 0 || meta.tids < 2 || meta.tids > graph::Layout::max_tids)
        return false;
    const graph::Layout l = meta.layout();
    const Size parameters = parameter_bytes(*codec::make_codec(meta.encoding().codec));
    return l.slot_bytes == meta.slot_bytes && meta.m >= 2 &&
           meta.m <= 100 && meta.ef_construction >= 4 && meta.ef_construction <= 1000 &&
           meta.entry_level >= -1 && meta.entry_level <= graph::max_level &&
           meta.slots_per_page == l.slots_per_page(page::usable_bytes) &&
           meta.slots_per_page >= 1 && meta.first_slot_block == 1 + page::chain_pages(parameters) &&
           meta.filter_columns == 0 && meta.features == 0 &&
           // Unknown where the column's type lost them after the index was built.
           (dims <= 0 || meta.dims == static_cast<uint32>(dims));
}

Verdict look_at_meta(Relation index, MetaData* to)
{
    const Buffer buffer = ReadBuffer(index, meta_block);
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    const Page page = BufferGetPage(buffer);
    Verdict verdict = Verdict::good;
    if (PageIsNew(page))
        verdict = Verdict::empty;
    else if (!page::is_of(page, page::Kind::meta) &&
             // What lies there in format 2 and before: four bytes for the kind, 1.
             !(page::tail_of(page)->id == page::tail_id && page::tail_of(page)->next == 1))
        verdict = Verdict::foreign;
    else
        *to = *reinterpret_cast<MetaData*>(page::contents_of(page));
    UnlockReleaseBuffer(buffer);
    if (verdict != Verdict::good)
        return verdict;
    if (to->magic != meta_magic)
        return Verdict::foreign;
    if (to->version != graph::format_version)
        return Verdict::other_version;
    const int32 dims = TupleDescAttr(RelationGetDescr(index), 0)->atttypmod;
    return is_sane(*to, dims) ? Verdict::good : Verdict::damaged;
}

}   // namespace

uint64 read_build_id(Relation index)
{
    const Buffer buffer = ReadBuffer(index, meta_block);
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    const uint64 id =
        reinterpret_cast<MetaData*>(page::contents_of(BufferGetPage(buffer)))->build_id;
    UnlockReleaseBuffer(buffer);
    return id;
}

MetaData read_meta(Relation index)
{
    MetaData meta;
    const char* name = RelationGetRelationName(index);
    switch (look_at_meta(index, &meta)) {
    case Verdict::good: return meta;
    case Verdict::empty:
        ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                        errmsg("index \"%s\" has an empty meta page", name),
                        errhint("REINDEX the index.")));
    case Verdict::foreign:
        ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                        errmsg("index \"%s\" was not built by quiver", name),
                        errdetail("Its first page is not a meta page of a quiver hnsw index."),
                        errhint("REINDEX the index.")));
    case Verdict::other_version:
        ereport(ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("index \"%s\" has format version %u, but this version of quiver reads %u",
                        name, meta.version, graph::format_version),
                 errhint("REINDEX the index.")));
    case Verdict::damaged: break;
    }
    ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                    errmsg("index \"%s\" has a damaged meta page", name),
                    errhint("REINDEX the index.")));
    pg_unreachable();
}

bool try_read_meta(Relation index, MetaData* to)
{
    return RelationGetNumberOfBlocks(index) > meta_block &&
           look_at_meta(index, to) == Verdict::good;
}

IndexEncoding::IndexEncoding(Relation index, const MetaData& meta) : IndexEncoding(meta)
{
    Vec<half> parameters(codec().parameter_count());
    if (parameters.empty())
        return;
    page::read_chain(index, meta.codec_parameters, reinterpret_cast<char*>(parameters.data()),
                     parameters.size() * sizeof(half));
    codec().set_parameters(parameters.data());
}

}   // namespace quiver::am
