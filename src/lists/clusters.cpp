#include "lists/clusters.hpp"

#include <algorithm>
#include <numeric>

#include "core/no_postgres.hpp"

namespace quiver::lists {

namespace {

// PostgreSQL's bit strings begin with the highest bit of the first byte.
bool bit(const uint8_t* bits, size_t i) { return bits[i / 8] >> (7 - i % 8) & 1; }

// The place of the least of `count` numbers; of equal ones, the first. 0 if none is a number.
uint32_t least_of(const float* x, size_t count)
{
    uint32_t index = 0;
    float value;
    return simd::kernels().products.least(x, count, 1, &index, &value) > 0 ? index : 0;
}

}   // namespace

void ScalarCodes::add(const float* x)
{
    bytes_.resize(bytes_.size() + stride_);
    params_.push_back(codec::scalar_encode(x, n_, bytes_.data() + bytes_.size() - stride_));
}

void ScalarCodes::add(const codec::Code& code)
{
    params_.push_back(code.params);
    bytes_.insert(bytes_.end(), code.bytes, code.bytes + stride_);
}

void ScalarCodes::add(const codec::Value& x)
{
    if (form_ == codec::Form::dense)
        return add(x.dense);
    scratch_.resize(n_);
    for (size_t i = 0; i < n_; i++)
        scratch_[i] = bit(x.bits, i) ? 1.0f : 0.0f;
    add(scratch_.data());
}

void Clusters::set(Vec<float> centroids, size_t count)
{
    centroids_ = std::move(centroids);
    count_ = count;
    pack();
}

void Clusters::pack()
{
    codes_.clear();
    for (size_t i = 0; i < count_; i++)
        codes_.add(centroid(i));
    packed_.set(count_, [&](size_t i) { return codes_[i]; });
}

void Clusters::nearest(const ScalarCodes& rows, uint32_t* cluster)
{
    packed_.for_each_row(
        rows.size(), [&](size_t i) { return rows[i]; },
        [&](size_t i, const float* distances) {
            cluster[i] = least_of(distances, packed_.columns());
        });
}

codec::Value Clusters::value(size_t i)
{
    codec::Value value{};
    if (form_ == codec::Form::dense) {
        value.dense = centroid(i);
        return value;
    }
    bits_.assign(padded_ / 8, 0);
    for (size_t j = 0; j < coordinates(); j++)
        if (centroid(i)[j] >= 0.5f)
            bits_[j / 8] |= static_cast<uint8_t>(0x80 >> j % 8);
    value.bits = bits_.data();
    return value;
}

void Clusters::train(const ScalarCodes& sample, size_t count, uint64_t seed, void (*poll)())
{
    constexpr int most_rounds = 10;
    constexpr size_t at_once = 256;   // rows between two polls
    const size_t n = coordinates(), rows = sample.size();
    Rng rng(seed);
    count = std::min(count, rows);
    // The first centroids are rows that are drawn at random.
    Vec<uint32_t> order(rows);
    std::iota(order.begin(), order.end(), 0u);
    for (size_t i = 0; i < count; i++)
        std::swap(order[i], order[i + rng.next() % (rows - i)]);
    centroids_.assign(count * n, 0);
    for (size_t i = 0; i < count; i++)
        sample.decode(order[i], &centroids_[i * n]);
    count_ = count;

    Vec<uint32_t> cluster(rows), size(count);
    Vec<float> x(n), error(rows);
    double before = INFINITY;
    for (int round = 1; count > 1; round++) {
        pack();
        for (size_t from = 0; from < rows; from += at_once) {
            poll();
            packed_.for_each_row(
                std::min(at_once, rows - from), [&](size_t i) { return sample[from + i]; },
                [&](size_t i, const float* distances) {
                    cluster[from + i] = least_of(distances, packed_.columns());
                    error[from + i] = distances[cluster[from + i]];
                });
        }
        std::fill(size.begin(), size.end(), 0u);
        double total = 0;
        for (size_t i = 0; i < rows; i++) {
            if (i % at_once == 0)
                poll();
            // (Means are updated row by row: sums could overflow, and the mean of equal rows is exact.)
            float* mean = &centroids_[cluster[i] * n];
            const uint32_t before_it = size[cluster[i]]++;
            sample.decode(i, before_it == 0 ? mean : x.data());
            const float share = 1.0f / static_cast<float>(before_it + 1);
            for (size_t j = 0; before_it > 0 && j < n; j++)
                mean[j] += (x[j] - mean[j]) * share;
            total += std::isfinite(error[i]) ? error[i] : 0;
        }
        // An empty cluster begins again at a row that is drawn at random: most of these are in large clusters.
        for (size_t c = 0; c < count; c++) {
            if (size[c] > 0)
                continue;
            const size_t i = rng.next() % rows;
            sample.decode(i, &centroids_[c * n]);
        }
        if (round >= most_rounds || !(before - total > 0.002 * before))
            break;
        before = total;
    }
    remove_equal();
    pack();
}

void Clusters::remove_equal()
{
    const size_t n = coordinates();
    Vec<uint32_t> order(count_);
    std::iota(order.begin(), order.end(), 0u);
    const auto compare = [&](uint32_t x, uint32_t y) {
        return std::memcmp(centroid(x), centroid(y), n * sizeof(float));
    };
    std::sort(order.begin(), order.end(), [&](uint32_t x, uint32_t y) {
        const int c = compare(x, y);
        return c != 0 ? c < 0 : x < y;
    });
    Vec<uint8_t> keep(count_, 1);
    for (size_t i = 1; i < count_; i++)
        if (compare(order[i - 1], order[i]) == 0)
            keep[order[i]] = 0;
    size_t kept = 0;
    for (size_t i = 0; i < count_; i++)
        if (keep[i]) {
            if (kept != i)
                std::copy_n(centroid(i), n, &centroids_[kept * n]);
            kept++;
        }
    count_ = kept;
    centroids_.resize(kept * n);
}

}   // namespace quiver::lists
