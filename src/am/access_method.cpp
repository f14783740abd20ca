#include "pg/pg.hpp"

#include "am/access_method.hpp"

#include "core/assert.hpp"
#include "pg/entry.hpp"

namespace quiver::am {

namespace {

constexpr size_t max_methods = 4;
const AccessMethod* methods[max_methods];
size_t method_count;

const AccessMethod* find(amcostestimate_function estimate_cost)
{
    for (size_t i = 0; i < method_count; i++)
        if (methods[i]->estimate_cost == estimate_cost)
            return methods[i];
    return nullptr;
}

}   // namespace

void register_access_method(const AccessMethod& method)
{
    QUIVER_ASSERT(method_count < max_methods);
    methods[method_count++] = &method;
}

const AccessMethod* access_method_of(const IndexOptInfo* index)
{
    return find(reinterpret_cast<amcostestimate_function>(index->amcostestimate));
}

const AccessMethod* access_method_of(Relation index)
{
    return find(index->rd_indam->amcostestimate);
}

void hook_explain()
{
    pg::hook_explained_scans([](IndexScanDesc scan, ExplainState* to) {
        pg::guarded([&] {
            if (const AccessMethod* method = access_method_of(scan->indexRelation)) {
                Explanation explanation(to);
                method->explain_scan(scan, explanation);
            }
        });
    });
}

}   // namespace quiver::am
