# Everything here sets itself up: a virtual environment in .venv, made once and
# used again until pyproject.toml changes. Needed: Python 3.11 or newer, make.
#
#   make test PYTEST_ARGS="-k plan"       other arguments for pytest
#   make bench BENCH_ARGS="--jobs noop --databases sqlite"
#   make test PYTHON=/path/to/python3.12 VENV=.venv-3.12

VENV ?= .venv
PYTHON ?=
PYTEST_ARGS ?= -n 2
BENCH_ARGS ?=

BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
READY_BENCH := $(VENV)/.ready-bench

export PIP_DISABLE_PIP_VERSION_CHECK = 1

# An environment that was made in another directory, or whose Python is gone, is made anew.
ifneq ($(shell $(BIN)/python -c pass 2>/dev/null && cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test bench bench-full check format build clean

help: ## show this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## make a package in a temporary directory, write a revision, upgrade a SQLite file
	@set -e; \
	bin=$$(cd $(BIN) && pwd); PATH="$$bin:$$PATH"; export PATH; \
	unset PTAH_MIGRATE_CONFIG PTAH_MIGRATE_URL; \
	directory=$$(mktemp -d); \
	trap 'rm -rf "$$directory"' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; \
	mkdir "$$directory/blog"; cd "$$directory/blog"; \
	for words in 'init' 'revision -r 001 -m "Add column"' 'upgrade' 'status'; do \
		printf '\n$$ ptah-migrate %s\n' "$$words"; \
		eval "ptah-migrate $$words" </dev/null; \
	done

test: $(READY) ## run the tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: $(READY_BENCH) ## what commands cost, beside Alembic and the floors; two to three minutes
	@$(BIN)/python -m bench $(BENCH_ARGS)

bench-full: $(READY_BENCH) ## the same with 100 and 1,000 packages, on every database; hours
	@$(BIN)/python -m bench --full --growth $(BENCH_ARGS)

check: $(READY_DEV) ## style, types, architecture
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo

format: $(READY_DEV) ## bring the source into shape
	$(BIN)/python -m ruff check --fix
	$(BIN)/python -m ruff format

build: $(READY_DEV) ## make the sdist, and the wheel from it, in dist/
	rm -rf dist
	$(BIN)/python -m build

clean: ## remove everything that make made
	rm -rf $(VENV) .venv .venv-* .nox .benchmarks dist build .coverage .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian's Python comes without ensurepip; its pip can install into another environment.
$(READY): pyproject.toml
	@set -e; \
	python='$(PYTHON)'; \
	if [ -z "$$python" ]; then \
		for name in python3.14 python3.13 python3.12 python3.11 python3 python; do \
			if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
				python=$$name; break; \
			fi; \
		done; \
	fi; \
	if [ -z "$$python" ]; then \
		echo 'Error: Python 3.11 or newer was not found; name one: make PYTHON=/path/to/python3' >&2; \
		exit 1; \
	fi; \
	if [ "$$(cat $(READY) 2>/dev/null)" != '$(CURDIR)' ] || ! $(BIN)/python -c pass 2>/dev/null; then \
		echo "making $(VENV) with $$("$$python" --version)"; \
		rm -rf $(VENV); \
		if "$$python" -c 'import ensurepip' 2>/dev/null; then \
			"$$python" -m venv $(VENV); \
		else \
			"$$python" -m venv --without-pip $(VENV); \
			"$$python" -m pip --python $(BIN)/python install --quiet pip; \
		fi; \
	fi; \
	echo 'installing ptah-migrate and what its tests need in $(VENV)'; \
	$(BIN)/python -m pip install --quiet --editable '.[all,test]'; \
	echo '$(CURDIR)' > $(READY)

$(READY_DEV): $(READY)
	@echo 'installing the tools of make check in $(VENV)'
	@$(BIN)/python -m pip install --quiet --editable '.[all,test,dev]'
	@touch $(READY_DEV)

$(READY_BENCH): $(READY)
	@echo 'installing what make bench compares with in $(VENV)'
	@$(BIN)/python -m pip install --quiet --editable '.[all,test,bench]'
	@touch $(READY_BENCH)
