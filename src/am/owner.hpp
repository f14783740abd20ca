// For the SQL functions that inspect an index. Only the owner of the index may call them. Functions
// that the index's expressions call run as the owner of the table.
#pragma once

#include "am/access_method.hpp"

namespace quiver::am {

// Opens an index of this access method. Raises an error unless the current user owns it.
Relation open_index(Oid oid, const AccessMethod& method, LOCKMODE mode);

// An index and its table, both locked. Like open_index(), for the owner only.
struct TableOfIndex {
    Relation heap, index;
    const AccessMethod& method;
    LOCKMODE mode;

    TableOfIndex(Oid index, const AccessMethod& method, LOCKMODE mode);
    void need_valid() const;   // raises an error if the index is invalid: it may lack rows
    void close() const;
};

// Until end() or an error, functions run as the owner of the table, as they do in CREATE INDEX.
class AsOwner {
  public:
    explicit AsOwner(Relation heap);
    void end() const;

  private:
    Oid user_;
    int context_, nest_;
};

}   // namespace quiver::am
