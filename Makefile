PY := .venv/bin/python

.PHONY: install demo test lint bench bench-imagenet bench-accuracy protos

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install
	$(PY) clients/demo

test: install
	$(PY) -m pytest

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

.venv/.bench: .venv/.installed
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

protos: install
	PATH=$(CURDIR)/.venv/bin:$$PATH protos/generate
