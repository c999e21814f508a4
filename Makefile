# RWM. Every target does its own set-up, as root or with sudo; `make help` lists them.

PYTHON ?= /usr/bin/python3
VENV   := venv
BIN    := $(VENV)/bin
# Where `make install` puts links to rwm and rwmfs, so that they work from any directory.
LINKS  ?= /usr/local/bin
# Where mount(8) looks for mount.rwmfs.
SBIN   ?= /sbin
# Arguments for pytest: make test ARGS="-k listing tests/unit"
ARGS   ?=
# Parallel tests: three for each of two cores, because they wait for servers, mounts and clocks as much as they compute.
JOBS   ?= 6

DEBIAN     := restic fuse3 libfuse3-dev pkg-config gcc python3-venv python3-dev awscli openssl
DEBIAN_DEV := $(DEBIAN) radosgw ceph-mon ceph-osd ceph-common curl chromium fonts-dejavu-core systemd
PACKAGING  := setup.cfg pyproject.toml
# Tests use the restic of Debian and this one. RESTIC_CURRENT=FILE uses another program, RESTIC_CURRENT= none.
NEWER      := $(VENV)/restic-current/restic

# The test gateway of rgw-up and rgw-down.
RGW_DIR  ?= $(or $(TMPDIR),/tmp)/rwm-rgw
RGW_PORT ?= 17480

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo collect test test-all coverage lint format bench rgw-up rgw-down \
        microceph-service runner clean system system-dev

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 26

# --- set-up ------------------------------------------------------------------------------------------

system:
	@scripts/debian-packages.sh $(DEBIAN)

system-dev:
	@scripts/debian-packages.sh $(DEBIAN_DEV)

$(BIN)/python: | system
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: $(PYTHON) is older than 3.11; set PYTHON=..." >&2; exit 1; }
	@echo "make: making $(VENV)/ with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

# Stamps: install again only if the dependencies have changed.
$(VENV)/.installed: $(PACKAGING) | system $(BIN)/python
	@echo "make: installing RWM and its Python packages (the first time about 200 MB)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.installed-dev: $(PACKAGING) $(VENV)/.installed | system-dev
	@echo "make: installing the Python packages for development"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.installed-bench: $(PACKAGING) $(VENV)/.installed
	@echo "make: installing the programs that RWM is compared with"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[bench]'
	@touch $@

$(NEWER): scripts/newer-restic.sh | system $(BIN)/python
	@scripts/newer-restic.sh $(@D)

ifneq ($(origin RESTIC_CURRENT),undefined)
.PHONY: $(NEWER)
endif

install: $(VENV)/.installed  ## Debian packages, venv/, rwm and rwmfs on the PATH, mount.rwmfs in /sbin
	@scripts/link-programs.sh $(LINKS) $(abspath $(BIN))/rwm $(abspath $(BIN))/rwmfs
	@if [ -w $(SBIN) ]; then scripts/link-programs.sh $(SBIN) $(abspath $(BIN))/mount.rwmfs; \
	 elif [ ! -e $(SBIN)/mount.rwmfs ]; then \
	   echo "make: for fstab and mount -t rwmfs, as root: ln -s $(abspath $(BIN))/mount.rwmfs $(SBIN)/"; fi

install-dev: install $(VENV)/.installed-dev $(NEWER)  ## what tests and lint need, including Ceph and a newer restic

# --- use ---------------------------------------------------------------------------------------------

demo: $(VENV)/.installed  ## back up, lose everything, mount a past state, restore: on an embedded S3 server
	@$(BIN)/rwm demo $(ARGS)

bench: $(VENV)/.installed-bench  ## measurements beside other tools (ARGS="--help" lists parts and sizes)
	@$(BIN)/python -m bench $(ARGS)

# --- development -------------------------------------------------------------------------------------

PYTEST := pytest --numprocesses $(JOBS) --dist loadgroup
# Python starts many times here; what it compiles is kept.
unexport PYTHONDONTWRITEBYTECODE

# Compiling takes longer than collecting. Processes that start at once would each do it.
collect: $(VENV)/.installed-dev  ## find and compile all tests, as the first run does
	@found=$$($(BIN)/python -m pytest --collect-only -qq) || { printf '%s\n' "$$found"; exit 1; }

test: $(VENV)/.installed-dev $(NEWER)  ## all tests but the slow ones (ARGS="..." goes to pytest)
	@$(BIN)/python -m $(PYTEST) -m "not slow" $(ARGS)

test-all: $(VENV)/.installed-dev $(NEWER)  ## all tests, as CI runs them
	@$(BIN)/python -m $(PYTEST) $(ARGS)

coverage: $(VENV)/.installed-dev $(NEWER)  ## all tests, measured: fails under 95 %
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m $(PYTEST) $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

lint: $(VENV)/.installed-dev  ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict rwm rwmfs tests bench
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/.installed-dev  ## format the code with ruff
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

rgw-up: | system-dev  ## start a Ceph gateway on loopback (RGW_DIR, RGW_PORT, STORE=memstore)
	@scripts/rgw-up.sh $(RGW_DIR) $(RGW_PORT)

rgw-down:  ## stop it (ARGS=--wipe removes its data)
	@scripts/rgw-down.sh $(RGW_DIR) $(ARGS)

microceph-service:  ## MicroCeph from snap with admin, user1 and user2, for hosts that have snap
	@scripts/microceph-service.sh

runner:  ## a GitLab runner on this host: make runner RUNNER_URL=... RUNNER_TOKEN=...
	@scripts/runner.sh

clean:  ## remove venv/ and all files made by tools
	@rm -rf $(VENV) build dist *.egg-info htmlcov .coverage .coverage.* coverage.xml \
	  .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
