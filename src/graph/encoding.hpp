// How the nodes of a graph are stored: the codec of their own vectors, the sketches of their
// neighbours, and the layout of their slots.
#pragma once

#include "graph/layout.hpp"

namespace quiver::graph {

// The parameters of an encoding, which the index stores.
struct EncodingShape {
    codec::CodecSpec codec;
    uint32_t fold;     // coordinates per bit of a sketch; 0: no sketches
    uint32_t degree;   // Layout::Parts
    uint32_t tids;
    bool filtered = false;

    Layout layout() const
    {
        const codec::CodecTraits t = codec::codec_traits(codec);
        return Layout({t.code_bytes, t.varies_in_length, codec::sketch_shape(codec, fold), degree,
                       tids, filtered});
    }
};

class Encoding {
  public:
    explicit Encoding(const EncodingShape& shape)
        : shape_(shape), layout_(shape.layout()), codec_(codec::make_codec(shape.codec)),
          sketches_(codec::make_sketches(*codec_, shape.fold))
    {
    }

    const EncodingShape& shape() const { return shape_; }
    const Layout& layout() const { return layout_; }
    const codec::Codec& codec() const { return *codec_; }
    codec::Codec& codec() { return *codec_; }
    // Null if there are no sketches.
    const codec::Sketches* sketches() const { return sketches_.get(); }

  private:
    EncodingShape shape_;
    Layout layout_;
    Owned<codec::Codec> codec_;
    Owned<codec::Sketches> sketches_;
};

}   // namespace quiver::graph
