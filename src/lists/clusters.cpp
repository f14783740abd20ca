#include "lists/clusters.hpp"

#include <algorithm>
#include <numeric>
#include <span>

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

// The columns of `count` centroids of n floats.
void pack(const float* centroids, size_t count, size_t n, codec::PackedCodes* to)
{
    ScalarCodes codes(codec::Form::dense, n);
    for (size_t i = 0; i < count; i++)
        codes.add(centroids + i * n);
    to->set(count, [&](size_t i) { return codes[i]; });
}

// Lloyd's iteration over some rows of the sample. All results are in memory that the participants share, and
// each of them computes the same from it.
class KMeans {
  public:
    KMeans(graph::Team& team, const ScalarCodes& sample, std::span<const uint32_t> rows,
           float* centroids, size_t count, uint32_t* cluster, float* error, uint64_t seed)
        : team_(team), sample_(sample), rows_(rows), centroids_(centroids), count_(count),
          cluster_(cluster), error_(error), rng_(seed), packed_(sample.coordinates())
    {
    }

    // The first centroids are rows that are drawn at random.
    void draw()
    {
        Vec<uint32_t> order(rows_.begin(), rows_.end());
        for (size_t i = 0; i < count_; i++)
            std::swap(order[i], order[i + rng_.next() % (order.size() - i)]);
        team_.each(count_, 16, [&](size_t from, size_t to) {
            for (size_t i = from; i < to; i++)
                decode(order[i], 0, n_, centroids_ + i * n_);
        });
    }
    void improve(int most_rounds)
    {
        double before = INFINITY;
        for (int round = 0; round < most_rounds && count_ > 0; round++) {
            assign();
            const double total = std::accumulate(error_, error_ + rows_.size(), 0.0);
            average();
            if (!(before - total > 0.002 * before))
                break;
            before = total;
        }
    }
    // Sets the nearest centroid of each row, and the squared distance to it.
    void assign()
    {
        pack(centroids_, count_, n_, &packed_);
        team_.each(rows_.size(), 256, [&](size_t from, size_t to) {
            packed_.for_each_row(
                to - from, [&](size_t i) { return sample_[rows_[from + i]]; },
                [&](size_t i, const float* distances) {
                    const uint32_t c = least_of(distances, count_);
                    cluster_[from + i] = c;
                    error_[from + i] = std::isfinite(distances[c]) ? distances[c] : 0;
                });
        });
    }

  private:
    // Each centroid becomes the mean of its rows. An empty cluster begins again at a row that is drawn at random:
    // most of these are in large clusters.
    void average()
    {
        Vec<uint32_t> size(count_), drawn(count_);
        for (size_t i = 0; i < rows_.size(); i++)
            size[cluster_[i]]++;
        for (size_t c = 0; c < count_; c++)
            if (size[c] == 0)
                drawn[c] = rows_[rng_.next() % rows_.size()];
        // Participants share the coordinates, so that each mean has one order of its rows. (It is updated row by
        // row: sums could overflow, and the mean of equal rows is exact.)
        constexpr size_t at_once = 64;
        team_.each(n_, at_once, [&](size_t from, size_t to) {
            Vec<uint32_t> before(count_);
            for (size_t i = 0; i < rows_.size(); i++) {
                if (i % 4096 == 0)
                    team_.poll();
                const uint32_t c = cluster_[i];
                float* const mean = centroids_ + c * n_ + from;
                const codec::Code x = sample_[rows_[i]];
                if (before[c]++ == 0)
                    decode(rows_[i], from, to - from, mean);
                else
                    simd::kernels().approach_u8(x.bytes + from, x.params.offset, x.params.scale,
                                                1.0f / static_cast<float>(before[c]), mean,
                                                to - from);
            }
            for (size_t c = 0; c < count_; c++)
                if (size[c] == 0)
                    decode(drawn[c], from, to - from, centroids_ + c * n_ + from);
        });
    }
    void decode(uint32_t row, size_t from, size_t n, float* to) const
    {
        const codec::Code x = sample_[row];
        codec::scalar_decode(x.params, x.bytes + from, n, to);
    }

    graph::Team& team_;
    const ScalarCodes& sample_;
    std::span<const uint32_t> rows_;
    size_t n_ = sample_.coordinates();
    float* centroids_;
    size_t count_;
    uint32_t* cluster_;
    float* error_;
    Rng rng_;
    codec::PackedCodes packed_;
};

// Divides `count` among parts in proportion to their sizes: each gets at most its size, and one at least
// unless it is empty.
Vec<size_t> shares(const Vec<uint32_t>& size, size_t count)
{
    const double rows = std::accumulate(size.begin(), size.end(), 0.0);
    Vec<size_t> share(size.size());
    double exact = 0;
    size_t given = 0;
    for (size_t p = 0; p < size.size(); p++) {
        exact += static_cast<double>(count) * size[p] / rows;
        const double left = exact - static_cast<double>(given);
        share[p] = std::min<size_t>(size[p], left > 1 ? static_cast<size_t>(left + 0.5) : 1);
        given += share[p];
    }
    return share;
}

}   // namespace

void ScalarCodes::set(size_t i, const codec::Value& x)
{
    if (form_ == codec::Form::dense)
        return set(i, x.dense);
    scratch_.resize(n_);
    for (size_t j = 0; j < n_; j++)
        scratch_[j] = bit(x.bits, j) ? 1.0f : 0.0f;
    set(i, scratch_.data());
}

void Clusters::set(Vec<float> centroids, size_t count)
{
    centroids_ = std::move(centroids);
    count_ = count;
    pack(centroids_.data(), count_, n_, &packed_);
}

void Clusters::nearest(const ScalarCodes& rows, uint32_t* cluster)
{
    packed_.for_each_row(
        rows.size(), [&](size_t i) { return rows[i]; },
        [&](size_t i, const float* distances) { cluster[i] = least_of(distances, count_); });
}

codec::Value Clusters::value(size_t i)
{
    codec::Value value{};
    if (form_ == codec::Form::dense) {
        value.dense = centroid(i);
        return value;
    }
    bits_.assign(padded_ / 8, 0);
    for (size_t j = 0; j < n_; j++)
        if (centroid(i)[j] >= 0.5f)
            bits_[j / 8] |= static_cast<uint8_t>(0x80 >> j % 8);
    value.bits = bits_.data();
    return value;
}

namespace {

// From this number of clusters on, the first centroids are found in two levels: the rows are divided into the square
// root as many parts, and each part is divided into clusters. That takes a small part of the time of a round with
// all clusters, and the lists become more equal in length than with rows drawn at random as the first centroids.
constexpr size_t least_in_parts = 16;
constexpr int most_rounds = 10, rounds_of_parts = 8, rounds_after_parts = 3;

size_t parts_of(size_t count)
{
    return static_cast<size_t>(std::sqrt(static_cast<double>(count)) + 0.5);
}

}   // namespace

size_t Clusters::block_bytes(size_t padded, size_t sample, size_t count)
{
    using graph::Arena;
    const size_t n = ScalarCodes::coordinates(padded);
    return Arena::bytes_of<float>((count + parts_of(count)) * n) +
           Arena::bytes_of<float>(parts_of(count) * n) + 2 * Arena::bytes_of<uint32_t>(sample);
}

void Clusters::train(graph::Team& team, graph::Arena& block, const ScalarCodes& sample,
                     size_t count, uint64_t seed)
{
    const size_t rows = sample.size();
    count = std::min(count, rows);
    Vec<uint32_t> all(rows);
    std::iota(all.begin(), all.end(), 0u);
    const size_t parts = parts_of(count);
    float* const centroids = block.take<float>((count + parts) * n_);
    float* const centres = block.take<float>(parts * n_);
    auto* const cluster = block.take<uint32_t>(rows);
    auto* const error = block.take<float>(rows);
    if (count < least_in_parts) {
        KMeans means(team, sample, all, centroids, count, cluster, error, seed);
        means.draw();
        means.improve(most_rounds);
    } else {
        KMeans top(team, sample, all, centres, parts, cluster, error, seed);
        top.draw();
        top.improve(most_rounds);
        top.assign();
        Vec<uint32_t> size(parts);
        for (size_t i = 0; i < rows; i++)
            size[cluster[i]]++;
        const Vec<size_t> share = shares(size, count);
        Vec<size_t> start(parts + 1), first(parts + 1);
        for (size_t p = 0; p < parts; p++) {
            start[p + 1] = start[p] + size[p];
            first[p + 1] = first[p] + share[p];
        }
        Vec<size_t> at(start.begin(), start.end() - 1);
        for (size_t i = 0; i < rows; i++)
            all[at[cluster[i]]++] = static_cast<uint32_t>(i);
        team.wait();   // all have read `cluster`
        count = first[parts];
        graph::Team alone = graph::Team::on_its_own(team);
        team.each(parts, 1, [&](size_t p, size_t) {
            KMeans part(alone, sample, {all.data() + start[p], size[p]}, centroids + first[p] * n_,
                        share[p], cluster + start[p], error + start[p], seed + p);
            part.draw();
            part.improve(rounds_of_parts);
        });
        KMeans means(team, sample, all, centroids, count, cluster, error, seed);
        means.improve(rounds_after_parts);
    }
    count_ = count;
    centroids_.assign(centroids, centroids + count * n_);
    team.wait();   // all have copied them
    remove_equal();
    pack(centroids_.data(), count_, n_, &packed_);
}

void Clusters::train(const ScalarCodes& sample, size_t count, uint64_t seed, void (*poll)())
{
    graph::Team team(poll);
    graph::Arena block(block_bytes(padded_, sample.size(), std::min(count, sample.size())));
    train(team, block, sample, count, seed);
}

void Clusters::remove_equal()
{
    Vec<uint32_t> order(count_);
    std::iota(order.begin(), order.end(), 0u);
    const auto compare = [&](uint32_t x, uint32_t y) {
        return std::memcmp(centroid(x), centroid(y), n_ * sizeof(float));
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
                std::copy_n(centroid(i), n_, &centroids_[kept * n_]);
            kept++;
        }
    count_ = kept;
    centroids_.resize(kept * n_);
}

}   // namespace quiver::lists
