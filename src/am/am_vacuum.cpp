// VACUUM. Steps over the pages:
//   1. take dead rows out of the nodes; a node without rows is marked deleted (it still leads on);
//   2. repair the slots that lead to deleted ones;
//   3. move the entry, if it is deleted, to the highest node left;
//   4. if every insert that may have met those nodes alive has ended, repair what such inserts wrote
//      meanwhile: from here on nothing leads to a deleted node. Otherwise leave it to the next vacuum;
//   5. free the deleted slots, stamped with the next transaction id: they are used again once no scan
//      is left that could hold their id. Overflow slots go with their node; those of an insert that
//      did not finish are recognized by their age.
// A crash between the steps leaves deleted slots behind, which the next vacuum finds.
#include "pg/pg.hpp"

#include "am/am.hpp"
#include "graph/connect.hpp"
#include "graph/repair.hpp"

extern "C" {
#include "storage/freespace.h"
#include "storage/indexfsm.h"
}

namespace quiver::am {

namespace {

using graph::SlotHeader;
using graph::SlotId;
using graph::SlotState;

class Vacuum {
  public:
    Vacuum(IndexVacuumInfo* info, IndexBulkDeleteResult* stats)
        : info_(info), stats_(stats), index_(info->index), meta_(read_meta(index_)),
          layout_(index_, meta_), store_(index_, meta_, layout_), repairer_(store_)
    {
    }

    void run(IndexBulkDeleteCallback callback, void* state)
    {
        horizon_ = U64FromFullTransactionId(pg::oldest_full_xid(index_));
        remove_rows(callback, state);
        delete_upper_slots();
        delete_overflow();
        if (deleted_ == 0) {
            set_deleted(0);
            return;
        }
        const uint64 marked = U64FromFullTransactionId(pg::next_full_xid());
        repair();
        move_entry();
        if (U64FromFullTransactionId(pg::oldest_running_full_xid()) < marked) {
            set_deleted(1);
            return;
        }
        repair();
        graph::Inserter<RelationStore> inserter(store_, meta_.m, meta_.ef_construction);
        graph::connect_all(store_, inserter, store_.first_id(RelationGetNumberOfBlocks(index_)));
        free_slots();
        set_deleted(0);
        IndexFreeSpaceMapVacuum(index_);
    }

  private:
    graph::MutableSlot slot_in(Page page, SlotId id) const
    {
        return {layout_, store_.slot_in(page, id)};
    }
    SlotHeader& header(Page page, SlotId id) const { return slot_in(page, id).header(); }
    bool gone(SlotId id) const { return id < gone_.size() && gone_[id]; }
    void mark_gone(SlotId id)
    {
        if (gone_.size() <= id)
            gone_.resize(std::max<size_t>(id + 1, gone_.size() * 2));
        deleted_ += !gone_[id];
        gone_[id] = true;
    }

    // Calls look(buffer, page, first id) for each page under a lock of that mode, then after()
    // without.
    template <class Look, class After>
    void for_each_page(int mode, Look&& look, After&& after)
    {
        store_.for_each_page(
            info_->strategy, mode,
            [&](Buffer buffer, Page page, BlockNumber block) {
                check_page(index_, block, page, kind_slots);
                look(buffer, page, store_.first_id(block));
            },
            [&] {
                after();
                pg::vacuum_pause();
            });
    }

    void remove_rows(IndexBulkDeleteCallback callback, void* state)
    {
        double rows = 0;
        for_each_page(
            BUFFER_LOCK_EXCLUSIVE,
            [&](Buffer buffer, Page page, SlotId first) {
                // dead: by slot, the rows to take out, as bits
                uint8 dead[BLCKSZ / sizeof(SlotHeader)] = {};
                bool any = false;
                for (uint32 i = 0; i < store_.slots_per_page(); i++) {
                    const SlotHeader& h = header(page, first + i);
                    if (h.state == SlotState::deleted)
                        mark_gone(first + i);   // by a vacuum that did not finish
                    if (layout_.form == graph::Form::sparse && h.state != SlotState::free) {
                        if (h.state == SlotState::overflow)
                            overflow_.push_back(
                                {first + i, h.down, h.stamp() < horizon_ ? orphan : in_use});
                        else
                            owners_.push_back({first + i, h.overflow()});
                    }
                    if (h.state != SlotState::live)
                        continue;
                    if (h.level > 0) {
                        upper_.push_back({first + i, h.down, h.level});
                        continue;
                    }
                    const graph::Slot slot = slot_in(page, first + i);
                    for (uint32 t = 0; t < slot.tid_count(); t++) {
                        ItemPointerData tid = from_tid(slot.tids()[t]);
                        if (callback(&tid, state)) {
                            dead[i] |= static_cast<uint8>(1u << t);
                            stats_->tuples_removed++;
                        } else
                            rows++;
                    }
                    any |= dead[i] != 0;
                    if (std::popcount(dead[i]) == static_cast<int>(slot.tid_count()))
                        mark_gone(first + i), any = true;
                }
                if (any)
                    store_.change(buffer, [&](Page p) {
                        for (uint32 i = 0; i < store_.slots_per_page(); i++) {
                            const graph::MutableSlot slot = slot_in(p, first + i);
                            SlotHeader& h = slot.header();
                            if (h.state != SlotState::live || h.level > 0)
                                continue;
                            uint8 n = 0;
                            for (uint32 t = 0; t < slot.tid_count(); t++)
                                if (!(dead[i] >> t & 1))
                                    slot.tids()[n++] = slot.tids()[t];
                            h.tid_count = n;
                            if (n == 0)
                                h.state = SlotState::deleted;
                        }
                        return true;
                    });
            },
            [] {});
        stats_->num_index_tuples = rows;
        stats_->estimated_count = false;
    }

    void repair()
    {
        for_each_page(
            BUFFER_LOCK_SHARE,
            [&](Buffer, Page page, SlotId first) {
                for (uint32 i = 0; i < store_.slots_per_page(); i++)
                    if (leads_to_gone(page, first + i))
                        todo_.push_back(first + i);
            },
            [&] {
                for (const SlotId id : todo_)
                    repairer_.repair(id, [&](SlotId n) { return gone(n); });
                todo_.clear();
            });
    }

    void set_deleted(uint32 deleted)
    {
        if (deleted != meta_.deleted)
            store_.change_meta([&](MetaData& meta) {
                meta.deleted = deleted;
                return true;
            });
    }

    // A node's slots go together: those above a deleted one, from the bottom up.
    void delete_upper_slots()
    {
        if (deleted_ == 0)
            return;
        std::sort(upper_.begin(), upper_.end(),
                  [](const Upper& x, const Upper& y) { return x.level < y.level; });
        for (const Upper& u : upper_) {
            if (!gone(u.down))
                continue;
            store_.write(u.id, [&](const graph::MutableSlot& slot) {
                if (slot.header().state != SlotState::live || slot.header().level == 0)
                    return false;
                slot.header().state = SlotState::deleted;
                return true;
            });
            mark_gone(u.id);
        }
    }

    // Overflow slots that belong to nodes which are gone, or to nobody. A node that was inserted
    // after its page was looked at is not known here, but then its overflow slots are young.
    void delete_overflow()
    {
        const auto mark = [&](SlotId at, Use use) {
            for (size_t steps = 0; at != graph::no_slot && steps < overflow_.size(); steps++) {
                const auto found =
                    std::lower_bound(overflow_.begin(), overflow_.end(), at,
                                     [](const Overflow& o, SlotId id) { return o.id < id; });
                if (found == overflow_.end() || found->id != at)
                    return;
                found->use = use;
                at = found->next;
            }
        };
        for (const Owner& o : owners_)
            if (gone(o.id))
                mark(o.overflow, orphan);
        for (const Owner& o : owners_)
            if (!gone(o.id))
                mark(o.overflow, in_use);
        for (const Overflow& o : overflow_)
            if (o.use == orphan)
                mark_gone(o.id);
    }

    bool leads_to_gone(Page page, SlotId id) const
    {
        const graph::Slot slot(layout_, store_.slot_in(page, id));
        const SlotHeader& h = slot.header();
        if (h.state != SlotState::live)
            return false;
        const auto degree = std::min<uint32>(h.degree, layout_.degree);
        for (uint32 i = 0; i < degree; i++)
            if (gone(slot.ids()[i]))
                return true;
        return false;
    }

    void move_entry()
    {
        const graph::Entry entry = store_.entry();
        if (entry.empty() || !gone(entry.id))
            return;
        graph::Entry next;
        for_each_page(
            BUFFER_LOCK_SHARE,
            [&](Buffer, Page page, SlotId first) {
                for (uint32 i = 0; i < store_.slots_per_page(); i++) {
                    const SlotHeader& h = header(page, first + i);
                    if (h.state == SlotState::live && h.level > next.level)
                        next = {first + i, h.level};
                }
            },
            [] {});
        store_.change_meta([&](MetaData& meta) {
            if (meta.entry != entry.id)
                return false;   // a higher node came meanwhile
            meta.entry = next.id;
            meta.entry_level = next.level;
            return true;
        });
    }

    void free_slots()
    {
        const uint64 stamp = U64FromFullTransactionId(pg::next_full_xid());
        for (BlockNumber block = first_slot_block; block < store_.blocks(); block++) {
            const SlotId first = store_.first_id(block);
            bool any = false;
            for (uint32 i = 0; i < store_.slots_per_page(); i++)
                any |= gone(first + i);
            if (!any)
                continue;
            pg::vacuum_pause();
            const Buffer buffer =
                ReadBufferExtended(index_, MAIN_FORKNUM, block, RBM_NORMAL, info_->strategy);
            LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
            store_.change(buffer, [&](Page page) {
                for (uint32 i = 0; i < store_.slots_per_page(); i++) {
                    SlotHeader& h = header(page, first + i);
                    if ((h.state != SlotState::deleted && h.state != SlotState::overflow) ||
                        !gone(first + i))
                        continue;
                    h.state = SlotState::free;
                    h.degree = 0;
                    h.stamp() = stamp;
                }
                return true;
            });
            UnlockReleaseBuffer(buffer);
            RecordPageWithFreeSpace(index_, block, recorded_room);
        }
    }

    struct Upper {
        SlotId id, down;
        uint8 level;
    };
    enum Use : uint8 { in_use, orphan };
    struct Overflow {
        SlotId id, next;
        Use use;
    };
    struct Owner {
        SlotId id, overflow;
    };

    IndexVacuumInfo* info_;
    IndexBulkDeleteResult* stats_;
    Relation index_;
    MetaData meta_;
    IndexLayout layout_;
    RelationStore store_;
    graph::Repairer<RelationStore> repairer_;
    std::vector<bool, Allocator<bool>> gone_;
    size_t deleted_ = 0;
    Vec<Upper> upper_;
    uint64 horizon_ = 0;
    Vec<Overflow> overflow_;   // by id
    Vec<Owner> owners_;
    Vec<SlotId> todo_;
};

}   // namespace

IndexBulkDeleteResult* bulk_delete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                   IndexBulkDeleteCallback callback, void* state)
{
    if (!stats)
        stats = static_cast<IndexBulkDeleteResult*>(palloc0(sizeof(IndexBulkDeleteResult)));
    const MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hnsw vacuum", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext old = MemoryContextSwitchTo(context);
    (new (palloc(sizeof(Vacuum))) Vacuum(info, stats))->run(callback, state);
    MemoryContextSwitchTo(old);
    MemoryContextDelete(context);
    return stats;
}

IndexBulkDeleteResult* vacuum_cleanup(IndexVacuumInfo* info, IndexBulkDeleteResult* stats)
{
    if (info->analyze_only)
        return stats;
    if (!stats) {
        if (read_meta(info->index).deleted == 0)
            return stats;   // nothing was deleted: nothing to report that ANALYZE does not know
        stats = bulk_delete(
            info, stats, [](ItemPointer, void*) { return false; }, nullptr);
    }
    stats->num_pages = RelationGetNumberOfBlocks(info->index);
    return stats;
}

}   // namespace quiver::am
