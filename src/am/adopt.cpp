// quiver_adopt(): the indexes that must be rebuilt, because pgvector or another version of quiver built
// them.
#include "pg/pg.hpp"

#include "am/meta_page.hpp"
#include "pg/entry.hpp"
#include "pg/result_row.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
}

namespace quiver::am {

namespace {

// Null for a good index.
const char* why_rebuild(Relation index, const AccessMethod& method)
{
    MetaHead head{};
    const MetaState state = RelationGetNumberOfBlocks(index) > meta_block
                                ? copy_meta(index, method, &head, sizeof head)
                                : MetaState::empty;
    switch (state) {
    case MetaState::good: return nullptr;
    case MetaState::pgvectors: return "built by pgvector";
    case MetaState::other_version: return psprintf("format version %u", head.version);
    case MetaState::empty:
    case MetaState::foreign:
    case MetaState::damaged: break;
    }
    return "damaged";
}

// Adds a row for the index if it must be rebuilt.
void put_index(ReturnSetInfo* result, Oid oid)
{
    const Relation index = try_relation_open(oid, AccessShareLock);
    if (!index)   // dropped meanwhile
        return;
    const AccessMethod* method =
        index->rd_rel->relkind == RELKIND_INDEX && index->rd_indam && !RELATION_IS_OTHER_TEMP(index)
            ? access_method_of(index)
            : nullptr;
    if (const char* why = method ? why_rebuild(index, *method) : nullptr) {
        pg::ResultRow row;
        row.datum(ObjectIdGetDatum(oid));
        row.text(why);
        row.text(psprintf("%s;", reindex_statement(index)));
        row.put(result);
    }
    relation_close(index, AccessShareLock);
}

}   // namespace

}   // namespace quiver::am

QUIVER_FUNCTION(quiver_adopt)
{
    using namespace quiver;
    ReturnSetInfo* result = pg::materialize(fcinfo);
    const Relation classes = table_open(RelationRelationId, AccessShareLock);
    const SysScanDesc scan = systable_beginscan(classes, InvalidOid, false, nullptr, 0, nullptr);
    while (const HeapTuple tuple = systable_getnext(scan)) {
        const auto* form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
        // Only the owner may make others wait for the lock.
        if (form->relkind == RELKIND_INDEX && pg::owns_relation(form->oid)) {
            CHECK_FOR_INTERRUPTS();
            am::put_index(result, form->oid);
        }
    }
    systable_endscan(scan);
    table_close(classes, AccessShareLock);
    return Datum{0};
}
