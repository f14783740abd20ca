// Inserting a vector (HNSW, Malkov and Yashunin 2016, algorithm 1).
//
// What is atomic: each slot is written on its own. A new node's slots are written with their links
// before anything leads to them; then each neighbour gets its link back; then, if the node is the
// highest, it becomes the entry. Any prefix of that is a graph that answers correctly: at worst a
// node is not found yet whose row is not visible yet either.
#pragma once

#include "graph/prune.hpp"
#include "graph/search.hpp"

namespace quiver::graph {

template <Store S>
class Inserter {
  public:
    Inserter(S& store, uint32_t m, uint32_t ef_construction)
        : store_(store), l_(store.layout()), m_(std::min(m, store.layout().degree)), ef_(ef_construction), query_(l_), search_(store, query_, 0, ef_construction),
          encoder_(l_), neighbours_(l_), code_(l_.padded)
    {
    }

    // Adds row `tid` with a rotated vector of layout.padded floats. A row whose code is already
    // there joins that node. `level`: of the node, if it becomes one of its own.
    void insert(const float* rotated, Tid tid, int level)
    {
        own_ = {quant::scalar_encode(rotated, l_.padded, code_.data()), code_.data()};
        query_.set(rotated);
        Entry entry = store_.entry();
        if (find(entry, level) && join(tid))
            return;
        Vec<SlotId>& slots = slots_;
        slots.clear();
        for (int l = 0; l <= level; l++)
            slots.push_back(store_.create([&](const MutableSlot& slot) {
                SlotHeader& h = slot.header();
                h.state = SlotState::live;
                h.level = static_cast<uint8_t>(l);
                h.down = l > 0 ? slots.back() : no_slot;
                h.params = own_.params;
                if (l == 0) {
                    h.tid_count = 1;
                    h.tids[0] = tid;
                }
                std::copy(code_.begin(), code_.end(), slot.code());
                link(slot, l);
            }));
        if (level > entry.level && !store_.raise_entry({slots.back(), level}) && entry.empty()) {
            // Somebody else inserted the first node meanwhile: link to that.
            entry = store_.entry();
            find(entry, level);
            for (int l = 0; l <= std::min(level, entry.level); l++)
                store_.write(slots[static_cast<size_t>(l)], [&](const MutableSlot& slot) {
                    link(slot, l);
                    return true;
                });
            store_.raise_entry({slots.back(), level});
        }
        for (int l = 0; l <= std::min(level, entry.level); l++)
            for (const Found& f : links_[static_cast<size_t>(l)])
                link_back(f.id, l, slots[static_cast<size_t>(l)]);
    }

    const Counters& counters() const { return counters_; }

  private:
    struct Found {
        Candidate order;
        SlotId id;
        quant::ScalarParams params;
        size_t code;   // in found_codes_ of its layer
    };

    // Finds the neighbours on each layer of the node. True if there is a node with the same code.
    bool find(Entry entry, int level)
    {
        for (auto& links : links_)
            links.clear();
        same_.clear();
        if (entry.empty())
            return false;
        if (links_.size() <= static_cast<size_t>(max_level)) {
            links_.resize(max_level + 1);
            codes_.resize(max_level + 1);
        }
        SlotId at = descend(search_, entry, std::min(level, entry.level), counters_);
        for (int l = std::min(level, entry.level); l >= 0 && at != no_slot; l--) {
            Vec<Found>& found = found_;
            Vec<uint8_t>& codes = codes_[static_cast<size_t>(l)];
            found.clear();
            codes.clear();
            SlotId down = no_slot;
            float nearest = 0;
            search_.restart(l, ef_);
            search_.add(at, 0);
            search_.run(counters_, false, [&](SlotId id, const Slot& slot, float distance, bool in_w) {
                const SlotHeader& h = slot.header();
                if (down == no_slot || distance < nearest) {
                    nearest = distance;
                    down = h.down;
                }
                if (!in_w)
                    return;
                found.push_back({Candidate(distance, id), id, h.params, codes.size()});
                codes.insert(codes.end(), slot.code(), slot.code() + l_.padded);
            });
            std::sort(found.begin(), found.end(),
                      [](const Found& x, const Found& y) { return x.order < y.order; });
            if (found.size() > ef_)
                found.resize(ef_);
            if (l == 0)
                for (const Found& f : found)
                    if (same_code(code_of(f, 0)))
                        same_.push_back(f.id);
            choose(l);
            at = down;
        }
        return !same_.empty();
    }

    Code code_of(const Found& f, int l) const
    {
        return {f.params, codes_[static_cast<size_t>(l)].data() + f.code};
    }
    bool same_code(const Code& c) const
    {
        return c.params.offset == own_.params.offset && c.params.scale == own_.params.scale &&
               std::equal(code_.begin(), code_.end(), c.bytes);
    }

    // The new node's own links.
    void choose(int l)
    {
        const Vec<Found>& found = found_;
        distance_.clear();
        for (const Found& f : found)
            distance_.push_back(code_distance(l_, own_, code_of(f, l)));
        select_neighbours(found.size(), distance_.data(), std::max(m_ / 2, std::min(m_, 4u)), m_, kept_,
                          [&](uint32_t i, uint32_t j) {
                              return code_distance(l_, code_of(found[i], l), code_of(found[j], l));
                          });
        for (const uint32_t i : kept_)
            links_[static_cast<size_t>(l)].push_back(found[i]);
    }

    void link(const MutableSlot& slot, int l)
    {
        SlotHeader& h = slot.header();
        h.degree = 0;
        if (links_.empty())
            return;
        encoder_.set_centre(own_);
        for (const Found& f : links_[static_cast<size_t>(l)]) {
            encoder_.encode(code_of(f, l));
            encoder_.put(f.id, slot, h.degree++);
        }
    }

    void link_back(SlotId neighbour, int l, SlotId id)
    {
        store_.poll();
        store_.write(neighbour, [&](const MutableSlot& slot) {
            SlotHeader& h = slot.header();
            if (h.state != SlotState::live || h.level != l || h.degree > l_.degree)
                return false;   // gone meanwhile
            if (std::find(slot.ids(), slot.ids() + h.degree, id) != slot.ids() + h.degree)
                return false;
            encoder_.set_centre({h.params, slot.code()});
            encoder_.encode(own_);
            if (h.degree < l_.degree) {
                encoder_.put(id, slot, h.degree++);
                return true;
            }
            const uint32_t i = neighbours_.victim(slot, encoder_);
            if (i == l_.degree)
                return false;
            encoder_.put(id, slot, i);
            return true;
        });
    }

    // Adds the row to a node of the same code that has room.
    bool join(Tid tid)
    {
        for (const SlotId id : same_) {
            const bool joined = store_.write(id, [&](const MutableSlot& slot) {
                SlotHeader& h = slot.header();
                if (h.state != SlotState::live || h.level != 0 || h.tid_count >= max_tids ||
                    !same_code({h.params, slot.code()}))
                    return false;
                h.tids[h.tid_count++] = tid;
                h.params.error = std::max(h.params.error, own_.params.error);
                return true;
            });
            if (joined)
                return true;
        }
        return false;
    }

    S& store_;
    const Layout& l_;
    uint32_t m_, ef_;
    Query query_;
    LayerSearch<S> search_;
    SketchEncoder encoder_;
    SketchedNeighbours neighbours_;
    Vec<uint8_t> code_;
    Code own_{};
    Vec<Found> found_;
    Vec<Vec<uint8_t>> codes_;      // by layer, for links_
    Vec<Vec<Found>> links_;        // by layer
    Vec<SlotId> same_, slots_;
    Vec<float> distance_;
    Vec<uint32_t> kept_;
    Counters counters_;
};

}   // namespace quiver::graph
