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

// Copies the contents of the meta page and checks the head. The access method checks the rest, and
// returns `damaged` if that is wrong.
MetaState copy_meta(Relation index, const AccessMethod& method, MetaHead* to, Size bytes);
// "REINDEX INDEX CONCURRENTLY schema.index".
const char* reindex_statement(Relation index);
// Reports that a meta page is not good, and how to rebuild the index. The level is ERROR or WARNING.
void report_bad_meta(int level, Relation index, const AccessMethod& method, MetaState state,
                     const MetaHead& head);
// The build id, without checks: for an index of another format, any number.
uint64 read_build_id(Relation index);

}   // namespace quiver::am
