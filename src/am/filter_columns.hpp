// Filter columns: the columns of an index after the vector. They become the keys from which filter codes are
// made (codec/filter_code.hpp), and conditions on them the conditions that a search judges codes by.
#pragma once

#include "am/access_method.hpp"
#include "codec/filter_code.hpp"
#include "pg/entry.hpp"

namespace quiver::am {

// The operators of a filter column, by their numbers in the operator classes.
constexpr StrategyNumber filter_less = 1, filter_less_equal = 2, filter_equal = 3,
                         filter_greater_equal = 4, filter_greater = 5, filter_overlaps = 6,
                         filter_contains = 7, filter_contained = 8;

// Is this the input type of an operator class for filter columns?
bool is_filter_type(Oid type);

// Raises an error unless the first column of a new index is a vector, and the others are filter columns.
void check_columns(Relation index, const AccessMethod& method);

// The filter columns of an index: none, if it has only one column. It allocates memory in the context in which
// it is called, which must live as long as the object.
class FilterColumns {
  public:
    explicit FilterColumns(Relation index);

    size_t size() const { return columns_.size(); }
    // What a FilterTraining or a FilterCodec must know of them.
    std::span<const codec::FilterColumn> columns() const { return columns_; }

    // The keys of a row, from the values of all columns of the index, the vector's included. Valid until the
    // next call. May read values that are stored out of line.
    std::span<const codec::FilterKey> read(const Datum* values, const bool* isnull);

    // The conditions of a scan on filter columns, which all must be true. Valid until the next call. A
    // condition that keys cannot decide is undecided, so that no code is certain.
    std::span<const codec::FilterCondition> read_conditions(IndexScanDesc scan);

  private:
    struct Reader {
        Oid type;         // the operator class's
        Oid collation;    // of the column
        FmgrInfo* hash;   // text
    };

    void read_elements(const Reader& reader, Datum array, Vec<uint64_t>* to);
    void read_condition(const ScanKeyData& key);

    Vec<codec::FilterColumn> columns_;
    Vec<Reader> readers_;
    Vec<codec::FilterKey> keys_;    // of the last row
    Vec<Vec<uint64_t>> elements_;   // of its sets
    Vec<codec::FilterCondition> conditions_;
    Vec<Vec<uint64_t>> lists_;   // of the conditions
};

// Has the scan conditions on filter columns?
bool has_filters(IndexScanDesc scan);

// Adds the conditions on filter columns that a scan in the order of a distance does not have yet: those that the
// planner does not match (before PostgreSQL 17 `column = ANY (array)`; before PostgreSQL 16 those on boolean columns, as
// in WHERE NOT archived), and all of a range scan (thresholds.hpp). See index_conditions.hpp.
void add_filters(PlannerInfo* root, IndexPath* path);

}   // namespace quiver::am
