// The properties of an operator class that the access method needs: the metric, the type, limits.
#pragma once

#include "am/access_method.hpp"
#include "codec/codec.hpp"
#include "pg/entry.hpp"

namespace quiver::am {

enum class ElementType : uint8 { f32, f16, bit, sparse };

// Returned by AccessMethod::find_opclass() or info_support.
struct Opclass {
    const AccessMethod& method;
    codec::Metric metric;
    ElementType element;
    const char* type;
    uint32 max_dims;

    codec::Form form() const
    {
        return element == ElementType::bit      ? codec::Form::bits
               : element == ElementType::sparse ? codec::Form::sparse
                                                : codec::Form::dense;
    }
};
// Operator 1 of an operator class is the ordering operator. Support functions 1 and 2 are those of
// pgvector's operator classes, and are never called: function 1 is any function that orders like the
// operator; only cosine distance has a function 2, the norm. The two identify the Opclass. So the operator
// classes that pgvector's own scripts made are understood, too: they have no support function of ours.
// Where function 1 is another function, AccessMethod::info_support must return the Opclass. Otherwise this raises an error.
const Opclass& opclass_of(Relation index);
// The dimensions of the vectors of a new index. Raises an error if its column has none, or too many.
uint32 dimensions_of_column(Relation index);
// amvalidate.
// Operator 2 is that of am/thresholds.hpp. The operator classes of filter columns have no support functions, and
// the operators of am/filter_columns.hpp.
bool validate_opclass(Oid opclass, const AccessMethod& method);

}   // namespace quiver::am

// Defines AccessMethod::info_support of an operator class:
//     QUIVER_OPERATOR_CLASS(function, access method, metric, element type, "SQL type", most dimensions)
#define QUIVER_OPERATOR_CLASS(function, ...)                                                       \
    QUIVER_FUNCTION(function)                                                                      \
    {                                                                                              \
        static const quiver::am::Opclass opclass = {__VA_ARGS__};                                  \
        PG_RETURN_POINTER(&opclass);                                                               \
    }
