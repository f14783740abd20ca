#include "codec/nearest.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "simd/kernels.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

void Nearest::add(float distance, int64_t id)
{
    // The limit is just above the farthest distance, because of equally distant codes the one with
    // the least id is kept.
    if (nearest_.add({std::isnan(distance) ? INFINITY : distance, id}) && full())
        limit_ = std::nextafter(nearest_.farthest().distance, INFINITY);
}

bool NibbleTables::set(size_t groups, const float* tables, float sign)
{
    // The 256 floats of a byte are sums of 16 low and 16 high parts:
    //     entry i + 16 j = entry 0 + low i + high j.
    const auto low = [&](size_t g, size_t i) {
        return sign * (tables[g * 256 + i] - tables[g * 256]);
    };
    const auto high = [&](size_t g, size_t i) { return low(g, 16 * i); };
    const auto range_of = [&](auto&& part, size_t g, double* least) {
        double most = *least = 0;
        for (size_t i = 0; i < 16; i++) {
            *least = std::min(*least, static_cast<double>(part(g, i)));
            most = std::max(most, static_cast<double>(part(g, i)));
        }
        return most - *least;
    };
    double widest = 0, total = 0, magnitude = 0;
    base_ = 0;
    for (size_t g = 0; g < groups; g++) {
        double least;
        for (const double range : {range_of(low, g, &least), range_of(high, g, &least)}) {
            widest = std::max(widest, range);
            total += range;
        }
        magnitude += std::fabs(tables[g * 256]);
    }
    magnitude += total;
    if (!std::isfinite(magnitude))
        return false;
    step_ = std::max({widest / 255, total / 65000, 1e-37});
    bytes_.assign((groups + 3) / 4 * 128 + 63, 0);
    const auto fill = [&](auto&& part, size_t g, uint8_t* to) {
        double least;
        range_of(part, g, &least);
        for (size_t i = 0; i < 16; i++)
            to[i] = static_cast<uint8_t>(std::min((part(g, i) - least) / step_, 255.0));
        base_ += least;
    };
    for (size_t g = 0; g < groups; g++) {
        uint8_t* to = const_cast<uint8_t*>(bytes()) + g / 4 * 128 + g % 4 * 16;
        fill(low, g, to);
        fill(high, g, to + 64);
        base_ += static_cast<double>(sign) * tables[g * 256];
    }
    // Subtracts what floats may round, both here and in the sums that are compared with this bound.
    base_ -= 1e-6 * magnitude * (1 + static_cast<double>(groups) / 64);
    return true;
}

uint32_t NibbleTables::most(float distance) const
{
    return static_cast<uint32_t>(std::clamp((distance - base_) / step_, 0.0, 65535.0));
}

ProductNearest::ProductNearest(uint32_t bits, size_t code_bytes, const float* tables, float sign)
    : code_bytes_(code_bytes), tables_(tables), sign_(sign),
      nibbles_(bits == 4 && bytes_.set(code_bytes, tables, sign))
{
    float magnitude = 0;
    for (size_t g = 0; g < code_bytes; g++) {
        float sum, most;
        simd::kernels().sum_and_max(tables + g * 256, 256, &sum, &most);
        magnitude += most;
    }
    slack_ = 1e-6f * magnitude * (1 + static_cast<float>(code_bytes) / 64);
}

// Scores one code at a time, so that equal codes have equal distances: the kernel rounds
// differently if it scores several codes at once.
void ProductNearest::add(const uint8_t* code, int64_t id, Nearest* to)
{
    float sum;
    simd::kernels().codebooks.score(tables_, code_bytes_, code, code_bytes_, 1, &sum);
    to->add(sign_ * sum, id);
}

void ProductNearest::add(const uint8_t* codes, size_t stride, size_t count, const int64_t* ids,
                         Nearest* to)
{
    const simd::Codebooks& kernels = simd::kernels().codebooks;
    for (size_t done = 0; done < count;) {
        const size_t n = std::min(at_once, count - done);
        const uint8_t* at = codes + done * stride;
        if (nibbles_ && to->full()) {
            uint64_t near[at_once / 64];
            uint32_t most = bytes_.most(to->limit());
            kernels.score_nibbles(bytes_.bytes(), code_bytes_, at, stride, n, most, score_, near);
            for (size_t w = 0; w < (n + 63) / 64; w++)
                for (uint64_t left = near[w]; left != 0; left &= left - 1) {
                    const size_t i = w * 64 + static_cast<size_t>(std::countr_zero(left));
                    if (score_[i] > most)   // `most` has decreased
                        continue;
                    add(at + i * stride, ids[done + i], to);
                    most = bytes_.most(to->limit());
                }
        } else if (to->full()) {
            kernels.score(tables_, code_bytes_, at, stride, n, sum_);
            for (size_t i = 0; i < n; i++)
                if (sign_ * sum_[i] < to->limit() + slack_)
                    add(at + i * stride, ids[done + i], to);
        } else
            for (size_t i = 0; i < n; i++)
                add(at + i * stride, ids[done + i], to);
        done += n;
    }
}

}   // namespace quiver::codec
