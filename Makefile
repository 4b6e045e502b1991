# Each target sets the environment up by itself; `make run` and `make test` are all a newcomer needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SOURCE ?= world
PRESET ?= tiny
GPR_HOME ?= var/$(SOURCE)-$(PRESET)
READY := $(VENV)/.ready
# pydoclint ships another `docstring_parser` than kfp does: the two cannot share an environment.
LINT := $(VENV)/lint/bin
LINT_READY := $(VENV)/lint/.ready

.PHONY: help setup run test lint e2e claims render clean

help:  ## show the targets
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## make .venv with everything pinned

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt "setuptools" "wheel" "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
	  --constraint constraints.txt --editable ".[airflow,kubeflow,dev]"
	@touch $(READY)

$(LINT_READY): $(READY)
	$(PYTHON) -m venv $(VENV)/lint
	$(LINT)/python -m pip install --quiet --disable-pip-version-check pydoclint==0.12.0
	@touch $(LINT_READY)

run: $(READY)  ## fill a lake and run the eight steps; SOURCE=world|movielens PRESET=tiny|micro
	$(BIN)/gpr lake fill --source $(SOURCE) --preset $(PRESET) --home $(GPR_HOME)
	$(BIN)/gpr run --home $(GPR_HOME)

# Files start in the order of tests/conftest.py: by number of tests, few long ones would come last.
test: $(READY)  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY) $(LINT_READY)  ## format, style, types, docstrings, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy gpr_core components data_contracts dags
	$(LINT)/pydoclint --quiet gpr_core components data_contracts dags
	$(BIN)/lint-imports
	$(BIN)/gpr render --check
	$(BIN)/gpr contracts lint

e2e: $(READY)  ## run the preset tiny on both sources, and two consecutive days
	$(BIN)/python -m pytest -m e2e

claims: $(READY)  ## run the slow statistical studies
	@$(BIN)/python -m pytest -m claim; code=$$?; \
	  if [ $$code -eq 5 ]; then echo "no test carries the marker claim yet"; else exit $$code; fi

render: $(READY)  ## write dvc.yaml, params.yaml and the Kubeflow pipeline from the registry
	$(BIN)/gpr render

clean:  ## remove everything that runs have made, and the environment
	rm -rf var artifacts metrics plots reports scratch $(VENV) build *.egg-info
