// Times the kernels beside plain loops, other libraries and the memory. bench/kernels runs it inside
// a Python process, so that SimSIMD's extension module can be loaded for its C functions.
//
// Both sides of each ratio alternate in one run, and each keeps its best of several rounds.
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#ifdef HAVE_FAISS
#include <faiss/utils/distances.h>
#include <faiss/utils/hamming.h>
#endif
#ifdef HAVE_HNSWLIB
#include <iostream>
#include <hnswlib/hnswlib.h>
#endif

#include "simd/kernels.hpp"

using namespace quiver;
using namespace quiver::simd;

namespace {

using Clock = std::chrono::steady_clock;
double sink;   // keeps results alive

double seconds(const std::function<double()>& body)
{
    const auto start = Clock::now();
    sink += body();
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// ---- plain loops; reassociation is allowed, or the compiler could not vectorize them ----

#define PLAIN __attribute__((noinline, optimize("O3", "fast-math")))
PLAIN float plain_l2sq(const float* a, const float* b, size_t n)
{
    float s = 0;
    for (size_t i = 0; i < n; i++)
        s += (a[i] - b[i]) * (a[i] - b[i]);
    return s;
}
PLAIN float plain_ip(const float* a, const float* b, size_t n)
{
    float s = 0;
    for (size_t i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}
PLAIN float plain_l1(const float* a, const float* b, size_t n)
{
    float s = 0;
    for (size_t i = 0; i < n; i++)
        s += std::abs(a[i] - b[i]);
    return s;
}
PLAIN float plain_cosine(const float* a, const float* b, size_t n)
{
    float s = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        s += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    return s / (aa * bb);
}
PLAIN float plain_half_l2sq(const half* a, const half* b, size_t n)
{
    float s = 0;
    for (size_t i = 0; i < n; i++) {
        const float d = to_float(a[i]) - to_float(b[i]);
        s += d * d;
    }
    return s;
}
PLAIN int32_t plain_short_ip(const int16_t* a, const uint8_t* b, size_t n)
{
    int32_t s = 0;
    for (size_t i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}
PLAIN uint32_t plain_u8_l2sq(const uint8_t* a, const uint8_t* b, size_t n)
{
    uint32_t s = 0;
    for (size_t i = 0; i < n; i++) {
        const int d = a[i] - b[i];
        s += static_cast<uint32_t>(d * d);
    }
    return s;
}
PLAIN uint32_t plain_u8_ip(const uint8_t* a, const uint8_t* b, size_t n)
{
    uint32_t s = 0;
    for (size_t i = 0; i < n; i++)
        s += static_cast<uint32_t>(a[i]) * b[i];
    return s;
}
PLAIN uint64_t plain_hamming(const uint8_t* a, const uint8_t* b, size_t n)
{
    uint64_t s = 0;
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint64_t x, y;
        std::memcpy(&x, a + i, 8);
        std::memcpy(&y, b + i, 8);
        s += static_cast<uint64_t>(__builtin_popcountll(x ^ y));
    }
    return s;
}

// ---- contestants: name -> distance from query `a` to row `b` of n elements ----

using Distance = std::function<double(const void* a, const void* b, size_t n)>;
// The sum of the distances of `count` rows that lie one after the other.
using Batch = std::function<double(const void* a, const void* b, size_t count, size_t n)>;
using Simsimd = void (*)(const void*, const void*, uint64_t, double*);

void* simsimd_library = nullptr;

struct Row {
    const char* name;
    size_t element;   // bytes of a stored element; bit strings count bytes
    size_t divide;    // dimensions a byte, for bit strings
    std::function<Distance(const Kernels&)> ours;
    Distance plain;
    std::map<std::string, Distance> others;
    std::function<Batch(const Kernels&)> batch = {};
};

// Calls through a plain function pointer, for all contestants alike.
template <class A, class B, class R>
Distance wrap(R (*f)(const A*, const B*, size_t))
{
    return [f](const void* a, const void* b, size_t n) {
        return static_cast<double>(f(static_cast<const A*>(a), static_cast<const B*>(b), n));
    };
}

template <class A, class B, class R>
Batch wrap_many(void (*f)(const A*, const B*, size_t, size_t, size_t, R*))
{
    return [f](const void* a, const void* b, size_t count, size_t n) {
        static R out[1024];
        double total = 0;
        for (size_t i = 0; i < count; i += std::size(out)) {
            const size_t rows = std::min(std::size(out), count - i);
            f(static_cast<const A*>(a), static_cast<const B*>(b) + i * n, n, rows, n, out);
            if constexpr (std::is_arithmetic_v<R>)
                total += static_cast<double>(out[0]);
            else
                total += static_cast<double>(out[0].dot);
        }
        return total;
    };
}

Distance simsimd(const char* name)
{
    if (!simsimd_library)
        return {};
    auto f = reinterpret_cast<Simsimd>(dlsym(simsimd_library, name));
    if (!f)
        return {};
    return [f](const void* a, const void* b, size_t n) {
        double d;
        f(a, b, n, &d);
        return d;
    };
}

std::vector<Row> rows()
{
    std::vector<Row> r;
    r.push_back({"f32 l2sq",
                 4,
                 1,
                 [](const Kernels& k) { return wrap(k.f32.l2sq); },
                 wrap(plain_l2sq),
                 {{"simsimd", simsimd("simsimd_l2sq_f32")}}});
    r.push_back({"f32 ip",
                 4,
                 1,
                 [](const Kernels& k) { return wrap(k.f32.ip); },
                 wrap(plain_ip),
                 {{"simsimd", simsimd("simsimd_dot_f32")}}});
    r.push_back(
        {"f32 l1", 4, 1, [](const Kernels& k) { return wrap(k.f32.l1); }, wrap(plain_l1), {}});
    r.push_back({"f32 cosine",
                 4,
                 1,
                 [](const Kernels& k) -> Distance {
                     auto f = k.f32.cosine;
                     return [f](const void* a, const void* b, size_t n) {
                         const auto t =
                             f(static_cast<const float*>(a), static_cast<const float*>(b), n);
                         return t.dot / (t.aa * t.bb);
                     };
                 },
                 wrap(plain_cosine),
                 {{"simsimd", simsimd("simsimd_cos_f32")}}});
    r.push_back({"f16 l2sq",
                 2,
                 1,
                 [](const Kernels& k) { return wrap(k.f16.l2sq); },
                 wrap(plain_half_l2sq),
                 {{"simsimd", simsimd("simsimd_l2sq_f16")}}});
    r.push_back({"i16 x u8 ip",
                 1,
                 1,
                 [](const Kernels& k) { return wrap(k.i16_u8.ip); },
                 wrap(plain_short_ip),
                 {}});
    r.push_back({"u8 l2sq",
                 1,
                 1,
                 [](const Kernels& k) { return wrap(k.u8.l2sq); },
                 wrap(plain_u8_l2sq),
                 {{"simsimd", simsimd("simsimd_l2sq_u8")}}});
    r.push_back({"u8 ip",
                 1,
                 1,
                 [](const Kernels& k) { return wrap(k.u8.ip); },
                 wrap(plain_u8_ip),
                 {{"simsimd", simsimd("simsimd_dot_u8")}}});
    r.push_back({"bit hamming",
                 1,
                 8,
                 [](const Kernels& k) { return wrap(k.bits.hamming); },
                 wrap(plain_hamming),
                 {{"simsimd", simsimd("simsimd_hamming_b8")}}});
    r[0].batch = [](const Kernels& k) { return wrap_many(k.f32.l2sq_many); };
    r[1].batch = [](const Kernels& k) { return wrap_many(k.f32.ip_many); };
    r[2].batch = [](const Kernels& k) { return wrap_many(k.f32.l1_many); };
    r[3].batch = [](const Kernels& k) { return wrap_many(k.f32.cosine_many); };
    r[4].batch = [](const Kernels& k) { return wrap_many(k.f16.l2sq_many); };
    r[5].batch = [](const Kernels& k) { return wrap_many(k.i16_u8.ip_many); };
    r[6].batch = [](const Kernels& k) { return wrap_many(k.u8.l2sq_many); };
    r[7].batch = [](const Kernels& k) { return wrap_many(k.u8.ip_many); };
    r[8].batch = [](const Kernels& k) { return wrap_many(k.bits.hamming_many); };
#ifdef HAVE_FAISS
    r[0].others["faiss"] = wrap(faiss::fvec_L2sqr);
    r[1].others["faiss"] = wrap(faiss::fvec_inner_product);
    r[2].others["faiss"] = wrap(faiss::fvec_L1);
    r[8].others["faiss"] = [](const void* a, const void* b, size_t n) {
        faiss::HammingComputerDefault h(static_cast<const uint8_t*>(a), static_cast<int>(n));
        return static_cast<double>(h.hamming(static_cast<const uint8_t*>(b)));
    };
#endif
#ifdef HAVE_HNSWLIB
    // Picks its kernel by dimension, as its index does.
    r[0].others["hnswlib"] = [](const void* a, const void* b, size_t n) {
        static size_t dim = 0;
        static hnswlib::DISTFUNC<float> f;
        if (dim != n)
            f = hnswlib::L2Space(dim = n).get_dist_func();
        return static_cast<double>(f(a, b, &n));
    };
    r[1].others["hnswlib"] = [](const void* a, const void* b, size_t n) {
        static size_t dim = 0;
        static hnswlib::DISTFUNC<float> f;
        if (dim != n)
            f = hnswlib::InnerProductSpace(dim = n).get_dist_func();
        return static_cast<double>(f(a, b, &n));
    };
#endif
    return r;
}

struct Data {
    char* base;
    size_t bytes;
};

// GB/s of stored vectors: `count` rows of `stride` bytes, gone through `repeat` times.
double gbps(const Distance& f, const void* q, const char* base, size_t stride, size_t count,
            size_t n, size_t repeat)
{
    const double s = seconds([&] {
        double total = 0;
        for (size_t r = 0; r < repeat; r++)
            for (size_t i = 0; i < count; i++)
                total += f(q, base + i * stride, n);
        return total;
    });
    return static_cast<double>(stride * count * repeat) / s / 1e9;
}

// The bandwidth that a reader can get: sums 64-bit words with wide loads, several streams.
PLAIN uint64_t read_all(const char* base, size_t bytes)
{
    uint64_t s = 0;
    const auto* w = reinterpret_cast<const uint64_t*>(base);
    for (size_t i = 0; i < bytes / 8; i++)
        s += w[i];
    return s;
}

}   // namespace

extern "C" int bench_kernels(const char* simsimd_path, size_t megabytes, const char* only)
{
    if (simsimd_path && *simsimd_path) {
        simsimd_library = dlopen(simsimd_path, RTLD_LAZY | RTLD_LOCAL);
        if (!simsimd_library)
            std::printf("no SimSIMD: %s\n", dlerror());
    }
    Data memory{nullptr, megabytes << 20};
    memory.base = static_cast<char*>(std::aligned_alloc(4096, memory.bytes));
    // Small finite floats in each of the formats: bytes of 0x2c to 0x3b.
    std::mt19937_64 rng(1);
    for (size_t i = 0; i < memory.bytes; i += 8) {
        const uint64_t w = (rng() & 0x0f0f0f0f0f0f0f0full) + 0x2c2c2c2c2c2c2c2cull;
        std::memcpy(memory.base + i, &w, 8);
    }
    const auto queries = rows();
    // Aligned, or the figures depend on where malloc happens to put it.
    alignas(64) static float query[16384];
    std::memcpy(query, memory.base + 123 * 64, sizeof query);

    double least_bandwidth = INFINITY, most_bandwidth = 0;
    const auto measure_bandwidth = [&] {
        const double s =
            seconds([&] { return static_cast<double>(read_all(memory.base, memory.bytes)); });
        return static_cast<double>(memory.bytes) / s / 1e9;
    };

    std::printf(
        "GB/s of stored vectors. L1: rows that fit the first-level cache, one a call; memory: %zu "
        "MB, in batches.\n"
        "best other: the fastest of faiss, hnswlib, SimSIMD. bandwidth: of a plain read, in turns "
        "with the kernel.\n\n",
        megabytes);
    std::printf("%-12s %5s %-9s %8s %8s %-16s %9s %9s | %8s %11s\n", "kernel", "dims", "level",
                "L1 GB/s", "plain", "best other", "to plain", "to best", "memory", "of bandwidth");
    for (const Row& row : queries) {
        if (!std::strstr(row.name, only))
            continue;
        for (size_t dims : {128, 384, 768, 1536, 4096}) {
            const size_t n = dims / row.divide;
            const size_t stride = n * row.element;
            const size_t in_l1 = std::max<size_t>(1, 12288 / stride);
            const size_t repeat = std::max<size_t>(1, (size_t{24} << 20) / (stride * in_l1));
            const size_t in_memory = memory.bytes / stride;
            std::map<std::string, double> best;
            std::map<std::string, double> from_memory;
            for (int round = 0; round < 7; round++) {
                const auto run = [&](const std::string& name, const Distance& f) {
                    if (f)
                        best[name] = std::max(
                            best[name], gbps(f, query, memory.base, stride, in_l1, n, repeat));
                };
                run("plain", row.plain);
                for (const auto& [name, f] : row.others)
                    run(name, f);
                for (Level level : available_levels())
                    run(level_name(level), row.ours(kernels_at(level)));
            }
            // In turns, and as often: the bandwidth of a shared machine changes as one looks.
            double bandwidth = 0;
            for (int round = 0; round < 11; round++) {
                bandwidth = std::max(bandwidth, measure_bandwidth());
                for (Level level : available_levels()) {
                    double& rate = from_memory[level_name(level)];
                    if (row.batch) {
                        const Batch f = row.batch(kernels_at(level));
                        const double s =
                            seconds([&] { return f(query, memory.base, in_memory, n); });
                        rate = std::max(rate, static_cast<double>(stride * in_memory) / s / 1e9);
                    } else
                        rate = std::max(rate, gbps(row.ours(kernels_at(level)), query, memory.base,
                                                   stride, in_memory, n, 1));
                }
            }
            least_bandwidth = std::min(least_bandwidth, bandwidth);
            most_bandwidth = std::max(most_bandwidth, bandwidth);
            std::string rival = "-";
            for (const auto& [name, f] : row.others)
                if (f && (rival == "-" || best[name] > best[rival]))
                    rival = name;
            for (Level level : available_levels()) {
                const char* name = level_name(level);
                char other[32] = "-", ratio[32] = "-";
                if (rival != "-") {
                    std::snprintf(other, sizeof other, "%.1f %s", best[rival], rival.c_str());
                    std::snprintf(ratio, sizeof ratio, "%.2f", best[name] / best[rival]);
                }
                std::printf("%-12s %5zu %-9s %8.1f %8.1f %-16s %9.2f %9s | %8.1f %11.2f\n",
                            row.name, dims, name, best[name], best["plain"], other,
                            best[name] / best["plain"], ratio, from_memory[name],
                            from_memory[name] / bandwidth);
            }
            std::fflush(stdout);
        }
    }
    std::printf("\nbandwidth of a plain read: %.1f to %.1f GB/s\n", least_bandwidth,
                most_bandwidth);
    std::free(memory.base);
    return sink == 42 ? 1 : 0;
}
