"""Inference: windows and slices of a pointwise network are the whole volume, weights are Gaussian, grids are kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segbench.config import Recipe
from segbench.host import load_catalogue
from segbench.scoring.decisions import chain_of
from segbench.training.cache import Cache, StoredCase
from segbench.training.inference import _gaussian, predict, predict_labels, probabilities
from segbench.types import Choice, Task
from segbench.views import Patches, Slices

CATALOGUE = load_catalogue([Path(__file__).parents[1] / "toy.py"])
toy: Any = sys.modules["segbench_file_toy"]
CPU = torch.device("cpu")
CHAIN = chain_of((), CATALOGUE)
SHAPES = [(5, 13, 11), (1, 13, 11), (9, 4, 21)]


def task_of(labels: int) -> Task:
    return Task("toy", "1", tuple(map(str, range(labels))))


def stored(root: Path, shape: tuple[int, int, int], **recipe: Any) -> StoredCase:
    dataset = CATALOGUE.dataset(Choice("toy", {"shape": shape}))
    cache = Cache(root, dataset, Recipe(**recipe))
    cache.settle_spacing(dataset.refs())
    return cache.store(dataset.refs()[0], labelled=True)


def pointwise(image: torch.Tensor) -> torch.Tensor:
    """Return logits of three labels that depend on each voxel alone (on the middle channel)."""
    middle = image[:, image.shape[1] // 2][:, None]
    return torch.cat([-middle, middle * 0.5, middle], 1)


VIEWS = [
    Patches((4, 8, 8)),
    Patches((4, 8, 8), overlap=0.0),
    Patches((64, 64, 64)),
    Patches((2, 5, 7), overlap=0.9),
    Slices(0, 0, (13, 11)),
    Slices(2, 1, (5, 5)),
    Slices(1, 2, (40, 40)),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_a_pointwise_network_sees_no_windows(tmp_path: Path, shape: tuple[int, int, int], view: Any) -> None:
    case = stored(tmp_path, shape)
    whole = torch.softmax(pointwise(torch.from_numpy(np.array(case.image))[None]), 1)[0]
    found = probabilities(pointwise, case, view, 3, CPU)
    torch.testing.assert_close(found, whole)
    labels = predict_labels(pointwise, case, view, 3, CPU)
    assert np.array_equal(labels, whole.argmax(0).numpy())
    final = predict(pointwise, case, view, task_of(3), CHAIN, CPU)
    assert np.array_equal(final.array, labels) and final.array.dtype == np.int16


def test_windows_near_the_middle_count_more(tmp_path: Path) -> None:
    weight = _gaussian((4, 8, 16))
    assert weight.shape == (4, 8, 16) and weight.min() >= 1e-3
    assert all(torch.equal(weight, weight.flip(axis)) for axis in range(3))
    assert weight[2, 4, 8] == weight.max() > 0.5 and weight[0, 0, 0] == pytest.approx(1e-3)
    assert _gaussian((1, 1, 1)).item() == 1

    positions: list[torch.Tensor] = []

    def edges(image: torch.Tensor) -> torch.Tensor:
        """Return label 1 at the border of the window, label 0 inside."""
        positions.append(image)
        inside = torch.zeros(image.shape[2:])
        inside[:, 2:-2, 2:-2] = 1
        return torch.stack([inside * 5, (1 - inside) * 5])[None]

    case = stored(tmp_path, (4, 40, 40))
    labels = predict_labels(edges, case, Patches((4, 16, 16)), 2, CPU)
    assert len(positions) == 16
    assert (labels[:, 2:-2, 2:-2] == 0).all() and (labels[:, 0] == 1).all()


def test_small_cases_are_padded_as_in_training(tmp_path: Path) -> None:
    shapes: list[tuple[int, ...]] = []

    def forward(image: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(image.shape[2:]))
        assert (image[0, 0, 0] == 0).all() and (image[0, 0, -1] == 0).all()
        return pointwise(image)

    case = stored(tmp_path, (2, 13, 11))
    assert predict_labels(forward, case, Patches((6, 8, 16)), 3, CPU).shape == (2, 13, 11)
    assert set(shapes) == {(6, 8, 16)}


@pytest.mark.parametrize(("size", "seen"), [((16, 8), (16, 11)), ((8, 8), (13, 11)), ((20, 20), (20, 20))])
def test_small_slices_are_padded_as_in_training(tmp_path: Path, size: tuple[int, int], seen: tuple[int, int]) -> None:
    """Axes longer than in training stay whole, shorter ones are padded."""
    shapes: list[tuple[int, ...]] = []

    def forward(image: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(image.shape[2:]))
        return pointwise(image)

    assert predict_labels(forward, stored(tmp_path, (5, 13, 11)), Slices(1, 0, size), 3, CPU).shape == (5, 13, 11)
    assert set(shapes) == {seen}


def test_context_channels_reach_the_network(tmp_path: Path) -> None:
    case = stored(tmp_path, (5, 13, 11))
    seen: list[torch.Tensor] = []

    def forward(image: torch.Tensor) -> torch.Tensor:
        seen.append(image)
        return pointwise(image)

    predict_labels(forward, case, Slices(1, 0, (8, 8)), 3, CPU)
    (images,) = seen
    whole = torch.from_numpy(np.array(case.image[0]))
    assert torch.equal(images[:, 1], whole)
    assert torch.equal(images[1:, 0], whole[:-1]) and torch.equal(images[0, 0], whole[0])
    assert torch.equal(images[:-1, 2], whole[1:]) and torch.equal(images[-1, 2], whole[-1])


def test_many_slices_come_in_batches(tmp_path: Path) -> None:
    case = stored(tmp_path, (37, 6, 5))
    sizes: list[int] = []

    def forward(image: torch.Tensor) -> torch.Tensor:
        sizes.append(len(image))
        return pointwise(image)

    assert predict_labels(forward, case, Slices(), 3, CPU).shape == (37, 6, 5)
    assert sizes == [16, 16, 5]


@pytest.mark.parametrize("view", [VIEWS[0], VIEWS[4]], ids=str)
def test_a_resampled_case_comes_home(tmp_path: Path, view: Any) -> None:
    case = stored(tmp_path, (6, 20, 18), spacing="2,0.8,0.8", normalisation="none")
    assert case.shape == (9, 25, 22) and case.target.shape[1:] == case.shape

    def know(image: torch.Tensor) -> torch.Tensor:
        return torch.cat([-(image - 3 * label).square() for label in range(3)], 1)

    found = predict(know, case, view, task_of(3), CHAIN, CPU)
    truth = CATALOGUE.dataset(Choice("toy", {"shape": (6, 20, 18)})).load(case.ref).truth
    assert truth is not None and found.array.shape == truth.array.shape
    assert np.mean(found.array == truth.array) > 0.85


@pytest.mark.parametrize("spacing", ["native", "2,0.8,0.8"])
@pytest.mark.parametrize("view", [VIEWS[0], VIEWS[4]], ids=str)
def test_a_cropped_case_comes_home_with_background_outside(tmp_path: Path, view: Any, spacing: str) -> None:
    crop = (0, 10, 8)
    case = stored(tmp_path, (6, 20, 18), spacing=spacing, normalisation="none", crop=crop)
    assert case.shape[1:] == (10, 8) and case.grid_shape == ((6, 20, 18) if spacing == "native" else (9, 25, 22))

    def one(image: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.zeros_like(image[:, 0]), torch.full_like(image[:, 0], 9.0)], 1)

    found = predict(one, case, view, task_of(2), CHAIN, CPU)
    assert found.array.shape == (6, 20, 18) and found.spacing == (3.0, 1.0, 1.0)
    mm = [1.0, 1.0] if spacing == "native" else [0.8, 0.8]
    assert (found.array > 0).any(axis=(1, 2)).all()  # every slice: the first axis is whole
    for axis, (size, step) in enumerate(zip(crop[1:], mm, strict=True), start=1):
        seen = np.flatnonzero(found.array.any(axis=tuple({0, 1, 2} - {axis})))
        n = found.array.shape[axis]
        assert abs(len(seen) - size * step) <= 1 and abs(seen.mean() - (n - 1) / 2) <= 1
    if spacing == "native":
        whole = np.zeros((6, 20, 18), dtype=int)
        whole[case.box] = 1
        assert np.array_equal(found.array, whole)


@pytest.mark.parametrize("view", [Patches((4, 8, 8)), Slices(0, 0, (13, 11))], ids=str)
@pytest.mark.parametrize("recipe", [{}, {"spacing": "2,1.3,0.8"}, {"crop": (0, 9, 9)}], ids=str)
def test_a_chain_decides_on_the_cases_own_grid(tmp_path: Path, view: Any, recipe: dict[str, Any]) -> None:
    case = stored(tmp_path, (5, 13, 11), **recipe)
    likeliest = predict(pointwise, case, view, task_of(3), CHAIN, CPU).array
    low = chain_of([Choice("threshold", {"value": 1e-6})], CATALOGUE)
    assert low.needs_probabilities and low.text == "threshold(value=1e-06)"
    found = predict(pointwise, case, view, task_of(3), low, CPU).array
    assert found.shape == likeliest.shape and ((likeliest > 0) <= (found > 0)).all()
    largest = chain_of([Choice("largest_component")], CATALOGUE)
    refined = predict(pointwise, case, view, task_of(3), largest, CPU).array
    expected = CATALOGUE.decision(Choice("largest_component")).refine(likeliest, task_of(3))
    assert np.array_equal(refined, expected) and (refined != likeliest).any()
