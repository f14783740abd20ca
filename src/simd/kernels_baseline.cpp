#include "simd/kernels_generic.hpp"

#include "core/no_postgres.hpp"

// On x86-64 this is not xsimd::default_arch, because flags such as -march=native must not raise the
// baseline.
#if defined(__x86_64__)
using Baseline = xsimd::sse2;
#else
using Baseline = xsimd::default_arch;
#endif

constinit const quiver::simd::Kernels quiver::simd::baseline = make<Baseline>("baseline");
