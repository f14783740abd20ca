// Sketches of rotated vectors: binary quantization of the residual r = x - c between a neighbour x
// and the node c (RaBitQ, arXiv 2405.12497; SymphonyQG, arXiv 2411.12229, also uses a centre for
// each node).
//
// Let s = sign(fold(r)) and f = |r|^2 / sum |fold(r)_i|. For any v, f <s, fold(v)> estimates
// <v, r>. The estimate is exact for v = r; otherwise it has the noise of a random rotation. For a
// query q,
//     distance(q, x) is estimated by distance(q, c) + a + b <s, fold(q)>.
#pragma once

#include "codec/sketch.hpp"

namespace quiver::codec {

class SignSketches final : public Sketches {
  public:
    // The codec decodes to rotated vectors.
    SignSketches(const Codec& codec, uint32_t fold)
        : Sketches(shape_for(codec.spec, fold)), codec_(codec), fold_(fold)
    {
    }

    static bool fits(const CodecSpec& spec, uint32_t fold)
    {
        return fold > 0 && codec_traits(spec).rotated;
    }
    static SketchShape shape_for(const CodecSpec& spec, uint32_t fold);

    Owned<SketchQuery> query() const override;
    Owned<SketchEncoder> encoder() const override;
    Owned<SketchedSet> set() const override;
    bool holds(const Sketch& stored, const Sketch& made, float slack) const override;

    void fold(const float* from, float* to) const;   // writes words * 64 floats
    const Codec& codec() const { return codec_; }
    uint32_t bits() const { return (codec_.traits.padded + fold_ - 1) / fold_; }

  private:
    const Codec& codec_;
    uint32_t fold_;
};

}   // namespace quiver::codec
