// A change of pages that becomes real as a whole: one generic WAL record.
#pragma once

#include "page/page.hpp"

extern "C" {
#include "access/generic_xlog.h"
}

namespace quiver::page {

// For tests of recovery, in libraries built with FAILURE_POINTS: the number of changes until this process is
// killed, or 0.
#ifdef QUIVER_FAILURE_POINTS
extern int crash_after_writes;
void crash_for_a_test();
#endif

class Change {
  public:
    explicit Change(Relation rel) : rel_(rel), state_(GenericXLogStart(rel)) {}
    Change(const Change&) = delete;

    // A copy of the page in this buffer, which is locked exclusively, to be changed. At most 4 pages.
    Page of(Buffer buffer)
    {
        buffers_[count_++] = buffer;
        const bool fresh = PageIsNew(BufferGetPage(buffer));
        return GenericXLogRegisterBuffer(state_, buffer, fresh ? GENERIC_XLOG_FULL_IMAGE : 0);
    }
    // A copy of an empty page of this kind.
    Page fresh(Buffer buffer, Kind kind)
    {
        buffers_[count_++] = buffer;
        const Page page = GenericXLogRegisterBuffer(state_, buffer, GENERIC_XLOG_FULL_IMAGE);
        init(page, kind);
        return page;
    }
    void keep()
    {
        GenericXLogFinish(state_);
        if (rel_->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
            for (int i = 0; i < count_; i++)
                PageSetLSN(BufferGetPage(buffers_[i]), GetFakeLSNForUnloggedRel());
#ifdef QUIVER_FAILURE_POINTS
        if (crash_after_writes > 0 && --crash_after_writes == 0)
            crash_for_a_test();
#endif
    }
    void drop() { GenericXLogAbort(state_); }

  private:
    Relation rel_;
    GenericXLogState* state_;
    Buffer buffers_[MAX_GENERIC_XLOG_PAGES];
    int count_ = 0;
};

}   // namespace quiver::page
