// Inserts into the graph of an index: for INSERT, and for a build that has outgrown its memory.
#pragma once

#include "graph/insert.hpp"
#include "hnsw/slot_store.hpp"

namespace quiver::hnsw {

// The inserter and its store. (Its functions are compiled once, in insert.cpp: they take long.)
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
