// Inserting a vector (HNSW, Malkov and Yashunin 2016, algorithm 1).
//
// The insert writes each slot on its own, in this order:
//   - the node's slot of layer 0, with its links; no node links to it yet
//   - the rest of the code, if it does not fit into that slot, in overflow slots
//   - the backlinks, from its neighbours to the node (backlinks.hpp)
//   - its slots of upper layers, and the backlinks to them, in the same way
//   - the entry, if the node is on a higher layer than the entry
// After any prefix of these writes, all nodes that could be reached from the root still can be.
//
// The insert goes on to the upper layers only when another node links to its node, or its node is
// the entry: a search must not come down to a node that cannot be reached from the root. If the
// insert met no live node, it makes its node the entry and the root, provided that the entry is
// still the one from which it searched. Otherwise it searches again. It also searches again if no
// node links to its own, because other inserts took the places first. src/graph/README.md describes
// the races.
#pragma once

#include "graph/backlinks.hpp"
#include "graph/neighbour_search.hpp"

namespace quiver::graph {

// Makes the slot the entry if the current entry is on a lower layer.
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

// Large functions that vacuum calls, too, are not inlined (hnsw/insert.hpp).
template <Store S>
class Inserter {
  public:
    // remembered_slots: of graphs without sketches (SelectionCache)
    Inserter(S& store, uint32_t m, uint32_t ef_construction, size_t remembered_slots = 4096)
        : store_(store), l_(store.encoding().layout()), codec_(store.encoding().codec()),
          ef_(ef_construction), search_(store, own_, m, ef_construction),
          backlinks_(store, own_.code, remembered_slots), encoder_(store.encoding()), node_(l_)
    {
    }

    Inserter(const Inserter&) = delete;
    Inserter& operator=(const Inserter&) = delete;

    // Adds row `tid` with vector `x` and this filter code. If a node has the same codes and room for
    // another row, the row joins it. Otherwise the row gets a new node of this level.
    [[gnu::noinline]] void insert(const Value& x, Tid tid, int level, FilterCode filter = 0)
    {
        encode_own(x, filter);
        own_.slots.clear();
        search_.set_query(x);
        if (!insert_on_layer_0(tid, level))
            return;
        if (level > 0 && backlinks_.has_orphans()) {
            // They come first, in case that the rest is cancelled. Then the node's neighbours on the
            // upper layers must be searched for again.
            const SlotId id = own_.slots.front(), overflow = overflow_;
            look_after_orphans();
            encode_own(x, filter);
            own_.slots.assign(1, id);
            overflow_ = overflow;
            search_.set_query(x);
            find(store_.entry(), level, false, ef_);
        }
        add_upper_slots(level);
        look_after_orphans();
    }

    // ---- for nodes that have no links yet, or none on upper layers (graph_build.hpp) ----

    // Links live node `id` of layer 0, which has no links and no row in common with another node.
    void insert_loaded(SlotId id)
    {
        if (!load(id))
            return;
        insert_on_layer_0({}, 0);
        look_after_orphans();
    }
    // Adds the upper slots of a node that is linked on layer 0.
    void raise(SlotId id, int level)
    {
        if (!load(id))
            return;
        find(store_.entry(), level, false, ef_);
        add_upper_slots(level);
        look_after_orphans();
    }

    // ---- for existing nodes (reachability.hpp, lifecycle.hpp) ----

    // Loads node `id` of layer 0. False if it is not a live node, or not completely written.
    [[gnu::noinline]] bool load(SlotId id)
    {
        if (!node_.read_live(store_, id, 0))
            return false;
        const Code code = node_.code();
        code_.assign(code.bytes, code.bytes + code.length);
        own_.code = {code.params, code_.data(), code.length, code.filter};
        own_.slots.assign(1, id);
        overflow_ = l_.codes_vary ? node_.header().overflow() : no_slot;
        search_.set_query(codec_.decode(own_.code, decoded_));
        return true;
    }
    // If a search for the node's own vector does not find the node, adds a link to it. Afterwards,
    // look_after_orphans() must be called. Returns whether it added one. donors: if not null, the node
    // can be reached, and nodes that have given up a link already give up no other. (Where all distances
    // are alike, as between many sparse vectors, a third of all nodes is not found, and all searches visit
    // the same few nodes. Those must not lose their own neighbours.) And a node gets none if even a search
    // that misses nothing would not find it among the nearest.
    [[gnu::noinline]] bool ensure_found(GroupMarks* donors = nullptr)
    {
        backlinks_.forget();
        search_.find_self(store_.entry(), ef_);
        if (search_.found_self())
            return false;
        if (donors)
            return !search_.is_outranked(ef_) &&
                   backlinks_.ensure_reachable(own_.slots.front(), search_.donors(), false, donors);
        for (uint32_t ef = ef_; !ensure_reachable(is_widest(ef));) {
            if (is_widest(ef))
                return false;
            ef = wider(ef);
            find(store_.entry(), 0, false, ef);
        }
        return true;
    }
    // Does a search for the node from `start` reach it without deleted nodes and slot `avoided`,
    // which may be no_slot? Calls on_visit(id) for each slot that the search reaches. A search ends when
    // it needs most_bytes. It may miss a node that can be reached. If `widen`, and it has not needed
    // most_bytes, the next one is four times as wide, up to 16 times ef_construction, or up to 2,048 if
    // that is more.
    [[gnu::noinline]] bool is_reached(SlotId start, SlotId avoided, bool widen, size_t most_bytes,
                                      SlotCallback on_visit)
    {
        const uint32_t widest = widen ? std::max(16 * ef_, 2048u) : ef_;
        for (uint32_t ef = ef_;; ef = std::min(4 * ef, widest)) {
            backlinks_.forget();
            const bool ended = search_.find_from(start, avoided, ef, most_bytes, on_visit);
            if (search_.met_self() || !ended || ef >= widest)
                return search_.met_self();
        }
    }
    // To be called after is_reached(): adds a link to the node from one of the nodes
    // that the search found (Backlinks).
    [[gnu::noinline]] bool ensure_reachable(bool may_lose_deleted)
    {
        return backlinks_.ensure_reachable(own_.slots.front(), search_.donors(), may_lose_deleted);
    }
    // The same, but may overwrite the node's own link to `unneeded`.
    [[gnu::noinline]] bool ensure_reachable_dropping(SlotId unneeded)
    {
        return backlinks_.ensure_reachable_dropping(unneeded, own_.slots.front(), search_.donors());
    }

    // To be called after the links of a node were written: adds links to orphans, the nodes that
    // may have lost all links to them (Backlinks). Afterwards another node may be loaded.
    [[gnu::noinline]] void look_after_orphans()
    {
        for (SlotId orphan; (orphan = backlinks_.take_orphan()) != no_slot;)
            if (load(orphan))
                ensure_found();
    }

    // From now on, marks the nodes of layer 0 to which a link was replaced. May be null.
    void mark_replaced(Marks* nodes) { backlinks_.mark_replaced(nodes); }
    // From now on, nodes with ids below this one may adopt deleted nodes (Backlinks).
    void adopt_deleted(SlotId end) { backlinks_.adopt_deleted(end); }
    // Has live node `id` of layer 0 link to deleted node `to`. False: it has no room.
    bool adopt_deleted(SlotId id, SlotId to)
    {
        return load(id) && backlinks_.adopt_deleted(id, to);
    }
    // Creates a node without rows that has the code of live node `id` and a link to deleted node `to`. No
    // node links to it. no_slot: `id` is not a live node.
    SlotId create_above(SlotId id, SlotId to)
    {
        if (!load(id))
            return no_slot;
        own_.slots.clear();
        search_.neighbours(0).clear();
        write_slot(0, {});
        write_overflow();
        const SlotId created = own_.slots.front();
        return backlinks_.adopt_deleted(created, to) ? created : no_slot;
    }

    const Counters& counters() const { return search_.counters(); }
    // To be called when slots are freed: forgets what it remembers of others that linked to them.
    void forget_slots() { backlinks_.forget_slots(); }
    // From now on, what it remembers of slots is in memory that several inserters share (SelectionCache).
    void share_cache(char* memory, void (*poll)()) { backlinks_.share_cache(memory, poll); }
    // The memory for what it remembers of slots.
    size_t bytes() const { return backlinks_.bytes(); }

  private:
    static constexpr uint32_t most_ef = 1 << 16;
    uint32_t wider(uint32_t ef) const { return std::min(2 * ef, std::max(ef_, most_ef)); }
    // Has a search for `ef` nodes seen so many of them that the last resort may be taken?
    bool is_widest(uint32_t ef) const { return ef >= std::min(32 * ef_, std::max(ef_, most_ef)); }

    // The result of an attempt to link the node.
    enum class Attempt {
        done,          // another node links to it, or it is the root
        again,         // others changed the graph meanwhile
        search_wider   // none of the nodes found can link to it
    };

    void encode_own(const Value& x, FilterCode filter)
    {
        own_.code = codec_.encode(x, code_);
        own_.code.filter = filter;
    }
    void find(Entry entry, int level, bool may_join, uint32_t ef)
    {
        backlinks_.forget();
        search_.find(entry, level, may_join, ef);
    }

    // False: the row has joined an existing node.
    bool insert_on_layer_0(Tid tid, int level)
    {
        uint32_t ef = ef_;
        for (bool may_join = true;;) {
            store_.poll();
            const Entry entry = store_.entry();
            find(entry, level, may_join && own_.slots.empty(), ef);
            if (search_.joinable() != no_slot) {
                if (join(search_.joinable(), tid))
                    return false;
                may_join = false;
                continue;
            }
            switch (link_on_layer_0(entry, tid, is_widest(ef))) {
            case Attempt::done: return true;
            case Attempt::again: break;
            case Attempt::search_wider: ef = wider(ef);
            }
        }
    }
    // last_resort: if there is no other choice, a link to a deleted node may be lost.
    Attempt link_on_layer_0(const Entry& entry, Tid tid, bool last_resort)
    {
        if (search_.met_self())   // an earlier attempt, or another operation, has linked the node
            return Attempt::done;
        if (!search_.has_landed() && !entry.empty()) {
            expect_moved(store_, entry);
            return Attempt::again;
        }
        plan_backlinks(0);
        const bool is_new = own_.slots.empty();
        if (is_new) {
            write_slot(0, tid);
            write_overflow();
        } else
            add_links();
        const SlotId id = own_.slots.front();
        if (search_.near().empty())   // there is no live node
            return store_.replace_entry(entry, {id, 0, id}) == entry ? Attempt::done
                                                                     : Attempt::again;
        // add_links() may not have had room for every node to adopt, so write_backlinks() adopts
        // them.
        if (write_backlinks(0, is_new) || ensure_reachable(last_resort))
            return Attempt::done;
        // Either other inserts took the places, and the node has no room to adopt one more, or all
        // links that the nodes found could give up are to deleted nodes. A node that shares a
        // neighbour with the new node can give up its link to that neighbour. If none was found,
        // there is one farther away.
        return Attempt::search_wider;
    }

    // Adds the row to a node with the same code, unless the node is deleted or full by now.
    bool join(SlotId id, Tid tid)
    {
        // A node's code never changes, so it can be compared before the slot is locked.
        if (!node_.read(store_, id) || !can_share_node(codec_, own_.code, node_.code()))
            return false;
        return store_.write(id, [&](const MutableSlot& slot) {
            SlotHeader& h = slot.header();
            if (h.state != SlotState::live || h.level != 0 || h.tid_count >= l_.tids)
                return false;
            slot.tids()[h.tid_count++] = tid;
            h.params.error = std::max(h.params.error, own_.code.params.error);
            return true;
        });
    }

    // Plans the backlinks from the node's neighbours on a layer. The node adopts the targets of the
    // links that these replace: it will link to them. (On 100,000 text embeddings that also raised
    // recall.) One place of the node stays free for ensure_reachable().
    void plan_backlinks(int l)
    {
        CodedCandidates& neighbours = search_.neighbours(l);
        const size_t selected = neighbours.size();
        planned_.clear();
        for (size_t i = 0; i < selected; i++) {
            const SlotId neighbour = neighbours.id(i);
            Backlink backlink = backlinks_.plan(neighbour, l, false);
            if (backlink.accepted && backlink.replaces != no_slot &&
                !adopt(backlink.replaces, l, neighbours))
                backlink.accepted = false;
            planned_.push_back({neighbour, backlink});
        }
    }
    // Adds `orphan`, to which a link will be replaced, to the neighbours. False: that link must
    // stay.
    bool adopt(SlotId orphan, int l, CodedCandidates& neighbours)
    {
        if (neighbours.contains(orphan))
            return true;
        if (!node_.read(store_, orphan) || node_.header().level != l)
            return true;   // a stale link
        // No node may get a link to a deleted node. But a deleted node can be the only one that
        // links to some live node, so the link to it cannot be lost.
        if (node_.header().state != SlotState::live || neighbours.size() + 1 >= l_.degree)
            return false;
        neighbours.add(orphan, 0, node_.code());
        return true;
    }
    // Writes the planned backlinks. Returns whether any neighbour links to the node now. adopted:
    // the node links to all nodes that plan_backlinks() adopted.
    bool write_backlinks(int l, bool adopted)
    {
        bool any = false;
        for (const Planned& p : planned_)
            any |= backlinks_.write(p.neighbour, p.backlink, l, own_.slots[static_cast<size_t>(l)],
                                    adopted);
        return any;
    }

    // Writes and links the node's slots of layers 1 to `level`.
    void add_upper_slots(int level)
    {
        for (int l = 1; l <= level; l++) {
            plan_backlinks(l);
            write_slot(l, {});
            write_backlinks(l, true);
        }
        if (level > 0)
            raise_entry(store_, own_.slots.back(), level);
    }
    // Writes the node's slot of layer l. An invalid tid: it has no row.
    void write_slot(int l, Tid tid)
    {
        // The slot is made in memory first, so that the page is locked only while it is copied.
        slot_.resize(l_.slot_bytes);
        const MutableSlot made(l_, slot_.data());
        SlotHeader& h = made.header();
        h = {};
        h.state = SlotState::live;
        h.level = static_cast<uint8_t>(l);
        h.down = l > 0 ? own_.slots.back() : no_slot;
        put_code(own_.code, made, l > 0 ? overflow_ : no_slot);
        if (l == 0 && tid.offset != 0) {
            h.tid_count = 1;
            made.tids()[0] = tid;
        }
        append_links(made, l);
        own_.slots.push_back(
            store_.create([&](const MutableSlot& slot) { copy_node(made, slot); }));
    }
    // Adds links to the slot of layer 0 that an earlier attempt wrote.
    void add_links()
    {
        store_.write(own_.slots.front(), [&](const MutableSlot& slot) {
            return slot.header().state == SlotState::live && append_links(slot, 0);
        });
    }
    // Appends links to the neighbours of that layer, as far as there is room. True if it appended
    // any.
    bool append_links(const MutableSlot& slot, int l)
    {
        const CodedCandidates& neighbours = search_.neighbours(l);
        bool any = false;
        encoder_.set_centre(own_.code);
        for (size_t i = 0; i < neighbours.size(); i++)
            any |= append_link(slot, neighbours, i, l_.degree - 1, encoder_);
        return any;
    }
    // Writes the part of the code that does not fit into the node's slot of layer 0 into overflow
    // slots, the last part first.
    void write_overflow()
    {
        const Code& code = own_.code;
        overflow_ = no_slot;
        const uint32_t part = l_.overflow_bytes() / 8 * 8;
        for (uint32_t left = code.length > l_.code_bytes ? code.length - l_.code_bytes : 0;
             left > 0;) {
            const uint32_t n = left % part ? left % part : part;
            left -= n;
            overflow_ = store_.create([&](const MutableSlot& slot) {
                SlotHeader& h = slot.header();
                h = {};
                h.state = SlotState::overflow;
                h.owner() = own_.slots.front();
                slot.stamp() = store_.stamp();
                h.down = overflow_;
                h.length = n;
                std::memcpy(slot.code(), code.bytes + l_.code_bytes + left, n);
            });
        }
        if (overflow_ != no_slot)
            store_.write(own_.slots.front(), [&](const MutableSlot& slot) {
                slot.header().overflow() = overflow_;
                return true;
            });
    }

    struct Planned {
        SlotId neighbour;
        Backlink backlink;
    };

    S& store_;
    const Layout& l_;
    const codec::Codec& codec_;
    uint32_t ef_;
    OwnNode own_;
    Vec<uint8_t> code_;   // bytes of own_.code
    Vec<float> decoded_;
    NeighbourSearch<S> search_;
    Backlinks<S> backlinks_;
    Vec<Planned> planned_;   // of one layer
    LinkEncoder encoder_;
    Node node_;
    Vec<char> slot_;
    SlotId overflow_ = no_slot;   // the first overflow slot
};

}   // namespace quiver::graph
