# `make demo` and `make test` do all the set-up themselves; the second time it costs nothing.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test test-faults test-cluster test-minimum bench clean
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	$(BIN)/famus-ray demo

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not ray and not cluster" -n logical --maxprocesses=8 --dist loadfile
	$(BIN)/pytest -m "ray and not faults and not cluster" -n 2 --dist loadfile

# Runs and studies with Ray whose processes are killed or told to end, whose disk is full, whose images are damaged.
test-faults: $(INSTALLED)
	$(BIN)/pytest -m faults -n 2 --dist loadfile -rs --durations=0

# Launches clusters on machines made of namespaces: needs root, sshd and Slurm, or says what is missing.
test-cluster: $(INSTALLED)
	$(BIN)/pytest -m cluster -n 2 --dist loadfile -rs --durations=0 tests/cluster

# The lowest versions that pyproject.toml names, in an environment of their own.
test-minimum:
	test -x .venv-minimum/bin/pip || $(PYTHON) -m venv .venv-minimum
	.venv-minimum/bin/pip install --quiet --disable-pip-version-check uv
	.venv-minimum/bin/uv pip install --quiet --python .venv-minimum/bin/python --resolution lowest-direct -e ".[train]"
	.venv-minimum/bin/uv pip install --quiet --python .venv-minimum/bin/python cleanlab cmaes wandb "mlflow-skinny>=3.0" \
		"sqlalchemy>=2.0" "alembic>=1.13" "moto[server]>=5.1" boto3 kubernetes google-api-python-client cfn-lint \
		pytest pytest-timeout pytest-xdist hypothesis jsonschema
	.venv-minimum/bin/pytest -m "not ray and not cluster" -n logical --maxprocesses=8 --dist loadfile

bench: $(INSTALLED)
	$(BIN)/famus-ray bench step

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@echo "Installing into .venv: a few minutes the first time (PyTorch is large)."
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf .venv .venv-minimum .mypy_cache .pytest_cache .ruff_cache .hypothesis
