# `make demo` runs the main job, `make test` passes the tests. Slow things are cached in $(CACHE), outside the tree.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check test-unit test-trainer test-cluster bench-memory bench-preprocessing bench-startup bench-storage bench-trainer up down venv lock crds format

CACHE ?= $(or $(SKIPJACK_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/skipjack)
export SKIPJACK_CACHE := $(CACHE)
PYTHON ?= python3
UV := $(CACHE)/uv-$(shell sha256sum requirements/uv.txt | cut -c1-12)/bin/uv
export SKIPJACK_UV := $(UV)
VENV := .venv
VENV_STAMP := $(VENV)/stamp-$(shell cat requirements/dev.txt | sha256sum | cut -c1-12)
RUN := $(VENV)/bin/python

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: up  ## set up what is missing, bring a cluster up, install Skipjack, train the example, show the result
	$(RUN) -m tests.demo

test: check test-unit test-trainer test-cluster  ## everything

check: venv  ## lint, types and layers
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	PYTHONPATH=operator/src:trainer-image/src $(VENV)/bin/lint-imports

test-unit: venv  ## the pure core and the edges, without a cluster, in seconds
	$(RUN) -m pytest -m "not cluster" tests/unit tests/property tests/cluster --cov --cov-report=term:skip-covered --cov-fail-under=95

test-trainer: venv  ## the trainer on tiny models, without a cluster, in minutes
	$(RUN) -m pytest -m "not cluster" -n 2 --dist loadfile tests/trainer

test-cluster: up  ## everything that needs a cluster
	$(RUN) -m pytest -m cluster tests

bench-preprocessing: venv  ## chat rows that a core prepares in a minute
	PYTHONPATH=operator/src:trainer-image/src $(RUN) -m tests.bench.preprocessing

bench-memory: venv  ## the memory that preparing data takes, over growing inputs
	PYTHONPATH=operator/src:trainer-image/src $(RUN) -m tests.bench.memory

bench-startup: venv  ## from a process's start to its first step
	PYTHONPATH=operator/src:trainer-image/src $(RUN) -m tests.bench.startup

bench-storage: .venv-bench-storage  ## object stores beside their protocols' own clients; BENCH="--mib 256 --schemes s3" for less
	PYTHONPATH=operator/src:trainer-image/src .venv-bench-storage/bin/python -m tests.bench.storage $(BENCH)

bench-trainer: .venv-bench-trainer  ## the trainer beside TRL's and transformers'; BENCH="--device gpu --shape llama-1b --method LoRA" for one case
	PYTHONPATH=operator/src:trainer-image/src .venv-bench-trainer/bin/python -m tests.bench.trainer $(BENCH)

up: venv  ## bring a cluster up, or bring it up to date; NODES=2 for a second node, NODES=1 to take it away again
	$(PYTHON) -m tests.cluster up $(if $(NODES),--nodes $(NODES))

down:  ## take the cluster down and leave nothing behind but caches
	$(PYTHON) -m tests.cluster down

venv: $(VENV_STAMP)

$(UV):
	$(PYTHON) -m venv $(@:/bin/uv=)
	$(dir $@)pip install --quiet --require-hashes -r requirements/uv.txt

$(VENV_STAMP): $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(VENV)
	$(UV) pip install --quiet --require-hashes --python $(RUN) -r requirements/dev.txt
	touch $@

.venv-bench-%: requirements/bench-%.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $@
	$(UV) pip install --quiet --require-hashes --python $@/bin/python -r $<
	touch $@

lock: $(UV)  ## pin what requirements/*.in ask for
	for name in uv dev; do $(UV) pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-annotate --no-header requirements/$$name.in -o requirements/$$name.txt; done
	$(UV) pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-annotate --no-header requirements/bench-storage.in -o requirements/bench-storage.txt
	for name in operator trainer bench-trainer; do $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -c requirements/dev.txt requirements/$$name.in -o requirements/$$name.txt; done

crds: venv  ## generate crds/, the chart's copy and docs/reference.md from the models
	$(RUN) crds/generate.py

format: venv  ## put the code into its form
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .
