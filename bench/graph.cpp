// The graph in memory, beside hnswlib: build time, recall and queries a second, one thread. INSERTS=1: the
// graph is built by inserts, also where CREATE INDEX builds it from leaves.
//   bench_graph BASE.fbin QUERIES.fbin GT.ibin METRIC(l2|cosine|ip) [M EF_CONSTRUCTION]
// *.fbin: int32 rows, int32 columns, then the numbers; ibin alike with int32.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#ifdef HAVE_HNSWLIB
#include <iostream>
#include <hnswlib/hnswlib.h>
#endif

#include "core/rng.hpp"
#include "graph/lifecycle.hpp"
#include "graph/check.hpp"
#include "graph/choose_encoding.hpp"
#include "graph/graph_build.hpp"
#include "graph/memory_store.hpp"
#include "graph/scan.hpp"
#include "codec/rotation.hpp"

using namespace quiver;
using namespace quiver::graph;
using Clock = std::chrono::steady_clock;

namespace {

template <class T>
std::vector<T> load(const char* path, int* rows, int* columns)
{
    FILE* f = std::fopen(path, "rb");
    if (!f || std::fread(rows, 4, 1, f) != 1 || std::fread(columns, 4, 1, f) != 1) {
        std::perror(path);
        std::exit(1);
    }
    std::vector<T> v(static_cast<size_t>(*rows) * static_cast<size_t>(*columns));
    if (std::fread(v.data(), sizeof(T), v.size(), f) != v.size())
        std::exit(1);
    std::fclose(f);
    return v;
}
double since(Clock::time_point t)
{
    return std::chrono::duration<double>(Clock::now() - t).count();
}

}   // namespace

int main(int argc, char** argv)
{
    if (argc < 5)
        return 2;
    int n, dim, nq, qdim, ngt, k;
    const auto base = load<float>(argv[1], &n, &dim), queries = load<float>(argv[2], &nq, &qdim);
    const auto gt = load<int>(argv[3], &ngt, &k);
    const std::string name = argv[4];
    using codec::Metric;
    const Metric metric = name == "l2" ? Metric::l2 : name == "ip" ? Metric::ip : Metric::cosine;
    const uint32_t m = argc > 5 ? static_cast<uint32_t>(std::atoi(argv[5])) : 16;
    const uint32_t efc = argc > 6 ? static_cast<uint32_t>(std::atoi(argv[6])) : 64;
    const auto udim = static_cast<size_t>(dim);

    const Encoding encoding(
        choose_encoding(codec::Form::dense, metric, static_cast<uint32_t>(dim), {m}, 8160));
    const Layout& layout = encoding.layout();
    std::printf("degree %u, fold %u, slot %u bytes, %u a page\n", layout.degree,
                encoding.shape().fold, layout.slot_bytes, layout.slots_per_page(8160));
    const codec::Rotation rotation(udim, 1);
    MemoryStore store(encoding);
    Inserter<MemoryStore> inserter(store, m, efc);
    Vec<float> rotated(encoding.codec().traits.padded);
    Rng rng(1);
    LevelDraw levels(1);
    auto start = Clock::now();
    Owned<GraphBuild> leaves;
    if (!std::getenv("INSERTS"))
        leaves = make_owned<GraphBuild>(store, BuildOptions{m, efc, 1});
    for (int i = 0; i < n; i++) {
        rotation.apply(&base[static_cast<size_t>(i) * udim], rotated.data());
        const Tid tid{static_cast<uint16_t>(i >> 16), static_cast<uint16_t>(i), 1};
        const int level = levels.draw(layout.level_base(), max_level);
        if (leaves)
            leaves->add({.dense = rotated.data()}, tid, level);
        else
            inserter.insert({.dense = rotated.data()}, tid, level);
    }
    if (leaves)
        leaves->finish(inserter);
    leaves.reset();
    std::printf("quiver: %d rows in %.1f s, %u slots, %.0f visits an insert\n", n, since(start),
                store.size(), static_cast<double>(inserter.counters().visited) / n);

    start = Clock::now();
    ensure_all(store, inserter);
    std::printf("connected in %.1f s\n", since(start));
    // CHURN=3: so often, half of the rows are deleted and inserted again.
    for (int round = 0; std::getenv("CHURN") && round < std::atoi(std::getenv("CHURN")); round++) {
        start = Clock::now();
        std::vector<int> again;
        Removal<MemoryStore> removal(store, m, efc);
        std::vector<bool> dead(static_cast<size_t>(n));
        for (int i = 0; i < n; i++)
            if (rng.next() % 2) {
                dead[static_cast<size_t>(i)] = true;
                again.push_back(i);
            }
        removal.run(
            [&](Tid t) { return dead[static_cast<size_t>(t.block_high) << 16 | t.block_low]; },
            [](uint64_t) { return true; });
        std::printf("round %d: repaired in %.1f s", round + 1, since(start));
        for (const int i : again) {
            rotation.apply(&base[static_cast<size_t>(i) * udim], rotated.data());
            inserter.insert({.dense = rotated.data()},
                            Tid{static_cast<uint16_t>(i >> 16), static_cast<uint16_t>(i), 1},
                            levels.draw(layout.level_base(), max_level));
        }
        std::printf(", %zu rows inserted in %.1f s\n", again.size(), since(start));
    }
    {
        std::map<std::string, size_t> problems;
        Checker<MemoryStore> checker(store, store.size());
        start = Clock::now();
        checker.run([&](SlotId, const char* problem) { problems[problem]++; }, [](SlotId, Tid) {});
        for (const auto& [problem, times] : problems)
            std::printf("%zu x %s\n", times, problem.c_str());
        std::printf("checked in %.1f s\n", since(start));
    }

    std::vector<size_t> efs{10, 20, 30, 40, 60, 80, 120, 200, 400};
    if (const char* one = std::getenv("EF"); one && *one)
        efs.assign(30, static_cast<size_t>(std::atoi(one)));
    Scan<MemoryStore> scan(store);
    const auto distance = [&](int q, int i) {
        const float *x = &queries[static_cast<size_t>(q) * udim],
                    *y = &base[static_cast<size_t>(i) * udim];
        return metric == Metric::ip ? -simd::kernels().f32.ip(x, y, udim)
                                    : simd::kernels().f32.l2sq(x, y, udim);
    };
    const auto recall_at_10 = [&](int q, const std::vector<int>& got) {
        const float worst = distance(q, gt[static_cast<size_t>(q) * static_cast<size_t>(k) + 9]);
        int good = 0;
        for (int i : got)
            good += distance(q, i) <= worst * (worst > 0 ? 1.000001f : 0.999999f);
        return std::min(good, 10) / 10.0;
    };
    for (size_t ef : efs) {
        double recall = 0, best = 1e9;
        uint64_t visited = 0, pulled = 0;
        for (int round = 0; round < 3; round++) {
            recall = 0, visited = 0, pulled = 0;
            start = Clock::now();
            for (int q = 0; q < nq; q++) {
                rotation.apply(&queries[static_cast<size_t>(q) * udim], rotated.data());
                scan.start({.dense = rotated.data()},
                           {ef, Iterate::strict, 20000, size_t{1} << 30});
                // What the executor does: exact distances, until ten are certain.
                std::vector<std::pair<double, int>> exact;
                std::vector<int> got;
                BoundedRow row;
                while (got.size() < 10 && scan.next_by_bound(&row)) {
                    pulled++;
                    const int i = row.tid.block_high << 16 | row.tid.block_low;
                    const double bound = row.low;
                    const double d = metric == Metric::ip   ? distance(q, i)
                                     : metric == Metric::l2 ? std::sqrt(distance(q, i))
                                                            : distance(q, i) / 2;
                    if (d < bound) {
                        std::printf("bound %.9g above exact %.9g\n", bound, d);
                        return 1;
                    }
                    std::sort(exact.begin(), exact.end());
                    while (!exact.empty() && exact.front().first <= bound && got.size() < 10) {
                        got.push_back(exact.front().second);
                        exact.erase(exact.begin());
                    }
                    exact.emplace_back(d, i);
                }
                visited += scan.counters().visited;
                recall += recall_at_10(q, got);
            }
            best = std::min(best, since(start));
        }
        std::printf("  ef %4zu  recall %.4f  visited %6.1f  pulled %5.1f  %8.0f/s\n", ef,
                    recall / nq, static_cast<double>(visited) / nq,
                    static_cast<double>(pulled) / nq, nq / best);
    }
#ifdef HAVE_HNSWLIB
    hnswlib::L2Space l2(udim);
    hnswlib::InnerProductSpace ip(udim);
    hnswlib::HierarchicalNSW<float> h(
        metric == Metric::l2 ? static_cast<hnswlib::SpaceInterface<float>*>(&l2) : &ip,
        static_cast<size_t>(n), m, efc);
    start = Clock::now();
    for (int i = 0; i < n; i++)
        h.addPoint(&base[static_cast<size_t>(i) * udim], static_cast<size_t>(i));
    std::printf("hnswlib: %.1f s\n", since(start));
    for (size_t ef : {20, 60, 120}) {
        h.ef_ = ef;
        double recall = 0, best = 1e9;
        for (int round = 0; round < 3; round++) {
            recall = 0;
            start = Clock::now();
            for (int q = 0; q < nq; q++) {
                auto r = h.searchKnn(&queries[static_cast<size_t>(q) * udim], 10);
                std::vector<int> got;
                for (; !r.empty(); r.pop())
                    got.push_back(static_cast<int>(r.top().second));
                recall += recall_at_10(q, got);
            }
            best = std::min(best, since(start));
        }
        std::printf("  ef %4zu  recall %.4f  %8.0f/s\n", ef, recall / nq, nq / best);
    }
#endif
    return 0;
}
