"""Predictions from elsewhere with the design of their training: network, arm, seed, fold, supervision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.errors import UsageError
from segbench.evaluation.folders import EvaluationResult, evaluate
from segbench.files.images import write_label_map
from segbench.host import load_catalogue
from segbench.types import LabelMap

CATALOGUE = load_catalogue()
DESIGN: Any = {"network": "unet3d", "arm": "placebo", "seed": 3, "fold": 2, "supervision": "masks"}


def write(folder: Path, name: str, *values: int) -> None:
    array = np.zeros((3, 4, 5), dtype=np.uint8)
    array.reshape(-1)[: len(values)] = values
    write_label_map(folder / f"{name}.nii.gz", LabelMap(array, (2.0, 1.0, 1.0)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for case in range(8):
        write(tmp_path / "truth", f"c{case}", *[1] * (8 + case))
        write(tmp_path / "good", f"c{case}", *[1] * (7 + case))
        write(tmp_path / "bad", f"c{case}", *[1] * (3 + case // 2))
    return tmp_path


def scored(root: Path, predictions: str, **others: Any) -> EvaluationResult:
    given = {"name": "mine", "dataset": "toy", "metrics": ["dice"], "catalogue": CATALOGUE} | others
    return evaluate(root / predictions, root / "truth", results=root / "results", **given)


def test_the_design_is_in_rows_record_and_identity(root: Path) -> None:
    plain, placebo = scored(root, "good"), scored(root, "good", **DESIGN)
    assert plain.run_id != placebo.run_id
    for row in placebo.table.to_pylist():
        assert {column: row[column] for column in DESIGN} == DESIGN
    record = json.loads((placebo.folder / "run.json").read_text())
    assert {column: record[column] for column in DESIGN} == DESIGN
    usual = scored(root, "good", arm="method", seed=0, network="")
    assert usual.reused and usual.run_id == plain.run_id, "what is as usual changes no identity"
    assert {(row["arm"], row["seed"], row["fold"]) for row in plain.table.to_pylist()} == {("method", 0, 0)}
    assert len({scored(root, "good", **{key: DESIGN[key]}).run_id for key in DESIGN}) == len(DESIGN)


def test_two_arms_stand_in_one_comparison(root: Path) -> None:
    for seed in range(2):
        scored(root, "good", seed=seed)
        scored(root, "bad", seed=seed, arm="control")
    command = ["compare", "mine", "mine:control", "--metric", "dice", "--results", str(root / "results"), "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)["comparisons"]
    assert (found["verdict"], found["seeds"]) == ("better", [2, 2])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"arm": "treatment"}, "expected one of method, control, placebo"),
        ({"supervision": "much"}, "expected one of"),
        ({"seed": -1}, "seed -1"),
        ({"fold": -1}, "fold -1"),
        ({"network": "../x"}, "cannot be used as a name"),
    ],
)
def test_designs_that_make_no_sense(root: Path, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        scored(root, "good", **wrong)
    assert not (root / "results").exists()
