// Verifies a graph: what every slot says of itself, every link and its sketch, and that every node can be found:
// it is reached on layer 0 from the root, through live and deleted nodes. For a graph that nobody changes meanwhile.
#pragma once

#include <bit>
#include <cstdio>

#include "graph/lifecycle.hpp"

namespace quiver::graph {

template <PagedStore S>
class Checker {
  public:
    // Ids are 0 .. count - 1.
    Checker(S& store, SlotId count)
        : store_(store), l_(store.encoding().layout()), codec_(store.encoding().codec()), count_(count), node_(l_), neighbour_(l_), encoder_(store.encoding())
    {
    }

    // Calls report(id, text) for each problem, and row(id, tid) for each row.
    template <class Report, class Row>
    void run(Report&& report, Row&& row)
    {
        slots(report, row);
        nodes(report);
        entry(report);
    }

  private:
    struct Kind {
        SlotState state;
        uint8_t level;
    };
    bool is_node(SlotId id) const
    {
        return id < count_ &&
               (kinds_[id].state == SlotState::live || kinds_[id].state == SlotState::deleted);
    }

    template <class... Args>
    const char* text(const char* format, Args... args)
    {
        std::snprintf(text_, sizeof text_, format, args...);
        return text_;
    }

    template <class Report, class Row>
    void slots(Report&& report, Row&& row)
    {
        kinds_.assign(count_, {SlotState::free, 0});
        for (SlotId id = 0; id < count_; id++) {
            store_.poll();
            SlotHeader h{};
            Tid tids[Layout::max_tids];
            uint32_t rows = 0;
            if (!store_.read(id, [&](const Slot& s) {
                    h = s.header();
                    rows = s.tid_count();
                    std::copy_n(s.tids(), rows, tids);
                }))
                continue;
            if (h.state > SlotState::overflow) {
                report(id, text("unknown state %d", static_cast<int>(h.state)));
                continue;
            }
            kinds_[id] = {h.state, h.level};
            if (h.state == SlotState::free)
                continue;
            if (h.state == SlotState::overflow) {
                if (!l_.codes_vary)
                    report(id, "overflow slot in a graph that cannot have any");
                else if (h.length == 0 || h.length > l_.overflow_bytes())
                    report(id, text("overflow slot has an invalid length of %u bytes", h.length));
                overflow_.push_back({id, h.owner()});
                continue;
            }
            if (h.level > max_level)
                report(id, text("invalid level %d", h.level));
            if (h.degree > l_.degree)
                report(id, text("slot has %d neighbours, but room for only %u", h.degree, l_.degree));
            if (h.tid_count > l_.tids)
                report(id, text("slot has %d rows, but room for only %u", h.tid_count, l_.tids));
            else if (h.level > 0 ? h.tid_count > 0
                                 : (h.state == SlotState::live) != (h.tid_count > 0))
                report(id,
                       text("%s node on level %d has %d rows",
                            h.state == SlotState::live ? "live" : "deleted", h.level, h.tid_count));
            if (l_.codes_vary ? h.length > codec::max_sparse_bytes || h.length % 8 != 0
                                        : h.length != l_.code_bytes)
                report(id, text("vector code has an invalid length of %u bytes", h.length));
            if (h.level == 0)
                for (uint32_t i = 0; i < rows; i++)
                    row(id, tids[i]);
        }
    }

    template <class Report>
    void nodes(Report&& report)
    {
        for (const auto& [id, owner] : overflow_)
            if (!is_node(owner) || kinds_[owner].level > 0)
                report(id, text("overflow slot belongs to slot %u, which is not a node", owner));
        for (SlotId id = 0; id < count_; id++) {
            store_.poll();
            if (!is_node(id))
                continue;
            // A deleted one's links are not kept up. What else it has may have been freed before it, by a vacuum that
            // did not end: then nothing leads to it.
            if (kinds_[id].state != SlotState::live)
                continue;
            if (!node_.read(store_, id)) {
                incomplete_.push_back(id);
                continue;
            }
            const SlotHeader& h = node_.header();
            if (l_.codes_vary)
                check_sparse(id, report);
            // (A node's lower slot may be deleted before the others are: by a vacuum that did not end.)
            if (h.level > 0 && (!is_node(h.down) || kinds_[h.down].level != h.level - 1))
                report(id, text("slot %u, one level down, is not a node of that level", h.down));
            encoder_.set_centre(node_.code());
            const Slot slot = node_.slot();
            for (uint32_t i = 0; i < node_.degree(); i++) {
                const SlotId n = slot.ids()[i];
                if (n >= count_)
                    report(id, text("link %u points to slot %u, which does not exist", i, n));
                else if (n == id)
                    report(id, text("link %u points to its own slot", i));
                else if (std::find(slot.ids(), slot.ids() + i, n) != slot.ids() + i)
                    report(id, text("two links point to slot %u", n));
                else if (!is_node(n) || kinds_[n].level != h.level)
                    report(id, text("link %u points to slot %u, which is not a node of level %d", i,
                                    n, h.level));
                else
                    check_sketch(id, i, report);
            }
        }
    }

    template <class Report>
    void check_sparse(SlotId id, Report&& report)
    {
        const Code c = node_.code();
        const simd::SparseView v = codec::sparse_view(c.bytes, c.length);
        for (size_t i = 0; i < v.count; i++)
            if (!std::isfinite(v.value[i]) || v.index[i] < 0 ||
                v.index[i] >= static_cast<int64_t>(codec_.spec.dims) ||
                (i > 0 && v.index[i] <= v.index[i - 1])) {
                report(id, text("element %zu of the vector is invalid", i));
                return;
            }
    }

    // Is what the link says of the neighbour what it would be encoded to? But for rounding, which
    // may differ between the CPU that wrote it and this one.
    template <class Report>
    void check_sketch(SlotId id, uint32_t i, Report&& report)
    {
        const Slot slot = node_.slot();
        if (!l_.sketched() || !neighbour_.read(store_, slot.ids()[i]))
            return;
        encoder_.encode(neighbour_.code());
        stored_.clear();
        for (uint32_t w = 0; w < l_.words; w++)
            stored_.push_back(slot.sketches()[w * l_.degree + i]);
        const codec::Sketch stored = {{slot.a()[i], l_.factor_b ? slot.b()[i] : 0}, stored_.data()};
        const float slack =
            1e-4f * (node_.header().params.norm2 + neighbour_.header().params.norm2);
        if (!store_.encoding().sketches()->holds(stored, encoder_.sketch(), slack))
            report(id,
                   text("the sketch of slot %u, link %u, does not match its vector", slot.ids()[i], i));
    }

    template <class Report>
    void entry(Report&& report)
    {
        const Entry e = store_.entry();
        if (!e.empty() && (!is_node(e.id) || kinds_[e.id].level != e.level))
            report(e.id, text("the entry point is not a node of level %d", e.level));
        if (!e.empty() && (!is_node(e.root) || kinds_[e.root].level != 0))
            report(e.root, "the root is not a node of level 0");
        store_.count_pages();
        Flood<S> flood(store_, nullptr);
        flood.from(e.root);
        for (SlotId id = 0; id < count_; id++)
            if (kinds_[id].state == SlotState::live && kinds_[id].level == 0 && !flood.reached(id))
                report(id, "no path leads here from the root");
        // (An insert that did not end leaves a node to which nothing leads.)
        for (const SlotId id : incomplete_)
            if (kinds_[id].level > 0 || flood.reached(id))
                report(id, "overflow slots are missing");
    }

    S& store_;
    const Layout& l_;
    const codec::Codec& codec_;
    SlotId count_;
    Node node_, neighbour_;
    LinkEncoder encoder_;
    Vec<uint64_t> stored_;   // a sketch
    Vec<Kind> kinds_;
    struct Part {
        SlotId id, owner;
    };
    Vec<Part> overflow_;
    Vec<SlotId> incomplete_;   // nodes
    char text_[128];
};

}   // namespace quiver::graph
