// Changes to plans that go beyond the cost of an index scan.
#pragma once

namespace quiver::am {

// Installs the planner's hook. To be called once, when the library is loaded.
void hook_planner();

}   // namespace quiver::am
