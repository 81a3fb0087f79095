# `make demo` and `make test` need nothing but Python 3.11 and make: each makes .venv first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROFILE ?= simulated

.DEFAULT_GOAL := help

help: ## Show these targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(READY) ## Make .venv with the pinned versions

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,data]'
	@touch $@

demo: $(READY) ## Simulate a log, run the whole graph, explain a ranking
	$(BIN)/exit-pipeline demo

ui: $(READY) ## Open the Dagster UI with its daemon (PROFILE=simulated)
	$(BIN)/exit-pipeline ui --profile $(PROFILE)

serve: $(READY) ## Rank over HTTP on port 8000, after `make demo` (PROFILE=simulated)
	$(BIN)/exit-pipeline serve --profile $(PROFILE)

# In order of folders: the longest files come first, and the many short ones fill up the end.
test: $(READY) ## Run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY) ## Check style, imports and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY) ## Measure against floors and peers (`.venv/bin/exit-pipeline bench scale` takes hours, run it by hand)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	for name in labels features validation training serving pipeline; do $(BIN)/exit-pipeline bench $$name --json || exit 1; done

clean: ## Remove all state (.exit); keep .venv
	rm -rf .exit

.PHONY: help setup demo ui serve test lint bench clean
