#include "codec/kmeans.hpp"

#include <algorithm>
#include <cmath>

#include "core/no_postgres.hpp"

namespace quiver::codec {

void NearestCentroid::set(const float* centroids, size_t dims, size_t k)
{
    dims_ = dims;
    k_ = k;
    rows_.resize(at_once * dims);
    gap_.resize(at_once);
    centroids_.assign(centroids, centroids + dims * k);
    centre_.resize(dims);
    half_norms_.assign(k, 0.0f);
    for (size_t j = 0; j < dims; j++) {
        float* of = centroids_.data() + j * k;
        double total = 0;
        for (size_t i = 0; i < k; i++)
            total += of[i];
        centre_[j] = static_cast<float>(total / static_cast<double>(k));
        for (size_t i = 0; i < k; i++) {
            of[i] -= centre_[j];
            half_norms_[i] += 0.5f * of[i] * of[i];
        }
    }
}

void NearestCentroid::find(const float* x, size_t stride, size_t count, uint32_t* best, float* gap)
{
    for (size_t i = 0; i < count; i += at_once) {
        const size_t n = std::min(at_once, count - i);
        for (size_t r = 0; r < n; r++)
            for (size_t j = 0; j < dims_; j++)
                rows_[r * dims_ + j] = x[(i + r) * stride + j] - centre_[j];
        simd::kernels().codebooks.nearest(rows_.data(), dims_, n, dims_, centroids_.data(),
                                          half_norms_.data(), k_, best + i,
                                          gap ? gap + i : gap_.data());
    }
}

namespace {

// Chooses the first k centroids among up to 32 k of the rows. Each is drawn with a probability
// proportional to its squared distance from the nearest centroid drawn before.
void seed(const float* x, size_t rows, size_t dims, size_t k, Rng& rng, float* centroids)
{
    const auto draw = [&](size_t n) { return static_cast<size_t>(rng.next() % n); };
    const size_t n = std::min(rows, 32 * k), padded = (n + 15) / 16 * 16;
    Vec<float> sample(dims * padded), distance(padded), nearest(n, INFINITY), chosen(dims);
    for (size_t i = 0; i < n; i++) {
        const float* row = x + (n == rows ? i : draw(rows)) * dims;
        for (size_t j = 0; j < dims; j++)
            sample[j * padded + i] = row[j];
    }
    size_t next = draw(n);
    for (size_t c = 0; c < k; c++) {
        for (size_t j = 0; j < dims; j++)
            centroids[j * k + c] = chosen[j] = sample[j * padded + next];
        simd::kernels().codebooks.l2sq(chosen.data(), dims, sample.data(), padded, distance.data());
        double total = 0;
        for (size_t i = 0; i < n; i++) {
            nearest[i] = std::min(nearest[i], distance[i]);
            total += nearest[i];
        }
        double at = rng.unit() * total;
        next = draw(n);   // for the case that all rows are centroids already
        for (size_t i = 0; total > 0 && i < n; i++) {
            at -= nearest[i];
            if (at <= 0) {
                next = i;
                break;
            }
        }
    }
}

}   // namespace

void kmeans(const float* x, size_t rows, size_t dims, size_t k, int iterations, Rng* rng,
            float* centroids, void (*poll)())
{
    if (rng)
        seed(x, rows, dims, k, *rng, centroids);
    NearestCentroid nearest;
    Vec<uint32_t> best(rows), members(k);
    Vec<float> gap(rows);
    Vec<double> sums(k * dims), errors(k);   // errors: half of the rows' squared distances
    double before = INFINITY;
    for (int iteration = 1;; iteration++) {
        poll();
        nearest.set(centroids, dims, k);
        nearest.find(x, dims, rows, best.data(), gap.data());
        std::fill(sums.begin(), sums.end(), 0.0);
        std::fill(errors.begin(), errors.end(), 0.0);
        std::fill(members.begin(), members.end(), 0u);
        for (size_t i = 0; i < rows; i++) {
            double* sum = sums.data() + best[i] * dims;
            double error = gap[i];
            for (size_t j = 0; j < dims; j++) {
                const double v = x[i * dims + j], d = v - nearest.centre()[j];
                sum[j] += v;
                error += 0.5 * d * d;
            }
            errors[best[i]] += error;
            members[best[i]]++;
        }
        double error = 0;
        for (size_t c = 0; c < k; c++) {
            error += errors[c];
            for (size_t j = 0; j < dims; j++)
                if (members[c] > 0)
                    centroids[j * k + c] = static_cast<float>(sums[c * dims + j] / members[c]);
        }
        if (iteration == iterations || !(before - error >= 1e-4 * before))
            break;
        before = error;
        // A centroid without rows takes over a part of the rows of the worst centroid: the two
        // start a little apart.
        for (size_t c = 0; c < k; c++) {
            if (members[c] > 0)
                continue;
            const auto worst = static_cast<size_t>(std::max_element(errors.begin(), errors.end()) -
                                                   errors.begin());
            if (!(errors[worst] > 0))
                break;
            for (size_t j = 0; j < dims; j++) {
                float& from = centroids[j * k + worst];
                const float apart = (j % 2 ? 1.0f : -1.0f) * std::fabs(from) / 1024;
                centroids[j * k + c] = from + apart;
                from -= apart;
            }
            errors[c] = errors[worst] /= 2;
        }
    }
}

}   // namespace quiver::codec
