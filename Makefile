# Three words to know: make demo, make test, make lint. CI adds make proof.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
# The tests start some two hundred Python processes: without bytecode each would compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo up test proof faults compose bench bench-full lint lock clean
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

$(VENV)/.installed: requirements/dev.lock pyproject.toml client/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e ./client
	@touch $@

install: $(VENV)/.installed ## a virtual environment with everything in it

demo: install ## 1,000 contacts through both stages on embedded real servers
	$(BIN)/growth demo

up: install ## everything embedded, until Ctrl-C
	$(BIN)/growth up

PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder

test: install ## the tests, on real servers that they start themselves, five files at a time
	$(PYTEST) -n 5 -m "not proof"

proof: install ## the long proofs: servers, workers and brokers that fail, large lists, events in any order
	$(PYTEST) -n 3 -m proof

compose: ## the container stack for real (needs a Docker engine)
	tests/compose/run.sh

faults: install ## the fault suite, long and randomised: make faults ROUNDS=200 SEED=1 BROKER=rabbitmq ROUTE=pgbouncer, or ALONE=1
	$(BIN)/python -m tests.faults --rounds $(or $(ROUNDS),20) $(if $(SEED),--seed $(SEED)) $(if $(ALONE),--alone) $(if $(BROKER),--broker $(BROKER)) $(if $(ROUTE),--route $(ROUTE))

$(PEERS)/.installed: bench/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bench/peers/requirements.txt
	@touch $@

bench: install $(PEERS)/.installed ## the benchmarks, beside other ways to do it: five minutes
	$(BIN)/python -m bench

bench-full: install $(PEERS)/.installed ## the same with large runs and more rounds: an hour
	$(BIN)/python -m bench --full

lint: install ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: ## the lock files anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --extra dev pyproject.toml -o requirements/dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --extra sandbox pyproject.toml -o requirements/container.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate bench/peers/requirements.in -o bench/peers/requirements.txt

clean: ## the virtual environment and the embedded servers' data, gone
	rm -rf $(VENV) $(PEERS) .growth
