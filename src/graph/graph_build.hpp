// Builds a whole graph from rows: CREATE INDEX.
//
// The rows are encoded, and then linked all together. Where the codes allow it, that is done from leaves
// instead of by one insert after another (PiPNN, arXiv 2602.21247):
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
//   7. upper    adds the slots of upper layers, and links those of each layer by steps 2 to 6.
//   8. insert   adds nodes that equal others, by inserts.
//
// The links of 4 and those to nodes taken at random are long. Without them, searches do not get from
// one cluster of nodes to the next: the nearest nodes that a node meets are all in its own cluster.
//
// Steps 2 to 7 (leaf_links.hpp) make no search, so they take a fraction of the time that inserts take.
//
// Leaves need codes that can be multiplied: those of rotated vectors. They have Euclidean distances. If
// all vectors have about the same length, the nearest by these are also the nearest by inner product.
// Other graphs are built by inserts of all nodes.
//
// A process on its own collects the rows in slots. If several processes build the graph, or if the slots
// do not fit into their memory, the rows are written to files first. Then their number is known, and
// the slots are in one block that all processes share. From leaves, the graph is the same in both cases,
// if add() gets the rows in the order of their tids. Inserts of several processes run side by side, as
// those into an index do, so their graph is another one each time.
#pragma once

#include "core/rng.hpp"
#include "graph/insert.hpp"
#include "graph/leaf_links.hpp"
#include "graph/memory_store.hpp"

namespace quiver::graph {

// The compiler takes long for these, so graph_build.cpp has them for others, too.
extern template class NeighbourSearch<MemoryStore>;
extern template class Backlinks<MemoryStore>;
extern template class Inserter<MemoryStore>;

class GraphBuild {
  public:
    // Can a graph of this encoding be built from leaves? Those of rotated vectors with sketches can.
    static bool has_leaves(const Encoding& encoding);

    // `store` must be empty.
    GraphBuild(MemoryStore& store, const BuildOptions& options);

    // ---- rows in memory ----

    // Adds row `tid` with vector `x` and this filter code. If the row gets a new node, the node has
    // this level.
    void add(const Value& x, Tid tid, int level, FilterCode filter = 0);
    // Links all nodes. To be called once. Afterwards the graph can be searched, but ensure_all()
    // (reachability.hpp) must still make sure that each node is found.
    void finish(Inserter<MemoryStore>& inserter);
    // The most memory that this needs until finish() ends, besides the slots and the inserter.
    size_t bytes() const;

    // ---- rows in files ----

    // An encoded row as it lies in a file, valid until the next call. Its size is a multiple of 8.
    std::span<const char> encode(const Value& x, Tid tid, FilterCode filter = 0);
    // Encodes row `i` of node `id`, which add() has added.
    std::span<const char> copy_added(SlotId id, uint32_t i);
    // The rows of a file, aligned to 8 bytes.
    using File = std::span<const char>;
    struct Measure {
        size_t rows, overflow_slots;
    };
    Measure measure(std::span<const File> files) const;
    // The bytes of the block that the participants share. together: there are several.
    size_t block_bytes(const Measure& m, bool together) const;
    // Builds the graph of the rows, like add() and finish(). They count in the order of their tids, and
    // have levels from `levels`. All participants call it with the same arguments, each with its own
    // empty store. `block` has block_bytes(). The leader returns with the complete graph. The others
    // return when they are not needed any more, with nothing.
    void build(Team& team, Arena& block, std::span<const File> files, LevelDraw levels,
               Inserter<MemoryStore>& inserter);

  private:
    struct Level {
        SlotId id;
        int level;
    };
    // A place of the hash table of codes.
    struct Place {
        uint32_t hash = 0;
        SlotId id = no_slot;
    };
    // Rows by number: those of the first file, then those of the second, and so on.
    class AllRows;
    // What the leader tells the others about the rows.
    struct Counts {
        Measure measure;
        size_t slots, nodes;
        bool are_distances_euclidean;
    };
    // Where the slots of each upper layer begin, from layer 1 on.
    struct UpperLayers {
        SlotId start[max_level + 1];

        SlotId end() const { return start[max_level]; }
    };
    struct TidOrder {
        uint64_t tid;
        size_t row;
    };
    // Arrays with a place for each row and each overflow slot. The first counts.slots places are for
    // the slots, and the last ones for the further rows of nodes.
    struct Arranged {
        SlotId* row;      // of the slot, no_slot if it is an overflow slot; or the further row
        SlotId* slot;     // after find_order(), the old id of the slot; or the further row's slot
        uint8_t* level;   // of the node
        size_t count;
    };

    void write_row(const Code& code, Tid tid, char* to) const;
    static void write_node(const Code& code, Tid tid, const MutableSlot& to);
    static void add_tid(const MutableSlot& slot, Tid tid, float error);
    uint32_t overflow_slots(uint32_t length) const;
    void write_overflow(const Code& code, SlotId id);
    void add_node(SlotId id, bool is_equal, int level);
    Code code_of(SlotId id);
    bool are_distances_euclidean() const;
    void insert_all(Team& team, Arena& arena, size_t slots, const uint8_t* levels,
                    Inserter<MemoryStore>& inserter);
    template <class Equals>
    static Place& find_place(Place* table, size_t places, uint32_t hash, Equals&& equals);
    template <class CodeOf>
    Place& find_equal(Place* table, size_t places, const Code& code, uint32_t hash, SlotId next,
                      CodeOf&& code_of, bool* is_equal) const;
    // Places of the table for each node. The table is at most half full.
    size_t places_of_node() const { return l_.filtered ? 4 : 2; }
    size_t table_places(size_t nodes) const;
    void grow_table();
    static size_t most_upper_slots(const Layout& l, size_t rows);
    static size_t order_bytes(size_t slots);
    void arrange(const AllRows& rows, LevelDraw& levels, Arena& arena, const Arranged& to,
                 Counts& counts);
    void fill(const AllRows& rows, size_t row, SlotId id);
    void join(const AllRows& rows, const Arranged& arranged);
    void find_order(Team& team, Arena& arena, size_t slots, SlotId* order);
    void rename(const Arranged& arranged, size_t slots, Arena& arena);
    void link(Team& team, Arena& arena);
    void add_slots(SlotId count);
    void write_upper_slots(UpperLayers& layers);
    void copy_up(SlotId below, int level, SlotId id);
    static size_t link_bytes(size_t slots, const BuildOptions& options);
    void insert_equal(Inserter<MemoryStore>& inserter);

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
    BuildOptions options_;
    const bool has_leaves_;

    Owned<ByteCodes> byte_codes_;   // null if store_ has them, or if there are no leaves
    const MemoryStore& codes_;      // where they are
    Vec<uint8_t> code_;
    Vec<char> row_;
    Node node_;
    Vec<Place> table_;   // finds equal codes; its size is a power of two
    size_t upper_slots_ = 0;
    Vec<Level> levels_;   // of the nodes above layer 0
    Vec<SlotId> equal_;   // nodes whose code another node has, too
    size_t nodes_ = 0;    // all but equal_: after find_order(), the slots 0 to nodes_ - 1
};

}   // namespace quiver::graph
