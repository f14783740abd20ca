// Product quantization (Jegou, Douze, Schmid 2011, "Product quantization for nearest neighbor
// search"): a vector is cut into subvectors, and each is replaced by the number of the nearest of
// 256 (8 bits) or 16 (4 bits) centroids that k-means found for its place. 128 floats in 32 subvectors
// become 32 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/kmeans.hpp"

namespace quiver::codec {

struct ProductShape {
    uint32_t dims, subvectors, bits;   // 1 <= subvectors <= dims; bits 4 or 8

    size_t centroids() const { return size_t{1} << bits; }
    // Where subvector s begins; lengths differ by at most one.
    size_t begin(size_t s) const { return s * dims / subvectors; }
    size_t length(size_t s) const { return begin(s + 1) - begin(s); }
    // The codebook: for each subvector its centroids, transposed (simd::Codebooks).
    size_t codebook_floats() const { return dims * centroids(); }
    // A byte a subvector, or two subvectors a byte, the first in the low bits.
    size_t code_bytes() const { return bits == 8 ? subvectors : (subvectors + 1) / 2; }
    // What a query looks up: 256 floats for each byte of a code.
    size_t table_floats() const { return code_bytes() * 256; }
};

// The codebook of `rows` x dims floats. poll() is called often and may throw (or jump).
void product_train(const ProductShape& shape, const float* x, size_t rows, uint64_t seed,
                   float* codebook, void (*poll)());

// A rotation after which product quantization loses less: directions that vary together come into one
// subvector, and each subvector gets its share of what there is (Ge, He, Ke, Sun 2013, "Optimized product
// quantization", section 3.1). Row j of the dims x dims floats is the new axis j. Takes seconds for
// hundreds of dimensions and grows with their square or cube.
void product_train_rotation(const ProductShape& shape, const float* x, size_t rows, uint64_t seed,
                            float* rotation, void (*poll)());
// y (rows x dims): x in the new axes.
void product_rotate(const float* rotation, uint32_t dims, const float* x, size_t rows, float* y);
// And back, one row.
void product_rotate_back(const float* rotation, uint32_t dims, const float* y, float* x);

class ProductEncoder {
  public:
    // The codebook is copied.
    ProductEncoder(const ProductShape& shape, const float* codebook);
    // x is rows x dims, codes rows x code_bytes().
    void encode(const float* x, size_t rows, uint8_t* codes);

  private:
    ProductShape shape_;
    Vec<NearestCentroid> nearest_;   // of each subvector
    Vec<uint32_t> best_;
};

// The centroids that a code names, one after the other.
void product_decode(const ProductShape& shape, const float* codebook, const uint8_t* code,
                    float* x);

// Tables for simd::Codebooks::score, of what adds up over the subvectors between a query q (floats:
// asymmetric; decoded from a code: symmetric) and a code's vector x'.
void product_l2sq_table(const ProductShape& shape, const float* codebook, const float* q,
                        float* table);   // |q - x'|^2
void product_ip_table(const ProductShape& shape, const float* codebook, const float* q,
                      float* table);   // <q, x'>

}   // namespace quiver::codec
