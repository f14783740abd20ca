// Divides vectors into clusters by k-means (Lloyd 1957), and finds the nearest cluster of a vector. All
// distances are Euclidean and are computed between scalar codes, as matrix products. (Bits count as the
// numbers 0 and 1.)
#pragma once

#include "codec/codec.hpp"
#include "codec/packed_codes.hpp"
#include "core/rng.hpp"

namespace quiver::lists {

// Scalar codes of vectors, one after the other.
class ScalarCodes {
  public:
    // `padded` coordinates, as CodecTraits has them; of bit strings, the first 32,768 bits count.
    ScalarCodes(codec::Form form, size_t padded)
        : form_(form), n_(std::min<size_t>(padded, max_coordinates)), stride_(n_)
    {
    }

    codec::Form form() const { return form_; }
    size_t coordinates() const { return n_; }
    size_t size() const { return params_.size(); }
    size_t bytes_of_one() const { return stride_ + sizeof(codec::CodeParams); }
    void clear()
    {
        params_.clear();
        bytes_.clear();
    }
    void add(const codec::Value& x);
    void add(const float* x);   // n coordinates
    void add(const codec::Code& code);
    codec::Code operator[](size_t i) const
    {
        return {params_[i], bytes_.data() + i * stride_, static_cast<uint32_t>(n_)};
    }
    void decode(size_t i, float* to) const
    {
        codec::scalar_decode(params_[i], &bytes_[i * stride_], n_, to);
    }

  private:
    static constexpr size_t max_coordinates = 32768;

    codec::Form form_;
    size_t n_, stride_;
    Vec<codec::CodeParams> params_;
    Vec<uint8_t> bytes_;
    Vec<float> scratch_;
};

// The centroids of clusters.
class Clusters {
  public:
    Clusters(codec::Form form, size_t padded)
        : form_(form), padded_(padded), codes_(form, padded), packed_(codes_.coordinates())
    {
    }

    // Computes at most `count` clusters of the sample. (Equal centroids count once.) poll() is called often and
    // may throw (or longjmp).
    void train(const ScalarCodes& sample, size_t count, uint64_t seed, void (*poll)());
    // Sets the centroids, `count` of `coordinates()` floats.
    void set(Vec<float> centroids, size_t count);

    size_t size() const { return count_; }
    size_t coordinates() const { return codes_.coordinates(); }
    const float* centroid(size_t i) const { return &centroids_[i * coordinates()]; }
    const Vec<float>& centroids() const { return centroids_; }
    // The centroid as a vector of the index. The value is valid until the next call.
    codec::Value value(size_t i);
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
    void pack();
    void remove_equal();

    codec::Form form_;
    size_t padded_, count_ = 0;
    Vec<float> centroids_;
    ScalarCodes codes_;   // of the centroids
    codec::PackedCodes packed_;
    Vec<float> dense_;
    Vec<uint8_t> bits_;
};

}   // namespace quiver::lists
