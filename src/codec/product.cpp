#include "codec/product.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/no_postgres.hpp"

namespace quiver::codec {

namespace {

// If rng_seed is null, training continues from the centroids in `codebook`.
void train(const ProductShape& shape, const float* x, size_t rows, const uint64_t* rng_seed,
           int iterations, float* codebook, void (*poll)())
{
    Vec<float> part;
    for (size_t s = 0; s < shape.subvectors; s++) {
        const size_t begin = shape.begin(s), length = shape.length(s);
        part.resize(rows * length);
        for (size_t i = 0; i < rows; i++)
            std::memcpy(part.data() + i * length, x + i * shape.dims + begin,
                        length * sizeof(float));
        Rng rng(rng_seed ? *rng_seed + s : 0);
        kmeans(part.data(), rows, length, shape.centroids(), iterations, rng_seed ? &rng : nullptr,
               codebook + begin * shape.centroids(), poll);
    }
}

// c[i * rows_b + j] = <row i of a, row j of b>
void multiply(const float* a, size_t rows_a, const float* b, size_t rows_b, size_t length, float* c,
              void (*poll)())
{
    for (size_t i = 0; i < rows_a; i++) {
        if (poll && i % 64 == 0)
            poll();
        simd::kernels().f32.ip_many(a + i * length, b, length, rows_b, length, c + i * rows_b);
    }
}

// b (columns x rows) = a (rows x columns) transposed
void transpose(const float* a, size_t rows, size_t columns, float* b)
{
    constexpr size_t tile = 16;
    for (size_t i = 0; i < rows; i += tile)
        for (size_t j = 0; j < columns; j += tile)
            for (size_t r = i; r < std::min(i + tile, rows); r++)
                for (size_t c = j; c < std::min(j + tile, columns); c++)
                    b[c * rows + r] = a[r * columns + c];
}

// Replaces m with the nearest orthogonal matrix, by the Newton-Schulz iteration (Higham 2008,
// "Functions of matrices", section 8.3). Returns false if the iteration does not converge, because
// m has no inverse.
bool make_orthogonal(Vec<float>& m, size_t n, void (*poll)())
{
    double total = 0;
    for (const float v : m)
        total += static_cast<double>(v) * v;
    if (!(total > 0) || !std::isfinite(total))
        return false;
    // This makes all singular values at most 1. Small ones grow by half in each iteration.
    const auto scale = static_cast<float>(1 / std::sqrt(total));
    for (float& v : m)
        v *= scale;
    Vec<float> square(n * n), turned(n * n), cube(n * n);
    constexpr int most = 100;
    for (int i = 0; i < most; i++) {
        multiply(m.data(), n, m.data(), n, n, square.data(), poll);
        float off = 0;
        for (size_t r = 0; r < n; r++)
            for (size_t c = 0; c < n; c++)
                off = std::max(off, std::fabs(square[r * n + c] - (r == c ? 1.0f : 0.0f)));
        if (off < 3e-5f)
            return true;
        transpose(m.data(), n, n, turned.data());
        multiply(square.data(), n, turned.data(), n, n, cube.data(), poll);
        for (size_t k = 0; k < n * n; k++)
            m[k] = 1.5f * m[k] - 0.5f * cube[k];
    }
    return false;
}

}   // namespace

void product_train(const ProductShape& shape, const float* x, size_t rows, uint64_t seed,
                   float* codebook, void (*poll)())
{
    train(shape, x, rows, &seed, 25, codebook, poll);
}

void product_train_rotation(const ProductShape& shape, const float* x, size_t rows, uint64_t seed,
                            float* rotation, void (*poll)())
{
    const size_t dims = shape.dims;
    rows = std::min(rows, std::max<size_t>(16384, 8 * dims));
    std::fill_n(rotation, dims * dims, 0.0f);
    for (size_t j = 0; j < dims; j++)
        rotation[j * dims + j] = 1;
    if (rows == 0)
        return;
    constexpr size_t chunk = 512;   // rows whose share of the product is added at once
    Vec<float> y(x, x + rows * dims), codebook(shape.codebook_floats()), decoded(chunk * dims),
        left(chunk * dims), right(chunk * dims), part(dims * dims), product(dims * dims);
    Vec<uint8_t> codes(rows * shape.code_bytes());
    constexpr int rounds = 12;
    for (int round = 0; round < rounds; round++) {
        train(shape, y.data(), rows, round == 0 ? &seed : nullptr, round == 0 ? 8 : 3,
              codebook.data(), poll);
        ProductEncoder(shape, codebook.data()).encode(y.data(), rows, codes.data());
        // Computes the rotation that brings the rows nearest to what their codes stand for, from
        // the sum of y' x^T (Schoenemann 1966). Directions about which the rows have no information
        // keep their old rotation.
        std::fill(product.begin(), product.end(), 0.0f);
        for (size_t i = 0; i < rows; i += chunk) {
            const size_t n = std::min(chunk, rows - i);
            for (size_t r = 0; r < n; r++)
                product_decode(shape, codebook.data(), codes.data() + (i + r) * shape.code_bytes(),
                               decoded.data() + r * dims);
            transpose(decoded.data(), n, dims, left.data());
            transpose(x + i * dims, n, dims, right.data());
            multiply(left.data(), dims, right.data(), dims, n, part.data(), poll);
            for (size_t k = 0; k < dims * dims; k++)
                product[k] += part[k];
        }
        double total = 0;
        for (const float v : product)
            total += static_cast<double>(v) * v;
        const auto keep = static_cast<float>(1e-4 * std::sqrt(total / static_cast<double>(dims)));
        for (size_t k = 0; k < dims * dims; k++)
            product[k] += keep * rotation[k];
        if (!make_orthogonal(product, dims, poll))
            break;
        std::copy(product.begin(), product.end(), rotation);
        multiply(x, rows, rotation, dims, dims, y.data(), poll);
    }
}

void product_rotate(const float* rotation, uint32_t dims, const float* x, size_t rows, float* y)
{
    multiply(x, rows, rotation, dims, dims, y, nullptr);
}

void product_rotate_back(const float* rotation, uint32_t dims, const float* y, float* x)
{
    std::fill_n(x, dims, 0.0f);
    for (size_t i = 0; i < dims; i++)
        for (size_t j = 0; j < dims; j++)
            x[j] += rotation[i * dims + j] * y[i];
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

// A byte of a 4-bit code has the numbers of two centroids, so its entry is the sum of theirs.
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

}   // namespace quiver::codec
