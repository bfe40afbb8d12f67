"""Labels on the training grid: shares by an independent count on a common finer grid, nothing that vanishes unsaid."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench.config import Recipe
from segbench.host import load_catalogue
from segbench.training.cache import Cache, resample
from segbench.training.label_grids import kept_on_grid, label_voxels, losses_in_words, resample_by_area
from segbench.types import Case, Choice, LabelMap

CATALOGUE = load_catalogue([Path(__file__).parents[1] / "toy.py"])
toy: Any = sys.modules["segbench_file_toy"]


def counted(target: np.ndarray, shape: tuple[int, ...], value: int) -> np.ndarray:
    """Return the share of a value in each coarse voxel by cutting every voxel into ``new`` pieces."""
    pieces = target == value
    for axis, new in enumerate(shape):
        pieces = np.repeat(pieces, new, axis=axis)
    for axis, (old, new) in enumerate(zip(target.shape, shape, strict=True)):
        pieces = pieces.reshape(*pieces.shape[:axis], new, old, *pieces.shape[axis + 1 :]).mean(axis=axis + 1)
    return pieces


@pytest.mark.parametrize("shape", [(2, 5, 6), (3, 3, 5), (4, 7, 9), (1, 4, 3)])
def test_a_voxel_gets_the_label_with_the_largest_share(shape: tuple[int, int, int]) -> None:
    random = np.random.default_rng(sum(shape))
    target = random.integers(-1, 4, (shape[0] if shape[0] == 1 else 4, 7, 9)).astype(np.int16)
    found = resample_by_area(target, shape)
    assert found.shape == shape and found.dtype == np.int16
    shares = np.stack([counted(target, shape, value) for value in range(-1, 4)])
    chosen = np.take_along_axis(shares, found[None].astype(int) + 1, axis=0)[0]
    assert np.allclose(chosen, shares.max(axis=0), atol=1e-5)


@pytest.mark.parametrize("at", range(2, 8))
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("factor", [2, 3, 5])
def test_a_plate_of_one_voxel_never_vanishes(at: int, axis: int, factor: int) -> None:
    target = np.zeros((30, 30, 30), dtype=np.int16)
    np.moveaxis(target, axis, 0)[at] = 1
    shape = tuple(30 // factor if one == axis else 30 for one in range(3))
    expected = np.zeros(shape, dtype=np.int16)
    np.moveaxis(expected, axis, 0)[at // factor] = 1  # where most of it lies
    assert np.array_equal(resample_by_area(target, shape), expected)
    nearest = resample(target, shape, linear=False)
    assert bool(nearest.any()) == (at % factor == factor // 2)  # what the default erases


def test_finer_grids_and_equal_ones() -> None:
    target = np.zeros((1, 4, 5), dtype=np.int16)
    target[0, 1:3, 2:4] = 2
    assert np.array_equal(resample_by_area(target, (1, 4, 5)), target)
    fine = resample_by_area(target, (1, 8, 10))
    assert np.array_equal(fine, np.repeat(np.repeat(target, 2, 1), 2, 2))
    assert label_voxels(np.array([[-1, 0, 2, 2]]), 4) == [1, 0, 2, 0]


class Plates(toy.Toy):  # type: ignore[misc]
    """Cases with a plate of one voxel at an even index along D."""

    def load(self, ref: Any) -> Case:
        case = super().load(ref)
        truth = np.zeros((10, 12, 12), dtype=np.uint8)
        truth[4], truth[6:, :6] = 1, 2
        image = np.zeros((case.image.shape[0], 10, 12, 12), dtype=np.float32) + truth
        return Case(ref.id, image, (1.0, 1.0, 1.0), np.eye(4), LabelMap(truth, (1.0, 1.0, 1.0)))


@pytest.mark.parametrize(("how", "left"), [("nearest", 0.0), ("area", 2.0)])
def test_what_the_training_grid_loses_is_counted(tmp_path: Path, how: str, left: float) -> None:
    data = Plates()
    data.prepare(tmp_path / "data")
    cache = Cache(tmp_path / "cache", data, Recipe(spacing="2,2,2", label_resampling=how))  # type: ignore[arg-type]
    cache.settle_spacing(data.refs())
    cases = [cache.store(ref, labelled=True) for ref in data.refs()[:2]]
    kept = kept_on_grid(cases, data.task.labels)
    first, second = data.task.labels[1:3]
    assert kept[first]["volume"] == pytest.approx(left) and kept[second]["volume"] == pytest.approx(1.0)
    assert kept[first]["lost_in"] == ([case.ref.id for case in cases] if how == "nearest" else [])
    assert kept[second] == {"cases": 2, "lost_in": [], "volume": pytest.approx(1.0)}
    sentences = losses_in_words(kept)
    assert len(sentences) == (how == "nearest")
    if sentences:
        assert f"no voxel of {first} in 2 of the 2 cases" in sentences[0] and "label_resampling=area" in sentences[0]
    assert cache.store(data.refs()[0], labelled=False).native_voxels == ()
    assert json.loads((cases[0].folder / "meta.json").read_text())["grid_voxels"] == list(cases[0].grid_voxels)


def test_the_way_of_resampling_is_part_of_what_is_cached(tmp_path: Path) -> None:
    data = CATALOGUE.dataset(Choice("toy", {}))
    data.prepare(tmp_path / "data")
    ref = data.refs()[0]
    stored = [
        Cache(tmp_path / "cache", data, Recipe(label_resampling=how)).store(ref, labelled=labelled).folder  # type: ignore[arg-type]
        for how in ("nearest", "area")
        for labelled in (True, False)
    ]
    assert stored[0] != stored[2] and stored[1] == stored[3]  # images are resampled alike
