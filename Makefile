# The habits of this house. Every target does all of its own set-up.
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# Tests start hundreds of processes: compiled once, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check lint types layers docs bench truth faults audit lock clean

demo: $(STAMP)            ## run Beleg on this machine with a demo shop
	$(VENV)/bin/beleg run --demo

test: $(STAMP)            ## all tests, both modes (Kafka tests need Java 17 and Maven, a clock test libfaketime)
	$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: lint types layers test   ## everything CI checks

lint: $(STAMP)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

types: $(STAMP)
	$(VENV)/bin/mypy

layers: $(STAMP)
	$(VENV)/bin/lint-imports

docs: $(STAMP)            ## write the parts of the documentation that are made from the code
	$(PY) -m tests.house.generate

bench: $(STAMP)           ## measure against baselines in the same run
	$(PY) -m bench

truth: $(STAMP)           ## simulate a shop, and print each figure beside what is true
	$(PY) -m tests.truth

faults: $(STAMP)          ## kill processes at every line that writes
	$(PY) -m tests.faults
	$(PY) -m pytest -m long

audit: $(STAMP)           ## look for known vulnerabilities of the locked dependencies (asks pypi.org)
	$(VENV)/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes -r requirements.lock

lock: $(STAMP)            ## renew the locked versions of all dependencies
	$(VENV)/bin/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --allow-unsafe \
	    --generate-hashes --extra dev --output-file requirements.lock pyproject.toml

$(STAMP): pyproject.toml requirements.lock
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Beleg needs Python 3.11 or newer")'
	python3 -m venv $(VENV)
	$(PY) -m pip install -qq --disable-pip-version-check -r requirements.lock
	$(PY) -m pip install -qq --disable-pip-version-check --no-deps -e .
	touch $(STAMP)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
