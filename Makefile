# Needs Python 3.11 or newer and make; everything else goes into .venv. `make help` lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check lint types bench setup lock audit clean

# The newest interpreter that has wheels for every locked package comes first. A name on the PATH is not enough
# (version managers leave shims that only print an error), so each candidate is asked.
CANDIDATES := python3.13 python3.12 python3.11 python3 python
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	echo $$p; break; fi; done)

VENV := .venv
VENV_BENCH := .venv-bench
PY := $(VENV)/bin/python
# pip's own chatter is noise here; its errors still show.
PIP_FLAGS := --quiet --disable-pip-version-check --no-input
SETUP_INPUTS := requirements.lock pyproject.toml .ci/locked.py

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

demo: $(VENV)/ready  ## route parents on the embedded simulated venue and show what they cost
	@$(VENV)/bin/sor demo

test: $(VENV)/ready  ## run the tests
	$(PY) -m pytest

check: lint types test  ## everything that must hold before a commit: lint, types, tests

lint: $(VENV)/ready  ## ruff: rules and formatting
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(VENV)/ready  ## mypy, strict
	$(PY) -m mypy

bench: $(VENV_BENCH)/ready  ## measure against the peers, in an environment of their own
	$(VENV_BENCH)/bin/python -m benchmarks

setup: $(VENV)/ready  ## only make the environment

# A second environment, so that running the tests never installs the peers.
$(VENV)/ready: EXTRAS := dev fast trio lab
$(VENV_BENCH)/ready: EXTRAS := dev fast trio sweep bench

$(VENV)/ready $(VENV_BENCH)/ready: $(SETUP_INPUTS)
	@if [ -z "$(PYTHON)" ]; then \
	echo "sor needs Python 3.11 or newer with venv and ensurepip; none of: $(CANDIDATES) is one." >&2; \
	echo "Install one, or name it: make PYTHON=/path/to/python3 ..." >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "$(PYTHON) is older than 3.11; sor needs Python 3.11 or newer." >&2; exit 1; }
	@if ! $(@D)/bin/python -c 'import pip' >/dev/null 2>&1; then \
	echo "[1/3] making $(@D) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(@D); fi
	@echo "[2/3] installing the locked dependencies into $(@D) (a minute when nothing is cached)"
	@$(@D)/bin/python .ci/locked.py $(EXTRAS) > $(@D)/wanted.txt
	@$(@D)/bin/python -m pip install $(PIP_FLAGS) --require-hashes -r $(@D)/wanted.txt
	@echo "[3/3] installing sor itself, editable"
	@$(@D)/bin/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .
	@touch $@

# uv resolves for every platform and interpreter at once, which pip cannot; it is needed only here. The header and the
# annotations are off because they would record the command line and the index of whoever ran it.
lock:  ## resolve requirements.lock anew from pyproject.toml
	@[ -x .venv-lock/bin/uv ] || { $(PYTHON) -m venv --clear .venv-lock && .venv-lock/bin/python -m pip install $(PIP_FLAGS) uv; }
	.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-header --annotation-style line --no-emit-index-url --no-emit-find-links --all-extras $(LOCK_FLAGS) \
	pyproject.toml --output-file requirements.lock

# A package that could not be looked up is a failure and not a pass. Needs the network, so CI does not run it.
audit:  ## ask the advisory database about everything in requirements.lock, for five minutes at most
	@[ -x .venv-audit/bin/pip-audit ] || { $(PYTHON) -m venv --clear .venv-audit && \
	.venv-audit/bin/python -m pip install $(PIP_FLAGS) --timeout 15 --retries 1 pip-audit; } || \
	{ echo "audit: the tool (pip-audit) could not be installed, so nothing is known" >&2; exit 3; }
	@$(PYTHON) .ci/audit.py .venv-audit/bin/pip-audit

clean:  ## remove the environments, caches and built files
	rm -rf $(VENV) $(VENV_BENCH) .venv-lock .venv-audit build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
