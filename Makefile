# `make demo` and `make test` do all the set-up a fresh machine needs; the second call only does the work.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DEMO_OUT ?= demo-output
PYTEST ?= $(BIN)/python -m pytest -n 2

# The first interpreter that runs and is new enough (a name on the PATH may be a shim that runs nothing).
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)

# What a window without a screen needs (viewer tests).
VIEWER_PACKAGES := xvfb xauth libgl1 libegl1 libglib2.0-0 libdbus-1-3 libfontconfig1 libxkbcommon-x11-0 \
	libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0
# What a SLURM on this machine needs (cluster tests, which need root too: a user's laptop is left without).
CLUSTER_PACKAGES := $(if $(filter 0,$(shell id -u)),slurmctld slurmd slurm-client munge)

.PHONY: help
help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then echo "no Python >= 3.11 found; install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { $(call apt_install,python3-venv); } || true
	@echo "creating $(VENV) with $$("$(PYTHON)" --version)" >&2
	@"$(PYTHON)" -m venv $(VENV)

# Each stamp is newer than the files that say what to install.
$(VENV)/.stamp-base: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing the package (about a minute the first time)" >&2
	@$(PIP) install -c constraints.txt -e "."
	@touch $@

$(VENV)/.stamp-test: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing the package and the test tools (about a minute the first time)" >&2
	@$(PIP) install -c constraints.txt -e ".[test]"
	@touch $@ $(VENV)/.stamp-base

$(VENV)/.stamp-docs: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing the package and what builds the guide (about a minute the first time)" >&2
	@$(PIP) install -c constraints.txt -e ".[docs]"
	@touch $@ $(VENV)/.stamp-base

define apt_install
	if [ "$$(id -u)" = 0 ]; then as=; elif sudo -n true 2>/dev/null; then as=sudo; else as=none; fi; \
	if [ "$$as" = none ] || ! command -v apt-get >/dev/null; then false; else \
	export DEBIAN_FRONTEND=noninteractive; $$as apt-get update -qq && \
	$$as apt-get install -y -qq --no-install-recommends $(1) >/dev/null; fi
endef

define install_missing
	missing=""; for p in $(1); do \
		[ "$$(dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null)" = installed ] || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
		echo "installing system packages for the $(2) tests:$$missing" >&2; \
		{ $(call apt_install,$$missing); } || echo "could not install them; $(2) tests need:$$missing" >&2; \
	fi
endef

# Never fails: tests that need a window or a SLURM skip and say so where it cannot be had.
$(VENV)/.stamp-system: Makefile | $(BIN)/python
	@$(call install_missing,$(VIEWER_PACKAGES),viewer)
	@$(call install_missing,$(CLUSTER_PACKAGES),cluster)
	@touch $@

.PHONY: setup
setup: $(VENV)/.stamp-test ## .venv with the package and the test tools

.PHONY: demo
demo: $(VENV)/.stamp-base ## denoise a real MUSE line cube and a simulated ALMA observation
	@$(BIN)/denoise demo $(DEMO_OUT) --overwrite

.PHONY: test
test: $(VENV)/.stamp-test $(VENV)/.stamp-system ## the test suite (at most 12 minutes on 2 cores)
	$(PYTEST)

.PHONY: lint
lint: $(VENV)/.stamp-test ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.stamp-test ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# On a virtual screen: the pictures have the same size on every machine.
.PHONY: screenshots
screenshots: $(VENV)/.stamp-test $(VENV)/.stamp-system ## pictures of the viewer into docs/pictures
	xvfb-run -a -s "-screen 0 1600x1000x24" $(BIN)/python docs/screenshots.py

# A wrong link or reference is an error.
.PHONY: docs
docs: $(VENV)/.stamp-docs ## the guide and reference as HTML into docs/_build; notebooks are run, if they changed
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

.PHONY: generated
generated: $(VENV)/.stamp-base ## write again what README and the indexes of pipelines/ and models/ take from the code
	$(BIN)/python docs/from_code.py

.PHONY: pictures
pictures: $(VENV)/.stamp-test ## the picture of before and after into docs/pictures (a minute)
	$(BIN)/python docs/pictures.py

.PHONY: benchmark-figure
benchmark-figure: $(VENV)/.stamp-test ## the figure of the benchmark into docs/pictures (half an hour on 2 cores)
	$(BIN)/python docs/pictures.py benchmark

.PHONY: wheel
wheel: $(VENV)/.stamp-base ## build the wheel into dist/
	@$(PIP) wheel --no-deps -w dist .

# The wheel alone, in an environment of its own, away from the checkout.
.PHONY: wheel-check
wheel-check: $(VENV)/.stamp-system ## build the wheel, install it in a clean environment, run it there
	@rm -rf dist $(VENV)-wheel
	@$(MAKE) --no-print-directory wheel
	@$(BIN)/python -m venv $(VENV)-wheel
	@$(VENV)-wheel/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt dist/*.whl
	@dir=$$(mktemp -d) && py="$$PWD/$(VENV)-wheel/bin/python" && bin="$$PWD/$(VENV)-wheel/bin" && \
		test="$$PWD/tests/wheel_check.py" && cd "$$dir" && "$$py" -I "$$test" && "$$bin/denoise" --version && \
		"$$bin/denoise" methods && rm -rf "$$dir"
	@$(VENV)-wheel/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt "$$(ls dist/*.whl)[gui]"
	@dir=$$(mktemp -d) && py="$$PWD/$(VENV)-wheel/bin/python" && test="$$PWD/tests/wheel_viewer_check.py" && cd "$$dir" && \
		xvfb-run -a -s "-screen 0 1600x1000x24" "$$py" -I "$$test" && rm -rf "$$dir"
	@rm -rf $(VENV)-wheel

.PHONY: test-full
test-full: $(VENV)/.stamp-test $(VENV)/.stamp-system ## everything: long studies, the examples of the guide and the wheel too
	$(PYTEST) -m "full or not full"
	$(MAKE) --no-print-directory lint docs wheel-check

.PHONY: clean
clean: ## remove the environment and everything generated
	rm -rf $(VENV) $(VENV)-wheel dist build docs/_build docs/notebooks $(DEMO_OUT) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
