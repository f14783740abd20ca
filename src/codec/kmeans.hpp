// k-means (Lloyd 1957) from k-means++ seeds (Arthur and Vassilvitskii 2007).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/memory.hpp"
#include "core/rng.hpp"
#include "simd/kernels.hpp"

namespace quiver::codec {

// Centroids as simd::Codebooks has them, moved so that their mean is 0 (half the norm of what lies
// far from the origin would drown the differences), and made ready for the search of the nearest.
class NearestCentroid {
  public:
    // Copies; k is a multiple of 16.
    void set(const float* centroids, size_t dims, size_t k);
    // Rows are `stride` floats apart. gap (may be null): half of the squared distance to the
    // nearest, less half of |x - centre|^2.
    void find(const float* x, size_t stride, size_t count, uint32_t* best, float* gap = nullptr);
    const float* centre() const { return centre_.data(); }

  private:
    size_t dims_ = 0, k_ = 0;
    Vec<float> centroids_, half_norms_, centre_, rows_, gap_;
};

// The k centroids of `rows` x `dims` floats, transposed. k is a multiple of 16; with fewer rows than
// k, some are the same. Stops after `iterations` or when one gains less than 0.01 %. Without `rng` it
// begins with what is in `centroids`. poll() is called between iterations and may throw (or jump).
void kmeans(const float* x, size_t rows, size_t dims, size_t k, int iterations, Rng* rng,
            float* centroids, void (*poll)());

}   // namespace quiver::codec
