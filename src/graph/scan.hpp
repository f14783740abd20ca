// A scan: rows in the order of their distances, as many as are asked for. The state is kept, so the
// search goes on where it stopped when more rows are wanted.
//
// The search gives bounds of the distances. Rows come by the lower ones; where those overlap, exact
// distances are asked for, and a row waits until no other can be nearer. Coarse codes bound distances
// too loosely for that: bounds that all but very few distances keep take their place.
#pragma once

#include "graph/search.hpp"

namespace quiver::graph {

enum class Iterate : uint8_t { off, relaxed, strict };

struct ScanLimits {
    size_t ef;
    Iterate iterate;
    size_t max_visited;   // iterating ends after so many nodes
    size_t max_bytes;     // and when the state has grown to this
};

// Who knows the rows.
class Rows {
  public:
    // The exact distance of a row, in the units of the operator; false if the scan does not see it.
    virtual bool distance(Tid tid, double* to) = 0;

  protected:
    ~Rows() = default;
};

template <ReadStore S>
class Scan {
  public:
    explicit Scan(S& store)
        : store_(store), traits_(store.encoding().codec().traits), query_(store.encoding()), search_(store, query_, 0, 40)
    {
    }

    // Without `rows`, rows come in the order of lower bounds.
    void start(const Value& query, const ScanLimits& limits, Rows* rows = nullptr)
    {
        limits_ = limits;
        rows_ = rows;
        // To put ten rows in exact order takes a few more than ten: an iterating scan that is given less
        // would only start again.
        ef_ = limits.iterate == Iterate::off ? limits.ef : std::max<size_t>(limits.ef, 20);
        query_.set(query);
        counters_ = {};
        items_.clear();
        pending_.clear();
        batch_.clear();
        at_ = 0;
        last_ = given_ = reach_ = -INFINITY;
        settled_ = false;
        state_ = State::fresh;
        waiting_.clear();
        more_rows_ = true;
        ahead_ = false;
    }

    // The next row, and its distance, or for a row that is surely in its place, a lower bound of it.
    // on_row(tid) sees each row before it is asked for.
    template <class OnRow>
    bool next(Tid* tid, double* distance, OnRow&& on_row)
    {
        for (;;) {
            // Loose bounds would always want another batch: of one that was read to its end, some may go out.
            const bool read =
                guessed() && at_ == batch_.size() && !waiting_.empty() && may_give_ > 0;
            if (!ahead_ && more_rows_ && !read) {
                ahead_ = next_by_bound(&next_.tid, &next_.distance, &next_in_order_);
                more_rows_ = ahead_;
                if (ahead_)
                    on_row(next_.tid);
            }
            if (!waiting_.empty() && (!ahead_ || waiting_.front().distance <= next_.distance)) {
                if (may_give_ == 0) {
                    look_further();
                    continue;
                }
                may_give_--;
                *tid = waiting_.front().tid;
                *distance = given_ = waiting_.front().distance;
                std::pop_heap(waiting_.begin(), waiting_.end(), std::greater<>());
                waiting_.pop_back();
                return true;
            }
            if (!ahead_)
                return false;
            ahead_ = false;
            if (next_in_order_ || !rows_) {
                *tid = next_.tid;
                *distance = given_ = next_.distance;
                return true;
            }
            wait(next_.tid);
        }
    }

    // The next row, and a bound that its exact distance is not below. in_order: it is surely not
    // nearer than those before it, nor farther than those that follow. In strict order bounds rise, but for
    // rows of 8 bits or fewer that next() may find to be too late. Of coarse codes bounds are likely ones.
    bool next_by_bound(Tid* tid, double* bound, bool* in_order)
    {
        for (;;) {
            if (settled_ || settle()) {
                const Emit& e = batch_[at_];
                *tid = items_[e.item].tids[--left_];
                *bound = last_ = e.low;
                *in_order = in_order_;
                if (left_ == 0) {
                    at_++;
                    settled_ = false;
                }
                return true;
            }
            if (!more())
                return false;
        }
    }

    // Calls f with up to `count` rows that next() will probably return next, unless it knows them.
    template <class F>
    void coming(size_t count, F&& f) const
    {
        for (size_t i = at_; i < batch_.size() && count > 0; i++, count--)
            f(items_[batch_[i].item].tids[0]);
    }

    const Counters& counters() const { return counters_; }

  private:
    struct Item {
        SlotId id;
        float norm2, error;
        uint32_t tid_count;
        Tid tids[Layout::max_tids];
    };
    struct Emit {
        double low, high;   // bounds of the distance
        float distance;     // as the search has it
        uint32_t item;
        bool fine;   // they are from the fine code, if there is one
        friend bool operator<(const Emit& x, const Emit& y)
        {
            return x.low != y.low ? x.low < y.low : x.item < y.item;
        }
    };
    struct Ranked {
        double distance;   // exact
        Tid tid;
        friend bool operator<(const Ranked& x, const Ranked& y) { return x.distance < y.distance; }
        friend bool operator>(const Ranked& x, const Ranked& y) { return y < x; }
    };
    enum class State : uint8_t { fresh, running, done };
    static constexpr int most_looks = 8;

    // The row waits, with its exact distance, until no other can be nearer.
    void wait(Tid tid)
    {
        Ranked r{0, tid};
        const bool seen = rows_->distance(tid, &r.distance);
        if (std::isnan(r.distance))   // sums that overflow: behind all others, as PostgreSQL has it
            r.distance = INFINITY;
        if (seen && (limits_.iterate != Iterate::strict || r.distance >= given_)) {
            waiting_.push_back(r);
            std::push_heap(waiting_.begin(), waiting_.end(), std::greater<>());
        }
        store_.poll();
    }

    // Starts the next batch before the present one is at its end, of which the rest goes with the next.
    void look_further()
    {
        double bound;
        bool in_order;
        if (ahead_)
            wait(next_.tid);
        ahead_ = false;
        while (settled_)   // other rows of the same node
            if (Tid tid; next_by_bound(&tid, &bound, &in_order))
                wait(tid);
        for (; at_ < batch_.size(); at_++)
            pending_.emplace_back(batch_[at_].distance, batch_[at_].item);
        std::sort(pending_.begin(), pending_.end());
        more_rows_ = more();
    }

    // Decides which row of the batch comes next, and whether its place is certain: fine codes of the
    // few in front are looked at, as far as their bounds overlap. False: the batch is at its end.
    bool settle()
    {
        const auto overlapped = [&] {
            return at_ + 1 < batch_.size() && batch_[at_ + 1].low < batch_[at_].high;
        };
        if (traits_.has_fine_code) {
            while (at_ < batch_.size()) {
                if (!batch_[at_].fine)
                    refine(at_);
                else if (too_late(batch_[at_].low))
                    at_++;
                else if (overlapped() && !batch_[at_ + 1].fine)
                    refine(at_ + 1);
                else
                    break;
            }
            store_.release();
        }
        if (at_ == batch_.size())
            return false;
        const Emit& e = batch_[at_];
        left_ = items_[e.item].tid_count;
        const bool last =
            at_ + 1 == batch_.size() && state_ != State::done;   // who knows what follows
        in_order_ = (traits_.order == codec::CodecTraits::Order::precise) && left_ == 1 && e.low >= reach_ && !last && !overlapped();
        if (!in_order_)
            reach_ = std::max(reach_, e.high);
        return settled_ = true;
    }

    bool guessed() const { return rows_ && traits_.order == codec::CodecTraits::Order::by_chance; }

    // What should have come before rows that are gone already can't come in order.
    bool too_late(double bound) const
    {
        return limits_.iterate == Iterate::strict && bound < (guessed() ? given_ : last_);
    }

    // Narrows the bounds of one, which may move it back.
    void refine(size_t i)
    {
        Emit e = batch_[i];
        const Item& item = items_[e.item];
        e.fine = true;
        store_.read(item.id, [&](const Slot& slot) {
            const SlotHeader& h = slot.header();
            if (h.state != SlotState::live || h.params.norm2 != item.norm2)
                return;   // gone meanwhile
            const Bounds b = query_.fine_bounds(code_in(slot));
            e.low = std::max(e.low, b.low);
            e.high = std::min(e.high, b.high);
        });
        for (; i + 1 < batch_.size() && batch_[i + 1] < e; i++)
            batch_[i] = batch_[i + 1];
        batch_[i] = e;
    }

    // Of the first n pending nodes and those as near as the last of them, as many as have ten rows: where few
    // candidates are kept, equal rows come with the first of them, as many as in pgvector.
    size_t with_equals(size_t n) const
    {
        constexpr size_t enough = 10;
        size_t rows = 0;
        for (size_t i = 0; i < n && rows < enough; i++)
            rows += items_[pending_[i].id()].tid_count;
        for (; n > 0 && n < pending_.size() && rows < enough &&
               pending_[n].distance() == pending_[n - 1].distance();
             n++)
            rows += items_[pending_[n].id()].tid_count;
        return n;
    }

    // Runs the search. Where it runs out, what was written meanwhile is looked at again, until nothing was: then
    // all links were at one moment as they were read, so every node that was there all the time is visited.
    void visit(bool iterate)
    {
        run(iterate);
        for (int looks = 0; looks < most_looks && search_.exhausted(); looks++) {
            const uint64_t now = store_.now();
            if (!search_.expand_written(written_))
                break;
            written_ = now;
            run(iterate);
        }
    }
    // What the search visits is pending.
    void run(bool iterate)
    {
        search_.run(counters_, iterate,
                    [&](SlotId id, const Slot& slot, const Code&, float distance, bool) {
                        const SlotHeader& h = slot.header();
                        if (h.state != SlotState::live || h.tid_count == 0)
                            return;
                        Item item;
                        item.id = id;
                        item.norm2 = h.params.norm2;
                        item.error = h.params.error;
                        item.tid_count = slot.tid_count();
                        std::copy_n(slot.tids(), item.tid_count, item.tids);
                        // What overflows may be anywhere, so it comes first: its row says where it is.
                        pending_.push_back(Candidate(std::isfinite(distance) ? distance : -INFINITY,
                                                     static_cast<uint32_t>(items_.size())));
                        items_.push_back(item);
                    });
    }

    // Fills the next batch; false at the end.
    bool more()
    {
        if (state_ == State::done)
            return false;
        const bool iterate = limits_.iterate != Iterate::off;
        if (state_ == State::fresh) {
            // An entry that leads nowhere was moved after it was read.
            for (;;) {
                written_ = store_.now();
                const Entry entry = store_.entry();
                const SlotId at = entry.empty() ? no_slot : descend(search_, entry, 0, counters_);
                search_.restart(0, ef_);
                if (at != no_slot)
                    search_.add(at, 0);
                visit(iterate);
                if (search_.landed() || entry.empty())
                    break;
                expect_moved(store_, entry);
                store_.poll();
            }
            state_ = State::running;
        } else {
            // In strict order each batch looks twice as far ahead as the one before: the more rows
            // are wanted, the fewer of them may come too late.
            if (limits_.iterate == Iterate::strict)
                ef_ *= 2;
            search_.resume(ef_);
            for (size_t i = 0; i < pending_.size() && i < ef_; i++)
                search_.revisit(pending_[i]);
            visit(iterate);
        }
        const bool last = !iterate || search_.exhausted() ||
                          counters_.visited >= limits_.max_visited ||
                          search_.bytes() + items_.size() * sizeof(Item) >= limits_.max_bytes;
        if (last)
            state_ = State::done;

        // The ef nearest; in strict order the nearer half of them (but enough for the usual LIMIT
        // 10), as what the next batch finds nearer than rows that are gone can't be used; at an
        // iterating scan's end, all there are. Which of them are the nearer half, coarse codes do not
        // know: there half of them may be given.
        std::sort(pending_.begin(), pending_.end());
        size_t n = pending_.size();
        may_give_ = SIZE_MAX;
        if (!iterate || !last) {
            n = std::min(n, ef_);
            if (!iterate)
                n = with_equals(n);
            if (limits_.iterate == Iterate::strict) {
                const size_t half = std::max<size_t>((ef_ + 1) / 2, 20);
                if (guessed())
                    may_give_ = half;
                else
                    n = std::min(n, half);
            }
        }
        batch_.clear();
        for (size_t i = 0; i < n; i++) {
            const Item& item = items_[pending_[i].id()];
            const float distance = pending_[i].distance();
            const Bounds bounds = guessed() ? query_.likely_bounds(distance, item.norm2, item.error)
                                            : query_.bounds(distance, item.norm2, item.error);
            // Only what is surely too late, where fine codes or exact distances decide later.
            const bool later =
                traits_.has_fine_code || (rows_ && (!(traits_.order == codec::CodecTraits::Order::precise) || !std::isfinite(bounds.high)));
            if (too_late(later ? bounds.high : bounds.low))
                continue;
            batch_.push_back({bounds.low, bounds.high, distance, pending_[i].id(), false});
        }
        pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(n));
        std::sort(batch_.begin(), batch_.end());
        at_ = 0;
        settled_ = false;
        return true;
    }

    S& store_;
    const codec::CodecTraits& traits_;
    Query query_;
    LayerSearch<S> search_;
    ScanLimits limits_{};
    Rows* rows_ = nullptr;
    Vec<Ranked> waiting_;   // a heap: rows that others may come before
    Ranked next_{};         // by its bound, if ahead_
    bool ahead_ = false, next_in_order_ = false, more_rows_ = false;
    size_t may_give_ = 0;   // rows, before the next batch
    size_t ef_ = 0;         // of the present batch
    uint64_t written_ = 0;  // what was written before that was read after it
    Counters counters_;
    Vec<Item> items_;          // visited
    Vec<Candidate> pending_;   // visited, not emitted: distance, item
    Vec<Emit> batch_;
    size_t at_ = 0;
    bool settled_ = false, in_order_ = false;   // of the front of the batch
    uint32_t left_ = 0;                         // of its rows
    double last_ = 0;                           // the bound given out last
    double given_ = 0;                          // and the distance
    double reach_ = 0;   // up to where rows given out without a certain place may be
    State state_ = State::done;
};

}   // namespace quiver::graph
