# What one does with a clone. Everything happens in .venv; nothing else on the machine changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# `make install EXTRAS=all` brings everything, Spark's 450 MB included.
EXTRAS ?= data,ml,nats,notebooks,redis,reports
INSTALLED := $(VENV)/.installed

.PHONY: install demo up down test test-fast lint format bench docs clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Clary needs Python 3.11 or newer; choose one with make PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet uv
	@echo "Installing into $(VENV)"
	@# Compiled at once: programs in sandboxes cannot keep bytecode and would compile all they import, each time.
	@PATH="$(PATH):$(CURDIR)/$(BIN)" uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[$(EXTRAS)]' --group dev
	@touch $@

demo: install
	@$(BIN)/clary status --json | grep -q '"state": "running"' || $(BIN)/clary up --detach
	@$(BIN)/clary demo

up: install
	@$(BIN)/clary up

down:
	@$(BIN)/clary down

test: install
	$(BIN)/python -m pytest -n 3 --dist worksteal

test-fast: install
	$(BIN)/python -m pytest -n 3 --dist worksteal -m 'not slow and not client'

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m clary.server.reference --check

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install
	$(BIN)/python -m clary.server.reference

bench: install
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .clients .pytest_cache .mypy_cache .ruff_cache .hypothesis
