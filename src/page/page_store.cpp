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
    XLogFlush(GetXLogInsertRecPtr());
    kill(getpid(), SIGKILL);
}

}   // namespace quiver::page

#endif
