#include "pg/pg.hpp"

#include "am/learn.hpp"

#include "am/rows.hpp"
#include "am/vector_reader.hpp"

namespace quiver::am {

namespace {

struct LearnState {
    VectorReader reader;
    codec::Training& training;
    MemoryContext context;
};

void learn_row(Relation, ItemPointer, Datum* values, bool* isnull, bool, void* arg)
{
    pg::guarded([&] {
        auto& s = *static_cast<LearnState*>(arg);
        if (isnull[0] || s.training.has_enough())
            return;
        CHECK_FOR_INTERRUPTS();
        const MemoryContext old = MemoryContextSwitchTo(s.context);
        graph::Value x;
        if (s.reader.read(values[0], &x))
            s.training.add(x);
        MemoryContextSwitchTo(old);
    });
}

// The parameters of the codec, learnt from the first rows of the table. Empty if there is nothing to learn.
std::span<const half> learn_codec(Relation heap, Relation index, IndexInfo* info,
                                  const codec::Codec& codec, uint64 seed)
{
    const Owned<codec::Training> training = codec.training();
    if (!training)
        return {};
    const std::span<half> parameters(
        static_cast<half*>(palloc0(codec.parameter_count() * sizeof(half))),
        codec.parameter_count());
    LearnState state{{opclass_of(index), codec, seed}, *training, CurrentMemoryContext};
    const BlockNumber blocks = heap ? RelationGetNumberOfBlocks(heap) : 0;
    for (BlockNumber from = 0, count = 64; from < blocks && !training->has_enough();
         from += count) {
        count = std::min(count, blocks - from);
        table_index_build_range_scan(heap, index, info, false, false, false, from, count, learn_row,
                                     &state, nullptr);
    }
    training->finish(seed, parameters.data(), pg::poll);
    return parameters;
}

}   // namespace

Learnt learn(Relation heap, Relation index, IndexInfo* info, const codec::Codec& codec,
             uint32 filter_columns, uint64 seed)
{
    return {learn_codec(heap, index, info, codec, seed),
            learn_filter(heap, index, info, filter_columns, seed)};
}

}   // namespace quiver::am
