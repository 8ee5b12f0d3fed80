# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOGGER := executors/snakemake-logger-plugin-esap
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint constraints.txt

.DEFAULT_GOAL := install
.PHONY: help conformance runtimes demo test coverage fast bench soak docs site changelog hooks lint services features install install-test wheel clean

# What stands behind the two # of each target.
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

SETUP := pyproject.toml constraints.txt
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "esap-wf needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)

# What a user needs: esap-wf, Snakemake, and the software of `irf` (the last is cached by content).
install: $(VENV)/.installed ## what a user needs: esap-wf and Snakemake, into .venv
$(VENV)/.installed: $(SETUP) | $(BIN)/python
	$(PIP) -e '.[snakemake]'
	touch $@

demo: install ## install, then make instrument response functions from a shopping basket; about 4 minutes the first time
	$(BIN)/esap-wf software build irf
	$(BIN)/esap-wf lake put workflows/irf/data/productions.json cta:productions/productions.json
	$(BIN)/esap-wf run irf --basket examples/basket.json --if-exists reuse

# The same with what the tests need. uv takes a third of pip's time; where it finds no index (it reads none of pip's configuration), pip does it.
install-test: $(VENV)/.installed-test ## the same as install, with what the tests need
$(VENV)/.installed-test: $(SETUP) | $(BIN)/python
	$(PIP) uv
	$(UV) -e '.[snakemake,test]' || $(PIP) -e '.[snakemake,test]'
	touch $(VENV)/.installed $@

# What `pip install` takes, with the versions it was tested with: dist/esap_wf-…-py3-none-any.whl and dist/constraints.txt.
wheel: | $(BIN)/python ## dist/esap_wf-….whl and its constraints, for another machine
	$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir dist .
	cp constraints.txt dist/

# Podman, Docker, Apptainer and udocker, as far as they can be had here; quick if they are there.
runtimes: ## container runtimes, as far as they can be had here
	tests/services/install_containers.sh

lint: install-test ## ruff, mypy, import-linter, generated pages, manifests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict $(LOGGER)/src
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/esap-wf lint --dry-run main workflows/*/

# Real engines and container runtimes, where they can be had.
services: install-test ## real engines and container runtimes for the tests, as far as they can be had here
	tests/services/install.sh $(BIN)/python

# docs/features.json and the tables of docs/compatibility.md, from the results of the tests.
features: services ## test every engine, and write the results into docs/compatibility.md
	$(BIN)/python -m pytest tests/features -m "soak or not soak" --write-features
	$(BIN)/python docs/generate.py

# The whole check. More workers than two cores, because tests wait for engines; compiled once, not in each process; see docs/testing.md.
WORKERS ?= 3
TESTS := $(BIN)/python -m pytest -m 'not soak' --numprocesses $(WORKERS) --dist loadgroup --no-loadscope-reorder --durations=25
# A few failures of a session are tried once more, alone: tests/second_round.py says what of it may pass.
OUTCOME := build/tests.json
test: ## the complete check: lint, services and all tests but the long series
	+$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint services
	$(BIN)/python -m compileall -q esap_wf executors
	$(TESTS) --outcome $(OUTCOME) $(PYTEST_ARGS) || $(BIN)/python tests/second_round.py $$? $(OUTCOME)

# The same, and which lines were run; a test's own process becomes slower by half.
coverage: services ## the same tests, and which lines they run
	$(TESTS) --cov --cov-report=term $(PYTEST_ARGS)

# What needs no engine and no container.
fast: install-test ## the tests that need no engine and no container; about a minute
	$(BIN)/python -m pytest -m 'not soak and not integration and not science and not faults' $(PYTEST_ARGS)

# What takes long; what bare engines made is made anew.
soak: services ## the long series of tests
	ESAP_WF_RENEW_BARE=1 $(BIN)/python -m pytest -m soak -s $(PYTEST_ARGS)

bench: install-test ## the tables of benchmarks/
	$(BIN)/python benchmarks/all.py $(BENCH_ARGS)

# The CWL v1.2 conformance tests, bare and through esap-wf: make conformance SUITE=<checkout of common-workflow-language/cwl-v1.2>.
# ONLY="ID NUMBER …" and TAGS="TAG …" choose some; with TABLE=FILE an interrupted run goes on; ENGINE=toil asks Toil.
JOBS ?= 2
conformance: services ## the CWL conformance tests, bare and through esap-wf: SUITE=DIR
	$(BIN)/python benchmarks/conformance.py $(or $(SUITE),$(error SUITE=DIR is missing)) --jobs $(JOBS) --engine $(or $(ENGINE),cwl) \
		$(ONLY:%=--only %) $(TAGS:%=--tags %) $(TABLE:%=--table %) $(CONFORMANCE_ARGS)

docs: install ## write the generated parts of docs/, CITATION.cff and codemeta.json
	$(BIN)/python docs/generate.py

# A warning is an error; nothing is fetched while it is built, or to read it.
site: $(VENV)/.installed-docs ## the documentation as a site that can be read offline: build/site/index.html
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet --doctree-dir build/doctrees --conf-dir docs . build/site
	cp build/site/README.html build/site/index.html
	@echo "site: build/site/index.html"
$(VENV)/.installed-docs: $(SETUP) | $(BIN)/python
	$(PIP) -e '.[docs]'
	touch $@

# Checks before a commit and before a push, with the programs of this checkout.
hooks: install-test ## run ruff before each commit, mypy and others before each push
	$(PIP) -e '.[dev]'
	$(BIN)/pre-commit install

# RELEASING.md says when: the fragments in changes/ become a section of CHANGELOG.md.
changelog: install ## turn the news fragments into a section of CHANGELOG.md, for a release
	$(PIP) -e '.[dev]'
	$(BIN)/towncrier build --yes --version "$$($(BIN)/python -c 'import esap_wf; print(esap_wf.__version__)')"

clean: ## remove .venv, build results and caches of this folder
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
