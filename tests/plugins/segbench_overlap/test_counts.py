"""Confusion counts and their metrics against counting mask by mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import segbench_overlap
from segbench import LabelMap, Metric, Structure, Task
from segbench_overlap import counts
from segbench_overlap.metric import Dice, IoU, Precision, Recall, RelativeVolumeError, Specificity, VolumeError

TASK = Task("test", "1", ("background", "organ"))
METRICS = segbench_overlap.segbench_metrics()
NEED = {"cldice": "skimage"}


def assert_counted(predicted: np.ndarray, truth: np.ndarray, structures: list[Structure]) -> None:
    for structure, found in zip(structures, counts.count(predicted, truth, structures), strict=True):
        one, other = np.isin(predicted, structure.values), np.isin(truth, structure.values)
        expected = counts.Counts(int((one & other).sum()), int(one.sum()), int(other.sum()), truth.size)
        assert found == expected, structure
        assert found.neither == (~one & ~other).sum()


STRUCTURES = [
    Structure("one", (1,)),
    Structure("absent", (9,)),
    Structure("region", (1, 2, 3)),
    Structure("with background", (0, 2)),
    Structure("twice", (3, 3)),
]


@given(
    st.data(),
    st.one_of(st.tuples(st.integers(1, 9)), st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 6)] * 3)),
    st.sampled_from([np.uint8, np.int8, np.int16, np.uint16, np.int64]),
)
@settings(max_examples=120, deadline=None)
def test_any_label_maps(data: st.DataObject, shape: tuple[int, ...], dtype: type) -> None:
    maps = [data.draw(arrays.arrays(dtype, shape, elements=st.integers(0, 5))) for _ in range(2)]
    assert_counted(maps[0], maps[1], STRUCTURES)


@pytest.mark.parametrize("largest", [254, 255, 2035, 70_000, 1 << 40])
def test_large_label_values(largest: int) -> None:
    random = np.random.default_rng(0)
    values = np.array([0, 1, 7, largest, largest - 1])
    predicted, truth = values[random.integers(0, 5, (2, 9, 10, 11))]
    assert_counted(predicted, truth, [Structure("a", (1,)), Structure("b", (largest,)), Structure("c", (7, largest))])


def test_many_labels_and_types_that_differ() -> None:
    random = np.random.default_rng(0)
    predicted = random.integers(0, 140, (20, 30, 40)).astype(np.uint8)
    truth = np.asfortranarray(random.integers(0, 140, (20, 30, 40)).astype(np.int32))
    assert_counted(predicted, truth, [Structure(str(value), (value,)) for value in range(1, 134)])


def test_values_that_are_no_label() -> None:
    predicted, truth = np.array([[-3, 1, 200, 1]], dtype=np.int16), np.array([[1, 1, 1, -3]], dtype=np.int16)
    assert_counted(predicted, truth, [Structure("one", (1,))])


def test_large_volumes_are_counted_in_pieces() -> None:
    random = np.random.default_rng(0)
    predicted, truth = np.zeros((2, 50, 130, 140), dtype=np.uint8)
    predicted[10:30, 20:90, 5:60] = random.integers(0, 4, (20, 70, 55))
    truth[35:44, 100:120, 100:] = random.integers(0, 4, (9, 20, 40))
    assert_counted(predicted, truth, STRUCTURES)


def test_shapes_that_differ_are_refused() -> None:
    for cls in METRICS:
        with pytest.raises(ValueError, match="must be equal"):
            list(
                cls().score(
                    LabelMap(np.ones((2, 3), dtype=np.uint8), (1.0, 1.0)),
                    LabelMap(np.ones((3, 2), dtype=np.uint8), (1.0, 1.0)),
                    TASK,
                )
            )


@pytest.mark.parametrize("cls", METRICS, ids=lambda cls: cls.name)
def test_examples_computed_by_hand(cls: type[Metric]) -> None:
    if cls.name in NEED:
        pytest.importorskip(NEED[cls.name])
    examples = cls().examples()
    assert examples
    for predicted, truth, values in examples:
        found = [scored.value for scored in cls().score(predicted, truth, TASK)]
        assert found == pytest.approx(list(values), abs=1e-12)


@pytest.mark.parametrize(
    ("metric", "both", "no_prediction", "no_truth"),
    [
        (Dice(), 1.0, 0.0, 0.0),
        (IoU(), 1.0, 0.0, 0.0),
        (Precision(), 1.0, 0.0, 0.0),
        (Recall(), 1.0, 0.0, 0.0),
        (Specificity(), 1.0, 1.0, 0.5),
        (VolumeError(), 0.0, 0.012, 0.012),
        (RelativeVolumeError(), 0.0, 1.0, None),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_empty_masks(metric: Metric, both: float, no_prediction: float, no_truth: float | None) -> None:
    nothing, something = np.zeros((2, 2, 1), dtype=np.uint8), np.array([[[1], [1]], [[0], [0]]], dtype=np.uint8)
    spacing = (1.0, 2.0, 3.0)
    expected = {"both_empty": both, "pred_empty": no_prediction, "truth_empty": no_truth}
    for predicted, truth, status in (
        (nothing, nothing, "both_empty"),
        (nothing, something, "pred_empty"),
        (something, nothing, "truth_empty"),
    ):
        (found,) = metric.score(LabelMap(predicted, spacing), LabelMap(truth, spacing), TASK)
        assert (found.value, found.status) == (pytest.approx(expected[status]), status)


def test_counting_happens_once_for_all_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    compute = counts.count
    monkeypatch.setattr(counts, "count", lambda *given: calls.append(1) or compute(*given))
    spacing = (1.0, 1.0)
    truth = LabelMap(np.array([[0, 1, 1]], dtype=np.uint8), spacing)
    predicted, other = (LabelMap(np.array([row], dtype=np.uint8), spacing) for row in ([1, 1, 0], [0, 1, 1]))
    for cls in (Dice, IoU, VolumeError, Precision):
        list(cls().score(predicted, truth, TASK))
    assert len(calls) == 1
    assert [found.value for found in Dice().score(other, truth, TASK)] == [1.0]
    assert len(calls) == 2
