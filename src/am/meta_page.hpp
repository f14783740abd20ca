// Block 0 of an index, the meta page. It begins with the same head for all access methods. The rest
// depends on the access method.
#pragma once

#include "am/access_method.hpp"
#include "page/page.hpp"

namespace quiver::am {

constexpr BlockNumber meta_block = 0;

struct MetaHead {
    uint32 magic;     // of the access method
    uint32 version;   // of the format
    // A random number, new with each build, so that a backend does not use what it has kept from an
    // earlier build. (The file number cannot tell: if the transaction created the index, TRUNCATE
    // builds it again in the same file.)
    uint64 build_id;
};
static_assert(sizeof(MetaHead) == 16);

MetaHead new_meta_head(const AccessMethod& method);

enum class MetaState : uint8 {
    good,
    empty,           // the page was never written
    pgvectors,       // of an index that pgvector built
    foreign,         // not a meta page of this access method
    other_version,   // of another format
    damaged,         // its values contradict each other or the table's column
};

// Copies the contents of the meta page and checks the head.
MetaState copy_meta(Relation index, const AccessMethod& method, MetaHead* to, Size bytes);
// Are the values of a meta page, whose head is good, possible, and do they fit the index?
using MetaCheck = bool (*)(const MetaHead& meta, Relation index);
// The same as copy_meta(), with all checks. If the meta page is not good, reports that and how to rebuild the index.
// level: ERROR, or WARNING for the planner, which must not fail; then it returns false.
bool load_meta(int level, Relation index, const AccessMethod& method, MetaHead* to, Size bytes,
               MetaCheck is_good);
// Has the index these filter columns, and vectors of these dimensions?
bool has_columns(Relation index, uint32 filter_columns, uint32 dims);
// "REINDEX INDEX CONCURRENTLY schema.index".
const char* reindex_statement(Relation index);
// The build id, without checks: for an index of another format, any number.
uint64 read_build_id(Relation index);

}   // namespace quiver::am
