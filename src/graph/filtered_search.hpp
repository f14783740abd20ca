// The search for the nearest nodes that match a filter. A visited slot has the filter codes of its
// neighbours beside their sketches, so it *judges* all of them: matching nodes are told from the others
// before they are visited.
//
// The search visits matching nodes to find them, and others (*bridges*) to judge their neighbours. W has
// the `ef` nearest visited nodes that match, as in every search. Candidates that match are visited as
// far as the worst node of W. Bridges are not visited as far, and not all of them:
//   - Only as far as the (ef / 4)-th nearest node that matches (K), or the tenth. From there on, few
//     nodes are missed.
//   - By the mean of all estimates of their distance. The least of several estimates is too small
//     mostly, and many bridges would seem near that are not.
//   - Not if more than `most_seen` visited slots link to them. Then their neighbours are judged already.
//
// Where the graph does not help, the search *sweeps*: it reads only the codes in every eighth slot, in
// the order of the slots. As each slot judges some thirty neighbours, nearly all nodes are judged. It
// visits those that match, and then goes on with candidates that match. It sweeps when
//   - so few of the judged nodes match that K would be the edge of a sixteenth of the graph,
//   - three quarters of the visits, but at least 192, have found nothing for K: the nodes that match
//     lie elsewhere,
//   - no candidates are left,
//   - or the graph has taken as many visits as a 32nd of all slots.
// A sweep reads an eighth of all slots, and visits at most a 32nd of them. If it has not found enough
// for K, few nodes match, and it goes on until it has found all of them. (Similar searches that
// depend on how many nodes match: ACORN, arXiv 2403.04871; NaviX, arXiv 2506.23397.)
#pragma once

#include "codec/filter_code.hpp"
#include "core/prefetch.hpp"
#include "graph/search.hpp"

namespace quiver::graph {

template <ReadStore S>
class FilteredSearch {
  public:
    FilteredSearch(S& store, Query& query) : store_(store), q_(query) {}

    struct Limits {
        size_t ef;
        size_t visits;   // a swept slot counts as an eighth of a visit
        size_t bytes;
    };
    // Searches layer 0 from slot `start`. Calls on_match(id, slot, distance) for each visited node that
    // has rows and may match. False: it met no node.
    template <class OnMatch>
    bool run(const codec::FilterSet& filter, const Limits& limits, SlotId start, Counters& counters,
             OnMatch&& on_match)
    {
        begin(filter, limits);
        add_candidate(0, start);
        SlotId ahead[lookahead] = {};
        size_t count = 0;
        for (SlotId id;;) {
            if (!swept_ && should_sweep())
                sweep(on_match);
            while (count < lookahead && (id = take()) != no_slot) {
                store_.prefetch(id);
                ahead[count++] = id;
            }
            if (count == 0) {
                if (swept_ || w_.full())
                    break;
                sweep(on_match);
                continue;
            }
            id = ahead[0];
            std::copy(ahead + 1, ahead + count--, ahead);
            store_.poll();
            visit(id, on_match);
            if (is_over())
                break;
        }
        if (swept_ && !k_.full())
            sweep_rest(on_match);
        count_into(counters);
        return landed_;
    }

    // The same for a graph without nodes.
    void run_on_nothing()
    {
        swept_ = true;
        slots_ = rest_ = 0;
    }
    // The memory that this search needs. Unused capacity from earlier searches does not count.
    size_t bytes() const { return candidates_.bytes() + used_.size() * 3 * sizeof(Judged); }

    // Has run() read the codes in a part of the slots?
    bool has_swept() const { return swept_; }
    // Reads them in the other slots, too, in at most so many visits, and until the search needs more
    // memory than it may. If neither ends it, all nodes that match were visited.
    template <class OnMatch>
    void sweep_rest(size_t most_visits, Counters& counters, OnMatch&& on_match)
    {
        visits_ = estimated_ = swept_slots_ = rejected_ = 0;
        limits_.visits = most_visits;
        sweep_rest(on_match);
        count_into(counters);
    }
    bool is_complete() const { return swept_ && rest_ >= slots_; }

  private:
    static constexpr uint32_t most_seen = 8;
    static constexpr size_t first_look = 64;   // visits before a sweep
    static constexpr size_t look_each = 32;
    static constexpr size_t swept_of_visit = 8;   // swept slots that count as a visit
    static constexpr SlotId stride = 8;

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

    void begin(const codec::FilterSet& filter, const Limits& limits)
    {
        filter_ = &filter;
        limits_ = limits;
        store_.count_pages();
        slots_ = size_t{store_.pages()} * store_.slots_per_page();
        w_.reset(limits.ef);
        k_.reset(std::max(limits.ef / 4, size_t{10}));
        if (table_.empty())
            table_.assign(1024, no_node);
        for (const uint32_t place : used_)
            table_[place] = no_node;
        used_.clear();
        candidates_.clear();
        swept_ = swept_eighth_ = landed_ = false;
        rest_ = 0;
        visits_ = estimated_ = swept_slots_ = in_vain_ = judged_ = matched_ = ties_ = rejected_ = 0;
    }

    float worst_of_w() const { return w_.full() ? w_.top().distance() : INFINITY; }
    float worst_of_k() const
    {
        return std::min(worst_of_w(), k_.full() ? k_.top().distance() : INFINITY);
    }
    void count_into(Counters& counters)
    {
        store_.release();
        counters.visited += visits_ + swept_slots_ / swept_of_visit;
        counters.estimated += estimated_;
        counters.rejected += rejected_;
    }
    bool is_over() const { return visits_ + swept_slots_ / swept_of_visit >= limits_.visits; }

    bool should_sweep() const
    {
        if (visits_ < first_look || visits_ % look_each != 0)
            return false;
        const double k = static_cast<double>(k_.capacity()),
                     judged = static_cast<double>(judged_) + 1,
                     matched = static_cast<double>(matched_) + 1,
                     slots = static_cast<double>(slots_);
        const bool rare = !k_.full() && k * judged > matched * slots / 16;
        const bool barren = visits_ >= 256 && in_vain_ > visits_ * 3 / 4;
        return rare || barren || visits_ > slots_ / 32 || bytes() > limits_.bytes;
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
            if (!node.matches && node.seen > 0 &&
                (swept_ || key > worst_of_k() || node.seen > most_seen))
                continue;
            ties_ += key == worst;
            node.is_visited = true;
            return id;
        }
        return no_slot;
    }
    size_t most_ties() const { return std::max(limits_.ef, size_t{10}); }

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
            bool for_k = false;
            if (matches) {
                for_k = k_.wants(distance);
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
            if (node.seen == 0) {
                judged_++;
                matched_ += matches;
                rejected_ += !matches;
            }
            node.seen += node.seen < UINT16_MAX;
            node.matches = matches;
            node.sum += estimate[i];
            const bool nearer = estimate[i] < node.least;
            if (nearer)
                node.least = estimate[i];
            if (!near || node.is_visited || (!matches && (swept_ || node.is_candidate)) ||
                (matches && !nearer && node.is_candidate))
                continue;
            node.is_candidate = true;
            add_candidate(key_of(node), id);
        }
    }

    // ---- sweep ----

    // Reads the codes in every eighth slot, and visits the nodes that match. Parts of the index that lie
    // apart come first, so that a sweep that ends early has seen all regions.
    template <class OnMatch>
    void sweep(OnMatch&& on_match)
    {
        swept_ = true;
        const size_t most_visits = visits_ + slots_ / 32 + 1;
        constexpr SlotId first[] = {0, 4, 2, 6, 1, 5, 3, 7};
        for (const SlotId f : first)
            for (size_t id = f * stride; id < slots_; id += 8 * stride) {
                if (visits_ >= most_visits || is_over())
                    return;
                sweep_slot(static_cast<SlotId>(id), id + 8 * stride, on_match);
            }
        swept_eighth_ = true;
    }
    template <class OnMatch>
    void sweep_rest(OnMatch&& on_match)
    {
        for (; rest_ < slots_ && !is_over() && bytes() <= limits_.bytes; rest_++)
            if (rest_ % stride != 0 || !swept_eighth_)
                sweep_slot(rest_, rest_ + 1, on_match);
    }
    template <class OnMatch>
    void sweep_slot(SlotId id, size_t next, OnMatch&& on_match)
    {
        store_.poll();
        if (next < slots_)
            store_.prefetch(static_cast<SlotId>(next));
        wanted_.clear();
        store_.read(id, [&](const Slot& slot) { find_matches(id, slot); });
        swept_slots_++;
        for (const SlotId n : wanted_)
            if (Judged& node = judged(n); !node.is_visited) {
                node.is_visited = true;
                visit(n, on_match);
            }
    }
    void find_matches(SlotId id, const Slot& slot)
    {
        const SlotHeader& h = slot.header();
        if (h.state != SlotState::live || h.level != 0)
            return;
        if (filter_->admits(filter_in(slot))) {
            if (h.tid_count > 0)
                wanted_.push_back(id);
        } else
            rejected_++;
        for (uint32_t i = 0; i < degree_of(slot); i++)
            if (slot.ids()[i] != no_slot && filter_->admits(slot.filters()[i]))
                wanted_.push_back(slot.ids()[i]);
    }

    S& store_;
    Query& q_;
    const codec::FilterSet* filter_ = nullptr;
    Limits limits_{};
    size_t slots_ = 0;   // of the graph
    BoundedMaxHeap w_, k_;
    MinHeap candidates_;
    Vec<Judged> table_;           // its size is a power of two
    Vec<uint32_t> used_;          // places of table_
    bool swept_ = false;          // a sweep has begun
    bool swept_eighth_ = false;   // and has read every eighth slot
    bool landed_ = false;
    size_t visits_ = 0, estimated_ = 0, swept_slots_ = 0;
    size_t judged_ = 0, matched_ = 0;   // nodes when they were first judged
    size_t rejected_ = 0;               // judged or swept, and do not match
    size_t in_vain_ = 0;                // visits of other nodes since one was found for K
    size_t ties_ = 0;                   // candidates as far as the worst node of W
    Vec<SlotId> wanted_;                // of a swept slot
    SlotId rest_ = 0;                   // where sweep_rest() goes on
};

}   // namespace quiver::graph
