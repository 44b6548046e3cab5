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

.PHONY: demo train-demo fusion fusion-distributions ablations test test-slow test-long test-vllm lint docs pictures clean

demo: $(INSTALLED)
	$(BIN)/datakit build --domain math
	$(BIN)/datakit inspect runs/math

train-demo: $(INSTALLED)  ## four sources teach a target what it lacks: 1,800 prompts, SFT, DPO, and 240 problems that measure
	$(BIN)/datakit build --recipe recipes/fusion/sources.yaml --limit 1800 --out runs/taught
	$(BIN)/train sft --data runs/taught/sft --model data/micro/fusion-target --config recipes/fusion/train/sft.yaml --overwrite
	$(BIN)/train dpo --data runs/taught/dpo --model checkpoints/sft --config recipes/fusion/train/dpo.yaml --overwrite
	$(BIN)/datakit eval --suite recipes/fusion/eval/sampled.yaml --limit 240 --out runs/taught-eval \
		--model base=data/micro/fusion-target --model sft=checkpoints/sft --model dpo=checkpoints/dpo

fusion: $(INSTALLED)  ## what four sources teach a target that lacks their skills, three seeds, with controls: docs/fusion.md
	$(BIN)/python benchmarks/fusing.py

fusion-distributions: $(INSTALLED)  ## what teachers' distributions add to their texts, three seeds, with controls: docs/distributions.md
	$(BIN)/python benchmarks/fusing_distributions.py

ablations: $(INSTALLED)  ## which choices of the data matter, on fusion's run; `--rows` and `--hours` of benchmarks/ablating.py take a slice
	$(BIN)/python benchmarks/ablating.py

test: $(INSTALLED)
	$(PYTEST) $(BOTH)

test-slow: $(INSTALLED)  ## real servers, real training, labelled rows
	$(PYTEST) -m "slow and not long" $(BOTH)

test-long: $(INSTALLED)  ## every law 25 times as often, a hundred kills, every labelled program: before a release
	$(PYTEST) -m "long or hypothesis" --hypothesis-profile=long $(BOTH)

test-ray: $(INSTALLED)  ## a cluster of two nodes on this machine
	$(PYTEST) -m "ray and not long"

test-vllm: $(INSTALLED) $(VLLM)/.installed  ## real vLLM on CPUs: 3.4 GB, in an environment of its own
	DATAKIT_VLLM_PYTHON=$(CURDIR)/$(VLLM)/bin/python $(PYTEST) -m vllm

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)  ## the pages of docs/ as a site in build/site; a dead link is an error
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pictures: $(INSTALLED)  ## the pictures of README, made again of the demo's run
	$(BIN)/datakit build --domain math
	$(BIN)/python docs/making/pictures.py runs/math

# Made anew whenever pyproject.toml or the constraints change.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[hub,local,train,batch,view,cluster,mirror,dev]'
	touch $@

$(VLLM)/.installed: constraints-vllm.txt
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --no-deps --requirement constraints-vllm.txt
	touch $@

clean:
	rm -rf .venv $(VLLM) runs checkpoints build dist
