# The engine with a driver, under AddressSanitizer and UndefinedBehaviorSanitizer:
#   make -f tests/fuzz/fuzz.mk build/fuzz/driver build/fuzz/replay
# and for coverage-guided fuzzing, where clang has its fuzzer runtime (Debian: libclang-rt-*-dev):
#   make -f tests/fuzz/fuzz.mk build/fuzz/lace_fuzzer && build/fuzz/lace_fuzzer build/fuzz/corpus tests/conformance/vectors
include runtime/engine/engine.mk

FUZZ_C := $(CC) $(LW_CFLAGS) $(LW_HOSTED_FLAGS) $(LW_SANITIZE)

build/fuzz/%.o: tests/fuzz/%.c tests/fuzz/attempt.h $(LW_HEADERS)
	@mkdir -p $(@D)
	$(FUZZ_C) -c $< -o $@

build/fuzz/driver: build/fuzz/attempt.o build/fuzz/driver.o $(LW_SANITIZED_OBJECTS)
	$(FUZZ_C) $^ -o $@.$$$$ && mv $@.$$$$ $@

build/fuzz/replay: build/fuzz/attempt.o build/fuzz/libfuzzer.o build/fuzz/replay.o $(LW_SANITIZED_OBJECTS)
	$(FUZZ_C) $^ -o $@.$$$$ && mv $@.$$$$ $@

# Compiled anew with clang: coverage needs its instrumentation in what reads the file. The kernels stay plain: clang
# takes minutes for each under sanitizers, and the driver above sees them.
FUZZED := $(filter runtime/%,$(LW_SOURCES)) tests/fuzz/attempt.c tests/fuzz/libfuzzer.c
FUZZER_OBJECTS := $(FUZZED:%.c=build/fuzz/clang/%.o) $(patsubst %.c,build/engine/%.o,$(filter kernels_%,$(LW_SOURCES)))

build/fuzz/clang/%.o: %.c tests/fuzz/attempt.h $(LW_HEADERS)
	@mkdir -p $(@D)
	clang $(LW_CFLAGS) $(LW_HOSTED_FLAGS) $(LW_SANITIZE) -fsanitize=fuzzer-no-link -c $< -o $@

build/fuzz/lace_fuzzer: $(FUZZER_OBJECTS)
	@mkdir -p build/fuzz/corpus
	clang $(LW_SANITIZE) -fsanitize=fuzzer $^ -o $@
