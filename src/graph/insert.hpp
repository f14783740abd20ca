// Inserting a vector (HNSW, Malkov and Yashunin 2016, algorithm 1).
//
// What is atomic: each slot is written on its own. A new node's slots are written with their links
// before anything leads to them; then, if the node is the highest, it becomes the entry; then each
// neighbour gets its link back. Where that takes the place of another link, the new node leads to
// what that one led to. Any prefix of that is a graph that answers correctly, and in which every node
// can be reached but the new one, whose row is not visible yet. (Overflow slots come first of all;
// those of an insert that did not get further are found by vacuum.)
#pragma once

#include "graph/prune.hpp"
#include "graph/search.hpp"

namespace quiver::graph {

template <Store S>
class Inserter {
  public:
    Inserter(S& store, uint32_t m, uint32_t ef_construction)
        : store_(store), l_(store.layout()), m_(std::min(m, store.layout().degree)),
          ef_(ef_construction), query_(l_), search_(store, query_, 0, ef_construction),
          encoder_(l_), neighbours_(l_), node_(l_)
    {
    }

    // Adds row `tid` with vector `x`. A row whose code is already there joins that node. `level`: of
    // the node, if it becomes one of its own.
    void insert(const Value& x, Tid tid, int level)
    {
        own_ = encode(l_, x, code_);
        query_.set(x);
        Entry entry = store_.entry();
        if (find(entry, level, true)) {
            if (join(tid))
                return;
            find(entry, level, false);
        }
        const SlotId overflow = put_overflow();
        for (int l = 0; l <= std::min(level, entry.level); l++)
            ask_neighbours(l);
        Vec<SlotId>& slots = slots_;
        slots.clear();
        for (int l = 0; l <= level; l++)
            slots.push_back(store_.create([&](const MutableSlot& slot) {
                SlotHeader& h = slot.header();
                h.state = SlotState::live;
                h.level = static_cast<uint8_t>(l);
                h.down = l > 0 ? slots.back() : no_slot;
                put_code(own_, slot, overflow);
                if (l == 0) {
                    h.tid_count = 1;
                    slot.tids()[0] = tid;
                }
                link(slot, l);
            }));
        if (level > entry.level && !store_.raise_entry({slots.back(), level}) && entry.empty()) {
            // Somebody else inserted the first node meanwhile: link to that.
            entry = store_.entry();
            find(entry, level, false);
            for (int l = 0; l <= std::min(level, entry.level); l++) {
                ask_neighbours(l);
                store_.write(slots[static_cast<size_t>(l)], [&](const MutableSlot& slot) {
                    link(slot, l);
                    return true;
                });
            }
            store_.raise_entry({slots.back(), level});
        }
        for (int l = 0; l <= std::min(level, entry.level); l++) {
            const SlotId id = slots[static_cast<size_t>(l)];
            bool known = false;
            for (const Found& f : links_[static_cast<size_t>(l)])
                known |= link_back(f.id, f.offer, l, id);
            if (!known && l == 0)
                make_known(id);
        }
    }

    // Has another node lead to node `id` of layer 0, if a search for its vector does not find it.
    bool link_to(SlotId id)
    {
        if (!node_.read(store_, id))
            return false;
        const Code code = node_.code();
        code_.assign(code.bytes, code.bytes + code.length);
        own_ = {code.params, code_.data(), code.length};
        query_.set(decode(l_, own_, decoded_));
        find(store_.entry(), 0, false);
        return std::none_of(found_.begin(), found_.end(),
                            [&](const Found& f) { return f.id == id; }) &&
               make_known(id);
    }

    const Counters& counters() const { return counters_; }

  private:
    // What a node that is asked to lead to the newcomer says.
    struct Offer {
        bool takes = false;
        SlotId victim = no_slot;   // whose place it gives; no_slot: it has room
    };
    struct Found {
        Candidate order;
        SlotId id;
        quant::ScalarParams params;
        size_t code;   // in codes_ of its layer
        uint32_t length;
        Offer offer{};
    };

    // Finds the neighbours on each layer of the node. True if there is a node with the same code, where the
    // search ends if it `may_join`: an UPDATE that leaves the vector alone takes a fourth of the time of an insert.
    bool find(Entry entry, int level, bool may_join)
    {
        for (auto& links : links_)
            links.clear();
        same_ = no_slot;
        found_.clear();
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
            search_.run(
                counters_, false,
                [&](SlotId id, const Slot& slot, const Code& code, float distance, bool in_w) {
                    const SlotHeader& h = slot.header();
                    if (down == no_slot || distance < nearest) {
                        nearest = distance;
                        down = h.down;
                    }
                    if (!in_w)
                        return;
                    if (may_join && l == 0 && h.tid_count < l_.tids && same_code(l_, own_, code)) {
                        same_ = id;
                        search_.stop();
                        return;
                    }
                    found.push_back(
                        {Candidate(distance, id), id, code.params, codes.size(), code.length});
                    codes.insert(codes.end(), code.bytes, code.bytes + code.length);
                });
            if (same_ != no_slot)
                return true;
            std::sort(found.begin(), found.end(),
                      [](const Found& x, const Found& y) { return x.order < y.order; });
            if (found.size() > ef_)
                found.resize(ef_);
            choose(l);
            at = down;
        }
        return false;
    }

    Code code_of(const Found& f, int l) const
    {
        return {f.params, codes_[static_cast<size_t>(l)].data() + f.code, f.length};
    }

    // Writes what of the code does not fit into a node's slot, last part first; where it starts.
    SlotId put_overflow()
    {
        SlotId next = no_slot;
        const uint32_t part = l_.overflow_bytes() / 8 * 8;
        for (uint32_t left = own_.length > l_.code_bytes ? own_.length - l_.code_bytes : 0;
             left > 0;) {
            const uint32_t n = left % part ? left % part : part;
            left -= n;
            next = store_.create([&](const MutableSlot& slot) {
                SlotHeader& h = slot.header();
                h.state = SlotState::overflow;
                h.stamp() = store_.stamp();
                h.down = next;
                h.length = n;
                std::memcpy(slot.code(), own_.bytes + l_.code_bytes + left, n);
            });
        }
        return next;
    }

    // The new node's own links.
    void choose(int l)
    {
        const Vec<Found>& found = found_;
        distance_.clear();
        for (const Found& f : found)
            distance_.push_back(code_distance(l_, own_, code_of(f, l)));
        select_neighbours(found.size(), distance_.data(), std::max(m_ / 2, std::min(m_, 4u)), m_,
                          kept_, [&](uint32_t i, uint32_t j) {
                              return code_distance(l_, code_of(found[i], l), code_of(found[j], l));
                          });
        for (const uint32_t i : kept_)
            links_[static_cast<size_t>(l)].push_back(found[i]);
    }

    // Asks the new node's neighbours for a link back. It will lead to those whose places they give,
    // so that what could be reached still can: there may be no other way to them. (On 100,000 text
    // embeddings that also raised recall.)
    void ask_neighbours(int l)
    {
        Vec<Found>& links = links_[static_cast<size_t>(l)];
        Vec<uint8_t>& codes = codes_[static_cast<size_t>(l)];
        const size_t chosen = links.size();
        for (size_t n = 0; n < chosen; n++) {
            Offer offer = ask(links[n].id, l, false);
            const SlotId victim = offer.victim;
            const auto is_victim = [&](const Found& f) { return f.id == victim; };
            if (offer.takes && victim != no_slot &&
                std::none_of(links.begin(), links.end(), is_victim) &&
                node_.read_live(store_, victim, l)) {
                const Code c = node_.code();
                if (links.size() < l_.degree) {
                    links.push_back(
                        {Candidate(0, victim), victim, c.params, codes.size(), c.length});
                    codes.insert(codes.end(), c.bytes, c.bytes + c.length);
                } else
                    offer = {};   // no room here for what would lose its place
            }
            links[n].offer = offer;
        }
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

    // Node `id` leads to `n` of layer l, too, unless that needs it no more. False: there is no room,
    // which `must` makes.
    bool lead_to(SlotId id, SlotId n, int l, bool must = false)
    {
        if (n == id || !node_.read_live(store_, n, l))
            return true;
        const Code code = node_.code();
        bool there = false;
        const bool written = store_.write(id, [&](const MutableSlot& slot) {
            SlotHeader& h = slot.header();
            if (h.state != SlotState::live || h.level != l)
                return false;
            there = std::find(slot.ids(), slot.ids() + h.degree, n) != slot.ids() + h.degree;
            if (there || (h.degree >= l_.degree && !must))
                return false;
            encoder_.set_centre(own_);
            encoder_.encode(code);
            encoder_.put(n, slot, std::min<uint32_t>(h.degree, l_.degree - 1));
            h.degree = static_cast<uint8_t>(std::min<uint32_t>(h.degree + 1u, l_.degree));
            return true;
        });
        return there || written;
    }

    // Would the node lead to the newcomer? `must`: as if it were worth more than its other links.
    Offer ask(SlotId neighbour, int l, bool must)
    {
        store_.poll();
        if (!l_.sketched())
            return ask_unsketched(neighbour, l, must);
        Offer offer;
        store_.read(neighbour, [&](const Slot& slot) {
            const SlotHeader& h = slot.header();
            if (h.state != SlotState::live || h.level != l || h.degree > l_.degree)
                return;
            offer.takes = true;
            if (h.degree < l_.degree)
                return;
            encoder_.set_centre(code_in(slot));
            encoder_.encode(own_);
            const uint32_t i = neighbours_.victim(slot, encoder_, must);
            if (i == l_.degree)
                offer.takes = false;
            else
                offer.victim = slot.ids()[i];
        });
        return offer;
    }

    // Without sketches the slot does not know its neighbours: they are read.
    Offer ask_unsketched(SlotId at, int l, bool must)
    {
        if (!node_.read_live(store_, at, l))
            return {};
        if (node_.degree() < l_.degree)
            return {true, no_slot};
        around_.clear();
        around_codes_.clear();
        const auto keep = [&](SlotId id, const Code& c) {
            around_.push_back({Candidate(0, id), id, c.params, around_codes_.size(), c.length});
            around_codes_.insert(around_codes_.end(), c.bytes, c.bytes + c.length);
        };
        const auto code = [&](const Found& f) {
            return Code{f.params, around_codes_.data() + f.code, f.length};
        };
        const Code centre = node_.code();
        keep(at, centre);
        const Found middle = around_.back();
        around_.clear();
        keep(no_slot, own_);   // the newcomer
        ids_.assign(node_.slot().ids(), node_.slot().ids() + l_.degree);
        for (const SlotId n : ids_) {
            store_.poll();
            if (!node_.read(store_, n))
                return {true, n};   // a link that leads nowhere
            keep(n, node_.code());
        }
        for (Found& f : around_)
            f.order = Candidate(code_distance(l_, code(middle), code(f)), f.id);
        std::sort(around_.begin(), around_.end(),
                  [](const Found& x, const Found& y) { return x.order < y.order; });
        distance_.clear();
        for (const Found& f : around_)
            distance_.push_back(f.order.distance());
        select_neighbours(
            around_.size(), distance_.data(), 0, around_.size(), kept_,
            [&](uint32_t i, uint32_t j) {
                return code_distance(l_, code(around_[i]), code(around_[j]));
            },
            &turned_down_);
        const SlotId victim =
            around_[least_useful(turned_down_, static_cast<uint32_t>(around_.size()),
                                 [&](uint32_t i) { return must && around_[i].id == no_slot; })]
                .id;
        if (victim == no_slot)
            return {};
        return {true, victim};
    }

    // Makes `id` a neighbour as was offered; what loses its place for it, `id` leads to. False if it
    // did not become one.
    bool link_back(SlotId neighbour, Offer offer, int l, SlotId id)
    {
        for (int tries = 0; tries < 3 && offer.takes; tries++) {
            store_.poll();
            bool changed = false;
            const bool linked = store_.write(neighbour, [&](const MutableSlot& slot) {
                SlotHeader& h = slot.header();
                if (h.state != SlotState::live || h.level != l || h.degree > l_.degree)
                    return false;   // gone meanwhile
                const SlotId* end = slot.ids() + h.degree;
                if (std::find<const SlotId*>(slot.ids(), end, id) != end)
                    return false;
                uint32_t i = h.degree;
                if (i == l_.degree)
                    i = static_cast<uint32_t>(
                        std::find<const SlotId*>(slot.ids(), end, offer.victim) - slot.ids());
                if (i == l_.degree) {
                    changed = true;   // by others, since it was asked
                    return false;
                }
                encoder_.set_centre(code_in(slot));
                encoder_.encode(own_);
                encoder_.put(id, slot, i);
                h.degree = std::max(h.degree, static_cast<uint8_t>(i + 1));
                return true;
            });
            if (!changed)
                return linked;
            offer = ask(neighbour, l, false);
            if (offer.takes && offer.victim != no_slot && !lead_to(id, offer.victim, l))
                return false;
        }
        return false;
    }

    // The nearest of what was found on layer 0 that has room leads to `id`, or else the nearest does
    // whose victim `id` has room for. If it has none, it makes some: as nobody leads to it yet, nothing
    // is reached through its links.
    bool make_known(SlotId id)
    {
        for (const Found& f : found_) {
            bool room = false;
            store_.read(f.id, [&](const Slot& slot) { room = slot.header().degree < l_.degree; });
            if (f.id != id && room && link_back(f.id, {true, no_slot}, 0, id))
                return true;
        }
        for (const bool must : {false, true})
            for (const Found& f : found_) {
                if (f.id == id)
                    continue;
                const Offer offer = ask(f.id, 0, true);
                if (offer.takes && offer.victim != id &&
                    (offer.victim == no_slot || lead_to(id, offer.victim, 0, must)) &&
                    link_back(f.id, offer, 0, id))
                    return true;
            }
        return false;
    }

    // Adds the row to the node of the same code, unless that is gone or full meanwhile.
    bool join(Tid tid)
    {
        // A node's code never changes, so it may be looked at before the slot is locked.
        if (!node_.read(store_, same_) || !same_code(l_, own_, node_.code()))
            return false;
        return store_.write(same_, [&](const MutableSlot& slot) {
            SlotHeader& h = slot.header();
            if (h.state != SlotState::live || h.level != 0 || h.tid_count >= l_.tids)
                return false;
            slot.tids()[h.tid_count++] = tid;
            h.params.error = std::max(h.params.error, own_.params.error);
            return true;
        });
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
    Vec<Vec<uint8_t>> codes_;   // by layer, for links_
    Vec<Vec<Found>> links_;     // by layer
    SlotId same_ = no_slot;     // a node of the same code that has room
    Vec<SlotId> slots_;
    Vec<float> distance_;
    Vec<uint32_t> kept_, turned_down_;
    Node node_;
    Vec<Found> around_;   // of ask_unsketched()
    Vec<uint8_t> around_codes_;
    Vec<SlotId> ids_;
    Vec<float> decoded_;
    Counters counters_;
};

}   // namespace quiver::graph
