// CREATE INDEX and INSERT. The build scans the table once and makes the graph in memory, in slots
// of the same bytes as on disk; then its pages are written and logged in one pass. When the graph outgrows
// maintenance_work_mem it is written early, the rest of the rows are inserted into the pages, and all of
// them are logged at the end.
#include "pg/pg.hpp"

#include <bit>

#include "hnsw/hnsw.hpp"
#include "core/rng.hpp"
#include "graph/choose_encoding.hpp"
#include "graph/lifecycle.hpp"
#include "graph/memory_store.hpp"
#include "page/chain.hpp"
#include "types/dense.hpp"

extern "C" {
#include "access/tableam.h"
#include "access/xloginsert.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "pgstat.h"
#include "utils/lsyscache.h"
#if __has_include("utils/backend_progress.h")
#include "utils/backend_progress.h"
#endif
}

namespace quiver::am {

// Is there a codec of so many bits a dimension?
static bool is_vector_bits(int bits)
{
    return codec::find_codec({codec::Form::dense, codec::Metric::l2, 1, static_cast<uint32>(bits)});
}

static MetaData new_meta(Relation index)
{
    const Opclass& opclass = opclass_of(index);
    const Options options = options_of(index);
    const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(index), 0);
    int32 dims = column->atttypmod;
    getBaseTypeAndTypmod(column->atttypid, &dims);   // a domain's dimensions are its base type's
    if (dims < 0)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("column does not have dimensions"),
                        errhint("Give the column a type with dimensions, such as %s(384), or index "
                                "an expression with a cast to one.",
                                opclass.type)));
    if (static_cast<uint32>(dims) > opclass.max_dims)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("column cannot have more than %u dimensions for hnsw index",
                               opclass.max_dims)));
    if (options.ef_construction < 2 * options.m)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("ef_construction must be greater than or equal to 2 * m")));
    if (options.sketch_fold > 0 &&
        (opclass.form() == codec::Form::bits
             ? options.sketch_fold > 1
             : opclass.form() == codec::Form::sparse || opclass.metric == codec::Metric::l1))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("this operator class has no sketches of %d coordinates a bit",
                               options.sketch_fold),
                        errhint("Leave sketch_fold at its default.")));
    if (options.vector_bits != graph::choose_bits &&
        !is_vector_bits(options.vector_bits))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("vector_bits must be 0, 1, 2, 4, 8, 12, 16 or 32, not %d",
                               options.vector_bits)));
    graph::EncodingWishes wishes{static_cast<uint32>(options.m)};
    wishes.fold = options.sketch_fold;
    wishes.bits = options.vector_bits;
    wishes.row_bytes = static_cast<uint32>(dims) * (opclass.element == ElementType::f32 ? 4 : 2);
    const graph::EncodingShape encoding = graph::choose_encoding(
        opclass.form(), opclass.metric, static_cast<uint32>(dims), wishes, page::usable_bytes);
    const graph::Layout layout = encoding.layout();
    if (options.vector_bits != 0 && encoding.codec.bits != static_cast<uint32>(options.vector_bits))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("this operator class has no vectors of %d bits a dimension",
                               options.vector_bits),
                        errhint("Leave vector_bits at its default.")));
    if (layout.slots_per_page(page::usable_bytes) == 0)
        ereport(ERROR,
                (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                 errmsg("a node of %u bytes does not fit into a page", layout.slot_bytes),
                 errhint("Use a smaller m, a larger sketch_fold or a smaller vector_bits.")));
    MetaData meta{};
    meta.magic = meta_magic;
    meta.version = graph::format_version;
    meta.metric = opclass.metric;
    meta.form = opclass.form();
    meta.dims = static_cast<uint32>(dims);
    meta.m = static_cast<uint32>(options.m);
    meta.ef_construction = static_cast<uint32>(options.ef_construction);
    meta.degree = encoding.degree;
    meta.fold = encoding.fold;
    meta.bits = static_cast<uint8>(encoding.codec.bits);
    meta.tids = encoding.tids;
    meta.slot_bytes = layout.slot_bytes;
    meta.slots_per_page = layout.slots_per_page(page::usable_bytes);
    meta.rotation_seed = 1;
    meta.entry = meta.root = graph::no_slot;
    meta.entry_level = -1;
    meta.codec_parameters = meta.pending = meta.filter_codes = InvalidBlockNumber;
    meta.first_slot_block = meta_block + 1;
    if (const Size bytes = parameter_bytes(*codec::make_codec(encoding.codec)); bytes > 0) {
        meta.codec_parameters = meta.first_slot_block;
        meta.first_slot_block += page::chain_pages(bytes);
    }
    if (!pg_strong_random(&meta.build_id, sizeof meta.build_id))
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
    return meta;
}

// The meta page, and what the codec has learnt behind it.
static void write_head(page::BulkWriter& writer, const MetaData& meta, const Vec<half>& parameters)
{
    const Page page = writer.next();
    page::init(page, page::Kind::meta);
    *reinterpret_cast<MetaData*>(page::contents_of(page)) = meta;
    page::set_used(page, sizeof(MetaData));
    page::write_chain(writer, reinterpret_cast<const char*>(parameters.data()),
                      parameters.size() * sizeof(half));
}

namespace {

constexpr int phase_load = 2;
constexpr int phase_write = 3;

struct BuildState {
    Relation index;
    MetaData meta;
    IndexEncoding encoding;
    LevelDraw levels;
    VectorReader reader;
    Owned<codec::Training> training;   // while rows are collected for the codec to learn from
    struct Waiting {
        ItemPointerData tid;
        float* x;   // rotated, CodecTraits::padded
    };
    Vec<Waiting> waiting;
    Vec<half> parameters;          // of the codec
    MemoryContext context;         // of this, and of the reader's scratch memory
    MemoryContext graph_context;   // of the memory graph
    graph::MemoryStore* memory;    // null once written
    graph::Inserter<graph::MemoryStore>* memory_inserter;
    SlotStore* relation = nullptr;   // then
    graph::Inserter<SlotStore>* relation_inserter = nullptr;
    double tuples = 0;

    BuildState(Relation rel, const MetaData& m)
        : index(rel), meta(m), encoding(m), levels(m.rotation_seed),
          reader(opclass_of(rel), encoding.codec(), m.rotation_seed),
          training(encoding.codec().training())
    {
        context = CurrentMemoryContext;
        graph_context =
            AllocSetContextCreate(CurrentMemoryContext, "hnsw build graph", ALLOCSET_DEFAULT_SIZES);
        const MemoryContext old = MemoryContextSwitchTo(graph_context);
        memory = new (palloc(sizeof *memory)) graph::MemoryStore(encoding);
        memory_inserter = new (palloc(sizeof *memory_inserter))
            graph::Inserter<graph::MemoryStore>(*memory, m.m, m.ef_construction);
        MemoryContextSwitchTo(old);
    }
};

// Writes the index with the graph as it is in memory, in the order of the ids.
void write_graph(BuildState& b, bool log)
{
    const graph::MemoryStore& store = *b.memory;
    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_write);
    const graph::Entry entry = store.entry();
    b.meta.entry = entry.id;
    b.meta.entry_level = entry.level;
    b.meta.root = entry.root;
    page::BulkWriter writer(b.index, MAIN_FORKNUM, log);
    write_head(writer, b.meta, b.parameters);
    for (graph::SlotId id = 0; id < store.size();) {
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
    b.memory = nullptr;
    MemoryContextDelete(b.graph_context);
}

void insert_row(BuildState& b, ItemPointer tid, const graph::Value& x)
{
    const int level = b.levels.draw(b.encoding.layout().level_base(), graph::max_level);
    if (b.memory && b.memory->bytes() > static_cast<Size>(maintenance_work_mem) * 1024) {
        ereport(NOTICE,
                (errmsg("hnsw graph no longer fits into maintenance_work_mem after %.0f tuples",
                        b.tuples),
                 errdetail("Building will take significantly more time."),
                 errhint("Increase maintenance_work_mem to speed up builds.")));
        write_graph(b, false);
        b.relation = new (palloc(sizeof *b.relation)) SlotStore(b.index, b.meta, b.encoding, true);
        b.relation_inserter = new (palloc(sizeof *b.relation_inserter))
            graph::Inserter<SlotStore>(*b.relation, b.meta.m, b.meta.ef_construction);
        pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_load);
    }
    if (b.memory) {
        const MemoryContext old = MemoryContextSwitchTo(b.graph_context);
        b.memory_inserter->insert(x, to_tid(tid), level);
        MemoryContextSwitchTo(old);
    } else
        b.relation_inserter->insert(x, to_tid(tid), level);
    b.tuples++;
    pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, static_cast<int64>(b.tuples));
    CHECK_FOR_INTERRUPTS();
}

// The codec learns from the rows that wait for that; then they are inserted.
void train(BuildState& b)
{
    codec::Codec& codec = b.encoding.codec();
    b.parameters.resize(codec.parameter_count());
    b.training->finish(b.meta.rotation_seed, b.parameters.data(), pg::poll);
    b.training.reset();
    codec.set_parameters(b.parameters.data());
    for (BuildState::Waiting& w : b.waiting) {
        codec.prepare(w.x);
        graph::Value x;
        x.dense = w.x;
        insert_row(b, &w.tid, x);
        pfree(w.x);
    }
    b.waiting.clear();
}

void add_row(Relation, ItemPointer tid, Datum* values, bool* isnull, bool, void* arg)
{
    pg::guarded([&] {
        auto& b = *static_cast<BuildState*>(arg);
        if (isnull[0])
            return;
        const MemoryContext old = MemoryContextSwitchTo(b.context);
        graph::Value x;
        if (!b.reader.read(values[0], &x))
            ;
        else if (b.training) {
            b.training->add(x);
            const uint32 n = b.encoding.codec().traits.padded;
            auto* copy = static_cast<float*>(palloc(n * sizeof(float)));
            std::copy(x.dense, x.dense + n, copy);
            b.waiting.push_back({*tid, copy});
            if (b.training->has_enough())
                train(b);
        } else
            insert_row(b, tid, x);
        MemoryContextSwitchTo(old);
    });
}

}   // namespace

IndexBuildResult* build(Relation heap, Relation index, IndexInfo* info)
{
    const MetaData meta = new_meta(index);
    const MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hnsw build", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext old = MemoryContextSwitchTo(context);
    auto* b = new (palloc(sizeof(BuildState))) BuildState(index, meta);

    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_load);
    const double heap_tuples =
        table_index_build_scan(heap, index, info, true, true, add_row, b, nullptr);
    if (b->training)
        train(*b);
    if (b->memory) {
        const MemoryContext before = MemoryContextSwitchTo(b->graph_context);
        graph::ensure_all(*b->memory, *b->memory_inserter);
        MemoryContextSwitchTo(before);
        write_graph(*b, true);
    } else {
        b->relation->count_pages();
        graph::ensure_all(*b->relation, *b->relation_inserter);
        if (RelationNeedsWAL(index))
            log_newpage_range(index, MAIN_FORKNUM, 0, RelationGetNumberOfBlocks(index), true);
    }

    const double tuples = b->tuples;
    MemoryContextSwitchTo(old);
    MemoryContextDelete(context);
    auto* result = static_cast<IndexBuildResult*>(palloc(sizeof(IndexBuildResult)));
    result->heap_tuples = heap_tuples;
    result->index_tuples = tuples;
    return result;
}

// The init fork of an unlogged index: what it is after a crash.
void build_empty(Relation index)
{
    const MetaData meta = new_meta(index);
    const IndexEncoding encoding(meta);
    Vec<half> parameters(encoding.codec().parameter_count());
    if (const Owned<codec::Training> training = encoding.codec().training())
        training->finish(meta.rotation_seed, parameters.data(), pg::poll);
    page::BulkWriter writer(index, INIT_FORKNUM, true);
    write_head(writer, meta, parameters);
    writer.finish();
}

// ---- INSERT ----

namespace {

// What a statement that inserts keeps from row to row.
struct InsertState {
    MemoryContext context;
    MetaData meta;
    IndexEncoding encoding;
    VectorReader reader;
    SlotStore store;
    graph::Inserter<SlotStore> inserter;
    LevelDraw levels;

    InsertState(Relation index, const MetaData& m, MemoryContext c)
        : context(c), meta(m), encoding(index, m),
          reader(opclass_of(index), encoding.codec(), m.rotation_seed), store(index, meta, encoding), inserter(store, m.m, m.ef_construction),
          levels(static_cast<uint64>(MyProcPid) << 32 ^ static_cast<uint64>(GetCurrentTimestamp()))
    {
    }
};

}   // namespace

bool insert(QUIVER_AMINSERT_ARGS)
{
    return pg::guarded([&] {
        if (isnull[0])
            return false;
        auto* s = static_cast<InsertState*>(info->ii_AmCache);
        if (!s) {
            const MemoryContext context =
                AllocSetContextCreate(info->ii_Context, "hnsw insert", ALLOCSET_DEFAULT_SIZES);
            const MemoryContext old = MemoryContextSwitchTo(context);
            s = new (palloc(sizeof(InsertState))) InsertState(index, read_meta(index), context);
            info->ii_AmCache = s;
            MemoryContextSwitchTo(old);
        }
        s->store.refresh(index);
        const MemoryContext old = MemoryContextSwitchTo(s->context);
        graph::Value x;
        if (s->reader.read(values[0], &x))
            s->inserter.insert(x, to_tid(tid),
                               s->levels.draw(s->encoding.layout().level_base(), graph::max_level));
        MemoryContextSwitchTo(old);
        return false;
    });
}

}   // namespace quiver::am
