# The entry points a newcomer needs. Each sets up .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: checkup test lint verify bench docs clean

checkup: .venv/installed  ## the main job on the shipped digits: findings, and checkup.html
	$(BIN)/relucid checkup --html checkup.html

test: .venv/installed
	# Bytecode is kept, whatever the shell says: 60 tests start processes that import the package.
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

verify: .venv/installed  ## every float32 input of every function; an hour, resumable
	$(BIN)/relucid verify

bench: .venv/installed  ## speed beside PyTorch, torch.compile, JAX, NumPy; half an hour, resumable
	$(BIN)/relucid bench --json benchmarks/results

docs: .venv/installed  ## rewrite the generated pages
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/rules.py
	$(BIN)/python docs/speed.py
	PYTHONPATH=tests $(BIN)/python docs/accuracy.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv checkup.html
