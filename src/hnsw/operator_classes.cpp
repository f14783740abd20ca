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
