# `make run` and `make test` do all the set-up a fresh machine needs; both call `make setup`, which is idempotent.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
STAMP := $(VENV)/.segbench-setup

# The published boards: the same network, budget, cases and seeds for every method; 16 test cases; voxels as coarse as
# lets a run take less than a minute.
BOARDS := brain heart prostate thorax
BOARD_EPOCHS ?= 4
BOARD_SEEDS ?= 3
BOARD_METHODS := ce dice ce_dice geometric shape_descriptors
BOARD_RESULTS ?= results/boards
BOARD_RUN = OMP_NUM_THREADS=1 $(BIN)/segbench run --results $(BOARD_RESULTS) --device cpu --seeds $(BOARD_SEEDS) \
	--epochs $(BOARD_EPOCHS) --set recipe.validate_every=0 --network unet2d --set network.width=8
board-brain: BOARD_DATA = --dataset brain --set dataset.cases=64
board-heart: BOARD_DATA = --dataset heart --set dataset.cases=32 --set dataset.spacing=10,2,2
board-prostate: BOARD_DATA = --dataset prostate --set dataset.cases=64 --set dataset.spacing=3.6,2,2
board-thorax: BOARD_DATA = --dataset thorax --set dataset.cases=64 --set dataset.spacing=3.5,3.5,3.5 \
	--set dataset.organs=all
board-brain: BOARD_METHODS += nonadj # elsewhere the structures are so few that all of them touch: nothing is forbidden

.PHONY: setup run test test-fast lint leaderboards $(BOARDS:%=board-%) clean

setup: $(STAMP)

$(STAMP): pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"segbench needs Python 3.11 or newer, found {sys.version.split()[0]}; set PYTHON=..."'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $(STAMP)

run: setup
	$(BIN)/segbench run --method nonadj --dataset brain
	$(BIN)/segbench leaderboard

test: setup
	$(BIN)/python -m pytest

test-fast: setup
	$(BIN)/python -m pytest -m "not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# About an hour on one core; `make -j2 leaderboards` uses two. What was interrupted goes on where it was.
leaderboards: $(BOARDS:%=board-%)
	$(BIN)/segbench leaderboard --write leaderboards --existing drop --results $(BOARD_RESULTS)

$(BOARDS:%=board-%): setup
	$(BOARD_RUN) $(BOARD_DATA) $(BOARD_METHODS:%=--method %)
	$(BOARD_RUN) $(BOARD_DATA) --method shape_descriptors --set method.base=ce_dice

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
