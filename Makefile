# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOGGER := executors/snakemake-logger-plugin-esap
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: runtimes demo test fast bench soak docs lint install install-test clean

# What a user needs: esap-wf, Snakemake, and the software of `irf` (the last is cached by content).
install: $(VENV)/.installed
$(VENV)/.installed: pyproject.toml constraints.txt $(LOGGER)/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "esap-wf needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e ./$(LOGGER) -e '.[snakemake]'
	touch $@

demo: install
	$(BIN)/esap-wf software build irf
	$(BIN)/esap-wf run irf --if-exists reuse

# What the tests need beside it. Services that a test starts are installed here, too.
install-test: install $(VENV)/.installed-test
$(VENV)/.installed-test: pyproject.toml constraints.txt
	$(PIP) -e ./$(LOGGER) -e '.[snakemake,test]'
	touch $@

# Podman, Docker, Apptainer and udocker, as far as they can be had here; quick if they are there.
runtimes:
	tests/services/install_containers.sh

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict $(LOGGER)/src
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	for w in workflows/*/; do $(BIN)/esap-wf lint $$w || exit 1; done

# Real engines and container runtimes, where they can be had.
services: install-test
	tests/services/install.sh $(BIN)/python

# docs/features.json and the tables of docs/compatibility.md, from the results of the tests.
features: services
	$(BIN)/python -m pytest tests/features --write-features
	$(BIN)/python docs/generate.py

# Two at a time, a file each: most tests wait for engines.
test: lint services
	$(BIN)/python -m pytest -m 'not soak' --numprocesses 2 --dist loadfile --cov --cov-report=term $(PYTEST_ARGS)

fast: install-test
	$(BIN)/python -m pytest -m 'not soak and not integration and not science and not faults' $(PYTEST_ARGS)

soak: install-test
	$(BIN)/python -m pytest -m soak -s $(PYTEST_ARGS)

bench: install-test
	$(BIN)/python benchmarks/all.py $(BENCH_ARGS)

docs: install
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
