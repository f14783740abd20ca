// The only exception type of the rooms without PostgreSQL. guarded() in src/pg/entry.hpp turns it
// into an ereport with the SQLSTATE of its Errc.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <exception>

namespace quiver {

enum class Errc {
    invalid_argument,   // the caller's values make no sense        -> 22023
    data_exception,     // a value that the operation cannot take   -> 22000
    limit_exceeded,     // a documented limit                       -> 54000
    corrupt,            // stored bytes break an invariant          -> XX002
    conflict,           // replay on a standby removed what is read -> 40001
    internal,           // a bug of ours                            -> XX000
};

// Stores its text inline, so that it owns no memory when it is turned into an ereport.
class Error : public std::exception {
  public:
    __attribute__((format(printf, 3, 4))) Error(Errc code, const char* format, ...) noexcept
        : code_(code)
    {
        va_list args;
        va_start(args, format);
        std::vsnprintf(text_, sizeof text_, format, args);
        va_end(args);
    }

    Errc code() const noexcept { return code_; }
    const char* what() const noexcept override { return text_; }

  private:
    Errc code_;
    char text_[256];
};

}   // namespace quiver
