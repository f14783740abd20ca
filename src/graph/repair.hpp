// Taking nodes out of the graph. Vacuum knows which slots are `gone`; each live slot that leads to
// one gives the link up and takes, in its place, near ones of the gone slot's own neighbours, chosen
// by the sketches that the gone slot still holds (as FreshDiskANN consolidates deletes, arXiv
// 2105.09613, section 4.2, but without reading the candidates to compare them).
#pragma once

#include "graph/prune.hpp"
#include "graph/search.hpp"

namespace quiver::graph {

template <Store S>
class Repairer {
  public:
    explicit Repairer(S& store)
        : store_(store), l_(store.layout()), query_(l_), encoder_(l_), neighbours_(l_), centre_(l_.padded), code_(l_.padded)
    {
    }

    // gone(id): is that slot being removed? Returns whether the slot had such links.
    template <class Gone>
    bool repair(SlotId id, Gone&& gone)
    {
        // What the slot is, and which links it loses.
        bad_.clear();
        good_.clear();
        int level = 0;
        const bool live = store_.read(id, [&](const Slot& slot) {
            const SlotHeader& h = slot.header();
            if (h.state != SlotState::live)
                return;
            level = h.level;
            const uint32_t degree = std::min<uint32_t>(h.degree, l_.degree);
            for (uint32_t i = 0; i < degree; i++)
                (gone(slot.ids()[i]) ? bad_ : good_).push_back(slot.ids()[i]);
            if (!bad_.empty())
                quant::scalar_decode(h.params, slot.code(), l_.padded, centre_.data());
        });
        if (!live || bad_.empty())
            return false;
        query_.set(centre_.data());

        // The gone slots' neighbours, by estimate.
        found_.clear();
        for (const SlotId b : bad_)
            store_.read(b, [&](const Slot& slot) {
                const SlotHeader& h = slot.header();
                if (h.state == SlotState::free || h.level != level)
                    return;
                const float* estimate = query_.estimates(slot, query_.distance(slot));
                const uint32_t degree = std::min<uint32_t>(h.degree, l_.degree);
                for (uint32_t i = 0; i < degree; i++) {
                    const SlotId n = slot.ids()[i];
                    if (n != id && !gone(n) && std::find(good_.begin(), good_.end(), n) == good_.end())
                        found_.push_back(Candidate(estimate[i], n));
                }
            });
        std::sort(found_.begin(), found_.end());

        // Read as many of the nearest as there are places.
        taken_.clear();
        codes_.clear();
        for (const Candidate c : found_) {
            if (taken_.size() >= bad_.size())
                break;
            if (std::any_of(taken_.begin(), taken_.end(), [&](const Taken& t) { return t.id == c.id(); }))
                continue;
            store_.read(c.id(), [&](const Slot& slot) {
                const SlotHeader& h = slot.header();
                if (h.state != SlotState::live || h.level != level)
                    return;
                taken_.push_back({c.id(), h.params, codes_.size()});
                codes_.insert(codes_.end(), slot.code(), slot.code() + l_.padded);
            });
        }
        store_.poll();
        store_.write(id, [&](const MutableSlot& slot) {
            SlotHeader& h = slot.header();
            if (h.state != SlotState::live || h.level != level || h.degree > l_.degree)
                return false;
            uint32_t n = 0;
            for (uint32_t i = 0; i < h.degree; i++)
                if (!gone(slot.ids()[i]))
                    move(slot, i, n++);
            encoder_.set_centre({h.params, slot.code()});
            for (const Taken& t : taken_) {
                if (n == l_.degree)
                    break;
                if (std::find(slot.ids(), slot.ids() + n, t.id) != slot.ids() + n)
                    continue;
                encoder_.encode({t.params, codes_.data() + t.code});
                encoder_.put(t.id, slot, n++);
            }
            h.degree = static_cast<uint8_t>(n);
            return true;
        });
        return true;
    }

  private:
    struct Taken {
        SlotId id;
        quant::ScalarParams params;
        size_t code;
    };

    void move(const MutableSlot& slot, uint32_t from, uint32_t to) const
    {
        if (from == to)
            return;
        slot.ids()[to] = slot.ids()[from];
        slot.a()[to] = slot.a()[from];
        slot.b()[to] = slot.b()[from];
        for (uint32_t w = 0; w < l_.words; w++)
            slot.sketches()[w * l_.degree + to] = slot.sketches()[w * l_.degree + from];
    }

    S& store_;
    const Layout& l_;
    Query query_;
    SketchEncoder encoder_;
    SketchedNeighbours neighbours_;
    Vec<float> centre_;
    Vec<uint8_t> code_, codes_;
    Vec<SlotId> bad_, good_;
    Vec<Candidate> found_;
    Vec<Taken> taken_;
};

}   // namespace quiver::graph
