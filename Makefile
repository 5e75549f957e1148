# Everything sets itself up: Python >= 3.11, pip and make are enough.
#   make demo         identify a measured mineral, in an environment without torch
#   make test         pass the tests, in an environment with everything: under 8 minutes on two cores
#   make quick        the tests of a moment, under 90 seconds: none that begin processes or train for long
#   make test-long    the tests that take minutes: every network learns 32 patterns by heart
# Another interpreter: make test PYTHON=python3.12. Arguments for pytest: make test ARGS="-k rutile -x". It takes a
# process for each core; JOBS=0 takes none but its own. `make seconds` writes down anew, on a quiet machine, which
# tests are left out of `make quick` (tests/seconds.txt).

PYTHON ?= python3
VENV ?= .venv
VENV_DEMO ?= .venv-demo
ARGS ?=
JOBS ?= auto
PIP = $(PYTHON) -m pip --disable-pip-version-check
BIN = $(VENV)/bin
# What pytest makes of the tests is kept between runs.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test quick seconds test-long lint format types layers check train-small constraints clean

help:
	@echo "make demo | test | quick | seconds | test-long | lint | format | types | layers | check | train-small | constraints | clean"

demo: $(VENV_DEMO)/.ready
	@mkdir -p output
	$(VENV_DEMO)/bin/powderlens identify examples/rutile.txt --wavelength CuKa --plot output/demo.png
	@echo "The pattern and the best candidates are drawn in output/demo.png"

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

quick: $(VENV)/.ready
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow and not long" $(ARGS)

seconds: $(VENV)/.ready
	POWDERLENS_RECORD_SECONDS=1 $(BIN)/python -m pytest -n 0 $(ARGS)

test-long: $(VENV)/.ready
	$(BIN)/python -m pytest -n $(JOBS) -m long $(ARGS)

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.ready
	$(BIN)/mypy

layers: $(VENV)/.ready
	$(BIN)/lint-imports

check: lint types layers test

train-small: $(VENV)/.ready
	rm -rf runs/prism-small
	$(BIN)/powderlens train prism-small --data examples/crystals-small.parquet --output runs/prism-small
	$(BIN)/powderlens export runs/prism-small --output runs/prism-small

# An environment is made anew when what it installs has changed.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(call make_environment,$(VENV),.[train$(,)cluster$(,)dev])

$(VENV_DEMO)/.ready: pyproject.toml constraints.txt
	$(call make_environment,$(VENV_DEMO),.)

# pip works from outside, so that the environment holds nothing but the package and what it needs. It makes no bytecode:
# of 20,000 files Python makes that of the few that are imported, when they are.
, := ,
define make_environment
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "powderlens needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." >&2; \
	echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
@echo "Setting up $(1); the first time this takes a few minutes."
@$(PYTHON) -m venv --clear --without-pip $(1)
@$(PIP) --python $(1)/bin/python install --quiet --no-compile --constraint constraints.txt --editable '$(2)'
@touch $@
endef

# Pin what a new environment with every extra gets today.
constraints:
	@rm -rf .venv-constraints && $(PYTHON) -m venv --without-pip .venv-constraints
	@$(PIP) --python .venv-constraints/bin/python install --quiet --no-compile '.[train$(,)cluster$(,)dev]'
	@{ sed -n '/^#/p' constraints.txt; \
	   $(PIP) --python .venv-constraints/bin/python freeze --exclude powderlens | sed 's/+.*//' | sort -f; } > constraints.new
	@mv constraints.new constraints.txt && rm -rf .venv-constraints

clean:
	rm -rf .venv .venv-demo .venv-constraints output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
