// The operator classes of hnsw: a row for each.
#include "pg/pg.hpp"

#include "am/operator_class.hpp"
#include "hnsw/handler.hpp"
#include "types/sparse.hpp"

using quiver::max_sparse_dims;
using quiver::am::ElementType;
using quiver::codec::Metric;
using quiver::hnsw::access_method;

#define OPCLASS(name, ...) QUIVER_OPERATOR_CLASS(name, access_method, __VA_ARGS__)

OPCLASS(hnsw_vector_l2_support, Metric::l2, ElementType::f32, "vector", 16000)
OPCLASS(hnsw_vector_ip_support, Metric::ip, ElementType::f32, "vector", 16000)
OPCLASS(hnsw_vector_cosine_support, Metric::cosine, ElementType::f32, "vector", 16000)
OPCLASS(hnsw_vector_l1_support, Metric::l1, ElementType::f32, "vector", 6000)
OPCLASS(hnsw_halfvec_l2_support, Metric::l2, ElementType::f16, "halfvec", 16000)
OPCLASS(hnsw_halfvec_ip_support, Metric::ip, ElementType::f16, "halfvec", 16000)
OPCLASS(hnsw_halfvec_cosine_support, Metric::cosine, ElementType::f16, "halfvec", 16000)
OPCLASS(hnsw_halfvec_l1_support, Metric::l1, ElementType::f16, "halfvec", 6000)
OPCLASS(hnsw_bit_hamming_support, Metric::hamming, ElementType::bit, "bit", 64000)
OPCLASS(hnsw_bit_jaccard_support, Metric::jaccard, ElementType::bit, "bit", 64000)
OPCLASS(hnsw_sparsevec_l2_support, Metric::l2, ElementType::sparse, "sparsevec", max_sparse_dims)
OPCLASS(hnsw_sparsevec_ip_support, Metric::ip, ElementType::sparse, "sparsevec", max_sparse_dims)
OPCLASS(hnsw_sparsevec_cosine_support, Metric::cosine, ElementType::sparse, "sparsevec",
        max_sparse_dims)
OPCLASS(hnsw_sparsevec_l1_support, Metric::l1, ElementType::sparse, "sparsevec", max_sparse_dims)

// ---- the operator classes that pgvector's scripts make ----

// Their support function 3 is the same for all metrics, and missing for vector. Functions 1 and 2 tell the
// metric.
QUIVER_FUNCTION(hnsw_halfvec_support) { return Datum{0}; }
QUIVER_FUNCTION(hnsw_bit_support) { return Datum{0}; }
QUIVER_FUNCTION(hnsw_sparsevec_support) { return Datum{0}; }

#define DISTANCE(function) extern "C" Datum function(PG_FUNCTION_ARGS);
DISTANCE(vector_l2_squared_distance)
DISTANCE(vector_negative_inner_product)
DISTANCE(l1_distance)
DISTANCE(halfvec_l2_squared_distance)
DISTANCE(halfvec_negative_inner_product)
DISTANCE(halfvec_l1_distance)
DISTANCE(hamming_distance)
DISTANCE(jaccard_distance)
DISTANCE(sparsevec_l2_squared_distance)
DISTANCE(sparsevec_negative_inner_product)
DISTANCE(sparsevec_l1_distance)

const quiver::am::Opclass* quiver::hnsw::find_opclass(PGFunction distance, bool norm)
{
    static constexpr struct {
        PGFunction distance;
        bool norm;
        PGFunction opclass;   // support function 3
    } rows[] = {
        {vector_l2_squared_distance, false, hnsw_vector_l2_support},
        {vector_negative_inner_product, false, hnsw_vector_ip_support},
        {vector_negative_inner_product, true, hnsw_vector_cosine_support},
        {l1_distance, false, hnsw_vector_l1_support},
        {halfvec_l2_squared_distance, false, hnsw_halfvec_l2_support},
        {halfvec_negative_inner_product, false, hnsw_halfvec_ip_support},
        {halfvec_negative_inner_product, true, hnsw_halfvec_cosine_support},
        {halfvec_l1_distance, false, hnsw_halfvec_l1_support},
        {hamming_distance, false, hnsw_bit_hamming_support},
        {jaccard_distance, false, hnsw_bit_jaccard_support},
        {sparsevec_l2_squared_distance, false, hnsw_sparsevec_l2_support},
        {sparsevec_negative_inner_product, false, hnsw_sparsevec_ip_support},
        {sparsevec_negative_inner_product, true, hnsw_sparsevec_cosine_support},
        {sparsevec_l1_distance, false, hnsw_sparsevec_l1_support},
    };
    for (const auto& row : rows)
        if (row.distance == distance && row.norm == norm)
            return reinterpret_cast<const am::Opclass*>(
                DatumGetPointer(DirectFunctionCall1(row.opclass, Datum{0})));
    return nullptr;
}
