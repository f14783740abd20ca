// A sparse vector in a hash table (simd::SparseTable). Comparing it with another vector takes a
// look-up for each element of that one. This is several times as fast as a merge, whose branches the
// CPU cannot predict. The table has 16 to 32 places for each element, so it stays in the CPU's
// nearest cache, whatever the number of dimensions is.
#pragma once

#include <algorithm>
#include <bit>

#include "core/memory.hpp"
#include "simd/kernels.hpp"

namespace quiver::codec {

class SparseHash {
  public:
    // The vector is copied.
    void set(simd::SparseView x)
    {
        using simd::SparseTable;
        for (const uint32_t place : used_) {
            index_[place] = SparseTable::none;
            value_[place] = 0;
        }
        used_.clear();
        rest_index_.clear();
        rest_value_.clear();
        const size_t places = std::bit_ceil(std::max<size_t>(16 * x.count, 64));
        if (places > index_.size()) {
            index_.resize(places, SparseTable::none);
            value_.resize(places, 0);
        }
        table_ = {
            index_.data(), value_.data(), static_cast<uint32_t>(std::countl_zero(places) - 31), {}};
        for (size_t i = 0; i < x.count; i++) {
            const uint32_t place = table_.place(x.index[i]);
            if (index_[place] == SparseTable::none) {
                index_[place] = x.index[i];
                value_[place] = x.value[i];
                used_.push_back(place);
            } else {
                index_[place] |= SparseTable::mark;
                rest_index_.push_back(x.index[i]);
                rest_value_.push_back(x.value[i]);
            }
        }
        table_.rest = {rest_index_.data(), rest_value_.data(), rest_index_.size()};
    }
    const simd::SparseTable& table() const { return table_; }

  private:
    Vec<int32_t> index_;
    Vec<float> value_;
    Vec<uint32_t> used_;   // places
    Vec<int32_t> rest_index_;
    Vec<float> rest_value_;
    simd::SparseTable table_{};
};

}   // namespace quiver::codec
