# Every target sets up what it needs: a virtual environment in .venv, made again when pyproject.toml changes.
PYTHON ?= python3
BIN := .venv/bin
PEERS := llama_cpp openvino vllm
PEERS_AT := benchmarks/peers/.venv
THREADS ?= 2
DEMO := Explain in three sentences why the sky is blue.

.PHONY: demo test check docs bench browser web screenshots format clean

demo: .venv/ready ## a real model answers
	@$(BIN)/still run smollm2:135m "$(DEMO)" --temperature 0

test: .venv/ready ## the whole default suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

browser: ## Chromium, for the tests of the web page; without it they are skipped
	@command -v chromium >/dev/null || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium) >/dev/null

web: .venv/ready ## copy the locked versions of what the web page uses (needs npm)
	$(BIN)/python tools/vendor_web.py

screenshots: .venv/ready browser ## take the pictures of docs/images again
	mkdir -p docs/images && STILLHOUSE_SCREENSHOTS=docs/images STILLHOUSE_SCREENSHOTS_MODEL=qwen2.5-coder:1.5b STILLHOUSE_BENCH_DOCUMENT=benchmarks/results/quantizations.json STILLHOUSE_EVAL_DOCUMENT=benchmarks/results/evaluation.json STILLHOUSE_EVAL_BUDGETS=benchmarks/results/budgets.json $(BIN)/python -m pytest tests/server/page tests/planner/test_page.py tests/bench/test_page.py tests/evals/test_page.py tests/evals/test_page_plots.py tests/evals/test_reader.py

check: .venv/ready ## what a change must pass besides the tests
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/python tools/docs.py --check && $(BIN)/python tools/size.py

docs: .venv/ready ## write the generated pages again
	$(BIN)/python tools/docs.py

format: .venv/ready ## what `make check` would complain about and ruff can mend
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: .venv/ready $(PEERS:%=$(PEERS_AT)/%/ready) ## against the peers, in one run, on the 1.5B
	$(BIN)/python benchmarks/throughput.py --environments $(PEERS_AT) --threads $(THREADS)

clean: ## environments and caches of tools; models and compiled kernels stay
	rm -rf .venv $(PEERS_AT) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/ready: pyproject.toml
	@echo "setting up .venv, once" >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# Their files name every package, so nothing is resolved; vLLM's alone are 3 GB.
$(PEERS_AT)/%/ready: benchmarks/peers/%.txt
	@echo "setting up $* in an environment of its own, once" >&2
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@
