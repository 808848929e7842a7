# Everything a contributor or a user runs. `make` alone prints this list.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAYS ?= 5000
SEED ?= 0
SOURCE ?= synthetic:$(STAYS),$(SEED)
OUT ?= runs/default
JOBS ?= auto
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run notebook test lint typecheck format bench bench-attack bench-data bench-prediction bench-training docs lock wheel clean

help: ## Print this list
	@echo "Usage: make TARGET [NAME=value ...]"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-17s %s\n", $$1, $$2}'

setup: $(VENV)/.run ## Make the virtual environment .venv with all that the stages need
setup-dev: $(VENV)/.dev ## The same, with the tools for tests, linting and builds

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Locked versions, checked by hash. torch comes apart from the rest, because its CUDA builds need packages
# that its CPU build does not.
$(VENV)/.run: requirements/run.txt requirements/torch.txt requirements/cuda.txt pyproject.toml | $(BIN)/python
	$(BIN)/python requirements/install.py run
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(BIN)/python requirements/install.py dev
	@touch $@

run: setup ## The main job: all seven stages, to a report (SOURCE=, OUT=, STAYS=, SEED=, ARGS=)
	$(BIN)/lstm-aa run --source $(SOURCE) --out $(OUT) $(ARGS)

notebook: setup ## Execute the walkthrough, with its figures, to build/walkthrough.ipynb (ARGS= for its switches)
	$(BIN)/python notebooks/execute.py $(ARGS)

test: setup-dev ## All tests, in JOBS= processes at once (ARGS= for pytest)
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup-dev ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: setup-dev ## Check types
	$(BIN)/mypy

format: setup-dev ## Mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup-dev ## Time the attack's loop against its limit
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_attack_step.py

bench-attack: setup-dev ## Attack beside other libraries, and the attack's loop against its limit (PEERS=folder, ARGS=)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_attack.py $(if $(PEERS),--peers $(PEERS)) $(ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_attack_step.py

bench-data: setup-dev ## Time loading, extraction and preprocessing against their yardsticks (ARGS=)
	$(BIN)/python benchmarks/bench_data.py $(ARGS)
	$(BIN)/python benchmarks/bench_preprocess.py

bench-prediction: setup-dev ## Cross-validate the LSTM beside baselines on Challenge 2012 set-a (ARGS=)
	$(BIN)/python benchmarks/bench_prediction.py $(ARGS)

bench-training: setup-dev ## Time training against a bare loop, and tuning with two workers against one
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_training.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_tune.py

docs: setup-dev ## Build the documentation site into build/docs, warnings being errors
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --builder html docs build/docs

lock: setup-dev ## Resolve the lock files under requirements/ anew
	$(BIN)/python requirements/lock.py

wheel: setup-dev ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

clean: ## Remove the virtual environment, builds and caches (runs/ stays)
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
