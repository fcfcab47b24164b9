# A 64-bit ARM board without the board: a Debian root and Python packages for aarch64, run by qemu's user mode.
#   tests/arm/python script.py    its Python, with numpy and cffi
#   make arm                      the aarch64 wheels and the C interface there, end to end
# Included by the top Makefile.
ARM_BUILD := build/arm
# What pip may install there, whatever machine it runs on itself.
ARM_PIP := $(BIN)/python -m pip install --quiet --upgrade --only-binary=:all: --python-version 3.11 --implementation cp \
  --abi cp311 --abi abi3 --abi none \
  $(patsubst %,--platform %_aarch64,manylinux2014 manylinux_2_17 manylinux_2_27 manylinux_2_28)
# Kernels carry their own instruction sets, so no flag names a CPU.
ARM_CC := $(ZIG) cc -target aarch64-linux-gnu.2.17

.PHONY: arm arm-board arm-built
arm-board: $(STAMPS)/arm-root $(STAMPS)/arm-site

$(STAMPS)/arm-root: $(STAMPS)/apt
	@echo "== building the root of an aarch64 board"
	@rm -rf $(ARM_BUILD)/root
	@mkdir -p $(ARM_BUILD)
	@mmdebstrap --quiet --variant=extract --architectures=arm64 \
	  --include=python3,libpython3.11,libstdc++6,libgomp1,ca-certificates,musl bookworm $(ARM_BUILD)/root
	@touch $@

# What a board needs beside the wheel.
$(STAMPS)/arm-site: $(STAMPS)/venv tests/arm/arm.mk
	@echo "== installing Python packages for aarch64"
	@rm -rf $(ARM_BUILD)/site
	@$(ARM_PIP) --target $(ARM_BUILD)/site 'numpy>=1.26.4,<2' 'cffi>=1.15'
	@touch $@

# The wheel, and nothing that it does not bring itself.
$(STAMPS)/arm-wheel: $(STAMPS)/arm-site $(WHEEL_BUILD)/manylinux_2_17_aarch64 $(WHEEL_BUILD)/musllinux_1_2_aarch64
	@rm -rf $(ARM_BUILD)/site-wheel
	@$(ARM_PIP) --no-index --no-deps --target $(ARM_BUILD)/site-wheel dist/lacewing-*-manylinux_2_17_aarch64.whl
	@touch $@

arm-built: $(STAMPS)/test arm-board $(STAMPS)/arm-wheel $(BENCH_ARM_ENGINE) \
  $(patsubst %,build/capi/%/archived,aarch64-linux aarch64-android aarch64-ios aarch64-macos)

arm: arm-built
	$(PARALLEL_PYTEST) tests/arm
