// ivfflat_check(): verifies an index, and checks that it has the rows of its table.
#include "pg/pg.hpp"

#include "am/operator_class.hpp"
#include "am/owner.hpp"
#include "am/row_check.hpp"
#include "ivfflat/handler.hpp"
#include "ivfflat/list_store.hpp"
#include "page/chain.hpp"
#include "pg/result_row.hpp"

extern "C" {
#include "access/xlog.h"
}

namespace quiver::ivfflat {

namespace {

// A copy of a page.
class PageCopy {
  public:
    explicit PageCopy(Relation index) : index_(index), bytes_(static_cast<char*>(palloc(BLCKSZ))) {}

    // Null if the index has no such page.
    Page read(BlockNumber block)
    {
        if (block == block_)
            return bytes_;
        if (block >= RelationGetNumberOfBlocks(index_))
            return nullptr;
        CHECK_FOR_INTERRUPTS();
        const Buffer buffer = ReadBuffer(index_, block);
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        std::memcpy(bytes_, BufferGetPage(buffer), BLCKSZ);
        UnlockReleaseBuffer(buffer);
        block_ = block;
        return bytes_;
    }

  private:
    Relation index_;
    char* bytes_;   // aligned
    BlockNumber block_ = InvalidBlockNumber;
};

class Check {
  public:
    Check(ReturnSetInfo* result, Relation heap, Relation index)
        : result_(result), heap_(heap), index_(index), meta_(read_meta(index)),
          encoding_(index_, meta_),
          reader_(am::opclass_of(index), encoding_.codec(), meta_.rotation_seed),
          filter_(index, meta_.filter_place()), list_page_(index), code_page_(index),
          centre_(encoding_.sketches().encoder()),
          root_centre_(encoding_.root_sketches().encoder()),
          reached_(RelationGetNumberOfBlocks(index))
    {
        encoding_.read_root_centre(index, meta_.root_centre);
    }

    void run(bool heap_check)
    {
        reach_meta();
        check_root();
        for (const Head& head : heads_)
            check_list(head);
        find_lost_pages();
        const auto report_row = [&](const Place* at, const char* problem) {
            at ? report(at->block, static_cast<int>(at->place), problem)
               : report(am::meta_block, -1, problem);
        };
        rows_.find_duplicates(report_row);
        if (heap_check)
            rows_.compare(
                heap_, index_, reader_, filter_, "place",
                [&](Place at, const graph::Value& x, codec::FilterCode* filter) {
                    return holds(at, x, filter);
                },
                report_row);
    }

  private:
    struct Place {
        lists::Block block;   // of the list page
        uint32_t place;
    };
    struct Head {
        lists::Block block;
        float norm2;   // of the centroid, as the root has it
        Place centroid;
        bool retired;
    };

    void report(BlockNumber block, int place, const char* problem)
    {
        pg::ResultRow row;
        row.int8(block);
        place < 0 ? row.null() : row.int4(place);
        row.text(problem);
        row.put(result_);
    }

    // Notes that something leads to the page. False if something else does, too.
    bool reach(BlockNumber block)
    {
        if (block >= reached_.size() || reached_[block])
            return false;
        reached_[block] = true;
        return true;
    }
    // The meta page, and the chains behind it, which have been read.
    void reach_meta()
    {
        reach(am::meta_block);
        const auto chain = [&](BlockNumber first, Size bytes) {
            for (BlockNumber i = 0; i < page::chain_pages(bytes); i++)
                if (!reach(first + i))
                    report(first + i, -1, "page belongs to two chains");
        };
        chain(meta_.codec_parameters, parameter_bytes(meta_.encoding().codec));
        chain(meta_.filter_codes, meta_.filter_columns > 0 ? meta_.filter_bytes : 0);
        chain(meta_.root_centre, encoding_.exact() ? 0 : root_centre_bytes(meta_.encoding().codec));
    }

    // ---- lists ----

    void check_root()
    {
        if (!encoding_.exact())
            root_centre_->set_centre(encoding_.root_centre());
        lists::Block retired = lists::no_block;
        const auto add = [&](lists::Block block, const lists::ListPage& page, bool all_retired) {
            for (uint32_t i = 0; i < page.used(); i++) {
                if (!lists::leads_to_list(page, i))
                    continue;
                // (The sketches of retired lists are relative to the centre of the root before.)
                const bool retired_list = all_retired || !page.is_taken(i);
                if (!retired_list)
                    check_entry({block, i}, page, encoding_.root_sketches(), *root_centre_,
                                encoding_.root_centre().params.norm2);
                const lists::ListPointer to = lists::list_pointer(page.tids()[i]);
                heads_.push_back({to.head, to.norm2, {block, i}, retired_list});
            }
        };
        for_each_page(lists::root_list, meta_.root, 0, encoding_.root_layout(),
                      [&](lists::Block block, const lists::ListPage& page) {
                          if (block == meta_.root) {
                              leftovers_ = page.header().leftovers != 0;
                              retired = page.header().retired_next;
                          }
                          add(block, page, false);
                      });
        for_each_page(
            lists::root_list, retired, any_number, encoding_.root_layout(),
            [&](lists::Block block, const lists::ListPage& page) { add(block, page, true); });
        if (std::all_of(heads_.begin(), heads_.end(), [](const Head& h) { return h.retired; }))
            report(meta_.root, -1, "the root has no lists");
    }
    // A retired list has copies of rows.
    void check_list(const Head& head)
    {
        float norm2 = 0;
        if (!encoding_.exact()) {
            codec::Code centroid{};
            if (!read_code(head.centroid, encoding_.root_layout(), &centroid))
                return;   // it was reported
            norm2 = centroid.params.norm2;
            if (lists::list_pointer(lists::to_tid({head.block, norm2})).norm2 != head.norm2)
                report(head.centroid.block, static_cast<int>(head.centroid.place),
                       "the length of the centroid does not match its code");
            centre_->set_centre(centroid);
        }
        for_each_page(
            head.block, head.block, 0, encoding_.layout(),
            [&](lists::Block block, const lists::ListPage& page) {
                for (uint32_t i = 0; i < page.used(); i++)
                    if (page.is_taken(i)) {
                        check_entry({block, i}, page, encoding_.sketches(), *centre_, norm2);
                        if (!head.retired)
                            rows_.add(page.tids()[i], {block, i});
                    }
            });
    }

    static const char* name_of(lists::Block list)
    {
        return list == lists::root_list ? "the root" : psprintf("list %u", list);
    }
    static constexpr uint32_t any_number = UINT32_MAX;
    // Calls f(block, page) for each page of a list, a copy. number: of the first page.
    template <class F>
    void for_each_page(lists::Block list, lists::Block head, uint32_t number,
                       const lists::Layout& layout, F&& f)
    {
        for (lists::Block block = head; block != lists::no_block;) {
            const Page page = list_page_.read(block);
            if (!page || PageIsNew(page) || !page::is_of(page, page::Kind::list)) {
                report(block, -1, psprintf("not a list page, but %s leads to it", name_of(list)));
                return;
            }
            if (!reach(block)) {
                report(block, -1,
                       psprintf("%s leads to a page that has been reached before", name_of(list)));
                return;
            }
            const lists::ListPage l(layout, page::contents_of(page));
            const lists::ListHeader h = l.header();
            if (h.list != list) {
                report(block, -1,
                       psprintf("page of %s, but %s leads to it", name_of(h.list), name_of(list)));
                return;
            }
            if ((h.number != number && number != any_number) ||
                (h.next != lists::no_block && h.next_number <= h.number))
                report(block, -1,
                       psprintf("page has number %u, not %u, and the next one %u", h.number, number,
                                h.next_number));
            check_header(block, l);
            f(block, l);
            block = h.next;
            number = h.next_number;
        }
    }
    void check_header(lists::Block block, const lists::ListPage& page)
    {
        const lists::Layout& layout = page.layout();
        if (page.header().used > layout.entries)
            report(block, -1,
                   psprintf("%u places are used, but the page has only %u", page.header().used,
                            layout.entries));
        uint32_t taken = 0;
        for (uint32_t i = 0; i < codec::round_up(layout.entries, 64u); i++) {
            taken += page.is_taken(i);
            if (page.is_taken(i) && i >= page.used())
                report(block, static_cast<int>(i), "place is taken, but has not been used");
        }
        if (taken != page.header().taken)
            report(block, -1, psprintf("%u places are taken, not %u", taken, page.header().taken));
        for (uint32_t i = 0; i < layout.code_pages; i++)
            if (page.code_blocks()[i] != lists::no_block)
                check_code_page(block, page.code_blocks()[i]);
    }
    void check_code_page(lists::Block owner, lists::Block block)
    {
        const Page page = code_page_.read(block);
        if (!page || PageIsNew(page) || !page::is_of(page, page::Kind::codes))
            report(owner, -1,
                   psprintf("page %u, where codes should be, is not a code page", block));
        else if (!ListStore::belongs_to(page, owner))
            report(owner, -1,
                   psprintf("code page %u belongs to page %u", block, page::tail_of(page)->next));
        else if (!reach(block))
            report(owner, -1, psprintf("code page %u is named twice", block));
    }
    // Is the sketch the one of the code?
    void check_entry(Place at, const lists::ListPage& page, const codec::Sketches& sketches,
                     codec::SketchEncoder& encoder, float centre_norm2)
    {
        codec::Code code{};
        if (!code_of(at, page, &code)) {
            report(at.block, static_cast<int>(at.place), "the code is missing");
            return;
        }
        encoder.encode(code);
        codec::Sketch made = encoder.sketch();
        made.factors = lists::stored_factors(made.factors);
        stored_.resize(page.layout().words);
        // (Rounding may differ between the CPU that made the sketch and this one.)
        const float slack = 1e-4f * (centre_norm2 + code.params.norm2);
        if (!sketches.holds(lists::sketch_in(page, at.place, stored_.data()), made, slack))
            report(at.block, static_cast<int>(at.place), "the sketch does not match the code");
    }

    // ---- codes ----

    // The code of a row, which is valid until the next one is read.
    bool code_of(Place at, const lists::ListPage& page, codec::Code* to)
    {
        const lists::Layout& l = page.layout();
        if (encoding_.exact()) {   // the sketch is all that there is of it
            bits_.resize(l.words);
            const codec::Sketch sketch = lists::sketch_in(page, at.place, bits_.data());
            const codec::Code stored{{},
                                     reinterpret_cast<const uint8_t*>(sketch.bits),
                                     encoding_.codec().traits.code_bytes};
            *to = encoding_.codec().encode(encoding_.codec().decode(stored, scratch_), buffer_);
            return true;
        }
        const lists::Block block = page.code_blocks()[l.code_page_of(at.place)];
        const Page codes = block == lists::no_block ? nullptr : code_page_.read(block);
        const uint32_t from = l.place_of(at.place);
        if (!codes || !ListStore::belongs_to(codes, at.block) ||
            page::used_bytes(codes) < Size{from} + l.code_bytes)
            return false;
        *to = lists::code_at(page::contents_of(codes) + from, encoding_.codec().traits.code_bytes);
        return true;
    }
    bool read_code(Place at, const lists::Layout& layout, codec::Code* to)
    {
        return code_of(at, lists::ListPage(layout, page::contents_of(list_page_.read(at.block))),
                       to);
    }
    bool holds(Place at, const graph::Value& x, codec::FilterCode* filter)
    {
        codec::Code code{};
        if (!read_code(at, encoding_.layout(), &code) || !encoding_.codec().holds(code, x))
            return false;
        *filter = lists::ListPage(encoding_.layout(), page::contents_of(list_page_.read(at.block)))
                      .filter(at.place);
        return true;
    }

    // ---- pages ----

    // Reports pages to which nothing leads. (Free pages are in the map of free space, and new ones will be after the
    // next vacuum, which makes leftovers free, too.)
    void find_lost_pages()
    {
        if (leftovers_)
            return;
        for (BlockNumber block = 0; block < reached_.size(); block++) {
            if (reached_[block])
                continue;
            const Page page = list_page_.read(block);
            if (page && !ListStore::is_free(page))
                report(block, -1,
                       page::is_of(page, page::Kind::list)    ? "list page of no list"
                       : page::is_of(page, page::Kind::codes) ? "code page of no list page"
                                                              : "page of an unknown kind");
        }
    }

    ReturnSetInfo* result_;
    Relation heap_, index_;
    MetaData meta_;
    IndexEncoding encoding_;
    am::VectorReader reader_;
    am::Filter filter_;
    PageCopy list_page_, code_page_;
    Owned<codec::SketchEncoder> centre_, root_centre_;
    Vec<uint8_t> reached_;   // of each page
    Vec<Head> heads_;
    bool leftovers_ = false;   // may there be pages of no list?
    Vec<uint64_t> stored_, bits_;
    Vec<uint8_t> buffer_;
    Vec<float> scratch_;
    am::RowCheck<Place> rows_;
};

}   // namespace
}   // namespace quiver::ivfflat

using namespace quiver;

QUIVER_FUNCTION(ivfflat_check)
{
    const Oid oid = PG_GETARG_OID(0);
    const bool heap_check = PG_GETARG_BOOL(1);
    // The check would see half of a concurrent insert's changes, so it locks writers out. A standby cannot do that;
    // there the user must pause replay.
    const LOCKMODE mode = RecoveryInProgress() ? AccessShareLock : ShareLock;
    const am::TableOfIndex t(oid, ivfflat::access_method, mode);
    if (heap_check)
        t.need_valid();

    // Functions in the index's expression or predicate run as the table's owner.
    const am::AsOwner as_owner(t.heap);
    ReturnSetInfo* result = pg::materialize(fcinfo);
    (new (palloc(sizeof(ivfflat::Check))) ivfflat::Check(result, t.heap, t.index))->run(heap_check);
    as_owner.end();
    t.close();
    return static_cast<Datum>(0);
}
