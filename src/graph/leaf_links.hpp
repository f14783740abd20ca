// The links of one layer in a build from leaves (graph_build.hpp).
#pragma once

#include "graph/carve.hpp"
#include "graph/reservoirs.hpp"
#include "graph/vectors.hpp"

namespace quiver::graph {

struct BuildOptions {
    uint32_t m, ef_construction;
    uint64_t seed;
    // Called by the leader while nodes are inserted: how many were handed out, and how many there are.
    // May be null.
    void (*progress)(size_t done, size_t count) = nullptr;
};

class LeafLinks {
  public:
    // Links the slots `first` to first + nodes - 1 of `store`, no two of which have the same code, among
    // each other. They have no links yet. `codes` has their 8-bit codes. All participants of the team
    // make such an object with the same arguments.
    LeafLinks(MemoryStore& store, const MemoryStore& codes, SlotId first, size_t nodes,
              const BuildOptions& options, Team& team, Arena& arena);
    // The part of the arena that it uses.
    static size_t bytes(size_t nodes, const BuildOptions& options);

    // To be called once.
    void make();

  private:
    // How links are selected.
    struct Rule {
        uint32_t most;
        uint32_t least;       // if the heuristic selects fewer, the nearest others are added
        uint32_t at_random;   // so many more from the nodes that were taken at random
        float alpha;   // a neighbour must be nearer by this factor to make a node superfluous
    };
    // The links among the nodes of a sample.
    struct Sample {
        std::span<SlotId> nodes;
        SlotId* links;   // coarse_links for each node; no_slot after the last
    };

    void link(std::span<SlotId> nodes, const Rule& rule, SlotId* links);
    void meet(std::span<const SlotId> leaf);
    void select(SlotId id, const Rule& rule);
    void select_from(const Vec<Candidate>& candidates, size_t first, const Rule& rule);
    bool is_superfluous(const Candidate& candidate, size_t first, float alpha) const;
    Sample link_sample(size_t step);
    void add_coarse(const Vec<Sample>& samples);
    void add_coarse(const Sample& sample, size_t i, uint8_t* added);
    void add_reverse();
    void add_reverse(const uint8_t* selected, size_t from, size_t to);
    void write_sketches();

    MemoryStore& store_;
    const Layout& l_;
    const codec::Codec& codec_;
    const MemoryStore& codes_;
    SlotId first_;
    size_t nodes_;
    BuildOptions options_;
    CarveLimits leaves_;
    Team& team_;
    Arena& arena_;
    Rng rng_;   // the same in all participants

    Reservoirs nearest_, at_random_;
    PackedNodes packed_;
    Vec<SlotId> leaf_;
    Vec<uint32_t> near_;         // by node of the leaf: the numbers of the nodes nearest to it
    Vec<float> near_distance_;   // of these
    Vec<Candidate> met_;
    Vec<SlotId> selected_, discarded_;
    LinkEncoder encoder_;
};

}   // namespace quiver::graph
