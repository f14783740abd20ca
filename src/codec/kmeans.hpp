// k-means (Lloyd 1957) from k-means++ seeds (Arthur and Vassilvitskii 2007).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/memory.hpp"
#include "core/rng.hpp"
#include "simd/kernels.hpp"

namespace quiver::codec {

// Finds the nearest of k centroids. The centroids are laid out as in simd::Codebooks and moved so
// that their mean is 0: far from the origin, half of their squared norms would be so large that the
// differences between centroids would be lost to rounding.
class NearestCentroid {
  public:
    // Copies the centroids. k must be a multiple of 16.
    void set(const float* centroids, size_t dims, size_t k);
    // Rows are `stride` floats apart. gap, which may be null, gets half of the squared distance to
    // the nearest centroid minus half of |x - centre|^2.
    void find(const float* x, size_t stride, size_t count, uint32_t* best, float* gap = nullptr);
    const float* centre() const { return centre_.data(); }

  private:
    static constexpr size_t at_once = 64;   // rows that stay in the first-level cache

    size_t dims_ = 0, k_ = 0;
    Vec<float> centroids_, half_norms_, centre_, rows_, gap_;
};

// Computes k centroids of `rows` x `dims` floats, transposed. k must be a multiple of 16. If there
// are fewer rows than k, some centroids are equal. Stops after `iterations` iterations, or when one
// reduces the error by less than 0.01 %. If `rng` is null, it starts from the centroids in
// `centroids`. poll() is called between iterations and may throw (or longjmp).
void kmeans(const float* x, size_t rows, size_t dims, size_t k, int iterations, Rng* rng,
            float* centroids, void (*poll)());

}   // namespace quiver::codec
