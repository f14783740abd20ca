#include "pg/pg.hpp"

#include "am/filter.hpp"

#include "am/rows.hpp"
#include "core/error.hpp"
#include "page/chain.hpp"

namespace quiver::am {

static Vec<uint8_t> read_learnt(Relation index, FilterPlace place)
{
    Vec<uint8_t> bytes(place.columns > 0 ? place.bytes : 0);
    if (!bytes.empty())
        page::read_chain(index, place.block, reinterpret_cast<char*>(bytes.data()), bytes.size());
    return bytes;
}

Filter::Filter(Relation index, FilterPlace place)
try : Filter(index, read_learnt(index, place)) {
} catch (const Error&) {
    throw Error(Errc::corrupt, "the filter codes of index \"%s\" are damaged",
                RelationGetRelationName(index));
}

bool Filter::read_conditions(IndexScanDesc scan, codec::FilterSet* to)
{
    if (!codec_)
        return false;
    const std::span<const codec::FilterCondition> conditions = columns_->read_conditions(scan);
    if (conditions.empty())
        return false;
    codec_->make_set(conditions, to);
    return true;
}

std::span<const uint8_t> learn_filter(Relation heap, Relation index, IndexInfo* info,
                                      uint32 columns, uint64 seed)
{
    if (columns == 0)
        return {};
    FilterColumns reader(index);
    codec::FilterTraining training(reader.columns(), seed);
    const MemoryContext context = CurrentMemoryContext;
    // (Blocks with few rows have wide ones, so the sample is smaller.)
    if (heap)
        for_each_sampled_row(heap, index, info, 2048, [&](Datum* values, bool* isnull) {
            if (isnull[0])
                return;
            const MemoryContext old = MemoryContextSwitchTo(context);
            training.add(reader.read(values, isnull));
            MemoryContextSwitchTo(old);
        });
    const Vec<uint8_t> bytes = training.finish();
    const std::span<uint8_t> copy(static_cast<uint8_t*>(palloc(bytes.size())), bytes.size());
    std::copy(bytes.begin(), bytes.end(), copy.begin());
    return copy;
}

}   // namespace quiver::am
