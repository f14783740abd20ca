#include "pg/pg.hpp"

#include "am/recall.hpp"

#include "am/filtered_queries.hpp"
#include "am/operator_class.hpp"
#include "am/owner.hpp"
#include "am/rows.hpp"
#include "core/heap.hpp"
#include "core/rng.hpp"
#include "pg/result_row.hpp"

extern "C" {
#include "access/genam.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
}

namespace quiver::am {

namespace {

class Recall {
  public:
    // condition: null, or what all rows must fulfil
    Recall(const RecallKind& kind, ReturnSetInfo* result, Relation heap, Relation index, int k,
           const char* condition)
        : kind_(kind), result_(result), heap_(heap), index_(index), k_(static_cast<size_t>(k)),
          snapshot_(RegisterSnapshot(GetTransactionSnapshot()))
    {
        if (condition)
            filtered_.emplace(heap, index, condition);
        const Oid type = index->rd_opcintype[0];
        const Oid op = get_opfamily_member(index->rd_opfamily[0], type, type, 1);
        fmgr_info(get_opcode(op), &distance_);
        of_row_ = AllocSetContextCreate(context_, "recall", ALLOCSET_DEFAULT_SIZES);
    }

    // Takes rows of the table as queries, of those that fulfil the condition. Such a row is its own
    // nearest row, which is easy to find.
    // So each query asks for one more row, and the row itself is not counted. (Under inner product,
    // other rows may be nearer.)
    void sample(int count)
    {
        sample_ = static_cast<size_t>(count);
        own_ = metric().geometry == codec::Geometry::inner_product ? 0 : 1;
        for_each_row([&](Datum value) { consider(value); });
    }
    void given(ArrayType* array)
    {
        if (getBaseType(ARR_ELEMTYPE(array)) != index_->rd_opcintype[0])
            ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                            errmsg("queries have type %s, but index \"%s\" has type %s",
                                   format_type_be(ARR_ELEMTYPE(array)),
                                   RelationGetRelationName(index_), opclass_of(index_).type)));
        Datum* elements;
        bool* nulls;
        int count;
        int16 length;
        bool by_value;
        char align;
        get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
        deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align, &elements, &nulls,
                          &count);
        for (int i = 0; i < count; i++)
            if (!nulls[i] && directed(elements[i]))
                queries_.push_back(elements[i]);
    }

    void run()
    {
        exact_.resize(queries_.size());
        for (KNearest<double>& e : exact_) {
            e.reset(k_ + own_);
            e.reserve();
        }
        for_each_row([&](Datum value) {
            for (size_t i = 0; i < queries_.size(); i++)
                exact_[i].add(distance(value, queries_[i]));
        });
        size_t wanted = 0;
        for (const KNearest<double>& e : exact_)
            wanted += e.size() - std::min(e.size(), own_);
        if (wanted > 0) {
            if (kind_.reset)
                set(kind_.reset, "0");
            const int most = kind_.most(index_);
            // This fills the cache for the searches that are timed.
            search(pg_strtoint32(GetConfigOption(kind_.setting, false, false)));
            for (int value = kind_.least;; value *= 2)
                if (report(value, wanted) || value >= most)
                    break;
        }
        UnregisterSnapshot(snapshot_);
    }

  private:
    double distance(Datum a, Datum b)
    {
        return DatumGetFloat8(FunctionCall2Coll(&distance_, index_->rd_indcollation[0], a, b));
    }
    const codec::MetricTraits& metric() const
    {
        return codec::traits_of(opclass_of(index_).metric);
    }
    // The zero vector has no direction, so under cosine distance all rows are equally near to it.
    bool directed(Datum value) { return !metric().prepare || !std::isnan(distance(value, value)); }

    // Calls f(value) for each row that is visible to the snapshot, belongs into the index, and fulfils the condition.
    template <class F>
    void for_each_row(F&& f)
    {
        const auto row = [&](Datum value) {
            const MemoryContext old = MemoryContextSwitchTo(of_row_);
            f(PointerGetDatum(PG_DETOAST_DATUM(value)));
            MemoryContextSwitchTo(old);
            MemoryContextReset(of_row_);
        };
        if (filtered_) {
            PushActiveSnapshot(snapshot_);
            filtered_->for_each_row(row);
            PopActiveSnapshot();
            return;
        }
        for_each_indexed_row(
            heap_, index_, snapshot_,
            [&](ItemPointer, const Datum* values, const bool*) { row(values[0]); });
    }

    // A uniform sample (Vitter 1985, algorithm R), the same each time.
    void consider(Datum value)
    {
        if (!directed(value))
            return;
        seen_++;
        const bool room = queries_.size() < sample_;
        const size_t at = room ? queries_.size() : static_cast<size_t>(rng_.next() % seen_);
        if (at >= sample_)
            return;
        const MemoryContext old = MemoryContextSwitchTo(context_);
        const Datum copy = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
        if (room)
            queries_.push_back(copy);
        else {
            pfree(DatumGetPointer(queries_[at]));
            queries_[at] = copy;
        }
        MemoryContextSwitchTo(old);
    }

    // Until the end of the function.
    static void set(const char* setting, const char* value)
    {
        set_config_option(setting, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                          false);
    }
    // Runs all queries with this value of the setting, as the executor does for LIMIT k. Returns how many of
    // the nearest rows it found.
    size_t search(int value)
    {
        set(kind_.setting, psprintf("%d", value));
        work_ = 0;
        return filtered_ ? search_filtered() : search_all();
    }
    size_t search_filtered()
    {
        size_t found = 0;
        PushActiveSnapshot(snapshot_);
        for (size_t i = 0; i < queries_.size(); i++) {
            nearest_.reset(k_ + own_);
            filtered_->search(queries_[i], k_ + own_, [&](double d) { nearest_.add(d); });
            found += hits(i);
        }
        PopActiveSnapshot();
        return found;
    }
    size_t search_all()
    {
        info_ = BuildIndexInfo(index_);
        executor_ = CreateExecutorState();
        slot_ = table_slot_create(heap_, nullptr);
        GetPerTupleExprContext(executor_)->ecxt_scantuple = slot_;
        const IndexScanDesc scan = pg::begin_index_scan(heap_, index_, snapshot_, 0, 1);
        ScanKeyData key = order_key();
        size_t found = 0;
        for (size_t i = 0; i < queries_.size(); i++) {
            CHECK_FOR_INTERRUPTS();
            key.sk_argument = queries_[i];
            index_rescan(scan, nullptr, 0, &key, 1);
            take_nearest(scan, queries_[i]);
            found += hits(i);
        }
        index_endscan(scan);
        ExecDropSingleTupleTableSlot(slot_);
        FreeExecutorState(executor_);
        return found;
    }
    // How many of the nearest rows to a query are in nearest_. Adds the work of its search.
    size_t hits(size_t query)
    {
        work_ += static_cast<double>(kind_.work());
        const KNearest<double>& exact = exact_[query];
        const size_t hits = exact.size() > 0 ? nearest_.within(exact.farthest()) : 0;
        return std::min(hits, exact.size()) - std::min(hits, own_);
    }
    ScanKeyData order_key() const
    {
        ScanKeyData key{};
        key.sk_flags = SK_ORDER_BY;
        key.sk_attno = 1;
        key.sk_strategy = 1;
        key.sk_subtype = index_->rd_opcintype[0];
        key.sk_collation = index_->rd_indcollation[0];
        key.sk_func = distance_;
        return key;
    }
    // Takes rows until the k nearest of them are nearer than any row that can still come.
    void take_nearest(IndexScanDesc scan, Datum query)
    {
        ExprContext* of_row = GetPerTupleExprContext(executor_);
        nearest_.reset(k_ + own_);
        while (index_getnext_slot(scan, ForwardScanDirection, slot_)) {
            if (nearest_.full() && nearest_.farthest() <= DatumGetFloat8(scan->xs_orderbyvals[0]))
                break;
            Datum values[INDEX_MAX_KEYS];
            bool nulls[INDEX_MAX_KEYS];
            const MemoryContext old = MemoryContextSwitchTo(of_row->ecxt_per_tuple_memory);
            FormIndexDatum(info_, slot_, executor_, values, nulls);
            const double to_row = distance(values[0], query);
            MemoryContextSwitchTo(old);
            nearest_.add(to_row);
            ResetExprContext(of_row);
        }
    }

    // Returns one row of the result. True if all of the nearest rows were found.
    bool report(int value, size_t wanted)
    {
        instr_time start, end;
        INSTR_TIME_SET_CURRENT(start);
        const size_t found = search(value);
        INSTR_TIME_SET_CURRENT(end);
        INSTR_TIME_SUBTRACT(end, start);
        const auto count = static_cast<double>(queries_.size());
        pg::ResultRow row;
        row.int4(value);
        row.float8(static_cast<double>(found) / static_cast<double>(wanted));
        row.float8(INSTR_TIME_GET_MILLISEC(end) / count);
        row.float8(work_ / count);
        row.put(result_);
        return found == wanted;
    }

    const RecallKind& kind_;
    ReturnSetInfo* result_;
    Relation heap_, index_;
    size_t k_, own_ = 0;
    Snapshot snapshot_;
    FmgrInfo distance_{};
    MemoryContext context_ = CurrentMemoryContext;
    MemoryContext of_row_;
    Rng rng_{1};
    size_t sample_ = 0;
    uint64 seen_ = 0;
    Vec<Datum> queries_;
    Vec<KNearest<double>> exact_;
    std::optional<FilteredQueries> filtered_;
    // The state of one search().
    IndexInfo* info_ = nullptr;
    EState* executor_ = nullptr;
    TupleTableSlot* slot_ = nullptr;
    KNearest<double> nearest_;
    double work_ = 0;
};

// Makes functions of a condition run as the table's owner, like those of the index. Whoever may measure the recall has
// the owner's privileges, so this gives nobody more of them; and a superuser runs no code as a superuser. The names in
// the condition are the caller's: since PostgreSQL 17, the owner's part has another search_path.
void take_search_path(const char* path)
{
    set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                      false);
}

}   // namespace

Datum recall(FunctionCallInfo fcinfo, const RecallKind& kind, bool given)
{
    if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2)) {
        pg::materialize(fcinfo);
        return static_cast<Datum>(0);
    }
    const char* condition = PG_ARGISNULL(3) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(3));
    const Oid oid = PG_GETARG_OID(0);
    const int k = PG_GETARG_INT32(given ? 2 : 1);
    if (k < 1 || k > 10000)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("k must be between 1 and 10000, not %d", k)));
    const int sample = given ? 0 : PG_GETARG_INT32(2);
    if (!given && (sample < 1 || sample > 10000))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("sample must be between 1 and 10000 rows, not %d", sample)));
    const TableOfIndex t(oid, kind.method, AccessShareLock);
    t.need_valid();

    // Functions in the index's expression or predicate run as the table's owner.
    const char* path = pstrdup(namespace_search_path);
    const AsOwner as_owner(t.heap);
    ReturnSetInfo* result = pg::materialize(fcinfo);
    if (condition) {
        take_search_path(path);
        SPI_connect();
    }
    auto* r = new (palloc(sizeof(Recall))) Recall(kind, result, t.heap, t.index, k, condition);
    if (given)
        r->given(PG_GETARG_ARRAYTYPE_P(1));
    else
        r->sample(sample);
    r->run();
    if (condition)
        SPI_finish();
    as_owner.end();
    t.close();
    return static_cast<Datum>(0);
}

}   // namespace quiver::am
