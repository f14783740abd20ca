// The codec of sparse vectors, which stores them unchanged.
#include "codec/sparse_codec.hpp"

#include <cmath>

#include "core/no_postgres.hpp"

namespace quiver::codec {

namespace {

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
        return between(sparse_view(x.bytes, x.length), sparse_view(y.bytes, y.length));
    }
    float between(simd::SparseView x, simd::SparseView y) const
    {
        switch (metric.geometry) {
        case Geometry::inner_product: return -simd::kernels().sparse.ip(x, y);
        case Geometry::taxicab: return simd::kernels().sparse.l1(x, y);
        default: return simd::kernels().sparse.l2sq(x, y);
        }
    }
    Owned<CodecQuery> query() const override;
};

class SparseQuery final : public CodecQuery {
  public:
    explicit SparseQuery(const SparseCodec& codec)
        : CodecQuery(codec.metric, codec.traits), codec_(codec)
    {
    }

    void set(const Value& x) override
    {
        norm2_ = codec_.encode(x, bytes_).params.norm2;
        value_.sparse = sparse_view(bytes_.data(), static_cast<uint32_t>(bytes_.size()));
    }
    float distance(const Code& code) const override
    {
        return codec_.between(value_.sparse, sparse_view(code.bytes, code.length));
    }

  private:
    const SparseCodec& codec_;
    Vec<uint8_t> bytes_;
};

Owned<CodecQuery> SparseCodec::query() const { return make_owned<SparseQuery>(*this); }

}   // namespace

extern constinit const CodecEntry sparse_codec = entry_of<SparseCodec>("sparse");

}   // namespace quiver::codec
