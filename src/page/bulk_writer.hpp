// Writes the pages of a new relation in one pass. It logs each page whole and writes it to the
// file, bypassing the shared buffers.
#pragma once

#include "page/page.hpp"

namespace quiver::page {

class BulkWriter {
  public:
    // It logs the pages if the relation needs WAL, and those of an init fork.
    BulkWriter(Relation rel, ForkNumber fork);
    BulkWriter(const BulkWriter&) = delete;

    // The next page, zeroed. It is written when the following one is asked for, or at finish().
    Page next();
    // The block of the page that next() returned last.
    BlockNumber block() const { return count_ - 1; }
    // To be called once. After an error it need not be called: the transaction's abort removes the
    // file.
    void finish();

  private:
    pg::BulkWrite state_;
    BlockNumber count_ = 0;
    Page page_ = nullptr;
};

}   // namespace quiver::page
