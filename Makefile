# Everything works on a bare machine: each target installs what it needs, once, into .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
WORK := grading/work
NOTEBOOK ?= notebooks/01_iou_nms/iou_nms.ipynb
SUBMITTED ?= $(WORK)/submitted
OUTPUT ?= $(WORK)

.DEFAULT_GOAL := help
.PHONY: help setup lab formgrader build test real demo check submit doctor grade report audit bench data bundle lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@echo "Installing into .venv (once; about 5 GB of packages, some minutes) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --progress-bar on -r requirements.txt
	$(BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(READY)  ## install everything into .venv

lab: $(READY)  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

formgrader: $(READY)  ## open JupyterLab with nbgrader's formgrader for grading/work
	cd grading && ../$(BIN)/jupyter lab --ServerApp.root_dir=..

build: $(READY)  ## make solutions/*.ipynb and notebooks/ from solutions/*.py
	$(BIN)/lfi build

test: $(READY)  ## run all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lfi build --check
	$(BIN)/lfi audit
	env -u LFI_DATA $(BIN)/pytest --nbval-lax -p no:cacheprovider --override-ini addopts= solutions
	$(BIN)/pytest tests

real: $(READY)  ## run the notebooks on the real data in LFI_DATA
	LFI_ALL=1 $(BIN)/pytest tests/test_notebooks.py

demo: $(READY)  ## grade a simulated class and show the report
	$(BIN)/lfi demo

check: $(READY)  ## run a notebook's visible tests: make check NOTEBOOK=notebooks/...
	$(BIN)/lfi check $(NOTEBOOK)

submit: $(READY)  ## pack a notebook for upload: make submit NOTEBOOK=notebooks/...
	$(BIN)/lfi submit $(NOTEBOOK)

doctor: $(READY)  ## is this machine ready for the notebooks?
	$(BIN)/lfi doctor

grade: $(READY)  ## grade submissions: make grade SUBMITTED=folder OUTPUT=folder
	$(BIN)/lfi grade --submitted $(SUBMITTED) --output $(OUTPUT)

report: $(READY)  ## write the class report of a grading run: make report OUTPUT=folder
	$(BIN)/lfi report --output $(OUTPUT)

audit: $(READY)  ## do the hidden checks reject wrong answers and accept right ones?
	$(BIN)/lfi audit

bench: $(READY)  ## compare lfi grade with plain nbgrader on the same submissions
	$(BIN)/lfi bench --otter --output docs/benchmarks.md

data: $(READY)  ## download the real data sets
	$(BIN)/lfi data --download

bundle: $(READY)  ## pack what students get into dist/
	$(BIN)/lfi bundle

lock: $(READY)  ## compute requirements.txt anew from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements.txt

clean:  ## remove what grading and building left behind (not .venv)
	rm -rf $(WORK) dist .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
