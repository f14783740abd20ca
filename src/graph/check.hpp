// The verifier of a graph. It checks each slot's header, each link with its sketch and filter code (which must be those
// of the neighbour), and that each live node can be reached on layer 0 from the root, through live and deleted nodes. Nobody may
// change the graph while it runs.
#pragma once

#include <bit>
#include <cstdio>

#include "graph/reachability.hpp"

namespace quiver::graph {

template <PagedStore S>
class Checker {
  public:
    // Ids are 0 .. count - 1.
    Checker(S& store, SlotId count)
        : store_(store), l_(store.encoding().layout()), codec_(store.encoding().codec()),
          count_(count), node_(l_), neighbour_(l_), encoder_(store.encoding())
    {
    }

    // Calls report(id, text) for each problem, and row(id, tid) for each row.
    template <class Report, class Row>
    void run(Report&& report, Row&& row)
    {
        check_slots(report, row);
        check_nodes(report);
        check_flat_pages(report);
        check_reachability(report);
    }

  private:
    struct Kind {
        SlotState state;
        uint8_t level;
        bool has_rows = false;
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

    // Checks each slot on its own, and notes its state and level.
    template <class Report, class Row>
    void check_slots(Report&& report, Row&& row)
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
            kinds_[id] = {h.state, h.level, rows > 0};
            if (h.state == SlotState::overflow)
                check_overflow(id, h, report);
            else if (h.state != SlotState::free) {
                check_header(id, h, report);
                if (h.level == 0)
                    for (uint32_t i = 0; i < rows; i++)
                        row(id, tids[i]);
            }
        }
    }
    template <class Report>
    void check_overflow(SlotId id, const SlotHeader& h, Report&& report)
    {
        if (!l_.codes_vary)
            report(id, "overflow slot in a graph that cannot have any");
        else if (h.length == 0 || h.length > l_.overflow_bytes())
            report(id, text("overflow slot has an invalid length of %u bytes", h.length));
        overflow_.push_back({id, h.owner()});
    }
    template <class Report>
    void check_header(SlotId id, const SlotHeader& h, Report&& report)
    {
        const bool live = h.state == SlotState::live;
        if (h.level > max_level)
            report(id, text("invalid level %d", h.level));
        if (h.degree > l_.degree)
            report(id, text("slot has %d neighbours, but room for only %u", h.degree, l_.degree));
        if (h.tid_count > l_.tids)
            report(id, text("slot has %d rows, but room for only %u", h.tid_count, l_.tids));
        else if (h.tid_count > 0 && (h.level > 0 || !live))
            report(id, text("%s node on level %d has %d rows", live ? "live" : "deleted", h.level,
                            h.tid_count));
        if (l_.codes_vary ? h.length > codec::max_sparse_bytes || h.length % 8 != 0
                          : h.length != l_.code_bytes)
            report(id, text("vector code has an invalid length of %u bytes", h.length));
    }

    template <class Report>
    void check_nodes(Report&& report)
    {
        for (const auto& [id, owner] : overflow_)
            if (!is_node(owner) || kinds_[owner].level > 0)
                report(id, text("overflow slot belongs to slot %u, which is not a node", owner));
        for (SlotId id = 0; id < count_; id++) {
            store_.poll();
            // Nobody maintains the links of deleted nodes. If a vacuum did not finish, other slots
            // of such a node may be free already; then no node links to it.
            if (!is_node(id) || kinds_[id].state != SlotState::live)
                continue;
            if (!node_.read(store_, id)) {
                incomplete_.push_back(id);
                continue;
            }
            const SlotHeader& h = node_.header();
            if (l_.codes_vary)
                check_sparse(id, report);
            // (A vacuum that did not finish may have deleted the lower slot, but not the upper
            // ones.)
            if (h.level > 0 && (!is_node(h.down) || kinds_[h.down].level != h.level - 1))
                report(id, text("slot %u, one level down, is not a node of that level", h.down));
            check_links(id, report);
        }
    }
    // Checks the links of the node that was read last.
    template <class Report>
    void check_links(SlotId id, Report&& report)
    {
        const int level = node_.header().level;
        const std::span<const SlotId> links = links_of(node_.slot());
        encoder_.set_centre(node_.code());
        for (uint32_t i = 0; i < links.size(); i++) {
            const SlotId n = links[i];
            if (n >= count_)
                report(id, text("link %u is to slot %u, which is not there", i, n));
            else if (n == id)
                report(id, text("link %u is to the node itself", i));
            else if (std::find(links.begin(), links.begin() + i, n) != links.begin() + i)
                report(id, text("two links are to slot %u", n));
            else if (!is_node(n) || kinds_[n].level != level)
                report(id,
                       text("link %u is to slot %u, which is not a node of level %d", i, n, level));
            else
                check_copies(id, i, report);
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

    // Does what a link has of its neighbour equal the neighbour's own?
    template <class Report>
    void check_copies(SlotId id, uint32_t i, Report&& report)
    {
        const Slot slot = node_.slot();
        if (!(l_.sketched() || l_.filtered) || !neighbour_.read(store_, slot.ids()[i]))
            return;
        if (l_.filtered && slot.filters()[i] != neighbour_.code().filter)
            report(id, text("the filter code of slot %u, link %u, is not that of the slot",
                            slot.ids()[i], i));
        if (l_.sketched())
            check_sketch(id, i, report);
    }
    // Does the link's sketch equal a new encoding of the neighbour, which was read last? Rounding may
    // differ between the CPU that wrote the sketch and this one.
    template <class Report>
    void check_sketch(SlotId id, uint32_t i, Report&& report)
    {
        const Slot slot = node_.slot();
        encoder_.encode(neighbour_.code());
        stored_.clear();
        for (uint32_t w = 0; w < l_.words; w++)
            stored_.push_back(slot.sketches()[w * l_.degree + i]);
        const codec::Sketch stored = {{slot.a()[i], l_.factor_b ? slot.b()[i] : 0}, stored_.data()};
        const float slack =
            1e-4f * (node_.header().params.norm2 + neighbour_.header().params.norm2);
        if (!store_.encoding().sketches()->holds(stored, encoder_.sketch(), slack))
            report(id, text("the sketch of slot %u, link %u, does not match its vector",
                            slot.ids()[i], i));
    }

    // Does each live node have its entry on a flat page, and no other slot?
    template <class Report>
    void check_flat_pages(Report&& report)
    {
        if (store_.flat_pages() == 0)
            return;
        const uint32_t entries = store_.flat_entries();
        FlatEncoder encoder(store_.encoding());
        for (SlotId id = 0; id < count_; id++) {
            store_.poll();
            const bool may_have_one = is_node(id) && kinds_[id].level == 0,
                       is_live = may_have_one && kinds_[id].state == SlotState::live;
            if (is_live && !node_.read(store_, id))
                continue;
            const char* problem = is_live ? "has no entry on its flat page" : nullptr;
            store_.read_flat(id / entries, [&](const FlatPage& page) {
                if (!page.is_node(id % entries))
                    return;
                problem = is_live ? problem_of_entry(page, id % entries, encoder)
                          : !may_have_one
                              ? "has an entry on its flat page, but is not a node of layer 0"
                              : nullptr;
            });
            if (problem)
                report(id, text("slot %s", problem));
        }
    }
    // Compares an entry with the node that was read last. Null if they agree.
    const char* problem_of_entry(const FlatPage& page, uint32_t i, FlatEncoder& encoder)
    {
        const codec::Sketch made = encoder.sketch_of(node_.slot());
        const float slack =
            1e-4f * (store_.encoding().flat_centre().params.norm2 + node_.header().params.norm2);
        if (page.filters()[i] != made.filter)
            return "has another filter code on its flat page";
        if (l_.sketched() && !store_.encoding().sketches()->holds(page.sketch(i), made, slack))
            return "has a sketch on its flat page that does not match its vector";
        return nullptr;
    }

    template <class Report>
    void check_reachability(Report&& report)
    {
        const Entry e = store_.entry();
        if (!e.empty() && (!is_node(e.id) || kinds_[e.id].level != e.level))
            report(e.id, text("the entry point is not a node of level %d", e.level));
        if (!e.empty() && (!is_node(e.root) || kinds_[e.root].level != 0))
            report(e.root, "the root is not a node of level 0");
        store_.count_pages();
        Flood<S> flood(store_, true);
        flood.from(e.root);
        // A node without rows is the root, or a vacuum has ended before it made it that.
        for (SlotId id = 0; id < count_; id++) {
            const Kind& kind = kinds_[id];
            if (kind.state != SlotState::live || kind.level > 0)
                continue;
            if (kind.has_rows && !flood.reached(id))
                report(id, "no path leads here from the root");
            else if (!kind.has_rows && flood.reached(id) && id != e.root)
                report(id, "live node has no rows");
        }
        // (An insert that did not finish leaves a node to which no other node links.)
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
    Vec<Kind> kinds_;        // of each slot
    struct Overflow {
        SlotId id, owner;
    };
    Vec<Overflow> overflow_;
    Vec<SlotId> incomplete_;   // nodes whose overflow slots are missing
    char text_[128];
};

}   // namespace quiver::graph
