#include "codec/filter_code.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/error.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

namespace {

// The stored bytes are a Header, a StoredPart for each column, and the keys of all columns. They have the
// byte order of the machine, as all pages have.
struct Header {
    uint32_t version;
    uint16_t columns, keys;
    uint64_t checksum;   // of all that follows
};
struct StoredPart {
    FilterKind kind;
    uint8_t bits, hashes, unused;
    uint16_t own, inner, outer, inner_hash, outer_hash, unused_too;
};
static_assert(sizeof(Header) == 16 && sizeof(StoredPart) == 16);
constexpr uint32_t format = 1;

// The most keys of all columns together.
constexpr size_t max_keys = 960;
static_assert(sizeof(Header) + max_filter_columns * sizeof(StoredPart) +
                  max_keys * sizeof(uint64_t) <=
              max_filter_codec_bytes);

constexpr uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t checksum_of(std::span<const uint8_t> bytes)
{
    uint64_t sum = bytes.size();
    for (size_t i = 0; i < bytes.size(); i += sizeof(uint64_t)) {
        uint64_t word = 0;
        std::memcpy(&word, bytes.data() + i, std::min(sizeof word, bytes.size() - i));
        sum = mix(sum ^ word) + 0x9e3779b97f4a7c15ull;
    }
    return sum;
}

// A number below n that follows from the key.
uint32_t hash_below(uint64_t key, uint32_t n)
{
    return static_cast<uint32_t>((mix(key + 0x9e3779b97f4a7c15ull) >> 32) * n >> 32);
}

// ---- sets of cells: a bit for each cell ----

constexpr size_t words_of(uint32_t bits) { return bits <= 6 ? 1 : size_t{1} << (bits - 6); }
// All cells, in each word.
constexpr uint64_t all_cells(uint32_t bits)
{
    return bits < 6 ? (uint64_t{1} << (1u << bits)) - 1 : ~uint64_t{0};
}

void add_cell(uint64_t* set, size_t cell) { set[cell / 64] |= uint64_t{1} << (cell % 64); }

// Adds the cells from `from` to `to` - 1.
void add_cells(uint64_t* set, size_t from, size_t to)
{
    if (from >= to)
        return;
    const size_t first = from / 64, last = (to - 1) / 64;
    const uint64_t left = ~uint64_t{0} << (from % 64), right = ~uint64_t{0} >> (63 - (to - 1) % 64);
    if (first == last) {
        set[first] |= left & right;
        return;
    }
    set[first] |= left;
    std::fill(set + first + 1, set + last, ~uint64_t{0});
    set[last] |= right;
}

// Of the 64 cells of a word, those that have bit i.
constexpr uint64_t with_bit[] = {0xaaaaaaaaaaaaaaaaull, 0xccccccccccccccccull,
                                 0xf0f0f0f0f0f0f0f0ull, 0xff00ff00ff00ff00ull,
                                 0xffff0000ffff0000ull, 0xffffffff00000000ull};

// Adds the cells that have all bits of the pattern.
void add_supersets(uint64_t* set, uint32_t bits, uint32_t pattern)
{
    uint64_t low = ~uint64_t{0};
    for (uint32_t i = 0; i < 6; i++)
        if (pattern >> i & 1)
            low &= with_bit[i];
    for (size_t w = 0; w < words_of(bits); w++)
        if ((w & (pattern >> 6)) == pattern >> 6)
            set[w] |= low;
}
// Adds the cells that have no bit but those of the pattern.
void add_subsets(uint64_t* set, uint32_t bits, uint32_t pattern)
{
    uint64_t low = ~uint64_t{0};
    for (uint32_t i = 0; i < 6; i++)
        if (!(pattern >> i & 1))
            low &= ~with_bit[i];
    for (size_t w = 0; w < words_of(bits); w++)
        if ((w & ~size_t{pattern >> 6}) == 0)
            set[w] |= low;
}

// Puts a column in front of a set of codes that have `low` bits. `set` then has low + bits bits: for each
// of the column's cells the old set, or none. The columns in it have at least as many bits each.
void prepend(uint64_t* set, uint32_t low, const uint64_t* cells, uint32_t bits)
{
    const size_t count = size_t{1} << bits;
    if (low == 0) {
        std::copy_n(cells, words_of(bits), set);   // (the old set has one code: 0)
        return;
    }
    const auto has = [&](size_t cell) { return cells[cell / 64] >> (cell % 64) & 1; };
    if (low >= 6) {
        const size_t block = words_of(low);
        for (size_t cell = count; cell-- > 0;)
            if (!has(cell))
                std::fill_n(set + cell * block, block, 0);
            else if (cell > 0)
                std::copy_n(set, block, set + cell * block);
        return;
    }
    const uint64_t block = set[0];
    std::fill_n(set, words_of(low + bits), 0);
    for (size_t cell = 0; cell < count; cell++)
        if (has(cell))
            set[(cell << low) / 64] |= block << ((cell << low) % 64);
}

}   // namespace

// ---- reading what was learnt ----

FilterCodec::FilterCodec(std::span<const FilterColumn> columns, std::span<const uint8_t> bytes)
    : columns_(columns.size()), part_{}
{
    const auto check = [](bool ok) {
        if (!ok)
            throw Error(Errc::corrupt, "damaged filter codes");
    };
    Header header;
    check(bytes.size() >= sizeof header && bytes.size() <= max_filter_codec_bytes);
    std::memcpy(&header, bytes.data(), sizeof header);
    check(header.version == format && header.columns == columns_ && columns_ >= 1 &&
          columns_ <= max_filter_columns && header.keys <= max_keys &&
          bytes.size() ==
              sizeof header + columns_ * sizeof(StoredPart) + header.keys * sizeof(uint64_t) &&
          header.checksum == checksum_of(bytes.subspan(sizeof header)));
    keys_.resize(header.keys);
    const uint8_t* at = bytes.data() + sizeof header;
    if (header.keys > 0)
        std::memcpy(keys_.data(), at + columns_ * sizeof(StoredPart),
                    header.keys * sizeof(uint64_t));

    uint32_t first = 0, bits = 0;
    size_t order[max_filter_columns];
    for (size_t i = 0; i < columns_; i++) {
        StoredPart s;
        std::memcpy(&s, at + i * sizeof s, sizeof s);
        Part& p = part_[i];
        p = {s.kind,  columns[i].injective, s.bits,       0,        s.own, s.inner,
             s.outer, s.inner_hash,         s.outer_hash, s.hashes, first};
        check(s.kind == columns[i].kind && s.bits >= 1 && s.bits <= filter_code_bits);
        bits += s.bits;
        const uint32_t keys = p.own + p.inner + p.outer;
        check(keys <= header.keys - first);
        const uint64_t* key = keys_.data() + first;
        check(std::is_sorted(key, key + p.own));
        if (s.kind == FilterKind::set)
            check(p.inner == 0 && p.outer == 0 && p.own < p.bits && p.hashes >= 1 && p.hashes <= 2);
        else {
            check(p.inner >= 1 && p.inner_hash >= 1 && p.outer_hash >= (p.outer > 0) &&
                  uint64_t{1} + p.own + uint64_t{p.inner} * p.inner_hash +
                          uint64_t{p.outer} * p.outer_hash <=
                      uint64_t{1} << p.bits);
            check(key[p.own] == 0 && std::is_sorted(key + p.own, key + keys));
        }
        first += keys;
        order[i] = i;
    }
    check(first == header.keys && bits <= filter_code_bits);
    // The widest column has the lowest bits: then prepend() copies large blocks.
    std::sort(order, order + columns_, [&](size_t x, size_t y) {
        return part_[x].bits != part_[y].bits ? part_[x].bits > part_[y].bits : x < y;
    });
    uint8_t shift = 0;
    for (size_t i = 0; i < columns_; i++) {
        part_[order[i]].shift = shift;
        shift = static_cast<uint8_t>(shift + part_[order[i]].bits);
    }
}

// ---- codes ----

uint32_t FilterCodec::cell_of(const Part& part, uint64_t key) const
{
    const uint64_t* own = keys_.data() + part.first;
    const uint64_t* starts = own + part.own;
    const auto at = static_cast<uint32_t>(std::lower_bound(own, starts, key) - own);
    if (at < part.own && own[at] == key)
        return 1 + at;
    const uint64_t* end = starts + part.inner + part.outer;
    const auto i = static_cast<uint32_t>(std::upper_bound(starts, end, key) - starts - 1);
    if (i < part.inner)
        return 1 + part.own + i * part.inner_hash + hash_below(key, part.inner_hash);
    return 1 + part.own + part.inner * part.inner_hash + (i - part.inner) * part.outer_hash +
           hash_below(key, part.outer_hash);
}

uint32_t FilterCodec::pattern_of(const Part& part, uint64_t element) const
{
    const uint64_t* own = keys_.data() + part.first;
    const auto at = static_cast<uint32_t>(std::lower_bound(own, own + part.own, element) - own);
    if (at < part.own && own[at] == element)
        return 1u << at;
    uint32_t pattern = 0;
    for (uint32_t i = 0; i < part.hashes; i++)
        pattern |= 1u << (part.own + hash_below(mix(element) + i, part.bits - part.own));
    return pattern;
}

uint32_t FilterCodec::cell_of(const Part& part, const FilterKey& value) const
{
    if (value.null)
        return 0;
    if (part.kind != FilterKind::set)
        return cell_of(part, value.key);
    uint32_t cell = 0;
    for (const uint64_t element : value.elements)
        cell |= pattern_of(part, element);
    return cell;
}

FilterCode FilterCodec::encode(std::span<const FilterKey> row) const
{
    uint32_t code = 0;
    for (size_t i = 0; i < columns_; i++)
        code |= cell_of(part_[i], row[i]) << part_[i].shift;
    return static_cast<FilterCode>(code);
}

// ---- sets ----

// Adds the cells of the rows that match one condition: to `may`, and to `must` those of which all rows match.
void FilterCodec::add_condition(const Part& part, const FilterCondition& c, uint64_t* may,
                                uint64_t* must) const
{
    const bool is_set = part.kind == FilterKind::set;
    const size_t cells = size_t{1} << part.bits;
    switch (c.op) {
    case FilterOp::never: return;
    case FilterOp::is_null:
        add_cell(may, 0);
        if (!is_set)
            add_cell(must, 0);
        return;
    case FilterOp::is_not_null:
        add_cells(may, !is_set, cells);
        add_cells(must, 1, cells);
        return;
    case FilterOp::overlaps:
    case FilterOp::contains:
    case FilterOp::contained:
        if (is_set) {
            uint32_t all = 0;
            for (const uint64_t key : c.keys) {
                const uint32_t pattern = pattern_of(part, key);
                // Many keys have a pattern that a key before has, too.
                if (c.op == FilterOp::overlaps && !(may[pattern / 64] >> (pattern % 64) & 1))
                    add_supersets(may, part.bits, pattern);
                all |= pattern;
            }
            if (c.op == FilterOp::contains)
                add_supersets(may, part.bits, all);
            if (c.op == FilterOp::contained)
                add_subsets(may, part.bits, all);
            return;
        }
        break;
    case FilterOp::equal:
    case FilterOp::in: {
        if (is_set)
            break;
        const std::span<const uint64_t> one(&c.key, 1);
        for (const uint64_t key : c.op == FilterOp::in ? c.keys : one) {
            const uint32_t cell = cell_of(part, key);
            add_cell(may, cell);
            if (part.injective && cell <= part.own)
                add_cell(must, cell);
        }
        return;
    }
    case FilterOp::less:
    case FilterOp::less_equal:
    case FilterOp::greater_equal:
    case FilterOp::greater:
    case FilterOp::undecided: break;
    }
    if (part.kind != FilterKind::ordered || c.op > FilterOp::greater) {
        add_cells(may, !is_set, cells);
        return;
    }

    // The keys of rows that may match, and of rows that certainly do: the key of the condition belongs to both
    // or to neither if no other value has it.
    constexpr uint64_t last = std::numeric_limits<uint64_t>::max();
    const bool below = c.op == FilterOp::less || c.op == FilterOp::less_equal,
               strict = c.op == FilterOp::less || c.op == FilterOp::greater;
    const uint64_t* own = keys_.data() + part.first;
    const uint64_t* starts = own + part.own;
    const uint32_t intervals = part.inner + part.outer;
    const auto first_cell = [&](uint32_t i) {
        return 1 + part.own +
               (i <= part.inner
                    ? i * part.inner_hash
                    : part.inner * part.inner_hash + (i - part.inner) * part.outer_hash);
    };
    const auto add = [&](uint64_t* set, bool with_key, bool whole) {
        if (!with_key && c.key == (below ? 0 : last))
            return;
        const uint64_t from = below ? 0 : c.key + !with_key, to = below ? c.key - !with_key : last;
        add_cells(set, 1 + static_cast<size_t>(std::lower_bound(own, starts, from) - own),
                  1 + static_cast<size_t>(std::upper_bound(own, starts, to) - own));
        // Intervals that meet [from, to], or are in it as a whole.
        auto begin = static_cast<uint32_t>(std::upper_bound(starts, starts + intervals, from) -
                                           starts - 1),
             end = static_cast<uint32_t>(std::upper_bound(starts, starts + intervals, to) - starts);
        if (whole && starts[begin] < from)
            begin++;
        if (whole && to != last && (end == intervals || starts[end] - 1 != to))
            end--;
        if (begin < end)
            add_cells(set, first_cell(begin), first_cell(end));
    };
    add(may, !strict || !part.injective, false);
    add(must, !strict && part.injective, true);
}

void FilterCodec::make_set(std::span<const FilterCondition> conditions, FilterSet* to) const
{
    // The cells of each column. All columns together have no more bits than a code, so their cells fit.
    constexpr size_t most = FilterSet::words + max_filter_columns;
    uint64_t may[most], must[most], may_one[FilterSet::words], must_one[FilterSet::words];
    size_t order[max_filter_columns], begin[max_filter_columns], used = 0;
    for (size_t i = 0; i < columns_; i++) {
        order[i] = i;
        begin[i] = used;
        std::fill_n(may + used, words_of(part_[i].bits), all_cells(part_[i].bits));
        std::fill_n(must + used, words_of(part_[i].bits), all_cells(part_[i].bits));
        used += words_of(part_[i].bits);
    }
    for (const FilterCondition& c : conditions) {
        if (c.column >= columns_)
            throw Error(Errc::internal, "condition on filter column %u of %zu", c.column, columns_);
        const Part& part = part_[c.column];
        const size_t n = words_of(part.bits);
        std::fill_n(may_one, n, 0);
        std::fill_n(must_one, n, 0);
        add_condition(part, c, may_one, must_one);
        for (size_t w = 0; w < n; w++) {
            may[begin[c.column] + w] &= may_one[w];
            must[begin[c.column] + w] &= must_one[w];
        }
    }

    std::sort(order, order + columns_,
              [&](size_t x, size_t y) { return part_[x].shift < part_[y].shift; });
    to->may_[0] = to->must_[0] = 1;
    uint32_t bits = 0;
    for (size_t i = 0; i < columns_; i++) {
        const size_t c = order[i];
        prepend(to->may_, bits, may + begin[c], part_[c].bits);
        prepend(to->must_, bits, must + begin[c], part_[c].bits);
        bits += part_[c].bits;
    }
    const size_t n = words_of(bits);
    std::fill(to->may_ + n, to->may_ + FilterSet::words, 0);
    std::fill(to->must_ + n, to->must_ + FilterSet::words, 0);
    to->empty_ = std::all_of(to->may_, to->may_ + n, [](uint64_t w) { return w == 0; });
    to->ranges_ = 0;
    for (size_t c = 0; c < columns_; c++)
        if (!add_ranges(part_[c], may + begin[c], to)) {
            to->ranges_ = 0;
            break;
        }
}

// Adds the ranges of a column's cells to a set. False if there are too many.
bool FilterCodec::add_ranges(const Part& part, const uint64_t* cells, FilterSet* to)
{
    const uint32_t n = 1u << part.bits;
    // The first cell from `cell` on that the set has, or has not; n if there is none.
    const auto next = [&](uint32_t cell, bool has) {
        for (; cell < n; cell = (cell / 64 + 1) * 64) {
            const uint64_t word = (has ? cells[cell / 64] : ~cells[cell / 64]) >> cell % 64;
            if (word != 0)
                return std::min(cell + static_cast<uint32_t>(std::countr_zero(word)), n);
        }
        return n;
    };
    const size_t before = to->ranges_;
    for (uint32_t low = next(0, true), end; low < n; low = next(end, true)) {
        end = next(low, false);
        if (low == 0 && end == n)   // it has no condition
            return true;
        if (to->ranges_ == FilterSet::most_ranges)
            return false;
        to->range_[to->ranges_++] = {static_cast<uint16_t>((n - 1) << part.shift),
                                     static_cast<uint16_t>(low << part.shift),
                                     static_cast<uint16_t>((end - 1 - low) << part.shift), false};
    }
    if (to->ranges_ == before)
        return false;
    to->range_[to->ranges_ - 1].is_last = true;
    return true;
}

// ---- training ----

namespace {

struct Counted {
    uint64_t key;
    uint32_t count;
};

// The distinct keys, in order.
Vec<Counted> count_keys(Vec<uint64_t>& keys)
{
    std::sort(keys.begin(), keys.end());
    Vec<Counted> counted;
    for (const uint64_t key : keys)
        if (!counted.empty() && counted.back().key == key)
            counted.back().count++;
        else
            counted.push_back({key, 1});
    return counted;
}

// A column's keys in the sample, and the part that is made of them.
struct Learnt {
    FilterColumn column;
    Vec<Counted> counted;
    uint32_t rows = 0;   // of the sample that are not NULL
    uint32_t keys = 0;   // in them
    StoredPart part{};
    Vec<uint64_t> chosen;   // keys: those of the part

    // Below this many rows, a sample says little about the rows that will come.
    bool is_small() const { return rows < 256; }
    // Are new values best told apart by their order only? Most values that occur once, as those of a timestamp
    // with microseconds, are searched by ranges.
    bool is_ranged() const { return column.ranged || (!is_small() && counted.size() > rows / 2); }
};

// Of the cells but NULL, those that are for keys beyond the sample.
constexpr size_t outer_share(size_t cells) { return cells / 4; }

// How many bits give each of n values a cell of its own, and leave some for others.
uint32_t bits_for(size_t n)
{
    const auto most = [](uint32_t bits) {
        const size_t cells = (size_t{1} << bits) - 1;
        return cells - outer_share(cells) - 1;
    };
    uint32_t bits = 2;
    while (bits < filter_code_bits && most(bits) < n)
        bits++;
    return bits;
}

// Divides the 16 bits among the columns: the next bit is for the column that has fewest. First a column takes
// no more than give each value its own cell, and at most 8 bits, which are enough for most ranges; then at
// most 10. The remaining bits are for values that come after the training. Each bit of a set counts half, because
// it only makes a Bloom filter one bit wider.
void divide_bits(Vec<Learnt>& columns)
{
    uint32_t left = filter_code_bits;
    for (const int round : {0, 1, 2})
        while (left > 0) {
            StoredPart* next = nullptr;
            uint32_t fewest = 0;
            for (Learnt& c : columns) {
                const bool is_set = c.column.kind == FilterKind::set;
                uint32_t most = std::min<uint32_t>(c.column.max_bits, filter_code_bits);
                if (!is_set && round < 2 && !c.is_small())
                    most = std::min(most, bits_for(c.counted.size()));
                if (round < 2)
                    most = std::min(most, is_set ? 12u : round == 0 ? 8u : 10u);
                const uint32_t bits = is_set ? c.part.bits : 2u * c.part.bits;
                if (c.part.bits < most && (!next || bits < fewest)) {
                    next = &c.part;
                    fewest = bits;
                }
            }
            if (!next)
                break;
            next->bits++;
            left--;
        }
}

// Chooses the keys that get a cell, or a bit, of their own: those that are at least as frequent as what
// remains for each other of the cells. A key that was met once may never come again. Moves them from
// c.counted to c.chosen, and returns how many rows of the sample have other keys.
uint32_t choose_own(Learnt& c, size_t cells)
{
    Vec<Counted> by_count = c.counted;
    std::sort(by_count.begin(), by_count.end(), [](const Counted& x, const Counted& y) {
        return x.count != y.count ? x.count > y.count : x.key < y.key;
    });
    uint32_t rest = c.keys;
    for (const Counted& k : by_count) {
        const size_t left = cells - c.chosen.size();
        if (left == 0 || k.count < 2 || static_cast<uint64_t>(k.count) * left < rest)
            break;
        c.chosen.push_back(k.key);
        rest -= k.count;
    }
    std::sort(c.chosen.begin(), c.chosen.end());
    c.part.own = static_cast<uint16_t>(c.chosen.size());
    std::erase_if(c.counted, [&](const Counted& k) {
        return std::binary_search(c.chosen.begin(), c.chosen.end(), k.key);
    });
    return rest;
}

// Cuts the keys of c.counted, which `rows` rows have, into intervals of about equally many rows.
void cut_inner(Learnt& c, uint32_t rows, size_t intervals)
{
    c.chosen.push_back(0);
    size_t made = 1;
    uint32_t in_interval = 0;
    for (size_t i = 0; i < c.counted.size() && made < intervals; i++) {
        // A new interval begins if this one has its share, or if each key that is left can have one.
        const size_t left = c.counted.size() - i;
        if (in_interval > 0 &&
            (static_cast<uint64_t>(in_interval) * (intervals - made + 1) >= rows ||
             left <= intervals - made)) {
            c.chosen.push_back(c.counted[i].key);
            made++;
            rows -= in_interval;
            in_interval = 0;
        }
        in_interval += c.counted[i].count;
    }
    c.part.inner = static_cast<uint16_t>(made);
}

// Cuts what lies beyond the sample: intervals that become longer, up to 15 times the length of the sample.
void cut_outer(Learnt& c, uint64_t tenth, uint64_t top, size_t intervals)
{
    const double span = std::max(1.0, static_cast<double>(top - tenth));
    uint64_t last = top;
    const double step = std::min(0.5, 4.0 / static_cast<double>(intervals));
    size_t made = 0;
    for (; made < intervals && last < std::numeric_limits<uint64_t>::max(); made++) {
        const double offset = span * (std::exp2(step * static_cast<double>(made)) - 1);
        if (made > 0 && offset >= 0x1p64 - static_cast<double>(top) - 0x1p12)
            break;
        last = std::max(last + 1, top + 1 + static_cast<uint64_t>(offset));
        c.chosen.push_back(last);
    }
    c.part.outer = static_cast<uint16_t>(made);
}

void learn_scalar(Learnt& c, size_t max_keys_of_column)
{
    const size_t cells = (size_t{1} << c.part.bits) - 1;
    const bool ordered = c.column.kind == FilterKind::ordered, ranged = c.is_ranged();
    const Vec<Counted> all = c.counted;
    size_t outer_cells = ordered && !all.empty() ? outer_share(cells) : 0;
    const uint32_t rest = choose_own(c, std::min(cells - outer_cells - 1, max_keys_of_column / 2));
    const size_t left = cells - c.chosen.size();
    // All values have cells of their own: the others are new ones, beyond the sample or not.
    if (outer_cells > 0 && c.counted.empty())
        outer_cells = left / 2;

    const size_t keys = max_keys_of_column - c.chosen.size();
    const size_t inner =
        ordered ? std::max<size_t>(1, std::min({c.counted.size(), left - outer_cells,
                                                outer_cells > 0 ? keys * 3 / 4 : keys}))
                : 1;
    cut_inner(c, rest, inner);
    c.part.inner_hash = static_cast<uint16_t>((left - outer_cells) / c.part.inner);
    // What the division has left over
    outer_cells = outer_cells > 0 ? left - size_t{c.part.inner} * c.part.inner_hash : 0;
    if (outer_cells > 0) {
        const Vec<Counted>& known = c.counted.empty() ? all : c.counted;
        uint32_t total = 0, before = 0;
        for (const Counted& k : known)
            total += k.count;
        uint64_t tenth = known.front().key;
        for (size_t i = 0; i < known.size() && before <= total / 10; before += known[i++].count)
            tenth = known[i].key;
        const auto root = static_cast<size_t>(std::sqrt(static_cast<double>(outer_cells)));
        cut_outer(c, tenth, known.back().key,
                  std::min(keys - c.part.inner, ranged ? outer_cells : std::max<size_t>(1, root)));
        if (c.part.outer > 0)
            c.part.outer_hash = static_cast<uint16_t>(outer_cells / c.part.outer);
    }
}

void learn_set(Learnt& c)
{
    // At least one bit is for elements that will come.
    const uint32_t rest = choose_own(c, c.part.bits - 1u);
    c.part.hashes = 1;
    if (c.rows == 0)
        return;
    // Two bits for each of the other elements if far fewer rows pass then that do not have it. (Conditions with
    // <@ would rather have one.)
    const double bits = c.part.bits - c.part.own,
                 elements = static_cast<double>(rest) / static_cast<double>(c.rows);
    const auto passes = [&](int hashes) {
        return std::pow(1 - std::pow(1 - 1 / bits, hashes * elements), hashes);
    };
    if (bits > 2 && passes(2) < 0.75 * passes(1))
        c.part.hashes = 2;
}

}   // namespace

FilterTraining::FilterTraining(std::span<const FilterColumn> columns, uint64_t seed) : rng_(seed)
{
    if (columns.empty() || columns.size() > max_filter_columns)
        throw Error(Errc::internal, "%zu filter columns", columns.size());
    columns_.resize(columns.size());
    for (size_t i = 0; i < columns.size(); i++)
        columns_[i].column = columns[i];
}

void FilterTraining::add(std::span<const FilterKey> row)
{
    // Reservoir sampling (Vitter 1985, algorithm R)
    const uint64_t at = rows_ < sample_rows ? rows_ : rng_.next() % (rows_ + 1);
    rows_++;
    if (at >= sample_rows)
        return;
    constexpr size_t kept_elements = 64;   // more of a row say little, and take memory
    for (size_t i = 0; i < columns_.size(); i++) {
        Column& c = columns_[i];
        if (at == c.values.size()) {
            c.values.emplace_back();
            if (c.column.kind == FilterKind::set)
                c.elements.emplace_back();
        }
        c.values[at] = {row[i].null, row[i].key};
        if (c.column.kind == FilterKind::set) {
            const auto& from = row[i].elements;
            c.elements[at].assign(from.begin(),
                                  from.begin() + std::min(from.size(), kept_elements));
        }
    }
}

Vec<uint8_t> FilterTraining::finish()
{
    Vec<Learnt> learnt(columns_.size());
    size_t scalars = 0;
    for (size_t i = 0; i < columns_.size(); i++) {
        Column& c = columns_[i];
        Learnt& l = learnt[i];
        l.column = c.column;
        l.part.kind = c.column.kind;
        Vec<uint64_t> keys;
        const bool is_set = c.column.kind == FilterKind::set;
        scalars += !is_set;
        for (size_t row = 0; row < c.values.size(); row++) {
            if (c.values[row].null)
                continue;
            l.rows++;
            if (is_set) {
                // An element counts once for each row.
                Vec<uint64_t>& e = c.elements[row];
                std::sort(e.begin(), e.end());
                e.erase(std::unique(e.begin(), e.end()), e.end());
                keys.insert(keys.end(), e.begin(), e.end());
            } else
                keys.push_back(c.values[row].key);
        }
        l.keys = static_cast<uint32_t>(keys.size());
        l.counted = count_keys(keys);
    }
    divide_bits(learnt);

    // A set has less than 16 keys.
    const size_t sets = columns_.size() - scalars;
    Vec<uint64_t> keys;
    for (Learnt& l : learnt) {
        if (l.column.kind == FilterKind::set)
            learn_set(l);
        else
            learn_scalar(l, (max_keys - sets * filter_code_bits) / scalars);
        keys.insert(keys.end(), l.chosen.begin(), l.chosen.end());
    }

    Header header{};
    header.version = format;
    header.columns = static_cast<uint16_t>(learnt.size());
    header.keys = static_cast<uint16_t>(keys.size());
    Vec<uint8_t> bytes(sizeof header + learnt.size() * sizeof(StoredPart) +
                       keys.size() * sizeof(uint64_t));
    uint8_t* at = bytes.data() + sizeof header;
    for (const Learnt& l : learnt) {
        std::memcpy(at, &l.part, sizeof l.part);
        at += sizeof l.part;
    }
    if (!keys.empty())
        std::memcpy(at, keys.data(), keys.size() * sizeof(uint64_t));
    header.checksum = checksum_of(std::span<const uint8_t>(bytes).subspan(sizeof header));
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
}

}   // namespace quiver::codec
