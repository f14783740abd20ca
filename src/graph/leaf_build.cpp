#include "graph/leaf_build.hpp"

#include "core/no_postgres.hpp"

namespace quiver::graph {

template class NeighbourSearch<MemoryStore>;
template class Backlinks<MemoryStore>;
template class Inserter<MemoryStore>;

namespace {

// Near slots are on the same few pages.
constexpr CarveLimits order_limits = {.leaf = 64, .leaders = 64, .fan = 1};

// How many nodes a participant takes at a time.
constexpr size_t at_once = 128;

bool begins_with_bytes(const Encoding& encoding)
{
    const uint32_t bits = encoding.shape().codec.bits;
    return bits == 8 || bits == 12 || bits == 16;
}

// Vectors that are multiples of each other can have the same bytes, but not the same offset and scale.
uint32_t hash_of(const Code& code)
{
    const float range[2] = {code.params.offset + 0.0f, code.params.scale};   // -0 equals 0
    uint64_t h = 0, word;
    std::memcpy(&h, range, sizeof h);
    h *= 0x9e3779b97f4a7c15ull;
    h ^= h >> 29;
    for (uint32_t i = 0; i + sizeof word <= code.length; i += sizeof word) {
        std::memcpy(&word, code.bytes + i, sizeof word);
        h = (h ^ word) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 29;
    }
    return static_cast<uint32_t>(h >> 32);
}

uint64_t order_of(Tid t)
{
    return uint64_t{t.block_high} << 32 | uint64_t{t.block_low} << 16 | t.offset;
}

size_t rounded(size_t bytes) { return (bytes + 7) / 8 * 8; }

// The part of a slot that is written before its links.
size_t head_bytes(const Layout& l) { return rounded(l.ids); }

}   // namespace

class LeafBuild::AllRows {
  public:
    AllRows(const LeafBuild& build, std::span<const Rows> files)
        : l_(build.l_), row_bytes_(build.row_bytes()), files_(files)
    {
        for (const Rows& f : files_) {
            start_.push_back(count_);
            count_ += f.count;
        }
    }
    size_t count() const { return count_; }
    char* operator[](size_t row) const
    {
        size_t f = files_.size() - 1;
        while (start_[f] > row)
            f--;
        return const_cast<char*>(files_[f].rows) + (row - start_[f]) * row_bytes_;
    }
    // A row has the bytes of a slot up to the links, and its hash as `down`.
    Slot slot(size_t row) const { return Slot(l_, (*this)[row]); }

  private:
    const Layout& l_;
    size_t row_bytes_;
    std::span<const Rows> files_;
    Vec<size_t> start_;
    size_t count_ = 0;
};

bool LeafBuild::fits(const Encoding& encoding)
{
    return encoding.codec().traits.rotated && encoding.sketches();
}

LeafBuild::ByteCodes::ByteCodes(const Encoding& of)
    : encoding({.codec = {of.shape().codec.form, of.shape().codec.metric, of.shape().codec.dims, 8},
                .fold = 0,
                .degree = 4,
                .tids = 1}),
      store(encoding)
{
}

LeafBuild::LeafBuild(MemoryStore& store, const LeafBuildOptions& options)
    : store_(store), l_(store.encoding().layout()), codec_(store.encoding().codec()),
      options_(options),
      byte_codes_(begins_with_bytes(store.encoding()) ? Owned<ByteCodes>()
                                                      : make_owned<ByteCodes>(store.encoding())),
      codes_(byte_codes_ ? byte_codes_->store : store_)
{
}

// ---- both ----

// The place of the node with this code, or the free place for it.
template <class CodeOf>
LeafBuild::Place& LeafBuild::find_equal(Place* table, size_t places, const Code& code,
                                        uint32_t hash, CodeOf&& code_of) const
{
    for (size_t i = hash;; i++) {
        Place& p = table[i & (places - 1)];
        if (p.id == no_slot || (p.hash == hash && codec_.same(code, code_of(p.id))))
            return p;
    }
}

void LeafBuild::add_node(SlotId id, bool is_equal, int level)
{
    if (is_equal)
        equal_.push_back(id);
    else if (level > 0) {
        levels_.push_back({id, level});
        upper_slots_ += static_cast<size_t>(level);
    }
}

// ---- rows in memory ----

size_t LeafBuild::bytes() const
{
    const size_t slots = store_.size();
    const size_t linking =
        Arena::bytes_of<SlotId>(slots) + std::max(order_bytes(slots), link_bytes(slots, options_));
    const size_t upper_bytes =
        l_.slot_bytes + (byte_codes_ ? byte_codes_->encoding.layout().slot_bytes : 0);
    return std::max(table_.size() * sizeof(Place) * 3 / 2, linking) + upper_slots_ * upper_bytes +
           (byte_codes_ ? byte_codes_->store.bytes() : 0);
}

// Writes the first part of a slot.
void LeafBuild::write_row(const Code& code, Tid tid, const MutableSlot& to)
{
    SlotHeader& h = to.header();
    h = {};
    h.state = SlotState::live;
    h.down = no_slot;
    h.tid_count = 1;
    to.tids()[0] = tid;
    put_code(code, to, no_slot);
}

// Adds a row with the same code.
void LeafBuild::add_tid(const MutableSlot& slot, Tid tid, float error)
{
    SlotHeader& h = slot.header();
    slot.tids()[h.tid_count++] = tid;
    h.params.error = std::max(h.params.error, error);
}

void LeafBuild::add(const Value& x, Tid tid, int level)
{
    const Code code = codec_.encode(x, code_);
    if (size_t{store_.size()} * 2 >= table_.size())
        grow_table();
    const uint32_t hash = hash_of(code);
    Place& place = find_equal(table_.data(), table_.size(), code, hash,
                              [&](SlotId id) { return code_in(store_.slot(id)); });
    const bool is_equal = place.id != no_slot;
    if (is_equal && store_.slot(place.id).header().tid_count < l_.tids)
        return add_tid(store_.slot(place.id), tid, code.params.error);
    const SlotId id = store_.create([&](const MutableSlot& slot) { write_row(code, tid, slot); });
    if (byte_codes_)
        byte_codes_->store.create([&](const MutableSlot& slot) {
            put_code(byte_codes_->encoding.codec().encode(x, byte_codes_->code), slot, no_slot);
        });
    place = {hash, id};   // further rows join the new node
    add_node(id, is_equal, level);
}

void LeafBuild::grow_table()
{
    Vec<Place> old(std::max<size_t>(1024, 2 * table_.size()));
    old.swap(table_);
    for (const Place& p : old) {
        if (p.id == no_slot)
            continue;
        size_t i = p.hash;
        while (table_[i & (table_.size() - 1)].id != no_slot)
            i++;
        table_[i & (table_.size() - 1)] = p;
    }
}

void LeafBuild::finish(Inserter<MemoryStore>& inserter)
{
    Vec<Place>().swap(table_);
    const size_t slots = store_.size();
    if (slots == 0)
        return;
    if (!are_distances_euclidean())
        return insert_all(inserter);
    nodes_ = slots - equal_.size();
    Team alone(store_.poller());
    Arena arena(Arena::bytes_of<SlotId>(slots) +
                std::max(order_bytes(slots), link_bytes(nodes_, options_)));
    SlotId* const order = arena.take<SlotId>(slots);
    find_order(alone, arena, slots, order);
    rename({nullptr, order, slots}, slots, arena);
    if (byte_codes_) {
        Vec<SlotId> same(order, order + slots);
        byte_codes_->store.reorder(same.data());
    }
    store_.reorder(order);
    link(alone, arena);
    insert_equal(inserter);
}

// ---- rows in files ----

size_t LeafBuild::row_bytes() const
{
    return head_bytes(l_) + (byte_codes_ ? head_bytes(byte_codes_->encoding.layout()) : 0);
}

void LeafBuild::encode(const Value& x, Tid tid, char* row)
{
    const MutableSlot to(l_, row);
    const Code code = codec_.encode(x, code_);
    write_row(code, tid, to);
    to.header().down = hash_of(code);
    if (byte_codes_) {
        const MutableSlot bytes(byte_codes_->encoding.layout(), row + head_bytes(l_));
        bytes.header() = {};
        put_code(byte_codes_->encoding.codec().encode(x, byte_codes_->code), bytes, no_slot);
    }
}

void LeafBuild::copy_added(SlotId id, uint32_t i, char* row) const
{
    const MutableSlot from = store_.slot(id), to(l_, row);
    write_row(code_in(from), from.tids()[i], to);
    to.header().down = hash_of(code_in(from));
    if (byte_codes_)
        std::memcpy(row + head_bytes(l_), byte_codes_->store.slot(id).data(),
                    byte_codes_->encoding.layout().ids);
}

size_t LeafBuild::block_bytes(size_t rows) const
{
    const size_t slots = rows + most_upper_slots(l_, rows);
    const size_t arranging = Arena::bytes_of<TidOrder>(rows) + Arena::bytes_of<uint8_t>(rows) +
                             Arena::bytes_of<Place>(std::bit_ceil(2 * rows + 1));
    return Arena::bytes_of<char>(slots * l_.slot_bytes) +
           (byte_codes_ ? Arena::bytes_of<char>(slots * byte_codes_->encoding.layout().slot_bytes)
                        : 0) +
           Arena::bytes_of<Counts>(1) + 2 * Arena::bytes_of<SlotId>(rows) +
           std::max({arranging, order_bytes(rows), link_bytes(rows, options_)});
}

// The most slots above layer 0 that levels drawn for this number of rows need.
size_t LeafBuild::most_upper_slots(const Layout& l, size_t rows)
{
    size_t slots = 0;
    for (int level = 0; level < max_level; level++) {
        rows = rows / static_cast<size_t>(l.level_base()) + 1;
        slots += rows;
    }
    return slots;
}

void LeafBuild::build(Team& team, Arena& block, std::span<const Rows> files, LevelDraw levels,
                      Inserter<MemoryStore>& inserter)
{
    const AllRows rows(*this, files);
    if (rows.count() == 0)
        return;
    const size_t capacity = rows.count() + most_upper_slots(l_, rows.count());
    char* const slots = block.take<char>(capacity * l_.slot_bytes);
    char* const byte_codes =
        byte_codes_ ? block.take<char>(capacity * byte_codes_->encoding.layout().slot_bytes)
                    : nullptr;
    Counts& counts = *block.take<Counts>(1);
    const Arranged arranged{block.take<SlotId>(rows.count()), block.take<SlotId>(rows.count()),
                            rows.count()};
    team.alone([&] { arrange(rows, levels, block, arranged, counts); });
    store_.use_block(slots, static_cast<SlotId>(counts.slots), static_cast<SlotId>(capacity));
    if (byte_codes_)
        byte_codes_->store.use_block(byte_codes, static_cast<SlotId>(counts.slots),
                                     static_cast<SlotId>(capacity));
    const auto fill_all = [&](auto&& row_of_slot) {
        team.each(counts.slots, at_once, [&](size_t from, size_t to) {
            for (auto id = static_cast<SlotId>(from); id < to; id++)
                fill(rows, row_of_slot(id), id);
        });
    };
    fill_all([&](SlotId id) { return arranged.row[id]; });
    team.alone([&] { counts.are_distances_euclidean = are_distances_euclidean(); });
    if (!counts.are_distances_euclidean) {
        if (team.is_leader()) {
            join(rows, arranged);
            insert_all(inserter);
        }
        return;
    }
    nodes_ = counts.nodes;
    find_order(team, block, counts.slots, arranged.slot);
    fill_all([&](SlotId id) { return arranged.row[arranged.slot[id]]; });
    team.alone([&] {
        rename(arranged, counts.slots, block);
        join(rows, arranged);
    });
    link(team, block);
    if (team.is_leader())
        insert_equal(inserter);
}

// Finds the nodes of the rows: as add() does, if it gets them in the order of their tids.
void LeafBuild::arrange(const AllRows& rows, LevelDraw& levels, Arena& arena, const Arranged& to,
                        Counts& counts)
{
    const size_t used = arena.used(), places = std::bit_ceil(2 * rows.count() + 1);
    TidOrder* const sorted = arena.take<TidOrder>(rows.count());
    Place* const table = arena.take<Place>(places);
    uint8_t* const tids = arena.take<uint8_t>(rows.count());   // of each slot
    for (size_t row = 0; row < rows.count(); row++) {
        store_.poll();
        sorted[row] = {order_of(rows.slot(row).tids()[0]), row};
    }
    std::sort(sorted, sorted + rows.count(),
              [](const TidOrder& x, const TidOrder& y) { return x.tid < y.tid; });
    std::fill_n(table, places, Place{});
    counts = {};
    size_t joined = rows.count();   // the first place of a further row
    for (size_t i = 0; i < rows.count(); i++) {
        store_.poll();
        const int level = levels.draw(l_.level_base(), max_level);
        const Slot slot = rows.slot(sorted[i].row);
        const uint32_t hash = slot.header().down;
        Place& place = find_equal(table, places, code_in(slot), hash,
                                  [&](SlotId id) { return code_in(rows.slot(to.row[id])); });
        const bool is_equal = place.id != no_slot;
        if (is_equal && tids[place.id] < l_.tids) {
            tids[place.id]++;
            joined--;
            to.row[joined] = static_cast<SlotId>(sorted[i].row);
            to.slot[joined] = place.id;
            continue;
        }
        const auto id = static_cast<SlotId>(counts.slots++);
        to.row[id] = static_cast<SlotId>(sorted[i].row);
        tids[id] = 1;
        place = {hash, id};
        add_node(id, is_equal, level);
    }
    counts.nodes = counts.slots - equal_.size();
    arena.give_back(used);
}

// Writes the slot of a row.
void LeafBuild::fill(const AllRows& rows, size_t row, SlotId id)
{
    const MutableSlot slot = store_.slot(id);
    std::memcpy(slot.data(), rows[row], l_.ids);
    std::memset(slot.data() + l_.ids, 0, l_.slot_bytes - l_.ids);
    slot.header().down = no_slot;
    if (byte_codes_)
        std::memcpy(byte_codes_->store.slot(id).data(), rows[row] + head_bytes(l_),
                    byte_codes_->encoding.layout().ids);
}

// Adds the further rows of nodes.
void LeafBuild::join(const AllRows& rows, const Arranged& arranged)
{
    for (size_t i = arranged.count; i-- > store_.size();) {   // in the order of their tids
        store_.poll();
        const Slot row = rows.slot(arranged.row[i]);
        add_tid(store_.slot(arranged.slot[i]), row.tids()[0], row.header().params.error);
    }
}

// ---- the graph ----

// Inner products: do all vectors have about the same length?
bool LeafBuild::are_distances_euclidean() const
{
    if (codec_.metric.geometry == codec::Geometry::euclidean)
        return true;
    // The length of a vector differs from that of its code by at most the error.
    float least = std::numeric_limits<float>::infinity(), most = 0;
    for (SlotId id = 0; id < store_.size(); id++) {
        store_.poll();
        const CodeParams& p = codes_.slot(id).header().params;
        const float length = std::sqrt(p.norm2);
        least = std::min(least, length + p.error);
        most = std::max(most, length - p.error);
    }
    return most <= least * 1.01f;
}

void LeafBuild::insert_all(Inserter<MemoryStore>& inserter)
{
    const SlotId count = store_.size();   // inserts add slots of upper layers
    auto level = levels_.begin();
    for (SlotId id = 0; id < count; id++) {
        inserter.insert_loaded(id);
        if (level != levels_.end() && level->id == id)
            inserter.raise(id, (level++)->level);
    }
}

size_t LeafBuild::order_bytes(size_t slots)
{
    return Arena::bytes_of<SlotId>(slots) + Carver::bytes(slots, order_limits);
}

// Finds an order of the slots in which near ones are near each other. Nodes that equal others come
// last.
void LeafBuild::find_order(Team& team, Arena& arena, size_t slots, SlotId* order)
{
    const size_t used = arena.used();
    SlotId* const ids = arena.take<SlotId>(slots);
    team.alone([&] {
        std::copy(equal_.begin(), equal_.end(), order + nodes_);
        auto equal = equal_.begin();   // in the order of the ids
        size_t count = 0;
        for (SlotId id = 0; id < slots; id++)
            if (equal != equal_.end() && *equal == id)
                ++equal;
            else
                ids[count++] = id;
    });
    Carver carver(codes_, team, arena);
    carver.carve({ids, nodes_}, order_limits, options_.seed,
                 [&](std::span<const SlotId> leaf, Rng&, size_t first) {
                     std::copy(leaf.begin(), leaf.end(), order + first);
                 });
    arena.give_back(used);
}

// Changes the ids of slots to those of the new order.
void LeafBuild::rename(const Arranged& arranged, size_t slots, Arena& arena)
{
    const size_t used = arena.used();
    SlotId* const place = arena.take<SlotId>(slots);
    for (SlotId id = 0; id < slots; id++)
        place[arranged.slot[id]] = id;
    for (Level& l : levels_)
        l.id = place[l.id];
    for (SlotId& id : equal_)
        id = place[id];
    for (size_t i = slots; i < arranged.count; i++)
        arranged.slot[i] = place[arranged.slot[i]];
    arena.give_back(used);
}

size_t LeafBuild::link_bytes(size_t slots, const LeafBuildOptions& options)
{
    return Arena::bytes_of<UpperLayers>(1) + LeafLinks::bytes(slots, options);
}

// Links layer 0, and makes the upper layers.
void LeafBuild::link(Team& team, Arena& arena)
{
    UpperLayers& layers = *arena.take<UpperLayers>(1);
    const auto link_slots = [&](SlotId first, SlotId end) {
        const size_t used = arena.used();
        LeafLinks(store_, codes_, first, end - first, options_, team, arena).make();
        arena.give_back(used);
    };
    link_slots(0, static_cast<SlotId>(nodes_));
    team.alone([&] { write_upper_slots(layers); });
    if (!team.is_leader())
        add_slots(layers.end() - store_.size());
    for (int i = 0; i < max_level && layers.start[i] < layers.start[i + 1]; i++)
        link_slots(layers.start[i], layers.start[i + 1]);
}

void LeafBuild::add_slots(SlotId count)
{
    store_.add_slots(count);
    if (byte_codes_)
        byte_codes_->store.add_slots(count);
}

// Writes the slots of upper layers, without links. On each layer, they have the order of layer 0.
void LeafBuild::write_upper_slots(UpperLayers& layers)
{
    SlotId next = store_.size();
    add_slots(static_cast<SlotId>(upper_slots_));
    std::sort(levels_.begin(), levels_.end(),
              [](const Level& x, const Level& y) { return x.id < y.id; });
    Entry entry{0, 0, 0};
    Vec<SlotId> top;   // of each of these nodes: its highest slot so far
    for (const Level& l : levels_)
        top.push_back(l.id);
    for (int level = 1; level <= max_level; level++) {
        layers.start[level - 1] = next;
        for (size_t i = 0; i < levels_.size(); i++) {
            if (levels_[i].level < level)
                continue;
            store_.poll();
            copy_up(top[i], level, next);
            if (entry.level < level)
                entry = {next, level, levels_[i].id};
            top[i] = next++;
        }
    }
    layers.start[max_level] = next;
    store_.set_entry(entry);
}

// Writes slot `id` on layer `level`, above slot `below`.
void LeafBuild::copy_up(SlotId below, int level, SlotId id)
{
    const MutableSlot slot = store_.slot(id);
    std::memset(slot.data(), 0, l_.slot_bytes);
    SlotHeader& h = slot.header();
    h.state = SlotState::live;
    h.level = static_cast<uint8_t>(level);
    h.down = below;
    put_code(code_in(store_.slot(below)), slot, no_slot);
    if (byte_codes_)
        std::memcpy(byte_codes_->store.slot(id).data(), byte_codes_->store.slot(below).data(),
                    byte_codes_->encoding.layout().ids);
}

void LeafBuild::insert_equal(Inserter<MemoryStore>& inserter)
{
    for (const SlotId id : equal_)
        inserter.insert_loaded(id);
}

}   // namespace quiver::graph
