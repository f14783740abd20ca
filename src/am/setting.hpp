// Settings (GUCs) that every user may change with SET. One call defines one setting.
#pragma once

#include "pg/pg.hpp"

namespace quiver::am {

inline void define_setting(const char* name, int* variable, int default_value, int min, int max,
                           const char* summary, const char* detail = nullptr)
{
    DefineCustomIntVariable(name, summary, detail, variable, default_value, min, max, PGC_USERSET,
                            0, nullptr, nullptr, nullptr);
}
inline void define_setting(const char* name, double* variable, double default_value, double min,
                           double max, const char* summary, const char* detail = nullptr)
{
    DefineCustomRealVariable(name, summary, detail, variable, default_value, min, max, PGC_USERSET,
                             0, nullptr, nullptr, nullptr);
}
inline void define_setting(const char* name, bool* variable, bool default_value,
                           const char* summary, const char* detail = nullptr)
{
    DefineCustomBoolVariable(name, summary, detail, variable, default_value, PGC_USERSET, 0,
                             nullptr, nullptr, nullptr);
}
// A setting with named values.
inline void define_setting(const char* name, int* variable, int default_value,
                           const config_enum_entry* values, const char* summary,
                           const char* detail = nullptr)
{
    DefineCustomEnumVariable(name, summary, detail, variable, default_value, values, PGC_USERSET, 0,
                             nullptr, nullptr, nullptr);
}

}   // namespace quiver::am
