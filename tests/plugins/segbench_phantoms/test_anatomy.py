"""Sizes and neighbourhoods of the phantom against those of real label maps (stated tolerances)."""

from __future__ import annotations

import numpy as np
import pytest

from segbench_phantoms.anatomy import build_head, head_grid
from segbench_phantoms.measures import Summary, adjacency, summarise, volumes
from segbench_phantoms.parcels import PARCELS
from segbench_phantoms.schemes import SCHEMES

GRID = head_grid((2.5, 2.5, 2.5))


def test_adjacency_counts_faces_and_corners() -> None:
    labels = np.zeros((2, 2, 2), np.int16)
    labels[0, 0, 0], labels[1, 1, 1], labels[0, 0, 1] = 1, 2, 3
    assert adjacency(labels, 3, 6)[1:, 1:].tolist() == [
        [False, False, True],
        [False, False, False],
        [True, False, False],
    ]
    assert adjacency(labels, 3, 26)[1, 2] and adjacency(labels, 3, 26)[2, 3]
    assert volumes(labels, 3, (1.0, 2.0, 3.0)).tolist() == [6.0, 6.0, 6.0]


@pytest.fixture(scope="module")
def maps31() -> list[np.ndarray]:
    return [build_head((0, 0, index, 0), GRID, SCHEMES[31]).labels for index in range(14)]


@pytest.fixture(scope="module")
def summary31(maps31: list[np.ndarray]) -> Summary:
    return summarise(maps31, 31, GRID.spacing, prior=10)


def test_every_structure_is_in_every_head(summary31: Summary) -> None:
    assert summary31.missing == 0


def test_neighbouring_pairs_are_as_many_as_in_people(summary31: Summary) -> None:
    """Real maps: 110..128 (6) and 118..153 (26) per subject at 1 and 2 mm, union of 20 subjects 150..178."""
    assert summary31.pairs6[0] >= 105 and summary31.pairs6[-1] <= 130
    assert summary31.pairs26[0] >= 118 and summary31.pairs26[-1] <= 155
    assert 150 <= summary31.union26 <= 185
    assert 90 <= summary31.always26 <= 118


def test_degrees_are_as_in_people(summary31: Summary) -> None:
    """Real maps: mean 8.5, median 7, range 2..19."""
    mean, median, low, high = summary31.degree
    assert 8.0 < mean < 9.5 and 6.0 <= median <= 8.0 and low >= 2 and high <= 22


def test_ten_subjects_predict_the_pairs_of_another(summary31: Summary) -> None:
    """Real maps: 0.5 forbidden pairs per held-out subject, at most 2."""
    assert np.mean(summary31.surprises) <= 2.0 and max(summary31.surprises) <= 5


def test_volumes_are_as_in_people(summary31: Summary) -> None:
    """Real maps (label medians, mm3): 502, 3954, 224,324; total 1.135 L."""
    assert 350 < summary31.volume_min < 750
    assert 3000 < summary31.volume_median < 5000
    assert 190_000 < summary31.volume_max < 265_000
    assert 1.0e6 < summary31.volume_total < 1.27e6


def test_left_and_right_are_alike(maps31: list[np.ndarray]) -> None:
    names = SCHEMES[31].labels
    sizes = np.mean([volumes(labels, 31, GRID.spacing) for labels in maps31], axis=0)
    for value, name in enumerate(names):
        if name.startswith("left "):
            other = names.index(name.replace("left", "right"))
            assert abs(np.log(sizes[value - 1] / sizes[other - 1])) < 0.2, name


def test_mirror_structures_meet_on_the_midline_only(maps31: list[np.ndarray]) -> None:
    names = SCHEMES[31].labels
    table = np.mean([adjacency(labels, 31, 26) for labels in maps31], axis=0)
    for name in ("putamen", "pallidum", "hippocampus", "amygdala", "caudate", "accumbens area"):
        assert table[names.index(f"left {name}"), names.index(f"right {name}")] == 0.0
    assert table[names.index("left cerebral white matter"), names.index("right cerebral white matter")] == 1.0


@pytest.fixture(scope="module")
def maps134() -> list[np.ndarray]:
    return [build_head((0, 0, index, 0), GRID, SCHEMES[134]).labels for index in range(12)]


def test_134_structures_are_named_as_in_the_protocol() -> None:
    names = SCHEMES[134].labels[1:]
    sides = [name.split()[0] if name.split()[0] in ("left", "right") else "midline" for name in names]
    assert len(set(names)) == 134
    assert [sides.count(side) for side in ("left", "right", "midline")] == [63, 63, 8]
    assert sum(name.endswith(parcel.name) for name in names for parcel in PARCELS) == 98


def test_134_structures_touch_as_in_people(maps134: list[np.ndarray]) -> None:
    """Real maps, 1 to 3 mm: 633..614 pairs (6), 688..771 pairs (26) per subject; 9 surprises (2..16)."""
    summary = summarise(maps134, 134, GRID.spacing, prior=10)
    assert summary.missing == 0
    assert 600 <= np.median(summary.pairs6) <= 690
    assert 680 <= np.median(summary.pairs26) <= 800
    assert 7600 <= summary.forbidden26 <= 8100
    assert 9.5 < summary.degree[0] < 12.5 and 8.0 <= summary.degree[1] <= 11.0
    assert max(summary.surprises) <= 25


def test_134_structures_have_two_hubs_and_log_normal_volumes(maps134: list[np.ndarray]) -> None:
    """Real maps: degree 76 of white matter, 26 at most elsewhere; log10 of volumes 3.64 (sd 0.47)."""
    degrees = np.median([adjacency(labels, 134, 26)[1:, 1:].sum(axis=1) for labels in maps134], axis=0)
    names = SCHEMES[134].labels[1:]
    hubs = {names[index] for index in np.argsort(degrees)[-2:]}
    assert hubs == {"left cerebral white matter", "right cerebral white matter"}
    assert np.sort(degrees)[-2] > 60 and np.sort(degrees)[-3] < 30
    logarithms = np.log10(np.median([volumes(labels, 134, GRID.spacing) for labels in maps134], axis=0))
    assert 3.45 < logarithms.mean() < 3.75 and 0.35 < logarithms.std() < 0.55


def test_both_schemes_show_the_same_head(maps31: list[np.ndarray], maps134: list[np.ndarray]) -> None:
    for name in ("left putamen", "left hippocampus", "right lateral ventricle"):
        coarse = maps31[0] == SCHEMES[31].labels.index(name)
        fine = maps134[0] == SCHEMES[134].labels.index(name)
        np.testing.assert_array_equal(coarse, fine)
