# Two commands matter: `make demo` and `make test`. Each sets up everything it needs, once.
# An own interpreter:  make demo PYTHON=python3.12

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
DEPENDS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-hostile check bench nano clean

help:
	@echo "make demo      teach the embedded controller, about six minutes; prints before and after"
	@echo "make test      all quick tests          make test-all  the slow ones too"
	@echo "make test-hostile   every program against the sandbox, in every tier, eight minutes or more"
	@echo "make check     formatting, lint, types  make bench     measured comparisons"
	@echo "make nano      train the embedded controller's weights anew (recipes/nano/README.md)"

.venv/.made:
	@test -n "$(PYTHON)" || { echo "sport needs Python 3.11 or newer; found $$(python3 --version 2>&1)." \
	  "Install one and run: make demo PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.demo: $(DEPENDS) | .venv/.made
	@echo "installing what the demo needs (once)"
	@$(PIP) --editable '.[local,tools,sandbox]'
	@touch $@

.venv/.test: $(DEPENDS) | .venv/.made
	@echo "installing what the tests need (once)"
	@$(PIP) --editable '.[local,tools,sandbox,test]'
	@touch $@ .venv/.demo

demo: .venv/.demo
	@$(BIN)/sport run configs/demo.toml

test: .venv/.test
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

test-all: .venv/.test
	$(BIN)/python -m pytest -q -m "not network and not hostile"

test-hostile: .venv/.test
	$(BIN)/python -m pytest -q -m "hostile or not hostile" -n 4 --durations=10 tests/hostile

check: .venv/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py

bench: .venv/.test
	@set -e; found=0; for file in benchmarks/*.py; do \
	  test -e "$$file" || continue; found=1; echo "== $$file"; $(BIN)/python "$$file"; done; \
	test $$found = 1 || echo "no benchmarks yet: they will be programs in benchmarks/, one table each"

nano: .venv/.demo
	$(BIN)/python recipes/nano/build.py

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
