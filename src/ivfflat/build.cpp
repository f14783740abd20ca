// CREATE INDEX. A sample of the rows is divided into clusters, whose centroids become the lists' (k-means). Then
// the table is scanned, and each row is encoded and written to a temporary file with the number of its list. At
// last the lists are written, one after the other, in one pass over the new pages.
#include "pg/pg.hpp"

#include "am/filter.hpp"
#include "am/learn_codec.hpp"
#include "am/operator_class.hpp"
#include "am/rows.hpp"
#include "am/vector_reader.hpp"
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

using lists::Block;

// What a build learns from the table before it adds rows.
struct Learnt {
    std::span<const half> parameters;   // of the codec
    std::span<const uint8_t> filter;   // codec::FilterCodec's; empty if there are no filter columns
};

// How many lists an index of so many rows has by default. Lists are small, because a search reads a list
// faster than it finds the list.
uint32 lists_for(double rows)
{
    return static_cast<uint32>(std::clamp(2 * std::sqrt(rows), 1.0, double{lists::max_lists}));
}

// ---- clusters ----

// Reads rows of some blocks of the table.
double read_sample(Relation heap, Relation index, IndexInfo* info, am::VectorReader& reader,
                   BlockNumber blocks, lists::ScalarCodes* to)
{
    const MemoryContext context = CurrentMemoryContext;
    double rows = 0;
    am::for_each_sampled_row(heap, index, info, blocks, [&](Datum* values, bool* isnull) {
        rows++;
        if (isnull[0])
            return;
        const MemoryContext old = MemoryContextSwitchTo(context);
        graph::Value x;
        if (reader.read(values[0], &x))
            to->add(x);
        MemoryContextSwitchTo(old);
    });
    return rows;
}

// Computes the centroids. Sets meta->lists.
void make_clusters(Relation heap, Relation index, IndexInfo* info, const lists::Encoding& encoding,
                   MetaData* meta, lists::Clusters* clusters)
{
    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_kmeans);
    const codec::CodecTraits& traits = encoding.codec().traits;
    lists::ScalarCodes sample(meta->form, traits.padded);
    am::VectorReader reader(am::opclass_of(index), encoding.codec(), meta->rotation_seed);
    const double blocks = heap ? RelationGetNumberOfBlocks(heap) : 0;
    if (blocks > 0) {
        // How many rows has a block?
        const double some = std::min(blocks, 64.0),
                     density = std::max(0.01, read_sample(heap, index, info, reader,
                                                          static_cast<BlockNumber>(some), &sample) /
                                                  some);
        if (meta->chosen_lists)
            meta->lists = lists_for(density * blocks);
        constexpr double rows_of_list = 64, least_rows = 10000;
        const double most = maintenance_work_mem * 1024.0 / 2 /
                            static_cast<double>(sample.bytes_of_one()),
                     rows = std::min(most, std::max(least_rows, rows_of_list * meta->lists));
        sample.clear();
        read_sample(heap, index, info, reader,
                    static_cast<BlockNumber>(std::min(blocks, std::ceil(rows / density))), &sample);
    }
    const size_t wanted = std::max<size_t>(1, meta->lists);
    if (!meta->chosen_lists && sample.size() < wanted)
        ereport(
            NOTICE,
            (errmsg("ivfflat index created with little data"),
             errdetail("It has %zu rows for %zu lists. As the table grows, its lists become long.",
                       sample.size(), wanted),
             errhint("REINDEX the index when the table has more data.")));
    clusters->train(sample, wanted, meta->rotation_seed, pg::poll);
    if (clusters->size() == 0)
        clusters->set(Vec<float>(clusters->coordinates()), 1);
    meta->lists = static_cast<uint32>(clusters->size());
    meta->probes = lists::learn_probes(sample, *clusters, pg::poll);
}

// ---- rows ----

// The head of a row in the temporary file. Behind it is the record of its code.
struct RowHead {
    uint32 list;
    graph::Tid tid;
    codec::FilterCode filter;
};
static_assert(sizeof(RowHead) == 12);

struct BuildState {
    Relation index;
    MetaData meta;
    IndexEncoding encoding;
    am::VectorReader reader;
    am::Filter filter;
    lists::Clusters& clusters;
    MemoryContext context;
    Size row_bytes;   // in the file

    // Rows that wait until their lists are found, all at once.
    static constexpr size_t at_once = 256;
    lists::ScalarCodes waiting;
    Vec<char> waiting_rows;
    Vec<uint8_t> code;

    pg::TempFile file;
    uint64 rows = 0;

    BuildState(Relation rel, const MetaData& m, const Learnt& learnt, lists::Clusters& c)
        : index(rel), meta(m), encoding(m),
          reader(am::opclass_of(rel), encoding.codec(), m.rotation_seed),
          filter(rel, learnt.filter), clusters(c), context(CurrentMemoryContext),
          row_bytes(codec::round_up(
              sizeof(RowHead) + sizeof(codec::CodeParams) + encoding.codec().traits.code_bytes, 4)),
          waiting(m.form, encoding.codec().traits.padded), waiting_rows(at_once * row_bytes),
          file(pg::TempFile::create(nullptr, nullptr))
    {
        encoding.set_parameters(learnt.parameters.data());
    }

    void add(const graph::Value& x, graph::Tid tid, codec::FilterCode filter_code)
    {
        char* row = waiting_rows.data() + waiting.size() * row_bytes;
        *reinterpret_cast<RowHead*>(row) = {0, tid, filter_code};
        lists::put_code(encoding.codec().encode(x, code), row + sizeof(RowHead));
        waiting.add(x);
        if (waiting.size() == at_once)
            flush();
    }
    void flush()
    {
        uint32_t list[at_once];
        clusters.nearest(waiting, list);
        for (size_t i = 0; i < waiting.size(); i++)
            reinterpret_cast<RowHead*>(waiting_rows.data() + i * row_bytes)->list = list[i];
        file.write(waiting_rows.data(), waiting.size() * row_bytes);
        rows += waiting.size();
        waiting.clear();
        pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, static_cast<int64>(rows));
    }
};

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
            b.add(x, am::to_tid(tid), b.filter.code(values, isnull));
        MemoryContextSwitchTo(old);
    });
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
    // Writes a list. first: its first block, which is the writer's next one. row_of(i): row i.
    template <class RowOf>
    void write(uint32_t list, Block first, uint64 rows, RowOf&& row_of)
    {
        const Block count = list_pages(l_, rows);
        Block codes = first + count;
        for (Block p = 0; p < count; p++) {
            const Page page = writer_.next();
            page::init(page, page::Kind::list);
            page::set_used(page, l_.bytes);
            const lists::MutableListPage to(l_, page::contents_of(page));
            lists::init_list_page(to, list, p);
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
        : stride(sizeof(codec::CodeParams) + encoding.codec().traits.code_bytes),
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
        Vec<float> sum(clusters.coordinates());
        for (size_t i = 0; i < clusters.size(); i++)
            for (size_t j = 0; j < sum.size(); j++)
                sum[j] += clusters.centroid(i)[j] / static_cast<float>(clusters.size());
        codec::Value value{};
        value.dense = sum.data();
        lists::put_code(encoding.codec().encode(value, buffer), mean.data());
    }
    codec::Code operator[](size_t i) const
    {
        return lists::code_at(&records[i * stride], code_bytes);
    }
    codec::Code mean_code() const { return lists::code_at(mean.data(), code_bytes); }
};

// The numbers of the rows in the file, ordered by their lists.
struct RowsOfLists {
    Vec<uint64> start;   // of each list, and the end
    Vec<uint32> order;

    RowsOfLists(const char* rows, uint64 count, Size row_bytes, size_t lists) : start(lists + 1)
    {
        if (count > PG_UINT32_MAX)
            ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                            errmsg("too many rows for an ivfflat index"),
                            errhint("Partition the table.")));
        const auto list_of = [&](uint64 i) {
            return reinterpret_cast<const RowHead*>(rows + i * row_bytes)->list;
        };
        for (uint64 i = 0; i < count; i++)
            start[list_of(i) + 1]++;
        for (size_t c = 0; c < lists; c++)
            start[c + 1] += start[c];
        order.resize(count);
        Vec<uint64> at(start.begin(), start.end() - 1);
        for (uint64 i = 0; i < count; i++)
            order[at[list_of(i)]++] = static_cast<uint32>(i);
    }
};

// Writes the index. rows: the mapped file.
void write_index(Relation index, ForkNumber fork, MetaData meta, const Learnt& learnt,
                 const lists::Encoding& encoding, lists::Clusters& clusters, const char* rows,
                 uint64 count, Size row_bytes)
{
    const CentroidCodes centroids(encoding, clusters);
    const RowsOfLists of(rows, count, row_bytes, clusters.size());
    meta.filter_bytes = static_cast<uint32>(learnt.filter.size());
    meta.rows = static_cast<double>(count);
    BlockNumber next = am::meta_block + 1;
    const auto chain = [&](BlockNumber* place, Size bytes) {
        if (bytes > 0)
            *place = next;
        next += page::chain_pages(bytes);
    };
    chain(&meta.codec_parameters, learnt.parameters.size_bytes());
    chain(&meta.filter_codes, learnt.filter.size());
    chain(&meta.root_centre, encoding.exact() ? 0 : centroids.mean.size());
    meta.root = next;

    page::BulkWriter writer(index, fork);
    const Page page = writer.next();
    page::init(page, page::Kind::meta);
    *reinterpret_cast<MetaData*>(page::contents_of(page)) = meta;
    page::set_used(page, sizeof(MetaData));
    page::write_chain(writer, reinterpret_cast<const char*>(learnt.parameters.data()),
                      learnt.parameters.size_bytes());
    page::write_chain(writer, reinterpret_cast<const char*>(learnt.filter.data()),
                      learnt.filter.size());
    if (!encoding.exact())
        page::write_chain(writer, centroids.mean.data(), centroids.mean.size());

    // The root. The first list follows it.
    Vec<Block> head(clusters.size());
    Block at = next + ListWriter::pages(encoding.root_layout(), clusters.size());
    for (size_t c = 0; c < clusters.size(); c++) {
        head[c] = at;
        at += ListWriter::pages(encoding.layout(), of.start[c + 1] - of.start[c]);
    }
    ListWriter root(writer, encoding.root_layout(), encoding.root_sketches().encoder());
    if (!encoding.exact())
        root.set_centre(centroids.mean_code());
    root.write(lists::root_list, meta.root, clusters.size(), [&](uint64 i) {
        const codec::Code code = centroids[i];
        return Row{code, lists::to_tid(lists::ListPointer{head[i], code.params.norm2}), 0};
    });

    ListWriter list(writer, encoding.layout(), encoding.sketches().encoder());
    for (size_t c = 0; c < clusters.size(); c++) {
        if (!encoding.exact())
            list.set_centre(centroids[c]);
        list.write(static_cast<uint32_t>(c), head[c], of.start[c + 1] - of.start[c], [&](uint64 i) {
            const char* row = rows + of.order[of.start[c] + i] * row_bytes;
            const auto* h = reinterpret_cast<const RowHead*>(row);
            return Row{lists::code_at(row + sizeof(RowHead), encoding.codec().traits.code_bytes),
                       h->tid, h->filter};
        });
    }
    writer.finish();
}

}   // namespace

IndexBuildResult* build(Relation heap, Relation index, IndexInfo* info)
{
    MetaData meta = new_meta(index);
    const MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "ivfflat build", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext old = MemoryContextSwitchTo(context);
    auto* encoding = new (palloc(sizeof(IndexEncoding))) IndexEncoding(meta);
    const Learnt learnt = {
        am::learn_codec(heap, index, info, encoding->codec(), meta.rotation_seed),
        am::learn_filter(heap, index, info, meta.filter_columns, meta.rotation_seed)};
    encoding->set_parameters(learnt.parameters.data());
    auto* clusters = new (palloc(sizeof(lists::Clusters)))
        lists::Clusters(meta.form, encoding->codec().traits.padded);
    make_clusters(heap, index, info, *encoding, &meta, clusters);

    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_assign);
    auto* b = new (palloc(sizeof(BuildState))) BuildState(index, meta, learnt, *clusters);
    const double heap_tuples =
        table_index_build_scan(heap, index, info, true, true, add_row, b, nullptr);
    b->flush();
    b->file.flush();

    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_load);
    write_index(index, MAIN_FORKNUM, meta, learnt, *encoding, *clusters, b->file.map(context),
                b->rows, b->row_bytes);
    b->file.close();
    const double tuples = static_cast<double>(b->rows);
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
    IndexEncoding encoding(meta);
    const Learnt learnt = {
        am::learn_codec(nullptr, index, nullptr, encoding.codec(), meta.rotation_seed),
        am::learn_filter(nullptr, index, nullptr, meta.filter_columns, meta.rotation_seed)};
    encoding.set_parameters(learnt.parameters.data());
    lists::Clusters clusters(meta.form, encoding.codec().traits.padded);
    clusters.set(Vec<float>(clusters.coordinates()), 1);
    meta.lists = 1;
    write_index(index, INIT_FORKNUM, meta, learnt, encoding, clusters, nullptr, 0, 1);
}

}   // namespace quiver::ivfflat
