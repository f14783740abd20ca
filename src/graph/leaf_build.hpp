// Builds a graph from leaves instead of by one insert after another (PiPNN, arXiv 2602.21247).
//
// add() encodes rows into slots, which have no links yet. finish() makes the links:
//   1. order    puts slots of near nodes near each other.
//   2. meet     divides the nodes into overlapping leaves (carve.hpp), and computes all distances in a
//               leaf as a matrix product (code_products.hpp). Each node meets its nearest nodes in the
//               leaf, and the nearest of a few nodes taken at random. It remembers the nearest that it
//               has met (reservoirs.hpp).
//   3. select   selects the links of each node from those that it has met, and a few from those taken
//               at random.
//   4. coarse   does the same for samples of the nodes, and adds these links.
//   5. reverse  adds links back, where there is room.
//   6. sketch   writes the links with their sketches.
//   7. insert   adds the slots of upper layers, and nodes that equal others, by inserts.
//
// The links of 4 and those to nodes taken at random are long. Without them, searches do not get from
// one cluster of nodes to the next: the nearest nodes that a node meets are all in its own cluster.
//
// Steps 2 to 6 make no search, so they take a fraction of the time that inserts take.
//
// Leaves have Euclidean distances. If all vectors have about the same length, the nearest by these are
// also the nearest by inner product. If not, an index of inner products is built by inserts.
#pragma once

#include "graph/carve.hpp"
#include "graph/insert.hpp"
#include "graph/memory_store.hpp"
#include "graph/reservoirs.hpp"

namespace quiver::graph {

struct LeafBuildOptions {
    uint32_t m, ef_construction;
    uint64_t seed;
    void (*poll)();   // is called often, and may not return
};

class LeafBuild {
  public:
    // Can a graph of this encoding be built from leaves? Those of rotated vectors with sketches can.
    static bool fits(const Encoding& encoding);

    LeafBuild(MemoryStore& store, const LeafBuildOptions& options);

    // Adds row `tid` with vector `x`. If the row gets a new node, the node has this level.
    void add(const Value& x, Tid tid, int level);
    // Links all nodes. To be called once. Afterwards the graph can be searched, but ensure_all()
    // (reachability.hpp) must still make sure that each node is found.
    void finish(Inserter<MemoryStore>& inserter);
    // The most memory that this needs until finish() ends, besides the slots.
    size_t bytes() const;

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
        Vec<SlotId> nodes;
        Vec<SlotId> links;   // coarse_links for each node; no_slot after the last
    };
    struct Level {
        SlotId id;
        int level;
    };
    // A place of the hash table of codes.
    struct Place {
        uint32_t hash = 0;
        SlotId id = no_slot;
    };

    bool are_distances_euclidean() const;
    void insert_all(Inserter<MemoryStore>& inserter);
    Place& find_equal(const Code& code, uint32_t hash);
    void grow_table();
    void raise_later(SlotId id, int level);
    void order();
    void link(const Vec<SlotId>& nodes, const Rule& rule);
    void meet(std::span<const SlotId> leaf);
    void select(SlotId id, const Rule& rule);
    void select_from(const Vec<Candidate>& candidates, size_t first, const Rule& rule);
    bool is_superfluous(const Candidate& candidate, size_t first, float alpha) const;
    Vec<SlotId> one_in(size_t step) const;
    Sample link_sample(size_t step);
    void add_coarse(const Vec<Sample>& samples);
    void add_reverse();
    void write_sketches();
    void insert_rest(Inserter<MemoryStore>& inserter);

    // Matrix products need 8-bit codes. If the slots of store_ do not begin with such codes, the build has
    // a slot for each in another store.
    struct ByteCodes {
        explicit ByteCodes(const Encoding& of);
        Encoding encoding;
        MemoryStore store;
        Vec<uint8_t> code;
    };

    MemoryStore& store_;
    const Layout& l_;
    const codec::Codec& codec_;
    LeafBuildOptions options_;
    CarveLimits leaves_;
    Rng rng_;

    Owned<ByteCodes> byte_codes_;   // null if store_ has them
    const MemoryStore& codes_;      // where they are
    Vec<uint8_t> code_;
    Vec<Place> table_;   // finds equal codes; its size is a power of two
    size_t upper_slots_ = 0;
    Vec<Level> levels_;   // of the nodes above layer 0
    Vec<SlotId> equal_;   // nodes whose code another node has, too
    size_t nodes_ = 0;    // all others: after order(), the slots 0 to nodes_ - 1

    Reservoirs nearest_, at_random_;
    PackedCodes packed_;
    Vec<SlotId> leaf_;
    Vec<uint32_t> near_;         // by node of the leaf: the numbers of the nodes nearest to it
    Vec<float> near_distance_;   // of these
    Vec<Candidate> met_;
    Vec<SlotId> selected_, discarded_;
    LinkEncoder encoder_;
};

}   // namespace quiver::graph
