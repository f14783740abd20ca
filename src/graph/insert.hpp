// Inserting a vector (HNSW, Malkov and Yashunin 2016, algorithm 1).
//
// Each slot is written on its own. In this order: the node's slot of layer 0, with its links, to which nothing
// leads yet; what of its code does not fit there; the links back, from the neighbours to the node. Where a link
// back takes the place of another link, the node leads to what that one led to. Then its slots of upper layers,
// likewise: a search may come down there to the node only when the root leads to it, too. At last the node becomes
// the entry, if it is the highest. After any prefix of that, whatever could be reached from the root still can.
//
// An insert goes on to the upper layers when somebody leads to its node, or the node is the entry. An insert that
// meets no live node makes itself the entry, if the entry is still the one from which it searched; otherwise it
// searches again. So does one whose neighbours were all deleted before they led back. src/graph/README.md has
// the races.
#pragma once

#include "graph/prune.hpp"
#include "graph/search.hpp"

namespace quiver::graph {

// Makes the slot the entry if the present one is on a lower layer.
template <Store S>
void raise_entry(S& store, SlotId id, int level)
{
    for (Entry now = store.entry(); !now.empty() && level > now.level;) {
        const Entry was = store.replace_entry(now, {id, level, now.root});
        if (was == now)
            return;
        now = was;
    }
}

template <Store S>
class Inserter {
  public:
    Inserter(S& store, uint32_t m, uint32_t ef_construction)
        : store_(store), l_(store.encoding().layout()), codec_(store.encoding().codec()), m_(std::min(m, store.encoding().layout().degree - 1)),
          ef_(ef_construction), query_(store.encoding()), search_(store, query_, 0, ef_construction),
          encoder_(store.encoding()), neighbours_(store.encoding()), node_(l_)
    {
    }

    // Adds row `tid` with vector `x`. A row whose code is already there joins that node. `level`: of
    // the node, if it becomes one of its own.
    void insert(const Value& x, Tid tid, int level)
    {
        own_ = codec_.encode(x, code_);
        query_.set(x);
        slots_.clear();
        uint32_t ef = ef_;
        for (bool may_join = true;;) {
            store_.poll();
            const Entry entry = store_.entry();
            find(entry, level, may_join, ef);
            if (same_ != no_slot) {
                if (join(tid))
                    return;
                may_join = false;
                continue;
            }
            if (met_self_)   // somebody leads to the node by now
                break;
            if (!landed_ && !entry.empty()) {
                expect_moved(store_, entry);
                continue;
            }
            ask_neighbours(0);
            const bool fresh = slots_.empty();
            if (fresh) {
                put_slot(0, tid);
                put_overflow();
            } else
                add_links();
            may_join = false;
            if (found_.empty()) {
                if (store_.replace_entry(entry, {slots_.front(), 0, slots_.front()}) == entry)
                    break;
                continue;
            }
            if (link_back(0, fresh) || make_known(slots_.front(), true))
                break;
            // Others took the places that were offered, and the node has no room to lead to one more who loses his.
            // Whoever leads to one to whom the node leads, too, can give that place: such a one is found, if not here,
            // then farther away.
            ef = std::min(2 * ef, std::max(ef_, most_ef));
        }
        for (int l = 1; l <= level; l++) {
            ask_neighbours(l);
            put_slot(l, tid);
            link_back(l, true);
        }
        raise_entry(store_, slots_.back(), level);
    }

    // ---- for nodes that are there (lifecycle.hpp) ----

    // Looks at node `id` of layer 0: false if it is not a live one, or not written to its end yet.
    bool load(SlotId id)
    {
        if (!node_.read_live(store_, id, 0))
            return false;
        const Code code = node_.code();
        code_.assign(code.bytes, code.bytes + code.length);
        own_ = {code.params, code_.data(), code.length};
        query_.set(codec_.decode(own_, decoded_));
        slots_.assign(1, id);
        return true;
    }
    // Searches for the vector of the node that was looked at last, as a query does: is it found?
    bool is_found()
    {
        find(store_.entry(), 0, false, ef_);
        return found_self_;
    }
    // Can it be reached from `start`, without the slots `avoided`? on_visit(id) sees each slot that can.
    template <class OnVisit>
    bool is_reached(SlotId start, const Marks* avoided, OnVisit&& on_visit)
    {
        clear_found();
        search_.avoid(avoided);
        search_layer(0, start, false, ef_, on_visit);
        search_.avoid(nullptr);
        return met_self_;
    }
    // Has one of those that the last search met lead to it, without taking anybody's only way. even_deleted: but for
    // what a deleted node leads to.
    bool make_known(bool even_deleted) { return make_known(slots_.front(), even_deleted); }
    // The same at the price of the node's own link to `spare`.
    bool make_known_for(SlotId spare)
    {
        const SlotId id = slots_.front();
        for (const Found& f : found_) {
            Offer offer = ask(f.id, 0, true);
            if (!offer.takes || offer.victim == id)
                continue;
            if (offer.victim != no_slot && !lead_to(id, offer.victim, 0, true) &&
                !lead_instead(id, offer.victim, spare))
                continue;
            if (link_back(f.id, offer, 0, id, true))
                return true;
        }
        return false;
    }

    const Counters& counters() const { return counters_; }

  private:
    static constexpr uint32_t most_ef = 1 << 16;

    // What a node that is asked to lead to the newcomer says.
    struct Offer {
        bool takes = false;
        SlotId victim = no_slot;   // whose place it gives; no_slot: it has room
        codec::SketchFactors factors{};
        size_t sketch = 0;   // of the newcomer relative to that node: in sketches_
    };
    struct Found {
        Candidate order;
        SlotId id;
        CodeParams params;
        size_t code;   // in codes_ of its layer
        uint32_t length;
        Offer offer{};
    };

    bool is_own(SlotId id) const
    {
        return std::find(slots_.begin(), slots_.end(), id) != slots_.end();
    }
    void clear_found()
    {
        for (auto& links : links_)
            links.clear();
        same_ = no_slot;
        found_.clear();
        landed_ = met_self_ = found_self_ = false;
        sketches_.clear();
        if (links_.size() <= static_cast<size_t>(max_level)) {
            links_.resize(max_level + 1);
            codes_.resize(max_level + 1);
        }
    }

    // Finds the neighbours on each layer of the node. If it `may_join` and there is a node with the same code that
    // has room, the search ends there: an UPDATE that leaves the vector alone takes a fourth of an insert's time.
    void find(Entry entry, int level, bool may_join, uint32_t ef)
    {
        clear_found();
        if (entry.empty())
            return;
        SlotId at = descend(search_, entry, std::min(level, entry.level), counters_);
        for (int l = std::min(level, entry.level); l >= 0; l--) {
            if (at == no_slot && l > 0)
                continue;   // layer 0 has the root
            at = search_layer(l, at, may_join, ef, [](SlotId) {});
            if (same_ != no_slot)
                return;
            choose(l);
        }
    }

    // The `ef` nearest of layer l into found_, from slot `at` on; the slot from which to go on below.
    template <class OnVisit>
    SlotId search_layer(int l, SlotId at, bool may_join, uint32_t ef, OnVisit&& seen)
    {
        Vec<Found>& found = found_;
        Vec<uint8_t>& codes = codes_[static_cast<size_t>(l)];
        found.clear();
        codes.clear();
        SlotId down = no_slot;
        float nearest = 0;
        search_.restart(l, ef);
        if (at != no_slot)
            search_.add(at, 0);
        search_.run(counters_, false,
                    [&](SlotId id, const Slot& slot, const Code& code, float distance, bool in_w) {
                        const SlotHeader& h = slot.header();
                        if (down == no_slot || distance < nearest) {
                            nearest = distance;
                            down = h.down;
                        }
                        seen(id);
                        if (!slots_.empty() && is_own(id)) {
                            met_self_ |= l == 0;
                            found_self_ |= l == 0 && in_w;
                            return;
                        }
                        if (!in_w)
                            return;
                        if (may_join && l == 0 && h.tid_count < l_.tids &&
                            codec_.same(own_, code)) {
                            same_ = id;
                            search_.stop();
                            return;
                        }
                        found.push_back(
                            {Candidate(distance, id), id, code.params, codes.size(), code.length});
                        codes.insert(codes.end(), code.bytes, code.bytes + code.length);
                    });
        if (l == 0)
            landed_ = search_.landed();
        std::sort(found.begin(), found.end(),
                  [](const Found& x, const Found& y) { return x.order < y.order; });
        if (found.size() > ef)
            found.resize(ef);
        return down;
    }

    Code code_of(const Found& f, int l) const
    {
        return {f.params, codes_[static_cast<size_t>(l)].data() + f.code, f.length};
    }

    // The new node's own links.
    void choose(int l)
    {
        const Vec<Found>& found = found_;
        seen_.clear();
        for (const Found& f : found) {
            const Code code = code_of(f, l);
            seen_.push_back({codec_.distance(own_, code), codec_.same(own_, code)});
        }
        select_neighbours(seen_, std::max(m_ / 2, std::min(m_, 4u)), m_, kept_,
                          [&](uint32_t i, uint32_t j) {
                              return codec_.distance(code_of(found[i], l), code_of(found[j], l));
                          });
        for (const uint32_t i : kept_)
            links_[static_cast<size_t>(l)].push_back(found[i]);
    }

    // Asks the new node's neighbours for a link back. It will lead to those whose places they give, so that what
    // could be reached still can: there may be no other way to them. (On 100,000 text embeddings that also
    // raised recall.) One place stays free for make_known().
    void ask_neighbours(int l)
    {
        Vec<Found>& links = links_[static_cast<size_t>(l)];
        Vec<uint8_t>& codes = codes_[static_cast<size_t>(l)];
        const size_t chosen = links.size();
        for (size_t n = 0; n < chosen; n++) {
            Offer offer = ask(links[n].id, l, false);
            if (offer.takes && offer.victim != no_slot && !adopt(offer.victim, l, links, codes))
                offer = {};
            links[n].offer = offer;
        }
    }
    // Makes `victim` one of the links. False: it has to keep its place where it is.
    bool adopt(SlotId victim, int l, Vec<Found>& links, Vec<uint8_t>& codes)
    {
        if (std::any_of(links.begin(), links.end(),
                        [&](const Found& f) { return f.id == victim; }))
            return true;
        if (!node_.read(store_, victim) || node_.header().level != l)
            return true;   // a link that leads nowhere
        // Nobody may link to a deleted node, and it may be the only one to lead to a live one.
        if (node_.header().state != SlotState::live || links.size() + 1 >= l_.degree)
            return false;
        const Code c = node_.code();
        links.push_back({Candidate(0, victim), victim, c.params, codes.size(), c.length});
        codes.insert(codes.end(), c.bytes, c.bytes + c.length);
        return true;
    }

    // Writes the new node's slot of layer l.
    void put_slot(int l, Tid tid)
    {
        // Made here, so that the lock of a page is held for a copy only.
        slot_.resize(l_.slot_bytes);
        const MutableSlot made(l_, slot_.data());
        SlotHeader& h = made.header();
        h = {};
        h.state = SlotState::live;
        h.level = static_cast<uint8_t>(l);
        h.down = l > 0 ? slots_.back() : no_slot;
        put_code(own_, made, l > 0 ? overflow_ : no_slot);
        if (l == 0) {
            h.tid_count = 1;
            made.tids()[0] = tid;
        }
        link(made, l);
        slots_.push_back(store_.create([&](const MutableSlot& slot) { copy_node(made, slot); }));
    }
    // Adds links to the slot of layer 0 that was written before.
    void add_links()
    {
        store_.write(slots_.front(), [&](const MutableSlot& slot) {
            return slot.header().state == SlotState::live && link(slot, 0);
        });
    }

    // Writes what of the code does not fit into the node's slot of layer 0, last part first.
    void put_overflow()
    {
        overflow_ = no_slot;
        const uint32_t part = l_.overflow_bytes() / 8 * 8;
        for (uint32_t left = own_.length > l_.code_bytes ? own_.length - l_.code_bytes : 0;
             left > 0;) {
            const uint32_t n = left % part ? left % part : part;
            left -= n;
            overflow_ = store_.create([&](const MutableSlot& slot) {
                SlotHeader& h = slot.header();
                h = {};
                h.state = SlotState::overflow;
                h.owner() = slots_.front();
                slot.stamp() = store_.stamp();
                h.down = overflow_;
                h.length = n;
                std::memcpy(slot.code(), own_.bytes + l_.code_bytes + left, n);
            });
        }
        if (overflow_ != no_slot)
            store_.write(slots_.front(), [&](const MutableSlot& slot) {
                slot.header().overflow() = overflow_;
                return true;
            });
    }

    // Adds the links of that layer, as far as there is room. True if there were any.
    bool link(const MutableSlot& slot, int l)
    {
        SlotHeader& h = slot.header();
        const uint32_t before = h.degree;
        if (links_.empty() || links_[static_cast<size_t>(l)].empty())
            return false;
        encoder_.set_centre(own_);
        for (const Found& f : links_[static_cast<size_t>(l)]) {
            const SlotId* end = slot.ids() + h.degree;
            if (h.degree >= l_.degree - 1 ||
                std::find<const SlotId*>(slot.ids(), end, f.id) != end)
                continue;
            encoder_.encode(code_of(f, l));
            encoder_.put(f.id, slot, h.degree++);
        }
        return h.degree > before;
    }

    // Node `id` leads to `n` of layer l, too. False: there is no room, or that is a deleted node, which nobody may
    // come to lead to. even_deleted: what that led to has other ways.
    bool lead_to(SlotId id, SlotId n, int l, bool even_deleted)
    {
        // (A link that leads nowhere, as damage leaves it, is no loss.)
        if (n == id || !node_.read(store_, n) || node_.header().level != l)
            return true;
        if (node_.header().state != SlotState::live)
            return even_deleted;
        return add_link(id, n, l, [](const Slot& slot) { return slot.header().degree; });
    }
    // Node `id` of layer 0 leads to the live node `n` in the place of `spare`.
    bool lead_instead(SlotId id, SlotId n, SlotId spare)
    {
        return node_.read_live(store_, n, 0) && add_link(id, n, 0, [&](const Slot& slot) {
                   const uint32_t i = place_of(spare, slot);
                   return i < slot.header().degree ? i : l_.degree;
               });
    }
    // Puts the node that was read into a place of `id`; place(slot): which, or degree of the layout.
    template <class Place>
    bool add_link(SlotId id, SlotId n, int l, Place&& place)
    {
        const Code code = node_.code();
        bool there = false;
        encoder_.set_centre(own_);
        encoder_.encode(code);
        const bool written = store_.write(id, [&](const MutableSlot& slot) {
            SlotHeader& h = slot.header();
            if (h.state != SlotState::live || h.level != l || h.degree > l_.degree)
                return false;
            there = place_of(n, slot) < h.degree;
            if (there)
                return false;
            const uint32_t i = place(slot);
            if (i >= l_.degree)
                return false;
            encoder_.put(n, slot, i);
            h.degree = std::max(h.degree, static_cast<uint8_t>(i + 1));
            return true;
        });
        return there || written;
    }

    // The sketch of the newcomer relative to the node whose code is the encoder's centre.
    void keep_sketch(Offer& offer)
    {
        encoder_.encode(own_);
        offer.factors = encoder_.sketch().factors;
        offer.sketch = sketches_.size();
        if (l_.sketched())
            sketches_.insert(sketches_.end(), encoder_.sketch().bits, encoder_.sketch().bits + l_.words);
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
            encoder_.set_centre(code_in(slot));
            keep_sketch(offer);
            if (h.degree < l_.degree)
                return;
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
            return {true};
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
            f.order = Candidate(codec_.distance(code(middle), code(f)), f.id);
        std::sort(around_.begin(), around_.end(),
                  [](const Found& x, const Found& y) { return x.order < y.order; });
        seen_.clear();
        for (const Found& f : around_)
            seen_.push_back({f.order.distance(), codec_.same(code(middle), code(f))});
        select_neighbours(
            seen_, 0, around_.size(), kept_,
            [&](uint32_t i, uint32_t j) {
                return codec_.distance(code(around_[i]), code(around_[j]));
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

    // Has the neighbours of layer l lead to the new node. Does any?
    bool link_back(int l, bool fresh)
    {
        bool known = false;
        for (const Found& f : links_[static_cast<size_t>(l)])
            known |= link_back(f.id, f.offer, l, slots_[static_cast<size_t>(l)], fresh);
        return known;
    }

    // Makes `id` a neighbour as was offered. What loses its place for it, `id` leads to: `leads` says that it does
    // already. even_deleted: as in lead_to(). True if the neighbour leads to `id` now.
    bool link_back(SlotId neighbour, Offer offer, int l, SlotId id, bool leads,
                   bool even_deleted = false)
    {
        for (int tries = 0; tries < 3 && offer.takes; tries++, leads = false) {
            store_.poll();
            if (!leads && offer.victim != no_slot && !lead_to(id, offer.victim, l, even_deleted))
                return false;
            bool changed = false;
            const bool linked = store_.write(neighbour, [&](const MutableSlot& slot) {
                const SlotHeader& h = slot.header();
                if (h.state != SlotState::live || h.level != l || h.degree > l_.degree)
                    return false;   // deleted meanwhile
                uint32_t i = h.degree;
                if (i == l_.degree)
                    i = place_of(offer.victim, slot);
                changed = i == l_.degree;   // by others, since it was asked
                return !changed && put(id, offer, slot, i);
            });
            if (linked || leads_to(neighbour, id, l))
                return true;
            if (!changed)
                return false;
            offer = ask(neighbour, l, false);
        }
        return false;
    }
    uint32_t place_of(SlotId n, const Slot& slot) const
    {
        return static_cast<uint32_t>(
            std::find(slot.ids(), slot.ids() + slot.header().degree, n) - slot.ids());
    }
    bool leads_to(SlotId from, SlotId to, int l)
    {
        bool there = false;
        store_.read(from, [&](const Slot& slot) {
            const SlotHeader& h = slot.header();
            there = h.state == SlotState::live && h.level == l && h.degree <= l_.degree &&
                    place_of(to, slot) < h.degree;
        });
        return there;
    }
    // Puts `id` into place i of a neighbour's slot, unless it is there.
    bool put(SlotId id, const Offer& offer, const MutableSlot& slot, uint32_t i)
    {
        SlotHeader& h = slot.header();
        if (place_of(id, slot) < h.degree)
            return false;
        put_neighbour(id, {offer.factors, sketches_.data() + offer.sketch}, slot, i);
        h.degree = std::max(h.degree, static_cast<uint8_t>(i + 1));
        return true;
    }

    // Has one of those that were found on layer 0 lead to `id`, nearest first: one that has room; or that leads to
    // somebody to whom `id` leads, too, who loses his place; or that gives a place to whose owner `id` has room to
    // lead. even_deleted: a link to a deleted node is given up, too, where there is nothing else.
    bool make_known(SlotId id, bool even_deleted)
    {
        ids_.clear();
        store_.read(id, [&](const Slot& slot) {
            ids_.assign(slot.ids(), slot.ids() + std::min<uint32_t>(slot.header().degree, l_.degree));
        });
        const Vec<SlotId> own_links = ids_;   // ask() uses ids_
        for (const Found& f : found_) {
            Offer offer;
            encoder_.set_centre(code_of(f, 0));
            keep_sketch(offer);
            bool there = false;
            store_.poll();
            const bool linked = store_.write(f.id, [&](const MutableSlot& slot) {
                const SlotHeader& h = slot.header();
                if (h.state != SlotState::live || h.level != 0 || h.degree > l_.degree)
                    return false;
                there = place_of(id, slot) < h.degree;
                uint32_t i = h.degree;
                if (i == l_.degree)
                    while (i-- > 0 && std::find(own_links.begin(), own_links.end(),
                                                slot.ids()[i]) == own_links.end())
                        ;
                return !there && i < l_.degree && put(id, offer, slot, i);
            });
            if (linked || there)
                return true;
        }
        for (const bool now_deleted : {false, true})
            for (const Found& f : found_) {
                if (now_deleted && !even_deleted)
                    return false;
                const Offer offer = ask(f.id, 0, true);
                if (offer.victim != id && link_back(f.id, offer, 0, id, false, now_deleted))
                    return true;
            }
        return false;
    }

    // Adds the row to the node of the same code, unless that is gone or full meanwhile.
    bool join(Tid tid)
    {
        // A node's code never changes, so it may be looked at before the slot is locked.
        if (!node_.read(store_, same_) || !codec_.same(own_, node_.code()))
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
    const codec::Codec& codec_;
    uint32_t m_, ef_;
    Query query_;
    LayerSearch<S> search_;
    LinkEncoder encoder_;
    SketchedNeighbours neighbours_;
    Vec<uint8_t> code_;
    Code own_{};
    Vec<Found> found_;          // of the layer searched last
    Vec<Vec<uint8_t>> codes_;   // by layer, for links_
    Vec<Vec<Found>> links_;     // by layer
    SlotId same_ = no_slot;     // a node of the same code that has room
    bool landed_ = false;       // the search met a node of layer 0,
    bool met_self_ = false;     // and the node that it is for,
    bool found_self_ = false;   // even among the ef nearest
    Vec<SlotId> slots_;         // of the node, by layer, once they are written
    SlotId overflow_ = no_slot;
    Vec<char> slot_;
    Vec<uint64_t> sketches_;
    Vec<Seen> seen_;
    Vec<uint32_t> kept_, turned_down_;
    Node node_;
    Vec<Found> around_;   // of ask_unsketched()
    Vec<uint8_t> around_codes_;
    Vec<SlotId> ids_;
    Vec<float> decoded_;
    Counters counters_;
};

}   // namespace quiver::graph
