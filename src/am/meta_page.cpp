#include "pg/pg.hpp"

#include "am/meta_page.hpp"

extern "C" {
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace quiver::am {

MetaHead new_meta_head(const AccessMethod& method)
{
    MetaHead head{method.meta_magic, method.format_version, 0};
    if (!pg_strong_random(&head.build_id, sizeof head.build_id))
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
    return head;
}

// Is this the meta page of an index that pgvector built?
static bool is_pgvectors(Page page, const AccessMethod& method)
{
    uint32 magic;
    std::memcpy(&magic, page::contents_of(page), sizeof magic);
    return magic == method.pgvectors_magic;
}

MetaState copy_meta(Relation index, const AccessMethod& method, MetaHead* to, Size bytes)
{
    const Buffer buffer = ReadBuffer(index, meta_block);
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    const Page page = BufferGetPage(buffer);
    MetaState state = MetaState::good;
    if (PageIsNew(page))
        state = MetaState::empty;
    else if (!page::is_of(page, page::Kind::meta) &&
             // Format 2 and earlier formats have a kind of four bytes there, with the value 1.
             !(page::has_tail(page) && page::tail_of(page)->id == page::tail_id &&
               page::tail_of(page)->next == 1))
        state = is_pgvectors(page, method) ? MetaState::pgvectors : MetaState::foreign;
    else
        std::memcpy(static_cast<void*>(to), page::contents_of(page), bytes);
    UnlockReleaseBuffer(buffer);
    if (state != MetaState::good)
        return state;
    if (to->magic != method.meta_magic)
        return MetaState::foreign;
    return to->version == method.format_version ? MetaState::good : MetaState::other_version;
}

const char* reindex_statement(Relation index)
{
    return psprintf("REINDEX INDEX CONCURRENTLY %s",
                    quote_qualified_identifier(get_namespace_name(RelationGetNamespace(index)),
                                               RelationGetRelationName(index)));
}

bool has_columns(Relation index, uint32 filter_columns, uint32 dims)
{
    if (static_cast<int>(filter_columns) != IndexRelationGetNumberOfKeyAttributes(index) - 1)
        return false;
    const int32 declared = TupleDescAttr(RelationGetDescr(index), 0)->atttypmod;
    // The dimensions are unknown if the column's type lost them after the index was built.
    return declared <= 0 || dims == static_cast<uint32>(declared);
}

static void report_bad_meta(int level, Relation index, const AccessMethod& method, MetaState state,
                            const MetaHead& head)
{
    const char* name = RelationGetRelationName(index);
    const auto hint = [&] { return errhint("Run %s.", reindex_statement(index)); };
    switch (state) {
    case MetaState::empty:
        ereport(level, (errcode(ERRCODE_INDEX_CORRUPTED),
                        errmsg("index \"%s\" has an empty meta page", name), hint()));
        break;
    case MetaState::pgvectors:
        ereport(level,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("index \"%s\" was built by pgvector", name),
                 errdetail("quiver's %s indexes have another format.", method.name), hint()));
        break;
    case MetaState::foreign:
        ereport(level,
                (errcode(ERRCODE_INDEX_CORRUPTED),
                 errmsg("index \"%s\" was not built by quiver", name),
                 errdetail("Its first page is not a meta page of a quiver %s index.", method.name),
                 hint()));
        break;
    case MetaState::other_version:
        ereport(level,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("index \"%s\" has format version %u, but this version of quiver needs %u",
                        name, head.version, method.format_version),
                 hint()));
        break;
    case MetaState::damaged:
    case MetaState::good:
        ereport(level, (errcode(ERRCODE_INDEX_CORRUPTED),
                        errmsg("index \"%s\" has a damaged meta page", name), hint()));
        break;
    }
}

bool load_meta(int level, Relation index, const AccessMethod& method, MetaHead* to, Size bytes,
               MetaCheck is_good)
{
    // (A page that does not exist is an error of PostgreSQL's.)
    MetaState state = level < ERROR && RelationGetNumberOfBlocks(index) <= meta_block
                          ? MetaState::empty
                          : copy_meta(index, method, to, bytes);
    if (state == MetaState::good && !is_good(*to, index))
        state = MetaState::damaged;
    if (state != MetaState::good)
        report_bad_meta(level, index, method, state, *to);
    return state == MetaState::good;
}

uint64 read_build_id(Relation index)
{
    const Buffer buffer = ReadBuffer(index, meta_block);
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    const uint64 id =
        reinterpret_cast<MetaHead*>(page::contents_of(BufferGetPage(buffer)))->build_id;
    UnlockReleaseBuffer(buffer);
    return id;
}

}   // namespace quiver::am
