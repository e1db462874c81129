# Two commands: `make up` shows the main job on a real study, `make test` passes all tests. Both start from nothing.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
# two workers; each has a stack of its own, and one has all tests that share one (tests/e2e/conftest.py)
E2E    ?= -n 2 --dist loadfile
STORY  := tests/e2e/test_rollout_story.py tests/e2e/test_rollout_demo.py# alone: their callers take both cores
# pip, not uv: a CPU wheel of torch may lie where only pip looks
PIP    := PYTHONWARNINGS=ignore $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help up down status rollout-demo test test-fast test-slow lint type format bench train clean
help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml
	@echo "creating $(VENV) (some minutes the first time)"
	@test -x $(BIN)/python || $$(command -v $(PYTHON) || command -v python3) -m venv $(VENV)
	@$(PIP) install --upgrade pip
	@$(PIP) install -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@$(PIP) install -e '.[dev]'
	@touch $@

$(VENV)/.debian:
	@deploy/debian-packages orthanc orthanc-dicomweb orthanc-python dcmtk postgresql chromium prometheus systemd docker-compose
	@mkdir -p $(VENV) && touch $@

up: $(VENV)/.installed ## start the embedded stack and read a real study
	@$(BIN)/serinus up

rollout-demo: up ## three rollouts on the running stack: one promoted, one stopped in the shadow, one sent back
	@$(BIN)/serinus rollout demo

down: ## stop what `make up` started
	@test ! -x $(BIN)/serinus || $(BIN)/serinus down

status: $(VENV)/.installed ## versions, health, queue, addresses
	@$(BIN)/serinus status

test: test-fast test-slow ## everything (installs Orthanc, dcmtk, Chromium and Prometheus from Debian when missing)

test-fast: $(VENV)/.dev ## unit tests: no Ray, no sockets, no sleep
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit -q -n 2 --dist worksteal

test-slow: $(VENV)/.dev $(VENV)/.debian ## integration and end-to-end tests on real servers
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/integration -q -n 2 --dist loadfile --durations=15
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/e2e $(STORY:%=--ignore %) -q $(E2E) --durations=40
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(STORY) -q --durations=5

lint: $(VENV)/.dev ## ruff, and the strict check of serve_config.yaml
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/serinus check-config serve_config.yaml

type: $(VENV)/.dev ## mypy, strict
	@$(BIN)/mypy

format: $(VENV)/.dev
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(VENV)/.dev $(VENV)/.debian ## the benchmarks of benchmarks/README.md
	@$(BIN)/python -m benchmarks

train: $(VENV)/.dev ## train the haemorrhage models again from their seeds
	@$(BIN)/python -m models.zoo.ich.train

clean: down
	@rm -rf .serinus .pytest_cache .mypy_cache .ruff_cache .hypothesis
