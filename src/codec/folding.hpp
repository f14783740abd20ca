// Folding a vector adds up each `fold` neighbouring coordinates and divides the sums by sqrt(fold).
// For a rotated vector, this is a random projection. This file has folding, and folded queries with
// 4 bits per coordinate.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/memory.hpp"
#include "simd/kernels.hpp"

namespace quiver::codec {

// The number of 64-bit words in a sketch of `padded` coordinates folded by `fold`.
constexpr size_t sketch_words(size_t padded, size_t fold)
{
    return ((padded + fold - 1) / fold + 63) / 64;
}

// Computes the sums of `count` groups of neighbours, times `scale`. If the number of terms is a
// compile-time constant, the compiler computes each sum without a loop.
template <class Terms>
inline void sum_groups(const float* x, size_t count, Terms terms, float scale, float* to)
{
    for (size_t i = 0; i < count; i++, x += terms) {
        float sum = 0;
        for (size_t j = 0; j < terms; j++)
            sum += x[j];
        to[i] = sum * scale;
    }
}

// Writes words * 64 floats. Those beyond the folded coordinates are 0.
inline void fold_vector(const float* x, size_t padded, size_t fold, size_t words, float* to)
{
    const float scale = 1.0f / std::sqrt(static_cast<float>(fold));
    const size_t full = padded / fold, left = padded % fold;
    const auto groups_of = [&](auto terms) { sum_groups(x, full, terms, scale, to); };
    switch (fold) {
    case 2: groups_of(std::integral_constant<size_t, 2>{}); break;
    case 3: groups_of(std::integral_constant<size_t, 3>{}); break;
    case 4: groups_of(std::integral_constant<size_t, 4>{}); break;
    case 5: groups_of(std::integral_constant<size_t, 5>{}); break;
    case 6: groups_of(std::integral_constant<size_t, 6>{}); break;
    default: groups_of(fold);
    }
    if (left > 0)
        sum_groups(x + full * fold, 1, left, scale, to + full);
    for (size_t i = full + (left > 0); i < words * 64; i++)
        to[i] = 0;
}

// A query's folded coordinates in 4 bits each: the value u stands for step * (u - 7.5). They are
// stored as bit planes, for simd::Sketches::score.
class BinaryQuery {
  public:
    // `folded` has words * 64 floats.
    void set(const float* folded, size_t words)
    {
        words_ = words;
        planes_.resize(words * 4);
        float sum, most;
        simd::kernels().sum_and_max(folded, words * 64, &sum, &most);
        step_ = most / 7.5f;
        // Coordinates that are 0 (padding) become 7 and 8 alternately, so that their errors cancel.
        simd::kernels().sketches.quantize(folded, words, most > 0 ? 7.5f / most : 0.0f,
                                          planes_.data());
    }
    const uint64_t* planes() const { return planes_.data(); }
    size_t words() const { return words_; }
    // <s, fold(q)> = offset() + factor() * score, with the score of simd::Sketches::score
    float offset() const { return step_ * 7.5f * 64.0f * static_cast<float>(words_); }
    float factor() const { return -step_; }

  private:
    size_t words_ = 0;
    float step_ = 0;
    Vec<uint64_t> planes_;
};

}   // namespace quiver::codec
