// Work of a fixed amount, for callgrind to count: ./check perf compares the instructions of each
// step_*() with baseline.tsv. Vectors come from a seeded generator; nothing depends on time or memory.
#include <cstdio>
#include <cstring>

#include "core/rng.hpp"
#include "graph/choose_encoding.hpp"
#include "graph/insert.hpp"
#include "graph/memory_store.hpp"
#include "graph/repair.hpp"
#include "graph/scan.hpp"
#include "codec/product.hpp"
#include "codec/rotation.hpp"

using namespace quiver;
using namespace quiver::graph;

namespace {

constexpr size_t rows = 1500, dims = 128, queries = 300;

// Values around a few centres, as data has them.
Vec<float> vectors(size_t count, uint64_t seed)
{
    Rng centres(1), rng(seed);
    Vec<float> centre(16 * dims), x(count * dims);
    for (float& v : centre)
        v = static_cast<float>(centres.unit());
    for (size_t i = 0; i < count; i++) {
        const float* c = &centre[rng.next() % 16 * dims];
        for (size_t j = 0; j < dims; j++)
            x[i * dims + j] = c[j] + static_cast<float>(rng.unit() + rng.unit() - 1) / 2;
    }
    return x;
}

struct Graph {
    Encoding encoding{choose_encoding(codec::Form::dense, codec::Metric::l2, dims, {16}, 8160)};
    codec::Rotation rotation{dims, 1};
    MemoryStore store{encoding};
    Inserter<MemoryStore> inserter{store, 16, 64};
    Scan<MemoryStore> scan{store};
    Vec<float> rotated = Vec<float>(encoding.codec().traits.padded);

    Value value(const float* x)
    {
        rotation.apply(x, rotated.data());
        return {.dense = rotated.data()};
    }
};

void poll() {}
double sink;

}   // namespace

// callgrind collects between the entry and the end of these.
extern "C" {
[[gnu::noinline]] void step_build(Graph& g, const Vec<float>& x)
{
    LevelDraw levels(1);
    for (size_t i = 0; i < rows; i++)
        g.inserter.insert(g.value(&x[i * dims]), Tid{0, static_cast<uint16_t>(i), 1},
                          levels.draw(g.encoding.layout().level_base(), max_level));
}
[[gnu::noinline]] void step_search(Graph& g, const Vec<float>& q)
{
    for (size_t i = 0; i < queries; i++) {
        g.scan.start(g.value(&q[i * dims]), {40, Iterate::strict, 20000, size_t{1} << 30});
        BoundedRow row{};
        for (int k = 0; k < 12 && g.scan.next_by_bound(&row); k++)
            ;
        sink += row.low;
    }
}
[[gnu::noinline]] void step_repair(Graph& g)
{
    const auto is_deleted = [](SlotId id) { return id % 10 == 3; };
    for (SlotId id = 0; id < g.store.size(); id++)
        if (is_deleted(id))
            g.store.slot(id).header().state = SlotState::deleted;
    Repairer<MemoryStore> repairer(g.store);
    for (SlotId id = 0; id < g.store.size(); id++)
        repairer.repair(id, is_deleted);
}
[[gnu::noinline]] void step_quantize(const Vec<float>& x)
{
    const codec::ProductShape shape{dims, 32, 4};
    Vec<float> codebook(shape.codebook_floats());
    codec::product_train(shape, x.data(), rows, 1, codebook.data(), poll);
    Vec<uint8_t> codes(rows * shape.code_bytes());
    codec::ProductEncoder(shape, codebook.data()).encode(x.data(), rows, codes.data());
    sink += codes[7];
}
}

int main()
{
    const Vec<float> x = vectors(rows, 2), q = vectors(queries, 3);
    Graph g;
    step_build(g, x);
    step_search(g, q);
    step_repair(g);
    step_quantize(x);
    std::printf("%g\n", sink);
    return 0;
}
