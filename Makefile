# Builds the extension with PGXS. `make help` lists the targets.
EXTENSION   = quiver
QUIVER_VERSION = 0.3.0
MODULE_big  = quiver
DATA        = $(wildcard quiver--*.sql)
# No source lists: every .cpp of every room.
OBJS        = $(patsubst %.cpp,%.o,$(wildcard src/*.cpp src/*/*.cpp))

PG_CONFIG  ?= pg_config
CXX_STD     = -std=c++20
PG_CPPFLAGS = -Isrc -isystem $(shell $(PG_CONFIG) --includedir-server) -DQUIVER_VERSION='"$(QUIVER_VERSION)"'
PG_CXXFLAGS = $(CXX_STD) -Wextra -Wno-register -Wno-missing-field-initializers -Wno-unused-parameter \
              -fvisibility=hidden -fvisibility-inlines-hidden -MMD -MP $(WERROR) \
              $(if $(findstring clang,$(CXX)),-Wno-unknown-warning-option)   # the server's flags may be for g++
EXTRA_CLEAN = $(OBJS:.o=.d) src/*/*.gch src/*/*.gch.d build results regression.diffs regression.out

REGRESS      = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
REGRESS_OPTS = --load-extension=quiver
TAP_TESTS   ?= $(if $(wildcard test/t/*.pl),1)
PROVE_TESTS  = $(wildcard test/t/*.pl)

# JIT bitcode could not inline kernels that are called through a table.
override with_llvm = no
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
# A server built by a newer compiler hands down a flag that g++ 12 does not have for C++.
override CXXFLAGS := $(filter-out -fexcess-precision=standard,$(CXXFLAGS))
override COMPILER = $(CXX) $(CXXFLAGS)
-include $(OBJS:.o=.d)

# Headers that many files share are compiled once: PostgreSQL's, for the rooms that begin with them; and the codecs',
# which the Makefile puts before each file of the rooms codec and graph. (g++ finds the compiled header beside the
# header; clang++ does not look for it. The unit tests are built without, so each file still names what it needs.)
PG_OBJS    = $(filter-out src/simd/% src/codec/% src/graph/% src/lists/%,$(OBJS))
CODEC_OBJS = $(filter src/codec/% src/graph/% src/lists/%,$(OBJS))
ifeq ($(findstring clang,$(CXX)),)
$(PG_OBJS): src/pg/pg.hpp.gch
$(CODEC_OBJS): src/codec/codec.hpp.gch
$(CODEC_OBJS): private override CPPFLAGS += -include codec/codec.hpp
endif
COMPILED_HEADERS = src/pg/pg.hpp.gch src/codec/codec.hpp.gch
$(COMPILED_HEADERS): %.gch: %
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) -x c++-header -MF $@.d -o $@ $<
-include $(COMPILED_HEADERS:=.d)

# What computes distances and walks graphs is worth every optimization. Of kernels, each level adds its instruction set.
# (g++ takes a tenth of the time to note where variables are, of which -O3 leaves few.)
OPTIMIZE = -O3 $(if $(findstring clang,$(CXX)),,-fno-var-tracking-assignments)
src/simd/%.o src/graph/%.o src/lists/%.o src/codec/%.o src/page/%.o src/am/%.o src/hnsw/%.o src/ivfflat/%.o: override CXXFLAGS += $(OPTIMIZE)
ifneq ($(findstring x86_64,$(shell $(CXX) -dumpmachine)),)
src/simd/kernels_avx2.o: override CXXFLAGS += @src/simd/avx2.flags
src/simd/kernels_avx512.o: override CXXFLAGS += @src/simd/avx512.flags
endif

# ASSERTIONS=1: checks of our own reasoning (src/core/assert.hpp), and of the bounds of each vector.
ifneq ($(ASSERTIONS)$(SANITIZE),)
override CXXFLAGS += -DQUIVER_ASSERTIONS -D_GLIBCXX_ASSERTIONS
endif

# FAILURE_POINTS=1: settings with which tests end the server at a given change of a page.
ifdef FAILURE_POINTS
override CXXFLAGS += -DQUIVER_FAILURE_POINTS
endif

# SANITIZE=1: assertions, AddressSanitizer and UBSan in all but the kernels, whose unit tests have them and which
# would take minutes to compile. The server must have both preloaded: ./check sanitize.
ifdef SANITIZE
SANITIZERS = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
$(filter-out src/simd/%,$(OBJS)): override CXXFLAGS += $(SANITIZERS) -O1 -DQUIVER_SANITIZE
override COMPILER += $(SANITIZERS)
endif

CMAKE_BUILD = cmake -S . -B build/$(1) -DCMAKE_BUILD_TYPE=RelWithDebInfo $(2) >build/$(1).log && \
              cmake --build build/$(1) -j$$(nproc) >>build/$(1).log || { cat build/$(1).log; exit 1; }

# The extension under the name of pgvector's, to take its place (docs/manual/migration.md). Its version is that
# of the pgvector whose interface it has, with two more digits for quiver's own version, so that no version of
# pgvector is equal to it: ALTER EXTENSION vector UPDATE updates what any of them made. vector.so is a link, so that a
# session that uses both names loads one library.
VECTOR_VERSION = 0.8.6$(shell printf %02d $(word 2,$(subst ., ,$(QUIVER_VERSION))))
VECTOR_LIBRARY = vector$(DLSUFFIX)
extension_dir  = $(DESTDIR)$(datadir)/extension
IS_OURS        = grep -q '^. quiver in the place of pgvector' '$(extension_dir)/vector.control' 2>/dev/null
build/vector/vector.control: quiver--$(QUIVER_VERSION).sql quiver.control packaging/vector-scripts packaging/SqlStatements.pm
	@rm -rf $(@D) && mkdir -p $(@D)
	packaging/vector-scripts $< $(VECTOR_VERSION) $(@D)
.PHONY: install-vector install-vector-files uninstall-vector
install-vector: install install-vector-files
# Without the library itself, as in a package of its own.
install-vector-files: build/vector/vector.control
	@if [ -z "$(FORCE)" ] && ! $(IS_OURS) && \
	    { [ -e '$(extension_dir)/vector.control' ] || [ -e '$(DESTDIR)$(pkglibdir)/$(VECTOR_LIBRARY)' ]; }; then \
	    echo "Another extension named vector is installed in $(extension_dir) or $(DESTDIR)$(pkglibdir): pgvector." >&2; \
	    echo "quiver can take its place: see docs/manual/migration.md. Then run make install-vector FORCE=1." >&2; \
	    exit 1; \
	fi
	$(MKDIR_P) '$(extension_dir)' '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_DATA) build/vector/vector.control build/vector/vector--*.sql '$(extension_dir)/'
	ln -sf quiver$(DLSUFFIX) '$(DESTDIR)$(pkglibdir)/$(VECTOR_LIBRARY)'
uninstall-vector:
	@$(IS_OURS) || { echo "The extension vector in $(extension_dir) is not quiver's." >&2; exit 1; }
	grep -l 'made by packaging/vector-scripts of quiver' '$(extension_dir)'/vector--*.sql | while read -r f; do rm -f "$$f"; done
	rm -f '$(extension_dir)/vector.control' '$(DESTDIR)$(pkglibdir)/$(VECTOR_LIBRARY)'

.PHONY: help unit asan fuzz bench check check-layers check-odr format lint
help:
	@echo 'make [install|installcheck]   the extension; PG_CONFIG= chooses the server'
	@echo 'make install-vector            also installs it as extension "vector", in the place of pgvector'
	@echo 'make unit | asan | fuzz       tests that need no server: GoogleTest, sanitizers, libFuzzer'
	@echo 'make bench                    kernels beside plain loops, other libraries and the memory'
	@echo 'make check-layers check-odr   the rules of the rooms; what the library exports'
	@echo 'make format lint              clang-format, clang-tidy'

build:
	@mkdir -p build

unit: | build
	$(call CMAKE_BUILD,unit,)
	cd build/unit && ctest --output-on-failure

asan: | build
	$(call CMAKE_BUILD,asan,-DQUIVER_SANITIZE=ON)
	cd build/asan && ctest --output-on-failure

# One libFuzzer target for each input function, FUZZ_SECONDS each.
FUZZ_SECONDS ?= 60
FUZZERS       = $(foreach t,vector halfvec sparsevec quantizer quantized,$(t)_in $(t)_recv)
FUZZ_CXX      = clang++ $(CXX_STD) -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
                -Wno-register -Isrc -Itest/fuzz -isystem $(shell $(PG_CONFIG) --includedir-server)
fuzz: $(FUZZERS:%=build/fuzz/%)
	@$(MAKE) -s -j$$(nproc) $(FUZZERS:%=run-%)
$(FUZZERS:%=run-%): run-%:
	@mkdir -p build/fuzz/corpus/$*; \
	build/fuzz/$* -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4096 -verbosity=0 -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/$*- build/fuzz/corpus/$* test/fuzz/seeds >build/fuzz/$*.log 2>&1 \
	    || { tail -40 build/fuzz/$*.log; echo "fuzz $*: finding"; exit 1; }; \
	echo "fuzz $*: ok, $$(sed -n 's/^stat::number_of_executed_units: *//p' build/fuzz/$*.log) inputs in $(FUZZ_SECONDS) s"
FUZZ_OBJS = $(patsubst src/%.cpp,build/fuzz/%.o,$(wildcard src/types/*.cpp) src/simd/cpu.cpp src/simd/kernels_baseline.cpp) build/fuzz/pg_shim.o
build/fuzz/%.o: src/%.cpp $(wildcard src/*/*.hpp)
	@mkdir -p $(@D)
	$(FUZZ_CXX) -c -o $@ $<
build/fuzz/pg_shim.o: test/fuzz/pg_shim.cpp test/fuzz/pg_shim.hpp
	@mkdir -p $(@D)
	$(FUZZ_CXX) -c -o $@ $<
# What the fuzzed functions never call stays unresolved.
$(FUZZERS:%=build/fuzz/%): build/fuzz/%: test/fuzz/fuzz_types.cpp $(FUZZ_OBJS)
	$(FUZZ_CXX) -DTYPE=$(firstword $(subst _, ,$*)) $(if $(findstring _in,$*),-DTEXT) -no-pie -o $@ $^ \
	    $(firstword $(wildcard $(addsuffix /libpgcommon.a,$(shell $(PG_CONFIG) --pkglibdir) $(shell $(PG_CONFIG) --pkglibdir)/.. $(shell $(PG_CONFIG) --libdir)))) \
	    -Wl,--unresolved-symbols=ignore-all

bench:
	bench/kernels

check: check-layers check-odr unit

# Rooms and their arrows, from the include lines (src/README.md).
check-layers:
	@test/check-layers

# What the library exports, and that nothing runs when it is loaded.
check-odr: all
	@test/check-odr $(shlib)

format:
	clang-format-14 -i $$(git ls-files '*.cpp' '*.hpp')

lint:
	clang-tidy-14 $$(git ls-files 'src/core/*.cpp' 'src/simd/cpu.cpp' 'src/codec/*.cpp' 'src/graph/*.cpp' 'src/lists/*.cpp') -- $(CXX_STD) -Isrc
