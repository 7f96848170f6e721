# `make help` lists the targets. Variables worth setting: PYTHON (the interpreter of the virtual
# environment), VENV (its folder), JOBS (compilers at once), ARGS (passed on to the program started).
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The steps of one target build on each other; the tools below do what runs in parallel.
.NOTPARALLEL:

VENV ?= .venv
JOBS ?= $(shell nproc)
ARGS ?=
FUZZ_SECONDS ?= 600
# Tests wait about as long as they compute, so three at once keep two cores busy. ARGS="-n 0" runs
# them one after the other, as --pdb needs.
in_parallel := --numprocesses $(shell echo $$(( $(JOBS) * 3 / 2 ))) --dist worksteal
export JOBS
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)
export CTEST_PARALLEL_LEVEL := $(JOBS)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

bin := $(VENV)/bin
python := $(bin)/python
pip := $(python) -m pip --no-input
# Folders too, for the file that is no longer there.
engine_sources = $(shell find cpp python -not -path '*__pycache__*' 2>/dev/null)

.PHONY: help demo test test-all bench check fuzz docs dev clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed ## build, then compare the execution patterns on this machine (2 minutes)
	$(bin)/millrace demo $(ARGS)

test: packages-test $(VENV)/.installed-dev ctest-dev ## C++ tests, then Python tests: architecture, engine, docs, notebooks
	$(python) -m pytest tests $(in_parallel) $(ARGS)

test-all: packages-test ## Python tests on every CPython from 3.11 to 3.13 found here
	@found=0; \
	for version in 3.11 3.12 3.13; do \
	  interpreter=$$(.ci/python.sh $$version 2>/dev/null) || { echo "python$$version: not here, skipped"; continue; }; \
	  found=1; \
	  echo "python$$version: $$interpreter"; \
	  $(MAKE) test-python VENV=.venv-$$version PYTHON=$$interpreter; \
	done; \
	[ $$found = 1 ] || { echo "no CPython from 3.11 to 3.13 found" >&2; exit 1; }

bench: packages-bench $(VENV)/.installed-dev ## CPU per request beside other servers, see docs/benchmarks.md
	$(python) tests/bench/run.py $(ARGS)

check: packages-check $(VENV)/.installed-dev check-all ## formats, lint, types, stubs, clang-tidy, sanitizers, fuzz corpus
	@echo "check: all passed"

fuzz: packages-check build-fuzz ## every fuzz target for FUZZ_SECONDS (600)
	.ci/fuzz.sh -max_total_time=$(FUZZ_SECONDS)

docs: $(VENV)/.installed-dev ## check that the documentation is true: folder table, links, examples
	$(python) -m pytest tests/architecture/test_docs.py $(wildcard tests/docs) $(ARGS)

dev: $(VENV)/.build-deps ## editable install that rebuilds the engine when a source changes
	@touch $(VENV)/.editable && rm -f $(VENV)/.installed-dev
	$(MAKE) $(VENV)/.installed-dev

clean: ## remove everything built: build/, virtual environments, caches
	rm -rf build dist .venv .venv-3.11 .venv-3.12 .venv-3.13 $(VENV) .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what the targets above stand on ------------------------------------------------------------

.PHONY: packages-build packages-test packages-check packages-bench

packages-build:
	@.ci/packages.sh build
packages-test:
	@.ci/packages.sh build test
packages-check:
	@.ci/packages.sh build test check
packages-bench:
	@.ci/packages.sh build test bench

$(python): | packages-build
	interpreter=$$(.ci/python.sh); echo "python: $$interpreter"; "$$interpreter" -m venv $(VENV)

# The build tools live in the environment, not in one made anew for every build, because a path
# that changes makes CMake compile everything again.
$(VENV)/.build-deps: pyproject.toml | $(python)
	$(python) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | $(pip) install --quiet --requirement /dev/stdin
	touch $@

# Once `make dev` has made the install editable it stays so, until `make clean`.
editable = $(if $(wildcard $(VENV)/.editable),--config-settings=editable.rebuild=true --editable)
install = @echo "installing millrace[$(1)] into $(VENV); the first time compiles the engine, which takes minutes" \
	&& $(pip) install --quiet --no-build-isolation $(editable) ".[$(1)]"

$(VENV)/.installed: $(VENV)/.build-deps CMakeLists.txt $(engine_sources) | $(python)
	$(call install,lab)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.build-deps CMakeLists.txt $(engine_sources) | $(python)
	$(call install,dev)
	@touch $@ $(VENV)/.installed

# --- tests and checks ---------------------------------------------------------------------------

# These expect the packages to be there: the targets above see to that.
.PHONY: ctest-dev test-python build-fuzz check-all check-format check-python check-stubs check-tidy \
  check-asan check-tsan check-python-asan check-fuzz check-killing check-soak

ctest-dev:
	cmake --preset dev
	cmake --build --preset dev --parallel $(JOBS)
	ctest --preset dev

test-python: $(VENV)/.installed-dev
	$(python) -m pytest tests $(in_parallel) $(ARGS)

check-format:
	find cpp tests -name '*.[ch]pp' -print0 | xargs -0 clang-format --dry-run -Werror

check-python: $(VENV)/.installed-dev
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy python/millrace

check-stubs: $(VENV)/.installed-dev
	$(python) -m mypy.stubtest millrace._core \
	  --mypy-config-file pyproject.toml --allowlist .ci/stubtest_allowlist.txt

check-tidy:
	cmake --preset dev
	.ci/tidy.sh $(ARGS)

# In this order: what fails soonest comes first.
check-all: check-format check-python check-stubs check-tidy check-asan check-tsan check-python-asan check-fuzz \
  check-killing

check-asan:
	cmake --preset asan
	cmake --build --preset asan --parallel $(JOBS)
	ctest --preset asan

check-tsan:
	cmake --preset tsan
	cmake --build --preset tsan --parallel $(JOBS)
	.ci/without_aslr.sh ctest --preset tsan

# The Python tests marked `sanitize`, against an extension built with the sanitizers: lifetimes
# across the language border are where a C++ test cannot look.
check-python-asan: $(VENV)/.installed-dev
	cmake --preset asan -DMILLRACE_BINDINGS=ON -DPython_EXECUTABLE=$(CURDIR)/$(python) \
	  -Dpybind11_DIR=$$($(python) -m pybind11 --cmakedir)
	cmake --build --preset asan --parallel $(JOBS)
	.ci/python_asan.sh $(python) $(in_parallel) $(ARGS)

build-fuzz:
	cmake --preset fuzz
	cmake --build --preset fuzz --parallel $(JOBS)

# A fixed number of executions: nearly the same run for the same commit.
check-fuzz: build-fuzz
	.ci/fuzz.sh -runs=20000 -entropic=0

# `make test` kills workers for two seconds under each pattern, this for a minute under the default one.
check-killing: $(VENV)/.installed-dev
	MILLRACE_TEST_KILLING_S=60 $(python) -m pytest tests/python/test_processes.py -q \
	  -k 'killed_at_random and single_thread'

# `make test` asks ten thousand requests under each pattern, this two million over all of them: minutes, so nothing above runs it.
check-soak: $(VENV)/.installed-dev
	MILLRACE_TEST_SOAK_REQUESTS=2000000 $(python) -m pytest tests/python/test_soak.py -q
