// The types quantizer, quantized and quantized_query, and their functions. The aggregates are in
// nearest.cpp.
#include "pg/pg.hpp"

#include "types/quantizer.hpp"

#include "pg/result_row.hpp"

namespace quiver {

namespace {

class Prepared;
struct Training;

// What differs between the kinds of quantizers.
struct KindTraits {
    int max_rotated_dims;
    bool (*is_valid)(const Quantizer&);   // number of bits and subvectors
    Size (*floats)(const Quantizer&);     // parameters
    Size (*code_bytes)(const Quantizer&);
    Size (*query_floats)(const Quantizer&);
    void (*fill_query)(QuantizedQuery*, const Quantizer*, const float* q);
    void (*encode)(Prepared&, const float* x, uint8* code);
    void (*decode)(const Quantizer*, const uint8* code, float* x);
    // Null if there is nothing to train.
    Size (*rows_to_keep)(int bits);
    void (*add_row)(Training&, const float* x);
    void (*train)(const Training&, Quantizer*);
};
bool is_kind(QuantizerKind kind)
{
    return kind >= QuantizerKind::product && kind <= QuantizerKind::own_scalar;
}
const KindTraits& traits_of(QuantizerKind kind);

// Fills the tables of the squared distances, inner products and squared norms for all codes of each
// subvector.
void fill_product(QuantizedQuery* query, const Quantizer* by, const float* q)
{
    const Size each = by->shape().table_floats();
    float* parts = query->parts;
    auto* zero = static_cast<float*>(palloc0(by->dims * sizeof(float)));
    Vec<float> y;
    if (by->rotated) {
        y.resize(by->dims);
        codec::product_rotate(by->rotation(), by->dims, q, 1, y.data());
        q = y.data();
    }
    codec::product_l2sq_table(by->shape(), by->parameters, q, parts);
    codec::product_ip_table(by->shape(), by->parameters, q, parts + each);
    codec::product_l2sq_table(by->shape(), by->parameters, zero, parts + 2 * each);
}

void fill_scalar(QuantizedQuery* query, const Quantizer* by, const float* q)
{
    const Size each = by->dims;
    float* parts = query->parts;
    query->offset_ip = simd::kernels().f32.ip(q, by->offset(), by->dims);
    Vec<float> scaled(each);
    for (Size j = 0; j < each; j++) {
        parts[j] = q[j] - by->offset()[j];
        parts[each + j] = by->scale()[j];
        parts[2 * each + j] = -by->offset()[j];
        scaled[j] = q[j] * by->scale()[j];
    }
    codec::ScalarQuery shorts;
    shorts.set(scaled.data(), each, simd::kernels().norm2_f32(scaled.data(), each));
    query->step = shorts.step();
    // Corrects for what the rounding changes, as if each code were 127.5, the middle of the range.
    for (Size j = 0; j < each; j++)
        query->offset_ip += 127.5f * (scaled[j] - shorts.step() * shorts.code()[j]);
    std::memcpy(parts + 3 * each, shorts.code(), each * sizeof(int16_t));
}

void fill_own_scalar(QuantizedQuery* query, const Quantizer* by, const float* q)
{
    std::memcpy(query->parts, q, by->dims * sizeof(float));
}

}   // namespace

Size Quantizer::floats() const { return traits_of(kind).floats(*this); }
Size Quantizer::code_bytes() const { return traits_of(kind).code_bytes(*this); }

QuantizedQuery* QuantizedQuery::make(const Quantizer* by, const float* q)
{
    const KindTraits& traits = traits_of(by->kind);
    const Size bytes = offsetof(QuantizedQuery, parts) + traits.query_floats(*by) * sizeof(float);
    auto* query = static_cast<QuantizedQuery*>(palloc0(bytes));
    SET_VARSIZE(query, bytes);
    query->fingerprint = by->fingerprint;
    query->kind = by->kind;
    query->bits = by->bits;
    query->code_bytes = static_cast<uint32>(by->code_bytes());
    query->norm2 = static_cast<float>(simd::kernels().norm2_f32(q, by->dims));
    traits.fill_query(query, by, q);
    return query;
}

namespace {

QuantizedPair pair_of(FunctionCallInfo fcinfo)
{
    return {QuantizedCode(PG_GETARG_DATUM(0)),
            reinterpret_cast<QuantizedQuery*>(PG_DETOAST_DATUM(PG_GETARG_DATUM(1)))};
}

void decode_product(const Quantizer* q, const uint8* code, float* x)
{
    if (!q->rotated)
        return codec::product_decode(q->shape(), q->parameters, code, x);
    Vec<float> y(q->dims);
    codec::product_decode(q->shape(), q->parameters, code, y.data());
    codec::product_rotate_back(q->rotation(), q->dims, y.data(), x);
}

void decode_scalar(const Quantizer* q, const uint8* code, float* x)
{
    codec::trained_scalar_decode(code, q->dims, q->offset(), q->scale(), x);
}

void decode_own_scalar(const Quantizer* q, const uint8* code, float* x)
{
    const OwnScalar own = OwnScalar::read(code);
    if (!std::isfinite(own.offset) || !std::isfinite(own.offset + 255 * own.scale))
        ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                        errmsg("offset or scale of quantized value is not finite")));
    codec::scalar_decode(own.params(), code + OwnScalar::bytes, q->dims, x);
}

// The quantizer in the first argument of a function, prepared once for all calls with the same
// quantizer. A quantizer is often large, and each call would read it from its TOAST table again.
class Prepared {
  public:
    static Prepared& of(FunctionCallInfo fcinfo)
    {
        auto* known = static_cast<Prepared*>(fcinfo->flinfo->fn_extra);
        const auto* given = reinterpret_cast<varlena*>(DatumGetPointer(PG_GETARG_DATUM(0)));
        if (known && known->same(given))
            return *known;
        fcinfo->flinfo->fn_extra = nullptr;
        if (known)
            MemoryContextDelete(known->context_);
        const MemoryContext context = AllocSetContextCreate(
            fcinfo->flinfo->fn_mcxt, "quiver quantizer", ALLOCSET_DEFAULT_SIZES);
        const MemoryContext old = MemoryContextSwitchTo(context);
        known = new (palloc(sizeof(Prepared))) Prepared(context, given);
        MemoryContextSwitchTo(old);
        fcinfo->flinfo->fn_extra = known;
        return *known;
    }
    const Quantizer* operator->() const { return quantizer_; }
    const Quantizer* get() const { return quantizer_; }

    void encode(const float* x, uint8* code) { traits_of(quantizer_->kind).encode(*this, x, code); }
    void encode_product(const float* x, uint8* code)
    {
        const MemoryContext old = MemoryContextSwitchTo(context_);   // its buffers outlive the call
        if (!encoder_)
            encoder_ = new (palloc(sizeof(codec::ProductEncoder)))
                codec::ProductEncoder(quantizer_->shape(), quantizer_->parameters);
        if (quantizer_->rotated) {
            if (!rotated_)
                rotated_ = static_cast<float*>(palloc(quantizer_->dims * sizeof(float)));
            codec::product_rotate(quantizer_->rotation(), quantizer_->dims, x, 1, rotated_);
            x = rotated_;
        }
        encoder_->encode(x, 1, code);
        MemoryContextSwitchTo(old);
    }

  private:
    Prepared(MemoryContext context, const varlena* given) : context_(context)
    {
        const Size bytes = VARSIZE_ANY(given);
        key_ = static_cast<varlena*>(palloc(bytes));
        std::memcpy(key_, given, bytes);
        quantizer_ = reinterpret_cast<Quantizer*>(PG_DETOAST_DATUM(PointerGetDatum(key_)));
    }
    // Compares the stored bytes. If the value is in a TOAST table, these are the bytes of the TOAST
    // pointer.
    bool same(const varlena* given) const
    {
        const Size bytes = VARSIZE_ANY(given);
        return bytes == VARSIZE_ANY(key_) && std::memcmp(given, key_, bytes) == 0;
    }

    MemoryContext context_;
    varlena* key_;
    const Quantizer* quantizer_;
    codec::ProductEncoder* encoder_ = nullptr;
    float* rotated_ = nullptr;
};

void encode_product(Prepared& q, const float* x, uint8* code) { q.encode_product(x, code); }

void encode_scalar(Prepared& q, const float* x, uint8* code)
{
    codec::trained_scalar_encode(x, q->dims, q->offset(), q->scale(), code);
}

void encode_own_scalar(Prepared& q, const float* x, uint8* code)
{
    const codec::CodeParams p = codec::scalar_encode(x, q->dims, code + OwnScalar::bytes);
    if (!std::isfinite(p.norm2))
        ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                        errmsg("norm of vector is out of range for quantizer")));
    OwnScalar{p.offset, p.scale, p.norm2}.write(code);
}

// ---- text format: the binary format in hexadecimal ----

Datum hex_out(bytea* sent) { return DirectFunctionCall1(byteaout, PointerGetDatum(sent)); }

// Decodes a text to bytes, which can be read like a message.
StringInfoData hex_in(const char* type, char* text)
{
    if (text[0] != '\\' || text[1] != 'x')
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                 errmsg("invalid input syntax for type %s", type),
                 errdetail("The text must start with \\x, followed by hexadecimal digits.")));
    auto* bytes = reinterpret_cast<bytea*>(
        DatumGetPointer(DirectFunctionCall1(byteain, CStringGetDatum(text))));
    StringInfoData message;
    message.data = VARDATA(bytes);
    message.len = message.maxlen = static_cast<int>(VARSIZE(bytes) - VARHDRSZ);
    message.cursor = 0;
    return message;
}

[[noreturn]] void invalid(const char* type, int code, const char* detail)
{
    ereport(ERROR,
            (errcode(code), errmsg("invalid value for type %s", type), errdetail("%s", detail)));
    pg_unreachable();
}

// Returns what is wrong with the shape of a quantizer, whose other members are not set. Returns
// null if the shape is valid.
const char* problem_of_shape(const Quantizer& q)
{
    if (q.version != Quantizer::current_version)
        return "This version of quiver does not support the format of the value.";
    if (q.dims < 1 || q.dims > max_dims || q.subvectors < 1 || q.subvectors > q.dims)
        return "The number of dimensions or subvectors is out of range.";
    const KindTraits* traits = is_kind(q.kind) ? &traits_of(q.kind) : nullptr;
    if (q.rotated > (traits && q.dims <= traits->max_rotated_dims ? 1 : 0))
        return "A quantizer of this kind or size cannot have a rotation.";
    if (!traits || !traits->is_valid(q))
        return "The kind of quantizer or its number of bits is invalid.";
    return nullptr;
}

Quantizer* read_quantizer(StringInfo message, int code)
{
    const auto bad = [&](const char* detail) { invalid("quantizer", code, detail); };
    if (message->len - message->cursor < static_cast<int>(Quantizer::header - sizeof(int32)))
        bad("The value is too short.");
    const auto fingerprint = static_cast<uint32>(pq_getmsgint(message, 4));
    Quantizer shape{};
    shape.version = static_cast<uint8>(pq_getmsgint(message, 1));
    shape.kind = static_cast<QuantizerKind>(pq_getmsgint(message, 1));
    shape.bits = static_cast<uint8>(pq_getmsgint(message, 1));
    shape.rotated = static_cast<uint8>(pq_getmsgint(message, 1));
    shape.dims = static_cast<uint16>(pq_getmsgint(message, 2));
    shape.subvectors = static_cast<uint16>(pq_getmsgint(message, 2));
    if (const char* problem = problem_of_shape(shape))
        bad(problem);
    if (static_cast<Size>(message->len - message->cursor) != shape.floats() * sizeof(float))
        bad("The length of the value does not match its dimensions.");
    Quantizer* q =
        Quantizer::make(shape.kind, shape.dims, shape.subvectors, shape.bits, shape.rotated);
    for (Size i = 0; i < q->floats(); i++) {
        q->parameters[i] = pq_getmsgfloat4(message);
        if (!std::isfinite(q->parameters[i]))
            bad("A parameter is not finite.");
    }
    q->fingerprint = q->compute_fingerprint();
    if (q->fingerprint != fingerprint)
        bad("The fingerprint does not match the parameters. The value was altered.");
    return q;
}

bytea* send_quantizer(const Quantizer* q)
{
    StringInfoData message;
    pq_begintypsend(&message);
    pq_sendint32(&message, q->fingerprint);
    pq_sendint8(&message, q->version);
    pq_sendint8(&message, static_cast<uint8>(q->kind));
    pq_sendint8(&message, q->bits);
    pq_sendint8(&message, q->rotated);
    pq_sendint16(&message, q->dims);
    pq_sendint16(&message, q->subvectors);
    for (Size i = 0; i < q->floats(); i++)
        pq_sendfloat4(&message, q->parameters[i]);
    return pq_endtypsend(&message);
}

bytea* read_code(StringInfo message, int code)
{
    const int left = message->len - message->cursor;
    if (left < 5 || left - 4 > max_dims + static_cast<int>(OwnScalar::bytes))
        invalid("quantized", code, "The value is too short or too long.");
    const auto fingerprint = static_cast<uint32>(pq_getmsgint(message, 4));
    uint8* bytes;
    bytea* result = QuantizedCode::make(fingerprint, left - 4, &bytes);
    pq_copymsgbytes(message, reinterpret_cast<char*>(bytes), left - 4);
    return result;
}

bytea* send_code(const QuantizedCode& code)
{
    StringInfoData message;
    pq_begintypsend(&message);
    pq_sendint32(&message, code.fingerprint);
    pq_sendbytes(&message, reinterpret_cast<const char*>(code.bytes), static_cast<int>(code.count));
    return pq_endtypsend(&message);
}

Quantizer* get_quantizer(FunctionCallInfo fcinfo, int i)
{
    return reinterpret_cast<Quantizer*>(PG_DETOAST_DATUM(PG_GETARG_DATUM(i)));
}

int compare_codes(FunctionCallInfo fcinfo)
{
    const QuantizedCode a(PG_GETARG_DATUM(0)), b(PG_GETARG_DATUM(1));
    if (a.fingerprint != b.fingerprint)
        return a.fingerprint < b.fingerprint ? -1 : 1;
    const int order = std::memcmp(a.bytes, b.bytes, std::min(a.count, b.count));
    return order != 0 ? order : (a.count > b.count) - (a.count < b.count);
}

// ---- training: an aggregate over a sample of the rows (Vitter 1985, algorithm R) ----

// The quantizer that an aggregate is asked to train.
struct TrainingOptions {
    QuantizerKind kind;
    int dims, subvectors, bits;
    bool rotated;
};

struct Training {
    TrainingOptions options;
    int64 seen = 0;
    Size kept = 0, room = 0, most;   // rows
    float* rows = nullptr;
    Rng rng{1};

    explicit Training(const TrainingOptions& o) : options(o)
    {
        // The rows must fit into maintenance_work_mem.
        const Size enough = traits_of(o.kind).rows_to_keep(o.bits);
        const Size fits = Size{static_cast<uint32>(maintenance_work_mem)} * 1024 / row_bytes();
        most = std::min(enough, std::max<Size>(fits, Size{1} << o.bits));
    }

    void add(const float* x)
    {
        seen++;
        traits_of(options.kind).add_row(*this, x);
    }

    // Keeps two rows: the least and the greatest value of each dimension. At first, both are the
    // first row.
    void add_to_range(const float* x)
    {
        const int dims = options.dims;
        if (kept == 0) {
            make_room();
            std::memcpy(rows, x, row_bytes());
            std::memcpy(rows + dims, x, row_bytes());
            kept = 2;
        }
        for (int j = 0; j < dims; j++) {
            rows[j] = std::min(rows[j], x[j]);
            rows[dims + j] = std::max(rows[dims + j], x[j]);
        }
    }
    void add_to_sample(const float* x)
    {
        Size at = kept;
        if (kept == most) {
            at = static_cast<Size>(rng.next() % static_cast<uint64>(seen));
            if (at >= most)
                return;
        } else if (kept == room)
            make_room();
        std::memcpy(rows + at * options.dims, x, row_bytes());
        kept = std::max(kept, at + 1);
    }

  private:
    Size row_bytes() const { return static_cast<Size>(options.dims) * sizeof(float); }
    void make_room()
    {
        room = std::min(most, std::max<Size>(room * 2, 64));
        rows = static_cast<float*>(
            rows ? repalloc_huge(rows, room * row_bytes())
                 : MemoryContextAllocHuge(CurrentMemoryContext, room * row_bytes()));
    }
};

// The arguments of pq_train(vector, subvectors, bits, rotate). The last two are optional.
TrainingOptions product_options(FunctionCallInfo fcinfo, int dims)
{
    for (int i = 2; i < PG_NARGS(); i++)
        if (PG_ARGISNULL(i))
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                            errmsg("subvectors, bits and rotate must not be null")));
    const int subvectors = PG_GETARG_INT32(2);
    const int bits = PG_NARGS() > 3 ? PG_GETARG_INT32(3) : 8;
    const bool rotated = PG_NARGS() > 4 && PG_GETARG_BOOL(4);
    if (subvectors < 1 || subvectors > dims)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("invalid number of subvectors %d for a vector with %d dimensions",
                               subvectors, dims),
                        errhint("A vector cannot have more subvectors than dimensions.")));
    if (bits != 4 && bits != 8)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("bits must be 4 or 8, not %d", bits)));
    if (rotated && dims > Quantizer::max_rotated_dims)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("cannot rotate vectors with more than %d dimensions: %d",
                               Quantizer::max_rotated_dims, dims)));
    return {QuantizerKind::product, dims, subvectors, bits, rotated};
}

Datum train_accum(FunctionCallInfo fcinfo, QuantizerKind kind)
{
    MemoryContext context;
    if (!AggCheckCallContext(fcinfo, &context))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("aggregate function called in non-aggregate context")));
    auto* t = PG_ARGISNULL(0) ? nullptr : reinterpret_cast<Training*>(PG_GETARG_POINTER(0));
    if (PG_ARGISNULL(1)) {
        if (!t)
            PG_RETURN_NULL();
        PG_RETURN_POINTER(t);
    }
    const auto* v = Vector::from(PG_GETARG_DATUM(1));
    if (!t)
        t = new (MemoryContextAlloc(context, sizeof(Training))) Training(
            kind == QuantizerKind::product ? product_options(fcinfo, v->dim)
                                           : TrainingOptions{kind, v->dim, v->dim, 8, false});
    check_typmod(t->options.dims, v->dim);
    const MemoryContext old = MemoryContextSwitchTo(context);
    t->add(v->x);
    MemoryContextSwitchTo(old);
    PG_RETURN_POINTER(t);
}

// Trains a rotation, then the codebook on the rotated rows.
void train_rotated(const Training& t, Quantizer* q)
{
    // The rows belong to the transition state, which may be finalized again, so they must not
    // change.
    float* rotation = q->parameters + q->shape().codebook_floats();
    codec::product_train_rotation(q->shape(), t.rows, t.kept, 1, rotation, pg::poll);
    auto* rows = static_cast<float*>(MemoryContextAllocHuge(
        CurrentMemoryContext, t.kept * static_cast<Size>(q->dims) * sizeof(float)));
    constexpr Size at_once = 256;
    for (Size i = 0; i < t.kept; i += at_once) {
        pg::poll();
        codec::product_rotate(rotation, q->dims, t.rows + i * q->dims,
                              std::min(at_once, t.kept - i), rows + i * q->dims);
    }
    codec::product_train(q->shape(), rows, t.kept, 1, q->parameters, pg::poll);
    pfree(rows);
}

void train_product(const Training& t, Quantizer* q)
{
    if (q->rotated)
        return train_rotated(t, q);
    codec::product_train(q->shape(), t.rows, t.kept, 1, q->parameters, pg::poll);
}

void train_scalar(const Training& t, Quantizer* q)
{
    codec::trained_scalar_train(t.rows, t.kept, q->dims, q->parameters, q->parameters + q->dims);
}

Datum train_final(FunctionCallInfo fcinfo)
{
    if (PG_ARGISNULL(0))
        PG_RETURN_NULL();
    const auto* t = reinterpret_cast<Training*>(PG_GETARG_POINTER(0));
    const TrainingOptions& o = t->options;
    Quantizer* q = Quantizer::make(o.kind, o.dims, o.subvectors, o.bits, o.rotated);
    traits_of(o.kind).train(*t, q);
    q->fingerprint = q->compute_fingerprint();
    PG_RETURN_POINTER(q);
}

// ---- the kinds ----

bool has_8_bits_per_dimension(const Quantizer& q) { return q.bits == 8 && q.subvectors == q.dims; }

// Ordered by the numbers of QuantizerKind.
constexpr KindTraits kinds[] = {
    {.max_rotated_dims = Quantizer::max_rotated_dims,
     .is_valid = [](const Quantizer& q) { return q.bits == 4 || q.bits == 8; },
     .floats =
         [](const Quantizer& q) {
             return q.shape().codebook_floats() + (q.rotated ? Size{q.dims} * q.dims : 0);
         },
     .code_bytes = [](const Quantizer& q) -> Size { return q.shape().code_bytes(); },
     .query_floats = [](const Quantizer& q) -> Size { return 3 * q.shape().table_floats(); },
     .fill_query = fill_product,
     .encode = encode_product,
     .decode = decode_product,
     // More than 256 rows per centroid do not help.
     .rows_to_keep = [](int bits) { return std::max<Size>(Size{256} << bits, 16384); },
     .add_row = [](Training& t, const float* x) { t.add_to_sample(x); },
     .train = train_product},
    {.max_rotated_dims = 0,
     .is_valid = has_8_bits_per_dimension,
     .floats = [](const Quantizer& q) { return Size{2} * q.dims; },
     .code_bytes = [](const Quantizer& q) { return Size{q.dims}; },
     .query_floats = [](const Quantizer& q) { return Size{4} * q.dims; },
     .fill_query = fill_scalar,
     .encode = encode_scalar,
     .decode = decode_scalar,
     .rows_to_keep = [](int) { return Size{2}; },   // the least and the greatest values
     .add_row = [](Training& t, const float* x) { t.add_to_range(x); },
     .train = train_scalar},
    {.max_rotated_dims = 0,
     .is_valid = has_8_bits_per_dimension,
     .floats = [](const Quantizer&) { return Size{0}; },
     .code_bytes = [](const Quantizer& q) { return Size{q.dims} + OwnScalar::bytes; },
     .query_floats = [](const Quantizer& q) { return Size{q.dims}; },
     .fill_query = fill_own_scalar,
     .encode = encode_own_scalar,
     .decode = decode_own_scalar,
     .rows_to_keep = nullptr,
     .add_row = nullptr,
     .train = nullptr},
};

const KindTraits& traits_of(QuantizerKind kind)
{
    if (!is_kind(kind))
        ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                        errmsg("quantizer has unknown kind %d", static_cast<int>(kind))));
    return kinds[static_cast<Size>(kind) - 1];
}

}   // namespace
}   // namespace quiver

using namespace quiver;

QUIVER_FUNCTION(quantizer_in)
{
    StringInfoData message = hex_in("quantizer", PG_GETARG_CSTRING(0));
    PG_RETURN_POINTER(read_quantizer(&message, ERRCODE_INVALID_TEXT_REPRESENTATION));
}
QUIVER_FUNCTION(quantizer_out) { return hex_out(send_quantizer(get_quantizer(fcinfo, 0))); }
QUIVER_FUNCTION(quantizer_recv)
{
    PG_RETURN_POINTER(read_quantizer(reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0)),
                                     ERRCODE_INVALID_BINARY_REPRESENTATION));
}
QUIVER_FUNCTION(quantizer_send) { PG_RETURN_BYTEA_P(send_quantizer(get_quantizer(fcinfo, 0))); }

QUIVER_FUNCTION(quantized_in)
{
    StringInfoData message = hex_in("quantized", PG_GETARG_CSTRING(0));
    PG_RETURN_BYTEA_P(read_code(&message, ERRCODE_INVALID_TEXT_REPRESENTATION));
}
QUIVER_FUNCTION(quantized_out) { return hex_out(send_code(QuantizedCode(PG_GETARG_DATUM(0)))); }
QUIVER_FUNCTION(quantized_recv)
{
    PG_RETURN_BYTEA_P(read_code(reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0)),
                                ERRCODE_INVALID_BINARY_REPRESENTATION));
}
QUIVER_FUNCTION(quantized_send) { PG_RETURN_BYTEA_P(send_code(QuantizedCode(PG_GETARG_DATUM(0)))); }

QUIVER_FUNCTION(quantized_query_in)
{
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot accept a value of type quantized_query"),
                    errhint("Use the function quantized_query(quantizer, vector).")));
    PG_RETURN_NULL();
}
QUIVER_FUNCTION(quantized_query_out)
{
    const auto* q = reinterpret_cast<QuantizedQuery*>(PG_DETOAST_DATUM(PG_GETARG_DATUM(0)));
    PG_RETURN_CSTRING(psprintf("query of quantizer %08x", q->fingerprint));
}

QUIVER_FUNCTION(pq_train_accum) { return train_accum(fcinfo, QuantizerKind::product); }
QUIVER_FUNCTION(sq_train_accum) { return train_accum(fcinfo, QuantizerKind::scalar); }
QUIVER_FUNCTION(quantizer_train_final) { return train_final(fcinfo); }

QUIVER_FUNCTION(sq_quantizer)
{
    const int dims = PG_GETARG_INT32(0);
    if (dims < 1 || dims > max_dims)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("dims must be between 1 and %d, not %d", max_dims, dims)));
    Quantizer* q = Quantizer::make(QuantizerKind::own_scalar, dims, dims, 8);
    q->fingerprint = q->compute_fingerprint();
    PG_RETURN_POINTER(q);
}

QUIVER_FUNCTION(quantize)
{
    Prepared& q = Prepared::of(fcinfo);
    const auto* v = Vector::from(PG_GETARG_DATUM(1));
    check_typmod(q->dims, v->dim);
    uint8* bytes;
    bytea* result = QuantizedCode::make(q->fingerprint, q->code_bytes(), &bytes);
    q.encode(v->x, bytes);
    PG_RETURN_BYTEA_P(result);
}

QUIVER_FUNCTION(dequantize)
{
    const Prepared& q = Prepared::of(fcinfo);
    const QuantizedCode code(PG_GETARG_DATUM(1));
    code.check(q->fingerprint, q->code_bytes());
    Vector* result = Vector::make(q->dims);
    traits_of(q->kind).decode(q.get(), code.bytes, result->x);
    PG_RETURN_POINTER(result);
}

QUIVER_FUNCTION(quantized_query)
{
    const Prepared& q = Prepared::of(fcinfo);
    const auto* v = Vector::from(PG_GETARG_DATUM(1));
    check_typmod(q->dims, v->dim);
    PG_RETURN_POINTER(QuantizedQuery::make(q.get(), v->x));
}

// Symmetric distances: the query is a code, too.
QUIVER_FUNCTION(quantized_query_from_code)
{
    const Prepared& q = Prepared::of(fcinfo);
    const QuantizedCode code(PG_GETARG_DATUM(1));
    code.check(q->fingerprint, q->code_bytes());
    auto* x = static_cast<float*>(palloc(q->dims * sizeof(float)));
    traits_of(q->kind).decode(q.get(), code.bytes, x);
    PG_RETURN_POINTER(QuantizedQuery::make(q.get(), x));
}

QUIVER_FUNCTION(quantized_l2_distance) { PG_RETURN_FLOAT8(std::sqrt(pair_of(fcinfo).l2sq())); }
QUIVER_FUNCTION(quantized_inner_product) { PG_RETURN_FLOAT8(pair_of(fcinfo).ip()); }
QUIVER_FUNCTION(quantized_negative_inner_product) { PG_RETURN_FLOAT8(-pair_of(fcinfo).ip()); }
QUIVER_FUNCTION(quantized_cosine_distance) { PG_RETURN_FLOAT8(pair_of(fcinfo).cosine()); }

QUIVER_FUNCTION(quantized_lt) { PG_RETURN_BOOL(compare_codes(fcinfo) < 0); }
QUIVER_FUNCTION(quantized_le) { PG_RETURN_BOOL(compare_codes(fcinfo) <= 0); }
QUIVER_FUNCTION(quantized_eq) { PG_RETURN_BOOL(compare_codes(fcinfo) == 0); }
QUIVER_FUNCTION(quantized_ne) { PG_RETURN_BOOL(compare_codes(fcinfo) != 0); }
QUIVER_FUNCTION(quantized_ge) { PG_RETURN_BOOL(compare_codes(fcinfo) >= 0); }
QUIVER_FUNCTION(quantized_gt) { PG_RETURN_BOOL(compare_codes(fcinfo) > 0); }
QUIVER_FUNCTION(quantized_cmp) { PG_RETURN_INT32(compare_codes(fcinfo)); }

QUIVER_FUNCTION(quantizer_info)
{
    const Quantizer* q = get_quantizer(fcinfo, 0);
    pg::ResultRow row;
    row.text(psprintf("%08x", q->fingerprint));
    row.text(q->rotated                          ? "product, rotated"
             : q->kind == QuantizerKind::product ? "product"
             : q->kind == QuantizerKind::scalar  ? "scalar"
                                                 : "scalar, per vector");
    row.int4(q->dims);
    row.int4(q->subvectors);
    row.int4(q->bits);
    row.int4(static_cast<int64>(q->code_bytes()));
    row.int4(VARSIZE(q));
    return row.tuple(fcinfo);
}
