// The parallel workers of a build. Each participant, the leader too, scans a part of the table and
// writes the encoded rows to a file. Then the leader makes a block of shared memory, and all of them
// make the links in it (graph/graph_build.hpp).
//
// A participant waits for the others at a barrier between two steps. There it notices interrupts, and
// the leader also notices errors of workers: PostgreSQL passes these on as the leader's own, and its
// abort ends the other workers.
#pragma once

#include "graph/team.hpp"
#include "hnsw/meta.hpp"
#include "pg/temp_file.hpp"

extern "C" {
#include "access/parallel.h"
#include "storage/barrier.h"
#include "storage/condition_variable.h"
}

namespace quiver::hnsw {

// How many workers should help to build the index.
int workers_for_build(Relation heap, Relation index);

class BuildTeam {
  public:
    // Starts workers. Null if none could be started.
    static BuildTeam* begin(Relation heap, Relation index, const IndexInfo* info,
                            const MetaData& meta, const Learnt& learnt, int workers);
    // To be called by the leader when all have taken part. The block can still be used.
    void end();
    // The main function of a worker.
    static void work(dsm_segment* segment, shm_toc* toc);

    // ---- for all participants, who call what waits in the same order ----

    graph::Team& team() { return *team_; }
    uint32 size() const;
    const MetaData& meta() const;
    Learnt learnt() const;

    // This participant's part of the scan.
    TableScanDesc begin_scan(Relation heap) const;
    pg::TempFile create_row_file() const;
    // Adds to the number of tuples that all have written. Returns the sum.
    double add_tuples(uint32 count);
    double tuples() const { return tuples_; }   // of all, after end()
    // To be called when the row file is written. Waits for all, and puts their results together.
    void finish_scan(double* heap_tuples, bool* broken_hot_chain);
    // The row file of a participant, as memory.
    std::span<const char> map_rows(uint32 number, MemoryContext context) const;
    // The leader makes a block of shared memory of `bytes`; the others wait for it. Its content is
    // undefined.
    std::span<char> make_block(Size bytes, MemoryContext context);

  private:
    struct Shared;   // in the dynamic shared memory of the parallel context

    BuildTeam(Shared* shared, uint32 number) : shared_(shared), number_(number) {}
    void join();
    void wait();

    Shared* shared_;
    uint32 number_;
    ParallelContext* context_ = nullptr;   // of the leader
    Snapshot snapshot_ = nullptr;          // of the leader, if registered
    double tuples_ = 0;
    pg::TempFile block_file_;      // of the leader, if the block is a file
    bool have_attached_ = false;   // the workers, to the leader's knowledge
    graph::Team* team_ = nullptr;
};

// A worker's part of a build (build.cpp).
void take_part_in_build(Relation heap, Relation index, IndexInfo* info, BuildTeam& team);

}   // namespace quiver::hnsw
