#include "pg/pg.hpp"

#include "page/page_store.hpp"

#ifdef QUIVER_FAILURE_POINTS

#include <csignal>
#include <unistd.h>

extern "C" {
#include "access/xlog.h"
}

namespace quiver::page {

int crash_after_writes;

void crash_for_a_test()
{
    // The end of the last record of this backend. Where the next one would be is not it at the start of a page of WAL.
    XLogFlush(XactLastRecEnd);
    kill(getpid(), SIGKILL);
}

}   // namespace quiver::page

#endif
