"""A training that learnt nothing says so: in its record, its rows, on the board, and by the exit code."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from segbench.cli import app
from segbench.publishing.digests import scores_digest
from segbench.results import read_scores
from segbench.training.learnt import weights_digest, why_nothing
from segbench.training.loop import Progress

PLUGIN = """
from dataclasses import dataclass
from segbench import Method, cross_entropy, hookimpl, parameter

@dataclass
class Idle(Method):
    \"\"\"Learns nothing.\"\"\"
    name = "idle"; summary = "learns nothing"
    factor: float = parameter(0.0, "of the loss")
    power: float = parameter(1.0, "of a number that the loss is multiplied by")
    def loss(self, batch, logits):
        return {"ce": cross_entropy(logits, batch.target) * self.factor * float("inf" if self.power > 1 else 1)}

@hookimpl
def segbench_methods(): return [Idle]
"""


def go(folder: Path, *arguments: str) -> Any:
    (folder / "idle.py").write_text(textwrap.dedent(PLUGIN))
    common = ("--plugin", str(folder / "idle.py"), "--smoke", "--network", "unet2d", "--set", "network.width=4")
    return CliRunner().invoke(app, ["run", *common, "--metric", "dice", "--out", str(folder / "out"), *arguments])


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--set", "method.power=2"), "loss or gradient was never finite, all 6 steps were skipped"),
        ((), "the gradient was zero in all 6 steps"),
        (
            ("--set", "method.factor=1", "--set", "recipe.learning_rate=1e-60", "--set", "recipe.weight_decay=0"),
            "the weights are those before the first of 6 steps",
        ),
    ],
)
def test_a_run_that_learnt_nothing_is_not_done(tmp_path: Path, arguments: tuple[str, ...], fault: str) -> None:
    first = go(tmp_path, "--method", "idle", *arguments)
    assert first.exit_code == 1, first.output
    assert f"Learnt nothing: {fault}." in first.stderr and f"Learnt nothing: {fault}." in first.stdout
    (file,) = (tmp_path / "out").rglob("run.json")
    record = json.loads(file.read_text())
    assert record["status"] == "learnt nothing" and record["training"]["fault"] == fault
    assert set(read_scores(file.parent).column("fault").to_pylist()) == {fault}

    again = go(tmp_path, "--method", "idle", *arguments, "--json")
    (row,) = json.loads(again.stdout)["runs"]
    assert again.exit_code == 1 and (row["status"], row["reason"]) == ("learnt nothing", fault)
    assert f"It learnt nothing: {fault}." in again.stderr

    board = ["leaderboard", "--results", str(tmp_path / "out" / ".smoke")]
    for form in ("table", "md", "latex", "json"):
        shown = CliRunner().invoke(app, [*board, "--format", form], env={"COLUMNS": "300"}).stdout
        assert "Learnt nothing: idle (seed 0): " in shown and fault in shown, form


def test_one_that_learnt_is_done_and_its_digest_is_that_of_a_file_without_the_column(tmp_path: Path) -> None:
    result = go(tmp_path, "--method", "ce")
    assert result.exit_code == 0, result.output
    (file,) = (tmp_path / "out").rglob("run.json")
    assert json.loads(file.read_text())["status"] == "done"
    table = read_scores(file.parent)
    assert scores_digest(table) == scores_digest(table.drop_columns(["fault", "reason"]))


def test_reasons_are_told_apart() -> None:
    module = torch.nn.Linear(2, 2)
    before = weights_digest(module)

    def why(skipped: int, still: int, step: int = 4) -> str:
        return why_nothing(
            Progress(step=step, still=still, history=[{"name": "skipped", "value": skipped}]), module, before
        )

    assert why(4, 0).startswith("loss or gradient was never finite") and "4 steps" in why(4, 0)
    assert why(1, 3) == "the gradient was zero in all 4 steps, 1 of them skipped"
    assert why(1, 0) == "the weights are those before the first of 4 steps"
    with torch.no_grad():
        module.weight[0, 0] += 1
    assert why(1, 0) == why(3, 0) == ""
    with torch.no_grad():
        module.weight[0, 0] = float("nan")
    assert why(1, 0) == "the weights are not finite any more"


BROKEN = """
from dataclasses import dataclass
from segbench import Metric, hookimpl

@dataclass
class Broken(Metric):
    \"\"\"Raises.\"\"\"
    name = "broken"; summary = "raises"
    def score(self, predicted, truth, task): raise ValueError("the spacing\\nis wrong")

@hookimpl
def segbench_metrics(): return [Broken]
"""


def test_why_a_metric_failed_is_kept_with_its_rows_and_said(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    result = go(tmp_path, "--method", "ce", "--plugin", str(tmp_path / "broken.py"), "--metric", "broken")
    assert result.exit_code == 1 and "scores failed: metric broken: ValueError: the spacing" in result.stderr
    (file,) = (tmp_path / "out").rglob("run.json")
    rows = read_scores(file.parent, ["metric", "status", "reason"]).to_pylist()
    said = {(row["metric"], row["status"]): row["reason"] for row in rows}
    assert said["broken", "failed"] == "metric broken: ValueError: the spacing is wrong"
    assert {reason for (_, status), reason in said.items() if status != "failed"} <= {""} and ("dice", "ok") in said
