// Vectors, and the codes that are stored in their place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "codec/metric.hpp"

namespace quiver::codec {

template <class T>
constexpr T round_up(T n, std::type_identity_t<T> to)
{
    return (n + to - 1) / to * to;
}

// The kinds of vectors. The numbers are stored on disk.
enum class Form : uint8_t { dense = 1, bits = 2, sparse = 3 };

constexpr uint32_t max_dims_of(Form form)
{
    return form == Form::dense ? 16000 : form == Form::bits ? 64000 : 1000000000;
}

// A vector to index or to search for. The Form says which one of the three is set.
struct Value {
    const float* dense = nullptr;    // CodecTraits::padded floats, rotated if CodecTraits::rotated
    const uint8_t* bits = nullptr;   // CodecTraits::code_bytes bytes
    simd::SparseView sparse{};
};

// The numbers of a code. They are stored on disk.
struct CodeParams {
    float offset;   // of coordinates: x' = offset + scale * code
    float scale;
    float norm2;      // |x'|^2; taxicab: the sum of |x'_i|; bits: the number of ones
    float code_sum;   // the sum of the numbers of the code
    float error;   // bounds |x - x'| from above, in the norm of the geometry; 0: the code is exact
};

// What a node tells of its rows' filter columns (filter_code.hpp).
using FilterCode = uint16_t;

// A code: its numbers, and a pointer to its bytes. It stands for a vector x'. Distances to a code
// are distances to x'. No codec looks at `filter`.
struct Code {
    CodeParams params;
    const uint8_t* bytes;
    uint32_t length;
    FilterCode filter = 0;
};

// A code as a record: its numbers, then its bytes.
constexpr uint32_t record_bytes(uint32_t code_bytes)
{
    return static_cast<uint32_t>(sizeof(CodeParams)) + code_bytes;
}
inline Code code_at(const char* record, uint32_t code_bytes)
{
    Code code{};
    std::memcpy(&code.params, record, sizeof(CodeParams));
    code.bytes = reinterpret_cast<const uint8_t*>(record + sizeof(CodeParams));
    code.length = code_bytes;
    return code;
}
inline void put_code(const Code& code, char* record)
{
    std::memcpy(record, &code.params, sizeof(CodeParams));
    std::memcpy(record + sizeof(CodeParams), code.bytes, code.length);
}

// A lower and an upper bound of a distance, in the unit of the operator.
struct Bounds {
    double low, high;
};

}   // namespace quiver::codec
