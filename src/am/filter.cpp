#include "pg/pg.hpp"

#include "am/filter.hpp"

#include "am/rows.hpp"
#include "core/error.hpp"
#include "page/chain.hpp"

namespace quiver::am {

static Vec<uint8_t> read_learnt(Relation index, FilterPlace place)
{
    if (place.columns > 0 && place.bytes == 0)
        throw Error(Errc::corrupt, "filter codes are missing");
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
    // Of each of so many parts of the table, the first block; and if these have too few rows, as under a predicate that
    // few rows fulfil, twice as many, again and again. At most, this reads the table once.
    constexpr BlockNumber most_parts = 2048;
    constexpr size_t enough = codec::FilterTraining::sample_rows / 4;
    size_t rows = 0;
    const auto add = [&](Datum* values, bool* isnull) {
        if (isnull[0])
            return;
        const MemoryContext old = MemoryContextSwitchTo(context);
        training.add(reader.read(values, isnull));
        rows++;
        MemoryContextSwitchTo(old);
    };
    const uint64 blocks = heap ? RelationGetNumberOfBlocks(heap) : 0,
                 parts = std::min<uint64>(blocks, most_parts);
    const auto start_of = [&](uint64 part) { return blocks * part / parts; };
    for (uint64 from = 0, to = 1; parts > 0 && from * parts < blocks + parts && rows < enough;
         from = std::exchange(to, 2 * to))
        for (uint64 i = 0; i < parts; i++) {
            const uint64 first = start_of(i) + from,
                         end = std::min(start_of(i) + to, start_of(i + 1));
            if (first < end)
                for_each_row_to_index(heap, index, info, static_cast<BlockNumber>(first),
                                      static_cast<BlockNumber>(end - first), add);
        }
    const Vec<uint8_t> bytes = training.finish();
    const std::span<uint8_t> copy(static_cast<uint8_t*>(palloc(bytes.size())), bytes.size());
    std::copy(bytes.begin(), bytes.end(), copy.begin());
    return copy;
}

}   // namespace quiver::am
