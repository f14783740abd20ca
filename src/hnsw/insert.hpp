// Inserts into the graph of an index.
#pragma once

#include "graph/reachability.hpp"
#include "hnsw/slot_store.hpp"

// The compiler takes long for these, so insert.cpp has them for vacuum.cpp, too.
namespace quiver::graph {
extern template class NeighbourSearch<hnsw::SlotStore>;
extern template class Backlinks<hnsw::SlotStore>;
extern template class Inserter<hnsw::SlotStore>;
extern template class Flood<hnsw::SlotStore>;
extern template class Attacher<hnsw::SlotStore>;
}   // namespace quiver::graph
