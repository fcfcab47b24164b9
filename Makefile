# make demo    the main job, end to end, on data that ships with scikit-learn (about three minutes)
# make test    everything CI runs: lint, unit tests, whole models, sanitizers, fuzzing, packaging
# make wasm    the engine for browsers: four modules in build/wasm
# make web     the npm package, from make wasm: runtime/web/dist
# make web-demo    the demo page, served on loopback
# make wheels    what pip installs, for x86-64 and aarch64: dist
# make capi    the engine as a static library for apps, with headers and an example: dist
# make bench-x86    Lacewing against its peers on this machine -> build/bench/x86.json
# make bench-arm    executed instructions against its peers on emulated ARM processors -> build/bench/arm.json
# make bench-accuracy    what sparsity costs after fine-tuning, over measured latency -> build/bench/accuracy.json
# make bench-photos    what pruning costs MobileNet-v2 and what 400 photos mend, on the other 100 -> build/bench/photos.json
# make bench-web    Lacewing against its peers in headless Chromium -> build/bench/web.json
# Both demo and test install what they need into .venv (and, for test, apt packages when run as root) and may be
# repeated at will.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := build/stamps
PYTEST := $(BIN)/python -m pytest -q --durations=5
# A test a core: where torch has a second thread in each, they wait for one another.
PARALLEL_PYTEST := OMP_NUM_THREADS=1 $(PYTEST) -n auto
# torch is pinned and comes first: a range would fetch gigabytes of CUDA packages.
TORCH := torch==2.13.0
APT := libsimde-dev clang qemu-user mmdebstrap llvm-19 chromium
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
# One compiler for every machine that is not this one.
ZIG := $(abspath $(BIN))/python -m ziglang
# The compiled parts of the extension: a change rebuilds it.
ENGINE := $(wildcard runtime/engine/*/*.[ch] runtime/engine/*/*.def kernels_x86/*.[ch]) setup.py $(wildcard runtime/extension/*.[hp]*)

.PHONY: demo test cross lint unit sanitize slow web test-web bench-x86 bench-accuracy bench-photos bench-web clean
.DELETE_ON_ERROR:

demo: $(STAMPS)/convert
	$(BIN)/lacewing demo --output build/demo

test: $(STAMPS)/test $(STAMPS)/apt
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory --jobs=$(shell nproc) --output-sync cross
	@$(MAKE) --no-print-directory --jobs=1 unit arm sanitize slow test-web test-web-demo
	@echo "all of make test is green"

$(STAMPS)/venv:
	@mkdir -p $(STAMPS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip 'setuptools>=77' wheel 'cffi>=1.15'
	@touch $@

$(STAMPS)/convert: $(STAMPS)/venv pyproject.toml $(ENGINE)
	@echo "== installing lacewing and the converter (first time: about two minutes)"
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --no-build-isolation --editable '.[convert]'
	@touch $@

$(STAMPS)/test: $(STAMPS)/convert
	@echo "== installing the peers and the test tools"
	$(BIN)/pip install --quiet --no-build-isolation --editable '.[convert,peers,dev,cross,train]'
	@touch $@

$(STAMPS)/apt: Makefile
	@mkdir -p $(STAMPS)
	@if ! dpkg -s $(APT) >/dev/null 2>&1; then \
	  echo "== installing $(APT)"; apt-get update -qq && apt-get install -y -qq --no-install-recommends $(APT); fi
	@touch $@

$(STAMPS)/npm: runtime/web/package-lock.json
	@mkdir -p $(STAMPS)
	@echo "== installing the tools of the npm package"
	cd runtime/web && npm ci --silent
	@touch $@

# What is compiled for other processors, side by side; tests share the folder `build` and go one kind after the other.
cross: arm-built wasm $(STAMPS)/npm

lint: $(STAMPS)/test
	BIN=$(BIN) sh tests/lint.sh

unit: $(STAMPS)/test $(STAMPS)/apt $(STAMPS)/arm-root
	$(PARALLEL_PYTEST) tests -m "not slow" --ignore=tests/arm

sanitize: $(STAMPS)/test $(STAMPS)/apt
	BIN=$(BIN) sh tests/sanitize.sh

slow: $(STAMPS)/test
	$(PARALLEL_PYTEST) tests -m slow

bench-x86: $(STAMPS)/test
	@mkdir -p build/bench
	$(BIN)/python tests/bench/x86.py --output build/bench/x86.json

include runtime/extension/wheels.mk tests/bench/arm/arm_bench.mk tests/arm/arm.mk

# Days on two cores, hours on a GPU; may be stopped and started again, or told less: ACCURACY="--parts headline --minutes 60".
bench-accuracy: $(STAMPS)/test $(STAMPS)/apt arm-board $(BENCH_ARM_ENGINE)
	PYTHONPATH=tests/bench $(BIN)/python -m accuracy --output build/bench/accuracy.json $(ACCURACY)

# About ten minutes for each of 15 trainings on two cores; may be stopped and started again.
bench-photos: $(STAMPS)/test
	PYTHONPATH=tests/bench $(BIN)/python -m accuracy.photos --output build/bench/photos.json

CAPI_TOOLS := $(STAMPS)/test
include runtime/engine/capi.mk
WASM_TOOLS := $(STAMPS)/test
include runtime/engine/wasm.mk runtime/web/demo/demo.mk

web: wasm $(STAMPS)/npm
	cd runtime/web && npm run --silent check && npm run --silent build

# The package in Chromium, in Node and in fresh projects, against what the native engine computes.
test-web: web $(STAMPS)/apt
	$(BIN)/python -m tests.conformance.whole_models build/conformance
	cd runtime/web && npm test --silent

bench-web: $(STAMPS)/test $(STAMPS)/apt $(STAMPS)/bench-web web
	@mkdir -p build/bench
	cd tests/bench/web && node_modules/.bin/tsc -p .
	PYTHONPATH=tests/bench $(BIN)/python -m web --output build/bench/web.json

$(STAMPS)/bench-web: tests/bench/web/package-lock.json
	cd tests/bench/web && npm ci --silent
	@touch $@

clean:
	rm -rf build dist *.egg-info runtime/_engine*.so
