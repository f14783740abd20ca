// Converts the values of an indexed column, and queries, into vectors as the graph compares them.
#pragma once

#include "am/operator_class.hpp"
#include "codec/codec.hpp"
#include "codec/rotation.hpp"
#include "core/memory.hpp"
#include "graph/code.hpp"

namespace quiver::am {

class VectorReader {
  public:
    VectorReader(const Opclass& opclass, const codec::Codec& codec, uint64 seed)
        : opclass_(opclass), codec_(codec),
          rotation_(codec.traits.rotated ? codec.spec.dims : 0, seed),
          plain_(opclass.form() == codec::Form::dense ? codec.traits.padded : 0),
          rotated_(codec.traits.rotated ? codec.traits.padded : 0)
    {
    }
    // The value is valid until the next call. False if the value is not indexed: the zero vector
    // under cosine distance. Raises an error for a sparsevec with too many elements.
    bool read(Datum value, graph::Value* to);
    // Like read(), but a query may be a sparsevec with any number of elements.
    bool read_query(Datum value, graph::Value* to);

  private:
    bool read_dense(struct varlena* value, graph::Value* to);
    bool read_sparse(struct varlena* value, graph::Value* to);

    const Opclass& opclass_;
    const codec::Codec& codec_;
    codec::Rotation rotation_;
    Vec<float> plain_, rotated_;
    Vec<uint8_t> bits_;
    Vec<int32_t> index_;
};

}   // namespace quiver::am
