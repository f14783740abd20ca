// The search of the nearest nodes that match a filter without the graph: it reads all flat pages (flat.hpp),
// keeps the nodes that match as candidates, with lower bounds of their distances, and visits them in the
// order of their bounds.
#pragma once

#include "core/prefetch.hpp"
#include "graph/search.hpp"

namespace quiver::graph {

template <ReadStore S>
class FlatSearch {
  public:
    FlatSearch(S& store, Query& query)
        : store_(store), l_(store.encoding().layout()), q_(query), node_(l_)
    {
    }

    // Forgets the search before.
    void start(const codec::FilterSet& filter)
    {
        filter_ = &filter;
        is_begun_ = false;
        candidates_.clear();
    }
    // The share of nodes that match, from some flat pages. It is never 0.
    double sample_share()
    {
        const uint32_t pages = store_.flat_pages();
        const auto sample = std::min(pages, 8 + static_cast<uint32_t>(std::sqrt(pages) / 4));
        size_t nodes = 0, match = 0;
        for (uint32_t i = 0; i < sample; i++)
            store_.read_flat(static_cast<uint32_t>(uint64_t{pages} * i / sample),
                             [&](const FlatPage& page) {
                                 nodes += node_count(page);
                                 for (uint32_t w = 0; w < words_of(page); w++)
                                     match += static_cast<size_t>(std::popcount(matches(page, w)));
                             });
        return static_cast<double>(match + 1) / static_cast<double>(nodes + 1);
    }
    // What a search costs, in visits, if this share of so many slots matches.
    double cost(double slots, double share) const
    {
        // (Without sketches, all nodes that match are visited.)
        return flat_visits(l_, slots, share) + (l_.sketched() ? 0 : slots * share);
    }

    // Reads the flat pages. Of the nodes that match, at most so many become candidates, those with the
    // lowest bounds.
    void read_pages(size_t most)
    {
        is_begun_ = true;
        found_.clear();
        block_ids_.clear();
        block_bits_.resize(size_t{Query::flat_block} * l_.words);
        if (l_.sketched())
            q_.begin_flat();
        for (uint32_t page = 0; page < store_.flat_pages(); page++) {
            store_.poll();
            store_.prefetch_flat(page + 1);
            store_.read_flat(page, [&](const FlatPage& p) { add_matching(p, page); });
            if (found_.size() > most) {
                const auto end = found_.begin() + static_cast<ptrdiff_t>(most / 2);
                std::nth_element(found_.begin(), end, found_.end());
                found_.erase(end, found_.end());
            }
        }
        add_block();
        candidates_.take(found_);
    }
    bool has_read_pages() const { return is_begun_; }

    // Visits candidates for which skips(id) is false, and puts them into W. Ends when no further candidate is
    // near enough for W, when the last of many visits have found nothing for W, or after most_visits. If reading
    // the pages has taken so many, it visits the nearest all the same, as many as W has room for. Calls
    // on_match(id, slot, distance) for each visited node that matches and has rows.
    template <class Skips, class OnMatch>
    void visit_candidates(BoundedMaxHeap& w, size_t most_visits, Skips&& skips, OnMatch&& on_match)
    {
        SlotId ahead[lookahead] = {};
        size_t count = 0, in_vain = 0;
        const size_t least = visits_ + std::min(w.capacity(), most_visits);
        for (; visits() < most_visits || visits_ < least; visits_++) {
            while (count < lookahead && !is_far_enough(w, in_vain)) {
                const SlotId id = candidates_.pop().id();
                if (skips(id))
                    continue;
                store_.prefetch(id, l_.ids);   // header and code
                ahead[count++] = id;
            }
            if (count == 0)
                return;
            const SlotId id = ahead[0];
            std::copy(ahead + 1, ahead + count--, ahead);
            store_.poll();
            visit(id, [&](const Slot& slot, const Code& code) {
                const float distance = q_.distance(code);
                in_vain = w.wants(distance) ? 0 : in_vain + 1;
                w.push(Candidate(distance, id));
                on_match(id, slot, distance);
            });
        }
    }
    // Have all candidates been visited?
    bool is_complete() const { return is_begun_ && candidates_.empty(); }

    size_t bytes() const { return candidates_.bytes(); }
    void begin_count() { visits_ = codes_ = sketches_ = rejected_ = 0; }
    // Visits, or what takes as long.
    size_t visits() const
    {
        return visits_ + codes_ / codes_of_visit + sketches_ / sketches_of_visit;
    }
    void count_into(Counters& counters) const
    {
        counters.visited += visits();
        counters.estimated += sketches_;
        counters.rejected += rejected_;
    }

  private:
    // A visit reads only a part of a slot, so more slots are prefetched than in a graph.
    static constexpr size_t lookahead = 8;

    static size_t node_count(const FlatPage& page)
    {
        return simd::kernels().bits.popcount(reinterpret_cast<const uint8_t*>(page.nodes()),
                                             words_of(page) * sizeof(uint64_t));
    }
    static uint32_t words_of(const FlatPage& page) { return (page.layout().entries + 63) / 64; }
    // Which of the 64 entries from 64 * w on are nodes that match?
    uint64_t matches(const FlatPage& page, uint32_t w) const
    {
        const size_t count = std::min(page.layout().entries - w * 64, 64u);
        return page.nodes()[w] & filter_->admitted(page.filters() + size_t{w} * 64, count);
    }
    // Sets matches_ to the entries of nodes that match, and prefetches their sketches.
    void find_matches(const FlatPage& page)
    {
        matches_.clear();
        for (uint32_t w = 0; w < words_of(page); w++)
            for (uint64_t left = matches(page, w); left != 0; left &= left - 1) {
                const uint32_t i = w * 64 + static_cast<uint32_t>(std::countr_zero(left));
                page.prefetch(i);
                matches_.push_back(i);
            }
    }
    void add_matching(const FlatPage& page, uint32_t number)
    {
        const SlotId first = number * page.layout().entries;
        find_matches(page);
        codes_ += page.layout().entries;
        rejected_ += node_count(page) - matches_.size();
        for (const uint32_t i : matches_)
            if (l_.sketched())
                add_to_block(page.sketch(i), first + i);
            else
                found_.push_back(Candidate(-INFINITY, first + i));
    }
    void add_to_block(const codec::Sketch& sketch, SlotId id)
    {
        const size_t n = block_ids_.size();
        for (uint32_t w = 0; w < l_.words; w++)
            block_bits_[size_t{w} * Query::flat_block + n] = sketch.bits[w];
        block_a_[n] = sketch.factors.a;
        block_b_[n] = sketch.factors.b;
        block_ids_.push_back(id);
        if (block_ids_.size() == Query::flat_block)
            add_block();
    }
    // Computes the bounds of the nodes in the block, and empties it.
    void add_block()
    {
        const auto n = static_cast<uint32_t>(block_ids_.size());
        if (n == 0)
            return;
        const float* bound =
            q_.flat_bounds({block_bits_.data(), block_a_, block_b_, Query::flat_block, n});
        for (uint32_t i = 0; i < n; i++)   // a bound that is no number tells nothing
            found_.push_back(Candidate(std::isnan(bound[i]) ? -INFINITY : bound[i], block_ids_[i]));
        sketches_ += n;
        block_ids_.clear();
    }

    // Calls f(slot, code) if the slot is a node that matches and has rows.
    template <class F>
    void visit(SlotId id, F&& f)
    {
        const auto visit_if_match = [&](const Slot& slot, const Code& code) {
            const SlotHeader& h = slot.header();
            if (h.state == SlotState::live && h.level == 0 && h.tid_count > 0 &&
                filter_->admits(filter_in(slot)))
                f(slot, code);
        };
        if (!l_.codes_vary)
            store_.read(id, [&](const Slot& slot) { visit_if_match(slot, code_in(slot)); });
        else if (node_.read_code(store_, id))
            visit_if_match(node_.slot(), node_.code());
    }
    // Will no further candidate be near enough for W? Without sketches nobody can tell.
    bool is_far_enough(const BoundedMaxHeap& w, size_t in_vain) const
    {
        if (candidates_.empty())
            return true;
        return l_.sketched() && w.full() &&
               (candidates_.top().distance() > w.top().distance() ||
                in_vain >= std::max(6 * w.capacity(), size_t{240}));
    }

    S& store_;
    const Layout& l_;
    Query& q_;
    Node node_;   // if its code may be in several slots
    const codec::FilterSet* filter_ = nullptr;
    bool is_begun_ = false;
    MinHeap candidates_;
    size_t visits_ = 0, codes_ = 0, sketches_ = 0, rejected_ = 0;
    Vec<uint32_t> matches_;   // entries of a page
    Vec<Candidate> found_;
    Vec<SlotId> block_ids_;      // nodes whose bounds are computed together,
    Vec<uint64_t> block_bits_;   // and their sketches
    float block_a_[Query::flat_block], block_b_[Query::flat_block];
};

}   // namespace quiver::graph
