# Every target sets up .venv by itself, once. SPMAT_PYTHON names another Python (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test lab notebooks assignments grade site lint bench clean

run: $(READY)
	$(BIN)/python tools/run_main_job.py

# the last lessons take longest and go first, so that both processes end together
LESSONS = $(shell ls -r notebooks/*.ipynb)

# one thread a process: two tests at a time with two threads each take twice as long
test: export OMP_NUM_THREADS := 1
test: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/python -m pytest tests -n 2
	SPMAT_PRESET=fast SPMAT_RUNS_DIR=$(CURDIR)/runs/nbval \
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --nbval-lax --nbval-current-env \
		--nbval-cell-timeout=300 --nbval-sanitize-with tests/sanitize.cfg -p no:cacheprovider $(LESSONS)

lab: $(READY)
	SPMAT_RUNS_DIR=$(CURDIR)/runs $(BIN)/python -m jupyterlab notebooks

notebooks: $(READY)
	$(BIN)/python tools/build_notebooks.py
	$(BIN)/python tools/write_tables.py
	$(BIN)/python tools/write_results.py
	$(BIN)/python tools/build_site.py

site: $(READY)
	$(BIN)/python tools/build_site.py

lint: $(READY)
	$(BIN)/ruff check --fix . && $(BIN)/ruff format . && $(BIN)/mypy

assignments: $(READY)
	$(BIN)/python tools/build_assignments.py

# make grade ASSIGNMENT=a2_gndn FROM=submissions  writes runs/grading/a2_gndn: grades.csv and feedback/
grade: $(READY)
	@test -n "$(ASSIGNMENT)" -a -n "$(FROM)" || { echo "make grade ASSIGNMENT=a2_gndn FROM=FOLDER"; exit 1; }
	$(BIN)/python tools/grade.py $(ASSIGNMENT) "$(FROM)"

bench: $(READY)
	$(BIN)/python benchmarks/graphs.py
	$(BIN)/python benchmarks/training.py

# torch first: packages that depend on it then take the build that is there instead of a larger one.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) runs .pytest_cache .ruff_cache .mypy_cache
