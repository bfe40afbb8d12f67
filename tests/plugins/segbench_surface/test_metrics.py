"""The surface metrics: hand-computed examples, MedPy's and SciPy's values, statuses, sharing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import directed_hausdorff

import segbench_surface
from segbench import LabelMap, Metric, Score, Task, UsageError
from segbench_surface import surfaces
from segbench_surface.metric import (
    AverageSymmetricSurfaceDistance,
    HausdorffDistance,
    HausdorffDistance95,
    HausdorffDistance95Pooled,
    HausdorffPercentile,
    MeanAverageSurfaceDistance,
    MeanSurfaceDistance,
    percentile,
)
from segbench_surface.tolerance import NormalisedSurfaceDistance, NormalisedSurfaceDistanceSurfel

TASK = Task("test", "1", ("background", "organ"))
METRICS = segbench_surface.segbench_metrics()


def label_map(array: np.ndarray, spacing: tuple[float, ...] | None = None) -> LabelMap:
    return LabelMap(np.asarray(array, dtype=np.uint8), spacing or (1.0,) * np.ndim(array))


def score(metric: Metric, predicted: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...] | None = None) -> Score:
    (found,) = metric.score(label_map(predicted, spacing), label_map(truth, spacing), TASK)
    return found


def random_pairs(number: int) -> list[tuple[np.ndarray, np.ndarray, tuple[float, ...]]]:
    """Smooth, rough, touching, thin and shifted masks in 2D and 3D with any spacing."""
    random = np.random.default_rng(2024)
    result = []
    while len(result) < number:
        dimensions = int(random.integers(2, 4))
        shape = tuple(random.integers(2, 70 if dimensions == 2 else 24, size=dimensions))
        spacing = tuple(random.uniform(0.3, 4.0, size=dimensions))
        truth = ndimage.gaussian_filter(random.standard_normal(shape), random.uniform(0, 3)) > 0
        kind = len(result) % 5
        if kind == 0:
            predicted = ndimage.gaussian_filter(random.standard_normal(shape), random.uniform(0, 3)) > 0
        elif kind == 1:
            predicted = ndimage.binary_dilation(truth, iterations=2)
        elif kind == 2:
            predicted = np.roll(truth, 3, axis=0)
        elif kind == 3:  # a sheet against one voxel
            predicted, truth = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
            predicted[0], truth[tuple(random.integers(0, length) for length in shape)] = True, True
        else:
            predicted = random.random(shape) < 0.02
        if predicted.any() and truth.any() and 1 not in shape:
            result.append((predicted, truth, spacing))
    return result


PAIRS = random_pairs(60)


@pytest.mark.parametrize("cls", METRICS, ids=lambda cls: cls.name)
def test_examples_computed_by_hand(cls: type[Metric]) -> None:
    metric = cls()
    for predicted, truth, values in metric.examples():
        found = [scored.value for scored in metric.score(predicted, truth, TASK)]
        assert found == pytest.approx(list(values), abs=1e-12)


@pytest.mark.parametrize(
    ("metric", "function"),
    [
        (HausdorffDistance(), "hd"),
        (HausdorffDistance95Pooled(), "hd95"),
        (AverageSymmetricSurfaceDistance(), "assd"),
        (MeanSurfaceDistance(), "asd"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_equal_medpy(metric: Metric, function: str) -> None:
    binary = pytest.importorskip("medpy.metric.binary")
    for predicted, truth, spacing in PAIRS:
        expected = getattr(binary, function)(predicted, truth, voxelspacing=spacing)
        assert score(metric, predicted, truth, spacing).value == pytest.approx(expected, abs=1e-9)


def test_hd_equals_scipy_on_border_voxels() -> None:
    for predicted, truth, spacing in PAIRS[:20]:
        edges = [np.argwhere(mask & ~ndimage.binary_erosion(mask)) * np.array(spacing) for mask in (predicted, truth)]
        expected = max(directed_hausdorff(*edges)[0], directed_hausdorff(*edges[::-1])[0])
        assert score(HausdorffDistance(), predicted, truth, spacing).value == pytest.approx(expected, abs=1e-9)


def test_hd95_is_the_larger_directed_percentile() -> None:
    for predicted, truth, spacing in PAIRS:
        distances = segbench_surface.surface_distances(predicted, truth, spacing)
        expected = max(np.percentile(distances.predicted, 95), np.percentile(distances.truth, 95))
        assert score(HausdorffDistance95(), predicted, truth, spacing).value == expected
        pooled = score(HausdorffDistance95Pooled(), predicted, truth, spacing).value
        assert pooled is not None
        assert pooled <= expected


def test_percentile_100_is_the_hausdorff_distance() -> None:
    for predicted, truth, spacing in PAIRS[:10]:
        whole = score(HausdorffPercentile(q=100.0), predicted, truth, spacing).value
        assert whole == score(HausdorffDistance(), predicted, truth, spacing).value


def test_percentiles_are_numpys_to_the_last_bit() -> None:
    random = np.random.default_rng(0)
    for number in range(1, 200):
        values, q = random.standard_normal(number), float(random.choice([0, 5, 50, 95, 100, random.uniform(0, 100)]))
        assert percentile(values, q) == np.percentile(values, q)


def test_masd_and_assd_differ_where_the_surfaces_do() -> None:
    predicted, truth = np.array([[1, 0, 0, 0, 0]]), np.array([[1, 1, 1, 0, 0]])
    assert score(AverageSymmetricSurfaceDistance(), predicted, truth).value == pytest.approx(3 / 4)
    assert score(MeanAverageSurfaceDistance(), predicted, truth).value == pytest.approx(1 / 2)


@pytest.mark.parametrize("cls", METRICS, ids=lambda cls: cls.name)
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (1, 3, 4)], ids=str)
def test_empty_masks_have_statuses(cls: type[Metric], shape: tuple[int, ...]) -> None:
    nothing, something = np.zeros(shape), np.ones(shape)
    similarity = cls.better == "higher"
    expected = {"both_empty": 1.0 if similarity else 0.0, "one": 0.0 if similarity else None}
    assert score(cls(), nothing, nothing) == Score(TASK.structures[0], expected["both_empty"], "both_empty")
    assert score(cls(), nothing, something) == Score(TASK.structures[0], expected["one"], "pred_empty")
    assert score(cls(), something, nothing) == Score(TASK.structures[0], expected["one"], "truth_empty")
    assert score(cls(), something, something).status == "ok"


@pytest.mark.parametrize("cls", METRICS, ids=lambda cls: cls.name)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_of_one_slice_is_a_2d_image(cls: type[Metric], axis: int) -> None:
    predicted, truth, spacing = next(pair for pair in PAIRS if pair[0].ndim == 2 and min(pair[0].shape) > 5)
    flat = score(cls(), predicted, truth, spacing)
    thick = [*spacing]
    thick.insert(axis, 3.0)
    volumes = [np.expand_dims(mask, axis) for mask in (predicted, truth)]
    found = score(cls(), volumes[0], volumes[1], tuple(thick))
    assert found.value == pytest.approx(flat.value, abs=1e-12)


@pytest.mark.parametrize("cls", METRICS, ids=lambda cls: cls.name)
def test_memory_order_and_type_do_not_matter(cls: type[Metric]) -> None:
    predicted, truth, spacing = next(pair for pair in PAIRS if pair[0].ndim == 3)
    expected = score(cls(), predicted, truth, spacing).value
    fortran = [LabelMap(np.asfortranarray(mask.astype(np.int16)), spacing) for mask in (predicted, truth)]
    mixed = LabelMap(np.asfortranarray(truth.astype(np.int64)), spacing)
    assert [scored.value for scored in cls().score(*fortran, TASK)] == pytest.approx([expected], abs=1e-12)
    assert [scored.value for scored in cls().score(label_map(predicted, spacing), mixed, TASK)] == pytest.approx(
        [expected], abs=1e-12
    )


def test_tolerances_for_each_structure() -> None:
    task = Task("test", "1", ("background", "one", "other"))
    predicted, truth = label_map(np.array([[1, 0, 0, 2, 0, 0]])), label_map(np.array([[0, 1, 0, 0, 0, 2]]))
    for cls in (NormalisedSurfaceDistance, NormalisedSurfaceDistanceSurfel):
        assert next(found.value for found in cls(tolerance=1.0).score(predicted, truth, task)) == 1.0
        assert [found.value for found in cls(tolerances=(1.0, 2.0)).score(predicted, truth, task)] == [1.0, 1.0]
        assert next(found.value for found in cls(tolerances=(0.0, 2.0)).score(predicted, truth, task)) < 1.0
        with pytest.raises(UsageError, match="expected 2 tolerances"):
            list(cls(tolerances=(1.0,)).score(predicted, truth, task))


def test_regions_may_overlap_and_hold_the_background() -> None:
    regions = {"whole": (1, 2), "core": (2,), "rest": (0, 1), "twice": (2, 2)}
    task = Task("test", "1", ("background", "one", "other"), regions=regions)
    random = np.random.default_rng(1)
    predicted, truth = np.pad(random.integers(0, 3, (2, 6, 7, 8)), ((0, 0), (2, 2), (2, 2), (2, 2)))
    found = {
        scored.structure.name: scored.value
        for scored in HausdorffDistance().score(label_map(predicted), label_map(truth), task)
    }
    for name, values in regions.items():
        expected = score(HausdorffDistance(), np.isin(predicted, values), np.isin(truth, values)).value
        assert found[name] == pytest.approx(expected)


def test_surfaces_are_computed_once_for_all_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    compute = surfaces.distances_each
    monkeypatch.setattr(surfaces, "distances_each", lambda *given: calls.append(1) or compute(*given))
    predicted, truth = label_map(np.array([[1, 1, 0]])), label_map(np.array([[0, 1, 1]]))
    for cls in METRICS:
        list(cls().score(predicted, truth, TASK))
    assert len(calls) == 1
    other = label_map(np.array([[0, 1, 1]]))
    assert [found.value for found in HausdorffDistance().score(other, truth, TASK)] == [0.0]
    assert len(calls) == 2


def test_shapes_that_differ_are_refused() -> None:
    for cls in METRICS:
        with pytest.raises(ValueError, match="must be equal"):
            list(cls().score(label_map(np.ones((2, 3))), label_map(np.ones((3, 2))), TASK))


def test_listing_the_metrics_is_cheap() -> None:
    code = (
        "import sys, segbench_surface, segbench_overlap, segbench_medpy\n"
        "parts = (segbench_surface, segbench_overlap, segbench_medpy)\n"
        "assert all(cls.name and cls.summary for part in parts for cls in part.segbench_metrics())\n"
        "heavy = {'numpy', 'scipy', 'torch', 'medpy', 'skimage', 'numba'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("metric", [NormalisedSurfaceDistance, NormalisedSurfaceDistanceSurfel])
@pytest.mark.parametrize("shape", [(9, 10, 14), (12, 14), (1, 12, 14)])
def test_a_tolerance_of_whole_voxels_includes_them_whatever_they_measure(
    metric: type[Metric], shape: tuple[int, ...]
) -> None:
    truth = np.zeros(shape, dtype=bool)
    truth[..., 2:-2, 2:7] = True
    if shape[0] > 1:
        truth[:2], truth[-2:] = False, False
    for voxels in (1, 2, 3):
        predicted = np.roll(truth, voxels, axis=-1)
        expected = score(metric(tolerance=float(voxels)), predicted, truth).value  # type: ignore[call-arg]
        less = score(metric(tolerance=voxels - 0.01), predicted, truth).value  # type: ignore[call-arg]
        assert expected is not None and less is not None and less < expected <= 1.0
        for side in range(10, 400, 7):  # 0.10 to 3.99 mm
            written = side / 100
            for stored in (written, float(np.float32(written)), written * (1 + 1e-7), written * (1 - 1e-7)):
                spacing = (stored,) * len(shape)
                one = metric(tolerance=round(voxels * written, 4))  # type: ignore[call-arg]
                assert score(one, predicted, truth, spacing).value == pytest.approx(expected, rel=1e-9)
                one = metric(tolerance=0.999 * voxels * written)  # type: ignore[call-arg]
                assert score(one, predicted, truth, spacing).value == pytest.approx(less, rel=1e-9)
