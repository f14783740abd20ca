// Chooses the sketches of a codec.
#include "codec/sketch.hpp"

#include "codec/bit_sketches.hpp"
#include "codec/sign_sketches.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

SketchShape sketch_shape(const CodecSpec& spec, uint32_t fold)
{
    if (SignSketches::fits(spec, fold))
        return SignSketches::shape_for(spec, fold);
    if (BitSketches::fits(spec, fold))
        return BitSketches::shape_for(spec, fold);
    return {};
}

Owned<Sketches> make_sketches(const Codec& codec, uint32_t fold)
{
    if (SignSketches::fits(codec.spec, fold))
        return make_owned<SignSketches>(codec, fold);
    if (BitSketches::fits(codec.spec, fold))
        return make_owned<BitSketches>(codec);
    return nullptr;
}

void SketchedSet::gather(const SketchBlock& block, const SketchEncoder& newcomer)
{
    rows_.resize((size_t{block.count} + 1) * words_);
    for (uint32_t i = 0; i < block.count; i++)
        for (uint32_t w = 0; w < words_; w++)
            rows_[size_t{i} * words_ + w] = block.bits[size_t{w} * block.stride + i];
    std::copy_n(newcomer.sketch().bits, words_, rows_.begin() + size_t{block.count} * words_);
    distance_.resize(block.count + size_t{1});
}

}   // namespace quiver::codec
