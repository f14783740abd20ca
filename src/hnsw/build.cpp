// CREATE INDEX. The build scans the table once and makes the graph in memory, in slots with the
// same bytes as on disk (graph/graph_build.hpp). Then it writes and logs the pages in one pass.
//
// If workers help (am/build_team.hpp), all participants write the encoded rows to files, and make the links
// in a block of memory that they share. If the graph outgrows maintenance_work_mem, a process on its own
// does the same, with a block that is a temporary file.
#include "pg/pg.hpp"

#include "am/build_team.hpp"
#include "am/filter.hpp"
#include "am/operator_class.hpp"
#include "am/rows.hpp"
#include "am/vector_reader.hpp"
#include "core/rng.hpp"
#include "graph/graph_build.hpp"
#include "graph/memory_store.hpp"
#include "graph/reachability.hpp"
#include "hnsw/handler.hpp"
#include "hnsw/meta.hpp"
#include "page/bulk_writer.hpp"
#include "page/chain.hpp"
#include "pg/temp_file.hpp"
#include "simd/kernels.hpp"

extern "C" {
#include "access/tableam.h"
#include "commands/progress.h"
#include "pgstat.h"
#if __has_include("utils/backend_progress.h")
#include "utils/backend_progress.h"
#endif
}

namespace quiver::hnsw {

using am::BuildTeam;
using am::Learnt;

// Writes the meta page, and after it what was learnt.
static void write_head(page::BulkWriter& writer, const MetaData& meta, const Learnt& learnt,
                       const graph::Encoding& encoding)
{
    const Page page = writer.next();
    page::init(page, page::Kind::meta);
    *reinterpret_cast<MetaData*>(page::contents_of(page)) = meta;
    page::set_used(page, sizeof(MetaData));
    page::write_chain(writer, reinterpret_cast<const char*>(learnt.parameters.data()),
                      learnt.parameters.size_bytes());
    page::write_chain(writer, reinterpret_cast<const char*>(learnt.filter.data()),
                      learnt.filter.size());
    if (const Size bytes = flat_centre_bytes(encoding.shape()); bytes > 0) {
        Vec<char> centre(bytes);
        codec::put_code(encoding.flat_centre(), centre.data());
        page::write_chain(writer, centre.data(), bytes);
    }
}

namespace {

// While nodes are inserted, the columns for tuples count them. (Other ways to link them are short.)
void report_inserted(size_t done, size_t count)
{
    constexpr int columns[] = {PROGRESS_CREATEIDX_TUPLES_TOTAL, PROGRESS_CREATEIDX_TUPLES_DONE};
    const int64 values[] = {static_cast<int64>(count), static_cast<int64>(done)};
    pgstat_progress_update_multi_param(2, columns, values);
}

struct BuildState {
    Relation index;
    MetaData meta;
    Learnt learnt;
    IndexEncoding encoding;
    LevelDraw levels;
    am::VectorReader reader;
    am::Filter filter;
    BuildTeam* team;         // null if there are no workers
    MemoryContext context;   // of this state, and of the reader's scratch memory

    MemoryContext graph_context;   // of the graph
    graph::MemoryStore* store;
    graph::GraphBuild* graph;
    bool has_file = false;   // the rows are written to `file`
    pg::TempFile file, block_file;
    double tuples = 0;   // of all participants

    BuildState(Relation rel, const MetaData& m, const Learnt& l, BuildTeam* t)
        : index(rel), meta(m), learnt(l), encoding(m), levels(m.rotation_seed),
          reader(am::opclass_of(rel), encoding.codec(), m.rotation_seed),
          filter(rel, learnt.filter), team(t), context(CurrentMemoryContext)
    {
        encoding.codec().set_parameters(learnt.parameters.data());
        begin_graph();
        if (team)
            begin_file(team->create_row_file());
    }
    void begin_graph()
    {
        graph_context = AllocSetContextCreate(context, "hnsw build graph", ALLOCSET_DEFAULT_SIZES);
        const MemoryContext old = MemoryContextSwitchTo(graph_context);
        store = new (palloc(sizeof *store)) graph::MemoryStore(encoding, 8, pg::poll);
        graph = new (palloc(sizeof *graph)) graph::GraphBuild(
            *store, {meta.m, meta.ef_construction, meta.rotation_seed, report_inserted});
        MemoryContextSwitchTo(old);
    }
    void begin_file(pg::TempFile f)
    {
        has_file = true;
        file = f;
    }
    Size memory_used() const { return store->bytes() + graph->bytes(); }
};

// Calls f(vector) for all nodes of the graph, or for some, from all parts of it.
template <class F>
void sample_nodes(const graph::Encoding& encoding, const graph::MemoryStore& store, F&& f)
{
    constexpr graph::SlotId most = 4096;
    const graph::SlotId count = std::min(store.size(), most);
    Vec<float> buffer;
    for (graph::SlotId i = 0; i < count; i++) {
        const graph::Slot slot =
            store.slot(static_cast<graph::SlotId>(uint64{store.size()} * i / count));
        if (graph::FlatEncoder::is_node(slot) && std::isfinite(slot.header().params.norm2))
            f(encoding.codec().decode(graph::code_in(slot), buffer).dense);
    }
}

// The mean of the nodes' vectors, without those far away from it: one that is a million times longer than the others would
// draw the mean so far away that the sketches of all others were the same.
Vec<float> mean_of_nodes(const graph::Encoding& encoding, const graph::MemoryStore& store)
{
    constexpr float far2 = 9;   // the square of three times the median distance
    const size_t dims = encoding.codec().traits.padded;
    const auto distance2 = [&](const float* x, const Vec<float>& y) {
        return static_cast<float>(simd::kernels().f32.l2sq(x, y.data(), dims));
    };
    Vec<float> first(dims), mean(dims), distances;
    const auto add = [&](const float* x, size_t count, Vec<float>& to) {
        for (size_t j = 0; j < dims; j++)
            to[j] += (x[j] - to[j]) / static_cast<float>(count);
    };
    size_t count = 0;
    sample_nodes(encoding, store, [&](const float* x) { add(x, ++count, first); });
    if (count == 0)
        return first;
    sample_nodes(encoding, store,
                 [&](const float* x) { distances.push_back(distance2(x, first)); });
    const auto median = distances.begin() + static_cast<ptrdiff_t>(count / 2);
    std::nth_element(distances.begin(), median, distances.end());
    count = 0;
    sample_nodes(encoding, store, [&](const float* x) {
        if (distance2(x, first) <= far2 * *median)
            add(x, ++count, mean);
    });
    return mean;
}

// Sets the vector to which the sketches on flat pages are relative. Without a store there are no nodes yet.
void set_flat_centre(graph::Encoding& encoding, const graph::MemoryStore* store)
{
    if (flat_centre_bytes(encoding.shape()) == 0)
        return;
    const Vec<float> centre =
        store ? mean_of_nodes(encoding, *store) : Vec<float>(encoding.codec().traits.padded);
    encoding.set_flat_centre(centre.data());
}

// Writes the flat page of the group of slots that begins with `first`.
void write_flat_page(page::BulkWriter& writer, graph::FlatEncoder& encoder,
                     const graph::FlatLayout& layout, const graph::MemoryStore& store,
                     graph::SlotId first)
{
    const Page page = writer.next();
    page::init(page, page::Kind::head);
    const graph::MutableFlatPage flat(layout, page::contents_of(page));
    for (uint32 i = 0; i < layout.entries && first + i < store.size(); i++)
        encoder.write(store.slot(first + i), i, [&] { return flat; });
    page::set_used(page, layout.bytes);
}

// Writes the index with the graph in memory, in the order of the ids.
void write_graph(BuildState& b)
{
    const graph::MemoryStore& store = *b.store;
    const graph::FlatLayout flat = b.meta.flat_layout();
    set_flat_centre(b.encoding, &store);
    std::optional<graph::FlatEncoder> flat_encoder;
    if (flat.pages > 0)
        flat_encoder.emplace(b.encoding);
    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_write);
    const graph::Entry entry = store.entry();
    b.meta.entry = entry.id;
    b.meta.entry_level = entry.level;
    b.meta.root = entry.root;
    page::BulkWriter writer(b.index, MAIN_FORKNUM);
    write_head(writer, b.meta, b.learnt, b.encoding);
    for (graph::SlotId id = 0; id < store.size();) {
        if (flat_encoder && id % flat.entries == 0)
            write_flat_page(writer, *flat_encoder, flat, store, id);
        const Page page = writer.next();
        page::init(page, page::Kind::records);
        Size used = 0;
        for (uint32 i = 0; i < b.meta.slots_per_page && id < store.size(); i++, id++) {
            std::memcpy(page::contents_of(page) + used, store.slot(id).data(), b.meta.slot_bytes);
            used += b.meta.slot_bytes;
        }
        page::set_used(page, used);
    }
    writer.finish();
    b.block_file.close();
}

// ---- rows ----

void write_row(BuildState& b, std::span<const char> row) { b.file.write(row.data(), row.size()); }

// The memory is used up: the rows go to a file from now on, those that are in memory first.
void move_to_file(BuildState& b)
{
    ereport(NOTICE, (errmsg("hnsw graph no longer fits into maintenance_work_mem after %.0f tuples",
                            b.tuples),
                     errdetail("It is built in a temporary file."),
                     errhint("Increase maintenance_work_mem to speed up builds.")));
    b.begin_file(pg::TempFile::create(nullptr, nullptr));
    for (graph::SlotId id = 0; id < b.store->size(); id++) {
        CHECK_FOR_INTERRUPTS();
        const graph::Slot slot = b.store->slot(id);
        if (slot.header().state == graph::SlotState::live)
            for (uint32_t i = 0; i < slot.tid_count(); i++)
                write_row(b, b.graph->copy_added(id, i));
    }
    MemoryContextDelete(b.graph_context);
    b.begin_graph();
}

void insert_row(BuildState& b, ItemPointer tid, const graph::Value& x, graph::FilterCode filter)
{
    if (!b.has_file && b.memory_used() > static_cast<Size>(maintenance_work_mem) * 1024)
        move_to_file(b);
    if (b.has_file)
        write_row(b, b.graph->encode(x, am::to_tid(tid), filter));
    else {
        const int level = b.levels.draw(b.encoding.layout().level_base(), graph::max_level);
        const MemoryContext old = MemoryContextSwitchTo(b.graph_context);
        b.graph->add(x, am::to_tid(tid), level, filter);
        MemoryContextSwitchTo(old);
    }
    b.tuples = b.team ? b.team->add_tuples(1) : b.tuples + 1;
    if (!IsParallelWorker())
        pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, static_cast<int64>(b.tuples));
    CHECK_FOR_INTERRUPTS();
}

void add_row(Relation, ItemPointer tid, Datum* values, bool* isnull, bool, void* arg)
{
    pg::guarded([&] {
        auto& b = *static_cast<BuildState*>(arg);
        if (isnull[0])
            return;
        const MemoryContext old = MemoryContextSwitchTo(b.context);
        graph::Value x;
        if (b.reader.read(values[0], &x))
            insert_row(b, tid, x, b.filter.code(values, isnull));
        MemoryContextSwitchTo(old);
    });
}

// ---- the graph ----

// The block in which the graph is built. Only the leader says how many bytes it must have.
std::span<char> make_block(BuildState& b, Size bytes)
{
    if (b.team)
        return b.team->make_block(bytes, b.graph_context, "hnsw graph");
    b.block_file = pg::TempFile::create(nullptr, nullptr);
    b.block_file.write_zeros(bytes);
    return {b.block_file.map(b.graph_context), bytes};
}

// The files of all participants.
Vec<graph::GraphBuild::File> map_files(BuildState& b)
{
    Vec<graph::GraphBuild::File> files;
    if (b.team)
        for (uint32_t i = 0; i < b.team->size(); i++)
            files.push_back(b.team->map_rows(i, b.graph_context));
    else
        files.push_back({b.file.map(b.graph_context), b.file.size()});
    return files;
}

Size block_bytes(const BuildState& b, std::span<const graph::GraphBuild::File> files)
{
    const graph::GraphBuild::Measure measure = b.graph->measure(files);
    if (measure.rows + measure.overflow_slots > graph::no_slot / 2)
        ereport(ERROR,
                (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("too many rows for an hnsw index"),
                 errdetail("It can have %u slots.", graph::no_slot / 2)));
    return b.graph->block_bytes(measure, b.team);
}

using MemoryInserter = graph::Inserter<graph::MemoryStore>;

// used: the memory that the graph takes. What the inserter remembers of slots (SelectionCache) takes the rest,
// or this participant's part of it, but has at least 4,096 slots.
MemoryInserter& make_inserter(BuildState& b, Size used)
{
    const Size memory = static_cast<Size>(maintenance_work_mem) * 1024,
               left = (memory - std::min(memory, used)) / (b.team ? b.team->size() : 1);
    const Size slots = graph::SelectionCache::slots_in(left, b.encoding.layout().degree);
    return *new (palloc(sizeof(MemoryInserter)))
        MemoryInserter(*b.store, b.meta.m, b.meta.ef_construction, std::max<Size>(slots, 4096));
}

// Links the rows of the files. All participants call this after finish_scan().
MemoryInserter& link_files(BuildState& b)
{
    const Vec<graph::GraphBuild::File> files = map_files(b);
    const std::span<char> memory = make_block(b, IsParallelWorker() ? 0 : block_bytes(b, files));
    graph::Arena block(memory.data(), memory.size());
    graph::Team alone(pg::poll);
    MemoryInserter& inserter = make_inserter(b, memory.size());
    b.graph->build(b.team ? b.team->team() : alone, block, files, LevelDraw(b.meta.rotation_seed),
                   inserter);
    b.file.close();
    return inserter;
}

// Links the nodes, and returns the inserter that knows them.
MemoryInserter& link_nodes(BuildState& b)
{
    const MemoryContext old = MemoryContextSwitchTo(b.graph_context);
    MemoryInserter& inserter = b.has_file ? link_files(b) : make_inserter(b, b.memory_used());
    if (!b.has_file)
        b.graph->finish(inserter);
    MemoryContextSwitchTo(old);
    return inserter;
}

// Scans this participant's part of the table.
void scan_table(BuildState& b, Relation heap, IndexInfo* info, double* heap_tuples)
{
    // From the first block on, also if others scan the table: rows count in the order of their tids.
    *heap_tuples = table_index_build_scan(heap, b.index, info, false, !IsParallelWorker(), add_row,
                                          &b, b.team ? b.team->begin_scan(heap) : nullptr);
    if (b.has_file)
        b.file.flush();
    if (b.team)
        b.team->finish_scan(heap_tuples, &info->ii_BrokenHotChain);
}

}   // namespace

void take_part_in_build(Relation heap, Relation index, IndexInfo* info, BuildTeam& team)
{
    const MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hnsw build", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext old = MemoryContextSwitchTo(context);
    auto* b = new (palloc(sizeof(BuildState)))
        BuildState(index, team.meta<MetaData>(), team.learnt(), &team);
    double heap_tuples = 0;
    scan_table(*b, heap, info, &heap_tuples);
    link_nodes(*b);
    MemoryContextSwitchTo(old);
    MemoryContextDelete(context);
}

IndexBuildResult* build(Relation heap, Relation index, IndexInfo* info)
{
    MetaData meta = new_meta(index);
    const MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hnsw build", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext old = MemoryContextSwitchTo(context);
    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_load);
    const Learnt learnt = am::learn(heap, index, info, IndexEncoding(meta).codec(),
                                    meta.filter_columns, meta.rotation_seed);
    meta.filter_bytes = static_cast<uint32>(learnt.filter.size());
    BuildTeam* const team = BuildTeam::begin(heap, index, info, meta, learnt);
    auto* b = new (palloc(sizeof(BuildState))) BuildState(index, meta, learnt, team);
    double heap_tuples = 0;
    scan_table(*b, heap, info, &heap_tuples);
    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_link);
    MemoryInserter& inserter = link_nodes(*b);
    if (team)
        team->end();
    const MemoryContext before = MemoryContextSwitchTo(b->graph_context);
    graph::ensure_all(*b->store, inserter);
    MemoryContextSwitchTo(before);
    write_graph(*b);

    const double tuples = team ? team->tuples() : b->tuples;
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
    const Learnt learnt = am::learn(nullptr, index, nullptr, IndexEncoding(meta).codec(),
                                    meta.filter_columns, meta.rotation_seed);
    meta.filter_bytes = static_cast<uint32>(learnt.filter.size());
    IndexEncoding encoding(meta);
    encoding.codec().set_parameters(learnt.parameters.data());
    set_flat_centre(encoding, nullptr);
    page::BulkWriter writer(index, INIT_FORKNUM);
    write_head(writer, meta, learnt, encoding);
    writer.finish();
}

}   // namespace quiver::hnsw
