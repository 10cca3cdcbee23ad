PY := .venv/bin/python

.PHONY: install demo test lint bench bench-imagenet bench-accuracy bench-forgetting bench-tangent bench-derivative bench-load bench-cores bench-maps bench-replay bench-pretraining faults protos

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install
	$(PY) clients/demo

test: .venv/.foreign
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile

.venv/.foreign: .venv/.installed $(wildcard tests/foreign/*.json tests/foreign/*.go)
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[foreign]'
	$(PY) -m tests.foreign.install && touch $@ || echo 'tests against foreign verifiers are skipped'

lint: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/buf lint protos
	.venv/bin/lint-imports

bench: .venv/.bench
	$(PY) -m tests.benchmarks.run

bench-imagenet: .venv/.bench
	$(PY) -m tests.benchmarks.imagenet

bench-accuracy: .venv/.bench
	$(PY) -m tests.benchmarks.accuracy

bench-forgetting: .venv/.bench
	$(PY) -m tests.benchmarks.forgetting

bench-tangent: .venv/.bench
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m tests.benchmarks.tangent

bench-derivative: .venv/.bench .venv/kronfluence
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m tests.benchmarks.derivative

bench-load: .venv/.foreign
	$(PY) -m tests.benchmarks.sustained

bench-cores: .venv/.bench
	$(PY) -m tests.benchmarks.cores

bench-maps: .venv/.bench
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m tests.benchmarks.feature_maps

bench-replay: .venv/.bench
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m tests.benchmarks.replay

bench-pretraining: .venv/.bench
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m tests.benchmarks.pretraining

faults: .venv/.foreign
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m tests.faults

.venv/.bench: .venv/.installed
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

# Apart, since it brings a package called `tests`, and asks for torchvision, which it never imports.
.venv/kronfluence: .venv/.bench
	.venv/bin/pip install --quiet --constraint constraints.txt --no-deps --target $@ \
		kronfluence accelerate einconv einops opt-einsum psutil

protos: install
	PATH=$(CURDIR)/.venv/bin:$$PATH protos/generate
