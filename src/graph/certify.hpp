// The second layer of a scan: it hands out rows in the order of their lower bounds, and tells for
// each row whether its place among the rows is certain.
//
// A code is close to its row's vector, so the distance to the code gives a lower and an upper bound
// of the row's distance. A row is certain if its bounds overlap no other row's bounds: then its
// place is known without its exact distance. If nodes have a fine code, it is used first to narrow
// the bounds at the front of the batch, as long as they overlap.
#pragma once

#include "graph/search_batches.hpp"

namespace quiver::graph {

// What the bounds of a scan can decide.
struct BoundsKind {
    bool refinable;       // nodes have a fine code, which gives narrower bounds
    bool precise;         // most rows can be certain
    bool probabilistic;   // a few distances are outside of their bounds
};

// reranked: the scan computes exact distances where bounds do not decide. Then coarse codes give probabilistic
// bounds, because with certain ones the scan would read the whole table.
inline BoundsKind bounds_kind(const codec::CodecTraits& traits, bool reranked)
{
    using Order = codec::CodecTraits::Order;
    return {.refinable = traits.has_fine_code,
            .precise = traits.order == Order::precise,
            .probabilistic = reranked && traits.order == Order::by_chance};
}

// The bounds that codes give. Everything that a scan needs to know about codes is in this class.
template <ReadStore S>
class CodeBounds {
  public:
    CodeBounds(S& store, const Query& query) : store_(store), query_(query) {}

    BoundsKind kind(bool reranked) const
    {
        return bounds_kind(store_.encoding().codec().traits, reranked);
    }
    Bounds bounds(const FoundNode& node, float distance, bool probabilistic) const
    {
        return probabilistic ? query_.likely_bounds(distance, node.norm2, node.error)
                             : query_.bounds(distance, node.norm2, node.error);
    }
    // Reads the node's fine code. False: the node has been deleted since it was found.
    bool fine_bounds(const FoundNode& node, Bounds* to) const
    {
        bool found = false;
        store_.read(node.id, [&](const Slot& slot) {
            const SlotHeader& h = slot.header();
            if (h.state != SlotState::live || h.params.norm2 != node.norm2)
                return;   // another node may use the slot
            *to = query_.fine_bounds(code_in(slot));
            found = true;
        });
        return found;
    }
    void release() const { store_.release(); }
    void poll() const { store_.poll(); }

  private:
    S& store_;
    const Query& query_;
};

// A row, the bounds of its distance, and whether its place is certain: no row before it is farther,
// and no row after it is nearer.
struct BoundedRow {
    Tid tid;
    double low, high;
    bool certain;
};

// Source hands out candidates in batches (Search). Bounder gives their bounds (CodeBounds).
template <class Source, class Bounder>
class Certify {
  public:
    Certify(Source& source, const Bounder& bounder) : source_(source), bounder_(bounder) {}

    // reranked: the caller computes exact distances, and drops rows that come too late.
    void start(bool strict, bool reranked)
    {
        kind_ = bounder_.kind(reranked);
        strict_ = strict;
        reranked_ = reranked;
        batch_.clear();
        front_ = rows_left_ = 0;
        most_rows_ = SIZE_MAX;
        least_ = passed_high_ = -INFINITY;
    }

    // The next row. In strict order lower bounds never decrease, unless rows are reranked: the
    // caller may find that a row comes too late.
    bool next(BoundedRow* row)
    {
        while (rows_left_ == 0 && !choose_front())
            if (!next_batch())
                return false;
        const BoundedCandidate& front = batch_[front_];
        *row = {source_.node(front.node).tids[--rows_left_], front.low, front.high, certain_};
        if (!reranked_)
            least_ = front.low;
        if (rows_left_ == 0)
            front_++;
        return true;
    }

    // Starts the next batch. Unused candidates of the current batch compete with those that the
    // search finds now.
    bool next_batch()
    {
        if (front_ < batch_.size())
            source_.put_back(batch_.begin() + static_cast<ptrdiff_t>(front_), batch_.end());
        batch_.clear();
        front_ = rows_left_ = 0;
        const bool any = source_.next_batch(&most_rows_, [&](Candidate c) { add(c); });
        std::sort(batch_.begin(), batch_.end());
        return any;
    }

    // To be called for each row that the scan returns. No row may be nearer than `least` after that.
    void returned(double least)
    {
        most_rows_--;
        if (reranked_)
            least_ = least;
    }

    bool bounds_are_probabilistic() const { return kind_.probabilistic; }
    // True if the next batch must be searched for before another row may be returned.
    bool needs_next_batch() const { return most_rows_ == 0; }
    bool batch_is_read() const { return front_ == batch_.size(); }
    // True if the next row is of the same node as the row that was handed out last.
    bool within_node() const { return rows_left_ > 0; }
    void poll() const { bounder_.poll(); }

    // Calls f with up to `count` rows that next() will probably return next.
    template <class F>
    void peek(size_t count, F&& f) const
    {
        for (size_t i = front_; i < batch_.size() && count > 0; i++, count--)
            f(source_.node(batch_[i].node).tids[0]);
    }

  private:
    struct BoundedCandidate {
        double low, high;
        float distance;   // the search's: to the code
        uint32_t node;
        bool refined;   // by the fine code
        friend bool operator<(const BoundedCandidate& x, const BoundedCandidate& y)
        {
            return x.low != y.low ? x.low < y.low : x.node < y.node;
        }
    };

    // Adds a candidate to the batch, unless it is too late.
    void add(Candidate c)
    {
        const Bounds b = bounder_.bounds(source_.node(c.id()), c.distance(), kind_.probabilistic);
        if (!too_late(b, kind_.refinable))
            batch_.push_back({b.low, b.high, c.distance(), c.id(), false});
    }

    // In strict order, rows nearer than those that were returned are dropped. If a fine code or the
    // exact distance decides later, only those are dropped that are too late by their upper bounds.
    bool too_late(Bounds b, bool refined_later) const
    {
        return strict_ && (refined_later || reranked_ ? b.high : b.low) < least_;
    }

    // Decides which candidate comes next, and whether its rows are certain. False: the batch is
    // used up.
    bool choose_front()
    {
        if (kind_.refinable)
            refine_front();
        if (batch_is_read())
            return false;
        const BoundedCandidate& front = batch_[front_];
        rows_left_ = source_.node(front.node).tid_count;
        // Until the search ends, nobody knows what follows the last candidate of a batch.
        const bool last = front_ + 1 == batch_.size() && !source_.done();
        certain_ = kind_.precise && rows_left_ == 1 && front.low >= passed_high_ && !last &&
                   !overlaps_next();
        passed_high_ = std::max(passed_high_, front.high);
        return true;
    }

    // Reads the fine code of the front, and of the candidate behind it as long as their bounds
    // overlap. It reads no more than these, because each one costs a read of a slot.
    void refine_front()
    {
        while (front_ < batch_.size()) {
            if (!batch_[front_].refined)
                refine(front_);
            else if (too_late({batch_[front_].low, batch_[front_].high}, false))
                front_++;
            else if (overlaps_next() && !batch_[front_ + 1].refined)
                refine(front_ + 1);
            else
                break;
        }
        bounder_.release();
    }

    bool overlaps_next() const
    {
        return front_ + 1 < batch_.size() && batch_[front_ + 1].low < batch_[front_].high;
    }

    // Narrows the bounds of a candidate, which can move it back in the batch.
    void refine(size_t i)
    {
        BoundedCandidate c = batch_[i];
        c.refined = true;
        if (Bounds fine; bounder_.fine_bounds(source_.node(c.node), &fine)) {
            c.low = std::max(c.low, fine.low);
            c.high = std::min(c.high, fine.high);
        }
        for (; i + 1 < batch_.size() && batch_[i + 1] < c; i++)
            batch_[i] = batch_[i + 1];
        batch_[i] = c;
    }

    Source& source_;
    Bounder bounder_;
    BoundsKind kind_{};
    bool strict_ = false, reranked_ = false;
    Vec<BoundedCandidate> batch_;   // in the order of lower bounds, from front_ on
    size_t front_ = 0;              // the candidate whose rows are being handed out
    uint32_t rows_left_ = 0;        // of the front; 0: the front is not chosen yet
    bool certain_ = false;          // is the front certain?
    size_t most_rows_ = 0;          // rows that may be returned before the next batch
    double least_ = 0;              // in strict order, a row nearer than this is too late
    double passed_high_ = 0;        // the greatest upper bound of the rows that were handed out
};

}   // namespace quiver::graph
