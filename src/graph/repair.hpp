// Taking nodes out of the graph. Vacuum knows which slots are `gone`; each live slot that leads to
// one gives the link up and takes, in its place, some of the gone slot's own neighbours (as
// FreshDiskANN consolidates deletes, arXiv 2105.09613, section 4.2). The sketches that the gone slot
// still holds tell which of them are near, so only those are read. Where few of them are left,
// new neighbours are searched for, as for an insert.
#pragma once

#include "graph/prune.hpp"
#include "graph/search.hpp"

namespace quiver::graph {

template <Store S>
class Repairer {
  public:
    explicit Repairer(S& store)
        : store_(store), l_(store.encoding().layout()), codec_(store.encoding().codec()), query_(store.encoding()), search_(store, query_, 0, 64),
          encoder_(store.encoding()), node_(l_)
    {
    }

    // gone(id): is that slot being removed? Returns whether the slot had such links.
    template <class Gone>
    bool repair(SlotId id, Gone&& gone)
    {
        // What the slot is, and which links it loses.
        bad_.clear();
        good_.clear();
        if (!node_.read(store_, id) || node_.header().state != SlotState::live)
            return false;
        const int level = node_.header().level;
        for (uint32_t i = 0; i < node_.degree(); i++) {
            const SlotId n = node_.slot().ids()[i];
            (gone(n) ? bad_ : good_).push_back(n);
        }
        if (bad_.empty())
            return false;
        const Code code = node_.code();
        code_.assign(code.bytes, code.bytes + code.length);
        const Code own{code.params, code_.data(), code.length};
        query_.set(codec_.decode(own, centre_));

        // The nearest of each gone slot's neighbours, by estimate. Of each: one that led far away is
        // replaced by others that do, or the parts of the graph would drift apart.
        found_.clear();
        const size_t quota = std::max<size_t>(8, 2 * l_.degree / bad_.size());
        for (const SlotId b : bad_) {
            const size_t before = found_.size();
            if (!node_.read(store_, b) || node_.header().level != level)
                continue;
            const Slot slot = node_.slot();
            const float* estimate =
                l_.sketched() ? query_.estimates(slot, query_.distance(node_.code()), 0) : nullptr;
            for (uint32_t i = 0; i < node_.degree(); i++) {
                const SlotId n = slot.ids()[i];
                if (n != id && !gone(n) && std::find(good_.begin(), good_.end(), n) == good_.end())
                    found_.push_back(Candidate(estimate ? estimate[i] : 0.0f, n));
            }
            if (estimate)
                std::sort(found_.begin() + static_cast<ptrdiff_t>(before), found_.end());
            // Without estimates the first are as good as any, so more of them are looked at.
            found_.resize(std::min(found_.size(), before + (estimate ? quota : 2 * quota)));
        }

        // The slot's good neighbours stay. Their codes, and those of the nearest of the others.
        taken_.clear();
        codes_.clear();
        for (const SlotId g : good_)
            take(g, level);
        const size_t stay = taken_.size();
        for (const Candidate c : found_) {
            if (!is_taken(c.id()))
                take(c.id(), level);
        }
        if (taken_.size() < l_.degree || bad_.size() >= good_.size()) {
            Counters counters;
            const Entry entry = store_.entry();
            const SlotId at =
                entry.level < level ? no_slot : descend(search_, entry, level, counters);
            if (at != no_slot) {
                search_.restart(level, std::max<size_t>(64, 2 * l_.degree));
                search_.add(at, 0);
                search_.run(counters, false,
                            [&](SlotId n, const Slot&, const Code& c, float, bool in_w) {
                                if (in_w && n != id && !gone(n) && !is_taken(n))
                                    keep(n, c);
                            });
            }
        }
        for (Taken& t : taken_) {
            t.distance = codec_.distance(own, code_of(t));
            t.equal = codec_.same(own, code_of(t));
        }
        std::sort(taken_.begin() + static_cast<ptrdiff_t>(stay), taken_.end(),
                  [](const Taken& x, const Taken& y) { return x.distance < y.distance; });

        // In the places of the lost links come those that no nearer neighbour makes superfluous,
        // then, while there are few, the nearest of the rest.
        const size_t most = std::min<size_t>(l_.degree, good_.size() + bad_.size());
        chosen_.clear();
        for (size_t i = 0; i < stay; i++)
            chosen_.push_back(i);
        rest_.clear();
        for (size_t i = stay; i < taken_.size() && chosen_.size() < most; i++) {
            const Taken& t = taken_[i];
            const bool superfluous = std::any_of(chosen_.begin(), chosen_.end(), [&](size_t k) {
                const Taken& n = taken_[k];
                return n.distance < t.distance &&
                       makes_superfluous({n.distance, n.equal}, {t.distance, t.equal},
                                         codec_.distance(code_of(n), code_of(t)));
            });
            (superfluous ? rest_ : chosen_).push_back(i);
        }
        for (size_t i = 0; i < rest_.size() && chosen_.size() < most; i++)
            chosen_.push_back(rest_[i]);

        added_.clear();
        store_.poll();
        store_.write(id, [&](const MutableSlot& slot) {
            SlotHeader& h = slot.header();
            if (h.state != SlotState::live || h.level != level || h.degree > l_.degree)
                return false;
            uint32_t n = 0;
            for (uint32_t i = 0; i < h.degree; i++)
                if (!gone(slot.ids()[i]))
                    move_neighbour(slot, i, n++);
            encoder_.set_centre(code_in(slot));
            for (const size_t i : chosen_) {
                if (n == l_.degree)
                    break;
                const Taken& t = taken_[i];
                if (i < stay || std::find(slot.ids(), slot.ids() + n, t.id) != slot.ids() + n)
                    continue;
                encoder_.encode(code_of(t));
                encoder_.put(t.id, slot, n++);
                added_.push_back(t.id);
            }
            h.degree = static_cast<uint8_t>(n);
            return true;
        });
        // The new neighbours lead back where they have room: ways to a node die with its neighbours,
        // and one that is nobody's nearest would become hard to find.
        for (const SlotId n : added_)
            lead_back(n, id, own, level);
        return true;
    }

  private:
    struct Taken {
        SlotId id;
        CodeParams params;
        size_t code;
        uint32_t length;
        float distance;
        bool equal;
    };

    void lead_back(SlotId from, SlotId id, const Code& own, int level)
    {
        // A look before the lock: most are full.
        if (!node_.read_live(store_, from, level) || node_.degree() >= l_.degree)
            return;
        store_.write(from, [&](const MutableSlot& slot) {
            SlotHeader& h = slot.header();
            if (h.state != SlotState::live || h.level != level || h.degree >= l_.degree ||
                std::find(slot.ids(), slot.ids() + h.degree, id) != slot.ids() + h.degree)
                return false;
            encoder_.set_centre(code_in(slot));
            encoder_.encode(own);
            encoder_.put(id, slot, h.degree++);
            return true;
        });
    }

    void take(SlotId id, int level)
    {
        if (node_.read_live(store_, id, level))
            keep(id, node_.code());
    }
    void keep(SlotId id, const Code& c)
    {
        taken_.push_back({id, c.params, codes_.size(), c.length, 0, false});
        codes_.insert(codes_.end(), c.bytes, c.bytes + c.length);
    }
    bool is_taken(SlotId id) const
    {
        return std::any_of(taken_.begin(), taken_.end(),
                           [&](const Taken& t) { return t.id == id; });
    }
    Code code_of(const Taken& t) const { return {t.params, codes_.data() + t.code, t.length}; }

    S& store_;
    const Layout& l_;
    const codec::Codec& codec_;
    Query query_;
    LayerSearch<S> search_;
    LinkEncoder encoder_;
    Vec<float> centre_;
    Vec<uint8_t> code_, codes_;
    Node node_;
    Vec<size_t> chosen_, rest_;
    Vec<SlotId> bad_, good_, added_;
    Vec<Candidate> found_;
    Vec<Taken> taken_;
};

}   // namespace quiver::graph
