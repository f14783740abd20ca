#include "lists/probe_table.hpp"

#include <algorithm>
#include <cmath>

#include "core/heap.hpp"

#include "core/no_postgres.hpp"

namespace quiver::lists {

size_t ProbeTable::probes_for(double recall, size_t lists) const
{
    const size_t i =
        static_cast<size_t>(std::lower_bound(recalls, recalls + size, recall) - recalls);
    if (i == size || probes[i] == 0)
        return lists;
    if (i == 0)
        return std::min<size_t>(probes[0], lists);
    // In between, the number of lists grows about linearly.
    const double share = (recall - recalls[i - 1]) / (recalls[i] - recalls[i - 1]),
                 count = probes[i - 1] + share * (probes[i] - probes[i - 1]);
    return std::min(static_cast<size_t>(std::ceil(count)), lists);
}

ProbeTable learn_probes(const ScalarCodes& sample, Clusters& clusters, void (*poll)())
{
    constexpr size_t most_queries = 256, k = 10, at_once = 256;
    const size_t rows = sample.size(), queries = std::min(rows, most_queries);
    if (rows < 2 * k || clusters.size() < 2)
        return {};
    const auto row_of = [&](size_t q) { return q * rows / queries; };

    // The nearest rows of each query.
    Vec<KNearest<Candidate>> nearest(queries, KNearest<Candidate>(k));
    codec::PackedCodes packed(sample.coordinates());
    packed.set(queries, [&](size_t q) { return sample[row_of(q)]; });
    for (size_t from = 0; from < rows; from += at_once) {
        poll();
        packed.for_each_row(
            std::min(at_once, rows - from), [&](size_t i) { return sample[from + i]; },
            [&](size_t i, const float* distances) {
                for (size_t q = 0; q < queries; q++)
                    if (from + i != row_of(q) &&
                        (!nearest[q].full() || distances[q] < nearest[q].farthest().distance()))
                        nearest[q].add(Candidate(distances[q], static_cast<uint32_t>(from + i)));
            });
    }

    // In which place each of their lists is, in the order in which the query searches lists.
    Vec<uint32_t> places;
    ScalarCodes some(sample.form(), sample.coordinates());
    Vec<uint32_t> lists(k);
    for (size_t q = 0; q < queries; q++) {
        poll();
        some.clear();
        for (const Candidate c : nearest[q].all())
            some.add(sample[c.id()]);
        clusters.nearest(some, lists.data());
        clusters.distances(sample[row_of(q)], [&](const float* distances) {
            for (size_t i = 0; i < some.size(); i++)
                places.push_back(static_cast<uint32_t>(
                    std::count_if(distances, distances + clusters.size(),
                                  [&](float d) { return d < distances[lists[i]]; })));
        });
    }
    ProbeTable table;
    std::sort(places.begin(), places.end());
    for (size_t i = 0; i < ProbeTable::size; i++) {
        const auto at = static_cast<size_t>(
            std::ceil(ProbeTable::recalls[i] * static_cast<double>(places.size())));
        table.probes[i] = static_cast<uint16_t>(places[std::min(at, places.size()) - 1] + 1);
    }
    return table;
}

}   // namespace quiver::lists
