// Codes of all forms: what a slot keeps of its own vector, and distances between codes. Distances
// are squared for l2, negated for ip, and always about what the code decodes to, x'.
#pragma once

#include <cmath>

#include "core/memory.hpp"
#include "graph/layout.hpp"

namespace quiver::graph {

// A vector as it is indexed and searched for: rotated where the layout says so, of length 1 under
// cosine distance. One of the three is set, as the layout's form says.
struct Value {
    const float* dense = nullptr;    // layout.padded floats
    const uint8_t* bits = nullptr;   // layout.code_bytes bytes
    simd::SparseView sparse{};
};

inline simd::SparseView sparse_view(const uint8_t* bytes, uint32_t length)
{
    const uint32_t n = length / 8;
    return {reinterpret_cast<const int32_t*>(bytes),
            reinterpret_cast<const float*>(bytes + size_t{n} * 4), n};
}

// `norm2` of a code: |x'|^2, or the sum |x'_i| under l1, or the number of bits.
// `error`: |x - x'| in the norm of the metric; 0 for bits and sparse vectors, which are exact.
inline Code encode(const Layout& l, const Value& x, Vec<uint8_t>& buffer)
{
    switch (l.form) {
    case Form::dense: {
        buffer.resize(l.code_bytes);
        if (l.coarse())
            return {l.codebook->encode(x.dense, l.padded, buffer.data()), buffer.data(),
                    l.code_bytes};
        if (l.full()) {
            std::memcpy(buffer.data(), x.dense, l.code_bytes);
            Code c{{}, buffer.data(), l.code_bytes};
            c.params.norm2 = static_cast<float>(simd::kernels().norm2_f32(x.dense, l.padded));
            return c;
        }
        Code c{codec::scalar_encode(x.dense, l.padded, buffer.data()), buffer.data(), l.code_bytes};
        if (l.fine()) {
            uint8_t* after = buffer.data() + l.padded;
            const codec::FineParams p =
                codec::scalar_refine(x.dense, l.padded, c.params, c.bytes, l.bits - 8,
                                     after + sizeof(codec::FineParams));
            std::memcpy(after, &p, sizeof p);
        }
        if (l.metric == Metric::l1) {
            double norm = 0, error = 0;
            for (uint32_t i = 0; i < l.padded; i++) {
                const float decoded =
                    c.params.offset + c.params.scale * static_cast<float>(buffer[i]);
                norm += std::fabs(decoded);
                error += std::fabs(static_cast<double>(x.dense[i]) - decoded);
            }
            c.params.norm2 = static_cast<float>(norm);
            c.params.error = std::nextafter(static_cast<float>(error), INFINITY);
        }
        return c;
    }
    case Form::bits: buffer.assign(x.bits, x.bits + l.code_bytes); break;
    case Form::sparse: {
        const auto* index = reinterpret_cast<const uint8_t*>(x.sparse.index);
        const auto* value = reinterpret_cast<const uint8_t*>(x.sparse.value);
        buffer.assign(index, index + x.sparse.count * 4);
        buffer.insert(buffer.end(), value, value + x.sparse.count * 4);
        break;
    }
    }
    Code c{{}, buffer.data(), static_cast<uint32_t>(buffer.size())};
    double norm = 0;
    if (l.form == Form::bits)
        norm = static_cast<double>(simd::kernels().bits.popcount(x.bits, l.code_bytes));
    else
        for (size_t i = 0; i < x.sparse.count; i++)
            norm += l.metric == Metric::l1
                        ? std::fabs(x.sparse.value[i])
                        : static_cast<double>(x.sparse.value[i]) * x.sparse.value[i];
    c.params.norm2 = static_cast<float>(norm);
    return c;
}

// The finer code after a code of 8 bits a coordinate.
class FineCode {
  public:
    FineCode(const Layout& l, const Code& c)
        : l_(l), c_(c), bytes_(c.bytes + l.padded + sizeof(codec::FineParams))
    {
        std::memcpy(&params_, c.bytes + l.padded, sizeof params_);
    }
    const codec::FineParams& params() const { return params_; }
    double coordinate(uint32_t i) const
    {
        const uint32_t more = l_.bits - 8;
        return codec::scalar_fine_decode(c_.params, c_.bytes[i],
                                         codec::scalar_fine_at(bytes_, l_.padded, more, i), more);
    }
    // <q, x''>; q_sum: of q's coordinates
    double ip(const float* q, double q_sum) const
    {
        return codec::scalar_fine_ip(q, q_sum, c_.params, c_.bytes, bytes_, l_.bits - 8, l_.padded);
    }

  private:
    const Layout& l_;
    const Code& c_;
    codec::FineParams params_;
    const uint8_t* bytes_;
};

inline void decode_dense(const Layout& l, const Code& c, float* to)
{
    if (l.full())
        std::memcpy(to, c.bytes, l.code_bytes);
    else if (l.coarse())
        l.codebook->decode(c.params, c.bytes, l.padded, to);
    else
        codec::scalar_decode(c.params, c.bytes, l.padded, to);
}

// The vector that a code stands for; `scratch` holds what is decoded.
inline Value decode(const Layout& l, const Code& c, Vec<float>& scratch)
{
    Value x;
    if (l.form == Form::dense) {
        scratch.resize(l.padded);
        decode_dense(l, c, scratch.data());
        x.dense = scratch.data();
    } else if (l.form == Form::bits)
        x.bits = c.bytes;
    else
        x.sparse = sparse_view(c.bytes, c.length);
    return x;
}

inline float bits_distance(Metric metric, const uint8_t* x, const uint8_t* y, uint32_t bytes)
{
    if (metric == Metric::hamming)
        return static_cast<float>(simd::kernels().bits.hamming(x, y, bytes));
    const auto t = simd::kernels().bits.jaccard(x, y, bytes);
    return t.both == 0 ? 1.0f : 1.0f - static_cast<float>(t.both) / static_cast<float>(t.either);
}

inline float sparse_distance(Metric metric, simd::SparseView x, simd::SparseView y)
{
    switch (metric) {
    case Metric::ip: return -simd::kernels().sparse.ip(x, y);
    case Metric::l1: return simd::kernels().sparse.l1(x, y);
    default: return simd::kernels().sparse.l2sq(x, y);
    }
}

// sum |x_i - y'_i| of floats and a code, decoded a piece at a time
inline float l1_distance(const float* x, const Code& y, uint32_t n)
{
    constexpr uint32_t piece = 256;
    float decoded[piece], sum = 0;
    for (uint32_t i = 0; i < n; i += piece) {
        const uint32_t k = std::min(piece, n - i);
        codec::scalar_decode(y.params, y.bytes + i, k, decoded);
        sum += simd::kernels().f32.l1(x + i, decoded, k);
    }
    return sum;
}

// Of a layout that keeps vectors in full
inline const float* full_vector(const Code& c) { return reinterpret_cast<const float*>(c.bytes); }
inline float full_distance(const Layout& l, const float* x, const float* y)
{
    return l.metric == Metric::ip ? -simd::kernels().f32.ip(x, y, l.padded)
                                  : simd::kernels().f32.l2sq(x, y, l.padded);
}

inline float code_distance(const Layout& l, const Code& x, const Code& y)
{
    if (l.form == Form::bits)
        return bits_distance(l.metric, x.bytes, y.bytes, l.code_bytes);
    if (l.form == Form::sparse)
        return sparse_distance(l.metric, sparse_view(x.bytes, x.length),
                               sparse_view(y.bytes, y.length));
    if (l.metric == Metric::l1) {
        constexpr uint32_t piece = 256;
        float a[piece], sum = 0;
        for (uint32_t i = 0; i < l.padded; i += piece) {
            const uint32_t k = std::min(piece, l.padded - i);
            codec::scalar_decode(x.params, x.bytes + i, k, a);
            sum += l1_distance(a, {y.params, y.bytes + i, k}, k);
        }
        return sum;
    }
    if (l.full())
        return full_distance(l, full_vector(x), full_vector(y));
    const float ip = l.coarse() ? l.codebook->ip(x.params, x.bytes, y.params, y.bytes, l.padded)
                                : codec::scalar_ip(x.params, x.bytes, y.params, y.bytes, l.padded);
    return l.metric == Metric::ip ? -ip : x.params.norm2 + y.params.norm2 - 2 * ip;
}

inline bool same_code(const Layout& l, const Code& x, const Code& y)
{
    return x.length == y.length && std::memcmp(x.bytes, y.bytes, x.length) == 0 &&
           (l.form != Form::dense ||
            (x.params.offset == y.params.offset && x.params.scale == y.params.scale));
}

// Writes a node's code into its slot; `overflow` leads to what does not fit.
inline void put_code(const Code& c, const MutableSlot& slot, SlotId overflow)
{
    SlotHeader& h = slot.header();
    h.params = c.params;
    h.length = c.length;
    if (slot.layout().form == Form::sparse)
        h.overflow() = overflow;
    std::memcpy(slot.code(), c.bytes, std::min(c.length, slot.layout().code_bytes));
}

// Copies a node's slot, but for the places beyond its neighbours: they are never read, and to write them would
// be logged.
inline void copy_node(const Slot& from, const MutableSlot& to)
{
    const Layout& l = from.layout();
    const uint32_t n = std::min<uint32_t>(from.header().degree, l.degree);
    std::memcpy(to.data(), from.data(), l.ids + n * sizeof(SlotId));
    if (!l.sketched())
        return;
    std::copy_n(from.a(), n, to.a());
    if (l.form == Form::dense)
        std::copy_n(from.b(), n, to.b());
    for (uint32_t w = 0; w < l.words; w++)
        std::copy_n(from.sketches() + w * l.degree, n, to.sketches() + w * l.degree);
}

}   // namespace quiver::graph
