// The rules for vectors that have sketches and a choice of codecs (l2, ip and cosine). "Asked"
// means that the options of the index ask for it. "Slots" are the slots that fit into a page. The
// fold is the number of coordinates per bit of a sketch. Folds are tried in order until there are
// enough slots.
//
//   when                                   bits    folds     enough slots
//   8 bits or fewer asked                  asked   1 to 64   1
//   nothing asked, rows not out of line    8       1 to 32   1
//     if that does not fit                 4, 2, 1 1 to 64   1
//   nothing asked, rows out of line        16      1 to 8    as many as with 8 bits (else 8 bits are taken)
//     instead of that                      12      1 to 8    more than with 16
//   more than 8 bits asked                 asked   1 to 8    as many as with 8 bits; 32: 1
//     if that does not fit                 asked   1, 2, 4 to 64   1
//
// Codecs of fewer than 8 bits begin with fold 2, because users who choose small codes want a small
// index. On 100,000 text embeddings, sketches of half the width cost a sixth of the speed and
// shrink the index to two thirds. If the user asks for a fold, no other is tried. In the end larger
// folds are taken if they allow more slots (narrow_sketches).
//
// Reading a row that is stored out of line (in a TOAST table) takes several times as long as
// reading a node. So the index stores enough bits that most rows need not be read. With 1,536
// dimensions, an index of 12 bits is half as large as one of 16 bits, and a query takes a quarter
// longer.
//
// Bit strings have sketches of fold 1 if two slots with sketches fit into a page. All other types
// have no sketches.
#include "graph/choose_encoding.hpp"

#include <algorithm>

#include "core/no_postgres.hpp"

namespace quiver::graph {

namespace {

// Larger rows are stored out of line.
constexpr uint32_t toasted_row_bytes = 1950;

struct Choice {
    EncodingShape shape;
    Layout layout;
    uint32_t slots;   // that fit into a page

    bool fits() const { return slots > 0; }
};

class Chooser {
  public:
    Chooser(codec::Form form, codec::Metric metric, uint32_t dims, const EncodingRequest& request,
            uint32_t usable)
        : form_(form), metric_(metric), dims_(dims), request_(request), usable_(usable),
          most_(codec::round_up(2 * request.m, 4))
    {
    }

    EncodingShape choose() const
    {
        if (!can_choose())
            return without_choice().shape;
        const bool bits_asked = request_.bits != choose_bits;
        if (bits_asked && request_.bits <= 8)
            return narrow_sketches(first_with(asked_bits(), 64, 1)).shape;
        if (bits_asked)
            return many_bits(asked_bits()).shape;
        const Choice plain = with_8_bits_or_fewer();
        const bool out_of_line = request_.row_bytes > toasted_row_bytes;
        return (out_of_line && plain.shape.codec.bits == 8 ? with_12_or_16_bits(plain)
                                                           : narrow_sketches(plain))
            .shape;
    }

  private:
    uint32_t asked_bits() const { return static_cast<uint32_t>(request_.bits); }
    bool is_fold_asked() const { return request_.fold != choose_fold; }
    // Is there more than one codec?
    bool can_choose() const { return codec::find_codec(spec(16)) != nullptr; }
    codec::CodecSpec spec(uint32_t bits) const { return {form_, metric_, dims_, bits}; }
    static bool is_small(uint32_t bits) { return bits < 8; }

    Choice with(uint32_t degree, uint32_t fold, uint32_t bits) const
    {
        return with(degree, fold, bits, request_.filtered);
    }
    Choice with(uint32_t degree, uint32_t fold, uint32_t bits, bool filtered) const
    {
        // Nodes with small codes also have room for fewer rows.
        const EncodingShape shape = {spec(bits), fold, degree,
                                     is_small(bits) ? 4u : Layout::max_tids, filtered};
        const Layout layout = shape.layout();
        return {shape, layout, layout.slots_per_page(usable_)};
    }

    // The degree for which most slots fit on a page, of `eighths` eighths of the 2m neighbours of layer 0
    // and more.
    Choice most_slots(uint32_t eighths, uint32_t fold, uint32_t bits, bool filtered) const
    {
        Choice best = with(most_, fold, bits, filtered);
        for (uint32_t degree = most_; degree >= 4 && degree * 8 >= most_ * eighths; degree -= 4)
            if (const Choice fewer = with(degree, fold, bits, filtered); fewer.slots > best.slots)
                best = fewer;
        return best;
    }
    // The degree for a fold, chosen so that slots fill a page. It may be up to an eighth less than
    // the 2m neighbours of layer 0 if that fits one more slot into a page, and up to a quarter more
    // if the page would not be full otherwise. It may be up to a quarter less if filter codes would
    // cost more than a fifth of the slots.
    Choice tile(uint32_t fold, uint32_t bits) const
    {
        Choice best = most_slots(7, fold, bits, request_.filtered);
        if (request_.filtered && best.slots * 5 < most_slots(7, fold, bits, false).slots * 4)
            best = most_slots(6, fold, bits, true);
        for (const uint32_t slots = best.slots;
             slots > 0 && slots * best.layout.slot_bytes * 20 < usable_ * 17 &&
             best.shape.degree * 4 < most_ * 5 && best.shape.degree + 4 <= max_degree;) {
            const Choice more = with(best.shape.degree + 4, fold, bits);
            if (more.slots < slots)
                break;
            best = more;
        }
        return best;
    }

    uint32_t first_fold(uint32_t bits) const
    {
        return is_fold_asked()  ? static_cast<uint32_t>(std::max(request_.fold, 0))
               : is_small(bits) ? 2
                                : 1;
    }
    // The first fold that gives at least this number of slots, or the last one tried.
    Choice first_with(uint32_t bits, uint32_t last_fold, uint32_t slots) const
    {
        return first_with(bits, first_fold(bits), last_fold, slots);
    }
    Choice first_with(uint32_t bits, uint32_t first, uint32_t last_fold, uint32_t slots) const
    {
        const uint32_t last = is_fold_asked() ? first : last_fold;
        if (first == 0 && bits <= 8)
            return without_sketches(bits);
        for (uint32_t fold = first;; fold++)
            if (const Choice c = tile(fold, bits); c.slots >= slots || fold >= last)
                return c;
    }

    Choice with_8_bits_or_fewer() const
    {
        Choice c = first_with(8, 32, 1);
        for (uint32_t bits = 4; bits >= 1 && !c.fits(); bits /= 2)
            c = first_with(bits, first_fold(8), 64, 1);
        return c;
    }
    Choice with_12_or_16_bits(const Choice& plain) const
    {
        const uint32_t slots = std::max(plain.slots, 1u);
        const Choice sixteen = first_with(16, 8, slots), twelve = first_with(12, 8, slots);
        const Choice best = sixteen.slots >= slots ? narrow_sketches(sixteen) : plain;
        const Choice fewer = twelve.slots >= slots ? narrow_sketches(twelve) : best;
        return fewer.slots > best.slots ? fewer : best;
    }
    Choice many_bits(uint32_t bits) const
    {
        const uint32_t slots = bits == 32 ? 1 : std::max(first_with(8, 64, 1).slots, 1u);
        if (const Choice c = first_with(bits, 8, slots); c.slots >= slots)
            return narrow_sketches(c);
        for (uint32_t fold = first_fold(bits);; fold *= 2)
            if (const Choice c = tile(fold, bits); c.fits() || fold >= 64 || is_fold_asked())
                return c;
    }

    // Narrower sketches make the index smaller and cost little speed, down to about 300 bits (200
    // with codes of fewer than 8 bits, which users choose for their size). Codes of 16 bits, 1,024
    // dimensions: half the size for an eighth of the speed. Codes of 2 bits, 1,536 dimensions: two
    // fifths of the size for a fifth of the speed.
    Choice narrow_sketches(Choice c) const
    {
        const uint32_t least_words = is_small(c.shape.codec.bits) ? 3 : 5;
        for (uint32_t fold = c.shape.fold + 1; !is_fold_asked() && c.layout.sketched(); fold++) {
            const Choice next = tile(fold, c.shape.codec.bits);
            if (next.layout.words < least_words)
                break;
            if (next.slots > c.slots)
                c = next;
        }
        return c;
    }

    Choice without_choice() const
    {
        const bool sketched = form_ == codec::Form::bits && request_.fold >= 0 &&
                              (is_fold_asked() || with(most_, 1, 8).slots >= 2);
        return sketched ? tile(1, 8) : without_sketches(8);
    }
    // Slots without sketches are small. So the degree is reduced only if not even one slot fits.
    Choice without_sketches(uint32_t bits) const
    {
        Choice c = with(most_, 0, bits);
        for (uint32_t degree = most_; degree > 4 && !c.fits(); degree -= 4)
            c = with(degree - 4, 0, bits);
        return c;
    }

    codec::Form form_;
    codec::Metric metric_;
    uint32_t dims_;
    EncodingRequest request_;
    uint32_t usable_;
    uint32_t most_;   // neighbours: twice m, like HNSW's layer 0
};

}   // namespace

EncodingShape choose_encoding(codec::Form form, codec::Metric metric, uint32_t dims,
                              const EncodingRequest& request, uint32_t usable)
{
    return Chooser(form, metric, dims, request, usable).choose();
}

}   // namespace quiver::graph
