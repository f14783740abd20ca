// Seeded random numbers: the same everywhere, unlike <random>'s distributions.
#pragma once

#include <cmath>
#include <cstdint>

namespace quiver {

// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
class Rng {
  public:
    explicit Rng(uint64_t seed) : state_(seed) {}

    uint64_t next()
    {
        uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }
    // (0, 1]
    double unit() { return static_cast<double>((next() >> 11) + 1) * 0x1p-53; }

  private:
    uint64_t state_;
};

// The layer of a new node: geometric, each layer keeps one in `base` (HNSW, Malkov and Yashunin
// 2016, section 4.1).
inline int draw_level(Rng& rng, double base, int max_level)
{
    const double level = -std::log(rng.unit()) / std::log(base);
    return level < max_level ? static_cast<int>(level) : max_level;
}

}   // namespace quiver
