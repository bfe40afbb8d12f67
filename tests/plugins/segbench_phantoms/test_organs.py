"""Heart, prostate and thorax: what all three promise, and the anatomy of each against published figures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import binary_dilation, label

from segbench import CaseRef, DataInvalid, SegbenchError, UnknownName
from segbench_phantoms.heart import Heart
from segbench_phantoms.phantom import Phantom
from segbench_phantoms.prostate import Prostate
from segbench_phantoms.thorax import ORGANS, Thorax

Array = npt.NDArray[np.integer]
KINDS: list[type[Phantom]] = [Heart, Prostate, Thorax]
COARSE = Thorax(spacing=(5.0, 3.3, 3.3), organs="all")
FLAT = Prostate(cases=30, spacing=(3.6, 2.0, 2.0))
"""Volumes and components do not need the default grid."""


def truths(dataset: Phantom, count: int | None = None) -> dict[str, Array]:
    """Return the label maps of the first cases by name."""
    found: dict[str, Array] = {}
    for ref in list(dataset.refs())[:count]:
        truth = dataset.load(ref).truth
        assert truth is not None
        found[ref.id] = truth.array
    return found


def volumes(dataset: Phantom, maps: dict[str, Array], value: int) -> npt.NDArray[np.float64]:
    """Return the volumes (mL) of a label value."""
    voxel = float(np.prod(dataset.spacing)) / 1000.0
    return np.array([np.count_nonzero(array == value) * voxel for array in maps.values()])


@pytest.fixture(scope="module")
def hearts() -> dict[str, Array]:
    return truths(Heart())


@pytest.fixture(scope="module")
def prostates() -> dict[str, Array]:
    return truths(FLAT)


@pytest.fixture(scope="module")
def chests() -> dict[str, Array]:
    return truths(COARSE, 10)


# ------------------------------------------------------------------------------------------------------- all three


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_depends_on_seed_and_index_only(kind: type[Phantom], tmp_path: Path) -> None:
    small = kind().forge(tmp_path)
    more, other = dataclasses.replace(small, cases=7, unlabelled=1), dataclasses.replace(small, seed=1)
    for position in (0, 2):
        first, second = small.load(small.refs()[position]), more.load(more.refs()[position])
        np.testing.assert_array_equal(first.image, second.image)
        assert first.truth is not None and second.truth is not None
        np.testing.assert_array_equal(first.truth.array, second.truth.array)
        assert not np.array_equal(first.image, other.load(other.refs()[position]).image)
    images = [small.load(ref).image for ref in small.refs()]
    assert not any(np.array_equal(images[0], image) for image in images[1:])
    unlabelled = more.load(next(ref for ref in more.refs() if ref.split == "unlabelled"))
    assert unlabelled.truth is None and not np.array_equal(unlabelled.image, images[0])


@pytest.mark.parametrize(
    ("dataset", "shape", "labels"),
    [
        (Heart(), (10, 128, 128), ("background", "RV", "Myo", "LV")),
        (Prostate(), (20, 160, 160), ("background", "prostate")),
        (Thorax(), (64, 128, 160), ("background", "aorta")),
        (Thorax(organs="all"), (64, 128, 160), ("background", "esophagus", "heart", "trachea", "aorta")),
        (Thorax(organs="aorta, heart"), (64, 128, 160), ("background", "heart", "aorta")),
    ],
)
def test_task_grid_and_affine(dataset: Phantom, shape: tuple[int, ...], labels: tuple[str, ...]) -> None:
    case = dataset.load(dataset.refs()[0])
    assert case.truth is not None
    assert case.image.shape == (1, *shape) and case.truth.array.shape == shape
    assert case.image.dtype == np.float32 and np.isfinite(case.image).all()
    assert case.spacing == case.truth.spacing == dataset.spacing
    np.testing.assert_allclose(np.abs(case.affine[:3, :3]).sum(axis=0), dataset.spacing)
    np.testing.assert_allclose(case.affine @ [*[(n - 1) / 2 for n in shape], 1.0], [0.0, 0.0, 0.0, 1.0], atol=1e-9)
    assert np.unique(case.truth.array).tolist() == list(range(len(labels)))
    task = dataset.task
    assert task.labels == labels and task.synthetic and "nothing about patients" in task.notes[0]


@pytest.mark.parametrize("kind", KINDS)
def test_another_grid_shows_the_same_patient(kind: type[Phantom]) -> None:
    dataset = kind()
    z, y, x = dataset.spacing
    sizes = [
        volumes(one, truths(one, 2), 1) for one in (dataset, dataclasses.replace(dataset, spacing=(z, 2 * y, 2 * x)))
    ]
    np.testing.assert_allclose(sizes[0], sizes[1], rtol=0.08)


@pytest.mark.parametrize("kind", KINDS)
def test_revision_follows_every_parameter(kind: type[Phantom]) -> None:
    changes: list[dict[str, object]] = [{}, {"cases": 8}, {"unlabelled": 2}, {"noise": 0.3}, {"contrast": 2.0}]
    changes += [{"seed": 1}, {"spacing": (6.0, 3.0, 3.0)}, {"size": (9, 64, 64)}]
    changes += [{"organs": "heart"}, {"organs": "all"}] if kind is Thorax else []
    revisions = {kind(**change).task.revision for change in changes}  # type: ignore[arg-type]
    assert len(revisions) == len(changes)
    integer = kind(spacing=(6, 3, 3), contrast=1)  # type: ignore[call-arg]
    assert integer.task.revision == kind(spacing=(6.0, 3.0, 3.0), contrast=1.0).task.revision  # type: ignore[call-arg]


def test_organs_written_in_other_ways_are_the_same_task() -> None:
    assert Thorax(organs="aorta,heart").task.revision == Thorax(organs="heart , aorta").task.revision
    assert Thorax(organs="all").task.revision == Thorax(organs=",".join(ORGANS)).task.revision


@pytest.mark.parametrize("kind", KINDS)
def test_split_is_60_15_25_by_patient(kind: type[Phantom]) -> None:
    groups: dict[str, set[str]] = {}
    for ref in kind(cases=20).refs():
        groups.setdefault(ref.split, set()).add(ref.group)
    assert {name: len(patients) for name, patients in groups.items()} == {"train": 12, "val": 3, "test": 5}
    assert len(set().union(*groups.values())) == 20


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change", [{"cases": 2}, {"noise": 2.0}, {"contrast": -1.0}, {"spacing": (0.0, 1.0, 1.0)}, {"size": (4, 8, 8)}]
)
def test_bad_parameters_are_named(kind: type[Phantom], change: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(SegbenchError, match=f"{next(iter(change))}: expected .* found"):
        kind(**change).prepare(tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize("organs", ["", "liver", "aorta,aorta", "all,heart"])
def test_bad_organs_are_named(organs: str) -> None:
    with pytest.raises(SegbenchError, match="organs: expected 'all' or some of esophagus"):
        _ = Thorax(organs=organs).task


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        (Heart(), "heart_000"),
        (Heart(), "heart_020_ed"),
        (Heart(), "heart_u000_es"),
        (Heart(), "brain_000_ed"),
        (Prostate(), "prostate_024"),
        (Thorax(), "thorax_u000"),
        (Thorax(), "thorax_"),
    ],
)
def test_unknown_cases_are_refused(dataset: Phantom, name: str) -> None:
    with pytest.raises(UnknownName, match="expected"):
        dataset.load(CaseRef(name, name))


def test_a_grid_that_misses_the_organ_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="no voxel of prostate"):
        Prostate(size=(8, 8, 8), spacing=(0.2, 200.0, 200.0)).prepare(tmp_path)


# ----------------------------------------------------------------------------------------------------------- heart


def test_both_phases_of_a_patient_share_the_group() -> None:
    refs = Heart(cases=3, unlabelled=1).refs()
    assert [ref.id for ref in refs[:2]] == ["heart_000_ed", "heart_000_es"]
    assert [ref.group for ref in refs] == [name for i in ("000", "001", "002", "u000") for name in [f"heart_{i}"] * 2]
    assert all(first.split == second.split for first, second in zip(refs[::2], refs[1::2], strict=True))


def test_ventricles_have_plausible_volumes(hearts: dict[str, Array]) -> None:
    """ACDC: RV 11-399 mL (median 115), Myo 33-366 (127), LV 19-388 (122), both phases together."""
    for value, low, high, median in ((1, 11, 399, 115), (2, 33, 366, 127), (3, 19, 388, 122)):
        sizes = volumes(Heart(), hearts, value)
        assert low <= sizes.min() and sizes.max() <= high
        assert 0.7 * median < np.median(sizes) < 1.3 * median


def test_systole_has_smaller_cavities_and_as_much_muscle(hearts: dict[str, Array]) -> None:
    ejected, muscle = [], []
    for name in [name for name in hearts if name.endswith("_ed")]:
        relaxed, contracted = hearts[name], hearts[name.replace("_ed", "_es")]
        counts = [np.array([np.count_nonzero(one == value) for value in (1, 2, 3)]) for one in (relaxed, contracted)]
        ejected.append(1.0 - counts[1] / counts[0])
        muscle.append(counts[1][1] / counts[0][1])
    assert np.min(ejected, axis=0)[[0, 2]].min() > 0.0
    fractions = np.array(ejected)[:, 2]
    assert fractions.max() > 0.55 and fractions.min() < 0.4  # healthy and failing hearts
    assert 0.85 < np.median(muscle) < 1.15


def test_the_left_cavity_touches_muscle_only(hearts: dict[str, Array]) -> None:
    """A closed ring: in every slice, all neighbours of LV, corners included, are LV or Myo."""
    slices = [one for array in hearts.values() for one in array if (one == 3).any()]
    for one in slices:
        cavity = one == 3
        around = binary_dilation(cavity, np.ones((3, 3))) & ~cavity
        assert np.unique(one[around]).tolist() == [2]
    assert len(slices) > 200


def test_end_slices_lack_classes(hearts: dict[str, Array]) -> None:
    """Empty slices at both ends, a base that shows the right ventricle only, an apex without it."""
    first = [set(np.unique(array[0]).tolist()) for array in hearts.values()]
    last = [set(np.unique(array[-1]).tolist()) for array in hearts.values()]
    assert first.count({0}) >= 4 and last.count({0}) >= 10
    assert any(one == {0, 1} for array in hearts.values() for one in (set(np.unique(s).tolist()) for s in array[5:]))
    assert any({0, 2} <= one and 1 not in one for one in first)
    middle = [set(np.unique(array[5]).tolist()) for array in hearts.values()]
    assert all(one == {0, 1, 2, 3} for one in middle)


def test_breathing_moves_slices(hearts: dict[str, Array]) -> None:
    """The centre of the left ventricle jumps from slice to slice by 0.5 to 5 mm in the median patient."""
    jumps = []
    for array in hearts.values():
        centres = np.array([np.argwhere(one >= 2).mean(axis=0) for one in array if (one == 3).any()])
        jumps.append(np.linalg.norm(np.diff(centres, axis=0), axis=1).mean() * 1.5)
    assert 0.5 < np.median(jumps) < 5.0


# -------------------------------------------------------------------------------------------------------- prostate


def test_prostates_have_plausible_volumes(prostates: dict[str, Array]) -> None:
    """PROMISE12: 15-315 mL, median 43."""
    sizes = volumes(FLAT, prostates, 1)
    assert sizes.min() >= 15.0 and sizes.max() <= 315.0
    assert 33.0 < np.median(sizes) < 55.0 and sizes.max() / sizes.min() > 4.0
    assert all(label(array == 1)[1] == 1 for array in prostates.values())


def test_the_prostate_lies_inside_with_empty_slices_on_both_sides(prostates: dict[str, Array]) -> None:
    empty = np.array([[not array[0].any(), not array[-1].any()] for array in prostates.values()])
    assert (empty.mean(axis=0) > 0.8).all()


def test_the_gland_has_low_contrast() -> None:
    """Just outside, intensities overlap with those just inside: a threshold tells them apart badly."""
    dataset = Prostate()
    for ref in dataset.refs()[:3]:
        case = dataset.load(ref)
        assert case.truth is not None
        gland = case.truth.array == 1
        disc = np.ones((1, 5, 5), bool)
        shell = case.image[0][binary_dilation(gland, disc) & ~gland]
        inside = case.image[0][gland & binary_dilation(~gland, disc)]
        ranks = np.concatenate([shell, inside]).argsort().argsort()
        area = (ranks[len(shell) :].mean() - (len(inside) - 1) / 2) / len(shell)  # area under the ROC curve
        assert 0.1 < area < 0.9


# ---------------------------------------------------------------------------------------------------------- thorax


def test_organs_have_plausible_volumes(chests: dict[str, Array]) -> None:
    """SegTHOR: esophagus 30-170 mL (median 45), heart 438-1829 (847), trachea 22-73 (38), aorta 95-465 (206)."""
    for value, (low, high, median) in enumerate(((30, 170, 45), (438, 1829, 847), (22, 73, 38), (95, 465, 206)), 1):
        sizes = volumes(COARSE, chests, value)
        assert low <= sizes.min() and sizes.max() <= high
        assert 0.75 * median < np.median(sizes) < 1.25 * median


def test_the_aorta_is_a_cane(chests: dict[str, Array]) -> None:
    """One piece; from below: one component, then two (ascending and descending), then the arch, then nothing."""
    for array in chests.values():
        aorta = array == 4
        assert label(aorta, np.ones((3, 3, 3)))[1] == 1
        counts = [label(one, np.ones((3, 3)))[1] for one in aorta]
        runs = [count for place, count in enumerate(counts) if place == 0 or count != counts[place - 1]]
        assert runs == [1, 2, 1, 0]
        arch = max(place for place, count in enumerate(counts) if count == 2) + 1
        spread = [np.ptp(np.argwhere(one)[:, 0]) for one in aorta[[arch, 0]]]
        assert spread[0] > 2 * spread[1]  # the arch runs from front to back


def test_organs_lie_where_they_belong(chests: dict[str, Array]) -> None:
    for array in chests.values():
        centres = [np.argwhere(array == value).mean(axis=0) for value in range(1, 5)]
        esophagus, heart, trachea, _ = centres
        assert trachea[0] > heart[0] and esophagus[1] < heart[1] and trachea[1] > esophagus[1]
        descending = np.argwhere(array[5] == 4).mean(axis=0)
        assert descending[0] < heart[1]  # behind the heart


def test_the_aorta_is_as_dense_as_its_neighbours() -> None:
    """Without a contrast agent blood, heart and muscle differ by less than the noise; with one, blood stands out."""
    native, enhanced = Thorax(organs="all"), Thorax(organs="all", contrast=200.0)
    means = []
    for dataset in (native, enhanced):
        case = dataset.load(dataset.refs()[0])
        assert case.truth is not None
        means.append([case.image[0][case.truth.array == value].mean() for value in (2, 4)])
        assert case.image.min() >= -1024.0 and case.image.max() <= 3071.0
    assert abs(means[0][0] - means[0][1]) < 20.0
    assert 150.0 < means[1][1] - means[0][1] < 220.0


def test_structures_that_are_not_chosen_stay_visible() -> None:
    few, many = Thorax(spacing=COARSE.spacing), COARSE
    first, second = few.load(few.refs()[0]), many.load(many.refs()[0])
    np.testing.assert_array_equal(first.image, second.image)
    assert first.truth is not None and second.truth is not None
    np.testing.assert_array_equal(first.truth.array == 1, second.truth.array == 4)
