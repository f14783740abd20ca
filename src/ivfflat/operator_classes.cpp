// The operator classes of ivfflat: a row for each. They are pgvector's, in SQL, too, and need no support function of ours.
#include "pg/pg.hpp"

#include "am/operator_class.hpp"
#include "ivfflat/handler.hpp"

using quiver::am::ElementType;
using quiver::codec::Metric;
using quiver::ivfflat::access_method;

// Support function 5 of the operator classes, which nothing calls.
QUIVER_FUNCTION(ivfflat_halfvec_support) { return Datum{0}; }
QUIVER_FUNCTION(ivfflat_bit_support) { return Datum{0}; }

#define DISTANCE(function) extern "C" Datum function(PG_FUNCTION_ARGS);
DISTANCE(vector_l2_squared_distance)
DISTANCE(vector_negative_inner_product)
DISTANCE(halfvec_l2_squared_distance)
DISTANCE(halfvec_negative_inner_product)
DISTANCE(hamming_distance)

const quiver::am::Opclass* quiver::ivfflat::find_opclass(PGFunction distance, bool norm)
{
    static const struct {
        PGFunction distance;
        bool norm;
        am::Opclass opclass;
    } rows[] = {
        {vector_l2_squared_distance,
         false,
         {access_method, Metric::l2, ElementType::f32, "vector", 8000}},
        {vector_negative_inner_product,
         false,
         {access_method, Metric::ip, ElementType::f32, "vector", 8000}},
        {vector_negative_inner_product,
         true,
         {access_method, Metric::cosine, ElementType::f32, "vector", 8000}},
        {halfvec_l2_squared_distance,
         false,
         {access_method, Metric::l2, ElementType::f16, "halfvec", 8000}},
        {halfvec_negative_inner_product,
         false,
         {access_method, Metric::ip, ElementType::f16, "halfvec", 8000}},
        {halfvec_negative_inner_product,
         true,
         {access_method, Metric::cosine, ElementType::f16, "halfvec", 8000}},
        {hamming_distance, false, {access_method, Metric::hamming, ElementType::bit, "bit", 64000}},
    };
    for (const auto& row : rows)
        if (row.distance == distance && row.norm == norm)
            return &row.opclass;
    return nullptr;
}
