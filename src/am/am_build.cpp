// CREATE INDEX and INSERT. The build scans the table once and makes the graph in memory, in slots
// of the same bytes as on disk; then the slots are written in order and the pages logged whole. When
// the graph outgrows maintenance_work_mem it is written early, and the rest of the rows are
// inserted into the pages.
#include "pg/pg.hpp"

#include <bit>

#include "am/am.hpp"
#include "core/rng.hpp"
#include "graph/connect.hpp"
#include "graph/memory_store.hpp"
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
        (opclass.form() == graph::Form::bits
             ? options.sketch_fold > 1
             : opclass.form() == graph::Form::sparse || opclass.metric == graph::Metric::l1))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("this operator class has no sketches of %d coordinates a bit",
                               options.sketch_fold),
                        errhint("Leave sketch_fold at its default.")));
    if (options.vector_bits != graph::choose_bits &&
        !graph::is_vector_bits(static_cast<uint32>(options.vector_bits)))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("vector_bits must be 0, 1, 2, 4, 8, 12, 16 or 32, not %d",
                               options.vector_bits)));
    graph::LayoutWishes wishes{static_cast<uint32>(options.m)};
    wishes.fold = options.sketch_fold;
    wishes.bits = options.vector_bits;
    wishes.row_bytes = static_cast<uint32>(dims) * (opclass.element == ElementType::f32 ? 4 : 2);
    const graph::Layout layout = graph::choose_layout(
        opclass.form(), opclass.metric, static_cast<uint32>(dims), wishes, usable_bytes);
    if (options.vector_bits != 0 && options.vector_bits != 8 && !layout.rotated())
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("this operator class has no vectors of %d bits a dimension",
                               options.vector_bits),
                        errhint("Leave vector_bits at its default.")));
    if (layout.slots_per_page(usable_bytes) == 0)
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
    meta.degree = layout.degree;
    meta.fold = layout.fold;
    meta.bits = static_cast<uint8>(layout.bits);
    meta.tids = static_cast<uint8>(layout.tids);
    meta.centred = can_have_centre(layout);
    meta.slot_bytes = layout.slot_bytes;
    meta.slots_per_page = layout.slots_per_page(usable_bytes);
    meta.rotation_seed = 1;
    meta.entry = graph::no_slot;
    meta.entry_level = -1;
    return meta;
}

using Codebook = half[quant::SharedCodebook::floats_of(quant::SharedCodebook::max_length)];

// The meta page; with room for a codebook and a centre, if there are to be any.
static void write_empty(Relation index, ForkNumber fork, const MetaData& meta,
                        const Codebook* codebook)
{
    const graph::Layout layout = meta.layout();
    const Size bytes = codebook_bytes(layout) + (meta.centred ? centre_bytes(layout) : 0);
    const Buffer buffer = pg::extend_relation(index, fork, false);
    const Page page = BufferGetPage(buffer);
    init_page(page, kind_meta);
    *reinterpret_cast<MetaData*>(PageGetContents(page)) = meta;
    if (codebook)
        std::memcpy(codebook_in(page), *codebook, codebook_bytes(layout));
    reinterpret_cast<PageHeader>(page)->pd_lower = static_cast<LocationIndex>(
        static_cast<char*>(PageGetContents(page)) + sizeof(MetaData) + bytes - page);
    MarkBufferDirty(buffer);
    UnlockReleaseBuffer(buffer);
}

namespace {

constexpr int phase_load = 2;
constexpr int phase_write = 3;

struct BuildState {
    Relation index;
    MetaData meta;
    IndexLayout layout;
    Rng rng;
    VectorReader reader;
    quant::SharedTrainer* trainer =
        nullptr;   // while rows are collected to train the codebook from
    struct Waiting {
        ItemPointerData tid;
        float* x;   // rotated, layout.padded
    };
    Vec<Waiting> waiting;
    MemoryContext context;         // of this, and of the reader's scratch memory
    MemoryContext graph_context;   // of the memory graph
    graph::MemoryStore* memory;    // null once written
    graph::Inserter<graph::MemoryStore>* memory_inserter;
    RelationStore* relation = nullptr;
    graph::Inserter<RelationStore>* relation_inserter = nullptr;
    double tuples = 0;

    BuildState(Relation rel, const MetaData& m)
        : index(rel), meta(m), layout(m), rng(m.rotation_seed),
          reader(opclass_of(rel), layout, m.rotation_seed)
    {
        context = CurrentMemoryContext;
        if (layout.coarse())
            trainer = new (palloc(sizeof *trainer)) quant::SharedTrainer(layout.subvector());
        graph_context =
            AllocSetContextCreate(CurrentMemoryContext, "hnsw build graph", ALLOCSET_DEFAULT_SIZES);
        const MemoryContext old = MemoryContextSwitchTo(graph_context);
        memory = new (palloc(sizeof *memory)) graph::MemoryStore(layout);
        memory_inserter = new (palloc(sizeof *memory_inserter))
            graph::Inserter<graph::MemoryStore>(*memory, m.m, m.ef_construction);
        MemoryContextSwitchTo(old);
    }
};

// Writes the memory graph into pages, in the order of the ids.
void write_graph(BuildState& b)
{
    const graph::MemoryStore& store = *b.memory;
    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_write);
    for (graph::SlotId id = 0; id < store.size();) {
        CHECK_FOR_INTERRUPTS();
        const Buffer buffer = pg::extend_relation(b.index, MAIN_FORKNUM, false);
        const Page page = BufferGetPage(buffer);
        init_page(page, kind_slots);
        char* at = static_cast<char*>(PageGetContents(page));
        for (uint32 i = 0; i < b.meta.slots_per_page && id < store.size(); i++, id++) {
            std::memcpy(at, store.slot(id).data(), b.layout.slot_bytes);
            at += b.layout.slot_bytes;
        }
        reinterpret_cast<PageHeader>(page)->pd_lower = static_cast<LocationIndex>(at - page);
        MarkBufferDirty(buffer);
        UnlockReleaseBuffer(buffer);
    }
    b.relation = new (palloc(sizeof *b.relation)) RelationStore(b.index, b.meta, b.layout, true);
    const graph::Entry entry = store.entry();
    if (!entry.empty())
        b.relation->raise_entry(entry);
    b.memory = nullptr;
    MemoryContextDelete(b.graph_context);
}

void insert_row(BuildState& b, ItemPointer tid, const graph::Value& x)
{
    const int level = draw_level(b.rng, b.layout.level_base(), graph::max_level);
    if (b.memory && b.memory->bytes() > static_cast<Size>(maintenance_work_mem) * 1024) {
        ereport(NOTICE,
                (errmsg("hnsw graph no longer fits into maintenance_work_mem after %.0f tuples",
                        b.tuples),
                 errdetail("Building will take significantly more time."),
                 errhint("Increase maintenance_work_mem to speed up builds.")));
        write_graph(b);
        b.relation_inserter = new (palloc(sizeof *b.relation_inserter))
            graph::Inserter<RelationStore>(*b.relation, b.meta.m, b.meta.ef_construction);
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

// Trains the codebook from the rows that wait for it, and inserts them.
void train(BuildState& b)
{
    Codebook codebook;
    Vec<half> centre(b.meta.centred ? b.layout.padded : 0);
    if (b.meta.centred) {
        b.trainer->centre(centre.data(), b.layout.padded);
        b.layout.set_centre(centre.data());
    }
    b.trainer->train(b.meta.rotation_seed, codebook, pg::poll);
    b.trainer = nullptr;
    b.layout.set_codebook(codebook);
    const Buffer buffer = ReadBuffer(b.index, meta_block);
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    std::memcpy(codebook_in(BufferGetPage(buffer)), codebook, codebook_bytes(b.layout));
    std::copy(centre.begin(), centre.end(), centre_in(BufferGetPage(buffer), b.layout));
    MarkBufferDirty(buffer);
    UnlockReleaseBuffer(buffer);
    for (BuildState::Waiting& w : b.waiting) {
        graph::Value x;
        b.layout.subtract_centre(w.x);
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
        else if (b.trainer) {
            b.trainer->add(x.dense, b.layout.padded);
            auto* copy = static_cast<float*>(palloc(b.layout.padded * sizeof(float)));
            std::copy(x.dense, x.dense + b.layout.padded, copy);
            b.waiting.push_back({*tid, copy});
            if (b.trainer->full())
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
    write_empty(index, MAIN_FORKNUM, meta, nullptr);
    auto* b = new (palloc(sizeof(BuildState))) BuildState(index, meta);

    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase_load);
    const double heap_tuples =
        table_index_build_scan(heap, index, info, true, true, add_row, b, nullptr);
    if (b->trainer)
        train(*b);
    if (b->memory) {
        const MemoryContext before = MemoryContextSwitchTo(b->graph_context);
        graph::connect_all(*b->memory, *b->memory_inserter, b->memory->size());
        MemoryContextSwitchTo(before);
        write_graph(*b);
    } else
        graph::connect_all(*b->relation, *b->relation_inserter,
                           b->relation->first_id(b->relation->blocks()));
    if (RelationNeedsWAL(index))
        log_newpage_range(index, MAIN_FORKNUM, 0, RelationGetNumberOfBlocks(index), true);

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
    Codebook codebook;
    if (const graph::Layout layout = meta.layout(); layout.coarse())
        quant::SharedTrainer(layout.subvector()).train(meta.rotation_seed, codebook, pg::poll);
    write_empty(index, INIT_FORKNUM, meta, &codebook);
    log_newpage_range(index, INIT_FORKNUM, 0, 1, true);
}

// ---- INSERT ----

namespace {

// What a statement that inserts keeps from row to row.
struct InsertState {
    MemoryContext context;
    MetaData meta;
    IndexLayout layout;
    VectorReader reader;
    RelationStore store;
    graph::Inserter<RelationStore> inserter;
    Rng rng;

    InsertState(Relation index, const MetaData& m, MemoryContext c)
        : context(c), meta(m), layout(index, m), reader(opclass_of(index), layout, m.rotation_seed),
          store(index, meta, layout), inserter(store, m.m, m.ef_construction),
          rng(static_cast<uint64>(MyProcPid) << 32 ^ static_cast<uint64>(GetCurrentTimestamp()))
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
                               draw_level(s->rng, s->layout.level_base(), graph::max_level));
        MemoryContextSwitchTo(old);
        return false;
    });
}

}   // namespace quiver::am
