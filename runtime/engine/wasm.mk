# The engine for browsers: four freestanding modules, each {simd128, relaxed} x {alone, threads on shared memory}.
# Included by the top Makefile, or used alone: make -f runtime/engine/wasm.mk wasm ZIG="python3 -m ziglang"
ZIG ?= python3 -m ziglang
WASM_TOOLS ?=  # what must be there before the compiler runs: the top Makefile's stamp
WASM_BUILD := build/wasm
WASM_MODULES := $(foreach tier,simd128 relaxed,$(tier) $(tier)-threads)
WASM_SOURCES := $(wildcard runtime/engine/src/*.c runtime/engine/reference/*.c runtime/engine/wasm/*.c kernels_wasm/*.c)
WASM_KERNEL_TEST := $(wildcard runtime/engine/reference/*.c runtime/engine/wasm/builtins.c kernels_wasm/*.c) \
  runtime/engine/src/cpu.c tests/unit/kernels/kernel_table.c
WASM_HEADERS := $(wildcard runtime/engine/*/*.h runtime/engine/src/*.def kernels_wasm/*.h) runtime/engine/wasm.mk

WASM_CC := $(ZIG) cc -target wasm32-freestanding
WASM_CFLAGS := -std=c11 -g0 -ffreestanding -fvisibility=hidden -ffp-contract=off -mbulk-memory -msimd128 \
  -Wall -Wextra -Wconversion -Wshadow -Werror \
  $(patsubst %,-Iruntime/engine/%,include src reference wasm) -Ikernels_wasm
# Kernels are worth their bytes, everything else is run once or waits for them. They say themselves what to unroll.
WASM_FAST := -O3 -fno-unroll-loops -fno-vectorize -fno-slp-vectorize
wasm_level = $(if $(filter kernels_wasm/%,$(1)),$(WASM_FAST),-Oz)
# The stack lies first: running out of it is a trap, not a write into the data.
WASM_LD := $(ZIG) wasm-ld --no-entry --export-dynamic --export=__heap_base --strip-all --stack-first -z stack-size=131072
WASM_SHARED := --shared-memory --import-memory --initial-memory=1048576 --max-memory=4294967296 --export=__stack_pointer

.PHONY: wasm
wasm: $(WASM_MODULES:%=$(WASM_BUILD)/lacewing-%.wasm)

# $(1): tier, $(2): suffix, $(3): flags of the compiler, $(4): flags of the linker
define wasm_module
$(WASM_BUILD)/$(1)$(2)/%.o: %.c $(WASM_HEADERS) | $(WASM_TOOLS)
	@mkdir -p $$(@D)
	$$(WASM_CC) $$(WASM_CFLAGS) $(3) $$(call wasm_level,$$<) -c $$< -o $$@
$(WASM_BUILD)/lacewing-$(1)$(2).wasm: $(WASM_SOURCES:%.c=$(WASM_BUILD)/$(1)$(2)/%.o)
	$$(WASM_LD) $(4) $$^ -o $$@

# For tests/unit/kernels: the kernels alone, called through the function table.
$(WASM_BUILD)/test/kernels-$(1)$(2).wasm: $(patsubst %.c,$(WASM_BUILD)/$(1)$(2)/%.o,$(WASM_KERNEL_TEST))
	@mkdir -p $$(@D)
	$$(WASM_LD) --export-table --export=test_kernels $(4) $$^ -o $$@
endef
$(eval $(call wasm_module,simd128,,,))
$(eval $(call wasm_module,relaxed,,-mrelaxed-simd,))
$(eval $(call wasm_module,simd128,-threads,-matomics,$$(WASM_SHARED)))
$(eval $(call wasm_module,relaxed,-threads,-mrelaxed-simd -matomics,$$(WASM_SHARED)))
