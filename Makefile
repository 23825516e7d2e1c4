# Each target does the set-up it needs and is safe to repeat.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := requirements/cpu.lock requirements/torch.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest -q
# each of the heavy ones takes the whole machine; the others share it
HEAVY := ray or model or browser
PARALLEL := -n auto --dist loadfile

.PHONY: setup lint check test test-all demo k8s clean

setup: $(STAMP)
	@$(BIN)/relevance-judge doctor --prepare

# torch first and with its own dependencies: pip then takes the CPU build where one is configured and PyPI's build
# elsewhere. Everything else comes from the lock, hashes checked, nothing resolved.
$(STAMP): $(LOCK) pyproject.toml
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); } || \
		{ rm -rf $(VENV); echo "make: $(PYTHON) cannot make a virtual environment; install python3.11-venv" >&2; exit 1; }
	@if ! cmp -s requirements/torch.txt $(VENV)/.torch; then \
		echo "installing torch"; $(PIP) install --quiet -r requirements/torch.txt && cp requirements/torch.txt $(VENV)/.torch; fi
	@if ! cmp -s requirements/cpu.lock $(VENV)/.lock; then \
		echo "installing the lock (250 packages, a few minutes)"; \
		$(PIP) install --quiet --no-deps --require-hashes -r requirements/cpu.lock && cp requirements/cpu.lock $(VENV)/.lock; fi
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint
	$(PYTEST) $(PARALLEL) tests/unit tests/contract -m "not nightly and not ($(HEAVY))"

test: setup
	$(PYTEST) $(PARALLEL) -m "not nightly and not ($(HEAVY))"
	$(PYTEST) -m "not nightly and ($(HEAVY))"

test-all: setup
	$(PYTEST) $(PARALLEL) -m "not ($(HEAVY))"
	$(PYTEST) -m "$(HEAVY)"

demo: setup
	$(BIN)/relevance-judge demo

k8s: $(STAMP)
	$(BIN)/python -m cluster.manifests

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
