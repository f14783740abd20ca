// Queries of an index's table under a condition, for recall.hpp: the rows that fulfil it, and searches among them.
#pragma once

#include "pg/pg.hpp"

extern "C" {
#include "executor/spi.h"
}

namespace quiver::am {

// They run through SPI, so the planner and the executor do what they do for a user's query. All names in the condition
// are looked up, and all of it runs, as the current user and with the current search_path. SPI must be connected, and
// the active snapshot is that of all queries.
class FilteredQueries {
  public:
    // condition: an SQL expression over the table's columns
    FilteredQueries(Relation heap, Relation index, const char* condition)
        : heap_(heap), index_(index), condition_(condition)
    {
    }

    // Calls f(vector) for each row that belongs into the index and fulfils the condition.
    template <class F>
    void for_each_row(F&& f)
    {
        const Portal cursor =
            SPI_cursor_open(nullptr, prepare(rows_query(), 0), nullptr, nullptr, true);
        do {
            SPI_cursor_fetch(cursor, true, 1000);
            for_each_value(f);
        } while (SPI_processed > 0);
        SPI_cursor_close(cursor);
    }

    // Calls f(distance) for the `limit` nearest such rows that the index finds.
    template <class F>
    void search(Datum query, size_t limit, F&& f)
    {
        if (!search_)
            search_ = plan_search(limit);
        execute(query);
        for_each_value([&](Datum distance) { f(DatumGetFloat8(distance)); });
    }

  private:
    template <class F>
    static void for_each_value(F&& f)
    {
        SPITupleTable* rows = SPI_tuptable;
        for (uint64 i = 0; i < SPI_processed; i++) {
            CHECK_FOR_INTERRUPTS();
            bool null;
            const Datum value = SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &null);
            if (!null)
                f(value);
        }
        SPI_freetuptable(rows);
    }
    const char* rows_query() const;
    SPIPlanPtr prepare(const char* query, int arguments) const;
    SPIPlanPtr plan_search(size_t limit) const;
    void execute(Datum query) const;

    Relation heap_, index_;
    const char* condition_;
    SPIPlanPtr search_ = nullptr;
};

}   // namespace quiver::am
