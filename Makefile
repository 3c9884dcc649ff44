PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

# Sizes of the benchmarks; e.g. make bench BENCH_ROWS=3387 BENCH_FOLDS=10 BENCH_REPEATS=3
BENCH_ROWS ?= 300
BENCH_FOLDS ?= 5
BENCH_LOOP_FOLDS ?= 2
BENCH_EPOCHS ?= 1
BENCH_REPEATS ?= 1

.PHONY: install gpu aws serve export kfold test test-long check bench bench-gpu lock clean

install: $(VENV)/.installed

# --no-deps: the lock is complete, and no plain resolver can satisfy bert4keras and TensorFlow together.
# Bytecode is compiled because some machines set PYTHONDONTWRITEBYTECODE, and every Ray worker would pay.
$(VENV)/.installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	-$(BIN)/python -m compileall -q -j0 $(VENV)/lib > /dev/null
	touch $@

# Beside the lock: the CUDA libraries that TensorFlow loads; what `ray up` speaks to AWS with. What Ray Serve needs is in
# the lock too, for the tests ask it, and what exports; their own lists are for environments without `dev`.
gpu aws serve export: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements-$@.lock
	-$(BIN)/python -m compileall -q -j0 $(VENV)/lib > /dev/null

kfold: install
	$(BIN)/python jobs/kfold.py

# XLA compiles for a test's few steps as quickly as it can, not for speed.
test test-long: export XLA_FLAGS ?= --xla_backend_optimization_level=0

test: install
	$(BIN)/python -m pytest -n 2

# Whole runs of minutes: interrupted drivers, lost nodes, outages, submitted jobs.
test-long: install
	$(BIN)/python -m pytest -m long

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The PyTorch peers and the chart are left out where the extra `bench` is not installed.
bench: install
	for architecture in finetune textcnn rnn_cnn; do \
	  $(BIN)/python benchmarks/compare.py --architecture $$architecture --rows $(BENCH_ROWS) \
	    --num-folds $(BENCH_FOLDS) --loop-folds $(BENCH_LOOP_FOLDS) --epochs $(BENCH_EPOCHS) \
	    --repeats $(BENCH_REPEATS) || exit 1; \
	done
	$(BIN)/python benchmarks/fixed_cost.py --repeats $(BENCH_REPEATS)
	$(BIN)/python benchmarks/prediction.py --num-folds $(BENCH_FOLDS)
	$(BIN)/python benchmarks/growth.py --rows $(BENCH_ROWS) --epochs $(BENCH_EPOCHS)

# On a machine with a GPU (`make gpu` first), in parts of some minutes; BENCH_PARTS="tests steps" picks some.
bench-gpu: install
	$(BIN)/python benchmarks/gpu.py $(if $(BENCH_PARTS),--parts $(BENCH_PARTS))

COMPILE_BARE := uv pip compile pyproject.toml --python-version 3.11 --no-annotate --no-header --quiet
COMPILE := $(COMPILE_BARE) --extra dev

# Writes requirements.lock anew, and what each extra has beyond it; needs uv.
lock:
	$(COMPILE) --output-file requirements.lock
	for extra in gpu aws; do \
	  cp requirements.lock $$extra.all && $(COMPILE) --extra $$extra --output-file $$extra.all && \
	  grep -vxFf requirements.lock $$extra.all > requirements-$$extra.lock && rm $$extra.all || exit 1; \
	done
	for part in bare.all "serve.all --extra serve" "export.all --extra export"; do \
	  cp requirements.lock $${part%% *} && $(COMPILE_BARE) --output-file $$part || exit 1; \
	done
	for extra in serve export; do grep -vxFf bare.all $$extra.all > requirements-$$extra.lock || exit 1; done
	rm bare.all serve.all export.all

clean:
	rm -rf $(VENV) runs
