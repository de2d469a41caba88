# `make help` lists what there is. Every target builds what it needs, from nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Tests run in so many processes: one more than a small machine has cores, since the journeys mostly wait.
JOBS ?= 3
# What kills processes by the clock gets a core each.
LONG_JOBS ?= 2
CONFIG ?= config.example.yaml
PORT ?= 8000
SOURCES := checks monitoring tests benchmarks manage.py

# The tests start hundreds of processes: none compiles again what another has compiled, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run test everyday test-long check lint types imports rules docs lock audit browser servers check-docs clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Make the virtual environment in .venv with everything that running and testing need

# The stamp holds the lock's checksum: a lock that did not change installs nothing.
$(STAMP): requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit("Stillup needs Python 3.11 or newer; this is %d.%d. Try: make PYTHON=python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	@touch $@

run: $(STAMP) ## Run everything on this machine: http://127.0.0.1:8000/
	$(BIN)/python manage.py up --config $(CONFIG) --port $(PORT)

# The types beside the tests, with what these leave of the cores: mypy needs half a minute of one.
test: lint imports check-docs browser servers ## Check everything, on both databases, within ten minutes
	@$(MAKE) --no-print-directory --jobs=2 types everyday

everyday: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "not long"

test-long: browser servers ## What needs longer: the full crash matrix and chaos
	$(BIN)/python -m pytest -n $(LONG_JOBS) --dist loadgroup -m "long and not alone"
	$(BIN)/python -m pytest -m alone

check: lint types imports check-docs rules ## What needs no running product: format, lint, types, imports, docs, the rules of the house

lint: $(STAMP)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(STAMP)
	nice $(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

# Among the tests of every day too; here they need a second.
rules: $(STAMP)
	$(BIN)/python -m pytest -q tests/project/test_house_rules.py

docs: $(STAMP) ## Write docs/configuration.md from the code
	$(BIN)/python manage.py configuration_reference

check-docs: $(STAMP)
	$(BIN)/python manage.py configuration_reference --check
	$(BIN)/python manage.py makemigrations --check --dry-run --verbosity 0

lock: $(STAMP) ## Pin the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra all pyproject.toml --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra all --group dev pyproject.toml --output-file requirements-dev.lock

audit: $(STAMP) ## Ask for known vulnerabilities of what is pinned; needs the internet
	$(BIN)/pip-audit --require-hashes --disable-pip --requirement requirements.lock

# Debian's Chromium where it is or can be installed, else Playwright's own; a test that finds neither says both commands.
browser: $(STAMP)
	@$(BIN)/python -m tests.browser

# Real servers of the protocols that monitors speak, and clients that were written for others.
servers: $(STAMP)
	@$(BIN)/python -m tests.debian
	@$(BIN)/python -m tests.foreign

clean: ## Remove what the other targets made, except the data
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis test-artifacts build *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
