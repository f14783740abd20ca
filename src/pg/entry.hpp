// The border between PostgreSQL and C++. Every call from PostgreSQL into C++ runs in guarded(),
// which turns exceptions into ereport. PostgreSQL's own errors leave C++ frames by longjmp, which
// skips destructors. So such a frame may own only what transaction abort frees (palloc, pins,
// locks).
#pragma once

#include "pg/pg.hpp"

#include "core/assert.hpp"
#include "core/error.hpp"

namespace quiver::pg {

inline int sqlstate(Errc code) noexcept
{
    switch (code) {
    case Errc::invalid_argument: return ERRCODE_INVALID_PARAMETER_VALUE;
    case Errc::data_exception: return ERRCODE_DATA_EXCEPTION;
    case Errc::limit_exceeded: return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
    case Errc::corrupt: return ERRCODE_INDEX_CORRUPTED;
    case Errc::conflict: return ERRCODE_T_R_SERIALIZATION_FAILURE;
    case Errc::internal: break;
    }
    return ERRCODE_INTERNAL_ERROR;
}

// Runs body(). An exception becomes an ERROR. The handlers only copy the text, and ereport comes
// after them: a longjmp out of a handler would leak the exception.
template <class Body>
auto guarded(Body&& body) -> decltype(body())
{
    char text[256];
    int state;
    try {
        return body();
    } catch (const Error& e) {
        state = sqlstate(e.code());
        strlcpy(text, e.what(), sizeof text);
    } catch (const std::bad_alloc&) {
        state = ERRCODE_OUT_OF_MEMORY;
        strlcpy(text, "out of memory", sizeof text);
    } catch (const std::exception& e) {
        state = ERRCODE_INTERNAL_ERROR;
        strlcpy(text, e.what(), sizeof text);
    } catch (...) {
        state = ERRCODE_INTERNAL_ERROR;
        strlcpy(text, "unknown exception", sizeof text);
    }
    if (state == ERRCODE_INDEX_CORRUPTED)
        ereport(ERROR, (errcode(state), errmsg("%s", text), errhint("REINDEX the index.")));
    if (state == ERRCODE_T_R_SERIALIZATION_FAILURE)
        ereport(ERROR, (errcode(state), errmsg("canceling statement due to conflict with recovery"),
                        errdetail("%s", text),
                        errhint("Run the query again. With hot_standby_feedback = on, such "
                                "conflicts do not occur.")));
    ereport(ERROR, (errcode(state), errmsg("%s", text)));
    pg_unreachable();
}

// The function f as PostgreSQL calls it: in guarded().
template <auto f>
struct Callback;
template <class Result, class... Args, Result (*f)(Args...)>
struct Callback<f> {
    static Result call(Args... args)
    {
        return guarded([&] { return f(args...); });
    }
};
template <auto f>
constexpr auto callback = &Callback<f>::call;

// Checks for interrupts. Under a lock they would be ignored, so nothing may be locked here.
inline void poll()
{
    QUIVER_ASSERT(InterruptHoldoffCount == 0 && CritSectionCount == 0);
    CHECK_FOR_INTERRUPTS();
}

}   // namespace quiver::pg

// Defines an SQL-callable function: QUIVER_FUNCTION(name) { ... return Datum; }
#define QUIVER_FUNCTION(name)                                                                      \
    static Datum name##_body(FunctionCallInfo fcinfo);                                             \
    extern "C" {                                                                                   \
    PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                                      \
    PG_FUNCTION_INFO_V1(name);                                                                     \
    Datum name(PG_FUNCTION_ARGS)                                                                   \
    {                                                                                              \
        return quiver::pg::guarded([&] { return name##_body(fcinfo); });                           \
    }                                                                                              \
    }                                                                                              \
    static Datum name##_body([[maybe_unused]] FunctionCallInfo fcinfo)
