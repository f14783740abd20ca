// The parallel workers of a build. Each participant, the leader too, scans a part of the table and
// writes the encoded rows to a file. Then the leader makes a block of shared memory, and all of them
// work on what they share in it: they make the links of a graph (graph/graph_build.hpp), or divide rows
// into lists (lists/clusters.hpp).
//
// A participant waits for the others at a barrier between two steps. There it notices interrupts, and
// the leader also notices errors of workers: PostgreSQL passes these on as the leader's own, and its
// abort ends the other workers.
#pragma once

#include "am/learn.hpp"
#include "graph/team.hpp"
#include "pg/temp_file.hpp"

extern "C" {
#include "access/parallel.h"
#include "storage/barrier.h"
#include "storage/condition_variable.h"
}

namespace quiver::am {

class BuildTeam {
  public:
    // Starts workers, if some should help. Null if there are none. Each runs AccessMethod::take_part_in_build.
    // meta: what all must know, MetaData of the access method.
    template <class MetaData>
    static BuildTeam* begin(Relation heap, Relation index, const IndexInfo* info,
                            const MetaData& meta, const Learnt& learnt)
    {
        static_assert(std::is_trivially_copyable_v<MetaData>);
        return begin(heap, index, info, {reinterpret_cast<const char*>(&meta), sizeof meta},
                     learnt);
    }
    // To be called by the leader when all have taken part. The block can still be used.
    void end();
    // The main function of a worker.
    static void work(dsm_segment* segment, shm_toc* toc);

    // ---- for all participants, who call what waits in the same order ----

    graph::Team& team() { return *team_; }
    uint32 size() const;
    template <class MetaData>
    const MetaData& meta() const
    {
        return *reinterpret_cast<const MetaData*>(meta_bytes());
    }
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
    // undefined. If it does not fit into memory, it is a temporary file, and a notice says so of `what` (null:
    // no notice).
    std::span<char> make_block(Size bytes, MemoryContext context, const char* what);

  private:
    struct Shared;   // in the dynamic shared memory of the parallel context

    BuildTeam(Shared* shared, uint32 number) : shared_(shared), number_(number) {}
    static BuildTeam* begin(Relation heap, Relation index, const IndexInfo* info,
                            std::span<const char> meta, const Learnt& learnt);
    const char* meta_bytes() const;
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

}   // namespace quiver::am
