// The first layer of a scan: it searches the graph and hands out candidates in batches. It keeps
// its state, so that the next batch continues the search where the last one ended.
//
// A candidate is a visited node that has rows, and that the filter admits, if there is one. The beam
// (ef) is the number of candidates that the layer search keeps; it decides how far the search goes.
// Candidates that do not fit into a batch are pending: they compete with the candidates that the
// search finds for the next batch.
#pragma once

#include "graph/filtered_search.hpp"

namespace quiver::graph {

// What a scan does when more rows are needed than its first batch has.
enum class Iterate : uint8_t {
    off,       // ends
    relaxed,   // continues; rows that it finds late are returned late
    strict,    // continues; rows that it finds late are dropped
};

// The least beam of an iterating scan. The exact order of ten rows needs a few more candidates than
// ten. With a smaller beam, an iterating scan would only have to search again.
constexpr size_t least_iterating_ef = 20;

struct ScanLimits {
    size_t ef;
    Iterate iterate;
    size_t max_visited;   // a scan that iterates, or has a filter, ends after this number of nodes
    size_t max_bytes;     // or when its state has grown to this size
    double flat_price =
        1;   // of flat searches with a filter, in what they cost: tests make them dearer

    size_t beam() const { return iterate == Iterate::off ? ef : std::max(ef, least_iterating_ef); }
};

// A visited node with its rows. The values are copies, because the node can change later.
struct FoundNode {
    SlotId id;
    float norm2, error;   // of its code
    uint32_t tid_count;
    Tid tids[Layout::max_tids];
};

template <ReadStore S>
class Search {
  public:
    // The query must be set before start().
    Search(S& store, Query& query)
        : store_(store), layer_(store, query, 0, 40), filtered_(store, query)
    {
        layer_.find_only_rows();
    }

    // filter: if not null, only nodes that it admits are candidates.
    void start(const ScanLimits& limits, const codec::FilterSet* filter = nullptr)
    {
        filter_ = filter;
        layer_.set_filter(filter);
        limits_ = limits;
        ef_ = limits.beam();
        expects_more_ = state_ == State::fresh ? expects_more_ : wanted_more_;
        wanted_more_ = false;
        state_ = State::fresh;
        looks_ = 0;
        counters_ = {};
        found_.clear();
        pending_.clear();
        is_filtered_search_ = false;
    }

    // Calls take(candidate) with each candidate of the next batch, nearest first. The id of a
    // candidate is the argument for node(). The caller may return `most_rows` rows of the batch;
    // before it returns more, it must ask for the next batch. False: there is no further batch.
    template <class Take>
    bool next_batch(size_t* most_rows, Take&& take)
    {
        if (state_ == State::done)
            return false;
        store_.poll();
        wanted_more_ = state_ != State::fresh;
        if (state_ == State::fresh)
            search_from_entry();
        else if (is_filtered_search_) {
            if (!limit_reached())
                widen_filtered();
        } else if (limit_reached())   // what the first batch has dropped is the last batch
            restore_dropped();
        else
            widen();
        const bool dropped = is_filtered_search_ ? !pending_.empty() : layer_.has_dropped();
        const bool more = iterates() && (dropped || !limit_reached());
        state_ = more ? State::running : State::done;
        hand_out(batch_size(most_rows), take);
        return true;
    }

    // Makes candidates that the caller did not use pending again. Their type needs members
    // `distance` and `node`.
    template <class Iterator>
    void put_back(Iterator first, Iterator last)
    {
        for (; first != last; ++first)
            pending_.push(Candidate(first->distance, first->node));
    }

    const FoundNode& node(uint32_t i) const { return found_[i]; }
    // True if the current batch is the last one.
    bool done() const { return state_ == State::done; }
    const Counters& counters() const { return counters_; }

  private:
    enum class State : uint8_t { fresh, running, done };
    static constexpr int most_looks = 8;   // of a scan
    static constexpr size_t most_ef = size_t{1} << 30;

    bool iterates() const { return limits_.iterate != Iterate::off; }
    // Without sketches, it would take too long to read neighbours again. A scan is probably like the
    // one before it. (It finds the same either way.)
    Far far() const
    {
        const bool keep = (expects_more_ && !filter_) || !store_.encoding().layout().sketched();
        return iterates() && keep ? Far::keep : Far::drop;
    }

    void search_from_entry()
    {
        for (;;) {
            looked_at_ = store_.now();
            if (filter_ && begin_filtered())
                return;
            const Entry entry = store_.entry();
            const SlotId at = entry.empty() ? no_slot : descend(layer_, entry, 0, counters_);
            layer_.restart(0, ef_, far());
            if (is_filtered_search_) {
                // (If the start is no node any more, the search begins at the root.)
                if (run_filtered(at != no_slot ? at : entry.root))
                    return;
                if (at != entry.root && entry.root != no_slot && run_filtered(entry.root))
                    return;
            } else {
                if (at != no_slot)
                    layer_.add(at, 0);
                run_until_unchanged();
                if (layer_.landed() || entry.empty())
                    return;
            }
            // No node was met: the entry must have moved after it was read.
            expect_moved(store_, entry);
            store_.poll();
        }
    }

    // ---- with a filter ----

    // All matching nodes that a search visits, and that no batch before has found, become pending candidates.
    // True: it needed no start in the graph. (Where there are no sketches, a search through the graph is a LayerSearch.)
    bool begin_filtered()
    {
        const bool flat =
            !filtered_.begin(*filter_, {ef_, visits_left(), limits_.max_bytes, limits_.flat_price});
        is_filtered_search_ = flat || store_.encoding().layout().sketched();
        if (is_filtered_search_)
            forget_found_ids();
        return flat && run_filtered(no_slot);
    }
    // Searches from a slot of layer 0, or flat if there is none. False: no node was met.
    bool run_filtered(SlotId from) { return filtered_.run(from, counters_, add_unless_found()); }
    // Searches again with a beam twice as wide. (It grows little more expensive with the beam.) A flat search
    // goes on where it has ended.
    void widen_filtered()
    {
        ef_ = std::min(2 * ef_, most_ef);
        if (!filtered_.is_flat())
            search_from_entry();
        else
            filtered_.go_on(ef_, visits_left(), counters_, add_unless_found());
    }
    void forget_found_ids()
    {
        found_ids_.clear();
        for (const FoundNode& node : found_)
            found_ids_.insert(node.id);
    }
    auto add_unless_found()
    {
        return [this](SlotId id, const Slot& slot, float distance) {
            if (!found_ids_.contains(id))
                add(id, slot, distance);
        };
    }
    size_t visits_left() const
    {
        return limits_.max_visited - std::min<size_t>(limits_.max_visited, counters_.visited);
    }

    // Continues the search until `ef` further candidates are nearer than all nodes that were not
    // visited.
    void widen()
    {
        // In strict order each beam is twice as wide as the one before: so when more rows are
        // needed, fewer of them are found too late.
        if (limits_.iterate == Iterate::strict)
            ef_ = std::min(2 * ef_, most_ef);
        restore_dropped();
        if (bytes() >= limits_.max_bytes)
            return;
        layer_.resume(ef_);
        nearest_.clear();
        while (nearest_.size() < ef_ && !pending_.empty())
            nearest_.push_back(pending_.pop());
        for (const Candidate c : nearest_) {
            layer_.revisit(c);
            pending_.push(c);
        }
        run_until_unchanged();
    }

    // When the search runs out of nodes, it reads the nodes again that were written meanwhile,
    // until none was written. Then there was a moment at which all links were as the search has
    // read them. So it has visited every node that existed all the time.
    void run_until_unchanged()
    {
        run();
        for (; looks_ < most_looks && layer_.exhausted(); looks_++) {
            const uint64_t now = store_.now();
            if (!layer_.expand_written(looked_at_))
                break;
            looked_at_ = now;
            run();
        }
    }

    // Visited nodes become pending candidates.
    void run()
    {
        layer_.run(counters_, [&](SlotId id, const Slot& slot, const Code&, float distance, bool) {
            // The first batch needs only nodes of W, and those of unknown distance.
            if (!layer_.drops() || !std::isfinite(distance) ||
                !(distance > layer_.w().top().distance()))
                add(id, slot, distance);
            if (limit_of_visits_reached() && (layer_.w().full() || filter_))
                layer_.stop();
        });
    }
    void add(SlotId id, const Slot& slot, float distance)
    {
        const SlotHeader& h = slot.header();
        if (h.state != SlotState::live || h.tid_count == 0 ||
            (filter_ && !filter_->admits(filter_in(slot))))
            return;
        FoundNode node;
        node.id = id;
        node.norm2 = h.params.norm2;
        node.error = h.params.error;
        node.tid_count = slot.tid_count();
        std::copy_n(slot.tids(), node.tid_count, node.tids);
        // A sum that overflows tells nothing about the distance. Such a candidate comes first, so
        // that the exact distances of its rows decide.
        pending_.push(Candidate(std::isfinite(distance) ? distance : -INFINITY,
                                static_cast<uint32_t>(found_.size())));
        found_.push_back(node);
    }
    // The first batch drops what is too far for W: neighbours, and visited nodes. Gets them back.
    void restore_dropped()
    {
        if (!layer_.has_dropped())
            return;
        forget_found_ids();
        layer_.restore(add_unless_found());
    }

    bool limit_reached() const
    {
        return !iterates() ||
               (is_filtered_search_ ? filtered_.is_complete() : layer_.exhausted()) ||
               limit_of_visits_reached() || bytes() >= limits_.max_bytes;
    }
    bool limit_of_visits_reached() const
    {
        return (iterates() || filter_) && counters_.visited >= limits_.max_visited;
    }
    size_t bytes() const
    {
        return (is_filtered_search_ ? filtered_.bytes() : layer_.bytes()) +
               found_.size() * sizeof(FoundNode);
    }

    // How many of the pending candidates the next batch has.
    size_t batch_size(size_t* most_rows) const
    {
        *most_rows = SIZE_MAX;
        if (!iterates())
            return std::min(pending_.size(), ef_);
        if (done())
            return pending_.size();
        const size_t count = std::min(pending_.size(), ef_);
        if (limits_.iterate != Iterate::strict)
            return count;
        // In strict order the scan has to drop rows of the next batch that are nearer than a
        // returned row. So only the nearer half is returned before the next batch is searched for.
        // (The caller finds out which rows these are: distances to codes are not exact.)
        *most_rows = std::max((ef_ + 1) / 2, least_iterating_ef);
        return count;
    }

    // Hands out the nearest `count` candidates. While they have fewer than ten rows, a scan that
    // does not iterate also gets candidates as near as the last one. So with a narrow beam it
    // returns as many equal rows as pgvector does.
    template <class Take>
    void hand_out(size_t count, Take&& take)
    {
        constexpr size_t enough = 10;
        size_t rows = 0;
        Candidate last{};
        const auto is_equal = [&] {
            return !iterates() && rows < enough && !pending_.empty() &&
                   pending_.top().distance() == last.distance();
        };
        for (size_t i = 0; i < count || (count > 0 && is_equal()); i++) {
            last = pending_.pop();
            rows += found_[last.id()].tid_count;
            take(last);
        }
    }

    S& store_;
    LayerSearch<S> layer_;
    FilteredSearch<S> filtered_;
    ScanLimits limits_{};
    const codec::FilterSet* filter_ = nullptr;
    bool is_filtered_search_ = false;   // by FilteredSearch, not by LayerSearch
    State state_ = State::fresh;
    bool wanted_more_ = false;    // did this scan need a second batch?
    bool expects_more_ = false;   // did the scan before it?
    size_t ef_ = 0;               // the beam of the current batch
    int looks_ = 0;               // how often written slots were read again
    uint64_t looked_at_ = 0;   // the search has read everything that was written before this time
    Counters counters_;
    Vec<FoundNode> found_;
    MinHeap pending_;          // their ids are indexes of found_
    IdSet found_ids_;          // for add_unless_found()
    Vec<Candidate> nearest_;   // for widen()
};

}   // namespace quiver::graph
