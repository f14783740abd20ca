// What the planner is told beyond the cost of an index scan.
#pragma once

namespace quiver::am {

// Installs the planner's hook: once, when the library is loaded.
void hook_planner();

}   // namespace quiver::am
