"""The search along rows against SciPy's distance transform and a KD-tree over all voxels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from segbench import LabelMap, Structure
from segbench_surface import nearest as module
from segbench_surface import surface_distances, surfaces
from segbench_surface.nearest import nearest, nearest_each
from segbench_surface.packing import border, pack, points

SPACINGS = [(1.0, 1.0, 1.0), (5.0, 0.4, 0.4), (0.3, 0.3, 4.0), (1.5, 0.7, 0.7), (100.0, 1.0, 0.05)]


def blobs(shape: tuple[int, ...], seed: int) -> NDArray[np.bool_]:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return noise > np.quantile(noise, 0.9)


def by_transform(sources: NDArray[np.bool_], targets: NDArray[np.bool_], spacing: tuple[float, ...]) -> np.ndarray:
    return ndimage.distance_transform_edt(~targets, sampling=spacing)[sources]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("grid", [1 << 24, 1 << 14, 0])
def test_distances_equal_the_distance_transform(
    spacing: tuple[float, float, float], grid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGEST_GRID", grid)  # in one piece, in slabs, plane by plane
    sources, targets = blobs((30, 40, 70), 1), blobs((30, 40, 70), 2)
    sources &= ~targets
    found = nearest(pack(sources), pack(targets), spacing)
    np.testing.assert_allclose(found, by_transform(sources, targets, spacing), rtol=1e-12)


@pytest.mark.parametrize("shape", [(3000,), (200, 300), (1, 200, 300), (200, 1, 300), (90, 70, 1)])
def test_far_targets_in_any_number_of_dimensions(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(3)
    targets = random.random(shape) < 0.002
    sources = (random.random(shape) < 0.1) & ~targets
    spacing = (0.7, 1.1, 3.0)[: len(shape)]
    found = nearest(pack(sources), pack(targets), spacing)
    np.testing.assert_allclose(found, by_transform(sources, targets, spacing), rtol=1e-12)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_tree_and_the_rows_agree(spacing: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch) -> None:
    sources, targets = border(pack(blobs((30, 40, 70), 1)), range(3)), border(pack(blobs((30, 40, 70), 5)), range(3))
    sources &= ~targets
    found = nearest(sources, targets, spacing)
    monkeypatch.setattr(module, "_REACHES", ())
    np.testing.assert_allclose(nearest(sources, targets, spacing), found, rtol=1e-14)
    tree = cKDTree(points(targets) * spacing)
    np.testing.assert_allclose(tree.query(points(sources) * spacing)[0], found, rtol=1e-9)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("grid", [1 << 24, 1 << 14])
def test_few_sources_among_many_targets_see_all_that_they_need(
    spacing: tuple[float, float, float], grid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGEST_GRID", grid)
    targets = blobs((30, 40, 70), 2)
    monkeypatch.setattr(module, "_tree_cost", lambda sources, targets: np.inf if sources else 0.0)  # rows only
    real, asked = module._in_sight, []
    monkeypatch.setattr(module, "_in_sight", lambda *given: asked.append(1) or real(*given))
    for seed in range(20):
        sources = np.zeros_like(targets)
        sources[tuple(np.random.default_rng(seed).integers(0, targets.shape, (3, 3)).T)] = True
        sources &= ~targets
        found = nearest(pack(sources), pack(targets), spacing)
        np.testing.assert_allclose(found, by_transform(sources, targets, spacing), rtol=1e-12)
    assert asked


@pytest.mark.parametrize("spacing", SPACINGS)
def test_pairs_and_trees_agree_to_the_last_bit(spacing: tuple[float, float, float]) -> None:
    random = np.random.default_rng(4)
    sources, targets = random.integers(0, 90, (700, 3)), random.integers(0, 90, (300, 3))
    compared, queried = (find(sources, targets, np.array(spacing)) for find in (module._compare, module._query))
    np.testing.assert_array_equal(compared, queried)


def test_trees_are_loaded_once_they_pay() -> None:
    code = """
import sys
import numpy as np
from segbench_surface import nearest
from segbench_surface.packing import pack
mask, far = np.zeros((60, 60, 200), bool), np.zeros((60, 60, 200), bool)
mask[:4, :4, :4] = True
far[50:, 50:, 150:] = True
found = nearest.nearest(pack(mask), pack(far), (1.0, 1.0, 1.0))
assert "scipy.spatial" not in sys.modules
nearest._PAIRS = 0
assert np.array_equal(nearest.nearest(pack(mask), pack(far), (1.0, 1.0, 1.0)), found)
assert "scipy.spatial" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_items_do_not_see_each_other() -> None:
    sources, targets = np.zeros((2, 3, 6, 7, 70), dtype=np.bool_)
    sources[0, 5, 6, 69] = sources[1, 0, 0, 0] = sources[2, 3, 3, 3] = True
    targets[1, 0, 0, 1] = targets[2, 3, 6, 3] = True  # next to the last voxel of item 0 in memory
    found = nearest_each(pack(sources), pack(targets), (1.0, 1.0, 1.0))
    assert found.tolist() == [np.inf, 1.0, 3.0]


@pytest.mark.parametrize("together", [0, 1 << 30])
def test_structures_measured_together_or_alone_have_the_same_distances(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surfaces, "_SMALL", together)
    random = np.random.default_rng(0)
    truth = np.zeros((20, 50, 90), dtype=np.uint8)
    for value in range(1, 8):
        corner = random.integers(0, (10, 30, 50))
        size = random.integers(3, (10, 20, 40))
        truth[tuple(slice(start, start + length) for start, length in zip(corner, size, strict=True))] = value
    predicted = np.roll(truth, (1, 2, 3), (0, 1, 2))
    predicted[predicted == 3] = 0
    structures = [*(Structure(str(value), (value,)) for value in range(9)), Structure("region", (1, 5, 7))]
    spacing = (2.0, 0.8, 0.8)
    found = surfaces.case_surfaces(LabelMap(predicted, spacing), LabelMap(truth, spacing), structures)
    for structure, surface in zip(structures, found, strict=True):
        masks = np.isin(predicted, structure.values), np.isin(truth, structure.values)
        expected = surface_distances(*masks, spacing)
        assert surface.status == surfaces._status(bool(masks[0].any()), bool(masks[1].any()))
        if surface.status == "ok":
            for one, other in zip(surface.distances, expected, strict=True):
                np.testing.assert_array_equal(one, other)
