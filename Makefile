# Two commands do everything on a machine with Python 3.11 and make: `make demo` and `make test`.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test test-slow check bench
demo: .venv/demo
	$(BIN)/deconvnet demo

test: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal -m "not slow"

test-slow: .venv/dev
	$(BIN)/pytest -m slow

check: .venv/dev
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/pyright && $(BIN)/lint-imports

bench: .venv/dev
	$(BIN)/python -m benchmarks

.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv && $(BIN)/pip install -q -c constraints.txt -e ".[all]" && touch $@

.venv/dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv && $(BIN)/pip install -q -c constraints.txt -e ".[dev]" && touch $@
