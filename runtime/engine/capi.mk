# The C interface for apps: one archive per platform, with the engine as a static library and an example.
#   make capi    -> dist/lacewing-<version>-capi-<platform>.tar.gz
# The library is freestanding: it needs memcpy and its kin, and of the operating system only the question what the
# processor has. Included by the top Makefile.
CAPI_BUILD := build/capi
CAPI_TARGETS := x86_64-linux aarch64-linux aarch64-android aarch64-ios aarch64-macos
# No C library is asked for, so the glibc version is the oldest that the platform has.
ZIG_TARGET_x86_64-linux := x86_64-linux-gnu.2.17
ZIG_TARGET_aarch64-linux := aarch64-linux-gnu.2.17
ZIG_TARGET_aarch64-android := aarch64-linux-android
ZIG_TARGET_aarch64-ios := aarch64-ios
ZIG_TARGET_aarch64-macos := aarch64-macos
CAPI_SOURCES := $(wildcard runtime/engine/src/*.c runtime/engine/reference/*.c)
CAPI_HEADERS := $(wildcard runtime/engine/*/*.h runtime/engine/src/*.def kernels_*/*.h) runtime/engine/capi.mk
CAPI_INCLUDE := include/lacewing.h include/lw_format.h
CAPI_THREADS := $(wildcard runtime/engine/hosted/*.[ch])
CAPI_EXAMPLE := runtime/engine/examples/classify.c runtime/engine/wasm/image.c runtime/engine/wasm/lw_image.h
CAPI_CFLAGS := -std=c11 -O3 -g0 -fPIC -ffreestanding -ffp-contract=off -fvisibility=hidden \
  -fno-stack-protector -fno-asynchronous-unwind-tables -Wall -Wextra -Wconversion -Wshadow -Werror \
  $(patsubst %,-Iruntime/engine/%,include src reference)

.PHONY: capi
capi: $(CAPI_TARGETS:%=$(CAPI_BUILD)/%/archived)

# $(1): platform, $(2): its folder of kernels
define capi_target
$(CAPI_BUILD)/$(1)/objects/%.o: %.c $(CAPI_HEADERS) | $(CAPI_TOOLS)
	@mkdir -p $$(@D)
	@$(ZIG) cc -target $(ZIG_TARGET_$(1)) $(CAPI_CFLAGS) $(if $(filter aarch64-linux,$(1)),-mno-outline-atomics) -I$(2) -c $$< -o $$@
$(CAPI_BUILD)/$(1)/lacewing/lib/liblacewing.a: $(patsubst %.c,$(CAPI_BUILD)/$(1)/objects/%.o,$(CAPI_SOURCES) $(wildcard $(2)/*.c))
	@echo "== liblacewing.a for $(1)"
	@mkdir -p $$(@D) && rm -f $$@
	@$(ZIG) ar rcs $$@ $$^
$(CAPI_BUILD)/$(1)/archived: $(CAPI_BUILD)/$(1)/lacewing/lib/liblacewing.a $(CAPI_THREADS) $(CAPI_EXAMPLE)
	@cd $(CAPI_BUILD)/$(1)/lacewing && rm -rf include threads examples && mkdir include threads examples
	@cp $(CAPI_INCLUDE:%=runtime/engine/%) $(CAPI_BUILD)/$(1)/lacewing/include
	@cp $(CAPI_THREADS) $(CAPI_BUILD)/$(1)/lacewing/threads
	@cp $(CAPI_EXAMPLE) $(CAPI_BUILD)/$(1)/lacewing/examples
	@cp LICENSE docs/porting.md $(CAPI_BUILD)/$(1)/lacewing
	@mkdir -p dist && tar czf dist/lacewing-$(VERSION)-capi-$(1).tar.gz -C $(CAPI_BUILD)/$(1) lacewing
	@touch $$@
endef
$(foreach platform,$(CAPI_TARGETS),$(eval $(call capi_target,$(platform),kernels_$(if $(filter aarch64-%,$(platform)),arm,x86))))
