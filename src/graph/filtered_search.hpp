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
// Flat, without the graph (flat_search.hpp).
//
// The fewer nodes match, the more bridges the graph needs, and the less a flat search costs. A sample of the
// flat pages tells how many match, and so which way costs less. A search through the graph goes flat when
//   - it has taken twice as many visits as a flat search costs,
//   - most of its visits have found nothing for K: the nodes that match lie elsewhere,
//   - or no candidates are left.
#pragma once

#include "graph/flat_search.hpp"

namespace quiver::graph {

template <ReadStore S>
class FilteredSearch {
  public:
    FilteredSearch(S& store, Query& query) : store_(store), q_(query), flat_(store, query) {}

    struct Limits {
        size_t ef;
        // What a flat search reads counts, too. But it visits the nearest `ef` nodes in any case.
        size_t visits;
        size_t bytes;
        double flat_price = 1;   // ScanLimits
    };
    // Begins a search. False: it is flat from the beginning, so run() needs no start.
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
        landed_ = false;
        in_vain_ = ties_ = 0;
        flat_.start(filter);
        const double slots = static_cast<double>(store_.pages()) *
                             static_cast<double>(store_.slots_per_page()),
                     share = flat_.sample_share();
        const double cost = flat_.cost(slots, share);
        flat_cost_ = cost * limits.flat_price;
        // Without sketches, a flat search knows no order. If it ended before it has visited all nodes that match, it
        // would have missed some of the nearest.
        const bool would_end_early = !store_.encoding().layout().sketched() &&
                                     (cost > static_cast<double>(limits.visits) ||
                                      slots * share > static_cast<double>(most_candidates()));
        return would_end_early || cost_of_graph(share) < flat_cost_;
    }
    // Runs the search, on layer 0 from slot `start`. Calls on_match(id, slot, distance) for each visited node
    // that has rows and may match. False: it met no node.
    template <class OnMatch>
    bool run(SlotId start, Counters& counters, OnMatch&& on_match)
    {
        begin_count();
        if (start == no_slot || search_graph(start, on_match)) {
            candidates_.clear();
            flat_.read_pages(most_candidates());
            visit_candidates(on_match);
        }
        count_into(counters);
        return landed_ || is_flat();
    }

    // The memory that this search needs. Unused capacity from earlier searches does not count.
    size_t bytes() const
    {
        return candidates_.bytes() + used_.size() * 3 * sizeof(Judged) + flat_.bytes();
    }

    bool is_flat() const { return flat_.has_read_pages(); }
    // A flat search goes on: it visits the next nodes, with a new W of this size.
    template <class OnMatch>
    void go_on(size_t ef, size_t most_visits, Counters& counters, OnMatch&& on_match)
    {
        QUIVER_ASSERT(is_flat());
        w_.reset(ef);
        limits_.visits = most_visits;
        begin_count();
        visit_candidates(on_match);
        count_into(counters);
    }
    // Has it visited all nodes that match?
    bool is_complete() const { return flat_.is_complete(); }

  private:
    static constexpr uint32_t most_seen = 8;
    static constexpr size_t first_look = 64, look_each = 32;   // visits

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

    // Of a flat search. (Nodes that are found need much more memory than candidates. So with sketches, a search reaches
    // its limit before it misses those that are left out.)
    size_t most_candidates() const
    {
        return std::max(limits_.bytes / 2 / sizeof(Candidate), 4 * limits_.ef + 64);
    }
    float worst_of_w() const { return w_.full() ? w_.top().distance() : INFINITY; }
    float worst_of_k() const
    {
        return std::min(worst_of_w(), k_.full() ? k_.top().distance() : INFINITY);
    }
    void begin_count()
    {
        visits_ = estimated_ = rejected_ = 0;
        flat_.begin_count();
    }
    void count_into(Counters& counters)
    {
        store_.release();
        counters.visited += visits_;
        counters.estimated += estimated_;
        counters.rejected += rejected_;
        flat_.count_into(counters);
    }
    bool is_over() const { return visits_ >= limits_.visits; }
    template <class OnMatch>
    void visit_candidates(OnMatch&& on_match)
    {
        flat_.visit_candidates(
            w_, limits_.visits - std::min(limits_.visits, visits_),
            [&](SlotId id) { return is_visited(id); }, on_match);
    }

    // ---- the choice ----

    // In visits, without those of the nodes that are found. Where there are no sketches, LayerSearch takes the place of
    // this search in the graph. It visits nodes whether they match or not, and reads half of their neighbours.
    double cost_of_graph(double share) const
    {
        const Layout& l = store_.encoding().layout();
        if (!l.sketched())
            return static_cast<double>(limits_.ef) / share * l.degree / 2;
        return static_cast<double>(k_.capacity()) / share;
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
    bool is_visited(SlotId id) const
    {
        const Judged& node = table_[place_of(id)];
        return node.id == id && node.is_visited;
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
            const bool matches =
                h.state == SlotState::live && h.tid_count > 0 && filter_->admits(filter_in(slot));
            const bool for_k = matches && k_.wants(distance);
            if (matches) {
                k_.push(Candidate(distance, id));
                w_.push(Candidate(distance, id));
                on_match(id, slot, distance);
            }
            in_vain_ = for_k ? 0 : in_vain_ + !matches;
            judge_neighbours(slot, distance);
        });
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

    S& store_;
    Query& q_;
    FlatSearch<S> flat_;
    const codec::FilterSet* filter_ = nullptr;
    Limits limits_{};
    double flat_cost_ = 0;   // of a flat search, in visits
    BoundedMaxHeap w_, k_;
    MinHeap candidates_;
    Vec<Judged> table_;     // its size is a power of two
    Vec<uint32_t> used_;    // places of table_
    bool landed_ = false;   // it has met a node
    size_t visits_ = 0, estimated_ = 0;
    size_t rejected_ = 0;   // judged, and do not match
    size_t in_vain_ = 0;    // visits of nodes that do not match, since one was found for K
    size_t ties_ = 0;       // candidates as far as the worst node of W
};

}   // namespace quiver::graph
