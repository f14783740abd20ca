// The access methods of this extension: what the code that they share must know about them.
#pragma once

#include "pg/pg.hpp"

extern "C" {
#include "nodes/pathnodes.h"
}

namespace quiver::am {

// Where a scan shows in EXPLAIN ANALYZE what it has done.
class Explanation {
  public:
    explicit Explanation(ExplainState* to) : to_(to) {}
    void number(const char* label, uint64 value) { pg::explain_number(label, value, to_); }

  private:
    ExplainState* to_;
};

struct Opclass;
class BuildTeam;

// One access method. Its scans return rows in the exact order of ORDER BY: plan.cpp relies on it.
struct AccessMethod {
    const char* name;                        // in pg_am and in messages
    amcostestimate_function estimate_cost;   // identifies its paths in the planner, and its indexes
    void (*explain_scan)(IndexScanDesc scan, Explanation& to);
    uint32 meta_magic;        // the first value in the meta page of its indexes
    uint32 format_version;    // of its indexes' pages
    size_t max_nonzero;       // most elements of an indexed sparsevec
    uint32 pgvectors_magic;   // the first value in the meta page of pgvector's indexes of this name
    // The operator class whose support function 1 is `distance`, with a support function 2 (the norm)
    // or without. Null if there is none.
    const Opclass* (*find_opclass)(PGFunction distance, bool norm);
    // The support function that returns the Opclass of an operator class that find_opclass() does not know; 0:
    // there is none.
    int16 info_support;
    // What a parallel worker of a build does (build_team.hpp).
    void (*take_part_in_build)(Relation heap, Relation index, IndexInfo* info, BuildTeam& team);
};

// What the access methods of this extension have in common: they return rows in the order of a distance, and take further
// columns, conditions of any kind on these, and NULLs.
constexpr IndexAmRoutine common_routine()
{
    IndexAmRoutine am{};
    am.type = T_IndexAmRoutine;
    am.amcanorderbyop = true;
    am.amcanmulticol = true;
    am.amoptionalkey = true;
    am.amsearcharray = true;
    am.amsearchnulls = true;
    pg::set_builds_parallel(am);
    am.amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
    am.amkeytype = InvalidOid;
    return am;
}

// Called once for each access method, when the library is loaded.
void register_access_method(const AccessMethod& method);
// Null for an index of another extension or of PostgreSQL itself.
const AccessMethod* access_method_of(const IndexOptInfo* index);
const AccessMethod* access_method_of(Relation index);

// Makes EXPLAIN ANALYZE show what scans have done, since PostgreSQL 18. To be called once, when the library is loaded.
void hook_explain();

}   // namespace quiver::am
