# `make demo` and `make test` do all the set-up themselves; the second time it costs nothing.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test test-ray test-rest bench clean
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	$(BIN)/famus-ray demo

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) --no-print-directory -j 2 --keep-going --output-sync=line test-ray test-rest

# Side by side, a core each: what starts Ray waits much, the rest computes.
test-ray: $(INSTALLED)
	$(BIN)/pytest -m ray

test-rest: $(INSTALLED)
	$(BIN)/pytest -m "not ray"

bench: $(INSTALLED)
	$(BIN)/famus-ray bench step

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@echo "Installing into .venv: a few minutes the first time (PyTorch is large)."
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
