# The two commands of the README: `make dev` and `make test`. Everything else is a part of the second one.
SHELL := /bin/sh
PY := .venv/bin/python
export PYTHON
CHROMIUM = $(shell $(PY) -m tools.system_tools --path chromium)

# Tests per process; two fit a small machine, `make test JOBS=auto` uses all cores.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help dev test lint types layers tests system docs spec-coverage coverage client bench bench-full bench-plugins format clean
.NOTPARALLEL:

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 24

dev: ## Scaffold ./demo if absent and serve it with hot reload
	@tools/make_venv.sh run
	@exec $(PY) -m tools.demo_server $(ARGS)

test: ready system lint types layers tests spec-coverage ## Run everything that gates a change

ready:
	@tools/make_venv.sh dev

system: ready
	@$(PY) -m tools.system_tools

lint: ready ## Check style, spelling and the rules of the house
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m codespell_lib
	$(PY) -m tools.house_rules
	$(PY) -m tools.pack_client --check

types: ready ## Check types with mypy and pyright
	$(PY) -m mypy
	$(PY) -m pyright

layers: ready ## Check who may import whom
	@.venv/bin/lint-imports --no-logo 2>/dev/null || .venv/bin/lint-imports

tests: ready ## Run the tests only
	REALTIME_TEST_CHROMIUM="$(CHROMIUM)" $(PY) -m pytest -n $(JOBS) --dist worksteal --spec-report=.cache/spec.json $(ARGS)

spec-coverage: ready ## List checklist items with neither a test nor an exemption
	@if [ -f .cache/spec.json ]; then \
		$(PY) -m tools.spec_coverage --report .cache/spec.json; \
	else \
		$(PY) -m tools.spec_coverage; \
	fi

coverage: ready ## Run the tests with branch coverage; wire, core and live have a floor
	REALTIME_TEST_CHROMIUM="$(CHROMIUM)" $(PY) -m pytest -n $(JOBS) --cov --cov-report=html $(ARGS)
	$(PY) -m coverage report --skip-covered --sort=cover
	@for package in wire core live; do \
		echo "runtime/$$package:"; \
		$(PY) -m coverage report --include="runtime/$$package/*" --fail-under=95 --format=total || exit 1; \
	done

docs: ready ## Run every example of the documents and check their links
	$(PY) -m pytest tests/docs

client: ready ## Make the small form of the browser client again, with node's npx
	$(PY) -m tools.pack_client

bench: ready ## Measure beside the usual servers, below ten minutes
	$(PY) -m bench.peersetup
	$(PY) -m bench.run --quick $(ARGS)

bench-full: ready ## Measure longer and beside every server that can be installed
	$(PY) -m bench.peersetup
	$(PY) -m bench.run $(ARGS)

bench-plugins: ready ## Measure each plugin beside a plain dict or lock
	$(PY) -m bench.plugins $(ARGS)

format: ready ## Rewrite the sources in the house style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean: ## Remove caches and the virtual environment, not ./demo
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache htmlcov
