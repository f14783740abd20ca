// How the rows and the centroids of an inverted file are stored.
#pragma once

#include "lists/layout.hpp"

namespace quiver::lists {

// The parameters of an encoding, which the index stores.
struct EncodingShape {
    codec::CodecSpec codec;
    bool filtered;
};

class Encoding {
  public:
    Encoding(const EncodingShape& shape, uint32_t page_bytes)
        : shape_(shape), codec_(codec::make_codec(shape.codec)),
          sketches_(codec::make_sketches(*codec_, 1)),
          root_codec_(codec::make_codec(root_spec(shape.codec))),
          root_sketches_(codec::make_sketches(*root_codec_, 1)),
          layout_(layout(shape.filtered, page_bytes)), root_layout_(layout(false, page_bytes))
    {
    }

    const EncodingShape& shape() const { return shape_; }
    const codec::Codec& codec() const { return *codec_; }
    const codec::Sketches& sketches() const { return *sketches_; }
    const Layout& layout() const { return layout_; }
    // A row belongs to the nearest centroid, whatever the metric of the index is. So the root's sketches tell
    // Euclidean distances, not inner products. The codes are those of the index.
    const codec::Codec& root_codec() const { return *root_codec_; }
    const codec::Sketches& root_sketches() const { return *root_sketches_; }
    const Layout& root_layout() const { return root_layout_; }
    // Do sketches tell exact distances? Then there are no codes.
    bool exact() const { return shape_.codec.form == codec::Form::bits; }

    void set_parameters(const half* parameters)
    {
        codec_->set_parameters(parameters);
        // A codec for Euclidean distances may have a centre, which follows its other parameters. Here it is 0.
        Vec<half> of_root(root_codec_->parameter_count());
        std::copy_n(parameters, std::min(codec_->parameter_count(), of_root.size()),
                    of_root.begin());
        root_codec_->set_parameters(of_root.data());
    }
    size_t parameter_count() const { return codec_->parameter_count(); }
    // The centre of the root, to which the sketches of the centroids are relative. (Those of bit strings need
    // none.) The code is copied.
    const Code& root_centre() const { return root_centre_; }
    void set_root_centre(const Code& code)
    {
        root_centre_bytes_.assign(code.bytes, code.bytes + code.length);
        root_centre_ = code;
        root_centre_.bytes = root_centre_bytes_.data();
    }

  private:
    static codec::CodecSpec root_spec(codec::CodecSpec spec)
    {
        if (codec::traits_of(spec.metric).geometry == codec::Geometry::inner_product)
            spec.metric = codec::Metric::l2;
        return spec;
    }
    Layout layout(bool filtered, uint32_t page_bytes) const
    {
        return {codec_->traits, sketches_->shape(), exact(), filtered, page_bytes};
    }

    EncodingShape shape_;
    Owned<codec::Codec> codec_;
    Owned<codec::Sketches> sketches_;
    Owned<codec::Codec> root_codec_;
    Owned<codec::Sketches> root_sketches_;
    Layout layout_, root_layout_;
    Code root_centre_{};
    Vec<uint8_t> root_centre_bytes_;
};

// A query, prepared once.
class Query {
  public:
    // What orders the lists: the index's distance to their centroids, or the Euclidean one, by which a row belongs
    // to a list.
    enum Order { by_distance, by_centroid };
    explicit Query(const Encoding& encoding, Order order = by_distance)
        : encoding_(encoding), own_(encoding.codec().query()),
          sketches_(encoding.sketches().query()), root_own_(encoding.root_codec().query()),
          root_sketches_(encoding.root_sketches().query()),
          ip_(order == by_distance &&
              encoding.codec().metric.geometry == codec::Geometry::inner_product),
          out_(std::max(encoding.layout().entries, encoding.root_layout().entries) + 8),
          near_((out_.size() + 63) / 64)
    {
    }

    void set(const Value& x)
    {
        own_->set(x);
        sketches_->set(*own_);
        root_own_->set(x);
        root_sketches_->set(*root_own_);
    }
    // To be called when the encoding has the centre of the root that is going to be read.
    void begin_root()
    {
        if (!encoding_.exact())
            root_base_ = root_own_->distance(encoding_.root_centre());
    }

    const codec::CodecQuery& own() const { return *own_; }
    // The distance to a code, as the geometry of the index defines it.
    float distance(const Code& code) const { return own_->distance(code); }
    // The Euclidean distance to a centroid, squared; bit strings: the index's distance.
    float root_distance(const Code& code) const { return root_own_->distance(code); }
    // The same, estimated for all centroids on a page of the root.
    const float* root_estimates(const ListPage& page)
    {
        root_sketches_->estimate(page.sketches(), root_base_, encoding_.root_centre().params.norm2,
                                 std::numeric_limits<float>::infinity(), out_.data(), near_.data());
        return out_.data();
    }
    // In what order the lists are searched: by the distance of a centroid with this squared length.
    // (The distance of two vectors that are too long may be no number. They may be near.)
    float key(float root_distance, float norm2) const
    {
        const float key = ip_ ? (root_distance - norm2) / 2 : root_distance;
        return std::isnan(key) ? -std::numeric_limits<float>::infinity() : key;
    }

    // Do bounds tell anything of a list whose centroid has this distance? Not if their sums may overflow.
    bool has_bounds(float distance) const
    {
        constexpr float greatest = 1e37f;
        return std::fabs(distance) < greatest && own_->norm2() < greatest;
    }
    // Lower bounds of the distances of the rows on a page, whose list's centroid has this distance and length.
    // In near(), bit i % 64 of word i / 64 tells whether bound i is at most `limit`. Valid until the next call.
    const float* bounds(const ListPage& page, float distance, float norm2, float limit)
    {
        // The bound of one row in 741 is too high. (With two deviations, a search of all lists found 99.75 % of the
        // nearest 20 of 100,000 random vectors of 3 dimensions, whose errors are not independent.)
        constexpr float deviations = 3;
        sketches_->lower_bounds(page.sketches(), distance, norm2, deviations, limit, out_.data(),
                                near_.data());
        return out_.data();
    }
    const uint64_t* near() const { return near_.data(); }

  private:
    const Encoding& encoding_;
    Owned<codec::CodecQuery> own_;
    Owned<codec::SketchQuery> sketches_;
    Owned<codec::CodecQuery> root_own_;
    Owned<codec::SketchQuery> root_sketches_;
    bool ip_;
    float root_base_ = 0;   // the distance to the centre of the root
    Vec<float> out_;
    Vec<uint64_t> near_;
};

}   // namespace quiver::lists
