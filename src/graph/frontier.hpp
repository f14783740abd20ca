// The candidates of a search: nodes that it may visit.
//
// They are in an array without order, and a scan of all of it finds the nearest two. A heap needs
// fewer comparisons, but the CPU cannot predict its branches. So that the array stays short,
// candidates that are farther than a bound are in a second array, until no nearer ones are left.
#pragma once

#include <span>

#include "core/heap.hpp"
#include "graph/layout.hpp"
#include "simd/kernels.hpp"

namespace quiver::graph {

class Frontier {
  public:
    void clear()
    {
        count_ = 0;
        far_count_ = 0;
        bound_ = none;
        later_.clear();
        later_ids_.clear();
    }
    bool empty() const { return count_ == 0 && far_count_ == 0 && later_.empty(); }
    void add(float distance, SlotId id)
    {
        add(&distance, &id, 1, [](SlotId) { return false; });
    }
    // Adds those of the candidates 0 to 63 whose bit in `which` is set, and for which
    // is_visited(id) is false.
    template <class IsVisited>
    void add(const float* distances, const SlotId* ids, uint64_t which, IsVisited&& is_visited)
    {
        reserve(64);
        uint64_t *near = near_.data() + count_, *far = far_.data() + far_count_;
        for (; which != 0; which &= which - 1) {
            const auto i = static_cast<uint32_t>(std::countr_zero(which));
            const uint64_t k = key(distances[i], ids[i]);
            // No branch, because the CPU could not predict it.
            const bool is_new = !is_visited(ids[i]), is_near = k <= bound_;
            *near = *far = k;
            near += is_new & is_near;
            far += is_new & !is_near;
        }
        count_ = static_cast<size_t>(near - near_.data());
        far_count_ = static_cast<size_t>(far - far_.data());
    }
    // Adds candidates that nearest() does not return until merge_later() was called. This costs
    // next to nothing. They may be candidates already.
    void add_later(const float* distances, const SlotId* ids, size_t count)
    {
        later_.insert(later_.end(), distances, distances + count);
        later_ids_.insert(later_ids_.end(), ids, ids + count);
    }
    // Leaves out those for which is_visited(id) is true.
    template <class IsVisited>
    void merge_later(IsVisited&& is_visited)
    {
        for (size_t i = 0; i < later_.size(); i++)
            if (!is_visited(later_ids_[i]))
                add(later_[i], later_ids_[i]);
        later_.clear();
        later_ids_.clear();
    }

    // The nearest two candidates, nearest first, without those that are farther than `limit`. (NaN is
    // not farther than anything.) Sometimes only the nearest one is returned, although there are
    // more. The result is valid until the next call.
    std::span<const Candidate> nearest(float limit)
    {
        if (count_ == 0 && far_count_ > 0 && !(Candidate::of(bound_).distance() > limit))
            refill();
        while (count_ > most_near && split())
            ;
        if (count_ == 0)
            return {};
        std::fill_n(near_.data() + count_, block, none);
        uint64_t least[2];
        simd::kernels().least_two(near_.data(), (count_ + block - 1) / block * block, least,
                                  place_);
        nearest_[0] = Candidate::of(least[0]);
        nearest_[1] = Candidate::of(least[1]);
        if (nearest_[0].distance() > limit)
            return {};
        const bool two =
            least[1] != none && least[0] != least[1] && !(nearest_[1].distance() > limit);
        return {nearest_, two ? size_t{2} : size_t{1}};
    }
    static SlotId id(Candidate c) { return ~c.id(); }
    // Removes the first `n` of what nearest() has returned.
    void remove(size_t n)
    {
        if (n == 2 && place_[0] < place_[1])
            std::swap(place_[0], place_[1]);
        for (size_t i = 0; i < n; i++)   // from the back, so that the other one keeps its place
            near_[place_[i]] = near_[--count_];
    }

    // The memory in use.
    size_t bytes() const
    {
        return (count_ + far_count_) * sizeof(uint64_t) +
               later_.size() * (sizeof(float) + sizeof(SlotId));
    }

  private:
    static constexpr uint64_t none = UINT64_MAX;   // greater than the key of any candidate
    static constexpr size_t block = simd::least_two_block;
    static constexpr size_t most_near = 128;

    // Of candidates at the same distance, the one with the greatest id comes first. It is probably
    // the newest: of many equal nodes, that one has room for another row.
    static uint64_t key(float distance, SlotId id) { return Candidate(distance, ~id).key; }

    // Makes room for more candidates in both arrays, and for the block that nearest() writes after
    // the near ones.
    void reserve(size_t more)
    {
        if (const size_t need = count_ + more + block; near_.size() < need)
            near_.resize(2 * need);
        if (const size_t need = far_count_ + more; far_.size() < need)
            far_.resize(2 * need);
    }
    // Moves about half of the near candidates to the far ones. False: all are equal.
    [[gnu::noinline]] bool split()
    {
        constexpr size_t samples = 9;
        uint64_t sample[samples];
        for (size_t i = 0; i < samples; i++)
            sample[i] = near_[i * (count_ - 1) / (samples - 1)];
        std::sort(sample, sample + samples);
        bound_ = sample[samples / 2];
        reserve(count_);
        const size_t were = count_;
        uint64_t *near = near_.data(), *far = far_.data() + far_count_;
        for (size_t i = 0; i < were; i++) {
            const uint64_t k = near_[i];
            const bool is_near = k <= bound_;
            *near = *far = k;
            near += is_near;
            far += !is_near;
        }
        count_ = static_cast<size_t>(near - near_.data());
        far_count_ = static_cast<size_t>(far - far_.data());
        return count_ < were;
    }
    // Moves all far candidates to the near ones.
    [[gnu::noinline]] void refill()
    {
        reserve(far_count_);
        std::copy_n(far_.data(), far_count_, near_.data() + count_);
        count_ += far_count_;
        far_count_ = 0;
        bound_ = none;
    }

    Vec<uint64_t> near_, far_;           // keys up to bound_, and the others
    size_t count_ = 0, far_count_ = 0;   // so many of them are in use
    uint64_t bound_ = none;
    Candidate nearest_[2];
    size_t place_[2];    // of nearest_
    Vec<float> later_;   // distances
    Vec<SlotId> later_ids_;
};

}   // namespace quiver::graph
