// For the SQL functions that look into an index. Only its owner may call them; the functions that its expressions call
// run as the owner of the table.
#pragma once

#include "am/access_method.hpp"

namespace quiver::am {

// Opens an index of this access method; an error unless the current user owns it.
Relation open_index(Oid oid, const AccessMethod& method, LOCKMODE mode);

// An index and its table, both locked. As open_index(), for the owner only.
struct TableOfIndex {
    Relation heap, index;
    const AccessMethod& method;
    LOCKMODE mode;

    TableOfIndex(Oid index, const AccessMethod& method, LOCKMODE mode);
    void need_valid() const;   // an error if the index is not valid: rows may be missing
    void close() const;
};

// Until end() or an error, functions run as the owner of the table, as in CREATE INDEX.
class AsOwner {
  public:
    explicit AsOwner(Relation heap);
    void end() const;

  private:
    Oid user_;
    int context_, nest_;
};

}   // namespace quiver::am
