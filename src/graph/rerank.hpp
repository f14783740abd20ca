// The third layer of a scan: it returns rows in the order of their exact distances.
//
// Rows come from the second layer in the order of their lower bounds. A row whose place is certain
// is returned at once. For other rows the exact distance is computed, and they wait in a heap until
// the lower bound of the next row shows that no further row can be nearer.
#pragma once

#include <algorithm>
#include <cmath>

#include "graph/certify.hpp"

namespace quiver::graph {

// Access to the rows of the table.
class Rows {
  public:
    // Computes the exact distance of a row, as the operator does. False if the row is not visible
    // to the scan.
    virtual bool distance(Tid tid, double* to) = 0;

  protected:
    ~Rows() = default;
};

// Source hands out rows in the order of their lower bounds (Certify).
template <class Source>
class Rerank {
  public:
    explicit Rerank(Source& source) : source_(source) {}

    // Without `rows`, rows are returned in the order of their lower bounds.
    void start(Rows* rows, bool strict)
    {
        rows_ = rows;
        strict_ = strict;
        waiting_.clear();
        next_is_ = Next::unknown;
        last_returned_ = -INFINITY;
    }

    // The next row and its distance. For a row whose place is certain, it is a lower bound of the
    // distance. on_row(tid) is called for each row before its exact distance is computed.
    template <class OnRow>
    bool next(Tid* tid, double* distance, OnRow&& on_row)
    {
        for (;;) {
            if (next_is_ == Next::unknown && !waiting_may_go_first())
                fetch(on_row);
            if (nearest_waits()) {
                if (next_is_ != Next::end && source_.needs_next_batch()) {
                    look_further();
                    continue;
                }
                pop(tid, distance);
                return true;
            }
            if (next_is_ != Next::row)
                return false;
            if (rows_ && next_.certain && source_.needs_next_batch()) {
                look_further();
                continue;
            }
            next_is_ = Next::unknown;
            if (next_.certain || !rows_) {
                *tid = next_.tid;
                *distance = next_.low;
                note_returned(next_.high);
                return true;
            }
            add(next_.tid);
        }
    }

  private:
    struct RankedRow {
        double distance;   // exact
        Tid tid;
    };
    static bool farther(const RankedRow& x, const RankedRow& y) { return x.distance > y.distance; }
    enum class Next : uint8_t { unknown, row, end };

    // Probabilistic bounds are so loose that rows would always wait for another batch. So the rows
    // of a batch that is used up are returned before the next batch is searched for.
    bool waiting_may_go_first() const
    {
        return source_.bounds_are_probabilistic() && source_.batch_is_read() && !waiting_.empty() &&
               !source_.needs_next_batch();
    }

    template <class OnRow>
    void fetch(OnRow&& on_row)
    {
        if (source_.next(&next_)) {
            next_is_ = Next::row;
            on_row(next_.tid);
        } else
            next_is_ = Next::end;
    }

    // Can no row that is still to come be nearer than the nearest waiting row?
    bool nearest_waits() const
    {
        return !waiting_.empty() &&
               (next_is_ != Next::row || waiting_.front().distance <= next_.low);
    }

    void pop(Tid* tid, double* distance)
    {
        *tid = waiting_.front().tid;
        *distance = waiting_.front().distance;
        std::pop_heap(waiting_.begin(), waiting_.end(), &farther);
        waiting_.pop_back();
        note_returned(*distance);
    }

    // `distance`: that of the returned row, or an upper bound. In strict order no row that is nearer
    // is returned from now on.
    void note_returned(double distance)
    {
        last_returned_ = distance;
        source_.returned(distance);
    }

    // Computes the exact distance of a row and adds the row to the heap. In strict order, a row
    // that is nearer than the one returned last is dropped.
    void add(Tid tid)
    {
        RankedRow row{0, tid};
        const bool visible = rows_->distance(tid, &row.distance);
        // Sums that overflow can be NaN, which PostgreSQL sorts after all other numbers.
        if (std::isnan(row.distance))
            row.distance = INFINITY;
        if (visible && !(strict_ && row.distance < last_returned_)) {
            waiting_.push_back(row);
            std::push_heap(waiting_.begin(), waiting_.end(), &farther);
        }
        source_.poll();
    }

    // Starts the next batch before the current one is used up. The rows of a node stay together.
    void look_further()
    {
        if (next_is_ == Next::row)
            add(next_.tid);
        for (BoundedRow row; source_.within_node() && source_.next(&row);)
            add(row.tid);
        next_is_ = source_.next_batch() ? Next::unknown : Next::end;
    }

    Source& source_;
    Rows* rows_ = nullptr;
    bool strict_ = false;
    Vec<RankedRow> waiting_;   // a heap, nearest on top
    BoundedRow next_{};        // from the source
    Next next_is_ = Next::unknown;
    double last_returned_ = 0;   // distance, or an upper bound of it
};

}   // namespace quiver::graph
