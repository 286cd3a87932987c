# Each target is one line that calls the tool. Needs Python >= 3.11, git and make; the rest is
# installed into .venv from pyproject.toml.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench corpus teeth protos protos-check clean

demo: .venv/ready
	@$(BIN)/sonde demo

test: .venv/ready
	@$(BIN)/python tests/matrix.py

check: .venv/ready .venv-protos/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	.venv-protos/bin/python protos/generate.py --check

# A part of it: make bench BENCH='--python 3.13 --row conditions'.
bench: .venv/ready
	@$(BIN)/python tests/bench/run.py $(BENCH)

# Probes on every line of the standard library and of packages, under their own tests, on each Python
# present: hours. A part of it: make corpus CORPUS='--python 3.12 --suite httpx'; --help says more.
corpus: .venv/ready
	@cd tests && ../$(BIN)/python -m corpus.run $(CORPUS)

# Each safety rule switched off by itself: a named test turns red. And probes under 8 threads, 1,000 times.
teeth: .venv/ready
	@cd tests && ../$(BIN)/python -m teeth.run

protos: .venv-protos/ready
	.venv-protos/bin/python protos/generate.py

clean:
	rm -rf .venv .venvs .venv-protos

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Sonde needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Run: make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	@echo "Installing into .venv (once) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --editable '.[server]' --group dev
	@touch $@

.venv-protos/ready: pyproject.toml
	@$(PYTHON) -m venv .venv-protos
	@.venv-protos/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	@.venv-protos/bin/python -m pip install --quiet --group protos
	@touch $@
