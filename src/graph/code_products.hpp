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
        const size_t panel_bytes = size_t{kernels.columns} * n_ * kernels.widening;
        if (bytes_.size() < panels_ * panel_bytes + alignment)
            bytes_.resize(panels_ * panel_bytes + alignment);
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
            kernels.pack(codes_.data(), count, n_, panels() + p * panel_bytes);
        }
    }
    // The number of codes, rounded up to whole panels.
    size_t columns() const { return panels_ * simd::kernels().products.columns; }

    // Calls f(i, distances) for each row i, with its squared distances to all columns, which f may
    // change.
    template <class F>
    void for_each_row(std::span<const SlotId> rows, F&& f)
    {
        constexpr size_t at_once = 32;
        const simd::Products& kernels = simd::kernels().products;
        const simd::ColumnTerms terms{terms_.data(), terms_.data() + columns(),
                                      terms_.data() + 2 * columns(), terms_.data() + 3 * columns()};
        products_.resize(at_once * columns());
        distances_.resize(columns());
        for (size_t first = 0; first < rows.size(); first += at_once) {
            const size_t count = std::min(at_once, rows.size() - first);
            const uint8_t* codes[at_once];
            for (size_t i = 0; i < count; i++)
                codes[i] = store_.slot(rows[first + i]).code();
            kernels.multiply(codes, count, n_, panels(), panels_, products_.data(), columns());
            for (size_t i = 0; i < count; i++) {
                kernels.l2sq(products_.data() + i * columns(),
                             terms_of(store_.slot(rows[first + i]).header().params), terms,
                             columns(), distances_.data());
                f(first + i, distances_.data());
            }
        }
    }

  private:
    static constexpr size_t alignment = 64;

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
