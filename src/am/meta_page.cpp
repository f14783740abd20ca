#include "pg/pg.hpp"

#include "am/meta_page.hpp"

namespace quiver::am {

MetaHead new_meta_head(const AccessMethod& method)
{
    MetaHead head{method.meta_magic, method.format_version, 0};
    if (!pg_strong_random(&head.build_id, sizeof head.build_id))
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
    return head;
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
             !(page::tail_of(page)->id == page::tail_id && page::tail_of(page)->next == 1))
        state = MetaState::foreign;
    else
        std::memcpy(static_cast<void*>(to), page::contents_of(page), bytes);
    UnlockReleaseBuffer(buffer);
    if (state != MetaState::good)
        return state;
    if (to->magic != method.meta_magic)
        return MetaState::foreign;
    return to->version == method.format_version ? MetaState::good : MetaState::other_version;
}

void report_bad_meta(Relation index, const AccessMethod& method, MetaState state,
                     const MetaHead& head)
{
    const char* name = RelationGetRelationName(index);
    switch (state) {
    case MetaState::empty:
        ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                        errmsg("index \"%s\" has an empty meta page", name),
                        errhint("REINDEX the index.")));
    case MetaState::foreign:
        ereport(ERROR,
                (errcode(ERRCODE_INDEX_CORRUPTED),
                 errmsg("index \"%s\" was not built by quiver", name),
                 errdetail("Its first page is not a meta page of a quiver %s index.", method.name),
                 errhint("REINDEX the index.")));
    case MetaState::other_version:
        ereport(ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("index \"%s\" has format version %u, but this version of quiver needs %u",
                        name, head.version, method.format_version),
                 errhint("REINDEX the index.")));
    case MetaState::damaged:
    case MetaState::good: break;
    }
    ereport(ERROR,
            (errcode(ERRCODE_INDEX_CORRUPTED), errmsg("index \"%s\" has a damaged meta page", name),
             errhint("REINDEX the index.")));
    pg_unreachable();
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
