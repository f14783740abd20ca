// Product quantization (Jegou, Douze, Schmid 2011, "Product quantization for nearest neighbor
// search"). A vector is cut into subvectors. Each subvector is replaced by the number of the
// nearest of 256 (8 bits) or 16 (4 bits) centroids, which k-means has found for this subvector. 128
// floats in 32 subvectors become 32 bytes.
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
    // The codebook has the centroids of each subvector, transposed (simd::Codebooks).
    size_t codebook_floats() const { return dims * centroids(); }
    // 8 bits: one byte per subvector. 4 bits: one byte per two subvectors, the first in the low
    // bits.
    size_t code_bytes() const { return bits == 8 ? subvectors : (subvectors + 1) / 2; }
    // What a query looks up: 256 floats for each byte of a code.
    size_t table_floats() const { return code_bytes() * 256; }
};

// Trains a codebook on `rows` x dims floats. poll() is called often and may throw (or longjmp).
void product_train(const ProductShape& shape, const float* x, size_t rows, uint64_t seed,
                   float* codebook, void (*poll)());

// Trains a rotation that makes product quantization more exact: directions that vary together come
// into the same subvector, and each subvector gets its share of the variance (Ge, He, Ke, Sun 2013,
// "Optimized product quantization", section 3.1). Row j of the dims x dims floats is the new axis
// j. The training takes seconds for hundreds of dimensions; the time grows with the square or the
// cube of their number.
void product_train_rotation(const ProductShape& shape, const float* x, size_t rows, uint64_t seed,
                            float* rotation, void (*poll)());
// Writes x in the new axes to y (rows x dims).
void product_rotate(const float* rotation, uint32_t dims, const float* x, size_t rows, float* y);
// Rotates one row back.
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

// Writes the centroids of a code, one after the other.
void product_decode(const ProductShape& shape, const float* codebook, const uint8_t* code,
                    float* x);

// Tables for simd::Codebooks::score. Their entries for a code add up to the values below, of a
// query q and the code's vector x'. For asymmetric distances, q is a vector; for symmetric
// distances, q was decoded from a code.
void product_l2sq_table(const ProductShape& shape, const float* codebook, const float* q,
                        float* table);   // |q - x'|^2
void product_ip_table(const ProductShape& shape, const float* codebook, const float* q,
                      float* table);   // <q, x'>

}   // namespace quiver::codec
