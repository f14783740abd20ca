// A scan: it returns rows one by one in the order of their distances. It has three layers, each of
// which calls the one below it: Rerank, Certify, Search (src/graph/README.md, "The scan").
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

    // Without `rows`, rows are returned in the order of their lower bounds. filter: if not null, only
    // rows of nodes that it admits are returned. It must stay as it is until the scan ends.
    void start(const Value& query, const ScanLimits& limits, Rows* rows = nullptr,
               const codec::FilterSet* filter = nullptr)
    {
        const bool strict = limits.iterate == Iterate::strict;
        query_.set(query);
        certify_.start(strict, rows != nullptr);
        search_.start(limits, filter);
        rerank_.start(rows, strict);
    }

    // The next row and its distance. For a row whose place is certain, it is a lower bound of the
    // distance. on_row(tid) is called for each row before its exact distance is computed.
    template <class OnRow>
    bool next(Tid* tid, double* distance, OnRow&& on_row)
    {
        return rerank_.next(tid, distance, on_row);
    }

    // The same without exact distances, for callers that compute them. Use either this or next()
    // for a scan, not both.
    bool next_by_bound(BoundedRow* row) { return certify_.next(row); }

    // Calls f with up to `count` rows that next() will probably read next.
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
