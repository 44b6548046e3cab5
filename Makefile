# make demo: a whole build on this machine, and its report.   make test: the tests.   Both install what they need in .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
VLLM := .venv-vllm
PYTEST := $(BIN)/python -m pytest
# More workers than cores: half of the time a test waits for a server. Neighbours stay together, for what a file sets up once.
BOTH := -n 4 --dist worksteal
# Byte code is kept, whatever the environment says: each process that a test starts would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo train-demo test test-slow test-long test-vllm lint clean

demo: $(INSTALLED)
	$(BIN)/datakit build --domain math
	$(BIN)/datakit inspect runs/math

train-demo: $(INSTALLED)  ## SFT, then DPO of the tiny target on the demo's export
	$(BIN)/train sft --data runs/math/sft --model data/micro/target --config recipes/train/sft.yaml --overwrite
	$(BIN)/train dpo --data runs/math/dpo --model checkpoints/sft --config recipes/train/dpo.yaml --overwrite

test: $(INSTALLED)
	$(PYTEST) $(BOTH)

test-slow: $(INSTALLED)  ## real servers, real training, every labelled row
	$(PYTEST) -m slow $(BOTH)

test-long: $(INSTALLED)  ## every law 25 times as often, and a hundred kills: before a release
	$(PYTEST) -m "long or hypothesis" --hypothesis-profile=long $(BOTH)

test-vllm: $(INSTALLED) $(VLLM)/.installed  ## real vLLM on CPUs: 3.4 GB, in an environment of its own
	DATAKIT_VLLM_PYTHON=$(CURDIR)/$(VLLM)/bin/python $(PYTEST) -m vllm

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Made anew whenever pyproject.toml or the constraints change.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[hub,local,train,batch,view,dev]'
	touch $@

$(VLLM)/.installed: constraints-vllm.txt
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --no-deps --requirement constraints-vllm.txt
	touch $@

clean:
	rm -rf .venv $(VLLM) runs checkpoints build dist
