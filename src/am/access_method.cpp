#include "pg/pg.hpp"

#include "am/access_method.hpp"

#include "core/assert.hpp"

namespace quiver::am {

namespace {

constexpr size_t max_methods = 4;
const AccessMethod* methods[max_methods];
size_t method_count;

}   // namespace

void register_access_method(const AccessMethod& method)
{
    QUIVER_ASSERT(method_count < max_methods);
    methods[method_count++] = &method;
}

const AccessMethod* access_method_of(const IndexOptInfo* index)
{
    for (size_t i = 0; i < method_count; i++)
        if (reinterpret_cast<const void*>(methods[i]->estimate_cost) ==
            reinterpret_cast<const void*>(index->amcostestimate))
            return methods[i];
    return nullptr;
}

}   // namespace quiver::am
