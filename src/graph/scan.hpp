// A scan: rows in the order of their distances, as many as are asked for. It has three layers, each of
// which asks the one below it: Rerank, Certify, Search (src/graph/README.md, "The scan").
#pragma once

#include "graph/rerank.hpp"

namespace quiver::graph {

template <ReadStore S>
class Scan {
  public:
    explicit Scan(S& store)
        : query_(store.encoding()), search_(store, query_),
          certify_(search_, CodeBounds<S>(store, query_)), rerank_(certify_)
    {
    }
    Scan(const Scan&) = delete;
    Scan& operator=(const Scan&) = delete;

    // Without `rows`, rows come in the order of lower bounds.
    void start(const Value& query, const ScanLimits& limits, Rows* rows = nullptr)
    {
        const bool strict = limits.iterate == Iterate::strict;
        query_.set(query);
        certify_.start(strict, rows != nullptr);
        search_.start(limits, certify_.bounds_are_probabilistic());
        rerank_.start(rows, strict);
    }

    // The next row, and its distance, or for a row whose place is certain, a lower bound of it.
    // on_row(tid) sees each row before it is asked for.
    template <class OnRow>
    bool next(Tid* tid, double* distance, OnRow&& on_row)
    {
        return rerank_.next(tid, distance, on_row);
    }

    // The same without exact distances, for who computes those himself. A scan has either this called or next().
    bool next_by_bound(BoundedRow* row) { return certify_.next(row); }

    // Calls f with up to `count` rows that next() will probably return next, unless it knows them.
    template <class F>
    void coming(size_t count, F&& f) const
    {
        certify_.peek(count, f);
    }

    const Counters& counters() const { return search_.counters(); }

  private:
    Query query_;
    Search<S> search_;
    Certify<Search<S>, CodeBounds<S>> certify_;
    Rerank<Certify<Search<S>, CodeBounds<S>>> rerank_;
};

}   // namespace quiver::graph
