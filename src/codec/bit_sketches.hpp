// Sketches of bit strings. A sketch is the neighbour's bit string itself, so estimates are exact.
// Factor a is the number of its ones.
#pragma once

#include "codec/sketch.hpp"

namespace quiver::codec {

class BitSketches final : public Sketches {
  public:
    explicit BitSketches(const Codec& codec) : Sketches(shape_for(codec.spec, 1)), codec_(codec) {}

    static bool fits(const CodecSpec& spec, uint32_t fold)
    {
        return fold == 1 && spec.form == Form::bits;
    }
    static SketchShape shape_for(const CodecSpec& spec, uint32_t)
    {
        return {round_up(spec.dims, 64) / 64, 1};
    }
    Owned<SketchQuery> query() const override;
    Owned<SketchEncoder> encoder() const override;
    Owned<SketchedSet> set() const override;
    bool holds(const Sketch& stored, const Sketch& made, float slack) const override;

  private:
    const Codec& codec_;
};

}   // namespace quiver::codec
