// vector and halfvec: input, output, arithmetic, comparison, casts, aggregates. Each operation is
// written once, for an element type T. The end of the file defines the SQL functions of both types.
#include "pg/pg.hpp"

#include "types/dense.hpp"

#include "core/decimal.hpp"
#include "pg/entry.hpp"

namespace quiver {

// ---- checks ----

void check_dims(const char* type, int64 dim, int limit)
{
    if (dim < 1)
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                        errmsg("%s must have at least 1 dimension", type)));
    if (dim > limit)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("%s cannot have more than %d dimensions", type, limit)));
}

// If typmod is -1, any number of dimensions is allowed.
void check_typmod(int32 typmod, int64 dim)
{
    if (typmod != -1 && typmod != dim)
        ereport(ERROR,
                (errcode(ERRCODE_DATA_EXCEPTION),
                 errmsg("expected %d dimensions, not %lld", typmod, static_cast<long long>(dim))));
}

void check_same_dims(const char* type, int a, int b)
{
    if (a != b) [[unlikely]]
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                        errmsg("different %s dimensions %d and %d", type, a, b)));
}

void not_finite(const char* type, float x)
{
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    std::isnan(x) ? errmsg("NaN not allowed in %s", type)
                                  : errmsg("infinite value not allowed in %s", type)));
    pg_unreachable();
}

int32 typmod_in(const char* type, ArrayType* array, int limit)
{
    int n;
    int32* typmods = ArrayGetIntegerTypmods(array, &n);
    if (n != 1)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid type modifier")));
    if (typmods[0] < 1)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("dimensions for type %s must be at least 1", type)));
    if (typmods[0] > limit)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("dimensions for type %s cannot exceed %d", type, limit)));
    return typmods[0];
}

void out_of_range(const char* type, const char* text, Size length)
{
    ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                    errmsg("\"%s\" is out of range for type %s", pnstrdup(text, length), type)));
    pg_unreachable();
}

// ---- numbers and arrays ----

float parse_float(const char* type, const char* text, const char* literal_end, Underflow underflow,
                  const char** end)
{
    float value;
    if ((*end = read_float(text, literal_end, &value))) [[likely]]
        return value;
    // As in float4in: the server sets LC_NUMERIC to C, so the decimal separator is a point.
    errno = 0;
    char* stop;
    value = std::strtof(text, &stop);
    *end = stop;
    if (errno == ERANGE && (std::isinf(value) || (value == 0 && underflow == Underflow::error)))
        out_of_range(type, text, stop - text);
    return value;
}

float* array_to_floats(ArrayType* array, int limit, const char* type, int32 typmod, int* count)
{
    if (ARR_NDIM(array) > 1)
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("array must be 1-D")));
    if (ARR_HASNULL(array) && array_contains_nulls(array))
        ereport(ERROR,
                (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("array must not contain nulls")));

    const int n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
    check_dims(type, n, limit);
    check_typmod(typmod, n);
    auto* to = static_cast<float*>(palloc(sizeof(float) * n));
    // Arrays of fixed-width elements without nulls are plain C arrays.
    const char* data = ARR_DATA_PTR(array);
    switch (ARR_ELEMTYPE(array)) {
    case INT4OID:
        for (int i = 0; i < n; i++)
            to[i] = static_cast<float>(reinterpret_cast<const int32*>(data)[i]);
        break;
    case FLOAT4OID: std::memcpy(to, data, sizeof(float) * n); break;
    case FLOAT8OID:
        for (int i = 0; i < n; i++)
            to[i] = static_cast<float>(reinterpret_cast<const double*>(data)[i]);
        break;
    case NUMERICOID: {
        Datum* elements;
        int got;
        deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT, &elements, nullptr, &got);
        for (int i = 0; i < n; i++)
            to[i] = DatumGetFloat4(DirectFunctionCall1(numeric_float4, elements[i]));
        break;
    }
    default: ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("unsupported array type")));
    }
    *count = n;
    return to;
}

namespace {

// ---- text ----

[[noreturn]] void invalid_syntax(const char* type, const char* literal, const char* detail)
{
    ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                    errmsg("invalid input syntax for type %s: \"%s\"", type, literal),
                    detail ? errdetail("%s", detail) : 0));
    pg_unreachable();
}

// Converts a float to an element. For halfvec, a value that rounds to infinity is out of range.
template <class T>
T to_element(float x, const char* text, Size length)
{
    const T value = Element<T>::put(x);
    if (std::isinf(Element<T>::get(value)) && !std::isinf(x))
        out_of_range(Element<T>::type, text, length);
    return value;
}

// The same for a value that was not read from text.
template <class T>
T to_element(float x)
{
    const T value = Element<T>::put(x);
    if (std::isinf(Element<T>::get(value)) && !std::isinf(x)) {
        char text[FLOAT_SHORTEST_DECIMAL_LEN];
        float_to_shortest_decimal_buf(x, text);
        out_of_range(Element<T>::type, text, std::strlen(text));
    }
    return value;
}

template <class T>
Datum dense_in(FunctionCallInfo fcinfo)
{
    const char* type = Element<T>::type;
    const char* literal = PG_GETARG_CSTRING(0);
    const char* const literal_end = literal + std::strlen(literal);
    const int32 typmod = PG_GETARG_INT32(2);
    const char* p = literal;

    while (is_space(*p))
        p++;
    if (*p != '[')
        invalid_syntax(type, literal, "Vector contents must start with \"[\".");
    p++;

    T elements[max_dims];   // on the stack, because the number of dimensions is not known yet
    int dim = 0;

    while (is_space(*p))
        p++;
    if (*p == ']')
        check_dims(type, 0);

    for (;;) {
        if (dim == max_dims)
            check_dims(type, max_dims + 1);
        while (is_space(*p))
            p++;
        const char* end;
        const float value = parse_float(type, p, literal_end, Underflow::zero, &end);
        if (end == p)
            invalid_syntax(type, literal, nullptr);
        check_finite(type, value);
        elements[dim++] = to_element<T>(value, p, end - p);
        p = end;
        while (is_space(*p))
            p++;
        if (*p == ',')
            p++;
        else if (*p == ']') {
            p++;
            break;
        } else
            invalid_syntax(type, literal, nullptr);
    }
    while (is_space(*p))
        p++;
    if (*p)
        invalid_syntax(type, literal, "Junk after closing right brace.");

    check_typmod(typmod, dim);
    auto* result = DenseVector<T>::make(dim);
    std::copy_n(elements, dim, result->x);
    PG_RETURN_POINTER(result);
}

template <class T>
Datum dense_out(FunctionCallInfo fcinfo)
{
    const auto* v = DenseVector<T>::from(PG_GETARG_DATUM(0));
    auto* text = static_cast<char*>(palloc(FLOAT_SHORTEST_DECIMAL_LEN * v->dim + 2));
    char* p = text;
    *p++ = '[';
    for (int i = 0; i < v->dim; i++) {
        if (i > 0)
            *p++ = ',';
        p += float_to_shortest_decimal_bufn(Element<T>::get(v->x[i]), p);
    }
    *p++ = ']';
    *p = '\0';
    PG_RETURN_CSTRING(text);
}

// ---- binary format, big-endian: int16 dimensions, int16 0, the elements ----

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, uint32, uint16>;

template <class U>
U big_endian(U x)
{
    if constexpr (sizeof(U) == 4)
        return pg_ntoh32(x);
    else
        return pg_ntoh16(x);
}

template <class T>
Datum dense_recv(FunctionCallInfo fcinfo)
{
    const char* type = Element<T>::type;
    auto* buf = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));
    const int32 typmod = PG_GETARG_INT32(2);
    const int dim = static_cast<int>(pq_getmsgint(buf, 2));
    const int unused = static_cast<int>(pq_getmsgint(buf, 2));

    check_dims(type, dim);
    check_typmod(typmod, dim);
    if (unused != 0)
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                        errmsg("expected unused to be 0, not %d", unused)));

    const char* data = pq_getmsgbytes(buf, static_cast<int>(sizeof(T)) * dim);
    auto* result = DenseVector<T>::make(dim);
    constexpr Bits<T> exponent = sizeof(T) == 4 ? 0x7f800000 : 0x7c00;
    bool finite = true;
    for (int i = 0; i < dim; i++) {
        Bits<T> bits;
        std::memcpy(&bits, data + sizeof(T) * i, sizeof bits);
        bits = big_endian(bits);
        finite &= (bits & exponent) != exponent;
        result->x[i] = std::bit_cast<T>(bits);
    }
    for (int i = 0; !finite && i < dim; i++)
        check_finite(type, Element<T>::get(result->x[i]));
    PG_RETURN_POINTER(result);
}

template <class T>
Datum dense_send(FunctionCallInfo fcinfo)
{
    const auto* v = DenseVector<T>::from(PG_GETARG_DATUM(0));
    StringInfoData buf;
    pq_begintypsend(&buf);
    pq_sendint16(&buf, v->dim);
    pq_sendint16(&buf, v->unused);
    enlargeStringInfo(&buf, static_cast<int>(sizeof(T)) * v->dim);
    for (int i = 0; i < v->dim; i++) {
        const Bits<T> bits = big_endian(std::bit_cast<Bits<T>>(v->x[i]));
        std::memcpy(buf.data + buf.len, &bits, sizeof bits);
        buf.len += static_cast<int>(sizeof bits);
    }
    PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

// ---- casts ----

// vector(n), halfvec(n): the length coercion
template <class T>
Datum dense_coerce(FunctionCallInfo fcinfo)
{
    auto* v = DenseVector<T>::from(PG_GETARG_DATUM(0));
    check_typmod(PG_GETARG_INT32(1), v->dim);
    PG_RETURN_POINTER(v);
}

template <class T>
Datum dense_from_array(FunctionCallInfo fcinfo)
{
    int n;
    const float* from = array_to_floats(PG_GETARG_ARRAYTYPE_P(0), max_dims, Element<T>::type,
                                        PG_GETARG_INT32(1), &n);
    auto* result = DenseVector<T>::make(n);
    for (int i = 0; i < n; i++) {
        check_finite(Element<T>::type, from[i]);
        result->x[i] = to_element<T>(from[i]);
    }
    PG_RETURN_POINTER(result);
}

template <class T>
Datum dense_to_array(FunctionCallInfo fcinfo)
{
    const auto* v = DenseVector<T>::from(PG_GETARG_DATUM(0));
    auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * v->dim));
    for (int i = 0; i < v->dim; i++)
        elements[i] = Float4GetDatum(Element<T>::get(v->x[i]));
    PG_RETURN_ARRAYTYPE_P(
        construct_array(elements, v->dim, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT));
}

// ---- distances ----

template <class T>
struct Pair {
    const DenseVector<T>* a;
    const DenseVector<T>* b;

    explicit Pair(FunctionCallInfo fcinfo)
        : a(DenseVector<T>::from(PG_GETARG_DATUM(0))), b(DenseVector<T>::from(PG_GETARG_DATUM(1)))
    {
        check_same_dims(Element<T>::type, a->dim, b->dim);
    }
    double l2sq() const { return Element<T>::kernels().l2sq(a->x, b->x, a->dim); }
    double ip() const { return Element<T>::kernels().ip(a->x, b->x, a->dim); }
    double l1() const { return Element<T>::kernels().l1(a->x, b->x, a->dim); }
    double cosine() const
    {
        const auto t = Element<T>::kernels().cosine(a->x, b->x, a->dim);
        return cosine_distance_of(t.dot / std::sqrt(static_cast<double>(t.aa) * t.bb));
    }
    // The angle between unit vectors, as a fraction of a half turn.
    double spherical() const { return std::acos(std::clamp(ip(), -1.0, 1.0)) / M_PI; }
};

// ---- arithmetic ----

template <class T>
void check_overflow(float result)
{
    if (std::isinf(result)) [[unlikely]]
        float_overflow_error();
}

template <class T, class Op>
Datum elementwise(FunctionCallInfo fcinfo, Op op)
{
    const Pair<T> p(fcinfo);
    auto* result = DenseVector<T>::make(p.a->dim);
    for (int i = 0; i < p.a->dim; i++)
        result->x[i] = Element<T>::put(op(Element<T>::get(p.a->x[i]), Element<T>::get(p.b->x[i])));
    for (int i = 0; i < p.a->dim; i++)
        check_overflow<T>(Element<T>::get(result->x[i]));
    PG_RETURN_POINTER(result);
}

template <class T>
Datum dense_mul(FunctionCallInfo fcinfo)
{
    const Pair<T> p(fcinfo);
    auto* result = DenseVector<T>::make(p.a->dim);
    for (int i = 0; i < p.a->dim; i++) {
        const float x = Element<T>::get(p.a->x[i]), y = Element<T>::get(p.b->x[i]);
        result->x[i] = Element<T>::put(x * y);
        const float product = Element<T>::get(result->x[i]);
        check_overflow<T>(product);
        if (product == 0 && x != 0 && y != 0)
            float_underflow_error();
    }
    PG_RETURN_POINTER(result);
}

template <class T>
Datum dense_concat(FunctionCallInfo fcinfo)
{
    const auto* a = DenseVector<T>::from(PG_GETARG_DATUM(0));
    const auto* b = DenseVector<T>::from(PG_GETARG_DATUM(1));
    const int dim = a->dim + b->dim;
    check_dims(Element<T>::type, dim);
    auto* result = DenseVector<T>::make(dim);
    std::memcpy(result->x, a->x, sizeof(T) * a->dim);
    std::memcpy(result->x + a->dim, b->x, sizeof(T) * b->dim);
    PG_RETURN_POINTER(result);
}

template <class T>
double dense_norm(const DenseVector<T>* v)
{
    return std::sqrt(Element<T>::norm2(v->x, v->dim));
}

template <class T>
Datum dense_normalize(FunctionCallInfo fcinfo)
{
    const auto* v = DenseVector<T>::from(PG_GETARG_DATUM(0));
    const double norm = dense_norm(v);
    auto* result = DenseVector<T>::make(v->dim);
    if (norm > 0)   // the zero vector stays as it is
        for (int i = 0; i < v->dim; i++) {
            result->x[i] = Element<T>::put(static_cast<float>(Element<T>::get(v->x[i]) / norm));
            check_overflow<T>(Element<T>::get(result->x[i]));
        }
    PG_RETURN_POINTER(result);
}

template <class T>
Datum dense_binary_quantize(FunctionCallInfo fcinfo)
{
    const auto* v = DenseVector<T>::from(PG_GETARG_DATUM(0));
    auto* result = static_cast<VarBit*>(palloc0(VARBITTOTALLEN(v->dim)));
    SET_VARSIZE(result, VARBITTOTALLEN(v->dim));
    VARBITLEN(result) = v->dim;
    unsigned char* bits = VARBITS(result);
    for (int i = 0; i < v->dim; i++)
        if (Element<T>::get(v->x[i]) > 0)
            bits[i / 8] |= static_cast<unsigned char>(0x80 >> (i % 8));
    PG_RETURN_VARBIT_P(result);
}

// subvector(v, start, count) works like substring(): start is 1-based, and what is outside of the
// vector is cut off.
template <class T>
Datum dense_subvector(FunctionCallInfo fcinfo)
{
    const auto* v = DenseVector<T>::from(PG_GETARG_DATUM(0));
    const int64 start = PG_GETARG_INT32(1);
    const int64 count = PG_GETARG_INT32(2);
    const int64 first = std::max<int64>(start, 1);
    const int64 last = count < 1 ? 0 : std::min<int64>(start + count - 1, v->dim);
    check_dims(Element<T>::type, last - first + 1);
    const int dim = static_cast<int>(last - first + 1);
    auto* result = DenseVector<T>::make(dim);
    std::memcpy(result->x, v->x + (first - 1), sizeof(T) * dim);
    PG_RETURN_POINTER(result);
}

// ---- comparison: first by elements, then by length, like arrays ----

template <class T>
int dense_compare(FunctionCallInfo fcinfo)
{
    auto* a = DenseVector<T>::from(PG_GETARG_DATUM(0));
    auto* b = DenseVector<T>::from(PG_GETARG_DATUM(1));
    int order = (a->dim > b->dim) - (a->dim < b->dim);
    const int n = std::min(a->dim, b->dim);
    for (int i = 0; i < n; i++) {
        const float x = Element<T>::get(a->x[i]), y = Element<T>::get(b->x[i]);
        if (x != y) {
            order = x < y ? -1 : 1;
            break;
        }
    }
    // btree calls this in memory contexts that live long.
    PG_FREE_IF_COPY(a, 0);
    PG_FREE_IF_COPY(b, 1);
    return order;
}

// ---- aggregates: the state is a float8 array {count, sums...}; {0} at the start ----

// This is an internal error, as in PostgreSQL's own aggregates: only a direct call of the function
// can cause it.
double* check_state(const char* caller, ArrayType* state, int* dim)
{
    if (ARR_NDIM(state) != 1 || ARR_DIMS(state)[0] < 1 || ARR_HASNULL(state) ||
        ARR_ELEMTYPE(state) != FLOAT8OID)
        elog(ERROR, "%s: expected state array", caller);
    *dim = ARR_DIMS(state)[0] - 1;
    return reinterpret_cast<double*>(ARR_DATA_PTR(state));
}

ArrayType* make_state(int dim)
{
    const Size bytes = ARR_OVERHEAD_NONULLS(1) + sizeof(double) * (dim + 1);
    auto* state = static_cast<ArrayType*>(palloc0(bytes));
    SET_VARSIZE(state, bytes);
    state->ndim = 1;
    state->elemtype = FLOAT8OID;
    ARR_DIMS(state)[0] = dim + 1;
    ARR_LBOUND(state)[0] = 1;
    return state;
}

template <class T>
Datum dense_accum(FunctionCallInfo fcinfo, const char* caller)
{
    ArrayType* state = PG_GETARG_ARRAYTYPE_P(0);
    const auto* v = DenseVector<T>::from(PG_GETARG_DATUM(1));
    int dim;
    double* sums = check_state(caller, state, &dim);

    if (dim > 0)
        check_typmod(dim, v->dim);
    // The first row sets the size of the state. Outside of an aggregate, the function must not
    // change its argument.
    if (dim == 0 || !AggCheckCallContext(fcinfo, nullptr)) {
        state = make_state(v->dim);
        auto* to = reinterpret_cast<double*>(ARR_DATA_PTR(state));
        std::memcpy(to, sums, sizeof(double) * (dim + 1));
        sums = to;
    }

    sums[0] += 1;
    for (int i = 0; i < v->dim; i++)
        sums[i + 1] += Element<T>::get(v->x[i]);
    for (int i = 0; i < v->dim; i++)
        if (std::isinf(sums[i + 1]))
            float_overflow_error();
    PG_RETURN_ARRAYTYPE_P(state);
}

template <class T>
Datum dense_avg(FunctionCallInfo fcinfo, const char* caller)
{
    int dim;
    const double* sums = check_state(caller, PG_GETARG_ARRAYTYPE_P(0), &dim);
    if (sums[0] == 0)
        PG_RETURN_NULL();
    check_dims(Element<T>::type, dim);
    auto* result = DenseVector<T>::make(dim);
    for (int i = 0; i < dim; i++) {
        const auto mean = static_cast<float>(sums[i + 1] / sums[0]);
        check_finite(Element<T>::type, mean);
        result->x[i] = to_element<T>(mean);
    }
    PG_RETURN_POINTER(result);
}

}   // namespace
}   // namespace quiver

using namespace quiver;

// For vector and halfvec.
QUIVER_FUNCTION(vector_combine)
{
    int dim, other_dim;
    const double* x = check_state("vector_combine", PG_GETARG_ARRAYTYPE_P(0), &dim);
    const double* y = check_state("vector_combine", PG_GETARG_ARRAYTYPE_P(1), &other_dim);
    if (dim == 0) {   // one of the states has no rows
        std::swap(dim, other_dim);
        std::swap(x, y);
    }
    if (dim > 0)
        check_dims("vector", dim);
    if (other_dim > 0)
        check_typmod(dim, other_dim);
    ArrayType* state = make_state(dim);
    auto* sums = reinterpret_cast<double*>(ARR_DATA_PTR(state));
    sums[0] = x[0] + y[0];
    for (int i = 1; i <= dim; i++) {
        sums[i] = other_dim > 0 ? x[i] + y[i] : x[i];
        if (other_dim > 0 && std::isinf(sums[i]))
            float_overflow_error();
    }
    PG_RETURN_ARRAYTYPE_P(state);
}

// The SQL functions of one type. The C names of overloaded SQL functions (l2_distance, ...) have a
// prefix for halfvec and none for vector.
#define DENSE_FUNCTIONS(type, overload, T)                                                         \
    QUIVER_FUNCTION(type##_in) { return dense_in<T>(fcinfo); }                                     \
    QUIVER_FUNCTION(type##_out) { return dense_out<T>(fcinfo); }                                   \
    QUIVER_FUNCTION(type##_recv) { return dense_recv<T>(fcinfo); }                                 \
    QUIVER_FUNCTION(type##_send) { return dense_send<T>(fcinfo); }                                 \
    QUIVER_FUNCTION(type##_typmod_in)                                                              \
    {                                                                                              \
        PG_RETURN_INT32(typmod_in(#type, PG_GETARG_ARRAYTYPE_P(0), max_dims));                     \
    }                                                                                              \
    QUIVER_FUNCTION(type) { return dense_coerce<T>(fcinfo); }                                      \
    QUIVER_FUNCTION(array_to_##type) { return dense_from_array<T>(fcinfo); }                       \
    QUIVER_FUNCTION(type##_to_float4) { return dense_to_array<T>(fcinfo); }                        \
    QUIVER_FUNCTION(overload##l2_distance)                                                         \
    {                                                                                              \
        PG_RETURN_FLOAT8(std::sqrt(Pair<T>(fcinfo).l2sq()));                                       \
    }                                                                                              \
    QUIVER_FUNCTION(overload##inner_product) { PG_RETURN_FLOAT8(Pair<T>(fcinfo).ip()); }           \
    QUIVER_FUNCTION(overload##cosine_distance) { PG_RETURN_FLOAT8(Pair<T>(fcinfo).cosine()); }     \
    QUIVER_FUNCTION(overload##l1_distance) { PG_RETURN_FLOAT8(Pair<T>(fcinfo).l1()); }             \
    QUIVER_FUNCTION(type##_l2_squared_distance) { PG_RETURN_FLOAT8(Pair<T>(fcinfo).l2sq()); }      \
    QUIVER_FUNCTION(type##_negative_inner_product) { PG_RETURN_FLOAT8(-Pair<T>(fcinfo).ip()); }    \
    QUIVER_FUNCTION(type##_spherical_distance) { PG_RETURN_FLOAT8(Pair<T>(fcinfo).spherical()); }  \
    QUIVER_FUNCTION(type##_dims)                                                                   \
    {                                                                                              \
        PG_RETURN_INT32(DenseVector<T>::from(PG_GETARG_DATUM(0))->dim);                            \
    }                                                                                              \
    QUIVER_FUNCTION(type##_norm)                                                                   \
    {                                                                                              \
        PG_RETURN_FLOAT8(dense_norm(DenseVector<T>::from(PG_GETARG_DATUM(0))));                    \
    }                                                                                              \
    QUIVER_FUNCTION(overload##l2_normalize) { return dense_normalize<T>(fcinfo); }                 \
    QUIVER_FUNCTION(overload##binary_quantize) { return dense_binary_quantize<T>(fcinfo); }        \
    QUIVER_FUNCTION(overload##subvector) { return dense_subvector<T>(fcinfo); }                    \
    QUIVER_FUNCTION(type##_add)                                                                    \
    {                                                                                              \
        return elementwise<T>(fcinfo, [](float x, float y) { return x + y; });                     \
    }                                                                                              \
    QUIVER_FUNCTION(type##_sub)                                                                    \
    {                                                                                              \
        return elementwise<T>(fcinfo, [](float x, float y) { return x - y; });                     \
    }                                                                                              \
    QUIVER_FUNCTION(type##_mul) { return dense_mul<T>(fcinfo); }                                   \
    QUIVER_FUNCTION(type##_concat) { return dense_concat<T>(fcinfo); }                             \
    QUIVER_FUNCTION(type##_lt) { PG_RETURN_BOOL(dense_compare<T>(fcinfo) < 0); }                   \
    QUIVER_FUNCTION(type##_le) { PG_RETURN_BOOL(dense_compare<T>(fcinfo) <= 0); }                  \
    QUIVER_FUNCTION(type##_eq) { PG_RETURN_BOOL(dense_compare<T>(fcinfo) == 0); }                  \
    QUIVER_FUNCTION(type##_ne) { PG_RETURN_BOOL(dense_compare<T>(fcinfo) != 0); }                  \
    QUIVER_FUNCTION(type##_ge) { PG_RETURN_BOOL(dense_compare<T>(fcinfo) >= 0); }                  \
    QUIVER_FUNCTION(type##_gt) { PG_RETURN_BOOL(dense_compare<T>(fcinfo) > 0); }                   \
    QUIVER_FUNCTION(type##_cmp) { PG_RETURN_INT32(dense_compare<T>(fcinfo)); }                     \
    QUIVER_FUNCTION(type##_accum) { return dense_accum<T>(fcinfo, #type "_accum"); }               \
    QUIVER_FUNCTION(type##_avg) { return dense_avg<T>(fcinfo, #type "_avg"); }

DENSE_FUNCTIONS(vector, , float)
DENSE_FUNCTIONS(halfvec, halfvec_, half)

// Other C names of pgvector's SQL scripts, which name halfvec's functions differently.
QUIVER_FUNCTION(halfvec_vector_dims) { return halfvec_dims(fcinfo); }
QUIVER_FUNCTION(halfvec_l2_norm) { return halfvec_norm(fcinfo); }

QUIVER_FUNCTION(vector_to_halfvec)
{
    const auto* v = Vector::from(PG_GETARG_DATUM(0));
    check_typmod(PG_GETARG_INT32(1), v->dim);
    auto* result = HalfVector::make(v->dim);
    for (int i = 0; i < v->dim; i++)
        result->x[i] = to_element<half>(v->x[i]);
    PG_RETURN_POINTER(result);
}

QUIVER_FUNCTION(halfvec_to_vector)
{
    const auto* v = HalfVector::from(PG_GETARG_DATUM(0));
    check_typmod(PG_GETARG_INT32(1), v->dim);
    auto* result = Vector::make(v->dim);
    simd::kernels().to_f32(v->x, result->x, v->dim);
    PG_RETURN_POINTER(result);
}
