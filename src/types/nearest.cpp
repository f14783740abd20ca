// l2_nearest and similar aggregates, which find the nearest of many codes. They compare some
// hundred codes at a time. That costs a fraction of calling an operator for each code.
#include "pg/pg.hpp"

#include "types/quantizer.hpp"

#include "codec/nearest.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/primnodes.h"
#include "storage/itemptr.h"
#include "utils/array.h"
}

namespace quiver {
namespace {

enum class By : uint8 { l2, ip, cosine };

// Rows are identified by a bigint or by their ctid.
int64 number_of(ItemPointer tid)
{
    return int64{ItemPointerGetBlockNumberNoCheck(tid)} << 16 |
           ItemPointerGetOffsetNumberNoCheck(tid);
}

Datum name_of(int64 number, bool tids)
{
    if (!tids)
        return Int64GetDatum(number);
    auto* tid = static_cast<ItemPointer>(palloc(sizeof(ItemPointerData)));
    ItemPointerSet(tid, static_cast<BlockNumber>(number >> 16),
                   static_cast<OffsetNumber>(number & 0xffff));
    return PointerGetDatum(tid);
}

class NearestState {
  public:
    static constexpr int most = 1000000;   // the largest k

    NearestState(int k, bool tids) : tids_(tids), nearest_(static_cast<size_t>(k)) {}

    void set_query(By by, const QuantizedQuery* query)
    {
        by_ = by;
        const Size bytes = VARSIZE(query);
        query_ = static_cast<QuantizedQuery*>(palloc(bytes));
        std::memcpy(query_, query, bytes);
        const Size n = query_->code_bytes;
        codes_ = static_cast<uint8*>(palloc(at_once * n));
        if (query_->kind == QuantizerKind::product && by != By::cosine)
            product_ = new (palloc(sizeof(codec::ProductNearest)))
                codec::ProductNearest(query_->bits, n, query_->parts + (by == By::ip ? n * 256 : 0),
                                      by == By::ip ? -1.0f : 1.0f);
    }
    bool has_query(const QuantizedQuery* query) const
    {
        return VARSIZE(query) == VARSIZE(query_) && std::memcmp(query, query_, VARSIZE(query)) == 0;
    }
    bool tids() const { return tids_; }
    Size k() const { return nearest_.k(); }

    void add(const QuantizedCode& code, int64 id)
    {
        if (!product_) {
            const QuantizedPair pair(code, query_);
            nearest_.add(static_cast<float>(by_ == By::l2   ? pair.l2sq()
                                            : by_ == By::ip ? -pair.ip()
                                                            : pair.cosine()),
                         id);
            return;
        }
        code.check(query_->fingerprint, query_->code_bytes);
        std::memcpy(codes_ + waiting_ * code.count, code.bytes, code.count);
        ids_[waiting_++] = id;
        if (waiting_ == at_once)
            flush();
    }
    void add(const codec::Nearest::Found& f) { nearest_.add(f.distance, f.id); }

    // The nearest of all codes that were added, in no particular order. `context` must be that of
    // the aggregate, because the result stays in the state.
    const Vec<codec::Nearest::Found>& found(MemoryContext context)
    {
        const MemoryContext old = MemoryContextSwitchTo(context);
        flush();
        MemoryContextSwitchTo(old);
        return nearest_.found();
    }

  private:
    static constexpr Size at_once = 256;

    void flush()
    {
        if (waiting_ > 0)
            product_->add(codes_, query_->code_bytes, waiting_, ids_, &nearest_);
        waiting_ = 0;
    }

    By by_ = By::l2;
    bool tids_;
    QuantizedQuery* query_ = nullptr;   // null if the state came from another process
    codec::ProductNearest* product_ = nullptr;
    codec::Nearest nearest_;
    Size waiting_ = 0;
    uint8* codes_ = nullptr;
    int64 ids_[at_once];
};

MemoryContext aggregate_context(FunctionCallInfo fcinfo)
{
    MemoryContext context;
    if (!AggCheckCallContext(fcinfo, &context))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("aggregate function called in non-aggregate context")));
    return context;
}

// Is argument i of the aggregate a value that is the same for all rows?
bool is_fixed(FunctionCallInfo fcinfo, int i)
{
    const Aggref* aggref = AggGetAggref(fcinfo);
    if (!aggref)
        return false;
    const Node* argument =
        reinterpret_cast<Node*>(static_cast<TargetEntry*>(list_nth(aggref->args, i))->expr);
    return IsA(argument, Const) || IsA(argument, Param);
}

// The arguments are state, id, code, query, k.
Datum accumulate(FunctionCallInfo fcinfo, By by, bool tids)
{
    const MemoryContext context = aggregate_context(fcinfo);
    auto* state = PG_ARGISNULL(0) ? nullptr : reinterpret_cast<NearestState*>(PG_GETARG_POINTER(0));
    for (int i = 1; i < 5; i++)
        if (PG_ARGISNULL(i)) {
            if (!state)
                PG_RETURN_NULL();
            PG_RETURN_POINTER(state);
        }
    const int k = PG_GETARG_INT32(4);
    const QuantizedCode code(PG_GETARG_DATUM(2));
    const auto query = [&] {
        return reinterpret_cast<QuantizedQuery*>(PG_DETOAST_DATUM(PG_GETARG_DATUM(3)));
    };
    if (!state) {
        if (k < 1 || k > NearestState::most)
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("k must be between 1 and %d, not %d", NearestState::most, k)));
        const QuantizedQuery* q = query();
        const MemoryContext old = MemoryContextSwitchTo(context);
        state = new (palloc(sizeof(NearestState))) NearestState(k, tids);
        state->set_query(by, q);
        MemoryContextSwitchTo(old);
        fcinfo->flinfo->fn_extra = is_fixed(fcinfo, 2) ? fcinfo->flinfo : nullptr;
    } else if (static_cast<Size>(k) != state->k() ||
               (!fcinfo->flinfo->fn_extra && !state->has_query(query())))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("the query and k must be the same for all rows of a group"),
                        errhint("Compute the query once, in a scalar subquery.")));
    const MemoryContext old = MemoryContextSwitchTo(context);
    state->add(code, tids ? number_of(reinterpret_cast<ItemPointer>(PG_GETARG_POINTER(1)))
                          : PG_GETARG_INT64(1));
    MemoryContextSwitchTo(old);
    PG_RETURN_POINTER(state);
}

// What a serialized state begins with. The rows that were found follow.
struct Sent {
    int32 k;
    bool tids;
};

}   // namespace
}   // namespace quiver

using namespace quiver;

QUIVER_FUNCTION(l2_nearest_accum) { return accumulate(fcinfo, By::l2, false); }
QUIVER_FUNCTION(ip_nearest_accum) { return accumulate(fcinfo, By::ip, false); }
QUIVER_FUNCTION(cosine_nearest_accum) { return accumulate(fcinfo, By::cosine, false); }
QUIVER_FUNCTION(l2_nearest_tid_accum) { return accumulate(fcinfo, By::l2, true); }
QUIVER_FUNCTION(ip_nearest_tid_accum) { return accumulate(fcinfo, By::ip, true); }
QUIVER_FUNCTION(cosine_nearest_tid_accum) { return accumulate(fcinfo, By::cosine, true); }

QUIVER_FUNCTION(nearest_final)
{
    if (PG_ARGISNULL(0))
        PG_RETURN_NULL();
    auto* state = reinterpret_cast<NearestState*>(PG_GETARG_POINTER(0));
    // Sorts a copy, because in a window more rows may be added to the state.
    Vec<codec::Nearest::Found> found = state->found(aggregate_context(fcinfo));
    std::sort(found.begin(), found.end());
    auto* names = static_cast<Datum*>(palloc(std::max<Size>(found.size(), 1) * sizeof(Datum)));
    for (Size i = 0; i < found.size(); i++)
        names[i] = name_of(found[i].id, state->tids());
    PG_RETURN_ARRAYTYPE_P(state->tids()
                              ? construct_array(names, static_cast<int>(found.size()), TIDOID,
                                                sizeof(ItemPointerData), false, TYPALIGN_SHORT)
                              : construct_array(names, static_cast<int>(found.size()), INT8OID,
                                                sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

QUIVER_FUNCTION(nearest_combine)
{
    const MemoryContext context = aggregate_context(fcinfo);
    auto* state = PG_ARGISNULL(0) ? nullptr : reinterpret_cast<NearestState*>(PG_GETARG_POINTER(0));
    auto* other = PG_ARGISNULL(1) ? nullptr : reinterpret_cast<NearestState*>(PG_GETARG_POINTER(1));
    if (!other) {
        if (!state)
            PG_RETURN_NULL();
        PG_RETURN_POINTER(state);
    }
    const MemoryContext old = MemoryContextSwitchTo(context);
    if (!state)
        state = new (palloc(sizeof(NearestState)))
            NearestState(static_cast<int>(other->k()), other->tids());
    for (const codec::Nearest::Found& f : other->found(context))
        state->add(f);
    MemoryContextSwitchTo(old);
    PG_RETURN_POINTER(state);
}

QUIVER_FUNCTION(nearest_serialize)
{
    auto* state = reinterpret_cast<NearestState*>(PG_GETARG_POINTER(0));
    const Vec<codec::Nearest::Found>& found = state->found(aggregate_context(fcinfo));
    const Size bytes = sizeof(Sent) + found.size() * sizeof(codec::Nearest::Found);
    auto* result = static_cast<bytea*>(palloc0(VARHDRSZ + bytes));
    SET_VARSIZE(result, VARHDRSZ + bytes);
    const Sent sent{static_cast<int32>(state->k()), state->tids()};
    std::memcpy(VARDATA(result), &sent, sizeof(Sent));
    std::memcpy(VARDATA(result) + sizeof(Sent), found.data(),
                found.size() * sizeof(codec::Nearest::Found));
    PG_RETURN_BYTEA_P(result);
}

QUIVER_FUNCTION(nearest_deserialize)
{
    aggregate_context(fcinfo);
    const bytea* bytes = PG_GETARG_BYTEA_PP(0);
    Sent sent;
    std::memcpy(&sent, VARDATA_ANY(bytes), sizeof(Sent));
    auto* state = new (palloc(sizeof(NearestState))) NearestState(sent.k, sent.tids);
    const char* at = VARDATA_ANY(bytes) + sizeof(Sent);
    const char* end = VARDATA_ANY(bytes) + VARSIZE_ANY_EXHDR(bytes);
    for (; at < end; at += sizeof(codec::Nearest::Found)) {
        codec::Nearest::Found f;
        std::memcpy(&f, at, sizeof f);
        state->add(f);
    }
    PG_RETURN_POINTER(state);
}
