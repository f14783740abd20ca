// The quantizers as C functions, for bench/quantizers.py.
#include "codec/nearest.hpp"
#include "codec/product.hpp"
#include "codec/scalar.hpp"

using namespace quiver;
using namespace quiver::codec;

extern "C" {

void pq_train(uint32_t dims, uint32_t subvectors, uint32_t bits, const float* x, size_t rows,
              float* codebook)
{
    product_train({dims, subvectors, bits}, x, rows, 1, codebook, [] {});
}

void pq_train_rotation(uint32_t dims, uint32_t subvectors, uint32_t bits, const float* x,
                       size_t rows, float* rotation)
{
    codec::product_train_rotation({dims, subvectors, bits}, x, rows, 1, rotation, [] {});
}

void pq_encode(uint32_t dims, uint32_t subvectors, uint32_t bits, const float* codebook,
               const float* x, size_t rows, uint8_t* codes)
{
    ProductEncoder({dims, subvectors, bits}, codebook).encode(x, rows, codes);
}

// The k nearest codes of q, nearest first.
void pq_search(uint32_t dims, uint32_t subvectors, uint32_t bits, const float* codebook,
               const float* q, const uint8_t* codes, const int64_t* ids, size_t rows, size_t k,
               int64_t* out)
{
    const ProductShape shape{dims, subvectors, bits};
    Vec<float> table(shape.table_floats());
    product_l2sq_table(shape, codebook, q, table.data());
    Nearest nearest(k);
    ProductNearest(bits, shape.code_bytes(), table.data(), 1)
        .add(codes, shape.code_bytes(), rows, ids, &nearest);
    for (const Nearest::Found& f : nearest.sorted())
        *out++ = f.id;
}

// Distances to all rows, `times` over, as a call from Python costs more than many distances. As in a
// search they are looked at soon, and not kept: a block of them goes where the one before was.
constexpr size_t block = 1024;

void f32_distances(size_t dims, const float* q, const float* x, size_t rows, float* out,
                   size_t times)
{
    while (times-- > 0)
        for (size_t i = 0; i < rows; i += block)
            simd::kernels().f32.l2sq_many(q, x + i * dims, dims, std::min(block, rows - i), dims,
                                          out);
}

void u8_distances(size_t dims, const uint8_t* q, const uint8_t* x, size_t rows, uint32_t* out,
                  size_t times)
{
    while (times-- > 0)
        for (size_t i = 0; i < rows; i += block)
            simd::kernels().u8.l2sq_many(q, x + i * dims, dims, std::min(block, rows - i), dims,
                                         out);
}

void bit_distances(size_t bytes, const uint8_t* q, const uint8_t* x, size_t rows, uint64_t* out,
                   size_t times)
{
    while (times-- > 0)
        for (size_t i = 0; i < rows; i += block)
            simd::kernels().bits.hamming_many(q, x + i * bytes, bytes, std::min(block, rows - i),
                                              bytes, out);
}
}
