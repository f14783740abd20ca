#include "pg/pg.hpp"

#include "page/bulk_writer.hpp"

namespace quiver::page {

BulkWriter::BulkWriter(Relation rel, ForkNumber fork) : state_(rel, fork) {}

Page BulkWriter::next()
{
    CHECK_FOR_INTERRUPTS();
    if (page_)
        state_.write(count_ - 1, page_);
    page_ = state_.page();
    count_++;
    return page_;
}

void BulkWriter::finish()
{
    if (page_)
        state_.write(count_ - 1, page_);
    page_ = nullptr;
    state_.finish();
}

}   // namespace quiver::page
