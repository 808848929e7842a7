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
CLUSTER ?= gpu
PIPELINE ?= train-and-attack
PARAMS ?= $(if $(filter train-and-attack,$(PIPELINE)),smoke)
# Of images: cpu runs everywhere; cuda is for stages on NVIDIA GPUs, and downloads gigabytes.
ACCELERATOR ?= cpu
REGISTRY ?=
BASE_IMAGE ?=
WHEELS ?=
SOURCE_URL ?=
PLATFORM ?=
BUILD_ARGS ?=

IMAGE_OPTIONS = --accelerator $(ACCELERATOR) --registry "$(REGISTRY)" --base "$(BASE_IMAGE)" \
	$(if $(WHEELS),--wheels "$(WHEELS)") --source "$(SOURCE_URL)" --platform "$(PLATFORM)" $(BUILD_ARGS)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run notebook test lint typecheck format bench bench-attack bench-data bench-prediction bench-training docs lock wheel clean \
	compile goldens submit schedule images push sbom image-table test-containers

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
	if command -v shellcheck >/dev/null; then shellcheck images/install.sh .ci/run; fi

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

SUBMIT = $(BIN)/python -m pipelines.submit $(if $(HOST),--host "$(HOST)") --pipeline $(PIPELINE) --cluster "$(CLUSTER)" \
	$(if $(PARAMS),--params "$(PARAMS)")

compile: setup-dev ## Compile the Kubeflow pipelines to build/pipelines (CLUSTER=gpu, cpu or a file; REGISTRY=)
	$(BIN)/python -m pipelines.compile --cluster "$(CLUSTER)" $(if $(REGISTRY),--registry "$(REGISTRY)")

goldens: setup-dev ## Compile the packages in pipelines/compiled anew, which the tests hold against the code
	$(BIN)/python -m pipelines.compile --golden --cluster gpu
	$(BIN)/python -m pipelines.compile --golden --cluster cpu

submit: setup-dev ## Start a run on Kubeflow (HOST=, PARAMS=, PIPELINE=, CLUSTER=, ARGS=; the token in KFP_TOKEN)
	$(SUBMIT) $(ARGS)

schedule: setup-dev ## The same again and again (CRON="0 0 2 * * 1", seconds first)
	$(SUBMIT) --schedule "$(CRON)" $(ARGS)

docs: setup-dev ## Build the documentation site into build/docs, warnings being errors
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --builder html docs build/docs

lock: setup-dev ## Resolve the lock files under requirements/ anew
	$(BIN)/python requirements/lock.py

wheel: setup-dev ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

images: ## Build the stages' images (ACCELERATOR=cpu|cuda, REGISTRY=, PLATFORM=, WHEELS=folder); image-STAGE builds one
	$(PYTHON) -m images.build images $(IMAGE_OPTIONS)

image-%:
	$(PYTHON) -m images.build images --stage $* $(IMAGE_OPTIONS)

push: setup-dev ## Push the images that were built, and lock their digests (REGISTRY=host:5000/team)
	$(BIN)/python -m images.build push --registry "$(REGISTRY)"

sbom: setup-dev ## List what is in the images that were built, into build/sbom
	$(BIN)/python -m images.sbom

image-table: setup-dev ## Size, packages and start time of the images that were built (ARGS=)
	$(BIN)/python -m images.table $(ARGS)

test-containers: setup-dev ## Build the images and run them hardened, by an engine of their own if none answers (ARGS=)
	$(BIN)/python -m pytest tests/containers $(ARGS)

clean: ## Remove the virtual environment, builds and caches (runs/ stays)
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
