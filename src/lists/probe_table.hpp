// How many lists must be searched for a recall. A build learns it from rows of its sample: each is a query, and its
// ten nearest rows of the sample are to be found. Rows of a sample lie farther apart than those of the table, so
// the numbers are a little too large.
#pragma once

#include "lists/clusters.hpp"

namespace quiver::lists {

// An index stores it.
struct ProbeTable {
    static constexpr size_t size = 12;
    static constexpr double recalls[size] = {0.5,   0.6,  0.7,  0.8,  0.85, 0.9,
                                             0.925, 0.95, 0.97, 0.98, 0.99, 0.995};
    uint16_t probes[size] = {};   // for each recall; 0: not known, search all lists

    // The number of lists for a recall, between 0 and 1, if there are `lists`.
    size_t probes_for(double recall, size_t lists) const;
};

// poll() is called often and may throw (or longjmp).
ProbeTable learn_probes(const ScalarCodes& sample, Clusters& clusters, void (*poll)());

}   // namespace quiver::lists
