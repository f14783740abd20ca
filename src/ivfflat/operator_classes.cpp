// The operator classes of ivfflat: a row for each.
#include "pg/pg.hpp"

#include "am/operator_class.hpp"
#include "ivfflat/handler.hpp"

using quiver::am::ElementType;
using quiver::codec::Metric;
using quiver::ivfflat::access_method;

#define OPCLASS(name, ...) QUIVER_OPERATOR_CLASS(name, access_method, __VA_ARGS__)

OPCLASS(ivfflat_vector_l2_info, Metric::l2, ElementType::f32, "vector", 8000)
OPCLASS(ivfflat_vector_ip_info, Metric::ip, ElementType::f32, "vector", 8000)
OPCLASS(ivfflat_vector_cosine_info, Metric::cosine, ElementType::f32, "vector", 8000)
OPCLASS(ivfflat_halfvec_l2_info, Metric::l2, ElementType::f16, "halfvec", 8000)
OPCLASS(ivfflat_halfvec_ip_info, Metric::ip, ElementType::f16, "halfvec", 8000)
OPCLASS(ivfflat_halfvec_cosine_info, Metric::cosine, ElementType::f16, "halfvec", 8000)
OPCLASS(ivfflat_bit_hamming_info, Metric::hamming, ElementType::bit, "bit", 64000)
