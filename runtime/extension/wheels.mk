# What pip installs: a wheel per platform, each serving every Python from 3.10, and the source distribution.
#   make wheels    -> dist/
# Built from the unpacked source distribution: what is missing there cannot be found elsewhere.
WHEELS := manylinux_2_17_x86_64 manylinux_2_17_aarch64 musllinux_1_2_aarch64
WHEEL_BUILD := build/wheels
SDIST := dist/lacewing-$(VERSION).tar.gz
# The glibc of a manylinux tag is the oldest that has all symbols used.
TARGET_OF_manylinux_2_17_x86_64 := x86_64-linux-gnu.2.17
TARGET_OF_manylinux_2_17_aarch64 := aarch64-linux-gnu.2.17
TARGET_OF_musllinux_1_2_aarch64 := aarch64-linux-musl
# The compiler's own musl is called libc.so; a musl system's is called this.
MUSL := $(abspath $(WHEEL_BUILD))/libc.musl-aarch64.so.1
LINK_OF_musllinux_1_2_aarch64 := -nostdlib -Wl,--no-as-needed $(MUSL)

.PHONY: wheels
wheels: $(WHEELS:%=$(WHEEL_BUILD)/%)
	@ls dist

$(WHEEL_BUILD)/sdist: $(STAMPS)/test $(filter-out tests/% docs/%,$(shell git ls-files))
	@echo "== building the source distribution"
	@rm -rf $(WHEEL_BUILD) $(SDIST) dist/*.whl && mkdir -p $(WHEEL_BUILD)/tree
	@git ls-files -z | xargs -0 cp --parents -t $(WHEEL_BUILD)/tree
	@$(BIN)/python -m build --sdist --no-isolation --outdir dist $(WHEEL_BUILD)/tree >$@.log 2>&1 || { cat $@.log; exit 1; }
	@rm -rf $(WHEEL_BUILD)/tree
	@touch $@

$(MUSL): $(WHEEL_BUILD)/sdist
	@$(ZIG) cc -target aarch64-linux-musl -shared -nostdlib -Wl,-soname,$(@F) -xc /dev/null -o $@

$(WHEEL_BUILD)/musllinux_1_2_aarch64: $(MUSL)

# setuptools takes the platform from _PYTHON_HOST_PLATFORM, the compiler and the linker from CC and LDSHARED.
$(WHEELS:%=$(WHEEL_BUILD)/%): $(WHEEL_BUILD)/%: $(WHEEL_BUILD)/sdist
	@echo "== building the wheel for $*"
	@rm -rf $@.tree && mkdir $@.tree && tar xzf $(SDIST) -C $@.tree --strip-components=1
	@platform=$* target=$(TARGET_OF_$*); arch=$${target%%-*}; compiler="$(ZIG) cc -target $$target"; \
	  LW_TARGET_ARCH=$$arch _PYTHON_HOST_PLATFORM=$${platform%_$$arch}-$$arch \
	  CC="$$compiler" LDSHARED="$$compiler -shared $(LINK_OF_$*)" \
	  $(BIN)/python -m build --wheel --no-isolation --outdir dist $@.tree >$@.log 2>&1 || { cat $@.log; exit 1; }
	@$(BIN)/python -m auditwheel show dist/lacewing-*-$*.whl >$@.audit
	@grep -q '"$*"' $@.audit || { cat $@.audit; exit 1; }
	@rm -rf $@.tree
	@touch $@
