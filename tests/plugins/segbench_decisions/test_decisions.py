"""Argmax, threshold, largest component and holes against cases drawn by hand and slow oracles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from segbench import Decision, Task, UsageError, load_catalogue
from segbench.params import make
from segbench_decisions.argmax import Argmax
from segbench_decisions.components import LargestComponent
from segbench_decisions.holes import FillHoles
from segbench_decisions.rank_dice import RankDice
from segbench_decisions.threshold import Threshold

TASK = Task("toy", "1", ("background", "a", "b", "c"))
REFINERS: list[Decision] = [
    LargestComponent(),
    LargestComponent(connectivity="full"),
    LargestComponent(labels=("b",)),
    FillHoles(),
    FillHoles(slicewise=True),
]


def drawing(*slices: str) -> NDArray[np.int64]:
    """Return a label map from rows of digits, ``.`` = background; several drawings are the slices of a volume."""
    planes = [[[0 if one == "." else int(one) for one in row] for row in text.split()] for text in slices]
    return np.array(planes[0] if len(planes) == 1 else planes)


def patchy(seed: int, shape: tuple[int, ...], labels: int = 4) -> NDArray[Any]:
    """Return blobs of labels with specks and holes."""
    generator = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(generator.normal(size=(labels, *shape)), (0, *(1.0,) * len(shape)))
    array: NDArray[Any] = smooth.argmax(0).astype(np.int16)
    array[generator.random(shape) < 0.15] = 0
    return array


def test_the_catalogue_offers_them_and_argmax_is_the_default() -> None:
    catalogue = load_catalogue()
    names = {"argmax", "threshold", "rank_dice", "largest_component", "fill_holes"}
    assert names <= set(catalogue.names("decisions"))
    parts: list[Any] = [catalogue.entry("decisions", name).cls for name in names]
    assert [cls.name for cls in parts if cls.default] == ["argmax"]
    assert {cls.name for cls in parts if cls.needs_probabilities} == {"threshold", "rank_dice"}


def test_argmax_takes_the_first_of_equals() -> None:
    probabilities = np.random.default_rng(0).integers(0, 3, (4, 5, 6, 7)) / 4
    assert np.array_equal(Argmax().decide(probabilities, TASK), np.argmax(probabilities, 0))
    assert Argmax().decide(np.full((3, 1, 1), 1 / 3), TASK).tolist() == [[0]]
    labels = drawing(".1 23")
    assert np.array_equal(Argmax().refine(labels, TASK), labels)


# ------------------------------------------------------------------------------------------------------- threshold


def test_threshold_by_hand() -> None:
    probabilities = np.array(
        [
            [0.50, 0.70, 0.20, 0.40, 0.10, 0.30],
            [0.50, 0.30, 0.40, 0.30, 0.45, 0.00],
            [0.00, 0.00, 0.40, 0.30, 0.45, 0.70],
        ]
    )[:, None]
    assert Threshold().decide(probabilities, TASK).tolist() == [[1, 0, 0, 0, 0, 2]]
    assert Threshold(0.3).decide(probabilities, TASK).tolist() == [[1, 1, 1, 1, 1, 2]]
    assert Threshold(0.4).decide(probabilities, TASK).tolist() == [[1, 0, 1, 0, 1, 2]]
    assert Threshold(1.0).decide(probabilities, TASK).tolist() == [[0, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("value", [0.1, 0.3, 0.5, 0.7])
def test_threshold_is_reached_in_either_precision(value: float) -> None:
    for kind in (np.float32, np.float64):
        probabilities = np.array([1 - value, value], kind)[:, None, None]
        assert Threshold(value).decide(probabilities, TASK).tolist() == [[1]]


def test_threshold_against_its_definition_voxel_by_voxel() -> None:
    probabilities = np.random.default_rng(3).dirichlet(np.ones(4), (3, 4, 5)).transpose(3, 0, 1, 2)
    found = Threshold(0.4).decide(probabilities, TASK)
    for place in np.ndindex(3, 4, 5):
        here = probabilities[(slice(None), *place)]
        reaching = [label for label in (1, 2, 3) if here[label] >= 0.4]
        assert found[place] == (max(reaching, key=lambda label: here[label]) if reaching else 0)


def test_threshold_is_above_zero_and_at_most_one() -> None:
    for value in (0, -0.1, 1.01):
        with pytest.raises(UsageError, match="found"):
            make(Threshold, {"value": value}, "decision threshold")
    assert make(Threshold, {"value": "1"}, "decision threshold").value == 1


# -------------------------------------------------------------------------------------------------- the largest part


def test_largest_component_by_hand() -> None:
    labels = drawing("11.2 11.. ...1 2.22")
    assert np.array_equal(LargestComponent().refine(labels, TASK), drawing("11.. 11.. .... ..22"))
    diagonal = drawing("1...1 1.1.1 .1..1")
    assert np.array_equal(LargestComponent().refine(diagonal, TASK), drawing("....1 ....1 ....1"))
    assert np.array_equal(LargestComponent(connectivity="full").refine(diagonal, TASK), drawing("1.... 1.1.. .1..."))


def test_of_equally_large_components_the_first_in_scan_order() -> None:
    assert np.array_equal(LargestComponent().refine(drawing("..1 1.1 1.."), TASK), drawing("..1 ..1 ..."))
    volume = drawing(".1. ...", "... 1.1")
    assert np.array_equal(LargestComponent().refine(volume, TASK), drawing(".1. ...", "... ..."))


def test_components_in_a_volume_and_in_one_slice() -> None:
    volume = drawing("1. .2", "1. .2", ".1 2.")
    assert np.array_equal(LargestComponent().refine(volume, TASK), drawing("1. .2", "1. .2", ".. .."))
    assert np.array_equal(LargestComponent(connectivity="full").refine(volume, TASK), volume)
    slice_ = drawing("1.1 1..")
    assert np.array_equal(LargestComponent().refine(slice_[None], TASK)[0], LargestComponent().refine(slice_, TASK))


def test_only_the_named_labels_are_cleaned() -> None:
    labels = drawing("1.1 2.2 2..")
    assert np.array_equal(LargestComponent(labels=("b",)).refine(labels, TASK), drawing("1.1 2.. 2.."))
    for name, words in (("bb", "Did you mean 'b'"), ("background", "found 'background'")):
        with pytest.raises(UsageError, match=words):
            LargestComponent(labels=("b", name)).refine(labels, TASK)
    assert make(LargestComponent, {"labels": "a,b"}, "decision").labels == ("a", "b")


@pytest.mark.parametrize("connectivity", ["faces", "full"])
@pytest.mark.parametrize("shape", [(24, 30), (9, 12, 10), (1, 24, 30)])
def test_largest_component_against_flooding(shape: tuple[int, ...], connectivity: Any) -> None:
    for seed in range(4):
        labels = patchy(seed, shape)
        found = LargestComponent(connectivity=connectivity).refine(labels, TASK)
        for value in (1, 2, 3):
            components = flooded(labels == value, connectivity == "full")
            largest = max(components, key=len, default=[])  # max takes the first of equals
            assert sorted(map(tuple, np.argwhere(found == value).tolist())) == sorted(largest)


def flooded(mask: NDArray[np.bool_], full: bool) -> list[list[tuple[int, ...]]]:
    """Return the components of a mask in scan order, by depth-first search."""
    steps = [
        tuple(one - 1 for one in step)
        for step in np.ndindex(*(3,) * mask.ndim)
        if full or sum(one != 1 for one in step) == 1
    ]
    left = dict.fromkeys(map(tuple, np.argwhere(mask).tolist()))
    components = []
    while left:
        start = next(iter(left))
        del left[start]
        stack, component = [start], [start]
        while stack:
            place = stack.pop()
            for step in steps:
                near = tuple(one + other for one, other in zip(place, step, strict=True))
                if near in left:
                    del left[near]
                    stack.append(near)
                    component.append(near)
        components.append(component)
    return components


# ----------------------------------------------------------------------------------------------------------- holes


def test_holes_by_hand() -> None:
    labels = drawing("1111.22 1..1.2. 1.11.22 111....")
    assert np.array_equal(FillHoles().refine(labels, TASK), drawing("1111.22 1111.2. 1111.22 111...."))
    corner = drawing(".1. 1.1 .1.")  # diagonal gaps are closed to faces
    assert np.array_equal(FillHoles().refine(corner, TASK), drawing(".1. 111 .1."))


def test_other_labels_in_a_hole_stay() -> None:
    labels = drawing("11111 1...1 1.2.1 1...1 11111")
    assert np.array_equal(FillHoles().refine(labels, TASK), drawing("11111 11111 11211 11111 11111"))


def test_the_innermost_label_fills() -> None:
    nested = drawing("1111111 1.....1 1.222.1 1.2.2.1 1.222.1 1.....1 1111111")
    expected = drawing("1111111 1111111 1122211 1122211 1122211 1111111 1111111")
    assert np.array_equal(FillHoles().refine(nested, TASK), expected)
    swapped = np.array([0, 2, 1])
    assert np.array_equal(FillHoles().refine(swapped[nested], TASK), swapped[expected])
    rings = drawing("1111111 1222221 1211121 121.121 1211121 1222221 1111111")  # label 1 within 2 within 1
    assert FillHoles().refine(rings, TASK)[3, 3] == 1


def test_background_between_two_labels_is_no_hole() -> None:
    labels = drawing("1122 1..2 1122")
    assert np.array_equal(FillHoles().refine(labels, TASK), labels)


def test_holes_of_a_volume_and_of_its_slices() -> None:
    full, ring = "111 111 111", "111 1.1 111"
    closed, open_, one = drawing(full, ring, full), drawing(full, ring, ring), drawing(ring)[None]
    filled = np.ones((3, 3, 3), int)
    assert np.array_equal(FillHoles().refine(closed, TASK), filled)
    assert np.array_equal(FillHoles().refine(open_, TASK), open_)
    assert np.array_equal(FillHoles(slicewise=True).refine(open_, TASK), filled)
    for slicewise in (False, True):
        assert FillHoles(slicewise).refine(one, TASK).all()
        assert FillHoles(slicewise).refine(one[0], TASK).all()


@pytest.mark.parametrize("shape", [(30, 30), (10, 12, 11), (1, 30, 30)])
@pytest.mark.parametrize("slicewise", [False, True])
def test_holes_of_a_single_label_against_scipy(shape: tuple[int, ...], slicewise: bool) -> None:
    for seed in range(4):
        labels = (np.random.default_rng(seed).random(shape) < 0.75).astype(np.uint8) * 3
        found = FillHoles(slicewise).refine(labels, TASK)
        if (slicewise and len(shape) == 3) or shape[0] == 1:
            expected = np.stack([ndimage.binary_fill_holes(one) for one in labels])
        else:
            expected = ndimage.binary_fill_holes(labels)
        assert (expected != (labels > 0)).any()
        assert np.array_equal(found, expected * 3)


@pytest.mark.parametrize("shape", [(25, 25), (8, 9, 10)])
def test_holes_of_several_labels_against_scipy(shape: tuple[int, ...]) -> None:
    """What any label encloses, and only background, is filled; and by a label that encloses it."""
    for seed in range(6):
        labels = patchy(seed, shape, 3)
        found = FillHoles().refine(labels, TASK)
        enclosed = {value: ndimage.binary_fill_holes(labels == value) for value in (1, 2)}
        background = labels == 0
        assert np.array_equal(found[~background], labels[~background])
        assert np.array_equal(found > 0, ~background | enclosed[1] | enclosed[2])
        for value in (1, 2):
            assert enclosed[value][(found == value) & background].all()


# ------------------------------------------------------------------------------------------------------ all of them


@pytest.mark.parametrize("part", REFINERS, ids=repr)
def test_refining_leaves_its_input_and_the_type_of_labels(part: Decision) -> None:
    for kind in (np.uint8, np.int16, np.int64):
        for order in ("C", "F"):
            labels = np.asarray(patchy(1, (8, 9, 10)), kind, order=order)  # type: ignore[call-overload]
            kept = labels.copy()
            labels.setflags(write=False)
            refined = part.refine(labels, TASK)
            assert np.array_equal(labels, kept) and refined.dtype == kind
            assert np.array_equal(refined, part.refine(kept.astype(np.int32), TASK))


@pytest.mark.parametrize("part", REFINERS, ids=repr)
@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (1, 4, 5), (1, 1, 1), (1, 1)])
def test_nothing_everything_and_one_voxel(part: Decision, shape: tuple[int, ...]) -> None:
    for value in (0, 2):
        labels = np.full(shape, value, np.uint8)
        assert np.array_equal(part.refine(labels, TASK), labels)
    one = np.zeros(shape, np.uint8)
    one[(0,) * len(shape)] = 3
    assert np.array_equal(part.refine(one, TASK), one)


@pytest.mark.parametrize("part", [LargestComponent(), FillHoles(), Argmax(), Threshold(), RankDice()], ids=repr)
def test_a_task_without_foreground_stays_background(part: Decision) -> None:
    assert not part.decide(np.ones((1, 3, 4)), Task("nothing", "1", ("background",))).any()


@pytest.mark.parametrize("part", REFINERS[:2] + REFINERS[3:], ids=repr)
def test_refiners_decide_by_argmax_first(part: Decision) -> None:
    probabilities = np.random.default_rng(5).dirichlet(np.ones(4), (6, 7, 8)).transpose(3, 0, 1, 2)
    assert np.array_equal(part.decide(probabilities, TASK), part.refine(probabilities.argmax(0), TASK))
