// CREATE INDEX. The table is scanned once: each row is encoded and written to a temporary file. A sample of these rows
// is divided into clusters (k-means), whose centroids become those of the lists. Then the list of each row is found.
// At last the lists are written, one after the other, in one pass over the new pages.
//
// If workers help (am/build_team.hpp), all participants take part in all of this except the writing.
#include "pg/pg.hpp"

#include "am/build_team.hpp"
#include "am/filter.hpp"
#include "am/operator_class.hpp"
#include "am/rows.hpp"
#include "am/vector_reader.hpp"
#include "core/prefetch.hpp"
#include "ivfflat/handler.hpp"
#include "ivfflat/meta.hpp"
#include "lists/clusters.hpp"
#include "page/bulk_writer.hpp"
#include "page/chain.hpp"
#include "pg/temp_file.hpp"

extern "C" {
#include "commands/progress.h"
#include "pgstat.h"
#if __has_include("utils/backend_progress.h")
#include "utils/backend_progress.h"
#endif
}

namespace quiver::ivfflat {

namespace {

using am::BuildTeam;
using am::Learnt;
using lists::Block;

Size work_memory() { return static_cast<Size>(maintenance_work_mem) * 1024; }

void report_phase(int64 phase)
{
    if (!IsParallelWorker())
        pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase);
}
void report_tuples(uint64 done, uint64 of)
{
    constexpr int columns[] = {PROGRESS_CREATEIDX_TUPLES_TOTAL, PROGRESS_CREATEIDX_TUPLES_DONE};
    const int64 values[] = {static_cast<int64>(of), static_cast<int64>(done)};
    if (!IsParallelWorker())
        pgstat_progress_update_multi_param(2, columns, values);
}

// ---- rows in files ----

// The head of a row. Behind it is the record of its code, and then that of a scalar code, unless the code begins with
// one or is a bit string.
struct RowHead {
    graph::Tid tid;
    codec::FilterCode filter;
};
static_assert(sizeof(RowHead) == 8);

struct RowLayout {
    uint32 code_bytes, scalar_bytes;   // scalar_bytes: 0 if there is none
    Size bytes;
    bool bits;

    explicit RowLayout(const codec::Codec& codec)
        : code_bytes(codec.traits.code_bytes), bits(codec.spec.form == codec::Form::bits)
    {
        scalar_bytes = codec.traits.begins_with_scalar || bits ? 0 : codec.traits.padded;
        bytes =
            codec::round_up(sizeof(RowHead) + sizeof(codec::CodeParams) + code_bytes +
                                (scalar_bytes > 0 ? sizeof(codec::CodeParams) + scalar_bytes : 0),
                            Size{4});
    }
    char* code(char* row) const { return row + sizeof(RowHead); }
    char* scalar(char* row) const { return code(row) + sizeof(codec::CodeParams) + code_bytes; }
};

// The rows in the files of all participants.
class Rows {
  public:
    explicit Rows(const RowLayout& layout) : l_(layout) {}

    void add_file(std::span<const char> file)
    {
        if (file.empty())
            return;
        files_.push_back(file);
        count_ += file.size() / l_.bytes;
        if (count_ > PG_UINT32_MAX)
            ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                            errmsg("too many rows for an ivfflat index"),
                            errhint("Partition the table.")));
    }
    uint64 count() const { return count_; }
    const char* operator[](uint64 i) const
    {
        for (const std::span<const char> file : files_) {
            if (const uint64 rows = file.size() / l_.bytes; i >= rows)
                i -= rows;
            else
                return file.data() + i * l_.bytes;
        }
        return nullptr;
    }
    const RowHead& head(uint64 i) const { return *reinterpret_cast<const RowHead*>((*this)[i]); }
    codec::Code code(uint64 i) const
    {
        return lists::code_at(l_.code(const_cast<char*>((*this)[i])), l_.code_bytes);
    }
    void prefetch(uint64 i) const { quiver::prefetch((*this)[i], l_.bytes); }
    // Calls f with what lists::ScalarCodes takes for row i.
    template <class F>
    void with_scalar(uint64 i, F&& f) const
    {
        if (l_.scalar_bytes > 0)
            f(lists::code_at(l_.scalar(const_cast<char*>((*this)[i])), l_.scalar_bytes));
        else if (l_.bits)
            f(codec::Value{.bits = code(i).bytes});
        else
            f(code(i));
    }

  private:
    const RowLayout& l_;
    Vec<std::span<const char>> files_;
    uint64 count_ = 0;
};

struct BuildState {
    Relation index;
    MetaData meta;
    Learnt learnt;
    IndexEncoding encoding;
    am::VectorReader reader;
    am::Filter filter;
    BuildTeam* team;   // null if there are no workers
    graph::Team alone{pg::poll};
    MemoryContext context;   // of this state
    RowLayout layout;
    pg::TempFile file, block_file;
    Vec<char> row;
    Vec<uint8_t> code;
    lists::ScalarCodes scalar;   // one

    Rows rows;
    lists::Clusters clusters;
    const uint32* list_of = nullptr;   // of each of `rows`
    Size block_memory = 0;             // of work_memory()

    BuildState(Relation rel, const MetaData& m, const Learnt& l, BuildTeam* t)
        : index(rel), meta(m), learnt(l), encoding(m),
          reader(am::opclass_of(rel), encoding.codec(), m.rotation_seed),
          filter(rel, learnt.filter), team(t), context(CurrentMemoryContext),
          layout(encoding.codec()),
          file(t ? t->create_row_file() : pg::TempFile::create(nullptr, nullptr)),
          row(layout.bytes), scalar(m.form, padded()), rows(layout), clusters(m.form, padded())
    {
        encoding.set_parameters(learnt.parameters.data());
    }
    uint32 padded() const { return encoding.codec().traits.padded; }
    graph::Team& participants() { return team ? team->team() : alone; }
};

// ---- the scan ----

void write_row(BuildState& b, const graph::Value& x, graph::Tid tid, codec::FilterCode filter)
{
    *reinterpret_cast<RowHead*>(b.row.data()) = {tid, filter};
    lists::put_code(b.encoding.codec().encode(x, b.code), b.layout.code(b.row.data()));
    if (b.layout.scalar_bytes > 0) {
        b.scalar.clear();
        b.scalar.add(x);
        lists::put_code(b.scalar[0], b.layout.scalar(b.row.data()));
    }
    b.file.write(b.row.data(), b.row.size());
}

void add_row(Relation, ItemPointer tid, Datum* values, bool* isnull, bool, void* arg)
{
    pg::guarded([&] {
        auto& b = *static_cast<BuildState*>(arg);
        CHECK_FOR_INTERRUPTS();
        if (isnull[0])
            return;
        const MemoryContext old = MemoryContextSwitchTo(b.context);
        graph::Value x;
        if (b.reader.read(values[0], &x))
            write_row(b, x, am::to_tid(tid), b.filter.code(values, isnull));
        MemoryContextSwitchTo(old);
    });
}

// Scans this participant's part of the table, and waits for the others.
double scan_table(BuildState& b, Relation heap, IndexInfo* info)
{
    report_phase(phase_scan);
    double heap_tuples =
        table_index_build_scan(heap, b.index, info, true, !IsParallelWorker(), add_row, &b,
                               b.team ? b.team->begin_scan(heap) : nullptr);
    b.file.flush();
    if (b.team) {
        b.team->finish_scan(&heap_tuples, &info->ii_BrokenHotChain);
        for (uint32 i = 0; i < b.team->size(); i++)
            b.rows.add_file(b.team->map_rows(i, b.context));
    } else if (b.file.size() > 0)
        b.rows.add_file({b.file.map(b.context), b.file.size()});
    return heap_tuples;
}

// ---- the lists ----

// Memory that all participants share. Only the leader says how many bytes it must have.
std::span<char> make_block(BuildState& b, Size bytes)
{
    if (bytes <= work_memory())
        b.block_memory = bytes;
    if (b.team)
        return b.team->make_block(bytes, b.context, nullptr);
    if (bytes <= work_memory()) {
        constexpr Size alignment = 64;
        auto* const block =
            static_cast<char*>(MemoryContextAllocHuge(b.context, bytes + alignment));
        return {reinterpret_cast<char*>(TYPEALIGN(alignment, block)), bytes};
    }
    b.block_file = pg::TempFile::create(nullptr, nullptr);
    b.block_file.write_zeros(bytes);
    return {b.block_file.map(b.context), bytes};
}

size_t sample_size(const BuildState& b)
{
    constexpr Size rows_of_list = 64, least_rows = 10000;
    return std::min(
        {static_cast<Size>(b.rows.count()),
         std::max<Size>(1, work_memory() / 2 / lists::ScalarCodes::block_bytes(b.padded(), 1)),
         std::max(least_rows, rows_of_list * b.meta.lists)});
}

// Computes the centroids, and finds the list of each row. All participants call this after the scan.
void divide(BuildState& b)
{
    const uint64 count = b.rows.count();
    if (b.meta.chosen_lists)
        b.meta.lists = lists_for(static_cast<double>(count), b.encoding.layout());
    else if (count < b.meta.lists && !IsParallelWorker())
        ereport(
            NOTICE,
            (errmsg("ivfflat index created with little data"),
             errdetail("It has %zu rows for %zu lists. Until there are more, it has fewer lists.",
                       static_cast<Size>(count), static_cast<Size>(b.meta.lists)),
             errhint("VACUUM makes the other lists when the table has more rows.")));
    if (count == 0) {
        b.clusters.set(Vec<float>(b.clusters.coordinates()), 1);
        return;
    }
    report_phase(phase_kmeans);
    const size_t samples = sample_size(b);
    const std::span<char> memory =
        make_block(b, lists::ScalarCodes::block_bytes(b.padded(), samples) +
                          lists::Clusters::block_bytes(b.padded(), samples, b.meta.lists) +
                          graph::Arena::bytes_of<uint32>(count));
    graph::Arena block(memory.data(), memory.size());
    graph::Team& team = b.participants();
    lists::ScalarCodes sample(b.meta.form, b.padded(), samples, block);
    // A row of each of as many equal parts of the files, so that their pages are read in order.
    team.each(samples, 64, [&](size_t from, size_t to) {
        for (size_t i = from; i < to; i++) {
            const uint64 first = count * i / samples, end = count * (i + 1) / samples;
            b.rows.with_scalar(first + Rng(b.meta.rotation_seed + i).next() % (end - first),
                               [&](const auto& x) { sample.set(i, x); });
        }
    });
    b.clusters.train(team, block, sample, b.meta.lists, b.meta.rotation_seed);
    if (team.is_leader())   // the others begin with the next step
        b.meta.probes = lists::learn_probes(sample, b.clusters, pg::poll);

    report_phase(phase_assign);
    auto* const list_of = block.take<uint32>(count);
    constexpr size_t at_once = 256;
    lists::ScalarCodes some(b.meta.form, b.padded());
    team.each(count, at_once, [&](size_t from, size_t to) {
        some.clear();
        for (size_t i = from; i < to; i++)
            b.rows.with_scalar(i, [&](const auto& x) { some.add(x); });
        b.clusters.nearest(some, list_of + from);
        report_tuples(to, count);
    });
    b.list_of = list_of;
}

// ---- pages ----

// A row that is to be written.
struct Row {
    codec::Code code;
    graph::Tid tid;
    codec::FilterCode filter;
};

// Writes lists: first the list pages of each, and then its code pages.
class ListWriter {
  public:
    // encoder: makes the sketches. Its centre is set for each list.
    ListWriter(page::BulkWriter& writer, const lists::Layout& layout,
               Owned<codec::SketchEncoder> encoder)
        : writer_(writer), l_(layout), encoder_(std::move(encoder))
    {
    }

    // The number of pages of a list.
    static Block pages(const lists::Layout& l, uint64 rows)
    {
        const uint64 full = rows / l.entries, rest = rows % l.entries;
        return list_pages(l, rows) + static_cast<Block>(full * l.code_pages + code_pages(l, rest));
    }
    void set_centre(const codec::Code& code) { encoder_->set_centre(code); }
    // Writes a list, or the root. first: its first block, which is the writer's next one. row_of(i): row i.
    template <class RowOf>
    void write(Block first, bool root, uint64 rows, RowOf&& row_of)
    {
        const Block count = list_pages(l_, rows);
        Block codes = first + count;
        for (Block p = 0; p < count; p++) {
            const Page page = writer_.next();
            page::init(page, page::Kind::list);
            page::set_used(page, l_.bytes);
            const lists::MutableListPage to(l_, page::contents_of(page));
            lists::init_list_page(to, root ? lists::root_list : first, p);
            if (p + 1 < count)
                lists::link(to, first + p + 1, p + 1);
            if (p == 0)
                to.header().room = first + count - 1;
            const uint32_t used = used_on(p, rows);
            for (uint32_t c = 0; c < code_pages(l_, used); c++)
                to.code_blocks()[c] = codes++;
            for (uint32_t i = 0; i < used; i++) {
                const Row row = row_of(uint64{p} * l_.entries + i);
                encoder_->encode(row.code);
                lists::put_entry(to, i, encoder_->sketch(), row.tid, row.filter);
            }
        }
        for (Block p = 0; p < count && l_.code_bytes > 0; p++)
            for (uint32_t from = 0, used = used_on(p, rows); from < used; from += l_.codes_per_page)
                write_codes(first + p, std::min(l_.codes_per_page, used - from), [&](uint32_t i) {
                    return row_of(uint64{p} * l_.entries + from + i).code;
                });
    }

  private:
    static Block list_pages(const lists::Layout& l, uint64 rows)
    {
        return static_cast<Block>(std::max<uint64>(1, (rows + l.entries - 1) / l.entries));
    }
    static uint32_t code_pages(const lists::Layout& l, uint64 rows)
    {
        return l.code_bytes == 0
                   ? 0
                   : static_cast<uint32_t>((rows + l.codes_per_page - 1) / l.codes_per_page);
    }
    // The rows on list page p of a list.
    uint32_t used_on(Block p, uint64 rows) const
    {
        return static_cast<uint32_t>(std::min<uint64>(l_.entries, rows - uint64{p} * l_.entries));
    }
    template <class CodeOf>
    void write_codes(Block owner, uint32_t count, CodeOf&& code_of)
    {
        const Page page = writer_.next();
        page::init(page, page::Kind::codes);
        page::tail_of(page)->next = owner;
        for (uint32_t i = 0; i < count; i++)
            lists::put_code(code_of(i), page::contents_of(page) + l_.place_of(i));
        page::set_used(page, Size{count} * l_.code_bytes);
    }

    page::BulkWriter& writer_;
    const lists::Layout& l_;
    Owned<codec::SketchEncoder> encoder_;
};

// The codes of the centroids, and of their mean.
struct CentroidCodes {
    Vec<char> records;
    Size stride;
    uint32_t code_bytes;
    Vec<char> mean;

    CentroidCodes(const lists::Encoding& encoding, lists::Clusters& clusters)
        : stride(codec::record_bytes(encoding.codec().traits.code_bytes)),
          code_bytes(encoding.codec().traits.code_bytes)
    {
        records.resize(stride * clusters.size());
        mean.resize(stride);
        Vec<uint8_t> buffer;
        for (size_t i = 0; i < clusters.size(); i++)
            lists::put_code(encoding.codec().encode(clusters.value(i), buffer),
                            &records[i * stride]);
        if (encoding.exact())
            return;
        const Vec<float> centre = clusters.mean();
        codec::Value value{};
        value.dense = centre.data();
        lists::put_code(encoding.codec().encode(value, buffer), mean.data());
    }
    codec::Code operator[](size_t i) const
    {
        return lists::code_at(&records[i * stride], code_bytes);
    }
    codec::Code mean_code() const { return lists::code_at(mean.data(), code_bytes); }
};

// Writes the index.
void write_index(BuildState& b, ForkNumber fork)
{
    MetaData meta = b.meta;
    const lists::Encoding& encoding = b.encoding;
    const size_t lists = b.clusters.size();
    Vec<uint64> size(lists);
    for (uint64 i = 0; i < b.rows.count(); i++)
        size[b.list_of[i]]++;

    ereport(DEBUG1, (errmsg("%zu lists of %.0f rows, the longest of %.0f", lists,
                            static_cast<double>(b.rows.count()),
                            static_cast<double>(*std::max_element(size.begin(), size.end())))));

    const CentroidCodes centroids(encoding, b.clusters);
    meta.lists = static_cast<uint32>(lists);
    meta.filter_bytes = static_cast<uint32>(b.learnt.filter.size());
    meta.rows = static_cast<double>(b.rows.count());
    BlockNumber next = am::meta_block + 1;
    const auto chain = [&](BlockNumber* place, Size bytes) {
        if (bytes > 0)
            *place = next;
        next += page::chain_pages(bytes);
    };
    chain(&meta.codec_parameters, b.learnt.parameters.size_bytes());
    chain(&meta.filter_codes, b.learnt.filter.size());
    chain(&meta.root_centre, encoding.exact() ? 0 : centroids.mean.size());
    meta.root = next;

    page::BulkWriter writer(b.index, fork);
    const Page page = writer.next();
    page::init(page, page::Kind::meta);
    *reinterpret_cast<MetaData*>(page::contents_of(page)) = meta;
    page::set_used(page, sizeof(MetaData));
    page::write_chain(writer, reinterpret_cast<const char*>(b.learnt.parameters.data()),
                      b.learnt.parameters.size_bytes());
    page::write_chain(writer, reinterpret_cast<const char*>(b.learnt.filter.data()),
                      b.learnt.filter.size());
    if (!encoding.exact())
        page::write_chain(writer, centroids.mean.data(), centroids.mean.size());

    // The root. The first list follows it.
    Vec<Block> head(lists);
    Block at = next + ListWriter::pages(encoding.root_layout(), lists);
    for (size_t c = 0; c < lists; c++) {
        head[c] = at;
        at += ListWriter::pages(encoding.layout(), size[c]);
    }
    ListWriter root(writer, encoding.root_layout(), encoding.root_sketches().encoder());
    if (!encoding.exact())
        root.set_centre(centroids.mean_code());
    root.write(meta.root, true, lists, [&](uint64 i) {
        const codec::Code code = centroids[i];
        return Row{code, lists::to_tid(lists::ListPointer{head[i], code.params.norm2}), 0};
    });

    // The numbers of the rows are put in the order of the lists, of as many lists at a time as memory allows.
    ListWriter writer_of_lists(writer, encoding.layout(), encoding.sketches().encoder());
    const uint64 most = std::max<uint64>(65536, (work_memory() - b.block_memory) / sizeof(uint32));
    uint64 done = 0;
    for (size_t first = 0, end; first < lists; first = end) {
        uint64 some = 0;
        Vec<uint64> place;   // of the next row of each list
        for (end = first; end < lists && (end == first || some + size[end] <= most); end++) {
            place.push_back(some);
            some += size[end];
        }
        Vec<uint32> order(some);
        for (uint64 i = 0; i < b.rows.count(); i++)
            if (const uint32 c = b.list_of[i]; c >= first && c < end)
                order[place[c - first]++] = static_cast<uint32>(i);
        const uint32* from = order.data();
        for (size_t c = first; c < end; c++) {
            if (!encoding.exact())
                writer_of_lists.set_centre(centroids[c]);
            writer_of_lists.write(head[c], false, size[c], [&](uint64 i) {
                if (constexpr uint64 ahead = 4; i + ahead < size[c])
                    b.rows.prefetch(from[i + ahead]);
                const RowHead& row = b.rows.head(from[i]);
                return Row{b.rows.code(from[i]), row.tid, row.filter};
            });
            from += size[c];
            report_tuples(done += size[c], b.rows.count());
        }
    }
    writer.finish();
}

}   // namespace

void take_part_in_build(Relation heap, Relation index, IndexInfo* info, BuildTeam& team)
{
    const MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "ivfflat build", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext old = MemoryContextSwitchTo(context);
    auto* b = new (palloc(sizeof(BuildState)))
        BuildState(index, team.meta<MetaData>(), team.learnt(), &team);
    scan_table(*b, heap, info);
    divide(*b);
    b->file.close();
    MemoryContextSwitchTo(old);
    MemoryContextDelete(context);
}

IndexBuildResult* build(Relation heap, Relation index, IndexInfo* info)
{
    const MetaData meta = new_meta(index);
    const MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "ivfflat build", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext old = MemoryContextSwitchTo(context);
    const Learnt learnt = am::learn(heap, index, info, IndexEncoding(meta).codec(),
                                    meta.filter_columns, meta.rotation_seed);
    BuildTeam* const team = BuildTeam::begin(heap, index, info, meta, learnt);
    auto* b = new (palloc(sizeof(BuildState))) BuildState(index, meta, learnt, team);
    const double heap_tuples = scan_table(*b, heap, info);
    divide(*b);
    if (team)
        team->end();
    report_phase(phase_load);
    write_index(*b, MAIN_FORKNUM);
    b->file.close();
    b->block_file.close();
    const double tuples = static_cast<double>(b->rows.count());
    MemoryContextSwitchTo(old);
    MemoryContextDelete(context);
    auto* result = static_cast<IndexBuildResult*>(palloc(sizeof(IndexBuildResult)));
    result->heap_tuples = heap_tuples;
    result->index_tuples = tuples;
    return result;
}

// Writes the init fork of an unlogged index. After a crash, PostgreSQL resets the index to it.
void build_empty(Relation index)
{
    MetaData meta = new_meta(index);
    meta.lists = 1;
    BuildState b(index, meta,
                 am::learn(nullptr, index, nullptr, IndexEncoding(meta).codec(),
                           meta.filter_columns, meta.rotation_seed),
                 nullptr);
    b.clusters.set(Vec<float>(b.clusters.coordinates()), 1);
    write_index(b, INIT_FORKNUM);
    b.file.close();
}

}   // namespace quiver::ivfflat
