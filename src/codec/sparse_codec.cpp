// The codec of sparse vectors, which stores them unchanged.
#include "codec/sparse_codec.hpp"

#include <algorithm>
#include <cmath>

#include "codec/sparse_hash.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

namespace {

// Distances from one vector, which is copied into a hash table, to many.
class Distances {
  public:
    explicit Distances(Geometry geometry) : geometry_(geometry) {}

    void set(simd::SparseView x)
    {
        hash_.set(x);
        norm_ = terms(x).shared;
    }
    float to(simd::SparseView y) const
    {
        const simd::SparseTerms t = terms(y);
        if (geometry_ == Geometry::inner_product)
            return static_cast<float>(-t.apart);
        // (The difference of the norms can be a little below 0, by rounding.)
        return static_cast<float>(std::max(t.apart + (norm_ - t.shared), 0.0));
    }

  private:
    simd::SparseTerms terms(simd::SparseView y) const
    {
        const simd::Sparse& k = simd::kernels().sparse;
        switch (geometry_) {
        case Geometry::inner_product: return k.ip_terms(hash_.table(), y);
        case Geometry::taxicab: return k.l1_terms(hash_.table(), y);
        default: return k.l2sq_terms(hash_.table(), y);
        }
    }

    const Geometry geometry_;
    SparseHash hash_;
    double norm_ = 0;
};

class SparseCodec final : public Codec {
  public:
    explicit SparseCodec(const CodecSpec& spec) : Codec(spec, traits_for(spec)) {}

    static bool fits(const CodecSpec& spec)
    {
        const Geometry geometry = traits_of(spec.metric).geometry;
        return spec.form == Form::sparse && spec.bits == 8 && geometry != Geometry::hamming &&
               geometry != Geometry::jaccard;
    }
    static CodecTraits traits_for(const CodecSpec& spec)
    {
        return {.padded = round_up(spec.dims, 8),
                .code_bytes = sparse_inline_bytes,
                .varies_in_length = true};
    }

    Code encode(const Value& x, Vec<uint8_t>& buffer) const override
    {
        const auto* index = reinterpret_cast<const uint8_t*>(x.sparse.index);
        const auto* value = reinterpret_cast<const uint8_t*>(x.sparse.value);
        buffer.assign(index, index + x.sparse.count * 4);
        buffer.insert(buffer.end(), value, value + x.sparse.count * 4);
        double norm = 0;
        for (size_t i = 0; i < x.sparse.count; i++)
            norm += metric.geometry == Geometry::taxicab
                        ? std::fabs(x.sparse.value[i])
                        : static_cast<double>(x.sparse.value[i]) * x.sparse.value[i];
        Code code{{}, buffer.data(), static_cast<uint32_t>(buffer.size())};
        code.params.norm2 = static_cast<float>(norm);
        return code;
    }
    Value decode(const Code& code, Vec<float>&) const override
    {
        return {.sparse = sparse_view(code.bytes, code.length)};
    }
    float distance(const Code& x, const Code& y) const override
    {
        const simd::SparseView a = sparse_view(x.bytes, x.length),
                               b = sparse_view(y.bytes, y.length);
        switch (metric.geometry) {
        case Geometry::inner_product: return -simd::kernels().sparse.ip(a, b);
        case Geometry::taxicab: return simd::kernels().sparse.l1(a, b);
        default: return simd::kernels().sparse.l2sq(a, b);
        }
    }
    Owned<CodecQuery> query() const override;
    Owned<CodeComparer> comparer() const override;
};

class SparseQuery final : public CodecQuery {
  public:
    explicit SparseQuery(const SparseCodec& codec)
        : CodecQuery(codec.metric, codec.traits), codec_(codec), distances_(codec.metric.geometry)
    {
    }

    void set(const Value& x) override
    {
        norm2_ = codec_.encode(x, bytes_).params.norm2;
        value_.sparse = sparse_view(bytes_.data(), static_cast<uint32_t>(bytes_.size()));
        distances_.set(value_.sparse);
    }
    float distance(const Code& code) const override
    {
        return distances_.to(sparse_view(code.bytes, code.length));
    }

  private:
    const SparseCodec& codec_;
    Vec<uint8_t> bytes_;
    Distances distances_;
};

class SparseComparer final : public CodeComparer {
  public:
    explicit SparseComparer(const SparseCodec& codec)
        : CodeComparer(codec), distances_(codec.metric.geometry)
    {
    }

    void set(const Code& x) override { distances_.set(sparse_view(x.bytes, x.length)); }
    float distance(const Code& y) const override
    {
        return distances_.to(sparse_view(y.bytes, y.length));
    }

  private:
    Distances distances_;
};

Owned<CodecQuery> SparseCodec::query() const { return make_owned<SparseQuery>(*this); }
Owned<CodeComparer> SparseCodec::comparer() const { return make_owned<SparseComparer>(*this); }

}   // namespace

extern constinit const CodecEntry sparse_codec = entry_of<SparseCodec>("sparse");

}   // namespace quiver::codec
