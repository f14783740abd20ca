#include "pg/pg.hpp"

#include "page/change.hpp"

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
    // Flush up to the end of this backend's last record. The current insert position would be wrong
    // at the start of a WAL page.
    XLogFlush(XactLastRecEnd);
    kill(getpid(), SIGKILL);
}

}   // namespace quiver::page

#endif
