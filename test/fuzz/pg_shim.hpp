#pragma once

#include <csetjmp>

#include "pg/pg.hpp"

extern sigjmp_buf shim_error;   // where an ERROR goes
void shim_reset();              // frees what the last input allocated
