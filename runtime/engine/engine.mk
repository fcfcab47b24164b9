# The engine as a static library, and as shared libraries for the tests (plain, and with ASan and UBSan).
# Kernels carry their own targets: no flag here names a CPU. Included by the top Makefile, or used alone:
#   make -f runtime/engine/engine.mk build/test/liblacewing_test.so
CC ?= cc
AR ?= ar
LW_WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Werror
LW_CFLAGS := -std=c11 -O3 -ffp-contract=off $(LW_WARNINGS) -fvisibility=default \
  -Iruntime/engine/include -Iruntime/engine/src -Iruntime/engine/reference -Iruntime/engine/hosted
LW_HOSTED_FLAGS := -pthread -D_POSIX_C_SOURCE=200809L
LW_KERNELS := $(if $(filter x86_64 amd64,$(shell uname -m)),kernels_x86)$(if $(filter aarch64 arm64,$(shell uname -m)),kernels_arm)
LW_SOURCES := $(wildcard runtime/engine/src/*.c runtime/engine/reference/*.c $(LW_KERNELS:%=%/*.c))
LW_HOSTED_SOURCES := $(wildcard runtime/engine/hosted/*.c)
LW_HEADERS := $(wildcard runtime/engine/*/*.h runtime/engine/src/*.def $(LW_KERNELS:%=%/*.h))
LW_OBJECTS := $(LW_SOURCES:%.c=build/engine/%.o)
LW_TEST_OBJECTS := $(LW_SOURCES:%.c=build/test/plain/%.o) $(LW_HOSTED_SOURCES:%.c=build/test/plain/%.o)
LW_SANITIZE := -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LW_SANITIZED_OBJECTS := $(LW_SOURCES:%.c=build/test/sanitized/%.o) $(LW_HOSTED_SOURCES:%.c=build/test/sanitized/%.o)

build/engine/%.o: %.c $(LW_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(LW_CFLAGS) -ffreestanding -c $< -o $@

build/libengine.a: $(LW_OBJECTS)
	$(AR) rcs $@ $^

build/test/plain/%.o: %.c $(LW_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(LW_CFLAGS) $(LW_HOSTED_FLAGS) -fPIC -c $< -o $@

build/test/liblacewing_test.so: $(LW_TEST_OBJECTS)
	$(CC) -shared -pthread $^ -o $@.$$$$ && mv $@.$$$$ $@  # a test that runs keeps the old one

build/test/sanitized/%.o: %.c $(LW_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(LW_CFLAGS) $(LW_HOSTED_FLAGS) $(LW_SANITIZE) -fPIC -c $< -o $@

# Load it with LD_PRELOAD=$(CC -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 when the program is Python.
build/test/liblacewing_sanitized.so: $(LW_SANITIZED_OBJECTS)
	$(CC) -shared -pthread -fsanitize=address,undefined $^ -o $@.$$$$ && mv $@.$$$$ $@
