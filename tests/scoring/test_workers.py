"""Items handed out in batches: every item once, and only the one that kills its worker is lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench.evaluation.folders import evaluate
from segbench.files import images
from segbench.files.images import write_label_map
from segbench.scoring import references
from segbench.scoring.workers import WorkerDied, each
from segbench.types import LabelMap


def ready() -> None:
    """Nothing to prepare."""


def deadly(item: int) -> int:
    if item in (7, 150):
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def slow_at_first(item: int) -> int:
    time.sleep(0.1 if item < 4 else 0)
    return item


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_comes_back_once(jobs: int) -> None:
    found = dict(each(slow_at_first, range(300), jobs, ready, ()))
    assert found == {index: index for index in range(300)}


@pytest.mark.slow
def test_only_items_that_kill_their_worker_are_lost() -> None:
    found = list(each(deadly, range(300), 2, ready, ()))
    assert sorted(index for index, _ in found) == list(range(300))
    dead = {index for index, result in found if isinstance(result, WorkerDied)}
    assert dead == {7, 150}
    assert all(result == index * index for index, result in found if index not in dead)


def test_references_are_read_once_though_no_labels_are_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.zeros((4, 5, 6), dtype=np.uint8)
    array[1:3, 1:3, 1:3] = 1
    for case in ("a", "b", "c"):
        for part in ("p", "t"):
            write_label_map(tmp_path / part / f"{case}.nii.gz", LabelMap(array, (1.0, 1.0, 1.0)))
    read: list[str] = []
    real = images.read_label_map

    def watched(path: Path, *more: Any, **others: Any) -> Any:
        read.append(f"{path.parent.name}/{path.name}")
        return real(path, *more, **others)

    monkeypatch.setattr(references, "read_label_map", watched)
    kept = evaluate(tmp_path / "p", tmp_path / "t", name="m", dataset="d", metrics=["dice"], results=tmp_path / "r")
    assert sorted(read) == sorted(f"{part}/{case}.nii.gz" for part in "pt" for case in "abc")
    assert not references._kept
    monkeypatch.setattr(references, "KEPT", 2 * np.count_nonzero(array))  # what lies around the structure counts
    read.clear()
    again = evaluate(tmp_path / "p", tmp_path / "t", name="m", dataset="d", metrics=["dice"], results=tmp_path / "s")
    assert read.count("t/c.nii.gz") == 2
    assert again.table.drop(["run_id"]).equals(kept.table.drop(["run_id"]))
