#include "pg/pg.hpp"

#include "ivfflat/divide.hpp"

#include <cmath>

#include "ivfflat/handler.hpp"
#include "ivfflat/options.hpp"
#include "lists/clusters.hpp"

extern "C" {
#include "miscadmin.h"
#include "storage/lmgr.h"
}

namespace quiver::ivfflat {

namespace {

lists::ListHeader root_header(ListStore& store)
{
    lists::ListHeader h{};
    if (!store.read_root(store.root(), [&](const lists::ListPage& page) { h = page.header(); }) ||
        h.list != lists::root_list)
        throw Error(Errc::corrupt, "root page %u is damaged", store.root());
    return h;
}
// Calls f(block, page) for the pages of the root from this one on.
template <class F>
void for_each_root_page(ListStore& store, lists::Block first, F&& f)
{
    lists::Block block = first;
    for (uint64_t number = 0; block != lists::no_block;) {
        pg::vacuum_pause();
        lists::ListHeader h{};
        const bool good = store.read_root(block, [&](const lists::ListPage& page) {
            h = page.header();
            if (h.list == lists::root_list)
                f(block, page);
        });
        if (!good || h.list != lists::root_list || h.number < number)
            throw Error(Errc::corrupt, "root page %u is damaged", block);
        block = h.next;
        number = uint64_t{h.number} + 1;
    }
}
template <class F>
void for_each_root_page(ListStore& store, F&& f)
{
    for_each_root_page(store, store.root(), f);
    for_each_root_page(store, root_header(store).retired_next, f);
}
template <class F>
void for_each_page_of(ListStore& store, lists::Block head, F&& f)
{
    lists::for_each_list_page(
        head, [&](lists::Block b, auto&& g) { store.read_list(b, g); },
        [&](const lists::ListPage& page) { return page.header().list == head; }, f,
        [] { pg::vacuum_pause(); }, [] {});
}

// Changes the header (or more) of the first page of the root.
template <class F>
void change_root(ListStore& store, F&& f)
{
    const Buffer buffer = store.pin(store.root());
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    page::Change change(store.relation());
    f(store.root_page(change.of(buffer)));
    change.keep();
    UnlockReleaseBuffer(buffer);
}

// Rows in memory, between the page from which they were copied and the page to which they will be written.
class CopiedRows {
  public:
    explicit CopiedRows(uint32_t code_bytes) : code_bytes_(code_bytes) {}

    void add(graph::Tid tid, codec::FilterCode filter, const codec::Code& code)
    {
        rows_.push_back({tid, filter});
        records_.resize(rows_.size() * stride());
        lists::put_code(code, &records_[(rows_.size() - 1) * stride()]);
    }
    void clear()
    {
        rows_.clear();
        records_.clear();
    }
    size_t size() const { return rows_.size(); }
    // The memory that a row takes.
    size_t row_bytes() const { return stride() + sizeof(Row); }
    graph::Tid tid(size_t i) const { return rows_[i].tid; }
    codec::FilterCode filter(size_t i) const { return rows_[i].filter; }
    codec::Code code(size_t i) const
    {
        return lists::code_at(&records_[i * stride()], code_bytes_);
    }

  private:
    struct Row {
        graph::Tid tid;
        codec::FilterCode filter;
    };
    size_t stride() const
    {
        return codec::round_up(size_t{codec::record_bytes(code_bytes_)}, size_t{4});
    }

    uint32_t code_bytes_;
    Vec<Row> rows_;
    Vec<char> records_;
};

// A list (or the new pages of the root) to which nothing leads yet, and rows that wait to be written to it.
struct NewList {
    lists::Block head = lists::no_block, last = lists::no_block;
    uint32_t used = 0;   // places of its last page
    CopiedRows rows;

    explicit NewList(uint32_t code_bytes) : rows(code_bytes) {}
};

class Division {
  public:
    Division(Relation index, const MetaData& meta, const IndexEncoding& encoding, ListStore& store)
        : index_(index), meta_(meta), encoding_(encoding), store_(store),
          layout_(encoding.layout()), code_bytes_(encoding.codec().traits.code_bytes),
          sketch_(encoding.sketches().encoder()), clusters_(meta.form, padded()),
          some_(meta.form, padded()), copied_(code_bytes_)
    {
    }

    void run(double table_rows)
    {
        // At most one further copy of the rows exists.
        if (!has_grown(table_rows) || root_header(store_).retired_at != 0)
            return;
        read_lists();
        if (const uint32_t lists = wanted_lists(); lists > 0)
            divide(lists);
    }

  private:
    // A list that the root names, and how much of it has been copied: all rows of the pages before `page`, and of this
    // page those whose places are in `copied`.
    struct OldList {
        lists::Block head;
        uint64_t rows, pages;   // when the division began
        lists::Block page;
        uint32_t number;   // of `page`
        Vec<uint64_t> copied;
    };

    uint32_t padded() const { return encoding_.codec().traits.padded; }
    void pause() const
    {
        if (hurry_)
            CHECK_FOR_INTERRUPTS();
        else
            pg::vacuum_pause();
    }
    static Size work_memory() { return static_cast<Size>(pg::vacuum_work_mem()) * 1024; }

    void read_lists()
    {
        old_.clear();
        rows_ = 0;
        for (const RootEntry& entry : read_root(store_)) {
            if (entry.retired)
                continue;
            OldList l{entry.head, 0, 0, entry.head, 0, {}};
            for_each_page_of(store_, entry.head, [&](lists::Block, const lists::ListPage& page) {
                l.rows += page.header().taken;
                l.pages++;
            });
            rows_ += l.rows;
            old_.push_back(std::move(l));
        }
    }
    // Since the last division, or the attempt at one.
    bool has_grown(double rows) const { return rows >= 1.3 * meta_.rows; }
    // How many lists the rows should be divided into; 0: they stay where they are.
    uint32_t wanted_lists() const
    {
        const auto rows = static_cast<double>(rows_), now = static_cast<double>(old_.size());
        if (rows_ == 0 || !has_grown(rows))
            return 0;
        const double least = std::max(1.0, rows / layout_.least_rows()),
                     wanted =
                         std::floor(meta_.chosen_lists
                                        ? lists_for(rows, layout_)
                                        : std::min(least, double(option_table.of(index_).lists)));
        // With this growth, an index that is always divided again copies each of its rows once on average.
        if (wanted >= 1.5 * now)
            return static_cast<uint32_t>(wanted);
        // New rows may be of another kind than the earlier ones, and all belong to a few lists. (A list may also be
        // long because its rows are equal. Then each division leaves it as it is, so has_grown() must limit them.)
        uint64_t longest = 0;
        for (const OldList& l : old_)
            longest = std::max(longest, l.rows);
        if (meta_.chosen_lists && static_cast<double>(longest) >= 16 * rows / now)
            return static_cast<uint32_t>(std::max(wanted, now));
        return 0;
    }
    void divide(uint32_t count)
    {
        lists::ProbeTable probes;
        {
            lists::ScalarCodes rows(meta_.form, padded());
            sample(count, rows);
            clusters_.train(rows, count, meta_.rotation_seed, pg::poll);
            if (clusters_.size() > old_.size())
                probes = lists::learn_probes(rows, clusters_, pg::poll);
        }
        if (clusters_.size() <= old_.size()) {   // many rows are equal
            note_rows();
            ereport(DEBUG1, (errmsg("%.0f rows of %zu lists were not divided: many are equal",
                                    static_cast<double>(rows_), old_.size())));
            return;
        }
        set_leftovers(store_, true);
        for (uint32_t i = 0; i < clusters_.size(); i++)
            add_new_list(i);

        // Others insert while this copies. The first rounds may sleep; the others hurry, until few rows are left.
        constexpr int most_rounds = 8, slow_rounds = 2;
        for (int round = 0; round < most_rounds; round++) {
            hurry_ = round >= slow_rounds;
            if (copy_all() < 1000)
                break;
        }
        hurry_ = true;
        write_new_lists();
        const lists::Block root = write_root();

        LockPage(index_, am::meta_block, ExclusiveLock);
        for (const OldList& l : old_)
            close(l);
        for (OldList& l : old_)
            copy(l, UINT64_MAX);
        write_new_lists();
        publish(root, probes);
        UnlockPage(index_, am::meta_block, ExclusiveLock);

        for (const Owned<NewList>& l : new_)
            store_.set_room(l->head, l->last);
        ereport(DEBUG1, (errmsg("%.0f rows of %zu lists were divided into %zu lists",
                                static_cast<double>(rows_), old_.size(), new_.size())));
    }

    // ---- the clusters ----

    // Puts rows of all lists into `to`, enough for `lists` clusters.
    void sample(size_t lists, lists::ScalarCodes& to)
    {
        constexpr uint64_t rows_of_list = 64, least_rows = 10000;
        const uint64_t most = work_memory() / 2 / lists::ScalarCodes::block_bytes(padded(), 1),
                       wanted = std::max<uint64_t>(
                           2, std::min(most, std::max(least_rows, rows_of_list * lists)));
        const double step = std::max(1.0, static_cast<double>(rows_) / static_cast<double>(wanted));
        double at = 0, next = 0;
        for (const OldList& l : old_)
            for_each_page_of(store_, l.head, [&](lists::Block block, const lists::ListPage& page) {
                for (uint32_t i = 0; i < page.used(); i++)
                    if (page.is_taken(i) && at++ >= next) {
                        next += step;
                        with_code(block, page, i,
                                  [&](const codec::Code& code) { add_scalar(code, to); });
                    }
            });
    }
    void add_scalar(const codec::Code& code, lists::ScalarCodes& to)
    {
        if (encoding_.codec().traits.begins_with_scalar)
            to.add(code);
        else
            to.add(encoding_.codec().decode(code, scratch_));
    }
    // Calls f with the code of a row on a page, which is locked.
    template <class F>
    void with_code(lists::Block block, const lists::ListPage& page, uint32_t i, F&& f)
    {
        const lists::Layout& l = page.layout();
        if (encoding_.exact()) {   // the sketch is all that there is of it
            bits_.resize(l.words);
            const codec::Code stored{
                {},
                reinterpret_cast<const uint8_t*>(lists::sketch_in(page, i, bits_.data()).bits),
                code_bytes_};
            f(encoding_.codec().encode(encoding_.codec().decode(stored, scratch_), buffer_));
        } else if (!store_.read_code(page.code_blocks()[l.code_page_of(i)], l.place_of(i), block,
                                     f))
            throw Error(Errc::corrupt, "a code of list page %u is missing", block);
    }

    // ---- the new lists ----

    void add_new_list(uint32_t cluster)
    {
        new_.push_back(make_owned<NewList>(code_bytes_));
        centroids_.add({}, 0, encoding_.codec().encode(clusters_.value(cluster), buffer_));
        // A list has a page, also if it has no rows.
        NewList& l = *new_.back();
        const Buffer buffer = store_.allocate();
        l.head = l.last = BufferGetBlockNumber(buffer);
        page::Change change(index_);
        const Page page = change.fresh(buffer, page::Kind::list);
        lists::init_list_page(store_.list_page(page), l.head, 0);
        page::set_used(page, layout_.bytes);
        change.keep();
        UnlockReleaseBuffer(buffer);
    }
    // Copies rows that have not been copied, and returns how many. Of a list to which others add pages all the time, it
    // copies twice as many pages as the list had, and some.
    uint64_t copy_all()
    {
        uint64_t rows = 0;
        for (OldList& l : old_)
            rows += copy(l, 2 * l.pages + 64);
        return rows;
    }
    // Locks the page of an old list that has this number.
    Buffer lock_page(const OldList& l, lists::Block block, uint32_t number)
    {
        const Buffer buffer = store_.pin(block);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        const Page page = BufferGetPage(buffer);
        if (!store_.is_page_of(page, l.head) || store_.list_page(page).header().number != number)
            throw Error(Errc::corrupt, "list page %u is damaged", block);
        const lists::ListHeader& h = store_.list_page(page).header();
        if (h.next != lists::no_block && h.next_number <= number)
            throw Error(Errc::corrupt, "the pages of a list form a circle");
        return buffer;
    }
    void close_page(Buffer buffer)
    {
        if (store_.list_page(BufferGetPage(buffer)).header().closed)
            return;
        page::Change change(index_);
        store_.list_page(change.of(buffer)).header().closed = 1;
        change.keep();
    }
    // Closes all pages of a list. Others may add pages meanwhile, but fill them more slowly than this closes them.
    void close(const OldList& l)
    {
        lists::Block block = l.page;
        for (uint32_t number = l.number; block != lists::no_block;) {
            CHECK_FOR_INTERRUPTS();
            const Buffer buffer = lock_page(l, block, number);
            close_page(buffer);
            const lists::ListHeader h = store_.list_page(BufferGetPage(buffer)).header();
            UnlockReleaseBuffer(buffer);
            block = h.next;
            number = h.next_number;
        }
    }
    // Copies the rows of a list that have not been copied, and returns how many. most_pages: it reads so many.
    uint64_t copy(OldList& l, uint64_t most_pages)
    {
        uint64_t rows = 0;
        for (uint64_t pages = 0; pages < most_pages; pages++) {
            pause();
            const Buffer buffer = lock_page(l, l.page, l.number);
            const lists::ListPage page = store_.list_page(BufferGetPage(buffer));
            const lists::ListHeader h = page.header();
            const bool is_last = h.next == lists::no_block;
            l.copied.resize((layout_.entries + 63) / 64);
            copied_.clear();
            for (uint32_t i = 0; i < page.used(); i++)
                if (page.is_taken(i) && !(l.copied[i / 64] >> i % 64 & 1)) {
                    l.copied[i / 64] |= uint64_t{1} << i % 64;
                    with_code(l.page, page, i, [&](const codec::Code& code) {
                        copied_.add(page.tids()[i], page.filter(i), code);
                    });
                }
            if (!is_last)
                close_page(buffer);
            UnlockReleaseBuffer(buffer);
            rows += copied_.size();
            distribute();
            if (is_last)
                break;
            l.page = h.next;
            l.number = h.next_number;
            l.copied.clear();
        }
        return rows;
    }
    // Gives the copied rows to the new lists.
    void distribute()
    {
        if (copied_.size() == 0)
            return;
        list_of_.resize(copied_.size());
        some_.clear();
        for (size_t i = 0; i < copied_.size(); i++)
            add_scalar(copied_.code(i), some_);
        clusters_.nearest(some_, list_of_.data());
        for (size_t i = 0; i < copied_.size(); i++) {
            NewList& l = *new_[list_of_[i]];
            l.rows.add(copied_.tid(i), copied_.filter(i), copied_.code(i));
            waiting_ += l.rows.row_bytes();
            if (l.used + l.rows.size() >= layout_.entries)
                write(list_of_[i]);
        }
        if (waiting_ > work_memory() / 2)
            write_new_lists();
    }
    // Writes the rows that wait for a list to its pages. encoder: makes sketches, relative to the list's centroid. number: of
    // the first page.
    void write_rows(const lists::Layout& layout, bool root, uint32_t number,
                    codec::SketchEncoder& encoder, NewList& to)
    {
        const auto page_of = [&](Page page) {
            return root ? store_.root_page(page) : store_.list_page(page);
        };
        const auto count = static_cast<uint32_t>(to.rows.size());
        for (uint32_t done = 0; done < count;) {
            pause();
            Buffer buffer;
            if (to.head == lists::no_block) {
                buffer = store_.allocate();
                to.head = to.last = BufferGetBlockNumber(buffer);
                page::Change change(index_);
                const Page page = change.fresh(buffer, page::Kind::list);
                lists::init_list_page(page_of(page), root ? lists::root_list : to.head, number);
                page::set_used(page, layout.bytes);
                change.keep();
            } else {
                buffer = store_.pin(to.last);
                LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
                if (to.used == layout.entries) {
                    to.last = store_.add_page(buffer);
                    to.used = 0;
                    UnlockReleaseBuffer(buffer);
                    continue;
                }
            }
            // One record for each code page, so that none is without its list page.
            const bool exact = layout.code_bytes == 0;
            while (done < count && to.used < layout.entries) {
                const uint32_t first = to.used,
                               end = exact ? layout.entries
                                           : std::min(layout.entries,
                                                      (layout.code_page_of(first) + 1) *
                                                          layout.codes_per_page),
                               n = std::min(count - done, end - first);
                Buffer codes = InvalidBuffer;
                bool fresh = false;
                if (!exact) {
                    const lists::Block block =
                        page_of(BufferGetPage(buffer)).code_blocks()[layout.code_page_of(first)];
                    fresh = block == lists::no_block;
                    codes = fresh ? store_.allocate() : store_.lock_codes(block, to.last);
                }
                page::Change change(index_);
                const lists::MutableListPage list = page_of(change.of(buffer));
                char* records = nullptr;
                if (!exact) {
                    const Page page =
                        fresh ? change.fresh(codes, page::Kind::codes) : change.of(codes);
                    page::tail_of(page)->next = to.last;
                    page::set_used(page, layout.place_of(first + n - 1) + layout.code_bytes);
                    list.code_blocks()[layout.code_page_of(first)] = BufferGetBlockNumber(codes);
                    records = page::contents_of(page);
                }
                for (uint32_t i = 0; i < n; i++) {
                    const codec::Code code = to.rows.code(done + i);
                    if (!exact)
                        lists::put_code(code, records + layout.place_of(first + i));
                    encoder.encode(code);
                    lists::put_entry(list, first + i, encoder.sketch(), to.rows.tid(done + i),
                                     to.rows.filter(done + i));
                }
                change.keep();
                if (!exact)
                    UnlockReleaseBuffer(codes);
                to.used += n;
                done += n;
            }
            UnlockReleaseBuffer(buffer);
        }
        to.rows = CopiedRows(code_bytes_);   // (which frees its memory)
    }
    void write(size_t list)
    {
        NewList& l = *new_[list];
        if (l.rows.size() == 0)
            return;
        waiting_ -= l.rows.size() * l.rows.row_bytes();
        if (!encoding_.exact())
            sketch_->set_centre(centroids_.code(list));
        write_rows(layout_, false, 0, *sketch_, l);
    }
    void write_new_lists()
    {
        for (size_t i = 0; i < new_.size(); i++)
            write(i);
    }

    // ---- the root ----

    // Writes the pages that will follow the first page of the root. Returns the first one.
    lists::Block write_root()
    {
        // Greater numbers than those of the pages before.
        uint32_t number = 0;
        for_each_root_page(store_, store_.root(), [&](lists::Block, const lists::ListPage& page) {
            number = page.header().number + 1;
        });
        NewList root(code_bytes_);
        for (size_t i = 0; i < new_.size(); i++) {
            const codec::Code code = centroids_.code(i);
            root.rows.add(lists::to_tid({new_[i]->head, code.params.norm2}), 0, code);
        }
        const Owned<codec::SketchEncoder> encoder = encoding_.root_sketches().encoder();
        if (!encoding_.exact()) {
            const Vec<float> mean = clusters_.mean();
            const codec::Code code = encoding_.codec().encode({.dense = mean.data()}, buffer_);
            root_centre_.resize(root_centre_bytes(meta_.encoding().codec));
            lists::put_code(code, root_centre_.data());
            encoder->set_centre(code);
        }
        root_number_ = number;
        write_rows(encoding_.root_layout(), true, number, *encoder, root);
        return root.head;
    }
    // Makes the new lists those of the index: in one record, with what the meta page says of them.
    void publish(lists::Block root, const lists::ProbeTable& probes)
    {
        MetaData meta = meta_;
        meta.lists = static_cast<uint32_t>(new_.size());
        meta.rows = static_cast<double>(rows_);
        meta.probes = probes;
        // Scan states that backends have kept are out of date.
        meta.build_id = am::new_meta_head(access_method).build_id;
        const Buffer meta_page = store_.pin(am::meta_block), root_page = store_.pin(store_.root());
        LockBuffer(meta_page, BUFFER_LOCK_EXCLUSIVE);
        LockBuffer(root_page, BUFFER_LOCK_EXCLUSIVE);
        page::Change change(index_);
        *reinterpret_cast<MetaData*>(page::contents_of(change.of(meta_page))) = meta;
        // The centre takes two pages at most, because a code fits on a page.
        Buffer centre[2];
        uint32_t count = 0;
        for (Size at = 0; at < root_centre_.size(); at += page::usable_bytes, count++) {
            centre[count] = store_.pin(meta_.root_centre + count);
            LockBuffer(centre[count], BUFFER_LOCK_EXCLUSIVE);
            std::memcpy(page::contents_of(change.of(centre[count])), root_centre_.data() + at,
                        std::min<Size>(page::usable_bytes, root_centre_.size() - at));
        }
        const lists::MutableListPage page = store_.root_page(change.of(root_page));
        lists::ListHeader& h = page.header();
        for (uint32_t i = 0; i < page.used(); i++)
            if (page.is_taken(i))
                lists::remove_entry(page, i);
        h.retired_next = h.next;
        // A process that has read the old root has a snapshot or a transaction id that is older than this:
        // nobody can read the root now.
        h.retired_at = U64FromFullTransactionId(pg::next_full_xid());
        lists::link(page, root, root_number_);
        h.changes++;
        h.leftovers = 0;
        change.keep();
        while (count > 0)
            UnlockReleaseBuffer(centre[--count]);
        UnlockReleaseBuffer(root_page);
        UnlockReleaseBuffer(meta_page);
    }

    // Notes the number of rows, so that a division is tried again only after further growth.
    void note_rows()
    {
        const Buffer buffer = store_.pin(am::meta_block);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        page::Change change(index_);
        reinterpret_cast<MetaData*>(page::contents_of(change.of(buffer)))->rows =
            static_cast<double>(rows_);
        change.keep();
        UnlockReleaseBuffer(buffer);
    }

    Relation index_;
    const MetaData& meta_;
    const IndexEncoding& encoding_;
    ListStore& store_;
    const lists::Layout& layout_;
    uint32_t code_bytes_;
    Owned<codec::SketchEncoder> sketch_;
    lists::Clusters clusters_;
    lists::ScalarCodes some_;
    Vec<OldList> old_;
    uint64_t rows_ = 0;
    Vec<Owned<NewList>> new_;
    CopiedRows centroids_{code_bytes_};   // of the new lists
    CopiedRows copied_;
    Vec<uint32_t> list_of_;   // of each copied row
    Vec<char> root_centre_;   // the record of its code
    Size waiting_ = 0;        // bytes of the rows that are not on pages yet
    uint32_t root_number_ = 0;
    bool hurry_ = false;   // inserts wait, or will have to wait for what is not copied now
    Vec<uint64_t> bits_;
    Vec<uint8_t> buffer_;
    Vec<float> scratch_;
};

}   // namespace

Vec<RootEntry> read_root(ListStore& store)
{
    Vec<RootEntry> result;
    for_each_root_page(store, store.root(), [&](lists::Block, const lists::ListPage& page) {
        for (uint32_t i = 0; i < page.used(); i++)
            if (lists::leads_to_list(page, i))
                result.push_back({lists::list_pointer(page.tids()[i]).head, !page.is_taken(i)});
    });
    for_each_root_page(store, root_header(store).retired_next,
                       [&](lists::Block, const lists::ListPage& page) {
                           for (uint32_t i = 0; i < page.used(); i++)
                               result.push_back({lists::list_pointer(page.tids()[i]).head, true});
                       });
    return result;
}

Vec<lists::Block> root_pages(ListStore& store)
{
    Vec<lists::Block> result;
    for_each_root_page(
        store, [&](lists::Block block, const lists::ListPage&) { result.push_back(block); });
    std::sort(result.begin(), result.end());
    return result;
}

bool has_leftovers(ListStore& store) { return root_header(store).leftovers != 0; }

void set_leftovers(ListStore& store, bool value)
{
    change_root(store,
                [&](const lists::MutableListPage& page) { page.header().leftovers = value; });
}

bool has_forgettable_lists(ListStore& store)
{
    const uint64_t at = root_header(store).retired_at;
    return at != 0 && pg::Horizon(store.relation()).removable(at);
}

void forget_retired_lists(ListStore& store)
{
    if (!has_forgettable_lists(store))
        return;
    change_root(store, [&](const lists::MutableListPage& page) {
        for (uint32_t i = 0; i < page.used(); i++)
            if (!page.is_taken(i))
                page.tids()[i] = graph::Tid{};
        lists::ListHeader& h = page.header();
        h.retired_next = lists::no_block;
        h.retired_at = 0;
        h.freed = h.changes;
        h.leftovers = 1;
    });
}

void divide_again(Relation index, const MetaData& meta, const IndexEncoding& encoding,
                  ListStore& store, double table_rows)
{
    (new (palloc(sizeof(Division))) Division(index, meta, encoding, store))->run(table_rows);
}

void wait_for_division(Relation index)
{
    constexpr long milliseconds = 1;
    while (!ConditionalLockPage(index, am::meta_block, ShareLock)) {
        CHECK_FOR_INTERRUPTS();
        pg_usleep(milliseconds * 1000);
    }
}
void end_wait(Relation index) { UnlockPage(index, am::meta_block, ShareLock); }

}   // namespace quiver::ivfflat
