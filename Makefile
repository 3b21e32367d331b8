# make demo      set up, then compare the four methods on the embedded model and chains
# make test      set up, then check and test
# make test-slow set up, then run the tests that take minutes
# make check     set up, then lint, types and import walls only
# make coverage  set up, then test and show which lines no test ran
# make format    set up, then let ruff fix and format
# make docs      set up, then build the documentation site into build/site, running the gallery; any warning is an error
# make clean     remove what these targets made

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# The environment belongs to one set of pins and to one place: a moved, copied or outdated one is made anew. A changed
# pyproject.toml (a new entry point, for example) only installs the project again.
PINNED := $(VENV)/pinned-$(shell { cat constraints.txt; pwd; } | cksum | cut -d' ' -f1)
READY := $(VENV)/ready-$(shell { cat constraints.txt pyproject.toml Makefile; pwd; } | cksum | cut -d' ' -f1)
READY_FOR_DOCS := $(READY)-docs

# What is set or installed on the machine must not reach the environment.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX PIP_TARGET PIP_PREFIX PIP_USER PIP_CONSTRAINT PIP_REQUIREMENT
unexport PYTEST_ADDOPTS PYTEST_PLUGINS MYPYPATH RUFF_CONFIG COVERAGE_FILE COVERAGE_RCFILE
export PYTHONNOUSERSITE := 1

.PHONY: demo test test-slow check coverage docs format clean setup
.DELETE_ON_ERROR:

setup: $(READY)

$(PINNED):
	@test -n "$(PYTHON)" || { echo "no Python found: install Python 3.11, or name one with make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than Python 3.11: name another with make PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch hatchling editables
	@touch $@

$(READY): $(PINNED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --no-build-isolation --editable '.[dev]'
	@rm -f $(VENV)/ready-*
	@touch $@

$(READY_FOR_DOCS): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --no-build-isolation --editable '.[dev,docs]'
	@touch $@

demo: setup
	rm -rf runs/demo
	$(BIN)/tokimp compare --out runs/demo

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A process for each core, one thread each: small models gain nothing by a second thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

test: check
	$(PYTEST) -m "not slow"

# Minutes rather than seconds: every architecture, faults at every writing system call, thousands of damaged files.
test-slow: setup
	$(PYTEST) -m slow

# Counting lines makes the tests slower, so `make test` does without. There is no threshold: the number is for reading.
coverage: setup
	$(PYTEST) -m "not slow" --cov --cov-report=term --cov-report=html

docs: $(READY_FOR_DOCS)
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/site
	@echo "The site is in build/site/index.html."

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov runs build/site docs/gallery docs/notebooks docs/reference docs/sg_execution_times.rst
