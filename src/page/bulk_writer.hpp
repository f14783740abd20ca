// Writes the pages of a new relation in one pass: each is logged whole and goes to its file past the shared buffers.
#pragma once

#include "page/page.hpp"

namespace quiver::page {

class BulkWriter {
  public:
    // log: as far as the relation needs it. Without, the caller logs all of its pages later.
    BulkWriter(Relation rel, ForkNumber fork, bool log);
    BulkWriter(const BulkWriter&) = delete;

    // The next page, zeroed. It is written when the following one is asked for, or at finish().
    Page next();
    // The block of the page that next() returned last.
    BlockNumber block() const { return count_ - 1; }
    // To be called once; after an error, the relation's file goes with the transaction.
    void finish();

  private:
    pg::BulkWrite state_;
    BlockNumber count_ = 0;
    Page page_ = nullptr;
};

}   // namespace quiver::page
