#if defined(__x86_64__)
#include "simd/kernels_generic.hpp"

#include "core/no_postgres.hpp"

constinit const quiver::simd::Kernels quiver::simd::avx2 = make<quiver::simd::Avx2>("avx2");
#endif
