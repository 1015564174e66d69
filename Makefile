# make demo   the embedded world, end to end      make test   the quick suite
# make check  style, types, floors                make test-all   slow tests and Slurm's too
# make docs   the documentation site, in build/site
# make session  twenty commands in a terminal, written down to be looked at: runs/session
# make gpu-check   ten minutes on a GPU: tests, speeds, a demo (DEVICE=cpu SCALE=0.02 checks the script)
# make fuzz   damaged files of every kind, SECONDS=60 SEED=0, or CASES=50 of each; READERS=features: of region stores
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

SEED ?= 0

.PHONY: demo test test-all fuzz session gpu-check check docs tree install install-dev clean

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade-strategy only-if-needed -e '.[pretrained,test]'
	touch $@

install: $(VENV)/.installed

install-dev: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[pretrained,test,dev]'

demo: install
	$(BIN)/vqa-gs demo --out runs/demo

# Two processes of one thread each: most of a test's time is starting Python and small products.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test: install
	$(PYTEST) -m 'not slow and not slurm'

test-all: install
	$(PYTEST)

fuzz: install
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --seed $(SEED) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(CASES),--cases $(CASES)) $(if $(READERS),--readers $(READERS))

session: install
	$(BIN)/python -m tests.session --out runs/session

gpu-check: install
	$(BIN)/python benchmarks/gpu_check.py --out runs/gpu-check $(if $(DEVICE),--device $(DEVICE)) $(if $(SCALE),--scale $(SCALE))

# features/, pair_builders/ and eval/ are imported from vqa_gs: tools that read files see them where they are imported.
TREE := build/tree

tree:
	rm -rf $(TREE) && mkdir -p $(TREE)/vqa_gs
	ln -s $(CURDIR)/vqa_gs/* $(CURDIR)/features $(CURDIR)/pair_builders $(CURDIR)/eval $(TREE)/vqa_gs/

check: install-dev tree
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd $(TREE) && $(abspath $(BIN))/mypy --config-file $(CURDIR)/setup.cfg
	cd $(TREE) && $(abspath $(BIN))/lint-imports --config $(CURDIR)/setup.cfg

docs: install tree
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[pretrained,test,docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) build *.egg-info
