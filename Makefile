PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install kfold test check lock clean

install: $(VENV)/.installed

# --no-deps: the lock is complete, and no plain resolver can satisfy bert4keras and TensorFlow together.
# Bytecode is compiled because some machines set PYTHONDONTWRITEBYTECODE, and every Ray worker would pay.
$(VENV)/.installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	-$(BIN)/python -m compileall -q -j0 $(VENV)/lib > /dev/null
	touch $@

kfold: install
	$(BIN)/python jobs/kfold.py

test: install
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Writes requirements.lock anew; needs uv.
lock:
	uv pip compile pyproject.toml --extra dev --python-version 3.11 --no-annotate --no-header --quiet --output-file requirements.lock

clean:
	rm -rf $(VENV) runs
