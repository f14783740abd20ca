// The settings ivfflat.*, with pgvector's names. Each is a member of Settings and a row in settings.cpp.
#pragma once

namespace quiver::ivfflat {

struct Settings {
    int probes;
    int iterative_scan;   // 0: off, 1: relaxed order
    int max_probes;
    double recall;
};
extern Settings settings;

void define_settings();

}   // namespace quiver::ivfflat
