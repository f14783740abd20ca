#include "codec/rotation.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "core/rng.hpp"
#include "simd/kernels.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

Rotation::Rotation(size_t dims, uint64_t seed)
    : dims_(dims), padded_(round_up(dims, 64)), window_(std::bit_floor(padded_)),
      signs_(rounds * padded_)
{
    Rng rng(seed);
    for (size_t i = 0; i < signs_.size(); i += 32) {
        const uint64_t bits = rng.next();
        for (size_t j = 0; j < 32; j++)
            signs_[i + j] = static_cast<uint32_t>(bits >> j & 1) << 31;
    }
}

void Rotation::apply(const float* from, float* to) const
{
    std::memcpy(to, from, dims_ * sizeof(float));
    std::memset(to + dims_, 0, (padded_ - dims_) * sizeof(float));
    const auto hadamard = simd::kernels().hadamard;
    const float scale = 1.0f / std::sqrt(static_cast<float>(window_));
    const size_t padded = padded_;   // which stores to `to` cannot change, so the loop vectorizes
    for (size_t r = 0; r < rounds; r++) {
        const uint32_t* sign = signs_.data() + r * padded_;
        for (size_t i = 0; i < padded; i++)
            to[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(to[i]) ^ sign[i]);
        hadamard(r % 2 ? to + (padded_ - window_) : to, window_, scale);
    }
}

}   // namespace quiver::codec
