// sparsevec: input, output, distances, comparison, casts.
#include "pg/pg.hpp"

#include "types/sparse.hpp"

#include "pg/entry.hpp"

namespace quiver {
namespace {

constexpr const char* type = "sparsevec";

void check_nnz(int64 nnz, int64 dim)
{
    if (nnz < 0)
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                        errmsg("sparsevec cannot have negative number of elements")));
    if (nnz > max_nonzeros)
        ereport(ERROR,
                (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                 errmsg("sparsevec cannot have more than %d non-zero elements", max_nonzeros)));
    if (nnz > dim)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("sparsevec cannot have more elements than dimensions")));
}

// Checks that the index is in bounds and greater than `previous`, the index before it. For the
// first index, `previous` is no_index.
constexpr int64 no_index = -1;

void check_index(int64 index, int64 previous, int64 dim)
{
    if (index < 0 || index >= dim)
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("sparsevec index out of bounds")));
    if (index == previous)
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                        errmsg("sparsevec indices must not contain duplicates")));
    if (index < previous)
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                        errmsg("sparsevec indices must be in ascending order")));
}

[[noreturn]] void invalid_syntax(const char* literal, const char* detail = nullptr)
{
    ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                    errmsg("invalid input syntax for type sparsevec: \"%s\"", literal),
                    detail ? errdetail("%s", detail) : 0));
    pg_unreachable();
}

struct Entry {
    int64 index;
    float value;
};

// A cursor over the literal.
struct Scanner {
    const char* literal;
    const char* p = literal;
    const char* literal_end = literal + std::strlen(literal);

    void skip_space()
    {
        while (is_space(*p))
            p++;
    }
    bool accept(char c)
    {
        skip_space();
        if (*p != c)
            return false;
        p++;
        return true;
    }
    void expect(char c)
    {
        if (!accept(c))
            invalid_syntax(literal, *p ? nullptr : "Unexpected end of input.");
    }
    // Clamped to the range of int32. The bounds are checked later, with a better error message.
    int64 integer()
    {
        skip_space();
        errno = 0;
        char* end;
        const long value = std::strtol(p, &end, 10);
        if (end == p)
            invalid_syntax(literal);
        p = end;
        return std::clamp<int64>(value, PG_INT32_MIN, PG_INT32_MAX);
    }
    float number()
    {
        skip_space();
        const char* end;
        // Zeros are not stored. So if underflow made a number 0, its element would be lost
        // silently.
        const float value = parse_float(type, p, literal_end, Underflow::error, &end);
        if (end == p)
            invalid_syntax(literal);
        p = end;
        return value;
    }
};

SparseVector* from_floats(const float* x, int dim)
{
    int nnz = 0;
    for (int i = 0; i < dim; i++)
        nnz += x[i] != 0;
    check_nnz(nnz, dim);
    auto* result = SparseVector::make(dim, nnz);
    float* values = result->values();
    for (int i = 0, j = 0; i < dim; i++)
        if (x[i] != 0) {
            check_finite(type, x[i]);
            result->index[j] = i;
            values[j++] = x[i];
        }
    return result;
}

struct SparsePair {
    const SparseVector* a;
    const SparseVector* b;

    explicit SparsePair(FunctionCallInfo fcinfo)
        : a(SparseVector::from(PG_GETARG_DATUM(0))), b(SparseVector::from(PG_GETARG_DATUM(1)))
    {
        check_same_dims(type, a->dim, b->dim);
    }
    double l2sq() const { return simd::kernels().sparse.l2sq(a->view(), b->view()); }
    double ip() const { return simd::kernels().sparse.ip(a->view(), b->view()); }
    double l1() const { return simd::kernels().sparse.l1(a->view(), b->view()); }
    double cosine() const
    {
        const auto& k = simd::kernels();
        // The norms are floats, as in the dense kernels: what overflows there is NaN here, too.
        const auto aa = static_cast<float>(k.norm2_f32(a->values(), a->nnz));
        const auto bb = static_cast<float>(k.norm2_f32(b->values(), b->nnz));
        return cosine_distance_of(ip() / std::sqrt(static_cast<double>(aa) * bb));
    }
};

double sparse_norm(const SparseVector* v)
{
    return std::sqrt(simd::kernels().norm2_f32(v->values(), v->nnz));
}

// Compares as if both were dense: first by elements, then by length.
int sparse_compare(FunctionCallInfo fcinfo)
{
    auto* a = SparseVector::from(PG_GETARG_DATUM(0));
    auto* b = SparseVector::from(PG_GETARG_DATUM(1));
    int order = (a->dim > b->dim) - (a->dim < b->dim);
    const int dim = std::min(a->dim, b->dim);
    const float *x = a->values(), *y = b->values();
    int i = 0, j = 0;
    while (i < a->nnz || j < b->nnz) {
        const int at = std::min(i < a->nnz ? a->index[i] : dim, j < b->nnz ? b->index[j] : dim);
        if (at >= dim)
            break;
        const float u = i < a->nnz && a->index[i] == at ? x[i++] : 0.0f;
        const float v = j < b->nnz && b->index[j] == at ? y[j++] : 0.0f;
        if (u != v) {
            order = u < v ? -1 : 1;
            break;
        }
    }
    PG_FREE_IF_COPY(a, 0);
    PG_FREE_IF_COPY(b, 1);
    return order;
}

}   // namespace
}   // namespace quiver

using namespace quiver;

// The format is {index:value,...}/dimensions. Indices start at 1 and may be in any order. Zeros are
// dropped.
QUIVER_FUNCTION(sparsevec_in)
{
    Scanner in{PG_GETARG_CSTRING(0)};
    if (!in.accept('{'))
        invalid_syntax(in.literal, "Vector contents must start with \"{\".");

    // The number of commas bounds the number of elements. Explicit zeros count, as in pgvector.
    int64 most = 1;
    for (const char* c = in.p; *c && most <= max_nonzeros; c++)
        most += *c == ',';
    check_nnz(most, PG_INT64_MAX);
    auto* entries = static_cast<Entry*>(palloc(sizeof(Entry) * most));
    int nnz = 0;

    if (!in.accept('}')) {
        for (;;) {
            const int64 index = in.integer();
            in.expect(':');
            const float value = in.number();
            check_finite(type, value);
            if (value != 0)
                entries[nnz++] = {index - 1, value};
            if (in.accept('}'))
                break;
            in.expect(',');
        }
    }
    in.expect('/');
    const int64 dim = in.integer();
    in.skip_space();
    if (*in.p)
        invalid_syntax(in.literal, "Junk after closing.");

    check_dims(type, dim, max_sparse_dims);
    check_typmod(PG_GETARG_INT32(2), dim);
    std::sort(entries, entries + nnz,
              [](const Entry& x, const Entry& y) { return x.index < y.index; });

    auto* result = SparseVector::make(static_cast<int>(dim), nnz);
    float* values = result->values();
    for (int i = 0; i < nnz; i++) {
        check_index(entries[i].index, i > 0 ? entries[i - 1].index : no_index, dim);
        result->index[i] = static_cast<int32>(entries[i].index);
        values[i] = entries[i].value;
    }
    PG_RETURN_POINTER(result);
}

QUIVER_FUNCTION(sparsevec_out)
{
    const auto* v = SparseVector::from(PG_GETARG_DATUM(0));
    const float* values = v->values();
    // an index, a colon, a value, a comma; braces, slash and dimensions
    constexpr int integer = 12;
    const auto put = [](char* to, int value) {
        return to + std::snprintf(to, integer, "%d", value);
    };
    auto* text = static_cast<char*>(
        palloc((integer + 2 + FLOAT_SHORTEST_DECIMAL_LEN) * v->nnz + integer + 4));
    char* p = text;
    *p++ = '{';
    for (int i = 0; i < v->nnz; i++) {
        if (i > 0)
            *p++ = ',';
        p = put(p, v->index[i] + 1);
        *p++ = ':';
        p += float_to_shortest_decimal_bufn(values[i], p);
    }
    *p++ = '}';
    *p++ = '/';
    put(p, v->dim);
    PG_RETURN_CSTRING(text);
}

QUIVER_FUNCTION(sparsevec_recv)
{
    auto* buf = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));
    const int dim = static_cast<int32>(pq_getmsgint(buf, 4));
    const int nnz = static_cast<int32>(pq_getmsgint(buf, 4));
    const int unused = static_cast<int32>(pq_getmsgint(buf, 4));
    check_dims(type, dim, max_sparse_dims);
    check_nnz(nnz, dim);
    check_typmod(PG_GETARG_INT32(2), dim);
    if (unused != 0)
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                        errmsg("expected unused to be 0, not %d", unused)));
    auto* result = SparseVector::make(dim, nnz);
    float* values = result->values();
    for (int i = 0; i < nnz; i++) {
        result->index[i] = static_cast<int32>(pq_getmsgint(buf, 4));
        check_index(result->index[i], i > 0 ? result->index[i - 1] : no_index, dim);
    }
    for (int i = 0; i < nnz; i++) {
        values[i] = pq_getmsgfloat4(buf);
        check_finite(type, values[i]);
        if (values[i] == 0)
            ereport(ERROR,
                    (errcode(ERRCODE_DATA_EXCEPTION),
                     errmsg("binary representation of sparsevec cannot contain zero values")));
    }
    PG_RETURN_POINTER(result);
}

QUIVER_FUNCTION(sparsevec_send)
{
    const auto* v = SparseVector::from(PG_GETARG_DATUM(0));
    StringInfoData buf;
    pq_begintypsend(&buf);
    pq_sendint32(&buf, v->dim);
    pq_sendint32(&buf, v->nnz);
    pq_sendint32(&buf, v->unused);
    for (int i = 0; i < v->nnz; i++)
        pq_sendint32(&buf, v->index[i]);
    for (int i = 0; i < v->nnz; i++)
        pq_sendfloat4(&buf, v->values()[i]);
    PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

QUIVER_FUNCTION(sparsevec_typmod_in)
{
    PG_RETURN_INT32(typmod_in(type, PG_GETARG_ARRAYTYPE_P(0), max_sparse_dims));
}

QUIVER_FUNCTION(sparsevec)
{
    auto* v = SparseVector::from(PG_GETARG_DATUM(0));
    check_typmod(PG_GETARG_INT32(1), v->dim);
    PG_RETURN_POINTER(v);
}

QUIVER_FUNCTION(vector_to_sparsevec)
{
    const auto* v = Vector::from(PG_GETARG_DATUM(0));
    check_typmod(PG_GETARG_INT32(1), v->dim);
    PG_RETURN_POINTER(from_floats(v->x, v->dim));
}

QUIVER_FUNCTION(halfvec_to_sparsevec)
{
    const auto* v = HalfVector::from(PG_GETARG_DATUM(0));
    check_typmod(PG_GETARG_INT32(1), v->dim);
    auto* x = static_cast<float*>(palloc(sizeof(float) * v->dim));
    simd::kernels().to_f32(v->x, x, v->dim);
    PG_RETURN_POINTER(from_floats(x, v->dim));
}

QUIVER_FUNCTION(array_to_sparsevec)
{
    int n;
    const float* x =
        array_to_floats(PG_GETARG_ARRAYTYPE_P(0), max_sparse_dims, type, PG_GETARG_INT32(1), &n);
    PG_RETURN_POINTER(from_floats(x, n));
}

QUIVER_FUNCTION(sparsevec_to_vector)
{
    const auto* v = SparseVector::from(PG_GETARG_DATUM(0));
    check_dims("vector", v->dim);
    check_typmod(PG_GETARG_INT32(1), v->dim);
    auto* result = Vector::make(v->dim);
    for (int i = 0; i < v->nnz; i++)
        result->x[v->index[i]] = v->values()[i];
    PG_RETURN_POINTER(result);
}

QUIVER_FUNCTION(sparsevec_to_halfvec)
{
    const auto* v = SparseVector::from(PG_GETARG_DATUM(0));
    check_dims("halfvec", v->dim);
    check_typmod(PG_GETARG_INT32(1), v->dim);
    auto* result = HalfVector::make(v->dim);
    for (int i = 0; i < v->nnz; i++) {
        const half h = to_half(v->values()[i]);
        if (std::isinf(to_float(h))) {
            char text[FLOAT_SHORTEST_DECIMAL_LEN];
            float_to_shortest_decimal_buf(v->values()[i], text);
            out_of_range("halfvec", text, std::strlen(text));
        }
        result->x[v->index[i]] = h;
    }
    PG_RETURN_POINTER(result);
}

QUIVER_FUNCTION(sparsevec_l2_distance) { PG_RETURN_FLOAT8(std::sqrt(SparsePair(fcinfo).l2sq())); }
QUIVER_FUNCTION(sparsevec_l2_squared_distance) { PG_RETURN_FLOAT8(SparsePair(fcinfo).l2sq()); }
QUIVER_FUNCTION(sparsevec_inner_product) { PG_RETURN_FLOAT8(SparsePair(fcinfo).ip()); }
QUIVER_FUNCTION(sparsevec_negative_inner_product) { PG_RETURN_FLOAT8(-SparsePair(fcinfo).ip()); }
QUIVER_FUNCTION(sparsevec_cosine_distance) { PG_RETURN_FLOAT8(SparsePair(fcinfo).cosine()); }
QUIVER_FUNCTION(sparsevec_l1_distance) { PG_RETURN_FLOAT8(SparsePair(fcinfo).l1()); }
QUIVER_FUNCTION(sparsevec_l2_norm)
{
    PG_RETURN_FLOAT8(sparse_norm(SparseVector::from(PG_GETARG_DATUM(0))));
}

QUIVER_FUNCTION(sparsevec_l2_normalize)
{
    const auto* v = SparseVector::from(PG_GETARG_DATUM(0));
    const double norm = sparse_norm(v);
    auto* scaled = static_cast<float*>(palloc(sizeof(float) * (v->nnz + 1)));
    int nnz = 0;
    if (norm > 0)
        for (int i = 0; i < v->nnz; i++) {
            scaled[i] = static_cast<float>(v->values()[i] / norm);
            if (std::isinf(scaled[i]))
                float_overflow_error();
            nnz += scaled[i] != 0;   // tiny values may underflow, and zeros are not stored
        }
    auto* result = SparseVector::make(v->dim, nnz);
    float* values = result->values();
    for (int i = 0, j = 0; j < nnz; i++)
        if (scaled[i] != 0) {
            result->index[j] = v->index[i];
            values[j++] = scaled[i];
        }
    PG_RETURN_POINTER(result);
}

QUIVER_FUNCTION(sparsevec_lt) { PG_RETURN_BOOL(sparse_compare(fcinfo) < 0); }
QUIVER_FUNCTION(sparsevec_le) { PG_RETURN_BOOL(sparse_compare(fcinfo) <= 0); }
QUIVER_FUNCTION(sparsevec_eq) { PG_RETURN_BOOL(sparse_compare(fcinfo) == 0); }
QUIVER_FUNCTION(sparsevec_ne) { PG_RETURN_BOOL(sparse_compare(fcinfo) != 0); }
QUIVER_FUNCTION(sparsevec_ge) { PG_RETURN_BOOL(sparse_compare(fcinfo) >= 0); }
QUIVER_FUNCTION(sparsevec_gt) { PG_RETURN_BOOL(sparse_compare(fcinfo) > 0); }
QUIVER_FUNCTION(sparsevec_cmp) { PG_RETURN_INT32(sparse_compare(fcinfo)); }
