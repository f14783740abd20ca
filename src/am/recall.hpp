// Measures the recall of an index: the share of the nearest rows that it finds, for several values of a setting.
#pragma once

#include "am/access_method.hpp"

namespace quiver::am {

// What an access method measures.
struct RecallKind {
    const AccessMethod& method;
    const char* reset;     // null, or a setting that would come before it, and is set to 0
    const char* setting;   // its values are `least`, and twice the value before, ...
    int least;
    int (*most)(Relation index);   // ... until one is not below this
    uint64 (*work)();              // of this backend's last scan: how many rows it has looked at
};

// An SQL function of (index, k, sample, filter), or, if queries are given, of (index, queries, k, filter). filter is null,
// or a condition on the rows. It returns a row for each
// value: the value; the recall at k; the means per query of milliseconds and of work. The last row is that which finds
// all of the nearest rows, if there is one.
Datum recall(FunctionCallInfo fcinfo, const RecallKind& kind, bool given);

}   // namespace quiver::am
