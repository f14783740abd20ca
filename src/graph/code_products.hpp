// Distances between many nodes at a time, as matrix products of their 8-bit codes.
#pragma once

#include <span>

#include "codec/scalar.hpp"
#include "graph/memory_store.hpp"

namespace quiver::graph {

inline simd::CodeTerms terms_of(const CodeParams& p)
{
    return {p.offset, p.scale, p.code_sum, p.norm2};
}

// The codes of some nodes, packed as the columns of a matrix product. The first part of a slot's code
// must be a scalar code (codec/scalar.hpp).
class PackedCodes {
  public:
    explicit PackedCodes(const MemoryStore& store)
        : store_(store), n_(store.encoding().codec().traits.padded)
    {
    }

    void set(std::span<const SlotId> ids)
    {
        const simd::Products& kernels = simd::kernels().products;
        count_ = ids.size();
        panels_ = (count_ + kernels.columns - 1) / kernels.columns;
        if (bytes_.size() < panels_ * panel_bytes() + alignment)
            bytes_.resize(panels_ * panel_bytes() + alignment);
        terms_.resize(size_t{4} * columns());
        codes_.resize(kernels.columns);
        for (size_t p = 0; p < panels_; p++) {
            const size_t first = p * kernels.columns,
                         count = std::min<size_t>(kernels.columns, count_ - first);
            for (size_t i = 0; i < count; i++) {
                const MutableSlot slot = store_.slot(ids[first + i]);
                codes_[i] = slot.code();
                const CodeParams& x = slot.header().params;
                put_terms(first + i, x.offset, x.scale,
                          x.offset * static_cast<float>(n_) + x.scale * x.code_sum, x.norm2);
            }
            // The columns beyond the last code are infinitely far from all others.
            for (size_t i = count; i < kernels.columns; i++)
                put_terms(first + i, 0, 0, 0, std::numeric_limits<float>::infinity());
            kernels.pack(codes_.data(), count, n_, panels() + p * panel_bytes());
        }
    }
    // The number of codes, rounded up to whole panels.
    size_t columns() const { return panels_ * simd::kernels().products.columns; }

    // Calls f(i, distances) for each row i, with its squared distances to all columns, which f may
    // change.
    template <class F>
    void for_each_row(std::span<const SlotId> rows, F&& f)
    {
        distances_.resize(columns());
        for (size_t first = 0; first < rows.size(); first += at_once) {
            const auto block = rows.subspan(first, std::min(at_once, rows.size() - first));
            multiply(block, 0);
            for (size_t i = 0; i < block.size(); i++) {
                measure(block, i, 0, distances_.data());
                f(first + i, distances_.data());
            }
        }
    }
    // The same, where the rows are the columns, and the distances of each pair are computed once.
    template <class F>
    void for_each_of_all(std::span<const SlotId> rows, F&& f)
    {
        // Rows that are a multiple of 4 kB apart would use the same places of the cache.
        const size_t stride = columns() + 16;
        if (distances_.size() < rows.size() * stride) {
            Vec<float>().swap(distances_);   // the old ones need not be copied
            distances_.resize(rows.size() * stride);
        }
        float* const all = distances_.data();
        for (size_t first = 0; first < rows.size(); first += at_once) {
            const auto block = rows.subspan(first, std::min(at_once, rows.size() - first));
            const size_t panel = first / simd::kernels().products.columns;
            multiply(block, panel);
            for (size_t i = 0; i < block.size(); i++)
                measure(block, i, panel, all + (first + i) * stride);
            for (size_t column = first + block.size(); column < rows.size(); column++)
                for (size_t i = 0; i < block.size(); i++)
                    all[column * stride + first + i] = all[(first + i) * stride + column];
            for (size_t i = 0; i < block.size(); i++)
                f(first + i, all + (first + i) * stride);
        }
    }

  private:
    static constexpr size_t alignment = 64;
    static constexpr size_t at_once = 32;   // rows

    // Computes the products of the rows with the columns of the panels from number `panel` on.
    void multiply(std::span<const SlotId> rows, size_t panel)
    {
        const simd::Products& kernels = simd::kernels().products;
        products_.resize(at_once * columns());
        const uint8_t* codes[at_once];
        for (size_t i = 0; i < rows.size(); i++)
            codes[i] = store_.slot(rows[i]).code();
        kernels.multiply(codes, rows.size(), n_, panels() + panel * panel_bytes(), panels_ - panel,
                         products_.data(), columns());
    }
    // Computes the distances of row i of these from its products. distances[] has a place for each
    // column, also for those of earlier panels.
    void measure(std::span<const SlotId> rows, size_t i, size_t panel, float* distances) const
    {
        const size_t from = panel * simd::kernels().products.columns;
        const float* const terms = terms_.data() + from;
        simd::kernels().products.l2sq(
            products_.data() + i * columns(), terms_of(store_.slot(rows[i]).header().params),
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

    const MemoryStore& store_;
    uint32_t n_;   // of a code
    size_t count_ = 0, panels_ = 0;
    Vec<uint8_t> bytes_;
    Vec<float> terms_;
    Vec<const uint8_t*> codes_;
    Vec<int32_t> products_;
    Vec<float> distances_;
};

}   // namespace quiver::graph
