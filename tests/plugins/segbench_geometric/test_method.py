"""The method in real runs on a toy dataset: algorithm 1, resuming after a kill, arms, augmentation, history."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from segbench import load_catalogue
from segbench.conformance import check_part
from segbench_geometric.method import Geometric
from segbench_geometric.objective import Solver, shape_of, update

TOY = Path(__file__).parents[2] / "toy.py"
CATALOGUE = load_catalogue([TOY])
toy: Any = sys.modules["segbench_file_toy"]
FROZEN: dict[str, Any] = {"frozen_copies": 2, "epochs": 3, "steps_per_epoch": 4}


def go(root: Path, parameters: dict[str, Any] | None = None, **recipe: Any) -> Any:
    return toy.go(root, CATALOGUE, "geometric", parameters or {}, recipe=FROZEN | recipe, dataset={"cases": 4})


def history(outcome: Any) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in pq.read_table(outcome.folder / "history.parquet").to_pylist():
        found.setdefault(row["name"], []).append(row["value"])
    found.pop("seconds")
    return found


def network(outcome: Any) -> dict[str, torch.Tensor]:
    return torch.load(outcome.folder / "checkpoint" / "network.pt", weights_only=True)["network"]


def test_history_and_feasibility(tmp_path: Path) -> None:
    outcome = go(tmp_path, {"iterations": 7, "tolerance": 0.0}, epochs=4, steps_per_epoch=12)
    found = history(outcome)
    names = ("constrained", "residual", "area_error", "energy", "dr_iterations", "dr_residual")
    assert all(len(found[f"method/{name}"]) == 4 and np.isfinite(found[f"method/{name}"]).all() for name in names)
    assert found["method/constrained"] == [1.0] * 4 and found["method/dr_iterations"] == [7.0] * 4
    assert found["train/constraint"][0] > 0 and set(found) >= {"train/dice", "val/dice"}


@pytest.mark.parametrize("when", ["step", "epoch"])
def test_one_step_is_algorithm_1(when: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Follow every sample's u and w by hand through a run and find the same quadratic term in every loss."""
    u: dict[int, torch.Tensor] = {}
    w: dict[int, torch.Tensor] = {}
    starts: dict[int, torch.Tensor] = {}
    checked = []
    solver = Solver(0.5, 0.3, 1.8, 5, 0.0)

    def follow(batch: Any, logits: torch.Tensor) -> None:
        for row, number in enumerate(batch.sample_ids.tolist()):
            target = batch.target[row : row + 1]
            shape = shape_of(target, 3, 10.0, target >= 0)
            zero = torch.zeros(1, 2, 13, 11)
            pair = torch.stack([u.get(number, zero), w.get(number, zero)], dim=1)
            start = starts.get(number, torch.zeros(1, 2, 4, 13, 11, dtype=torch.float16))
            result = update(logits[row : row + 1].softmax(1)[:, 1:], {"pair": pair, "start": start},
                            torch.tensor([number in starts]), shape, solver)  # fmt: skip
            u[number], w[number] = result.maps["pair"].unbind(1)
            starts[number] = result.maps["start"]

    loss, after_step, after_epoch = Geometric.loss, Geometric.after_step, Geometric.after_epoch

    def watched_loss(self: Geometric, batch: Any, logits: torch.Tensor) -> Any:
        terms = loss(self, batch, logits)
        zero = torch.zeros(1, 2, 13, 11)
        us, ws = (torch.cat([held.get(int(i), zero) for i in batch.sample_ids]) for held in (u, w))
        p, known = logits.softmax(1)[:, 1:], (batch.target >= 0)[:, None]
        each = ((p - us + ws).square() * known).flatten(1).sum(1) / known.flatten(1).sum(1)
        torch.testing.assert_close(terms["constraint"], 0.25 * each.mean(), rtol=1e-4, atol=1e-6)
        checked.append(float(us.sum()))
        return terms

    def watched_step(self: Geometric, step: Any) -> None:
        after_step(self, step)
        if when == "step":
            follow(step.batch, step.forward())

    def watched_epoch(self: Geometric, epoch: Any) -> None:
        after_epoch(self, epoch)
        if when == "epoch":
            for batch, logits in epoch.outputs():
                follow(batch, logits)

    monkeypatch.setattr(Geometric, "loss", watched_loss)
    monkeypatch.setattr(Geometric, "after_step", watched_step)
    monkeypatch.setattr(Geometric, "after_epoch", watched_epoch)
    go(tmp_path, {"iterations": 5, "tolerance": 0.0, "update": when}, steps_per_epoch=8)
    assert len(checked) == 24 and checked[0] == 0 and sum(value > 0 for value in checked) > 5


KILL = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from segbench import load_catalogue
from segbench_geometric.method import Geometric
import segbench_geometric.maps as maps
catalogue = load_catalogue([Path({toy!r})])
toy = sys.modules["segbench_file_toy"]
write, seen = maps.Store.write, []
def killed(self, ids, values):
    seen.append(0)
    if len(seen) == {at}:
        write(self, ids[:1], {{name: value[:1] for name, value in values.items()}})  # half a step is on disk
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, ids, values)
maps.Store.write = killed
toy.go(Path({root!r}), catalogue, "geometric", {parameters!r}, recipe={recipe!r}, dataset={{"cases": 4}})
"""


@pytest.mark.slow
@pytest.mark.parametrize("parameters, at", [({}, 17), ({"update": "epoch"}, 12)])
def test_a_killed_run_ends_bit_equal(tmp_path: Path, parameters: dict[str, Any], at: int) -> None:
    """Killed inside the second epoch, after half of a step's maps were written over."""
    recipe = FROZEN | {"steps_per_epoch": 10}  # most samples are seen in every epoch
    root = str(tmp_path / "killed")
    script = KILL.format(tests=str(TOY.parent), toy=str(TOY), at=at, root=root, parameters=parameters, recipe=recipe)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(tmp_path.rglob("last.pt")) and not list(tmp_path.rglob("run.json"))
    torch.set_num_threads(1)
    resumed, whole = (go(tmp_path / name, parameters, steps_per_epoch=10) for name in ("killed", "whole"))
    assert history(resumed) == history(whole)
    one, other = network(resumed), network(whole)
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    record = json.loads((resumed.folder / "run.json").read_text())
    assert record["training"]["epochs"] == 3


def test_the_control_arm_is_f_alone(tmp_path: Path) -> None:
    outcome = go(tmp_path / "control", dict(Geometric.arms["control"]))
    found = history(outcome)
    assert "train/constraint" not in found and "method/residual" not in found
    assert not list((outcome.folder / "method").iterdir())
    constrained = go(tmp_path / "method")
    assert found["train/dice"][0] != history(constrained)["train/dice"][-1]


def test_the_placebo_takes_another_samples_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import segbench_geometric.objective as objective

    seen: list[tuple[list[int], list[list[int]]]] = []
    plain = objective.shape_of

    def watched(target: torch.Tensor, *others: Any) -> Any:
        shape = plain(target, *others)
        seen.append((target.flatten(1).sum(1).tolist(), shape.area.tolist()))
        return shape

    monkeypatch.setattr(objective, "shape_of", watched)
    real = history(go(tmp_path / "method"))
    method, seen = seen, []
    placebo = history(go(tmp_path / "placebo", dict(Geometric.arms["placebo"])))
    again = history(go(tmp_path / "again", dict(Geometric.arms["placebo"])))
    assert method != seen[: len(method)] and placebo == again and placebo != real


def test_nobody_is_its_own_donor(tmp_path: Path) -> None:
    from segbench.conformance.training import FakeStage

    method = Geometric(placebo=True)
    method.prepare(FakeStage(method, 2, tmp_path))
    assert sorted(method.donor_.tolist()) == list(range(4))
    assert all(donor != sample for sample, donor in enumerate(method.donor_.tolist()))


def test_changing_samples_are_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from segbench import Augmentation

    strong = Augmentation(rotation=30, shift=0.1, probability=0.5)
    with caplog.at_level(logging.WARNING):
        found = history(go(tmp_path / "a", frozen_copies=0, augmentation=strong, steps_per_epoch=20))
    assert "frozen_copies=3" in caplog.text
    assert all(0.2 < share < 0.8 for share in found["method/constrained"])
    caplog.clear()
    history(go(tmp_path / "b", frozen_copies=2, augmentation=strong))
    assert "frozen_copies" not in caplog.text


def test_skipped_steps_move_nothing(tmp_path: Path) -> None:
    from segbench.conformance.training import FakeStage, FakeStep, batch_of, logits_of

    method = Geometric()
    method.prepare(FakeStage(method, 2, tmp_path))
    batch = batch_of(method, 2)
    method.after_step(FakeStep(0, 0, batch, logits_of(batch), skipped=True))
    assert method.store_ is not None and not method.store_.written(batch.sample_ids).any()
    method.after_step(FakeStep(0, 0, batch, logits_of(batch)))
    assert method.store_.written(batch.sample_ids).all()


@pytest.mark.parametrize(
    "kind, name",
    [
        ("methods", "geometric"),
        ("networks", "sunet"),
        ("metrics", "slice_area_error"),
        ("metrics", "weighted_tv_excess"),
        ("metrics", "extra_components"),
        ("studies", "lambert2021-table1"),
    ],
)
def test_conformance(kind: str, name: str) -> None:
    broken = [f"{result.name}: {result.message}" for result in check_part(CATALOGUE, kind, name) if not result.ok]
    assert not broken
