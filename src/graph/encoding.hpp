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

    // The vector to which the sketches on flat pages are relative (flat.hpp): a code, which is copied. Bit
    // strings need none.
    const Code& flat_centre() const { return flat_centre_; }
    void set_flat_centre(const Code& code)
    {
        flat_centre_bytes_.assign(code.bytes, code.bytes + code.length);
        flat_centre_ = code;
        flat_centre_.bytes = flat_centre_bytes_.data();
    }
    // The same for a vector, in the form that the codec encodes.
    void set_flat_centre(const float* x)
    {
        Vec<uint8_t> buffer;
        set_flat_centre(codec_->encode({.dense = x}, buffer));
    }
    bool has_flat_centre() const { return !flat_centre_bytes_.empty(); }

  private:
    EncodingShape shape_;
    Layout layout_;
    Owned<codec::Codec> codec_;
    Owned<codec::Sketches> sketches_;
    Code flat_centre_{};
    Vec<uint8_t> flat_centre_bytes_;
};

}   // namespace quiver::graph
