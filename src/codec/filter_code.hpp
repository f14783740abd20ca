// Filter codes: 16 bits that tell what a search must know of a row's filter columns. A search looks up a
// node's code in a FilterSet, which it makes once from its conditions. The answer is sound: a row that
// matches is never rejected.
//
// Each column has some of the 16 bits: a number, its *cell*. Cell 0 is NULL. The other cells divide the
// column's *keys*, 64-bit numbers that are made of the values. README.md says how.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "codec/code.hpp"
#include "core/memory.hpp"
#include "core/rng.hpp"
#include "simd/kernels.hpp"

namespace quiver::codec {

constexpr uint32_t filter_code_bits = 16;
constexpr size_t max_filter_columns = 8;
// The most bytes of a trained FilterCodec. (They fit into one page.)
constexpr size_t max_filter_codec_bytes = 8000;

enum class FilterKind : uint8_t {
    ordered = 1,   // values in order have keys in order: x < y means key(x) <= key(y)
    hashed = 2,    // keys are 64-bit hashes. They tell only whether values can be equal
    set = 3,       // a value has any number of elements; keys are 64-bit hashes of them
};

// A column as the caller knows it. In each kind, equal values have equal keys.
struct FilterColumn {
    FilterKind kind;
    bool injective = false;   // different values have different keys
    bool ranged = false;      // ordered: conditions are mostly ranges, as those of dates are
    uint8_t max_bits = filter_code_bits;   // more than these are of no use: 2 for boolean
};

// A row's value in a column.
struct FilterKey {
    bool null = true;
    uint64_t key = 0;                          // ordered, hashed
    std::span<const uint64_t> elements = {};   // set: in any order, also more than once
};

enum class FilterOp : uint8_t {
    equal,
    less,
    less_equal,
    greater_equal,
    greater,
    in,   // equal to one of `keys`
    is_null,
    is_not_null,
    overlaps,    // of sets: has an element in common with `keys`
    contains,    // has all of `keys`
    contained,   // has no element but `keys`
    undecided,   // may match any value but NULL: keys cannot tell
    never,       // matches no row: compared with NULL, for example
};

// A condition on a column. A hashed column ignores the order: less to greater match any value.
struct FilterCondition {
    uint32_t column;
    FilterOp op;
    uint64_t key = 0;                      // equal to greater
    std::span<const uint64_t> keys = {};   // in, overlaps, contains, contained
};

// Which codes can be those of rows that match.
class FilterSet {
  public:
    // May a row with this code match? If not, it does not.
    bool admits(FilterCode code) const { return bit(may_, code); }
    // The same for `count` <= 64 codes: bit i is that of code i.
    uint64_t admitted(const FilterCode* codes, size_t count) const
    {
        if (ranges_ > 0)
            return simd::kernels().within(codes, count, range_, ranges_);
        uint64_t all = 0;
        for (size_t i = 0; i < count; i++)
            all |= uint64_t{admits(codes[i])} << i;
        return all;
    }
    // Do all rows with this code match? Then nobody need look at the values.
    bool is_certain(FilterCode code) const { return bit(must_, code); }
    // Can no row match?
    bool empty() const { return empty_; }

  private:
    friend class FilterCodec;
    static constexpr size_t words = (size_t{1} << filter_code_bits) / 64;

    static bool bit(const uint64_t* set, FilterCode code)
    {
        return set[code / 64] >> (code % 64) & 1;
    }

    // If the cells that are admitted form few ranges, these say the same as may_.
    static constexpr size_t most_ranges = 8;
    simd::FieldRange range_[most_ranges];
    size_t ranges_ = 0;   // 0: they are too many

    bool empty_ = true;
    uint64_t may_[words] = {}, must_[words] = {};
};

// Makes codes and sets from what a training has learnt.
class FilterCodec {
  public:
    // Reads the bytes that FilterTraining::finish() has returned for these columns. Throws Errc::corrupt
    // if they are damaged, or are those of other columns. Copies the bytes.
    FilterCodec(std::span<const FilterColumn> columns, std::span<const uint8_t> bytes);

    // The code of a row, which has a key for each column.
    FilterCode encode(std::span<const FilterKey> row) const;
    // The set of the rows that match all conditions, of which there can be any number, also on one column. It
    // takes 1 or 2 microseconds, and for long lists some 15 ns more for each key. Uses 33 kB of stack.
    void make_set(std::span<const FilterCondition> conditions, FilterSet* to) const;

    size_t columns() const { return columns_; }
    // How many bits of a code are the column's.
    uint32_t bits(size_t column) const { return part_[column].bits; }

    // A column's part of the code, and how its cells are divided. For scalars:
    //     0                          NULL
    //     1 ...                      a cell for each of the `own` keys
    //     then inner x inner_hash    cells of the other keys: intervals, each divided by a hash
    //     then outer x outer_hash    the same beyond the greatest key of the sample
    // Sets have a bit for each of the `own` elements. The other elements share the other bits: `hashes` of
    // them for an element. Neither NULL nor an empty set has any bit.
    struct Part {
        FilterKind kind;
        bool injective;
        uint8_t bits, shift;
        uint32_t own, inner, outer, inner_hash, outer_hash;
        uint32_t hashes;
        uint32_t
            first;   // of its keys in `keys_`: first those that are own, then where intervals begin
    };

  private:
    uint32_t cell_of(const Part& part, uint64_t key) const;
    uint32_t pattern_of(const Part& part, uint64_t element) const;
    uint32_t cell_of(const Part& part, const FilterKey& value) const;
    static bool add_ranges(const Part& part, const uint64_t* cells, FilterSet* to);
    void add_condition(const Part& part, const FilterCondition& c, uint64_t* may,
                       uint64_t* must) const;

    size_t columns_;
    Part part_[max_filter_columns];
    Vec<uint64_t> keys_;
};

// Learns from a sample of rows how to divide the cells of each column.
class FilterTraining {
  public:
    // Between 1 and max_filter_columns columns.
    explicit FilterTraining(std::span<const FilterColumn> columns, uint64_t seed = 1);
    // Adds a row. Of more than sample_rows rows, keeps a random sample. The rows should come from all parts
    // of the table: its first rows are often its oldest.
    void add(std::span<const FilterKey> row);
    // What FilterCodec reads. At most max_filter_codec_bytes. Without rows, codes tell only which values can
    // be equal: a range admits every value.
    Vec<uint8_t> finish();

    static constexpr size_t sample_rows = 16384;

  private:
    struct Column {
        FilterColumn column;
        Vec<FilterKey> values;         // of the sample
        Vec<Vec<uint64_t>> elements;   // of sets: of each row, those that are kept
    };

    Vec<Column> columns_;
    Rng rng_;
    uint64_t rows_ = 0;   // that were added
};

}   // namespace quiver::codec
