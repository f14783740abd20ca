// Product quantization with one codebook for all subvectors. It is for vectors that a random
// rotation has made alike in all directions: codebooks for each subvector would be much the same.
// One codebook takes 4 kB, stays in the first-level cache, and can be trained on few vectors. Each
// vector has its own scale (gain-shape quantization: Sabin and Gray 1984).
//
// A code has a byte for each `length` coordinates: 4 bits per coordinate if length is 2, 2 bits if
// it is 4, 1 bit if it is 8.
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

    // The coordinates of centroid i are stored[i * length ...]. Vectors have at most `most` coordinates:
    // so encode() allocates nothing. (A build calls it in another memory context than this.)
    void set(const half* stored, size_t length, size_t most);

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
    // q has n floats and must stay valid while ip() is used.
    void set(const SharedCodebook& codebook, const float* q, size_t n);
    // <q, x'>
    float ip(const CodeParams& p, const uint8_t* code) const;

  private:
    const SharedCodebook* codebook_ = nullptr;
    const float* q_ = nullptr;
    size_t n_ = 0;
    // <part of q, centroid>, 256 numbers for each part. Empty if the table would not fit into the
    // second-level cache.
    Vec<float> table_;
};

// Collects subvectors to train from.
class SharedTrainer {
  public:
    explicit SharedTrainer(size_t length) : length_(length) {}

    bool full() const { return rows_.size() >= wanted * length_; }
    // Adds a vector of n coordinates. n is a multiple of 8, and the same for all vectors.
    void add(const float* x, size_t n);
    // Computes the mean of the vectors, n numbers, and subtracts it from them. If there are too few
    // vectors to estimate the mean, it is zeros.
    void centre(half* mean, size_t n);
    // Trains the codebook, in the form that SharedCodebook::set takes. If there are few vectors (or
    // none: an index can be created before there are rows), it trains on normally distributed
    // coordinates, too: those of rotated vectors nearly are. poll() may throw (or longjmp).
    void train(uint64_t seed, half* stored, void (*poll)());

  private:
    static constexpr size_t wanted = 65536;
    static constexpr size_t few = 64;
    size_t length_, dims_ = 0;
    Vec<float> rows_;   // of dims_ each
};

}   // namespace quiver::codec
