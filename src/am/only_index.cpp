#include "pg/pg.hpp"

#include "am/only_index.hpp"

namespace quiver::am {

namespace {

struct Only {
    Oid table = InvalidOid, index = InvalidOid;
    const void* of = nullptr;   // who has set it
};
Only only;

void keep_only(Oid table, RelOptInfo* to)
{
    if (!OidIsValid(only.table) || table != only.table)
        return;
    List* kept = NIL;
    ListCell* cell;
    foreach (cell, to->indexlist)
        if (static_cast<IndexOptInfo*>(lfirst(cell))->indexoid == only.index)
            kept = lappend(kept, lfirst(cell));
    to->indexlist = kept;
}

void set(const char* name, const char* value)
{
    set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

}   // namespace

OnlyIndex::OnlyIndex(Relation index)
{
    for (const char* way : {"enable_seqscan", "enable_bitmapscan", "enable_tidscan", "enable_sort"})
        set(way, "off");
    set("enable_indexscan", "on");
    // An error deletes the memory context of the caller.
    auto* callback = static_cast<MemoryContextCallback*>(palloc(sizeof(MemoryContextCallback)));
    callback->arg = callback;
    callback->func = [](void* of) {
        if (only.of == of)
            only = {};
    };
    MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
    only = {index->rd_index->indrelid, RelationGetRelid(index), callback};
}

void OnlyIndex::end() const { only = {}; }

void hook_only_index() { pg::hook_planned_tables(keep_only); }

}   // namespace quiver::am
