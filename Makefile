# `make demo` and `make test` need Python >= 3.10 and nothing else: both create .venv on the first call.
PYTHON ?= python3
PYTHON_FOR_ARVIZ1 ?= python3.12
BIN := .venv/bin
# The pins are for the Python that we test on; on any other, pip resolves the ranges of pyproject.toml.
PINS = $(shell $(BIN)/python -c 'import sys; print("-c constraints.txt" if sys.version_info[:2] == (3, 11) else "")')
OUT := runs/eight_schools

# The first target is what a bare `make` does: fit one small model and show where the picture is.
.DEFAULT_GOAL := demo
.PHONY: demo help test slow mutants fuzz arviz1 lint types docs links notebooks truths wheel installed clean

demo: .venv/.stamp-run  ## fit the eight schools beside NUTS, and write a picture: what a bare make does
	$(BIN)/amortized fit models/eight_schools.py --compare nuts --seed 0 --out $(OUT)
	@echo "picture: $(OUT)/posterior.png"

help:  ## this list
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /\1|/' | awk -F'|' '{printf "  %-11s%s\n", $$1, $$2}'

test: .venv/.stamp-dev  ## the fast suite, doctests too, on every core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

slow: .venv/.stamp-dev  ## the tests that take minutes: statistics of long runs, killed processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m slow

mutants: .venv/.stamp-dev  ## plant faults in a copy, one at a time; fails unless a test notices each
	$(BIN)/python benchmarks/mutants.py

COUNT := 2000
SEED := 0

fuzz: .venv/.stamp-dev  ## random Pyro programs against plain traces: make fuzz COUNT=200 SEED=7
	OMP_NUM_THREADS=1 $(BIN)/python -u -m tests.targets.fuzz --count $(COUNT) --seed $(SEED)

# ArviZ 1.x needs Python 3.12 and neither torch nor Pyro: the one module that reads it is tested alone.
arviz1: .venv-arviz1/.stamp  ## the one module that reads ArviZ, under ArviZ 1.x (Python 3.12)
	cd .venv-arviz1 && MPLBACKEND=agg bin/python -m pytest -q --noconftest -c /dev/null --rootdir . ../tests/results/test_arviz.py

.venv-arviz1/.stamp:
	$(PYTHON_FOR_ARVIZ1) -m venv .venv-arviz1
	.venv-arviz1/bin/python -m pip install --quiet 'arviz>=1' h5netcdf h5py pytest
	@touch $@

lint: .venv/.stamp-dev  ## ruff
	$(BIN)/ruff check .

types: .venv/.stamp-dev  ## pyright, on the package and benchmarks/
	$(BIN)/pyright

docs: .venv/.stamp-docs  ## the site, into docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "site: docs/_build/html/index.html"

links: .venv/.stamp-docs  ## links of the site that lead outside; needs a network
	$(BIN)/python -m sphinx -q -b linkcheck docs docs/_build/links

notebooks: .venv/.stamp-docs  ## run the site's notebooks anew, and keep their outputs
	OMP_NUM_THREADS=1 PYTHONWARNINGS='ignore:IProgress not found' $(BIN)/jupyter-execute --inplace docs/tutorials/*.ipynb

truths: .venv/.stamp-run  ## compute log Z of every file in models/ anew, beside what the file states
	$(BIN)/python benchmarks/truths.py

# AMORTIZED_ADDRESS=https://... gives the package page its links (hatch_build.py).
wheel: .venv/.stamp-dev  ## build the wheel and the source archive into dist/
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# The suite runs beside a copy of the files that tests read, with a link to the wheel's package in the place of the source.
INSTALLED := .venv-installed
installed: wheel  ## the fast suite on the wheel, in an empty environment: make installed PYTHON=python3.12
	rm -rf $(INSTALLED) && $(PYTHON) -m venv $(INSTALLED)
	$(INSTALLED)/bin/python -m pip install --quiet "$$(ls dist/*.whl)[dev]"
	mkdir $(INSTALLED)/clone && cp -r tests models docs benchmarks tutorials *.md *.toml *.cff *.py Makefile LICENSE $(INSTALLED)/clone
	cd $(INSTALLED)/clone && ln -s ../lib/python3*/site-packages/amortized amortized
	cd $(INSTALLED)/clone && OMP_NUM_THREADS=1 ../bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.stamp-run: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet $(PINS) -e .
	@touch $@

.venv/.stamp-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet $(PINS) -e '.[dev]'
	@touch $@ .venv/.stamp-run

.venv/.stamp-docs: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet $(PINS) -e '.[docs]'
	@touch $@ .venv/.stamp-run

clean:  ## remove .venv, runs and caches
	rm -rf .venv .venv-installed dist runs docs/_build .pytest_cache .ruff_cache
