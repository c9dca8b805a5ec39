# Every target sets up what it needs: a virtual environment in .venv, made again when pyproject.toml changes.
PYTHON ?= python3
BIN := .venv/bin
PEERS := benchmarks/peers/.venv
THREADS ?= 2
DEMO := Explain in three sentences why the sky is blue.

.PHONY: demo test check docs bench format clean

demo: .venv/ready ## a real model answers
	@$(BIN)/still run smollm2:135m "$(DEMO)" --temperature 0

test: .venv/ready ## the whole default suite
	$(BIN)/python -m pytest -n 2

check: .venv/ready ## what a change must pass besides the tests
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/python tools/docs.py --check && $(BIN)/python tools/size.py

docs: .venv/ready ## write the generated pages again
	$(BIN)/python tools/docs.py

format: .venv/ready ## what `make check` would complain about and ruff can mend
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: .venv/ready $(PEERS)/ready ## against llama.cpp, in one run, on the 1.5B
	$(BIN)/python benchmarks/decode_prefill.py --peers $(PEERS)/bin/python --threads $(THREADS)

clean: ## environments and caches of tools; models and compiled kernels stay
	rm -rf .venv $(PEERS) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/ready: pyproject.toml
	@echo "setting up .venv, once" >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(PEERS)/ready: benchmarks/peers/requirements.txt
	@echo "setting up the peers in an environment of their own, once" >&2
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
