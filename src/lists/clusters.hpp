// Divides vectors into clusters by k-means (Lloyd 1957), and finds the nearest cluster of a vector. All
// distances are Euclidean and are computed between scalar codes, as matrix products. (Bits count as the
// numbers 0 and 1.)
#pragma once

#include "codec/codec.hpp"
#include "codec/packed_codes.hpp"
#include "core/rng.hpp"
#include "graph/team.hpp"

namespace quiver::lists {

// Scalar codes (codec/scalar.hpp) of vectors, one after the other.
class ScalarCodes {
  public:
    // `padded` coordinates, as CodecTraits has them; of bit strings, the first 32,768 bits count.
    ScalarCodes(codec::Form form, size_t padded) : form_(form), n_(coordinates(padded)) {}
    // `size` codes in memory of the block. They are undefined at first, and none can be added.
    ScalarCodes(codec::Form form, size_t padded, size_t size, graph::Arena& block)
        : ScalarCodes(form, padded)
    {
        params_ = block.take<codec::CodeParams>(size);
        bytes_ = block.take<uint8_t>(size * n_);
        size_ = size;
    }
    ScalarCodes(const ScalarCodes&) = delete;

    static constexpr size_t coordinates(size_t padded)
    {
        return std::min<size_t>(padded, max_coordinates);
    }
    // What `size` codes take of a block.
    static size_t block_bytes(size_t padded, size_t size)
    {
        return graph::Arena::bytes_of<codec::CodeParams>(size) +
               graph::Arena::bytes_of<uint8_t>(size * coordinates(padded));
    }
    codec::Form form() const { return form_; }
    size_t coordinates() const { return n_; }
    size_t size() const { return size_; }
    void clear() { size_ = 0; }
    void add(const codec::Value& x) { set(grow(), x); }        // of the form
    void add(const float* x) { set(grow(), x); }               // n coordinates
    void add(const codec::Code& code) { set(grow(), code); }   // it begins with a scalar code
    void set(size_t i, const codec::Value& x);
    void set(size_t i, const float* x)
    {
        params_[i] = codec::scalar_encode(x, n_, bytes_ + i * n_);
    }
    void set(size_t i, const codec::Code& code)
    {
        params_[i] = code.params;
        std::memcpy(bytes_ + i * n_, code.bytes, n_);
    }
    codec::Code operator[](size_t i) const
    {
        return {params_[i], bytes_ + i * n_, static_cast<uint32_t>(n_)};
    }
    void decode(size_t i, float* to) const
    {
        codec::scalar_decode(params_[i], bytes_ + i * n_, n_, to);
    }

  private:
    static constexpr size_t max_coordinates = 32768;

    // Adds a place, and returns its number.
    size_t grow()
    {
        if (size_ == own_params_.size()) {
            own_params_.resize(2 * size_ + 1);
            own_bytes_.resize(own_params_.size() * n_);
            params_ = own_params_.data();
            bytes_ = own_bytes_.data();
        }
        return size_++;
    }

    codec::Form form_;
    size_t n_, size_ = 0;
    codec::CodeParams* params_ = nullptr;
    uint8_t* bytes_ = nullptr;
    Vec<codec::CodeParams> own_params_;
    Vec<uint8_t> own_bytes_;
    Vec<float> scratch_;
};

// The centroids of clusters.
class Clusters {
  public:
    Clusters(codec::Form form, size_t padded)
        : form_(form), padded_(padded), n_(ScalarCodes::coordinates(padded)), packed_(n_)
    {
    }

    // Computes at most `count` clusters of the sample, which all participants share. (Equal centroids count
    // once.) All participants call this, and all get the same clusters. The team is polled often.
    void train(graph::Team& team, graph::Arena& block, const ScalarCodes& sample, size_t count,
               uint64_t seed);
    // The same by one participant, in memory of its own. poll() is called often and may throw (or longjmp).
    void train(const ScalarCodes& sample, size_t count, uint64_t seed, void (*poll)());
    // What train() takes of the block.
    static size_t block_bytes(size_t padded, size_t sample, size_t count);
    // Sets the centroids, `count` of `coordinates()` floats.
    void set(Vec<float> centroids, size_t count);

    size_t size() const { return count_; }
    size_t coordinates() const { return n_; }
    const float* centroid(size_t i) const { return &centroids_[i * n_]; }
    // The centroid as a vector of the index. The value is valid until the next call.
    codec::Value value(size_t i);
    const Vec<float>& centroids() const { return centroids_; }
    // The mean of the centroids.
    Vec<float> mean() const
    {
        Vec<float> sum(n_);
        for (size_t i = 0; i < count_; i++)
            for (size_t j = 0; j < n_; j++)
                sum[j] += centroid(i)[j] / static_cast<float>(count_);
        return sum;
    }
    // Finds the nearest cluster of each vector.
    void nearest(const ScalarCodes& rows, uint32_t* cluster);
    // Calls f with the squared distances of a vector to all centroids.
    template <class F>
    void distances(const codec::Code& row, F&& f)
    {
        packed_.for_each_row(
            1, [&](size_t) { return row; }, [&](size_t, const float* distances) { f(distances); });
    }

  private:
    void remove_equal();

    codec::Form form_;
    size_t padded_, n_, count_ = 0;
    Vec<float> centroids_;
    codec::PackedCodes packed_;
    Vec<uint8_t> bits_;
};

}   // namespace quiver::lists
