# make demo: a whole build on this machine, and its report.   make test: the tests.   Both install what they need in .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PYTEST := $(BIN)/python -m pytest

.PHONY: demo train-demo test test-slow lint clean

demo: $(INSTALLED)
	$(BIN)/datakit build --domain math
	$(BIN)/datakit inspect runs/math

train-demo: $(INSTALLED)  ## SFT, then DPO of the tiny target on the demo's export
	$(BIN)/train sft --data runs/math/sft --model data/micro/target --config recipes/train/sft.yaml --overwrite
	$(BIN)/train dpo --data runs/math/dpo --model checkpoints/sft --config recipes/train/dpo.yaml --overwrite

test: $(INSTALLED)
	$(PYTEST) -n 2

test-slow: $(INSTALLED)  ## real servers, real training, every labelled row
	$(PYTEST) -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Made anew whenever pyproject.toml or the constraints change.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[hub,local,train,dev]'
	touch $@

clean:
	rm -rf .venv runs checkpoints build dist
