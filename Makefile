# `make demo` and `make test` need Python >= 3.10 and nothing else: both create .venv on the first call.
PYTHON ?= python3
PYTHON_FOR_ARVIZ1 ?= python3.12
BIN := .venv/bin
# The pins are for the Python that we test on; on any other, pip resolves the ranges of pyproject.toml.
PINS = $(shell $(BIN)/python -c 'import sys; print("-c constraints.txt" if sys.version_info[:2] == (3, 11) else "")')
OUT := runs/eight_schools

.PHONY: demo test slow mutants fuzz arviz1 lint types truths clean

demo: .venv/.stamp-run
	$(BIN)/amortized fit models/eight_schools.py --compare nuts --seed 0 --out $(OUT)
	@echo "picture: $(OUT)/posterior.png"

test: .venv/.stamp-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

slow: .venv/.stamp-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m slow

# Plants faults in a copy of the package, one at a time, and fails unless a test notices each: by hand, minutes.
mutants: .venv/.stamp-dev
	$(BIN)/python benchmarks/mutants.py

# Random Pyro programs against plain traces, each kind of mismatch as runnable source: make fuzz COUNT=200 SEED=7
COUNT := 2000
SEED := 0

fuzz: .venv/.stamp-dev
	OMP_NUM_THREADS=1 $(BIN)/python -u -m tests.targets.fuzz --count $(COUNT) --seed $(SEED)

# ArviZ 1.x needs Python 3.12 and neither torch nor Pyro: the one module that reads it is tested alone.
arviz1: .venv-arviz1/.stamp
	cd .venv-arviz1 && MPLBACKEND=agg bin/python -m pytest -q --noconftest -c /dev/null --rootdir . ../tests/results/test_arviz.py

.venv-arviz1/.stamp:
	$(PYTHON_FOR_ARVIZ1) -m venv .venv-arviz1
	.venv-arviz1/bin/python -m pip install --quiet 'arviz>=1' h5netcdf h5py pytest
	@touch $@

lint: .venv/.stamp-dev
	$(BIN)/ruff check .

types: .venv/.stamp-dev
	$(BIN)/pyright

truths: .venv/.stamp-run
	$(BIN)/python benchmarks/truths.py

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.stamp-run: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet $(PINS) -e .
	@touch $@

.venv/.stamp-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet $(PINS) -e '.[dev]'
	@touch $@ .venv/.stamp-run

clean:
	rm -rf .venv runs .pytest_cache .ruff_cache
