// Distances between many vectors at a time, as matrix products of their scalar codes.
#pragma once

#include <limits>

#include "codec/scalar.hpp"

namespace quiver::codec {

inline simd::CodeTerms terms_of(const CodeParams& p)
{
    return {p.offset, p.scale, p.code_sum, p.norm2};
}

// Some codes, packed as the columns of a matrix product. Each code must begin with a scalar code (scalar.hpp) of n
// coordinates, a multiple of 64. Codes are given by a function: code_of(i) is the Code of row or column i.
class PackedCodes {
  public:
    explicit PackedCodes(size_t n) : n_(n) {}

    template <class CodeOf>
    void set(size_t count, CodeOf&& code_of)
    {
        const simd::Products& kernels = simd::kernels().products;
        panels_ = (count + kernels.columns - 1) / kernels.columns;
        if (bytes_.size() < panels_ * panel_bytes() + alignment)
            bytes_.resize(panels_ * panel_bytes() + alignment);
        terms_.resize(size_t{4} * columns());
        codes_.resize(kernels.columns);
        for (size_t p = 0; p < panels_; p++) {
            const size_t first = p * kernels.columns,
                         some = std::min<size_t>(kernels.columns, count - first);
            for (size_t i = 0; i < some; i++) {
                const Code code = code_of(first + i);
                codes_[i] = code.bytes;
                const CodeParams& x = code.params;
                put_terms(first + i, x.offset, x.scale,
                          x.offset * static_cast<float>(n_) + x.scale * x.code_sum, x.norm2);
            }
            // The columns beyond the last code are infinitely far from all others.
            for (size_t i = some; i < kernels.columns; i++)
                put_terms(first + i, 0, 0, 0, std::numeric_limits<float>::infinity());
            kernels.pack(codes_.data(), some, n_, panels() + p * panel_bytes());
        }
    }
    // The number of codes, rounded up to whole panels.
    size_t columns() const { return panels_ * simd::kernels().products.columns; }

    // Calls f(i, distances) for each of `count` rows, with its squared distances to all columns, which f may
    // change.
    template <class CodeOf, class F>
    void for_each_row(size_t count, CodeOf&& code_of, F&& f)
    {
        distances_.resize(columns());
        for (size_t first = 0; first < count; first += at_once) {
            const size_t some = std::min(at_once, count - first);
            multiply(first, some, code_of, 0);
            for (size_t i = 0; i < some; i++) {
                measure(i, 0, distances_.data());
                f(first + i, distances_.data());
            }
        }
    }
    // The same, where the rows are the columns, and the distances of each pair are computed once.
    template <class CodeOf, class F>
    void for_each_of_all(size_t count, CodeOf&& code_of, F&& f)
    {
        // Rows that are a multiple of 4 kB apart would use the same places of the cache.
        const size_t stride = columns() + 16;
        if (distances_.size() < count * stride) {
            Vec<float>().swap(distances_);   // the old ones need not be copied
            distances_.resize(count * stride);
        }
        float* const all = distances_.data();
        for (size_t first = 0; first < count; first += at_once) {
            const size_t some = std::min(at_once, count - first);
            const size_t panel = first / simd::kernels().products.columns;
            multiply(first, some, code_of, panel);
            for (size_t i = 0; i < some; i++)
                measure(i, panel, all + (first + i) * stride);
            for (size_t column = first + some; column < count; column++)
                for (size_t i = 0; i < some; i++)
                    all[column * stride + first + i] = all[(first + i) * stride + column];
            for (size_t i = 0; i < some; i++)
                f(first + i, all + (first + i) * stride);
        }
    }

  private:
    static constexpr size_t alignment = 64;
    static constexpr size_t at_once = 32;   // rows

    // Computes the products of `count` rows with the columns of the panels from number `panel` on.
    template <class CodeOf>
    void multiply(size_t first, size_t count, CodeOf&& code_of, size_t panel)
    {
        const simd::Products& kernels = simd::kernels().products;
        products_.resize(at_once * columns());
        const uint8_t* codes[at_once];
        for (size_t i = 0; i < count; i++) {
            const Code code = code_of(first + i);
            codes[i] = code.bytes;
            rows_[i] = terms_of(code.params);
        }
        kernels.multiply(codes, count, n_, panels() + panel * panel_bytes(), panels_ - panel,
                         products_.data(), columns());
    }
    // Computes the distances of row i of these from its products. distances[] has a place for each
    // column, also for those of earlier panels.
    void measure(size_t i, size_t panel, float* distances) const
    {
        const size_t from = panel * simd::kernels().products.columns;
        const float* const terms = terms_.data() + from;
        simd::kernels().products.l2sq(
            products_.data() + i * columns(), rows_[i],
            {terms, terms + columns(), terms + 2 * columns(), terms + 3 * columns()},
            columns() - from, distances + from);
    }
    size_t panel_bytes() const
    {
        const simd::Products& kernels = simd::kernels().products;
        return size_t{kernels.columns} * n_ * kernels.widening;
    }

    uint8_t* panels()
    {
        const auto at = reinterpret_cast<uintptr_t>(bytes_.data());
        return bytes_.data() + (alignment - at % alignment) % alignment;
    }
    void put_terms(size_t i, float offset, float scale, float sum, float norm2)
    {
        terms_[i] = offset;
        terms_[columns() + i] = scale;
        terms_[2 * columns() + i] = sum;
        terms_[3 * columns() + i] = norm2;
    }

    size_t n_;   // of a code
    size_t panels_ = 0;
    simd::CodeTerms rows_[at_once];   // of the rows that were multiplied last
    Vec<uint8_t> bytes_;
    Vec<float> terms_;
    Vec<const uint8_t*> codes_;
    Vec<int32_t> products_;
    Vec<float> distances_;
};

}   // namespace quiver::codec
