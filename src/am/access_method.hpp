// The access methods of this extension: what the code that they share must know about them.
#pragma once

#include "pg/pg.hpp"

extern "C" {
#include "nodes/pathnodes.h"
}

namespace quiver::am {

class BuildTeam;

// One access method. Its scans return rows in the exact order of ORDER BY: plan.cpp relies on it.
struct AccessMethod {
    const char* name;                        // in pg_am and in messages
    amcostestimate_function estimate_cost;   // identifies its paths in the planner
    uint32 meta_magic;                       // the first value in the meta page of its indexes
    uint32 format_version;                   // of its indexes' pages
    uint16 info_support;   // the support function that returns an Opclass: the last one
    size_t max_nonzero;    // most elements of an indexed sparsevec
    // What a parallel worker of a build does (build_team.hpp).
    void (*take_part_in_build)(Relation heap, Relation index, IndexInfo* info, BuildTeam& team);
};

// Called once for each access method, when the library is loaded.
void register_access_method(const AccessMethod& method);
// Null for an index of another extension or of PostgreSQL itself.
const AccessMethod* access_method_of(const IndexOptInfo* index);
const AccessMethod* access_method_of(Relation index);
// Calls f(path) for each path of the table that is a scan of such an index in the order of a distance.
template <class F>
void for_each_ordered_scan(const RelOptInfo* table, F&& f)
{
    ListCell* cell;
    foreach (cell, table->pathlist) {
        auto* path = static_cast<IndexPath*>(lfirst(cell));
        if (IsA(path, IndexPath) && path->indexorderbys != NIL && access_method_of(path->indexinfo))
            f(path);
    }
}

}   // namespace quiver::am
