// A libFuzzer target for one input function: -DTYPE=vector -DTEXT, or without TEXT for the binary
// format. What a type accepts must come back unchanged from its text and its binary output.
#include "pg_shim.hpp"

#define NAME2(type, suffix) type##suffix
#define NAME(type, suffix) NAME2(type, suffix)
#define IN NAME(TYPE, _in)
#define OUT NAME(TYPE, _out)
#define RECV NAME(TYPE, _recv)
#define SEND NAME(TYPE, _send)

extern "C" {
Datum IN(PG_FUNCTION_ARGS);
Datum OUT(PG_FUNCTION_ARGS);
Datum RECV(PG_FUNCTION_ARGS);
Datum SEND(PG_FUNCTION_ARGS);
}

namespace {

Datum call(PGFunction function, Datum argument)
{
    LOCAL_FCINFO(fcinfo, 3);
    InitFunctionCallInfoData(*fcinfo, nullptr, 3, InvalidOid, nullptr, nullptr);
    fcinfo->args[0] = {argument, false};
    fcinfo->args[1] = {ObjectIdGetDatum(InvalidOid), false};
    fcinfo->args[2] = {Int32GetDatum(-1), false};
    return function(fcinfo);
}

Datum receive(char* data, int length)
{
    StringInfoData buf{data, length, length, 0};
    return call(RECV, PointerGetDatum(&buf));
}

void expect_same(Datum a, Datum b)
{
    const void *x = DatumGetPointer(a), *y = DatumGetPointer(b);
    if (VARSIZE(x) != VARSIZE(y) || std::memcmp(x, y, VARSIZE(x)) != 0)
        __builtin_trap();
}

// An error on the way back would be a bug: trap instead of returning to the fuzzer.
void round_trip(Datum value)
{
    if (sigsetjmp(shim_error, 0) != 0)
        __builtin_trap();
    char* text = DatumGetCString(call(OUT, value));
    expect_same(value, call(IN, CStringGetDatum(text)));
    bytea* sent = DatumGetByteaP(call(SEND, value));
    expect_same(value, receive(VARDATA(sent), static_cast<int>(VARSIZE(sent) - VARHDRSZ)));
}

}   // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
{
    if (sigsetjmp(shim_error, 0) == 0) {
#ifdef TEXT
        // As long as the text and not a byte longer, so that reading past it is seen.
        auto* text = static_cast<char*>(palloc(size + 1));
        std::memcpy(text, data, size);
        text[size] = '\0';
        const Datum value = call(IN, CStringGetDatum(text));
#else
        auto* bytes = static_cast<char*>(palloc(size));
        std::memcpy(bytes, data, size);
        const Datum value = receive(bytes, static_cast<int>(size));
#endif
        round_trip(value);
    }
    shim_reset();
    return 0;
}
