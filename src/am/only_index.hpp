// Makes the planner use one index, for functions that measure it with queries of their own.
#pragma once

#include "pg/pg.hpp"

namespace quiver::am {

// Until end() or an error, the planner sees no other index of this index's table, and takes no other way than an index
// scan, if there is one. The settings for that are changed until the caller's level of settings ends (AtEOXact_GUC()).
class OnlyIndex {
  public:
    explicit OnlyIndex(Relation index);
    OnlyIndex(const OnlyIndex&) = delete;
    void end() const;
};

// Installs the planner's hook for it. To be called once, when the library is loaded.
void hook_only_index();

}   // namespace quiver::am
