# make demo and make test need only Python 3.11 (with venv and headers), g++ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The pins hold for the build's own environment too.
PIP := PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m pip --disable-pip-version-check -q
CPP := $(wildcard src/mcodec/codec/kernels/*.[ch]pp src/mcodec/stored/*.[ch]pp)
DRIVER := $(wildcard tests/kernels/emulated/*.[ch]pp tests/kernels/emulated/include/*.h)
BUILD := CMakeLists.txt pyproject.toml constraints.txt $(CPP) $(wildcard src/mcodec/stored/*.S) \
	$(wildcard third_party/*/*.[ch] third_party/*/*/*.[Sh])
NEED := printf 'make: %s\n' >&2

.PHONY: demo test test-all check fmt bench vectors venv venv-all venv-tf clean tools

demo: venv  ## two real networks in one file, and back
	$(BIN)/python examples/demo.py

test: venv  ## every test that needs no gigabytes of libraries
	$(BIN)/python -m pytest -m "not slow"

test-all: venv-all venv-tf  ## every test
	$(BIN)/python -m pytest

check: $(VENV)/.dev  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run -Werror $(CPP) $(DRIVER)
	$(BIN)/mypy
	cd tools && ../$(BIN)/mypy --config-file ../pyproject.toml make_vectors.py vectors
	$(BIN)/lint-imports --no-cache

fmt: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $(CPP) $(DRIVER)

$(VENV)/.bench: $(VENV)/.all
	$(PIP) install -e '.[bench]'
	touch $@

bench: $(VENV)/.bench  ## figures of this machine; what a benchmark cannot fetch it skips
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/goals.py --quick
	$(BIN)/python benchmarks/peers.py --quick
	$(BIN)/python benchmarks/lossless.py --quick
	$(BIN)/python benchmarks/bits.py
	$(BIN)/python benchmarks/distortion.py
	$(BIN)/python benchmarks/sizes.py
	$(BIN)/python benchmarks/storage.py
	$(BIN)/python benchmarks/auto.py
	$(BIN)/python benchmarks/deltas.py
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/positions.py
	$(BIN)/python benchmarks/roundtrip.py
	$(BIN)/python benchmarks/convert.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/where.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/remote.py
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/scaleout.py

vectors: venv  ## make what is missing in spec/vectors, and check the rest
	$(BIN)/python tools/make_vectors.py

venv: $(VENV)/.base
venv-all: $(VENV)/.all
venv-tf: .venv-tf/.tf

tools:
	@command -v $(PYTHON) >/dev/null || { $(NEED) "$(PYTHON) is missing: apt-get install python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ $(NEED) "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ $(NEED) "the venv module is missing: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || \
		{ $(NEED) "Python's headers are missing: apt-get install python3-dev"; exit 1; }
	@command -v $${CXX:-g++} >/dev/null || \
		{ $(NEED) "a C++ compiler is missing: apt-get install g++"; exit 1; }

# Editable, so that a change of Python code needs no new build; a change of C++ or of the build does.
$(VENV)/.base: $(BUILD) | tools
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -e '.[test]'
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PIP) install -e '.[dev]'
	touch $@

# torch first: its pin is the CPU build, and without it Keras would pull the build of several GB.
$(VENV)/.all: $(VENV)/.base
	$(PIP) install torch
	$(PIP) install -e '.[test,test-all]'
	touch $@

# Keras 2 lives on as tf_keras, whose TensorFlow wants libraries of its own
# (and not the GPU build that it asks for by name).
.venv-tf/.tf: | tools
	test -x .venv-tf/bin/python || $(PYTHON) -m venv .venv-tf
	.venv-tf/bin/python -m pip --disable-pip-version-check -q install tensorflow-cpu==2.21.0
	.venv-tf/bin/python -m pip --disable-pip-version-check -q install --no-deps tf_keras==2.21.0
	touch $@

clean:
	rm -rf $(VENV) .venv-tf build dist
