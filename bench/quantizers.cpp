// The quantizers as C functions, for bench/quantizers.py.
#include "quant/product.hpp"
#include "quant/scalar.hpp"

using namespace quiver;
using namespace quiver::quant;

extern "C" {

void pq_train(uint32_t dims, uint32_t subvectors, uint32_t bits, const float* x, size_t rows,
              float* codebook)
{
    product_train({dims, subvectors, bits}, x, rows, 1, codebook, [] {});
}

void pq_train_rotation(uint32_t dims, uint32_t subvectors, uint32_t bits, const float* x,
                       size_t rows, float* rotation)
{
    quant::product_train_rotation({dims, subvectors, bits}, x, rows, 1, rotation, [] {});
}

void pq_encode(uint32_t dims, uint32_t subvectors, uint32_t bits, const float* codebook,
               const float* x, size_t rows, uint8_t* codes)
{
    ProductEncoder({dims, subvectors, bits}, codebook).encode(x, rows, codes);
}

// Squared distances of q to all codes.
void pq_distances(uint32_t dims, uint32_t subvectors, uint32_t bits, const float* codebook,
                  const float* q, const uint8_t* codes, size_t rows, float* out)
{
    const ProductShape shape{dims, subvectors, bits};
    Vec<float> table(shape.table_floats());
    product_l2sq_table(shape, codebook, q, table.data());
    simd::kernels().codebooks.score(table.data(), shape.code_bytes(), codes, shape.code_bytes(),
                                    rows, out);
}

// Each `times` over, as a call from Python costs more than many distances.
void f32_distances(size_t dims, const float* q, const float* x, size_t rows, float* out,
                   size_t times)
{
    while (times-- > 0)
        simd::kernels().f32.l2sq_many(q, x, dims, rows, dims, out);
}

void u8_distances(size_t dims, const uint8_t* q, const uint8_t* x, size_t rows, uint32_t* out,
                  size_t times)
{
    while (times-- > 0)
        simd::kernels().u8.l2sq_many(q, x, dims, rows, dims, out);
}

void bit_distances(size_t bytes, const uint8_t* q, const uint8_t* x, size_t rows, uint64_t* out,
                   size_t times)
{
    while (times-- > 0)
        simd::kernels().bits.hamming_many(q, x, bytes, rows, bytes, out);
}

void code_distances(size_t bytes, const float* table, const uint8_t* codes, size_t rows, float* out,
                    size_t times)
{
    while (times-- > 0)
        simd::kernels().codebooks.score(table, bytes, codes, bytes, rows, out);
}
}
