// Index options, WITH (name = value). An access method has a struct of options and a table with a
// row for each.
#pragma once

#include "pg/pg.hpp"

#include <variant>

extern "C" {
#include "access/reloptions.h"
}

namespace quiver::am {

template <class Options>
struct IndexOption {
    const char* name;
    std::variant<int Options::*, double Options::*> field;   // where it is stored, and its type
    double default_value, min, max;
    const char* description;
};

// Options is a struct that PostgreSQL keeps with the relation: it begins with `int32 vl_len_`.
template <class Options>
class OptionTable {
  public:
    template <size_t N>
    explicit constexpr OptionTable(const IndexOption<Options> (&rows)[N]) : rows_(rows), count_(N)
    {
    }

    // Registers the options with PostgreSQL. To be called once, when the library is loaded.
    void define()
    {
        kind_ = add_reloption_kind();
        for (size_t i = 0; i < count_; i++) {
            const IndexOption<Options>& o = rows_[i];
            if (is_int(o))
                add_int_reloption(kind_, o.name, o.description, static_cast<int>(o.default_value),
                                  static_cast<int>(o.min), static_cast<int>(o.max),
                                  AccessExclusiveLock);
            else
                add_real_reloption(kind_, o.name, o.description, o.default_value, o.min, o.max,
                                   AccessExclusiveLock);
        }
    }
    // amoptions.
    bytea* parse(Datum reloptions, bool validate) const
    {
        auto* elements = static_cast<relopt_parse_elt*>(palloc0(count_ * sizeof(relopt_parse_elt)));
        for (size_t i = 0; i < count_; i++) {
            elements[i].optname = rows_[i].name;
            elements[i].opttype = is_int(rows_[i]) ? RELOPT_TYPE_INT : RELOPT_TYPE_REAL;
            elements[i].offset = offset_of(rows_[i]);
        }
        return static_cast<bytea*>(build_reloptions(reloptions, validate, kind_, sizeof(Options),
                                                    elements, static_cast<int>(count_)));
    }
    // The options of an index: the defaults, if it was created without WITH.
    Options of(Relation index) const
    {
        if (index->rd_options)
            return *reinterpret_cast<Options*>(index->rd_options);
        Options options{};
        for (size_t i = 0; i < count_; i++)
            std::visit(
                [&](auto field) {
                    using Type = std::remove_reference_t<decltype(options.*field)>;
                    options.*field = static_cast<Type>(rows_[i].default_value);
                },
                rows_[i].field);
        return options;
    }
    // Is the value between the minimum and the maximum of the option?
    bool allows(int Options::*field, double value) const
    {
        for (size_t i = 0; i < count_; i++)
            if (const auto* f = std::get_if<int Options::*>(&rows_[i].field); f && *f == field)
                return value >= rows_[i].min && value <= rows_[i].max;
        return false;
    }

  private:
    static bool is_int(const IndexOption<Options>& o)
    {
        return std::holds_alternative<int Options::*>(o.field);
    }
    static int offset_of(const IndexOption<Options>& o)
    {
        const Options options{};
        const auto* base = reinterpret_cast<const char*>(&options);
        return std::visit(
            [&](auto field) {
                return static_cast<int>(reinterpret_cast<const char*>(&(options.*field)) - base);
            },
            o.field);
    }

    const IndexOption<Options>* rows_;
    size_t count_;
    relopt_kind kind_ = RELOPT_KIND_LOCAL;   // until define()
};

}   // namespace quiver::am
