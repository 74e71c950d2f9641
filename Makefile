# One virtual environment, made once and remade when its inputs change.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
JOBS   ?= 2

export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
# The tests start hundreds of processes; without bytecode kept, each would compile the packages anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test coverage lint docs bench wheel-test nightly lowest clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install
	$(BIN)/avgmargin reproduce --scale quick --out runs/demo

test: install
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# The tests again with the branches counted: what each pair of packages must reach is the limit. Counting is slow, so
# properties meet ten examples each; the whole suite reaches no less.
coverage: install
	HYPOTHESIS_PROFILE=brief $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -o timeout=900 --cov --cov-report=
	$(BIN)/python -m coverage report --skip-covered --include='theory/*,synthetic/*' --fail-under=95
	$(BIN)/python -m coverage report --skip-covered --include='deep/*,avgmargin/*' --fail-under=90

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict

# The documentation, every warning an error: build/docs/html/index.html. Runs the gallery; reads without a network.
docs: install
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python docs/scripts/benchmarks_page.py --check
	$(BIN)/python docs/scripts/reliability_page.py --check
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs build/docs/html
	$(BIN)/python docs/scripts/check_site.py build/docs/html

# Every benchmark, each in its own process; the numbers go to docs/results/benchmarks.json.
bench: install
	$(BIN)/python -m benchmarks

# Builds the wheel, installs it into a fresh environment and runs a copy of the tests in an empty folder.
wheel-test: install
	PYTHON=$(abspath $(BIN)/python) JOBS=$(JOBS) bash tests/wheel_test.sh

# Property tests with many examples, slow tests, long fuzzing, and a longer kill matrix.
nightly: install
	HYPOTHESIS_PROFILE=nightly AVGMARGIN_SLOW=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal --timeout 7200
	$(BIN)/python -m tests.reliability --each 20 --long 5

# The tests of theory and synthetic with the lowest versions that pyproject.toml allows, in an environment of its own.
lowest: install
	$(BIN)/python -m tests.lowest tests/theory tests/synthetic

clean:
	rm -rf $(VENV) build dist runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
