#include "graph/graph_build.hpp"

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
// (A sparse code has neither.)
uint32_t hash_of(const Code& code, bool is_sparse)
{
    uint64_t h = 0, word;
    const auto add = [&](const void* bytes, size_t count) {
        word = 0;
        std::memcpy(&word, bytes, count);
        h = (h ^ word) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 29;
    };
    const float range[2] = {code.params.offset + 0.0f, code.params.scale};   // -0 equals 0
    if (!is_sparse)
        add(range, sizeof range);
    for (uint32_t i = 0; i < code.length; i += sizeof word)
        add(code.bytes + i, std::min<size_t>(sizeof word, code.length - i));
    return static_cast<uint32_t>(h >> 32);
}

uint64_t order_of(Tid t)
{
    return uint64_t{t.block_high} << 32 | uint64_t{t.block_low} << 16 | t.offset;
}

size_t rounded(size_t bytes) { return (bytes + 7) / 8 * 8; }

// An encoded row has the bytes of a slot up to the code, with the hash of the code as `down`, and then
// the whole code. If the build has 8-bit codes besides, the same follows for these.
size_t row_bytes(const Layout& l, uint32_t code_length) { return l.code + rounded(code_length); }
Slot row_in(const Layout& l, const char* row) { return {l, row}; }
Code code_in_row(const Slot& row)
{
    return {row.header().params, row.code(), row.header().length, filter_in(row)};
}

// Inserts of a team: how many nodes a participant takes at a time.
constexpr size_t inserts_at_once = 16;

}   // namespace

class GraphBuild::AllRows {
  public:
    // offsets: if rows differ in size, a place for where each begins, counted through all files.
    AllRows(const GraphBuild& build, std::span<const File> files, size_t count, uint64_t* offsets)
        : build_(build), files_(files), count_(count), offsets_(offsets)
    {
        for (const File& f : files_) {
            start_.push_back(end_);
            end_ += f.size();
        }
        row_bytes_ = count > 0 ? size_of(files_, build) : 0;
    }
    // The bytes of a row of a fixed size.
    static size_t size_of(std::span<const File> files, const GraphBuild& build)
    {
        for (const File& f : files)
            if (!f.empty())
                return bytes_of(build, f.data());
        return 0;
    }
    static size_t bytes_of(const GraphBuild& build, const char* row)
    {
        const size_t bytes = row_bytes(build.l_, row_in(build.l_, row).header().length);
        return build.byte_codes_ ? bytes + bytes_of_byte_code(build) : bytes;
    }
    static size_t bytes_of_byte_code(const GraphBuild& build)
    {
        const Layout& l = build.byte_codes_->encoding.layout();
        return row_bytes(l, l.code_bytes);
    }
    // Calls f(row, offset) for each row, with its first byte.
    template <class F>
    static void for_each(const GraphBuild& build, std::span<const File> files, F&& f)
    {
        uint64_t start = 0;
        for (const File& file : files) {
            for (size_t at = 0; at < file.size();) {
                build.store_.poll();
                const char* row = file.data() + at;
                f(row, start + at);
                at += bytes_of(build, row);
            }
            start += file.size();
        }
    }
    // To be called by one participant before rows are read.
    void find()
    {
        if (!offsets_)
            return;
        uint64_t* next = offsets_;
        for_each(build_, files_, [&](const char*, uint64_t offset) { *next++ = offset; });
    }

    size_t count() const { return count_; }
    const char* operator[](size_t row) const
    {
        const uint64_t at = offsets_ ? offsets_[row] : row * row_bytes_;
        size_t f = files_.size() - 1;
        while (start_[f] > at)
            f--;
        return files_[f].data() + (at - start_[f]);
    }
    Slot slot(size_t row) const { return row_in(build_.l_, (*this)[row]); }

  private:
    const GraphBuild& build_;
    std::span<const File> files_;
    size_t count_, row_bytes_ = 0;
    uint64_t* offsets_;
    Vec<uint64_t> start_;   // of each file
    uint64_t end_ = 0;
};

bool GraphBuild::has_leaves(const Encoding& encoding)
{
    return encoding.codec().traits.rotated && encoding.sketches();
}

GraphBuild::ByteCodes::ByteCodes(const Encoding& of)
    : encoding({.codec = {of.shape().codec.form, of.shape().codec.metric, of.shape().codec.dims, 8},
                .fold = 0,
                .degree = 4,
                .tids = 1}),
      store(encoding)
{
}

GraphBuild::GraphBuild(MemoryStore& store, const BuildOptions& options)
    : store_(store), l_(store.encoding().layout()), codec_(store.encoding().codec()),
      options_(options), has_leaves_(has_leaves(store.encoding())),
      byte_codes_(has_leaves_ && !begins_with_bytes(store.encoding())
                      ? make_owned<ByteCodes>(store.encoding())
                      : Owned<ByteCodes>()),
      codes_(byte_codes_ ? byte_codes_->store : store_), node_(l_)
{
}

// ---- both ----

// The place with this hash of a node that `equals` accepts, or the free place for it.
template <class Equals>
GraphBuild::Place& GraphBuild::find_place(Place* table, size_t places, uint32_t hash,
                                          Equals&& equals)
{
    for (size_t i = hash;; i++) {
        Place& p = table[i & (places - 1)];
        if (p.id == no_slot || (p.hash == hash && equals(p.id)))
            return p;
    }
}

// The place of the node that a row with this code can join, or the free place for it. Sets
// is_equal: does any node have the same vector code? If there are filter codes, these may differ. So
// each vector code has a further place, for the first node that has it. `next`: the node that the
// caller makes if there is none.
template <class CodeOf>
GraphBuild::Place& GraphBuild::find_equal(Place* table, size_t places, const Code& code,
                                          uint32_t hash, SlotId next, CodeOf&& code_of,
                                          bool* is_equal) const
{
    if (l_.filtered) {
        Place& any = find_place(table, places, hash,
                                [&](SlotId id) { return codec_.same(code, code_of(id)); });
        *is_equal = any.id != no_slot;
        if (!*is_equal)
            any = {hash, next};
    }
    const uint32_t full_hash = l_.filtered ? hash ^ (code.filter + 1u) * 0x9e3779b9u : hash;
    Place& place = find_place(table, places, full_hash,
                              [&](SlotId id) { return can_share_node(codec_, code, code_of(id)); });
    if (!l_.filtered)
        *is_equal = place.id != no_slot;
    place.hash = full_hash;
    return place;
}

void GraphBuild::add_node(SlotId id, bool is_equal, int level)
{
    if (is_equal)
        equal_.push_back(id);
    else if (level > 0) {
        levels_.push_back({id, level});
        upper_slots_ += static_cast<size_t>(level);
    }
}

// ---- rows in memory ----

size_t GraphBuild::bytes() const
{
    const size_t slots = store_.size();
    const size_t linking = has_leaves_
                               ? Arena::bytes_of<SlotId>(slots) +
                                     std::max(order_bytes(slots), link_bytes(slots, options_))
                               : slots;
    const size_t upper_bytes =
        l_.slot_bytes + (byte_codes_ ? byte_codes_->encoding.layout().slot_bytes : 0);
    return std::max(table_.size() * sizeof(Place) * 3 / 2, linking) + upper_slots_ * upper_bytes +
           (byte_codes_ ? byte_codes_->store.bytes() : 0);
}

// Writes the slot of a node without links.
void GraphBuild::write_node(const Code& code, Tid tid, const MutableSlot& to)
{
    SlotHeader& h = to.header();
    h = {};
    h.state = SlotState::live;
    h.down = no_slot;
    h.tid_count = 1;
    to.tids()[0] = tid;
    put_code(code, to, no_slot);
}

// How many overflow slots the code of a node needs.
uint32_t GraphBuild::overflow_slots(uint32_t length) const
{
    const uint32_t part = l_.overflow_bytes() / 8 * 8;
    return length > l_.code_bytes ? (length - l_.code_bytes + part - 1) / part : 0;
}

// Writes the overflow slots of node `id`, which follow its slot, as Inserter does.
void GraphBuild::write_overflow(const Code& code, SlotId id)
{
    const uint32_t part = l_.overflow_bytes() / 8 * 8, count = overflow_slots(code.length);
    if (count > 0)
        store_.slot(id).header().overflow() = id + 1;
    uint32_t from = l_.code_bytes;
    for (uint32_t i = 1; i <= count; i++) {
        const MutableSlot slot = store_.slot(id + i);
        std::memset(slot.data(), 0, l_.slot_bytes);
        SlotHeader& h = slot.header();
        h.state = SlotState::overflow;
        h.owner() = id;
        slot.stamp() = store_.stamp();
        h.down = i < count ? id + i + 1 : no_slot;
        h.length = std::min(part, code.length - from);
        std::memcpy(slot.code(), code.bytes + from, h.length);
        from += h.length;
    }
}

// The code of a node, valid until the next call.
Code GraphBuild::code_of(SlotId id)
{
    if (!l_.codes_vary)
        return code_in(store_.slot(id));
    node_.read(store_, id);
    return node_.code();
}

// Adds a row with the same code.
void GraphBuild::add_tid(const MutableSlot& slot, Tid tid, float error)
{
    SlotHeader& h = slot.header();
    slot.tids()[h.tid_count++] = tid;
    h.params.error = std::max(h.params.error, error);
}

void GraphBuild::add(const Value& x, Tid tid, int level, FilterCode filter)
{
    Code code = codec_.encode(x, code_);
    code.filter = filter;
    if (size_t{store_.size()} * places_of_node() >= table_.size())
        grow_table();
    bool is_equal = false;
    Place& place = find_equal(
        table_.data(), table_.size(), code, hash_of(code, l_.codes_vary), store_.size(),
        [&](SlotId id) { return code_of(id); }, &is_equal);
    if (place.id != no_slot && store_.slot(place.id).header().tid_count < l_.tids)
        return add_tid(store_.slot(place.id), tid, code.params.error);
    const SlotId id = store_.create([&](const MutableSlot& slot) { write_node(code, tid, slot); });
    store_.add_slots(overflow_slots(code.length));
    write_overflow(code, id);
    if (byte_codes_)
        byte_codes_->store.create([&](const MutableSlot& slot) {
            put_code(byte_codes_->encoding.codec().encode(x, byte_codes_->code), slot, no_slot);
        });
    place.id = id;   // further rows join the new node
    add_node(id, is_equal, level);
}

void GraphBuild::grow_table()
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

void GraphBuild::finish(Inserter<MemoryStore>& inserter)
{
    Vec<Place>().swap(table_);
    const size_t slots = store_.size();
    if (slots == 0)
        return;
    Team alone(store_.poller());
    if (!has_leaves_ || !are_distances_euclidean()) {
        Vec<uint8_t> levels(slots);
        for (const Level& l : levels_)
            levels[l.id] = static_cast<uint8_t>(l.level);
        Arena none(nullptr, 0);
        return insert_all(alone, none, slots, levels.data(), inserter);
    }
    nodes_ = slots - equal_.size();
    Arena arena(Arena::bytes_of<SlotId>(slots) +
                std::max(order_bytes(slots), link_bytes(nodes_, options_)));
    SlotId* const order = arena.take<SlotId>(slots);
    find_order(alone, arena, slots, order);
    rename({nullptr, order, nullptr, slots}, slots, arena);
    if (byte_codes_) {
        Vec<SlotId> same(order, order + slots);
        byte_codes_->store.reorder(same.data());
    }
    store_.reorder(order);
    link(alone, arena);
    insert_equal(inserter);
}

// ---- rows in files ----

std::span<const char> GraphBuild::encode(const Value& x, Tid tid, FilterCode filter)
{
    Code code = codec_.encode(x, code_);
    code.filter = filter;
    row_.assign(row_bytes(l_, code.length) + (byte_codes_ ? AllRows::bytes_of_byte_code(*this) : 0),
                0);
    write_row(code, tid, row_.data());
    if (byte_codes_) {
        const Code bytes = byte_codes_->encoding.codec().encode(x, byte_codes_->code);
        put_code(
            bytes,
            MutableSlot(byte_codes_->encoding.layout(), row_.data() + row_bytes(l_, code.length)),
            no_slot);
    }
    return row_;
}

void GraphBuild::write_row(const Code& code, Tid tid, char* to) const
{
    const MutableSlot row(l_, to);
    SlotHeader& h = row.header();
    h.state = SlotState::live;
    h.down = hash_of(code, l_.codes_vary);
    h.tid_count = 1;
    h.params = code.params;
    if (l_.codes_vary)
        h.overflow() = no_slot;
    h.length = code.length;
    if (l_.filtered)
        row.filter() = code.filter;
    row.tids()[0] = tid;
    std::memcpy(row.code(), code.bytes, code.length);
}

std::span<const char> GraphBuild::copy_added(SlotId id, uint32_t i)
{
    const Code code = code_of(id);
    const size_t bytes = row_bytes(l_, code.length);
    row_.assign(bytes + (byte_codes_ ? AllRows::bytes_of_byte_code(*this) : 0), 0);
    write_row(code, store_.slot(id).tids()[i], row_.data());
    if (byte_codes_)
        std::memcpy(row_.data() + bytes, byte_codes_->store.slot(id).data(),
                    byte_codes_->encoding.layout().ids);
    return row_;
}

GraphBuild::Measure GraphBuild::measure(std::span<const File> files) const
{
    Measure m{};
    if (l_.codes_vary) {
        AllRows::for_each(*this, files, [&](const char* row, uint64_t) {
            m.rows++;
            m.overflow_slots += overflow_slots(row_in(l_, row).header().length);
        });
        return m;
    }
    for (const File& f : files)
        if (!f.empty())
            m.rows += f.size() / AllRows::bytes_of(*this, f.data());
    return m;
}

size_t GraphBuild::block_bytes(const Measure& m, bool together) const
{
    const size_t places = m.rows + m.overflow_slots, slots = places + most_upper_slots(l_, m.rows);
    const size_t arranging = Arena::bytes_of<TidOrder>(m.rows) + Arena::bytes_of<uint8_t>(places) +
                             Arena::bytes_of<Place>(table_places(m.rows));
    const size_t inserting =
        Arena::bytes_of<MemoryStore::Shared>(1) + Arena::bytes_of<uint8_t>(slots) +
        (l_.sketched() || !together
             ? 0
             : Arena::bytes_of<char>(SelectionCache::shared_bytes(slots, l_.degree)));
    const size_t linking =
        has_leaves_ ? std::max(order_bytes(m.rows), link_bytes(m.rows, options_)) : 0;
    return Arena::bytes_of<char>(slots * l_.slot_bytes) +
           (byte_codes_ ? Arena::bytes_of<char>(slots * byte_codes_->encoding.layout().slot_bytes)
                        : 0) +
           Arena::bytes_of<Counts>(1) + (l_.codes_vary ? Arena::bytes_of<uint64_t>(m.rows) : 0) +
           2 * Arena::bytes_of<SlotId>(places) + Arena::bytes_of<uint8_t>(places) +
           std::max({arranging, linking, inserting});
}

// The size of the table of the codes of this number of nodes.
size_t GraphBuild::table_places(size_t nodes) const
{
    return std::bit_ceil(nodes * places_of_node() + 1);
}

// The most slots above layer 0 that levels drawn for this number of rows need.
size_t GraphBuild::most_upper_slots(const Layout& l, size_t rows)
{
    size_t slots = 0;
    for (int level = 0; level < max_level; level++) {
        rows = rows / static_cast<size_t>(l.level_base()) + 1;
        slots += rows;
    }
    return slots;
}

void GraphBuild::build(Team& team, Arena& block, std::span<const File> files, LevelDraw levels,
                       Inserter<MemoryStore>& inserter)
{
    Counts& counts = *block.take<Counts>(1);
    team.alone([&] {
        counts = {};
        counts.measure = measure(files);
    });
    const size_t count = counts.measure.rows, places = count + counts.measure.overflow_slots;
    if (count == 0)
        return;
    const size_t capacity = places + most_upper_slots(l_, count);
    char* const slots = block.take<char>(capacity * l_.slot_bytes);
    char* const byte_codes =
        byte_codes_ ? block.take<char>(capacity * byte_codes_->encoding.layout().slot_bytes)
                    : nullptr;
    AllRows rows(*this, files, count, l_.codes_vary ? block.take<uint64_t>(count) : nullptr);
    const Arranged arranged{block.take<SlotId>(places), block.take<SlotId>(places),
                            block.take<uint8_t>(places), places};
    team.alone([&] {
        rows.find();
        arrange(rows, levels, block, arranged, counts);
    });
    store_.use_block(slots, static_cast<SlotId>(counts.slots), static_cast<SlotId>(capacity));
    if (byte_codes_)
        byte_codes_->store.use_block(byte_codes, static_cast<SlotId>(counts.slots),
                                     static_cast<SlotId>(capacity));
    const auto fill_all = [&](auto&& row_of_slot) {
        team.each(counts.slots, at_once, [&](size_t from, size_t to) {
            for (auto id = static_cast<SlotId>(from); id < to; id++)
                if (const SlotId row = row_of_slot(id); row != no_slot)
                    fill(rows, row, id);
        });
    };
    fill_all([&](SlotId id) { return arranged.row[id]; });
    team.alone([&] {
        counts.are_distances_euclidean = has_leaves_ && are_distances_euclidean();
        if (!counts.are_distances_euclidean)
            join(rows, arranged);
    });
    if (!counts.are_distances_euclidean)
        return insert_all(team, block, counts.slots, arranged.level, inserter);
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
void GraphBuild::arrange(const AllRows& rows, LevelDraw& levels, Arena& arena, const Arranged& to,
                         Counts& counts)
{
    const size_t used = arena.used(), places = table_places(rows.count());
    TidOrder* const sorted = arena.take<TidOrder>(rows.count());
    Place* const table = arena.take<Place>(places);
    uint8_t* const tids = arena.take<uint8_t>(to.count);   // of each slot
    for (size_t row = 0; row < rows.count(); row++) {
        store_.poll();
        sorted[row] = {order_of(rows.slot(row).tids()[0]), row};
    }
    std::sort(sorted, sorted + rows.count(),
              [](const TidOrder& x, const TidOrder& y) { return x.tid < y.tid; });
    std::fill_n(table, places, Place{});
    std::fill_n(to.row, to.count, no_slot);
    std::fill_n(to.level, to.count, uint8_t{0});
    size_t joined = to.count;   // the first place of a further row
    for (size_t i = 0; i < rows.count(); i++) {
        store_.poll();
        const int level = levels.draw(l_.level_base(), max_level);
        const Slot slot = rows.slot(sorted[i].row);
        bool is_equal = false;
        Place& place = find_equal(
            table, places, code_in_row(slot), slot.header().down, static_cast<SlotId>(counts.slots),
            [&](SlotId id) { return code_in_row(rows.slot(to.row[id])); }, &is_equal);
        if (place.id != no_slot && tids[place.id] < l_.tids) {
            tids[place.id]++;
            joined--;
            to.row[joined] = static_cast<SlotId>(sorted[i].row);
            to.slot[joined] = place.id;
            continue;
        }
        const auto id = static_cast<SlotId>(counts.slots);
        counts.slots += 1 + overflow_slots(slot.header().length);
        to.row[id] = static_cast<SlotId>(sorted[i].row);
        to.level[id] = static_cast<uint8_t>(is_equal ? 0 : level);
        tids[id] = 1;
        place.id = id;
        add_node(id, is_equal, level);
    }
    counts.nodes = counts.slots - equal_.size();
    arena.give_back(used);
}

// Writes the slot of a row, and its overflow slots.
void GraphBuild::fill(const AllRows& rows, size_t row, SlotId id)
{
    const MutableSlot slot = store_.slot(id);
    const Slot from = rows.slot(row);
    const Code code = code_in_row(from);
    std::memcpy(slot.data(), from.data(), l_.code + std::min(code.length, l_.code_bytes));
    std::memset(slot.data() + l_.code + std::min(code.length, l_.code_bytes), 0,
                l_.slot_bytes - l_.code - std::min(code.length, l_.code_bytes));
    slot.header().down = no_slot;
    write_overflow(code, id);
    if (byte_codes_)
        std::memcpy(byte_codes_->store.slot(id).data(), from.data() + row_bytes(l_, code.length),
                    byte_codes_->encoding.layout().ids);
}

// Adds the further rows of nodes.
void GraphBuild::join(const AllRows& rows, const Arranged& arranged)
{
    // In the order of their tids. (Before them are places that overflow slots of theirs would have.)
    for (size_t i = arranged.count; i-- > store_.size() && arranged.row[i] != no_slot;) {
        store_.poll();
        const Slot row = rows.slot(arranged.row[i]);
        add_tid(store_.slot(arranged.slot[i]), row.tids()[0], row.header().params.error);
    }
}

// ---- the graph ----

// Inner products: do all vectors have about the same length?
bool GraphBuild::are_distances_euclidean() const
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

// Inserts the nodes of slots 0 to slots - 1. Several participants do so side by side.
void GraphBuild::insert_all(Team& team, Arena& arena, size_t slots, const uint8_t* levels,
                            Inserter<MemoryStore>& inserter)
{
    const bool together = team.size() > 1;
    if (together) {
        auto& shared = *arena.take<MemoryStore::Shared>(1);
        const size_t capacity = store_.capacity();
        uint8_t* const locks = arena.take<uint8_t>(capacity);
        team.alone([&] {
            shared = {static_cast<SlotId>(slots), 0, Entry{}};
            std::memset(locks, 0, capacity);
        });
        store_.share(shared, locks);
        if (!l_.sketched()) {
            const size_t bytes = SelectionCache::shared_bytes(capacity, l_.degree);
            char* const remembered = arena.take<char>(bytes);
            team.each(bytes, 1 << 20, [&](size_t from, size_t to) {
                std::memset(remembered + from, 0, to - from);
            });
            inserter.share_cache(remembered, store_.poller());
        }
    }
    team.each(slots, together ? inserts_at_once : slots, [&](size_t from, size_t to) {
        for (auto id = static_cast<SlotId>(from); id < to; id++) {
            if (options_.progress && team.is_leader() && id % inserts_at_once == 0)
                options_.progress(id, slots);
            inserter.insert_loaded(id);
            if (levels[id] > 0)
                inserter.raise(id, levels[id]);
        }
    });
    if (together)
        store_.end_sharing();
}

size_t GraphBuild::order_bytes(size_t slots)
{
    return Arena::bytes_of<SlotId>(slots) + Carver::bytes(slots, order_limits);
}

// Finds an order of the slots in which near ones are near each other. Nodes that equal others come
// last.
void GraphBuild::find_order(Team& team, Arena& arena, size_t slots, SlotId* order)
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
void GraphBuild::rename(const Arranged& arranged, size_t slots, Arena& arena)
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

size_t GraphBuild::link_bytes(size_t slots, const BuildOptions& options)
{
    return Arena::bytes_of<UpperLayers>(1) + LeafLinks::bytes(slots, options);
}

// Links layer 0, and makes the upper layers.
void GraphBuild::link(Team& team, Arena& arena)
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

void GraphBuild::add_slots(SlotId count)
{
    store_.add_slots(count);
    if (byte_codes_)
        byte_codes_->store.add_slots(count);
}

// Writes the slots of upper layers, without links. On each layer, they have the order of layer 0.
void GraphBuild::write_upper_slots(UpperLayers& layers)
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
void GraphBuild::copy_up(SlotId below, int level, SlotId id)
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

void GraphBuild::insert_equal(Inserter<MemoryStore>& inserter)
{
    for (const SlotId id : equal_)
        inserter.insert_loaded(id);
}

}   // namespace quiver::graph
