#include "graph/leaf_build.hpp"

#include <cmath>

#include "core/no_postgres.hpp"

namespace quiver::graph {

namespace {

// Near slots are on the same few pages.
constexpr CarveLimits order_limits = {.leaf = 64, .leaders = 64, .fan = 1};

// Samples have one node in 4, in 16, and so on.
constexpr size_t sample_ratio = 4, least_sample = 32;
constexpr uint32_t coarse_links = 12;

// In each leaf, a node meets the nearest `met_at_random` of `window` nodes. It keeps the nearest of
// all leaves, and links to some of these.
constexpr uint32_t window = 8, met_at_random = 2, links_at_random = 4;

// ef_construction says how much work a build does for a row. Here that is the number of leaves in which
// a node is. 6 leaves give about the recall of inserts with 64 candidates, and 12 that of 200.
uint32_t leaves_of(uint32_t ef_construction)
{
    const double leaves = 6 * std::pow(ef_construction / 64.0, 0.6);
    return static_cast<uint32_t>(std::clamp(std::round(leaves), 2.0, 64.0));
}

// How many nodes a node meets in a leaf.
uint32_t met_in_leaf(const Layout& l) { return std::clamp(l.degree / 4, 4u, 64u); }

// The sizes of a slot's two reservoirs.
uint32_t capacity_at_random(const Layout& l) { return std::min(8u, Reservoirs::entries_in(l) / 4); }
uint32_t capacity_of_nearest(const Layout& l)
{
    return std::min({Reservoirs::entries_in(l) - capacity_at_random(l), 2 * l.degree,
                     Reservoirs::most_capacity});
}

// One place of each node is left for a link that makes another node reachable (insert.hpp).
uint32_t most_links(const Layout& l) { return l.degree - 1; }

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

bool contains(const SlotId* ids, uint32_t count, SlotId id)
{
    return std::find(ids, ids + count, id) != ids + count;
}

}   // namespace

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
      options_(options), leaves_{.leaf = 1024,
                                 .leaders = 1000,
                                 .fan = leaves_of(options.ef_construction)},
      rng_(options.seed),
      byte_codes_(begins_with_bytes(store.encoding()) ? Owned<ByteCodes>()
                                                      : make_owned<ByteCodes>(store.encoding())),
      codes_(byte_codes_ ? byte_codes_->store : store_),
      nearest_(store, 0, capacity_of_nearest(l_)),
      at_random_(store, capacity_of_nearest(l_), capacity_at_random(l_)), packed_(codes_),
      encoder_(store.encoding())
{
}

size_t LeafBuild::bytes() const
{
    // A division holds the leaders of each node and the nodes of each leader. Besides, there are two
    // lists of the nodes, and the links of the samples: a third of the nodes has coarse_links each.
    const size_t per_node = sizeof(SlotId) * (2 * size_t{leaves_.fan} + 4 + coarse_links / 2) +
                            2 * Reservoirs::bytes_per_node;
    return std::max(table_.size() * sizeof(Place) * 3 / 2, store_.size() * per_node) +
           upper_slots_ * l_.slot_bytes + (byte_codes_ ? byte_codes_->store.bytes() : 0);
}

// ---- rows ----

void LeafBuild::add(const Value& x, Tid tid, int level)
{
    const Code code = codec_.encode(x, code_);
    if (size_t{store_.size()} * 2 >= table_.size())
        grow_table();
    const uint32_t hash = hash_of(code);
    Place& place = find_equal(code, hash);
    const bool is_equal = place.id != no_slot;
    if (is_equal) {
        const MutableSlot slot = store_.slot(place.id);
        SlotHeader& h = slot.header();
        if (h.tid_count < l_.tids) {
            slot.tids()[h.tid_count++] = tid;
            h.params.error = std::max(h.params.error, code.params.error);
            return;
        }
    }
    const SlotId id = store_.create([&](const MutableSlot& slot) {
        SlotHeader& h = slot.header();
        h.state = SlotState::live;
        h.down = no_slot;
        h.tid_count = 1;
        slot.tids()[0] = tid;
        put_code(code, slot, no_slot);
    });
    if (byte_codes_)
        byte_codes_->store.create([&](const MutableSlot& slot) {
            put_code(byte_codes_->encoding.codec().encode(x, byte_codes_->code), slot, no_slot);
        });
    place = {hash, id};   // further rows join the new node
    if (is_equal)
        equal_.push_back(id);
    else if (level > 0)
        raise_later(id, level);
}

// The upper slots of a node are added at the end.
void LeafBuild::raise_later(SlotId id, int level)
{
    levels_.push_back({id, level});
    upper_slots_ += static_cast<size_t>(level);
}

// The place of the node with this code, or the free place for it.
LeafBuild::Place& LeafBuild::find_equal(const Code& code, uint32_t hash)
{
    for (size_t i = hash;; i++) {
        Place& p = table_[i & (table_.size() - 1)];
        if (p.id == no_slot || (p.hash == hash && codec_.same(code, code_in(store_.slot(p.id)))))
            return p;
    }
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

// ---- the graph ----

void LeafBuild::finish(Inserter<MemoryStore>& inserter)
{
    Vec<Place>().swap(table_);
    if (store_.size() == 0)
        return;
    if (!are_distances_euclidean())
        return insert_all(inserter);
    nodes_ = store_.size() - equal_.size();
    order();
    // The samples come first, because all use the same reservoirs.
    Vec<Sample> samples;
    for (size_t step = sample_ratio; nodes_ / step >= least_sample; step *= sample_ratio)
        samples.push_back(link_sample(step));
    link(one_in(1), {.most = most_links(l_),
                     .least = options_.m / 2,
                     .at_random = links_at_random,
                     .alpha = 1.05f});
    add_coarse(samples);
    add_reverse();
    write_sketches();
    insert_rest(inserter);
}

// Inner products: do all vectors have about the same length?
bool LeafBuild::are_distances_euclidean() const
{
    if (codec_.metric.geometry == codec::Geometry::euclidean)
        return true;
    // The length of a vector differs from that of its code by at most the error.
    float least = std::numeric_limits<float>::infinity(), most = 0;
    for (SlotId id = 0; id < store_.size(); id++) {
        options_.poll();
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

// Orders the slots. Nodes that equal others come last.
void LeafBuild::order()
{
    Vec<uint8_t> is_equal(store_.size());
    for (const SlotId id : equal_)
        is_equal[id] = true;
    Vec<SlotId> ids, order;
    for (SlotId id = 0; id < store_.size(); id++)
        if (!is_equal[id])
            ids.push_back(id);
    Carver carver(codes_, options_.seed, options_.poll);
    carver.carve(std::move(ids), order_limits, [&](std::span<const SlotId> leaf) {
        order.insert(order.end(), leaf.begin(), leaf.end());
    });
    order.insert(order.end(), equal_.begin(), equal_.end());
    Vec<SlotId> place(store_.size());
    for (SlotId id = 0; id < store_.size(); id++)
        place[order[id]] = id;
    for (Level& l : levels_)
        l.id = place[l.id];
    for (SlotId& id : equal_)
        id = place[id];
    if (byte_codes_) {
        Vec<SlotId> same = order;
        byte_codes_->store.reorder(same);
    }
    store_.reorder(order);
}

// Gives the nodes links among themselves. Only their ids are written.
void LeafBuild::link(const Vec<SlotId>& nodes, const Rule& rule)
{
    nearest_.clear(nodes_);
    at_random_.clear(nodes_);
    Carver carver(codes_, rng_.next(), options_.poll);
    carver.carve(nodes, leaves_, [&](std::span<const SlotId> leaf) {
        options_.poll();
        leaf_.assign(leaf.begin(), leaf.end());
        for (size_t i = 0; i < leaf_.size(); i++)
            std::swap(leaf_[i], leaf_[i + rng_.next() % (leaf_.size() - i)]);
        meet(leaf_);
    });
    for (const SlotId id : nodes) {
        options_.poll();
        select(id, rule);
    }
}

// Each node of a leaf, which is in random order, meets others.
void LeafBuild::meet(std::span<const SlotId> leaf)
{
    if (leaf.size() < 2)
        return;
    constexpr uint32_t none = UINT32_MAX;
    constexpr float infinite = std::numeric_limits<float>::infinity();
    const simd::Products& kernels = simd::kernels().products;
    const size_t most = std::min<size_t>(met_in_leaf(l_), leaf.size() - 1),
                 some = std::min<size_t>(window, leaf.size() - 1);
    near_.assign(leaf.size() * most, none);
    near_distance_.resize(leaf.size() * most);
    packed_.set(leaf);
    packed_.for_each_row(leaf, [&](size_t i, float* distances) {
        if (i % 32 == 0)
            options_.poll();
        distances[i] = infinite;   // the node itself
        kernels.least(distances, packed_.columns(), most, &near_[i * most],
                      &near_distance_[i * most]);
        const size_t from = (i + leaf.size() / 2) % (leaf.size() - some + 1);
        uint32_t index[met_at_random];
        float distance[met_at_random];
        const size_t got = kernels.least(distances + from, some, met_at_random, index, distance);
        for (size_t j = 0; j < got; j++)
            at_random_.offer(leaf[i], leaf[from + index[j]], distance[j]);
    });
    for (size_t i = 0; i < leaf.size(); i++) {
        if (i + 4 < leaf.size())
            nearest_.prefetch(leaf[i + 4]);
        for (size_t j = i * most; j < (i + 1) * most && near_[j] != none; j++) {
            nearest_.offer(leaf[i], leaf[near_[j]], near_distance_[j]);
            nearest_.offer(leaf[near_[j]], leaf[i], near_distance_[j]);
        }
    }
}

// Selects a node's links from those that it has met, and writes their ids.
void LeafBuild::select(SlotId id, const Rule& rule)
{
    selected_.clear();
    nearest_.read(id, met_);
    for (const Candidate& c : met_)
        prefetch(codes_.slot(c.id()).data(), codes_.encoding().layout().ids);
    select_from(met_, 0, rule);
    if (rule.at_random > 0) {
        at_random_.read(id, met_);
        const auto first = static_cast<uint32_t>(selected_.size());
        select_from(met_, first,
                    {.most = std::min(first + rule.at_random, rule.most),
                     .least = 0,
                     .at_random = 0,
                     .alpha = 1});
    }
    const MutableSlot slot = store_.slot(id);
    std::copy(selected_.begin(), selected_.end(), slot.ids());
    slot.header().degree = static_cast<uint8_t>(selected_.size());
}

// Adds candidates, nearest first, to selected_. Those before number `first` make none superfluous.
void LeafBuild::select_from(const Vec<Candidate>& candidates, size_t first, const Rule& rule)
{
    discarded_.clear();
    for (const Candidate& c : candidates) {
        if (selected_.size() >= rule.most)
            break;
        if (!contains(selected_.data(), static_cast<uint32_t>(first), c.id()))
            (is_superfluous(c, first, rule.alpha) ? discarded_ : selected_).push_back(c.id());
    }
    for (size_t i = 0; i < discarded_.size() && selected_.size() < rule.least; i++)
        selected_.push_back(discarded_[i]);
}

// The heuristic of prune.hpp. No two of the nodes have the same code.
bool LeafBuild::is_superfluous(const Candidate& candidate, size_t first, float alpha) const
{
    const MutableSlot x = codes_.slot(candidate.id());
    const CodeParams& p = x.header().params;
    const size_t n = codec_.traits.padded;
    for (; first < selected_.size(); first += 4) {
        const size_t count = std::min<size_t>(4, selected_.size() - first);
        const auto selected = [&](size_t i) {
            return codes_.slot(selected_[first + std::min(i, count - 1)]);
        };
        const uint8_t* const codes[4] = {selected(0).code(), selected(1).code(), selected(2).code(),
                                         selected(3).code()};
        uint32_t products[4];
        simd::kernels().u8.ip_4(x.code(), codes, n, products);
        for (size_t i = 0; i < count; i++) {
            const MutableSlot y = selected(i);
            const CodeParams& q = y.header().params;
            const float distance = p.norm2 + q.norm2 - 2 * codec::scalar_ip(p, q, n, products[i]);
            if (distance * alpha * alpha <= candidate.distance())
                return true;
        }
    }
    return false;
}

// A sample of the nodes. Larger steps give subsets of it.
Vec<SlotId> LeafBuild::one_in(size_t step) const
{
    Vec<SlotId> ids;
    for (SlotId id = 0; id < nodes_; id++)
        if ((id * 0x9e3779b1u >> 8) % step == 0)
            ids.push_back(id);
    return ids;
}

LeafBuild::Sample LeafBuild::link_sample(size_t step)
{
    Sample s{one_in(step), {}};
    link(s.nodes, {.most = std::min(coarse_links, most_links(l_)),
                   .least = 0,
                   .at_random = links_at_random,
                   .alpha = 1});
    s.links.assign(s.nodes.size() * coarse_links, no_slot);
    for (size_t i = 0; i < s.nodes.size(); i++) {
        options_.poll();
        const Slot slot = store_.slot(s.nodes[i]);
        std::copy_n(slot.ids(), slot.header().degree, &s.links[i * coarse_links]);
    }
    return s;
}

// Adds the links of the samples to those of their nodes: those of the smallest sample first, and at most
// half of what a node has room for. In a full node, they replace the links that were selected last.
void LeafBuild::add_coarse(const Vec<Sample>& samples)
{
    const uint32_t most = most_links(l_);
    Vec<uint8_t> added(nodes_);   // the last links of each node
    for (size_t n = samples.size(); n-- > 0;) {
        const Sample& s = samples[n];
        for (size_t i = 0; i < s.nodes.size(); i++) {
            options_.poll();
            const MutableSlot slot = store_.slot(s.nodes[i]);
            SlotId* const ids = slot.ids();
            uint8_t& degree = slot.header().degree;
            uint8_t& count = added[s.nodes[i]];
            for (uint32_t j = 0; j < coarse_links && count < (most + 1) / 2; j++) {
                const SlotId id = s.links[i * coarse_links + j];
                if (id == no_slot || contains(ids, degree, id))
                    continue;
                count++;
                if (degree < most)
                    ids[degree++] = id;
                else
                    ids[most - count] = id;
            }
        }
    }
}

void LeafBuild::add_reverse()
{
    Vec<uint8_t> selected(nodes_);
    for (SlotId id = 0; id < nodes_; id++) {
        options_.poll();
        selected[id] = store_.slot(id).header().degree;
    }
    for (SlotId id = 0; id < nodes_; id++) {
        options_.poll();
        const SlotId* const ids = store_.slot(id).ids();
        for (uint32_t i = 0; i < selected[id]; i++) {
            const MutableSlot to = store_.slot(ids[i]);
            uint8_t& degree = to.header().degree;
            if (degree < most_links(l_) && !contains(to.ids(), degree, id))
                to.ids()[degree++] = id;
        }
    }
}

void LeafBuild::write_sketches()
{
    for (SlotId id = 0; id < nodes_; id++) {
        options_.poll();
        if (id + 1 < nodes_)
            for (const SlotId n : links_of(store_.slot(id + 1)))
                prefetch(store_.slot(n).data(), l_.ids);
        const MutableSlot slot = store_.slot(id);
        const std::span<const SlotId> links = links_of(slot);
        selected_.assign(links.begin(), links.end());
        // Nothing of the reservoirs may be left: what a slot does not use compresses well.
        std::memset(slot.data() + l_.ids, 0, l_.slot_bytes - l_.ids);
        encoder_.set_centre(code_in(slot));
        for (uint32_t i = 0; i < selected_.size(); i++) {
            encoder_.encode(code_in(store_.slot(selected_[i])));
            encoder_.put(selected_[i], slot, i);
        }
    }
}

void LeafBuild::insert_rest(Inserter<MemoryStore>& inserter)
{
    store_.set_entry({0, 0, 0});
    for (const Level& l : levels_) {
        options_.poll();
        inserter.raise(l.id, l.level);
    }
    for (const SlotId id : equal_)
        inserter.insert_loaded(id);
}

}   // namespace quiver::graph
