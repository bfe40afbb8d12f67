"""The dataset class: determinism, splits, grids, parameters."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from segbench import DataInvalid, SegbenchError, UnknownName
from segbench_phantoms.brain import Brain

COARSE = (4.0, 4.0, 4.0)


def test_a_case_is_the_same_whatever_the_number_of_cases() -> None:
    few, many = Brain(cases=3, spacing=COARSE), Brain(cases=9, unlabelled=2, spacing=COARSE)
    for position in (0, 2):
        first, second = few.load(few.refs()[position]), many.load(many.refs()[position])
        assert first.truth is not None and second.truth is not None
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.truth.array, second.truth.array)


def test_cases_and_seeds_differ() -> None:
    dataset, other = Brain(spacing=COARSE), Brain(spacing=COARSE, seed=1)
    images = [dataset.load(dataset.refs()[0]).image, dataset.load(dataset.refs()[1]).image]
    images.append(other.load(other.refs()[0]).image)
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_noise_changes_the_image_but_not_the_truth() -> None:
    clean, noisy = (Brain(spacing=COARSE, noise=noise) for noise in (0.0, 0.1))
    first, second = clean.load(clean.refs()[0]), noisy.load(noisy.refs()[0])
    assert first.truth is not None and second.truth is not None
    np.testing.assert_array_equal(first.truth.array, second.truth.array)
    assert not np.array_equal(first.image, second.image)


def test_image_and_truth_keep_the_contract(tmp_path: Path) -> None:
    dataset = Brain()
    dataset.prepare(tmp_path)
    case = dataset.load(dataset.refs()[0])
    assert case.truth is not None
    assert case.image.dtype == np.float32 and case.image.shape == (1, 64, 80, 64)
    assert np.isfinite(case.image).all() and case.image.min() > 0.0
    assert case.truth.array.shape == case.image.shape[1:]
    assert np.unique(case.truth.array).tolist() == list(range(32))
    assert dataset.task.synthetic and len(dataset.task.labels) == 32
    assert list(tmp_path.iterdir()) == []


def test_the_affine_puts_left_structures_at_negative_x() -> None:
    dataset = Brain()
    case = dataset.load(dataset.refs()[0])
    assert case.truth is not None
    label = dataset.task.labels.index("left putamen")
    index = np.argwhere(case.truth.array == label).mean(axis=0)
    x, y, z = (case.affine @ [*index, 1.0])[:3]
    assert -35.0 < x < -15.0 and 5.0 < y < 30.0 and -15.0 < z < 15.0


def test_the_default_split_is_12_3_5_and_every_split_has_a_case() -> None:
    splits = [ref.split for ref in Brain().refs()]
    assert [splits.count(name) for name in ("train", "val", "test")] == [12, 3, 5]
    assert {ref.split for ref in Brain(cases=3).refs()} == {"train", "val", "test"}


def test_unlabelled_cases_have_an_image_and_no_truth() -> None:
    dataset = Brain(cases=3, unlabelled=2, spacing=COARSE)
    refs = [ref for ref in dataset.refs() if ref.split == "unlabelled"]
    assert [ref.id for ref in refs] == ["brain_u000", "brain_u001"]
    case = dataset.load(refs[0])
    assert case.truth is None
    assert not np.array_equal(case.image, dataset.load(dataset.refs()[0]).image)


def test_an_anisotropic_grid_shows_the_same_head() -> None:
    flat, cube = Brain(spacing=(5.0, 1.25, 1.25)), Brain()
    first, second = flat.load(flat.refs()[0]).truth, cube.load(cube.refs()[0]).truth
    assert first is not None and second is not None
    assert first.array.shape == (32, 160, 128)
    sizes = [np.bincount(truth.array.ravel())[1:] * np.prod(truth.spacing) for truth in (first, second)]
    ratio = sizes[0] / sizes[1]
    assert 0.95 < sizes[0].sum() / sizes[1].sum() < 1.05
    assert np.median(np.abs(np.log(ratio))) < 0.1 and ratio.min() > 0.5 and ratio.max() < 2.0


def test_the_revision_follows_the_content() -> None:
    revisions = {
        Brain(**change).task.revision  # type: ignore[arg-type]
        for change in ({}, {"cases": 8}, {"noise": 0.1}, {"seed": 1}, {"spacing": COARSE}, {"structures": 134})
    }
    assert len(revisions) == 6
    assert Brain(size=(64, 80, 64)).task.revision == Brain().task.revision


def test_published_revisions_stay() -> None:
    """Results published on these revisions must stay comparable; change them only with the generator's version."""
    assert Brain().task.revision == "1-4ade740a"
    assert Brain(cases=5, seed=3, spacing=COARSE).task.revision == "1-25750fb0"


def test_the_miniature_is_small_and_complete(tmp_path: Path) -> None:
    small = Brain().forge(tmp_path)
    assert all(small.load(ref).truth is not None for ref in small.refs())
    assert small.load(small.refs()[0]).image.size < 90_000


@pytest.mark.parametrize(
    "change",
    [
        {"structures": 7},
        {"cases": 2},
        {"unlabelled": -1},
        {"noise": -0.1},
        {"seed": -1},
        {"spacing": (2.5, 0.0, 2.5)},
        {"spacing": (2.5, 2.5)},
        {"size": (4, 80, 64)},
    ],
)
def test_bad_parameters_are_named(change: dict[str, object], tmp_path: Path) -> None:
    dataset = dataclasses.replace(Brain(), **change)  # type: ignore[arg-type]
    with pytest.raises(SegbenchError, match=f"{next(iter(change))}: expected .* found"):
        dataset.prepare(tmp_path)


@pytest.mark.parametrize("change", [{"spacing": (12.0, 12.0, 12.0)}, {"size": (16, 16, 16)}])
def test_a_grid_that_misses_structures_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    dataset = dataclasses.replace(Brain(), **change)  # type: ignore[arg-type]
    with pytest.raises(DataInvalid, match="all 31 structures"):
        dataset.prepare(tmp_path)


@pytest.mark.parametrize("name", ["brain_020", "brain_u000", "heart_000", "brain_x"])
def test_unknown_cases_are_refused(name: str) -> None:
    dataset = Brain()
    with pytest.raises(UnknownName, match="expected"):
        dataset.load(dataclasses.replace(dataset.refs()[0], id=name))


def test_134_structures_load_on_the_default_grid(tmp_path: Path) -> None:
    dataset = Brain(structures=134)
    dataset.prepare(tmp_path)
    assert len(dataset.task.labels) == 135
    case = dataset.load(dataset.refs()[-1])
    assert case.truth is not None and np.unique(case.truth.array).size == 135


def test_gyri_look_alike() -> None:
    dataset = Brain(structures=134, noise=0.0)
    case = dataset.load(dataset.refs()[0])
    assert case.truth is not None
    names = ("left PrG precentral gyrus", "left PoG postcentral gyrus", "left cerebral white matter")
    means = [case.image[0][case.truth.array == dataset.task.labels.index(name)].mean() for name in names]
    assert abs(means[0] - means[1]) < 0.25 * abs(means[2] - means[0])
