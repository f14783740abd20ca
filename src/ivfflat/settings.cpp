#include "pg/pg.hpp"

#include "ivfflat/settings.hpp"

#include "am/setting.hpp"
#include "lists/layout.hpp"

namespace quiver::ivfflat {

Settings settings;

namespace {

const config_enum_entry iterate_names[] = {
    {"off", 0, false}, {"relaxed_order", 1, false}, {nullptr, 0, false}};

}   // namespace

void define_settings()
{
    using am::define_setting;
    define_setting(
        "ivfflat.probes", &settings.probes, 1, 1, lists::max_lists,
        "Sets the number of lists that are searched.",
        "If the index has chosen the number of its lists, this counts hundredths of them.");
    define_setting(
        "ivfflat.iterative_scan", &settings.iterative_scan, 0, iterate_names,
        "Sets the mode for iterative scans.",
        "Determines whether a scan continues with further lists after the first probes.");
    define_setting("ivfflat.max_probes", &settings.max_probes, lists::max_lists, 1,
                   lists::max_lists, "Sets the maximum number of lists for iterative scans.");
    define_setting("ivfflat.recall", &settings.recall, 0, 0, 1,
                   "Sets the recall for which each index chooses how many lists are searched.",
                   "0 means that ivfflat.probes counts them.");
    pg::reserve_guc_prefix("ivfflat");
}

}   // namespace quiver::ivfflat
