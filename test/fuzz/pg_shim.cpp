// Just enough of a PostgreSQL server to call a type's functions from a fuzzer: memory that is
// freed after every input, and errors that jump back to the fuzzer. AddressSanitizer sees each
// allocation on its own.
#include "pg_shim.hpp"

#include <cstdarg>
#include <cstdlib>
#include <cstdio>
#include <vector>

namespace {
std::vector<void*> allocations;
}

sigjmp_buf shim_error;

void shim_reset()
{
    for (void* p : allocations)
        std::free(p);
    allocations.clear();
}

extern "C" {

void* palloc(Size size)
{
    if (!AllocSizeIsValid(size))
        siglongjmp(shim_error, 1);
    void* p = std::malloc(size ? size : 1);
    if (!p)
        std::abort();
    allocations.push_back(p);
    return p;
}

void* palloc0(Size size) { return std::memset(palloc(size), 0, size); }

// The next input frees it.
void pfree(void*) {}

char* pnstrdup(const char* text, Size length)
{
    const Size n = strnlen(text, length);
    auto* copy = static_cast<char*>(palloc(n + 1));
    std::memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

bool errstart(int, const char*) { return true; }
bool errstart_cold(int, const char*) { return true; }
int errcode(int) { return 0; }
int errdetail(const char*, ...) { return 0; }
int errhint(const char*, ...) { return 0; }

int errmsg(const char* format, ...)
{
    // Format it: a bad argument must not hide.
    char text[65536];
    va_list args;
    va_start(args, format);
    std::vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return 0;
}

void errfinish(const char*, int, const char*) { siglongjmp(shim_error, 1); }
void float_overflow_error(void) { siglongjmp(shim_error, 1); }
void float_underflow_error(void) { siglongjmp(shim_error, 1); }

struct varlena* pg_detoast_datum(struct varlena* datum) { return datum; }

const char* pq_getmsgbytes(StringInfo msg, int length)
{
    if (length < 0 || length > msg->len - msg->cursor)
        siglongjmp(shim_error, 1);
    const char* p = msg->data + msg->cursor;
    msg->cursor += length;
    return p;
}

unsigned int pq_getmsgint(StringInfo msg, int bytes)
{
    const auto* p = reinterpret_cast<const unsigned char*>(pq_getmsgbytes(msg, bytes));
    unsigned value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

float4 pq_getmsgfloat4(StringInfo msg)
{
    return std::bit_cast<float4>(static_cast<uint32>(pq_getmsgint(msg, 4)));
}

void pq_begintypsend(StringInfo buf)
{
    buf->maxlen = 1 << 18;   // fuzzers make no larger values
    buf->data = static_cast<char*>(palloc(buf->maxlen));
    buf->len = VARHDRSZ;
    buf->cursor = 0;
}

void enlargeStringInfo(StringInfo buf, int needed)
{
    if (buf->len + needed > buf->maxlen)
        std::abort();
}

void pq_sendfloat4(StringInfo buf, float4 x) { pq_sendint32(buf, std::bit_cast<uint32>(x)); }

void pq_sendbytes(StringInfo buf, const char* data, int length)
{
    enlargeStringInfo(buf, length);
    std::memcpy(buf->data + buf->len, data, static_cast<size_t>(length));
    buf->len += length;
}

void pq_copymsgbytes(StringInfo msg, char* to, int length)
{
    std::memcpy(to, pq_getmsgbytes(msg, length), static_cast<size_t>(length));
}

bytea* pq_endtypsend(StringInfo buf)
{
    SET_VARSIZE(buf->data, buf->len);
    return reinterpret_cast<bytea*>(buf->data);
}

struct varlena* pg_detoast_datum_packed(struct varlena* datum) { return datum; }

Datum DirectFunctionCall1Coll(PGFunction function, Oid, Datum argument)
{
    LOCAL_FCINFO(fcinfo, 1);
    InitFunctionCallInfoData(*fcinfo, nullptr, 1, InvalidOid, nullptr, nullptr);
    fcinfo->args[0] = {argument, false};
    return function(fcinfo);
}

// Hexadecimal digits after \x, in pairs.
Datum byteain(PG_FUNCTION_ARGS)
{
    const char* text = PG_GETARG_CSTRING(0) + 2;
    const Size digits = std::strlen(text);
    auto* value = static_cast<bytea*>(palloc(VARHDRSZ + digits / 2));
    SET_VARSIZE(value, VARHDRSZ + digits / 2);
    const auto digit = [](char c) {
        if (c >= '0' && c <= '9')
            return c - '0';
        c = static_cast<char>(c | 0x20);
        if (c < 'a' || c > 'f')
            siglongjmp(shim_error, 1);
        return c - 'a' + 10;
    };
    if (digits % 2)
        siglongjmp(shim_error, 1);
    for (Size i = 0; i < digits; i += 2)
        VARDATA(value)[i / 2] = static_cast<char>(digit(text[i]) << 4 | digit(text[i + 1]));
    PG_RETURN_BYTEA_P(value);
}

Datum byteaout(PG_FUNCTION_ARGS)
{
    const auto* value = reinterpret_cast<const bytea*>(PG_GETARG_POINTER(0));
    const Size bytes = VARSIZE(value) - VARHDRSZ;
    auto* text = static_cast<char*>(palloc(2 * bytes + 3));
    std::memcpy(text, "\\x", 3);
    for (Size i = 0; i < bytes; i++)
        std::snprintf(text + 2 + 2 * i, 3, "%02x", static_cast<uint8>(VARDATA(value)[i]));
    PG_RETURN_CSTRING(text);
}
}
