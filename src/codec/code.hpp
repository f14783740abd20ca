// Vectors and codes: what is kept of a vector in its place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "codec/metric.hpp"

namespace quiver::codec {

template <class T>
constexpr T round_up(T n, std::type_identity_t<T> to)
{
    return (n + to - 1) / to * to;
}

// What vectors are. The numbers are on disk.
enum class Form : uint8_t { dense = 1, bits = 2, sparse = 3 };

constexpr uint32_t max_dims_of(Form form)
{
    return form == Form::dense ? 16000 : form == Form::bits ? 64000 : 1000000000;
}

// A vector as it is indexed and searched for. One of the three is set, as the form says.
struct Value {
    const float* dense = nullptr;    // CodecTraits::padded floats, rotated if the codec wants that
    const uint8_t* bits = nullptr;   // CodecTraits::code_bytes bytes
    simd::SparseView sparse{};
};

// Numbers that belong to a code. They are on disk.
struct CodeParams {
    float offset;   // of coordinates: x' = offset + scale * code
    float scale;
    float norm2;      // |x'|^2; taxicab: the sum of |x'_i|; bits: how many are 1
    float code_sum;   // the sum of the bytes of the code
    float error;   // bounds |x - x'| from above, in the norm of the geometry; 0: the code is exact
};

// A code: where its bytes are. It stands for a vector x', which all distances are about.
struct Code {
    CodeParams params;
    const uint8_t* bytes;
    uint32_t length;
};

// A distance lies between them, in the unit of the operator.
struct Bounds {
    double low, high;
};

}   // namespace quiver::codec
