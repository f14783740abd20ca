// Every .cpp of the rooms without PostgreSQL (core, simd, codec, graph) includes this file last.
// These rooms are also built without a server, for unit tests, fuzzers and benchmarks.
#ifdef POSTGRES_H
#error "core, simd, codec and graph must not see postgres.h"
#endif
