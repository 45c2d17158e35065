# Needs make and Python 3.11 to 3.14. Everything goes into .venv; nothing outside of the checkout is written but pip's own cache.
#   make test ARGS='-k trace_id'      arguments of the command behind a target
#   make test PYTHON=python3.13       another Python; .venv is made anew when it changes
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
WORKERS ?= 4  # of the tests; half of them wait for brokers most of the time

RUN := $(VENV)/bin
PIP := $(RUN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
MADE := $(VENV)/made-by-$(subst /,_,$(PYTHON))
INPUTS := pyproject.toml constraints.txt

.PHONY: help install demo test lint bench fuzz torture torture-alerts simulate soak clean
.DELETE_ON_ERROR:

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

install: $(VENV)/base  ## tracebraid into .venv, as an editable install
	@echo "installed: $(RUN)/tracebraid"

demo: $(VENV)/base  ## a simulated shop on an embedded broker, through all of tracebraid
	@$(RUN)/tracebraid demo $(ARGS)

test: $(VENV)/test  ## the tests; those that need a broker, Go or captures are skipped by name where there are none
	@$(RUN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/lint  ## formatting, lint and types
	@$(RUN)/ruff format --check .
	@$(RUN)/ruff check .
	@$(RUN)/mypy

bench: $(VENV)/test  ## the measurements
	@$(RUN)/python -m benchmarks $(ARGS)

fuzz: $(VENV)/test  ## compiled walkers against the reference decoders on 2 million inputs; ARGS='--bounds', ARGS='--mode objects', ARGS='--mode others'
	@$(RUN)/python -m tests.fuzz $(ARGS)

torture: $(VENV)/test  ## consumers of a real broker killed at every step, for about 20 minutes; ARGS='--kills 50 --seed 7'
	@$(RUN)/python -m tests.torture $(ARGS)

torture-alerts: $(VENV)/test  ## ingest, detect and explain killed 100 times; alerts and evidence beside those of an undisturbed run; for about 10 minutes
	@$(RUN)/python -m tests.torture.alerts $(ARGS)

simulate: $(VENV)/test  ## 10,000 seeds of the whole flow in a virtual world; ARGS='--seed 7' tells one
	@$(RUN)/python -m tests.simulation $(ARGS)

soak: $(VENV)/test  ## one process at a steady rate for an hour: does anything grow? ARGS='--minutes 10'
	@$(RUN)/python -m benchmarks.soak $(ARGS)

clean:  ## remove .venv, caches and builds
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# An environment is of one Python: asked for another, it is made anew. Its own setuptools builds us, so that the build is pinned too.
$(MADE):
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here: install Python 3.11 to 3.14 (Debian: apt install python3), or name one: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null || { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1 | head -n 1); tracebraid needs 3.11 to 3.14: name another, as in make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module: install it (Debian: apt install python3-venv) and run make again" >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/base: $(MADE) $(INPUTS)
	@echo "installing tracebraid into $(VENV)"
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/test $(VENV)/lint: $(VENV)/base
	@echo "installing what $(@F) needs"
	@$(PIP) --no-build-isolation --editable '.[$(@F)]'
	@touch $@
