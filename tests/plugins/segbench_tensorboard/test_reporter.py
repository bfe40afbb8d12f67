"""``tensorboard``: its event files, read by TensorBoard itself, say what the run's history says."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest

from segbench import Choice, DataMissing, LiveRun, RunConfig, load_catalogue, run
from segbench.config import Recipe
from segbench.training.loop import Reporter as Progress

pytest.importorskip("tensorboard")
CATALOGUE = load_catalogue()
EPOCHS = 3


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def live(folder: Path, first: int = 0, earlier: Any = ()) -> LiveRun:
    return LiveRun("abc", "m:placebo on d, n, seed 0", folder, {"method": {"name": "m"}}, EPOCHS, 10, first, earlier)


def reporter(**parameters: Any) -> Any:
    return CATALOGUE.reporter(Choice("tensorboard", parameters))


def test_curves_are_there_while_it_runs_and_nothing_is_twice_after_a_crash(tmp_path: Path) -> None:
    first = reporter()
    said = first.begin(live(tmp_path))
    place = tmp_path / "tensorboard"
    assert said == f"Curves: tensorboard --logdir {place}"
    first.epoch(0, 10, {"train/ce": 0.5, "learning_rate": 0.1})
    assert curves(place) == {"train/ce": [(1, 0.5)], "training/learning_rate": [(1, pytest.approx(0.1))]}
    first.epoch(1, 20, {"train/ce": 0.25, "learning_rate": 0.1})
    # Killed: never finished, and the second epoch was told but not saved.
    again = reporter()
    again.begin(live(tmp_path, 1, [{"epoch": 0, "step": 10, "name": "train/ce", "value": 0.5}]))
    again.epoch(1, 20, {"train/ce": 0.125})
    again.epoch(2, 30, {"train/ce": math.nan})
    again.finish()
    found = curves(place)["train/ce"]
    assert found[:2] == [(1, 0.5), (2, 0.125)]
    assert found[2][0] == 3 and math.isnan(found[2][1])
    assert len(list(place.iterdir())) == 1


def test_a_log_directory_has_a_folder_for_each_run(tmp_path: Path) -> None:
    one = reporter(folder=str(tmp_path / "logs"))
    assert one.begin(live(tmp_path / "run")) == f"Curves: tensorboard --logdir {tmp_path / 'logs'}"
    one.finish()
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["m-placebo_on_d-n-seed_0-abc"]
    assert not (tmp_path / "run").exists()


def test_what_is_not_installed_is_said_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataMissing, match=r"pip install 'segbench\[tensorboard\]'"):
        reporter().check()


class Interrupted(Progress):
    def epoch(self, index: int, *arguments: Any) -> None:
        if index == 0:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_training_that_was_interrupted_has_one_curve(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    config = RunConfig(
        Choice("brain"), Choice("unet2d", {"width": 4}), Choice("nonadj"), smoke=True, device="cpu", recipe=Recipe()
    )
    options: dict[str, Any] = {"results_root": tmp_path, "reporters": [Choice("tensorboard")]}
    with pytest.raises(KeyboardInterrupt):
        run(config, reporter=Interrupted(), **options)
    outcome = run(config, **options)
    wanted: dict[str, list[Any]] = {}
    for row in pq.read_table(outcome.folder / "history.parquet").to_pylist():
        name = row["name"] if "/" in row["name"] else f"training/{row['name']}"
        wanted.setdefault(name, []).append((row["epoch"] + 1, pytest.approx(row["value"], rel=1e-6, nan_ok=True)))
    found = curves(outcome.folder / "tensorboard")
    assert found == wanted
    assert [step for step, _ in found["training/learning_rate"]] == [1, 2]
    assert [step for step, _ in found["val/dice"]] == [1, 2]
    assert any(name.startswith("train/") for name in found) and any(name.startswith("method/") for name in found)
