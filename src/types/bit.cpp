// Distances of PostgreSQL's type bit.
#include "pg/pg.hpp"

#include "pg/entry.hpp"
#include "simd/kernels.hpp"
#include "types/dense.hpp"

namespace {

struct BitPair {
    VarBit* a;
    VarBit* b;

    explicit BitPair(FunctionCallInfo fcinfo) : a(PG_GETARG_VARBIT_P(0)), b(PG_GETARG_VARBIT_P(1))
    {
        if (VARBITLEN(a) != VARBITLEN(b))
            ereport(ERROR,
                    (errcode(ERRCODE_DATA_EXCEPTION),
                     errmsg("different bit lengths %u and %u", static_cast<unsigned>(VARBITLEN(a)),
                            static_cast<unsigned>(VARBITLEN(b)))));
    }
};

}   // namespace

QUIVER_FUNCTION(hamming_distance)
{
    const BitPair p(fcinfo);
    PG_RETURN_FLOAT8(static_cast<double>(
        quiver::simd::kernels().bits.hamming(VARBITS(p.a), VARBITS(p.b), VARBITBYTES(p.a))));
}

// The inner product of a vector with the vector of 1 and -1 that the bits stand for: asymmetric
// binary quantization.
static double binary_ip(FunctionCallInfo fcinfo)
{
    const VarBit* bits = PG_GETARG_VARBIT_P(0);
    const auto* v = quiver::Vector::from(PG_GETARG_DATUM(1));
    if (VARBITLEN(bits) != v->dim)
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                        errmsg("different bit and vector dimensions %d and %d",
                               static_cast<int>(VARBITLEN(bits)), v->dim)));
    return quiver::simd::kernels().bits.signed_sum(VARBITS(bits), v->x, v->dim);
}
QUIVER_FUNCTION(binary_inner_product) { PG_RETURN_FLOAT8(binary_ip(fcinfo)); }
QUIVER_FUNCTION(binary_negative_inner_product) { PG_RETURN_FLOAT8(-binary_ip(fcinfo)); }

QUIVER_FUNCTION(jaccard_distance)
{
    const BitPair p(fcinfo);
    const auto t =
        quiver::simd::kernels().bits.jaccard(VARBITS(p.a), VARBITS(p.b), VARBITBYTES(p.a));
    // Bit strings without a common 1 have the largest distance, also if both are without a 1.
    PG_RETURN_FLOAT8(
        t.both == 0 ? 1.0 : 1.0 - static_cast<double>(t.both) / static_cast<double>(t.either));
}
