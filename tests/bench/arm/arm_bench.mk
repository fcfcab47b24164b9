# make bench-arm    executed instructions of Lacewing and its peers on emulated ARM processors -> build/bench/arm.json
# Included by the top Makefile.
BENCH_ARM := build/bench/arm
# What a board imports, and its engine with the names of all functions: the wheel's is stripped.
BENCH_ARM_ENGINE := $(BENCH_ARM)/lib/lacewing/_engine.abi3.so
BENCH_ARM_PEERS := onnxruntime==1.31.* ai-edge-litert==2.3.*

.PHONY: bench-arm bench-arm-tools
bench-arm: bench-arm-tools
	PYTHONPATH=tests/bench $(BIN)/python -m arm --output build/bench/arm.json

bench-arm-tools: $(STAMPS)/test $(STAMPS)/apt arm-board $(STAMPS)/bench-arm-peers $(BENCH_ARM_ENGINE)

# Their dependencies but numpy, which the board has, are for what is not run here.
$(STAMPS)/bench-arm-peers: $(STAMPS)/venv tests/bench/arm/arm_bench.mk
	@echo "== installing the peers for aarch64"
	@rm -rf $(ARM_BUILD)/site-peers
	@$(ARM_PIP) --no-deps --target $(ARM_BUILD)/site-peers $(BENCH_ARM_PEERS)
	@touch $@

# setup.py compiles and copies as for the wheel; LDSHARED=true leaves the linking to the next line.
$(BENCH_ARM_ENGINE): $(STAMPS)/test $(ENGINE) $(wildcard kernels_arm/*.[ch] runtime/*.py runtime/*/*.py runtime/*/*/*.py)
	@rm -rf $(BENCH_ARM)
	@LW_TARGET_ARCH=aarch64 _PYTHON_HOST_PLATFORM=linux-aarch64 CC="$(ARM_CC)" LDSHARED=true \
	  $(BIN)/python -W ignore setup.py -q build --build-base $(BENCH_ARM) --build-lib $(BENCH_ARM)/lib
	@$(ARM_CC) -shared -pthread -o $@ $$(find $(BENCH_ARM)/temp* -name '*.o')
