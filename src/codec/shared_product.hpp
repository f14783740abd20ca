// Product quantization with one codebook for all subvectors. It is for vectors that a random rotation
// has made alike in all directions, where a codebook for each place would hold much the same: so it
// takes 4 kB, stays in the first-level cache, and is trained from few vectors. Each vector has its own
// scale (as gain and shape: Sabin and Gray 1984).
//
// Codes are a byte for each `length` coordinates: 4 bits a coordinate at length 2, 2 at 4, 1 at 8.
#pragma once

#include "core/half.hpp"
#include "codec/kmeans.hpp"
#include "codec/scalar.hpp"

namespace quiver::codec {

class SharedCodebook {
  public:
    static constexpr size_t centroids = 256;
    static constexpr size_t floats_of(size_t length) { return centroids * length; }
    static constexpr size_t max_length = 8;

    // `stored`: centroid i has coordinates stored[i * length ...].
    void set(const half* stored, size_t length);

    // x' = scale * the centroids of the code. n is a multiple of 8.
    CodeParams encode(const float* x, size_t n, uint8_t* code);
    void decode(const CodeParams& p, const uint8_t* code, size_t n, float* to) const;
    // <x', y'>
    float ip(const CodeParams& px, const uint8_t* x, const CodeParams& py, const uint8_t* y,
             size_t n) const;

  private:
    friend class SharedQuery;
    size_t length_ = 0;
    Vec<float> rows_, transposed_;
    NearestCentroid nearest_;
    Vec<uint32_t> best_;
    Vec<float> scaled_;
};

// A query's inner products with codes.
class SharedQuery {
  public:
    // q has n floats, and must stay.
    void set(const SharedCodebook& codebook, const float* q, size_t n);
    // <q, x'>
    float ip(const CodeParams& p, const uint8_t* code) const;

  private:
    const SharedCodebook* codebook_ = nullptr;
    const float* q_ = nullptr;
    size_t n_ = 0;
    // <part of q, centroid>, 256 for each part; empty where it would leave the second-level cache.
    Vec<float> table_;
};

// Collects subvectors to train from.
class SharedTrainer {
  public:
    explicit SharedTrainer(size_t length) : length_(length) {}

    bool full() const { return rows_.size() >= wanted * length_; }
    // A vector of n coordinates, a multiple of 8; all have as many.
    void add(const float* x, size_t n);
    // The mean of the vectors, n numbers, which is subtracted from them; of a few that says nothing: zeros.
    void centre(half* mean, size_t n);
    // The codebook, as SharedCodebook::set takes it. Where there were few vectors (or none: an index
    // may be made before there are rows) it is as of normally distributed coordinates, which those of
    // rotated vectors nearly are. poll() may throw (or jump).
    void train(uint64_t seed, half* stored, void (*poll)());

  private:
    static constexpr size_t wanted = 65536;
    static constexpr size_t few = 64;
    size_t length_, dims_ = 0;
    Vec<float> rows_;   // of dims_ each
};

}   // namespace quiver::codec
