# A fresh machine needs only make and Python 3.11 to 3.13:
#   make demo    a derivation from start to finish; files are left in demo/
#   make test    the whole test suite
#   make lint    ruff and mypy
#   make docs    the documentation, its examples executed; docs/_build/html/index.html
#   make clean   removes everything that these made
# Another interpreter: make test PYTHON=python3.13.  A part of the suite: make test ARGS='-m "not slow"'.

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=
BIN := .venv/bin

.PHONY: demo test lint docs clean
.DELETE_ON_ERROR:

demo: .venv/.installed
	@mkdir -p demo
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh ./demo.sh

test: .venv/.installed
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

lint: .venv/.installed-lint
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy sie_sym

docs: .venv/.installed-docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

# The stamps are younger than the metadata, so the environment is re-used until the dependencies change.
# The install is editable: the commands run the files of this folder, never a stale copy of them.
.venv/.installed: setup.cfg pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,plot,report]'
	@touch $@

.venv/.installed-lint: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[lint]'
	@touch $@

.venv/.installed-docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) \
	    else "Python %d.%d is not supported: make PYTHON=python3.12 (3.11 to 3.13)" % v)'
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv .ci/node/node_modules demo docs/_build build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
