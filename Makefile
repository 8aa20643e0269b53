# Two commands for a fresh Debian machine with Python 3.11: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test matrix lint types bench docs clean

demo: $(VENV)/.installed
	@$(BIN)/rats-tls demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -n 3 $(PYTEST_ARGS)

# Every pair of TLS wrappers: minutes, and a page that must say the same.
matrix: $(VENV)/.installed-dev
	PYTHONPATH=tests $(BIN)/python -m support.tls_matrix $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/.installed-dev
	PYTHONPATH=tests $(BIN)/python -m support.generated_pages

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Debian keeps the module that makes environments in a package of its own: installed where we may, else named.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(notdir $(PYTHON))-venv; \
	} || { echo "make: $(PYTHON) cannot make environments: install the package $(notdir $(PYTHON))-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: Python 3.11 or later is needed: set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed
