#if defined(__x86_64__)
#include "simd/kernels_generic.hpp"

#include "core/no_postgres.hpp"

constinit const quiver::simd::Kernels quiver::simd::avx512 = make<quiver::simd::Avx512>("avx512");
#endif
