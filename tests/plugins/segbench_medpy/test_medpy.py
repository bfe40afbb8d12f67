"""The MedPy metrics: hand-computed examples, MedPy's own values, empty masks, and what happens without MedPy."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import segbench_medpy
from segbench import LabelMap, PluginError, Task
from segbench_medpy.metric import MedPyDice, MedPyDistance, MedPyMetric

TASK = Task("test", "1", ("background", "one", "other"))
METRICS = segbench_medpy.segbench_metrics()


def test_medpy_is_imported_only_to_compute_and_named_if_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "medpy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "medpy", None)
    metric = MedPyDice()
    empty = LabelMap(np.zeros((2, 2), dtype=np.uint8), (1.0, 1.0))
    with pytest.raises(PluginError, match=r'pip install "segbench\[medpy\]"'):
        list(metric.score(empty, empty, TASK))


@pytest.mark.parametrize("cls", METRICS, ids=lambda cls: cls.name)
def test_examples_computed_by_hand(cls: type[MedPyMetric]) -> None:
    pytest.importorskip("medpy")
    task = Task("test", "1", ("background", "organ"))
    for predicted, truth, values in cls().examples():
        found = [scored.value for scored in cls().score(predicted, truth, task)]
        assert found == pytest.approx(list(values), abs=1e-12)


@pytest.mark.parametrize("cls", METRICS, ids=lambda cls: cls.name)
def test_values_are_medpys_on_the_whole_masks(cls: type[MedPyMetric]) -> None:
    binary = pytest.importorskip("medpy.metric.binary")
    random = np.random.default_rng(5)
    for shape in ((12, 15), (7, 9, 8), (1, 9, 8)):
        spacing = tuple(random.uniform(0.5, 3.0, size=len(shape)))
        predicted, truth = np.pad(random.integers(0, 3, (2, *shape)), [(0, 0)] + [(0, 3)] * len(shape))
        scores = cls().score(LabelMap(predicted, spacing), LabelMap(truth, spacing), TASK)
        for label, found in enumerate(scores, start=1):
            options = {"voxelspacing": spacing} if issubclass(cls, MedPyDistance) else {}
            expected = getattr(binary, cls.function)(predicted == label, truth == label, **options)
            assert found.value == expected
            assert found.status == "ok"


@pytest.mark.parametrize("cls", METRICS, ids=lambda cls: cls.name)
def test_empty_masks_have_statuses_instead_of_errors(cls: type[MedPyMetric]) -> None:
    pytest.importorskip("medpy")
    spacing = (1.0, 1.0)
    predicted, truth = np.array([[1, 0, 0]], dtype=np.uint8), np.array([[0, 2, 0]], dtype=np.uint8)
    task = Task("test", "1", ("background", "one", "other", "third"))
    found = list(cls().score(LabelMap(predicted, spacing), LabelMap(truth, spacing), task))
    assert [score.status for score in found] == ["truth_empty", "pred_empty", "both_empty"]
    if cls.name == "medpy_specificity":
        assert [score.value for score in found] == [pytest.approx(2 / 3), 1.0, 1.0]
    else:
        assert [score.value for score in found] == [cls.empty[1], cls.empty[1], cls.empty[0]]
