// The table of codecs.
#include "codec/codec.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "core/no_postgres.hpp"

namespace quiver::codec {

// Each is defined in its own file.
extern const CodecEntry scalar_codec, fine_codec, full_codec, product_codec, taxicab_codec,
    bits_codec, sparse_codec;

namespace {

// clang-format off
constexpr const CodecEntry* codecs[] = {
    &scalar_codec,    // vectors: 8 bits per dimension
    &fine_codec,      // 12 or 16 bits
    &full_codec,      // 32 bits: floats
    &product_codec,   // 1, 2 or 4 bits
    &taxicab_codec,   // vectors under l1
    &bits_codec,
    &sparse_codec,
};
// clang-format on

const CodecEntry& codec_for(const CodecSpec& spec)
{
    const CodecEntry* found = find_codec(spec);
    QUIVER_ASSERT(found);
    return *found;
}

}   // namespace

const CodecEntry* find_codec(const CodecSpec& spec)
{
    for (const CodecEntry* codec : codecs)
        if (codec->fits(spec))
            return codec;
    return nullptr;
}

CodecTraits codec_traits(const CodecSpec& spec) { return codec_for(spec).traits(spec); }
Owned<Codec> make_codec(const CodecSpec& spec) { return codec_for(spec).make(spec); }

bool Codec::same(const Code& x, const Code& y) const
{
    return std::equal(x.bytes, x.bytes + x.length, y.bytes, y.bytes + y.length);
}

bool Codec::holds(const Code& code, const Value& x) const
{
    Vec<uint8_t> own;
    return same(code, encode(x, own));
}

}   // namespace quiver::codec
