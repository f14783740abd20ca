// Inserts into the graph of an index: for INSERT, and for a build that has outgrown its memory.
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

namespace quiver::hnsw {

// The inserter and its store.
class IndexInserter {
  public:
    // building: as for SlotStore.
    IndexInserter(Relation index, const MetaData& meta, const graph::Encoding& encoding,
                  bool building = false);

    SlotStore& store() { return store_; }
    // See graph::Inserter.
    void insert(const graph::Value& x, graph::Tid tid, int level);
    // To be called once at the end of a build: see graph::ensure_all().
    void ensure_all();

  private:
    SlotStore store_;
    graph::Inserter<SlotStore> inserter_;
};

}   // namespace quiver::hnsw
