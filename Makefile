# The project's habits. Everything runs in .venv, which is made when it is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIPEMON_CACHE ?= $(CURDIR)/.cache
# The tests start hundreds of processes: none should compile pipemon anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup test lint golden bench demo pictures

help: ## List these habits
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Make .venv with everything in it

# Python compiles what it imports; most of what is installed it never does.
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --editable '.[all,dev]'
	@touch $@

test: setup ## Run all tests: unit, golden, promtool, real servers, the demo's script, dashboards in a browser
	$(BIN)/pytest --numprocesses 4 --dist worksteal

lint: setup ## Check style, types and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

golden: setup ## Write the generated files that tests compare with; review the diff
	PIPEMON_GOLDEN=write $(BIN)/pytest -q tests/generate/test_golden.py tests/generate/test_edge.py -k reviewed

bench: setup ## Measure what monitoring costs, beside its peers; PART=calls for one part
	$(BIN)/python -m benchmarks $(PART)

demo: setup ## Play the speech cascade with faults, from the decorator to the notification
	$(BIN)/pipemon demo --cache $(PIPEMON_CACHE)

pictures: setup ## Draw the dashboards of README and docs from the running example
	$(BIN)/python -m pictures
