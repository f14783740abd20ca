// Block 0 of an index. Every access method's meta page begins with the same head; the rest is its own.
#pragma once

#include "am/access_method.hpp"
#include "page/page.hpp"

namespace quiver::am {

constexpr BlockNumber meta_block = 0;

struct MetaHead {
    uint32 magic;     // of the access method
    uint32 version;   // of the format
    // Random, new with each build, so that a backend does not use what it kept of an earlier build. (The file is no such
    // sign: TRUNCATE builds an index anew in the same file, if the transaction created it.)
    uint64 build_id;
};
static_assert(sizeof(MetaHead) == 16);

MetaHead new_meta_head(const AccessMethod& method);

enum class MetaState : uint8 {
    good,
    empty,           // the page was never written
    foreign,         // not a meta page of this access method
    other_version,   // of another format
    damaged,         // its values contradict each other or the table's column
};

// Copies the contents of the meta page and checks the head. The access method checks the rest, and what it finds is
// `damaged`.
MetaState copy_meta(Relation index, const AccessMethod& method, MetaHead* to, Size bytes);
// Raises the error for a meta page that is not good.
[[noreturn]] void report_bad_meta(Relation index, const AccessMethod& method, MetaState state,
                                  const MetaHead& head);
// The build id, without checks: for an index of another format, any number.
uint64 read_build_id(Relation index);

}   // namespace quiver::am
