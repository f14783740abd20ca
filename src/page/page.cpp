#include "pg/pg.hpp"

#include "page/page.hpp"

namespace quiver::page {

void check(Relation rel, BlockNumber block, Page page, Kind kind)
{
    if (!is_of(page, kind))
        ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                        errmsg("block %u of index \"%s\" is not a page of a quiver index", block,
                               RelationGetRelationName(rel)),
                        errhint("REINDEX the index.")));
}

}   // namespace quiver::page
