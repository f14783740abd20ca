// The first layer of a scan of an inverted file: it searches the nearest lists and hands out rows in batches,
// for graph::Certify and graph::Rerank.
//
// A list is read page by page. Sketches give lower bounds of the distances of its rows. Rows whose bounds are
// low are compared by their codes, nearest bound first. A batch wants a number of rows: those beyond the
// distance of the last of them are left out, most of them without a look at their codes. If more rows are
// needed, the lists are read again for four times as many.
//
// Rows are added and removed while a list is read. A row that the scan can see stays at its place all the
// time. A page that has become empty can be given to another list, or to the same one at another place. A search
// that comes to such a page notices it (for_each_list_page).
#pragma once

#include <concepts>

#include "core/error.hpp"
#include "core/heap.hpp"
#include "graph/rerank.hpp"
#include "lists/encoding.hpp"

namespace quiver::lists {

// What a search needs from the pages.
template <class S>
concept ReadStore = requires(S& s, Block block)
{
    {
        s.encoding()
        } -> std::convertible_to<const Encoding&>;
    {
        s.root()
        } -> std::convertible_to<Block>;
    // Calls the function with a list page, which does not change during the call. False if this is none.
    {
        s.read_list(block, [](const ListPage&) {})
        } -> std::convertible_to<bool>;
    {
        s.read_root(block, [](const ListPage&) {})
        } -> std::convertible_to<bool>;
    // Calls the function with the code at a place of a code page that belongs to list page `owner`. False if
    // there is none.
    {
        s.read_code(block, uint32_t{}, Block{}, [](const Code&) {})
        } -> std::convertible_to<bool>;
    // Prepares for reading a page soon. release() must be called when the search pauses.
    {s.prefetch_list(block)};
    {s.prefetch_code(block, uint32_t{})};
    {s.release()};
    // Checks for interrupts. Nothing may be locked.
    {s.poll()};
    // Makes encoding().root_centre() that of the root, as it is after so many changes of the lists.
    {s.use_root(uint32_t{})};
    // May a retired list become free while a search reads it?
    {
        s.may_lose_lists()
        } -> std::convertible_to<bool>;
};

// Calls f(block, page) for each page of a list, once, and then after(), when the page is not locked. keep(page):
// is this a page of the list? lost() is called before an error, and may throw another one.
//
// A link leads to a page with a certain number. If the page has another one, or is of another list, vacuum has
// taken it out of the list in the meantime. Then the walk begins again, and skips the pages up to the number that
// it has reached. A page that is still in the list keeps its number, so none is missed or read twice.
template <class Read, class Keep, class F, class After, class Lost>
void for_each_list_page(Block head, Read&& read, Keep&& keep, F&& f, After&& after, Lost&& lost)
{
    constexpr int most_restarts = 1000;
    int restarts = 0;
    uint64_t done = 0;   // the pages with lower numbers
    uint32_t number = 0;
    for (Block block = head;;) {
        bool good = false;
        Block next = no_block;
        uint32_t next_number = 0;
        read(block, [&](const ListPage& page) {
            good = keep(page) && page.header().number == number;
            if (!good)
                return;
            next = page.header().next;
            next_number = page.header().next_number;
            if (number >= done)
                f(block, page);
        });
        if (!good) {
            if (block == head || ++restarts > most_restarts) {
                lost();
                throw Error(Errc::corrupt, "list page %u is damaged", block);
            }
            block = head;
            number = 0;
            continue;
        }
        if (next != no_block && next_number <= number) {
            lost();
            throw Error(Errc::corrupt, "the pages of a list form a circle");
        }
        if (number >= done) {
            done = uint64_t{number} + 1;
            after();
        }
        if (next == no_block)
            return;
        block = next;
        number = next_number;
    }
}

// A list, as a query sees it.
struct Probe {
    uint32_t list;   // a number, for this search
    Block head;
    float key;        // orders the lists
    float distance;   // of the centroid, as the geometry of the index defines it
    float norm2;      // of the centroid
    friend bool operator<(const Probe& x, const Probe& y)
    {
        return Candidate(x.key, x.list) < Candidate(y.key, y.list);   // a key may be no number
    }
};

// Finds the lists whose centroids are nearest to the query. The root's sketches tell which codes of centroids
// are worth reading.
template <ReadStore S>
class NearestLists {
  public:
    NearestLists(S& store, Query& query) : store_(store), query_(query) {}

    void start()
    {
        const bool exact = store_.encoding().exact();
        read_root(
            [&] {
                query_.begin_root();
                centroids_.clear();
                rest_.clear();
            },
            [&](Block block, const ListPage& page) { add_centroids(block, page, exact); });
        probes_.clear();
        known_ = 0;
    }
    size_t size() const { return centroids_.size(); }
    // Calls f(code) with the code of a list's centroid. There are none if sketches are exact.
    template <class F>
    void read_centroid(const Probe& probe, F&& f)
    {
        const Centroid& c = centroids_[probe.list];
        if (!store_.encoding().exact() && !store_.read_code(c.code_block, c.place, c.page, f)) {
            check_that_none_is_lost();
            throw Error(Errc::corrupt, "the code of centroid %u is missing", probe.list);
        }
    }
    // The first pages of all lists, without a query.
    const Vec<Block>& heads()
    {
        read_root([&] { heads_.clear(); },
                  [&](Block, const ListPage& page) {
                      for (uint32_t i = 0; i < page.used(); i++)
                          if (page.is_taken(i))
                              heads_.push_back(list_pointer(page.tids()[i]).head);
                  });
        return heads_;
    }
    // To be called after the lists that start() or heads() found have been read. Throws Errc::conflict if they have
    // become free, because their pages may belong to other lists now.
    void check_that_none_is_lost()
    {
        if (may_lose_lists_ && changes().freed > changes_.lists)
            throw Error(Errc::conflict,
                        "the lists of the index were replaced, and their pages became free");
    }
    // The nearest `count` lists, nearest first. Those that a former call returned stay at their places.
    std::span<const Probe> nearest(size_t count)
    {
        count = std::min(count, size());
        if (count <= known_)
            return {probes_.data(), count};
        // Estimates are not exact, so more codes are read.
        const size_t wanted = std::min(size(), 2 * count + 16);
        if (wanted > probes_.size()) {
            const auto more = wanted - probes_.size();
            if (more < rest_.size())
                std::nth_element(rest_.begin(), rest_.begin() + static_cast<ptrdiff_t>(more),
                                 rest_.end());
            for (size_t i = 0; i < more; i++)
                add_probe(rest_[i]);
            rest_.erase(rest_.begin(), rest_.begin() + static_cast<ptrdiff_t>(more));
            store_.release();
        }
        std::sort(probes_.begin() + static_cast<ptrdiff_t>(known_), probes_.end());
        known_ = count;
        return {probes_.data(), count};
    }

  private:
    struct Changes {
        uint32_t lists, freed;
    };
    Changes changes()
    {
        Changes result{};
        store_.read_root(store_.root(), [&](const ListPage& page) {
            result = {page.header().changes, page.header().freed};
        });
        return result;
    }
    // Calls f(block, page) for all pages of the root, as they are between two changes of the lists. If the lists change
    // meanwhile, it calls begin() and reads the root again.
    template <class Begin, class F>
    void read_root(Begin&& begin, F&& f)
    {
        // (Asked before the root is read: a standby may be promoted after the lists were lost.)
        may_lose_lists_ = store_.may_lose_lists();
        Changes now = changes();
        do {
            changes_ = now;
            store_.poll();
            store_.use_root(now.lists);
            begin();
            for_each_list_page(
                store_.root(), [&](Block b, auto&& g) { store_.read_root(b, g); },
                [](const ListPage& page) { return page.header().list == root_list; }, f, [] {},
                [] {});
            now = changes();
        } while (now.lists != changes_.lists);
    }

    struct Centroid {
        Block head, page, code_block;   // of the list; where the centroid is
        uint32_t entry, place;
    };

    void add_centroids(Block block, const ListPage& page, bool exact)
    {
        const Layout& l = page.layout();
        const float* estimate = query_.root_estimates(page);
        for (uint32_t i = 0; i < page.used(); i++) {
            if (!page.is_taken(i))
                continue;
            const ListPointer to = list_pointer(page.tids()[i]);
            const auto number = static_cast<uint32_t>(centroids_.size());
            rest_.push_back(Candidate(query_.key(estimate[i], to.norm2), number));
            centroids_.push_back({to.head, block,
                                  exact ? no_block : page.code_blocks()[l.code_page_of(i)], i,
                                  exact ? 0 : l.place_of(i)});
        }
    }
    void add_probe(Candidate estimated)
    {
        const uint32_t number = estimated.id();
        Probe probe{number, centroids_[number].head, estimated.distance(), estimated.distance(), 0};
        read_centroid(probe, [&](const Code& code) {
            probe.norm2 = code.params.norm2;
            probe.distance = query_.distance(code);
            probe.key = query_.key(query_.root_distance(code), probe.norm2);
        });
        probes_.push_back(probe);
    }

    S& store_;
    Query& query_;
    Changes changes_{};   // when the root was read
    bool may_lose_lists_ = false;
    Vec<Block> heads_;
    Vec<Centroid> centroids_;   // their numbers are those of the lists
    Vec<Candidate> rest_;       // by estimates
    Vec<Probe> probes_;         // the first known_ of them are in order
    size_t known_ = 0;
};

struct SearchLimits {
    size_t probes;   // lists that are searched at first
    size_t
        max_probes;   // lists that are searched at most, if the search goes on. Fewer than probes: so many
    bool iterate;   // does it go on after the first lists?
};

struct Counters {
    uint64_t lists = 0;       // that were searched
    uint64_t estimated = 0;   // rows whose sketches were read, some of them more than once
    uint64_t visited = 0;     // rows whose codes were read
};

// A row that a search has found. It has the names that graph::Certify uses for a node with one row.
struct FoundRow {
    Tid tids[1];
    float norm2, error;   // of its code
    Block block, page;    // of the code; of its list page
    uint32_t place;
    static constexpr uint32_t tid_count = 1;
};

template <ReadStore S>
class Search {
  public:
    // The query must be set before start().
    Search(S& store, Query& query)
        : store_(store), query_(query), exact_(store.encoding().exact()), lists_(store, query)
    {
    }

    // first_rows: how many rows are probably wanted. filter: if not null, only rows that it admits are found.
    void start(const SearchLimits& limits, size_t first_rows,
               const codec::FilterSet* filter = nullptr)
    {
        limits_ = limits;
        filter_ = filter;
        wanted_ = std::max<size_t>(first_rows, least_wanted);
        state_ = State::fresh;
        counters_ = {};
        found_.clear();
        distance_.clear();
        pending_.clear();
        from_ = to_ = 0;
    }

    // Calls take(candidate) with each row of the next batch, nearest first. The id of a candidate is the
    // argument for node(). The caller may return `most_rows` rows of the batch; before it returns more, it
    // must ask for the next batch. False: there is no further batch.
    template <class Take>
    bool next_batch(size_t* most_rows, Take&& take)
    {
        if (state_ == State::done)
            return false;
        store_.poll();
        if (state_ == State::fresh) {
            lists_.start();
            next_lists(limits_.probes);
        } else if (left_out_)
            wanted_ *= 4;
        else
            next_lists(std::max<size_t>(limits_.probes, to_));
        search_lists();
        lists_.check_that_none_is_lost();
        state_ =
            left_out_ || (limits_.iterate && to_ < most_lists()) ? State::running : State::done;
        *most_rows = SIZE_MAX;
        if (left_out_)
            // Codes are not exact either. So the last rows of a batch wait for the next one.
            *most_rows = std::max<size_t>(
                1, wanted_ - wanted_ / 4 - std::min(wanted_ / 2, returned() - returned_before_));
        while (!pending_.empty())
            take(pending_.pop());
        return true;
    }
    // Makes candidates that the caller did not use pending again. Their type needs members `distance` and
    // `node`.
    template <class Iterator>
    void put_back(Iterator first, Iterator last)
    {
        for (; first != last; ++first)
            pending_.push(Candidate(first->distance, first->node));
    }

    NearestLists<S>& lists() { return lists_; }
    const FoundRow& node(uint32_t i) const { return found_[i]; }
    bool done() const { return state_ == State::done; }
    const Counters& counters() const { return counters_; }

  private:
    enum class State : uint8_t { fresh, running, done };
    static constexpr size_t least_wanted = 16;
    static constexpr size_t at_once = 8;          // codes that are fetched at once
    static constexpr size_t most_judged = 1024;   // rows that wait for a look at their codes

    // A row that its sketch has not ruled out.
    struct Judged {
        Tid tid;
        Block block, page;   // of its code, or no_block; of its list page
        uint32_t place;
    };

    size_t most_lists() const
    {
        return std::min(lists_.size(), limits_.iterate
                                           ? std::max(limits_.probes, limits_.max_probes)
                                           : limits_.probes);
    }
    size_t returned() const { return found_.size() - pending_.size(); }

    void next_lists(size_t count)
    {
        from_ = to_;
        to_ = from_ + std::min(most_lists() - from_, count);
        counters_.lists = to_;
        first_found_ = found_.size();
        returned_before_ = returned();
    }

    // Finds at least the nearest `wanted_` rows of the lists from_ to to_, if there are so many.
    void search_lists()
    {
        nearest_.reset(wanted_);
        known_.clear();
        for (size_t i = first_found_; i < found_.size(); i++) {
            nearest_.add(distance_[i]);
            known_.push_back(key_of(found_[i].page, found_[i].place));
        }
        std::sort(known_.begin(), known_.end());
        left_out_ = false;
        const std::span<const Probe> probes = lists_.nearest(to_);
        for (size_t i = from_; i < probes.size(); i++) {
            if (i + 1 < probes.size())
                store_.prefetch_list(probes[i + 1].head);
            search_list(probes[i]);
        }
        store_.release();
    }
    void search_list(const Probe& probe)
    {
        for_each_list_page(
            probe.head,
            [&](Block b, auto&& f) {
                store_.poll();
                store_.read_list(b, f);
            },
            [&](const ListPage& page) { return page.header().list == probe.head; },
            [&](Block block, const ListPage& page) { judge(block, page, probe); },
            [&] {
                if (!nearest_.full() || judged_.size() > most_judged)
                    compare_codes();
            },
            [&] { lists_.check_that_none_is_lost(); });
        compare_codes();
    }

    // The distance beyond which rows are not wanted.
    float limit() const
    {
        return nearest_.full() ? nearest_.farthest() : std::numeric_limits<float>::infinity();
    }
    static uint64_t key_of(Block page, uint32_t place) { return uint64_t{page} << 32 | place; }

    // Judges the rows of a page by their sketches.
    void judge(Block block, const ListPage& page, const Probe& probe)
    {
        const Layout& l = page.layout();
        const bool known = query_.has_bounds(probe.distance), all = !nearest_.full() || !known;
        const float* bound = query_.bounds(page, probe.distance, probe.norm2, limit());
        const uint64_t* near = query_.near();
        const uint32_t used = page.used();
        counters_.estimated += used;
        for (uint32_t w = 0; w < (used + 63) / 64; w++) {
            uint64_t rows = page.taken()[w];
            if (used - w * 64 < 64)
                rows &= (uint64_t{1} << (used - w * 64)) - 1;
            if (filter_)
                rows = admitted(page, w, rows);
            const uint64_t chosen = all ? rows : rows & near[w];
            left_out_ |= chosen != rows;
            for (uint64_t left = chosen; left != 0; left &= left - 1) {
                const uint32_t i = w * 64 + static_cast<uint32_t>(std::countr_zero(left));
                add_judged(block, page, l, i,
                           known ? bound[i] : -std::numeric_limits<float>::infinity());
            }
        }
    }
    uint64_t admitted(const ListPage& page, uint32_t w, uint64_t rows) const
    {
        uint64_t result = 0;
        for (uint64_t left = rows; left != 0; left &= left - 1) {
            const auto i = static_cast<uint32_t>(std::countr_zero(left));
            result |= uint64_t{filter_->admits(page.filter(w * 64 + i))} << i;
        }
        return result;
    }
    void add_judged(Block block, const ListPage& page, const Layout& l, uint32_t i, float bound)
    {
        if (!known_.empty() && std::binary_search(known_.begin(), known_.end(), key_of(block, i)))
            return;
        queue_.push(Candidate(bound, static_cast<uint32_t>(judged_.size())));
        judged_.push_back(
            {page.tids()[i], exact_ ? no_block : page.code_blocks()[l.code_page_of(i)], block, i});
    }

    // Compares rows by their codes, nearest bound first, until the bounds of the others are beyond the limit.
    void compare_codes()
    {
        while (!queue_.empty() && !(queue_.top().distance() > limit())) {
            Candidate next[at_once];
            size_t count = 0;
            for (; count < at_once && !queue_.empty() && !(queue_.top().distance() > limit());
                 count++) {
                next[count] = queue_.pop();
                const Judged& row = judged_[next[count].id()];
                if (!exact_)
                    store_.prefetch_code(row.block, store_.encoding().layout().place_of(row.place));
            }
            for (size_t i = 0; i < count; i++)
                compare(judged_[next[i].id()], next[i].distance());
        }
        left_out_ |= !queue_.empty();
        queue_.clear();
        judged_.clear();
    }
    void compare(const Judged& row, float bound)
    {
        FoundRow found{{row.tid}, 0, 0, row.block, row.page, row.place};
        float distance = bound;
        if (!exact_) {
            counters_.visited++;
            if (!store_.read_code(row.block, store_.encoding().layout().place_of(row.place),
                                  row.page, [&](const Code& code) {
                                      distance = query_.distance(code);
                                      found.norm2 = code.params.norm2;
                                      found.error = code.params.error;
                                  }))
                return;   // vacuum has removed the row, which the scan cannot see
        }
        nearest_.add(std::isfinite(distance) ? distance : std::numeric_limits<float>::infinity());
        // A sum that overflows tells nothing about the distance. Such a row comes first, so that its exact
        // distance decides.
        distance_.push_back(std::isfinite(distance) ? distance
                                                    : -std::numeric_limits<float>::infinity());
        pending_.push(Candidate(distance_.back(), static_cast<uint32_t>(found_.size())));
        found_.push_back(found);
    }

    S& store_;
    Query& query_;
    const bool exact_;
    NearestLists<S> lists_;
    SearchLimits limits_{};
    const codec::FilterSet* filter_ = nullptr;
    State state_ = State::fresh;
    size_t wanted_ = 0;          // rows, of the lists that are being searched
    size_t from_ = 0, to_ = 0;   // these lists
    bool left_out_ = false;      // have they further rows?
    Counters counters_;
    Vec<FoundRow> found_;
    Vec<float> distance_;                            // of each of them
    size_t first_found_ = 0, returned_before_ = 0;   // when the search of these lists began
    MinHeap pending_;                                // their ids are indexes of found_
    KNearest<float> nearest_;
    Vec<uint64_t> known_;   // what was found in these lists before, sorted
    Vec<Judged> judged_;
    MinHeap queue_;   // by bounds; their ids are indexes of judged_
};

// The bounds that codes give (graph::CodeBounds, for rows of lists).
template <ReadStore S>
class RowBounds {
  public:
    RowBounds(S& store, const Query& query, NearestLists<S>& lists)
        : store_(store), query_(query), lists_(lists)
    {
    }

    graph::BoundsKind kind(bool reranked) const
    {
        return graph::bounds_kind(store_.encoding().codec().traits, reranked);
    }
    codec::Bounds bounds(const FoundRow& row, float distance, bool probabilistic) const
    {
        return probabilistic ? query_.own().likely_bounds(distance, row.norm2, row.error)
                             : query_.own().bounds(distance, row.norm2, row.error);
    }
    bool fine_bounds(const FoundRow& row, codec::Bounds* to) const
    {
        bool found = false;
        store_.read_code(row.block, store_.encoding().layout().place_of(row.place), row.page,
                         [&](const Code& code) {
                             if (code.params.norm2 != row.norm2)
                                 return;   // another row may use the place
                             *to = query_.own().fine_bounds(code);
                             found = true;
                         });
        lists_.check_that_none_is_lost();
        return found;
    }
    void release() const { store_.release(); }
    void poll() const { store_.poll(); }

  private:
    S& store_;
    const Query& query_;
    NearestLists<S>& lists_;
};

// A scan, with the layers of graph::Scan.
template <ReadStore S>
class Scan {
  public:
    explicit Scan(S& store)
        : query_(store.encoding()), search_(store, query_),
          certify_(search_, RowBounds<S>(store, query_, search_.lists())), rerank_(certify_)
    {
    }
    Scan(const Scan&) = delete;
    Scan& operator=(const Scan&) = delete;

    // As graph::Scan::start(). Rows come in the order of their distances, but after a number of probes nearer
    // ones may follow.
    void start(const Value& query, const SearchLimits& limits, graph::Rows* rows = nullptr,
               const codec::FilterSet* filter = nullptr)
    {
        query_.set(query);
        certify_.start(false, rows != nullptr);
        search_.start(limits, returned_ + returned_ / 2, filter);
        rerank_.start(rows, false);
        returned_ = 0;
    }
    template <class OnRow>
    bool next(Tid* tid, double* distance, OnRow&& on_row)
    {
        returned_++;
        return rerank_.next(tid, distance, on_row);
    }
    template <class F>
    void coming(size_t count, F&& f) const
    {
        certify_.peek(count, f);
    }
    const Counters& counters() const { return search_.counters(); }
    NearestLists<S>& lists() { return search_.lists(); }

  private:
    Query query_;
    Search<S> search_;
    graph::Certify<Search<S>, RowBounds<S>> certify_;
    graph::Rerank<graph::Certify<Search<S>, RowBounds<S>>> rerank_;
    size_t returned_ =
        0;   // rows of this scan, or of the one before it, which is probably like the next one
};

}   // namespace quiver::lists
