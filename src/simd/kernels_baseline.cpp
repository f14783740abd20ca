#include "simd/kernels_generic.hpp"

#include "core/no_postgres.hpp"

// Named rather than xsimd::default_arch on x86-64: flags such as -march=native must not raise it.
#if defined(__x86_64__)
using Baseline = xsimd::sse2;
#else
using Baseline = xsimd::default_arch;
#endif

constinit const quiver::simd::Kernels quiver::simd::baseline = make<Baseline>("baseline");
