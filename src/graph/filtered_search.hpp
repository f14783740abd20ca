// The search for the nearest nodes that match a filter. There are two ways.
//
// Through the graph: a visited slot has the filter codes of its neighbours beside their sketches, so it
// *judges* all of them: matching nodes are told from the others before they are visited. The search visits
// matching nodes to find them, and others (*bridges*) to judge their neighbours. W has the `ef` nearest
// visited nodes that match, as in every search. Candidates that match are visited as far as the worst node
// of W. Bridges are not visited as far, and not all of them:
//   - Only as far as the (ef / 4)-th nearest node that matches (K), or the tenth. From there on, few
//     nodes are missed.
//   - By the mean of all estimates of their distance. The least of several estimates is too small
//     mostly, and many bridges would seem near that are not.
//   - Not if more than `most_seen` visited slots link to them. Then their neighbours are judged already.
// (Similar searches: ACORN, arXiv 2403.04871; NaviX, arXiv 2506.23397.)
//
// Flat: it reads all flat pages (flat.hpp), and then visits matching nodes in the order of their lower
// bounds, until the next bound is above the distance of the worst node of W, or until many visits in a row
// have found nothing for W.
//
// The fewer nodes match, the more bridges the graph needs, and the less a flat search costs. A sample of the
// flat pages tells how many match, and so which way costs less. A search through the graph goes flat when
//   - it has taken as many visits as a flat search costs,
//   - most of its visits have found nothing for K: the nodes that match lie elsewhere,
//   - or no candidates are left.
#pragma once

#include "core/prefetch.hpp"
#include "graph/search.hpp"

namespace quiver::graph {

template <ReadStore S>
class FilteredSearch {
  public:
    FilteredSearch(S& store, Query& query) : store_(store), q_(query) {}

    struct Limits {
        size_t ef;
        size_t visits;   // what a flat search reads counts, too
        size_t bytes;
        double flat_price = 1;   // ScanLimits
    };
    // Begins a search. False: it goes flat at once, so run() needs no start.
    bool begin(const codec::FilterSet& filter, const Limits& limits)
    {
        filter_ = &filter;
        limits_ = limits;
        store_.count_pages();
        w_.reset(limits.ef);
        k_.reset(std::max(limits.ef / 4, size_t{10}));
        if (table_.empty())
            table_.assign(1024, no_node);
        for (const uint32_t place : used_)
            table_[place] = no_node;
        used_.clear();
        candidates_.clear();
        is_flat_ = landed_ = false;
        in_vain_ = ties_ = 0;
        begin_count();
        const double share = sample_share();
        const auto k = static_cast<double>(k_.capacity());
        flat_cost_ = cost_of_flat(share) * limits.flat_price;
        return k / share < flat_cost_;
    }
    // Runs the search, on layer 0 from slot `start`. Calls on_match(id, slot, distance) for each visited node
    // that has rows and may match. False: it met no node.
    template <class OnMatch>
    bool run(SlotId start, Counters& counters, OnMatch&& on_match)
    {
        if (start == no_slot || search_graph(start, on_match)) {
            read_flat_pages();
            visit_nearest(on_match);
        }
        count_into(counters);
        return landed_ || is_flat_;
    }

    // The memory that this search needs. Unused capacity from earlier searches does not count.
    size_t bytes() const { return candidates_.bytes() + used_.size() * 3 * sizeof(Judged); }

    bool is_flat() const { return is_flat_; }
    // A flat search goes on: it visits the next nodes, with a new W of this size.
    template <class OnMatch>
    void go_on(size_t ef, size_t most_visits, Counters& counters, OnMatch&& on_match)
    {
        QUIVER_ASSERT(is_flat_);
        w_.reset(ef);
        limits_.visits = most_visits;
        begin_count();
        visit_nearest(on_match);
        count_into(counters);
    }
    // Has it visited all nodes that match?
    bool is_complete() const { return is_flat_ && candidates_.empty(); }

  private:
    static constexpr uint32_t most_seen = 8;
    static constexpr size_t first_look = 64, look_each = 32;   // visits
    // What takes as long as a visit: to look at the filter codes of so many entries of flat pages, and at so
    // many sketches.
    static constexpr size_t codes_of_visit = 1600, sketches_of_visit = 64;
    // Slots that a flat search prefetches. It reads only a part of them.
    static constexpr size_t flat_lookahead = 8;

    // A node that a visited slot links to.
    struct Judged {
        SlotId id;
        float least, sum;   // of its estimated distances
        uint16_t seen;      // how many they are
        bool matches : 1;
        bool is_candidate : 1;   // it has been one
        bool is_visited : 1;
    };
    static_assert(sizeof(Judged) == 16);
    static constexpr Judged no_node{no_slot, INFINITY, 0, 0, false, false, false};

    float worst_of_w() const { return w_.full() ? w_.top().distance() : INFINITY; }
    float worst_of_k() const
    {
        return std::min(worst_of_w(), k_.full() ? k_.top().distance() : INFINITY);
    }
    void begin_count() { visits_ = estimated_ = rejected_ = flat_codes_ = flat_sketches_ = 0; }
    size_t visits() const
    {
        return visits_ + flat_codes_ / codes_of_visit + flat_sketches_ / sketches_of_visit;
    }
    void count_into(Counters& counters)
    {
        store_.release();
        counters.visited += visits();
        counters.estimated += estimated_ + flat_sketches_;
        counters.rejected += rejected_;
    }
    bool is_over() const { return visits() >= limits_.visits; }

    // ---- the choice ----

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
                                 find_matches(page);
                                 match += matches_.size();
                             });
        return static_cast<double>(match + 1) / static_cast<double>(nodes + 1);
    }
    double cost_of_flat(double share) const
    {
        const double slots =
            static_cast<double>(store_.pages()) * static_cast<double>(store_.slots_per_page());
        return slots / codes_of_visit + slots * share / sketches_of_visit;
    }
    bool should_go_flat() const
    {
        if (visits_ < first_look || visits_ % look_each != 0)
            return false;
        const auto visits = static_cast<double>(visits_);
        const bool barren = in_vain_ > visits_ * 3 / 4 && visits > std::min(flat_cost_ / 2, 4096.0);
        return barren || visits > 2 * flat_cost_ || bytes() > limits_.bytes;
    }

    // ---- candidates ----

    // The nodes are in a hash table with open addressing. The place of node `id`, or the empty place
    // where it belongs.
    size_t home_of(SlotId id) const { return (id * 0x9e3779b1u >> 7) & (table_.size() - 1); }
    size_t place_of(SlotId id) const
    {
        size_t i = home_of(id);
        while (table_[i].id != id && table_[i].id != no_slot)
            i = (i + 1) & (table_.size() - 1);
        return i;
    }
    bool is_judged(SlotId id) const { return table_[place_of(id)].id == id; }
    // Valid until the next call.
    Judged& judged(SlotId id)
    {
        if (used_.size() * 2 >= table_.size())
            grow();
        const size_t place = place_of(id);
        if (table_[place].id == no_slot) {
            table_[place].id = id;
            used_.push_back(static_cast<uint32_t>(place));
        }
        return table_[place];
    }
    [[gnu::noinline]] void grow()
    {
        Vec<Judged> old(2 * table_.size(), no_node);
        old.swap(table_);
        for (uint32_t& used : used_) {
            const size_t place = place_of(old[used].id);
            table_[place] = old[used];
            used = static_cast<uint32_t>(place);
        }
    }
    static float key_of(const Judged& node)
    {
        return node.seen == 0 ? 0 : node.matches ? node.least : node.sum / node.seen;
    }
    // Of candidates at the same distance, the one with the greatest id comes first, as in Frontier.
    // (While W is not full, there are too many candidates for a Frontier.)
    void add_candidate(float distance, SlotId id) { candidates_.push(Candidate(distance, ~id)); }

    // The best candidate; no_slot if none is near enough.
    SlotId take()
    {
        while (!candidates_.empty()) {
            const float next = candidates_.top().distance(), worst = worst_of_w();
            if (w_.full() && (next > worst || (next == worst && ties_ >= most_ties())))
                return no_slot;
            const SlotId id = ~candidates_.pop().id();
            Judged& node = judged(id);
            if (node.is_visited)
                continue;
            const float key = key_of(node);
            if (key > next) {   // its estimates have become worse since it was added
                if (key <= (node.matches ? worst : worst_of_k()))
                    add_candidate(key, id);
                continue;
            }
            if (!node.matches && node.seen > 0 && (key > worst_of_k() || node.seen > most_seen))
                continue;
            ties_ += key == worst;
            node.is_visited = true;
            return id;
        }
        return no_slot;
    }
    size_t most_ties() const { return std::max(limits_.ef, size_t{10}); }

    // ---- through the graph ----

    // True: the search should go flat now.
    template <class OnMatch>
    bool search_graph(SlotId start, OnMatch&& on_match)
    {
        add_candidate(0, start);
        SlotId ahead[lookahead] = {};
        size_t count = 0;
        bool ends = false;   // those that were taken are still visited
        for (SlotId id;;) {
            ends |= should_go_flat();
            while (!ends && count < lookahead && (id = take()) != no_slot) {
                store_.prefetch(id);
                ahead[count++] = id;
            }
            if (count == 0)
                return ends || !w_.full();
            id = ahead[0];
            std::copy(ahead + 1, ahead + count--, ahead);
            store_.poll();
            visit(id, on_match);
            if (is_over())
                return false;
        }
    }
    template <class OnMatch>
    void visit(SlotId id, OnMatch&& on_match)
    {
        store_.read(id, [&](const Slot& slot) {
            const SlotHeader& h = slot.header();
            if (h.state >= SlotState::overflow || h.level != 0 ||
                (h.state == SlotState::free && h.degree == 0))
                return;   // a stale link
            visits_++;
            landed_ |= h.state != SlotState::free;
            const float distance = q_.distance(code_in(slot));
            const bool matches = is_match(slot), for_k = matches && k_.wants(distance);
            if (matches) {
                k_.push(Candidate(distance, id));
                w_.push(Candidate(distance, id));
                on_match(id, slot, distance);
            }
            in_vain_ = for_k ? 0 : in_vain_ + !matches;
            judge_neighbours(slot, distance);
        });
    }
    bool is_match(const Slot& slot) const
    {
        const SlotHeader& h = slot.header();
        return h.state == SlotState::live && h.level == 0 && h.tid_count > 0 &&
               filter_->admits(filter_in(slot));
    }
    void judge_neighbours(const Slot& slot, float distance)
    {
        for (const SlotId id : links_of(slot))
            prefetch(&table_[home_of(id)], sizeof(Judged));
        const float worst_w = worst_of_w(), worst_k = worst_of_k();
        const float* estimate = q_.estimates(slot, distance, worst_w);
        const uint32_t degree = degree_of(slot);
        estimated_ += degree;
        for (uint32_t i = 0; i < degree; i++) {
            const bool matches = filter_->admits(slot.filters()[i]);
            const bool near = !(estimate[i] > (matches ? worst_w : worst_k));   // NaN, too
            const SlotId id = slot.ids()[i];
            if (id == no_slot || (!near && !is_judged(id)))
                continue;
            Judged& node = judged(id);
            rejected_ += node.seen == 0 && !matches;
            node.seen += node.seen < UINT16_MAX;
            node.matches = matches;
            node.sum += estimate[i];
            const bool nearer = estimate[i] < node.least;
            if (nearer)
                node.least = estimate[i];
            if (!near || node.is_visited || (!matches && node.is_candidate) ||
                (matches && !nearer && node.is_candidate))
                continue;
            node.is_candidate = true;
            add_candidate(key_of(node), id);
        }
    }

    // ---- flat ----

    static size_t node_count(const FlatPage& page)
    {
        return simd::kernels().bits.popcount(reinterpret_cast<const uint8_t*>(page.nodes()),
                                             (page.layout().entries + 63) / 64 * 8);
    }
    // Sets matches_ to the entries of nodes that match, and prefetches their sketches.
    void find_matches(const FlatPage& page)
    {
        matches_.clear();
        const uint32_t entries = page.layout().entries;
        for (uint32_t first = 0; first < entries; first += 64) {
            const size_t count = std::min(entries - first, 64u);
            for (uint64_t left =
                     page.nodes()[first / 64] & filter_->admitted(page.filters() + first, count);
                 left != 0; left &= left - 1) {
                const uint32_t i = first + static_cast<uint32_t>(std::countr_zero(left));
                page.prefetch(i);
                matches_.push_back(i);
            }
        }
    }
    // From now on, the candidates are all nodes that match, with their lower bounds. If they need more than half
    // of the memory that the search may use, those with the highest bounds are left out. (The nodes that are found
    // need much more than candidates, so a search reaches its limit before it misses those.)
    void read_flat_pages()
    {
        is_flat_ = true;
        candidates_.clear();
        found_.clear();
        block_ids_.clear();
        const uint32_t words = store_.encoding().layout().words;
        block_bits_.resize(size_t{Query::flat_block} * words);
        q_.begin_flat();
        const size_t most = std::max(limits_.bytes / 2 / sizeof(Candidate), 4 * limits_.ef + 64);
        for (uint32_t page = 0; page < store_.flat_pages(); page++) {
            store_.poll();
            store_.prefetch_flat(page + 1);
            store_.read_flat(page, [&](const FlatPage& p) { add_matching(p, page); });
            if (found_.size() > most) {
                std::nth_element(found_.begin(), found_.begin() + static_cast<ptrdiff_t>(most / 2),
                                 found_.end());
                found_.resize(most / 2);
            }
        }
        add_block();
        candidates_.take(found_);
    }
    void add_matching(const FlatPage& page, uint32_t number)
    {
        const FlatLayout& l = page.layout();
        flat_codes_ += l.entries;
        find_matches(page);
        rejected_ += node_count(page) - matches_.size();
        for (const uint32_t i : matches_)
            add_to_block(page, i, number * l.entries);
    }
    // Entry i of a flat page whose first slot is `first`.
    void add_to_block(const FlatPage& page, uint32_t i, SlotId first)
    {
        const codec::Sketch sketch = page.sketch(i);
        const size_t n = block_ids_.size();
        for (uint32_t w = 0; w < page.layout().words; w++)
            block_bits_[size_t{w} * Query::flat_block + n] = sketch.bits[w];
        block_a_[n] = sketch.factors.a;
        block_b_[n] = sketch.factors.b;
        block_ids_.push_back(first + i);
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
        flat_sketches_ += n;
        block_ids_.clear();
    }

    template <class OnMatch>
    void visit_nearest(OnMatch&& on_match)
    {
        const size_t header_and_code = store_.encoding().layout().ids;
        SlotId ahead[flat_lookahead] = {};
        size_t count = 0;
        in_vain_ = 0;
        while (!is_over()) {
            while (count < flat_lookahead && !is_far_enough()) {
                const SlotId id = candidates_.pop().id();
                if (is_visited(id))
                    continue;
                store_.prefetch(id, header_and_code);
                ahead[count++] = id;
            }
            if (count == 0)
                return;
            const SlotId id = ahead[0];
            std::copy(ahead + 1, ahead + count--, ahead);
            store_.poll();
            store_.read(id, [&](const Slot& slot) {
                visits_++;
                if (!is_match(slot))
                    return;
                const float distance = q_.distance(code_in(slot));
                in_vain_ = w_.wants(distance) ? 0 : in_vain_ + 1;
                w_.push(Candidate(distance, id));
                on_match(id, slot, distance);
            });
        }
    }
    // Will no further candidate be near enough for W?
    bool is_far_enough() const
    {
        return candidates_.empty() ||
               (w_.full() && (candidates_.top().distance() > w_.top().distance() ||
                              in_vain_ >= std::max(6 * w_.capacity(), size_t{240})));
    }
    // By the search through the graph.
    bool is_visited(SlotId id) const
    {
        const Judged& node = table_[place_of(id)];
        return node.id == id && node.is_visited;
    }

    S& store_;
    Query& q_;
    const codec::FilterSet* filter_ = nullptr;
    Limits limits_{};
    BoundedMaxHeap w_, k_;
    MinHeap candidates_;
    Vec<Judged> table_;      // its size is a power of two
    Vec<uint32_t> used_;     // places of table_
    bool is_flat_ = false;   // it has read the flat pages
    bool landed_ = false;    // it has met a node
    double flat_cost_ = 0;   // of a flat search, in visits
    size_t visits_ = 0, estimated_ = 0;
    size_t rejected_ = 0;   // nodes that do not match
    size_t in_vain_ =
        0;   // visits since a node was found: for K, of nodes that do not match; flat: for W
    size_t ties_ = 0;   // candidates as far as the worst node of W
    // Of a flat search.
    size_t flat_codes_ = 0, flat_sketches_ = 0;   // that were read
    Vec<uint32_t> matches_;                       // entries of a page
    Vec<Candidate> found_;
    Vec<SlotId> block_ids_;      // nodes whose bounds are computed together,
    Vec<uint64_t> block_bits_;   // and their sketches
    float block_a_[Query::flat_block], block_b_[Query::flat_block];
};

}   // namespace quiver::graph
