#include "graph/leaf_links.hpp"

#include <cmath>

#include "core/no_postgres.hpp"

namespace quiver::graph {

namespace {

// Samples have one node in 4, in 16, and so on. A node has at least near_links other links than those of
// samples. (With half of 7 places for those of samples, recall was 0.7 % less, at m 4.)
constexpr size_t sample_ratio = 4, least_sample = 32;
constexpr uint32_t coarse_links = 12, near_links = 5;

// In each leaf, a node meets the nearest `met_at_random` of `window` nodes. It keeps the nearest of
// all leaves, and links to some of these.
constexpr uint32_t window = 8, met_at_random = 2, links_at_random = 4;

// How many nodes a participant takes at a time.
constexpr size_t at_once = 128;

// ef_construction says how much work a build does for a row. Here that is the number of leaves in which
// a node is. 6 leaves give about the recall of inserts with 64 candidates, and 12 that of 200.
CarveLimits limits_of(uint32_t ef_construction)
{
    const double leaves = 6 * std::pow(ef_construction / 64.0, 0.6);
    return {.leaf = 1024,
            .leaders = 1000,
            .fan = static_cast<uint32_t>(std::clamp(std::round(leaves), 2.0, 64.0))};
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

// The most places that a node gives to the links of samples: half of them, but see near_links.
uint32_t most_coarse(const Layout& l)
{
    return std::min((most_links(l) + 1) / 2, std::max(most_links(l), near_links + 1) - near_links);
}

bool contains(const SlotId* ids, uint32_t count, SlotId id)
{
    return std::find(ids, ids + count, id) != ids + count;
}

// Calls f(step, most) for each sample: the one in `step`, which has at most `most` nodes.
template <class F>
void for_each_sample(size_t nodes, F&& f)
{
    for (size_t step = sample_ratio; nodes / step >= least_sample; step *= sample_ratio)
        f(step, nodes / step + 256);
}
// Is the node in the sample of one in `step`? Larger steps give subsets. (Of consecutive ids, it takes
// one in `step` of each 256 * step.)
bool is_in_sample(SlotId id, size_t step) { return (id * 0x9e3779b1u >> 8) % step == 0; }

}   // namespace

LeafLinks::LeafLinks(MemoryStore& store, const MemoryStore& codes, SlotId first, size_t nodes,
                     const BuildOptions& options, Team& team, Arena& arena)
    : store_(store), l_(store.encoding().layout()), codec_(store.encoding().codec()), codes_(codes),
      first_(first), nodes_(nodes), options_(options), leaves_(limits_of(options.ef_construction)),
      team_(team), arena_(arena), rng_(options.seed),
      nearest_(store, 0, capacity_of_nearest(l_), first, arena.take<Reservoirs::Head>(nodes),
               team.size() > 1),
      at_random_(store, capacity_of_nearest(l_), capacity_at_random(l_), first,
                 arena.take<Reservoirs::Head>(nodes), team.size() > 1),
      packed_(codes), encoder_(store.encoding())
{
}

size_t LeafLinks::bytes(size_t nodes, const BuildOptions& options)
{
    size_t samples = 0;
    for_each_sample(nodes, [&](size_t, size_t most) {
        samples += Arena::bytes_of<size_t>(1) + Arena::bytes_of<SlotId>(most) +
                   Arena::bytes_of<SlotId>(most * coarse_links);
    });
    return 2 * Arena::bytes_of<Reservoirs::Head>(nodes) + samples +
           std::max(Arena::bytes_of<SlotId>(nodes) +
                        Carver::bytes(nodes, limits_of(options.ef_construction)),
                    2 * Arena::bytes_of<uint8_t>(nodes));
}

void LeafLinks::make()
{
    // The samples come first, because all use the same reservoirs.
    Vec<Sample> samples;
    for_each_sample(nodes_, [&](size_t step, size_t) { samples.push_back(link_sample(step)); });
    const size_t used = arena_.used();
    const std::span<SlotId> all(arena_.take<SlotId>(nodes_), nodes_);
    team_.each(nodes_, at_once, [&](size_t from, size_t to) {
        for (size_t i = from; i < to; i++)
            all[i] = first_ + static_cast<SlotId>(i);
    });
    link(all,
         {.most = most_links(l_),
          .least = options_.m / 2,
          .at_random = links_at_random,
          .alpha = 1.05f},
         nullptr);
    arena_.give_back(used);
    add_coarse(samples);
    add_reverse();
    write_sketches();
}

// Gives the nodes links among themselves. Only their ids are written. `links` gets a copy of the ids,
// coarse_links for each node, if it is not null.
void LeafLinks::link(std::span<SlotId> nodes, const Rule& rule, SlotId* links)
{
    team_.each(nodes.size(), at_once, [&](size_t from, size_t to) {
        for (size_t i = from; i < to; i++) {
            nearest_.clear(nodes[i]);
            at_random_.clear(nodes[i]);
        }
    });
    Carver carver(codes_, team_, arena_);
    carver.carve(nodes, leaves_, rng_.next(), [&](std::span<const SlotId> leaf, Rng& rng, size_t) {
        team_.poll();
        leaf_.assign(leaf.begin(), leaf.end());
        for (size_t i = 0; i < leaf_.size(); i++)
            std::swap(leaf_[i], leaf_[i + rng.next() % (leaf_.size() - i)]);
        meet(leaf_);
    });
    team_.each(nodes.size(), at_once, [&](size_t from, size_t to) {
        for (size_t i = from; i < to; i++) {
            team_.poll();
            select(nodes[i], rule);
            if (links) {
                SlotId* const copy = links + i * coarse_links;
                const auto end = std::copy(selected_.begin(), selected_.end(), copy);
                std::fill(end, copy + coarse_links, no_slot);
            }
        }
    });
}

// Each node of a leaf, which is in random order, meets others.
void LeafLinks::meet(std::span<const SlotId> leaf)
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
    packed_.for_each_of_all(leaf, [&](size_t i, float* distances) {
        if (i % 32 == 0)
            team_.poll();
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
void LeafLinks::select(SlotId id, const Rule& rule)
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
void LeafLinks::select_from(const Vec<Candidate>& candidates, size_t first, const Rule& rule)
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
bool LeafLinks::is_superfluous(const Candidate& candidate, size_t first, float alpha) const
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

LeafLinks::Sample LeafLinks::link_sample(size_t step)
{
    const size_t most = nodes_ / step + 256;
    size_t& count = *arena_.take<size_t>(1);
    SlotId* const ids = arena_.take<SlotId>(most);
    SlotId* const links = arena_.take<SlotId>(most * coarse_links);
    team_.alone([&] {
        count = 0;
        for (SlotId id = first_; id < first_ + nodes_; id++)
            if (is_in_sample(id, step))
                ids[count++] = id;
    });
    const std::span<SlotId> nodes(ids, count);
    link(nodes,
         {.most = std::min(coarse_links, most_links(l_)),
          .least = 0,
          .at_random = links_at_random,
          .alpha = 1},
         links);
    return {nodes, links};
}

// Adds the links of the samples to those of their nodes: those of the smallest sample first, and at most
// most_coarse(). In a full node, they replace the links that were selected last.
void LeafLinks::add_coarse(const Vec<Sample>& samples)
{
    const size_t used = arena_.used();
    uint8_t* const added = arena_.take<uint8_t>(nodes_);   // the last links of each node
    team_.each(nodes_, at_once,
               [&](size_t from, size_t to) { std::memset(added + from, 0, to - from); });
    for (size_t n = samples.size(); n-- > 0;)
        team_.each(samples[n].nodes.size(), at_once, [&](size_t from, size_t to) {
            for (size_t i = from; i < to; i++)
                add_coarse(samples[n], i, added);
        });
    arena_.give_back(used);
}

// Adds the links of node i of a sample.
void LeafLinks::add_coarse(const Sample& sample, size_t i, uint8_t* added)
{
    const uint32_t most = most_links(l_);
    const MutableSlot slot = store_.slot(sample.nodes[i]);
    SlotId* const ids = slot.ids();
    uint8_t& degree = slot.header().degree;
    uint8_t& count = added[sample.nodes[i] - first_];
    for (uint32_t j = 0; j < coarse_links && count < most_coarse(l_); j++) {
        const SlotId id = sample.links[i * coarse_links + j];
        if (id == no_slot || contains(ids, degree, id))
            continue;
        count++;
        if (degree < most)
            ids[degree++] = id;
        else
            ids[most - count] = id;
    }
}

// Adds links back from the nodes that were selected. Each participant changes a part of the nodes, and
// reads the selected links of all.
void LeafLinks::add_reverse()
{
    const size_t used = arena_.used();
    uint8_t* const selected = arena_.take<uint8_t>(nodes_);
    team_.each(nodes_, at_once, [&](size_t from, size_t to) {
        for (size_t i = from; i < to; i++)
            selected[i] = store_.slot(first_ + static_cast<SlotId>(i)).header().degree;
    });
    const size_t parts = team_.size();
    team_.each(parts, 1, [&](size_t part, size_t) {
        add_reverse(selected, nodes_ * part / parts, nodes_ * (part + 1) / parts);
    });
    arena_.give_back(used);
}

// Adds links from the nodes number `from` to `to` - 1.
void LeafLinks::add_reverse(const uint8_t* selected, size_t from, size_t to)
{
    for (size_t node = 0; node < nodes_; node++) {
        team_.poll();
        const SlotId id = first_ + static_cast<SlotId>(node);
        const SlotId* const ids = store_.slot(id).ids();
        for (uint32_t i = 0; i < selected[node]; i++) {
            if (ids[i] < first_ + from || ids[i] >= first_ + to)
                continue;
            const MutableSlot slot = store_.slot(ids[i]);
            uint8_t& degree = slot.header().degree;
            if (degree < most_links(l_) && !contains(slot.ids(), degree, id))
                slot.ids()[degree++] = id;
        }
    }
}

void LeafLinks::write_sketches()
{
    team_.each(nodes_, at_once, [&](size_t from, size_t to) {
        for (auto id = first_ + static_cast<SlotId>(from); id < first_ + to; id++) {
            team_.poll();
            if (id + 1 < first_ + to)
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
    });
}

}   // namespace quiver::graph
