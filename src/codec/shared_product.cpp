#include "codec/shared_product.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/assert.hpp"
#include "core/no_postgres.hpp"

namespace quiver::codec {

namespace {

// Calls f with the length as a constant, so that the compiler can unroll loops.
template <class F>
void with_length(size_t length, F&& f)
{
    switch (length) {
    case 2: f(std::integral_constant<size_t, 2>{}); break;
    case 4: f(std::integral_constant<size_t, 4>{}); break;
    default: f(std::integral_constant<size_t, 8>{}); break;
    }
}

// The sum of product(part s, coordinate i, length) over n coordinates.
template <class F>
float sum_of_products(size_t length, size_t n, F&& product)
{
    float sum[8] = {};
    with_length(length, [&](auto l) {
        for (size_t i = 0; i < n; i += 8)
            for (size_t j = 0; j < 8; j++)
                sum[j] += product((i + j) / l, i + j, l);
    });
    float total = 0;
    for (const float v : sum)
        total += v;
    return total;
}

}   // namespace

void SharedCodebook::set(const half* stored, size_t length, size_t most)
{
    length_ = length;
    scaled_.resize(most);
    best_.resize(most / length);
    rows_.resize(floats_of(length));
    transposed_.resize(floats_of(length));
    for (size_t i = 0; i < centroids; i++)
        for (size_t j = 0; j < length; j++)
            rows_[i * length + j] = transposed_[j * centroids + i] =
                to_float(stored[i * length + j]);
    nearest_.set(transposed_.data(), length, centroids);
}

CodeParams SharedCodebook::encode(const float* x, size_t n, uint8_t* code)
{
    const size_t parts = n / length_;
    const double norm2 = simd::kernels().norm2_f32(x, n);
    const double scale = std::sqrt(norm2 / static_cast<double>(n));
    float inverse = scale > 0 ? static_cast<float>(1 / scale) : 0.0f;
    if (!std::isfinite(inverse))
        inverse = 0;
    QUIVER_ASSERT(n <= scaled_.size());
    for (size_t i = 0; i < n; i++)
        scaled_[i] = x[i] * inverse;
    nearest_.find(scaled_.data(), length_, parts, best_.data());
    for (size_t s = 0; s < parts; s++) {
        code[s] = static_cast<uint8_t>(best_[s]);
        std::memcpy(scaled_.data() + s * length_, rows_.data() + best_[s] * length_,
                    length_ * sizeof(float));
    }
    // The scale that brings the centroids c nearest to x: <x, c> / <c, c>.
    double xc = 0, cc = 0;
    for (size_t i = 0; i < n; i++) {
        xc += static_cast<double>(x[i]) * scaled_[i];
        cc += static_cast<double>(scaled_[i]) * scaled_[i];
    }
    CodeParams p{};
    p.scale = cc > 0 && xc > 0 ? static_cast<float>(xc / cc) : 0.0f;
    p.norm2 = static_cast<float>(static_cast<double>(p.scale) * p.scale * cc);
    double error2 = 0;
    for (size_t i = 0; i < n; i++) {
        const double e = x[i] - static_cast<double>(p.scale) * scaled_[i];
        error2 += e * e;
    }
    p.error = std::nextafter(static_cast<float>(std::sqrt(error2)), INFINITY);
    return p;
}

void SharedCodebook::decode(const CodeParams& p, const uint8_t* code, size_t n, float* to) const
{
    with_length(length_, [&](auto length) {
        for (size_t s = 0; s < n / length; s++)
            for (size_t j = 0; j < length; j++)
                to[s * length + j] = p.scale * rows_[code[s] * length + j];
    });
}

float SharedCodebook::ip(const CodeParams& px, const uint8_t* x, const CodeParams& py,
                         const uint8_t* y, size_t n) const
{
    return px.scale * py.scale *
           sum_of_products(length_, n, [&](size_t s, size_t i, size_t length) {
               return rows_[x[s] * length + i % length] * rows_[y[s] * length + i % length];
           });
}

void SharedQuery::set(const SharedCodebook& codebook, const float* q, size_t n)
{
    constexpr size_t most_parts = 512;   // 512 kB
    codebook_ = &codebook;
    q_ = q;
    n_ = n;
    const size_t length = codebook.length_, parts = n / length;
    table_.resize(parts <= most_parts ? parts * SharedCodebook::centroids : 0);
    for (size_t s = 0; s < parts && !table_.empty(); s++)
        simd::kernels().codebooks.ip(q + s * length, length, codebook.transposed_.data(),
                                     SharedCodebook::centroids,
                                     table_.data() + s * SharedCodebook::centroids);
}

float SharedQuery::ip(const CodeParams& p, const uint8_t* code) const
{
    const float* rows = codebook_->rows_.data();
    float sum;
    if (!table_.empty())
        simd::kernels().codebooks.score(table_.data(), n_ / codebook_->length_, code, 0, 1, &sum);
    else
        sum = sum_of_products(codebook_->length_, n_, [&](size_t s, size_t i, size_t length) {
            return q_[i] * rows[code[s] * length + i % length];
        });
    return p.scale * sum;
}

void SharedTrainer::add(const float* x, size_t n)
{
    dims_ = n;
    if (std::isfinite(simd::kernels().norm2_f32(x, n)))
        rows_.insert(rows_.end(), x, x + n);
}

void SharedTrainer::centre(half* mean, size_t n)
{
    std::fill_n(mean, n, to_half(0.0f));
    if (dims_ != n || rows_.size() < few * n)
        return;
    const size_t count = rows_.size() / n;
    for (size_t j = 0; j < n; j++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += rows_[i * n + j];
        // Clamps to the range of a half. Vectors with larger means gain little from a centre.
        const double most = 65504;
        mean[j] =
            to_half(static_cast<float>(std::clamp(sum / static_cast<double>(count), -most, most)));
        for (size_t i = 0; i < count; i++)
            rows_[i * n + j] -= to_float(mean[j]);
    }
}

void SharedTrainer::train(uint64_t seed, half* stored, void (*poll)())
{
    Vec<float> parts;
    for (size_t i = 0; i < rows_.size(); i += dims_) {
        const float* x = rows_.data() + i;
        const double norm2 = simd::kernels().norm2_f32(x, dims_);
        const auto inverse = static_cast<float>(std::sqrt(static_cast<double>(dims_) / norm2));
        if (!(norm2 > 0) || !std::isfinite(norm2) || !std::isfinite(inverse))
            continue;
        for (size_t j = 0; j < dims_ && parts.size() < wanted * length_; j++)
            parts.push_back(x[j] * inverse);
    }
    Rng rng(seed);
    constexpr size_t enough = wanted / 4;
    while (parts.size() < enough * length_)   // Box and Muller 1958
        parts.push_back(static_cast<float>(std::sqrt(-2 * std::log(rng.unit())) *
                                           std::cos(6.283185307179586 * rng.unit())));
    Vec<float> found(SharedCodebook::floats_of(length_));
    kmeans(parts.data(), parts.size() / length_, length_, SharedCodebook::centroids, 25, &rng,
           found.data(), poll);
    for (size_t i = 0; i < SharedCodebook::centroids; i++)
        for (size_t j = 0; j < length_; j++)
            stored[i * length_ + j] = to_half(found[j * SharedCodebook::centroids + i]);
}

}   // namespace quiver::codec
