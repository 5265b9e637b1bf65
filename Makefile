# The commands a contributor needs; `make help` lists them. They need Python 3.11+ and make alone.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Interpreters that pyenv manages are found without being active. The newest is preferred.
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
PYENV_BIN := $(wildcard $(PYENV)/3.1[1-3].*/bin)
EMPTY :=
SPACE := $(EMPTY) $(EMPTY)
PYTHONS := $(PYTHON) \
	$(foreach version,3.13 3.12 3.11,python$(version) $(wildcard $(PYENV)/$(version).*/bin/python3)) python3

define FIND_PYTHON
python=; for candidate in $(PYTHONS); do \
	if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		python=$$candidate; break; \
	fi; \
done; \
if [ -z "$$python" ]; then \
	echo "Pegboard needs Python 3.11 or newer, and none of these is: $(PYTHONS)." >&2; \
	echo "Install one, or name it: make $(firstword $(MAKECMDGOALS) run) PYTHON=/path/to/python3" >&2; exit 1; \
fi; \
if ! "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	echo "$$python lacks its venv module (on Debian and Ubuntu: the package python3-venv)." >&2; \
	exit 1; \
fi
endef

# What is compiled when it is first imported need not be compiled before.
PIP_INSTALL := -m pip install -qq --no-compile --disable-pip-version-check --constraint constraints.txt
TOX := PATH="$(PATH):$(subst $(SPACE),:,$(PYENV_BIN))" .tools/bin/python -m tox

# Runs all environments, or those of the options, and says at the end how many tests passed.
define RUN
.tools/bin/python tools/summary.py --clear; status=0; \
$(TOX) run-parallel --parallel auto $(OPTIONS) || status=$$?; \
.tools/bin/python tools/summary.py; exit $$status
endef

PROJECTS := $(wildcard core/pyproject.toml plugins/*/pyproject.toml)
PLUGINS := $(patsubst plugins/%/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))

export PEGBOARD_ENV ?= development
export DATABASE_URL ?= sqlite:///$(CURDIR)/instance/pegboard.db
# Without a REDIS_URL the cache and the limits are in the process.
ifndef REDIS_URL
export PEGBOARD_PLUGINS_DISABLED ?= cache_redis
endif

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS="$$(printf '\t')" read -r target text; do \
		printf '  %-12s %s\n' "$$target" "$$text"; done

.PHONY: run
run: .venv/installed ## Serve the assembled service at http://127.0.0.1:8000 (HOST, PORT)
	@mkdir -p instance
	@.venv/bin/pegboard db upgrade
	@.venv/bin/pegboard items seed --if-empty
	@exec .venv/bin/pegboard serve

.PHONY: dev
dev: .venv/installed ## Serve it, reloading when a file changes
	@mkdir -p instance
	@.venv/bin/pegboard db upgrade
	@exec .venv/bin/pegboard dev

.PHONY: test
test: .tools/installed ## Run the whole matrix of tests and checks
	@$(RUN)

.PHONY: check
check: OPTIONS := -e lint,imports,types,check
check: .tools/installed ## Check what a commit needs: style, types, contracts, fast tests
	@$(RUN)

.PHONY: fmt
fmt: .tools/installed ## Format the code and repair what the linter can
	@$(TOX) run -e fmt

.PHONY: lint
lint: .tools/installed ## Check style, container files and import contracts
	@$(TOX) run -e lint,imports

.PHONY: types
types: .tools/installed ## Check types
	@$(TOX) run -e types

.PHONY: docs
docs: .tools/installed ## Build the documentation into build/docs/
	@$(TOX) run -e docs

.PHONY: wheels
wheels: .tools/installed ## Build the wheels of all distributions into dist/
	@$(TOX) run -e build

.PHONY: bench
bench: .bench/installed ## Compare with other frameworks (BENCH="--quick", BENCH=--help; PART=growth or overload)
	@.bench/harness/bin/python benchmarks/$(or $(PART),compare).py $(BENCH)

.PHONY: constraints
constraints: ## Pin anew every version in constraints.txt
	@set -e; $(FIND_PYTHON); "$$python" tools/pin.py

.PHONY: lock
lock: ## Lock what the image installs by hashes, and list it as a CycloneDX SBOM
	@set -e; $(FIND_PYTHON); "$$python" tools/lock.py

.PHONY: digests
digests: ## Pin the images of Dockerfile and compose.yaml to what their tags name now
	@set -e; $(FIND_PYTHON); "$$python" tools/digests.py

.PHONY: secrets
secrets: ## Make the secrets that compose.yaml reads, where they are missing
	@set -e; $(FIND_PYTHON); "$$python" deploy/make_secrets.py

.PHONY: clean
clean: ## Remove environments and what tools leave; data in instance/ stays
	@rm -rf .venv .tools .tox .bench build dist site htmlcov .hypothesis .schemathesis .coverage* .*_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed: $(PROJECTS) constraints.txt
	@set -e; $(FIND_PYTHON); \
	echo "Installing Pegboard into .venv with $$("$$python" --version) ..."; \
	"$$python" -m venv --clear .venv
	@.venv/bin/python $(PIP_INSTALL) hatchling editables
	@.venv/bin/python $(PIP_INSTALL) --no-build-isolation \
		--editable './core[redis]' $(foreach plugin,$(PLUGINS),--editable ./plugins/$(plugin))
	@touch $@

.tools/installed: constraints.txt tox_pegboard/pyproject.toml
	@set -e; $(FIND_PYTHON); \
	echo "Installing tox into .tools with $$("$$python" --version) ..."; \
	"$$python" -m venv --clear .tools
	@.tools/bin/python $(PIP_INSTALL) hatchling editables tox tox-uv
	@.tools/bin/python $(PIP_INSTALL) --no-build-isolation --editable ./tox_pegboard
	@touch $@

.bench/installed: core/pyproject.toml constraints.txt benchmarks/requirements.txt
	@set -e; $(FIND_PYTHON); \
	echo "Installing what measures into .bench/harness with $$("$$python" --version) ..."; \
	"$$python" -m venv --clear .bench/harness
	@.bench/harness/bin/python $(PIP_INSTALL) hatchling editables --requirement benchmarks/requirements.txt
	@.bench/harness/bin/python $(PIP_INSTALL) --no-build-isolation --editable './core[testing]'
	@touch $@
