#include "quant/product.hpp"

#include <algorithm>
#include <cstring>

#include "core/no_postgres.hpp"

namespace quiver::quant {

void product_train(const ProductShape& shape, const float* x, size_t rows, uint64_t seed,
                   float* codebook, void (*poll)())
{
    constexpr int iterations = 25;
    Vec<float> part;
    for (size_t s = 0; s < shape.subvectors; s++) {
        const size_t begin = shape.begin(s), length = shape.length(s);
        part.resize(rows * length);
        for (size_t i = 0; i < rows; i++)
            std::memcpy(part.data() + i * length, x + i * shape.dims + begin,
                        length * sizeof(float));
        Rng rng(seed + s);
        kmeans(part.data(), rows, length, shape.centroids(), iterations, rng,
               codebook + begin * shape.centroids(), poll);
    }
}

ProductEncoder::ProductEncoder(const ProductShape& shape, const float* codebook)
    : shape_(shape), nearest_(shape.subvectors)
{
    for (size_t s = 0; s < shape.subvectors; s++)
        nearest_[s].set(codebook + shape.begin(s) * shape.centroids(), shape.length(s),
                        shape.centroids());
}

void ProductEncoder::encode(const float* x, size_t rows, uint8_t* codes)
{
    constexpr size_t at_once = 256;
    const size_t bytes = shape_.code_bytes();
    best_.resize(at_once);
    for (size_t i = 0; i < rows; i += at_once) {
        const size_t n = std::min(at_once, rows - i);
        uint8_t* to = codes + i * bytes;
        std::memset(to, 0, n * bytes);
        for (size_t s = 0; s < shape_.subvectors; s++) {
            nearest_[s].find(x + i * shape_.dims + shape_.begin(s), shape_.dims, n, best_.data());
            const size_t byte = shape_.bits == 8 ? s : s / 2;
            const size_t shift = shape_.bits == 8 ? 0 : 4 * (s % 2);
            for (size_t r = 0; r < n; r++)
                to[r * bytes + byte] |= static_cast<uint8_t>(best_[r] << shift);
        }
    }
}

void product_decode(const ProductShape& shape, const float* codebook, const uint8_t* code, float* x)
{
    const size_t k = shape.centroids();
    for (size_t s = 0; s < shape.subvectors; s++) {
        const size_t c = shape.bits == 8 ? code[s] : code[s / 2] >> (4 * (s % 2)) & 15;
        for (size_t j = shape.begin(s); j < shape.begin(s + 1); j++)
            x[j] = codebook[j * k + c];
    }
}

namespace {

// One byte of a 4-bit code names two centroids: its entry is the sum of theirs.
template <class Kernel>
void fill(const ProductShape& shape, const float* codebook, const float* q, Kernel kernel,
          float* table)
{
    const size_t k = shape.centroids();
    for (size_t s = 0; s < shape.subvectors; s++) {
        const size_t begin = shape.begin(s);
        float out[256];
        kernel(q + begin, shape.length(s), codebook + begin * k, k, out);
        if (shape.bits == 8)
            std::memcpy(table + s * 256, out, sizeof out);
        else
            for (size_t b = 0; b < 256; b++) {
                float& entry = table[s / 2 * 256 + b];
                entry = s % 2 ? entry + out[b >> 4] : out[b & 15];
            }
    }
}

}   // namespace

void product_l2sq_table(const ProductShape& shape, const float* codebook, const float* q,
                        float* table)
{
    fill(shape, codebook, q, simd::kernels().codebooks.l2sq, table);
}

void product_ip_table(const ProductShape& shape, const float* codebook, const float* q,
                      float* table)
{
    fill(shape, codebook, q, simd::kernels().codebooks.ip, table);
}

}   // namespace quiver::quant
