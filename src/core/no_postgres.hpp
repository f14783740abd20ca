// Last include of every .cpp in the PostgreSQL-free rooms (core, simd, codec, graph): they are
// also built without a server, for unit tests, fuzzers and benchmarks.
#ifdef POSTGRES_H
#error "core, simd, codec and graph must not see postgres.h"
#endif
