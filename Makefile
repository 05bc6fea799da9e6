# `make demo` and `make test` are all you need; each makes the .venv it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev

.PHONY: help setup demo demo-check test check lint types imports bench bench-safety bench-audit chaos clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

$(RUN): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Handrail needs Python 3.11 or newer; \`make PYTHON=python3.11 …\` names another."; exit 2; }
	@echo "Making $(VENV) with what Handrail needs (about 20 s when the wheels are cached)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $(RUN)

$(DEV): $(RUN)
	@echo "Adding what the tests and checks need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(DEV)

setup: $(DEV) ## Make the .venv

demo: $(RUN) ## A local workspace with demo hosts, in the browser
	@$(BIN)/handrail demo $(if $(PORT),--port $(PORT))

demo-check: $(RUN) ## Play the demo's story without a browser, and verify it
	@$(BIN)/handrail demo --check

test: $(DEV) ## All tests; those that need PostgreSQL, sshd, Chromium or Node.js say so when it is missing
	@echo "Running the tests on SQLite, and on PostgreSQL where it is installed (about 9 minutes on 2 cores)"
	@$(BIN)/python -m pytest -q -n 5 --dist loadfile --no-loadscope-reorder

lint: $(DEV)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(DEV)
	@$(BIN)/mypy

imports: $(DEV)
	@$(BIN)/lint-imports

check: lint types imports test demo-check ## Everything CI runs

bench: $(DEV) ## Everything that has a goal, against the bare libraries, into docs/benchmarks.md (about 25 minutes)
	@$(BIN)/python -m tests.bench

bench-safety: $(DEV) ## Recall and false alarms of the guard and the redaction
	@$(BIN)/python -m tests.bench_guard
	@$(BIN)/python -m tests.bench_redaction

bench-audit: $(DEV) ## How long a million audit entries take to verify
	@$(BIN)/python -m tests.bench_audit

chaos: $(DEV) ## A hundred kill -9 under load, on SQLite (docs/chaos.md; about 20 minutes)
	@$(BIN)/python -m tests.chaos.kills $(if $(SEED),--seed $(SEED))

clean: ## Take the .venv and caches away
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
