"""Value tables: numbering, what is ignored, what is refused, choosing structures, and the protocols themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segbench import DataInvalid, UsageError, renumber
from segbench_brains import braincolor, cma, loni, mrbrains_values
from segbench_brains.label_values import choose, label_values

HERE = Path("map.nii.gz")
PROTOCOL = {7: "right x", 3: "left x", 200: "middle"}


def test_values_are_numbered_in_ascending_order():
    values = label_values(PROTOCOL, ignored=(5,), same={8: 7})
    assert values.names == ("background", "left x", "right x", "middle")
    array = np.array([[[0, 3, 7, 200, 5, 8]]], np.uint8)
    truth = renumber(array, values.index, "a", HERE)
    assert truth.tolist() == [[[0, 1, 2, 3, -1, 2]]] and truth.dtype == np.int16


def test_structures_that_are_not_chosen_are_background():
    values = label_values(PROTOCOL, chosen=(200,), same={8: 7}, ignored=(5,))
    assert values.names == ("background", "middle")
    assert renumber(np.array([3, 7, 8, 200, 5]), values.index, "a", HERE).tolist() == [0, 0, 0, 1, -1]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64])
def test_other_values_are_refused_by_name(dtype):
    with pytest.raises(DataInvalid, match=r"case a: expected labels 0, 3, 7, 200, found -1, 4, 100 in map"):
        renumber(np.array([0, 3, -1, 100, 4], dtype), label_values(PROTOCOL).index, "a", HERE)


def test_values_beyond_the_table_are_refused():
    with pytest.raises(DataInvalid, match="found 201, 70000"):
        renumber(np.array([201, 70000]), label_values(PROTOCOL).index, "a", HERE)


@pytest.mark.parametrize(
    ("wish", "values"),
    [
        ("all", (3, 7, 200)),
        ("200, 3", (3, 200)),
        ("X", (3, 7)),
        ("Left  x", (3,)),
        ("left x,3,middle", (3, 200)),
    ],
)
def test_choosing(wish, values):
    assert choose(PROTOCOL, wish) == values


@pytest.mark.parametrize("wish", ["", "y", "5", "left x;right x", "left x,"])
def test_choosing_nothing_known(wish):
    with pytest.raises(UsageError, match="structures: expected all"):
        choose(PROTOCOL, wish)


def test_braincolor():
    structures = braincolor.STRUCTURES
    assert len(structures) == 134 and len(set(structures.values())) == 134
    assert sum(number >= 100 for number in structures) == 98
    for number, name in structures.items():
        if number >= 100:
            assert name.startswith("Left" if number % 2 else "Right")
            assert name.split(" ", 1)[1] == structures[number ^ 1].split(" ", 1)[1]
    assert not braincolor.IGNORED & structures.keys()
    assert set(range(1, 208)) - structures.keys() - braincolor.IGNORED == {77, 78, 79}


def test_cma():
    seen = {0, 2, 3, 4, 5, 7, 8, *range(10, 19), 24, 26, 28, 29, 30, *range(41, 45), *range(46, 55), 58, 60, 61, 62, 72}
    assert len(seen) == 39
    assert seen | {9} == {0, *cma.STRUCTURES, *cma.IGNORED, *cma.SAME}
    assert len(label_values(cma.STRUCTURES, ignored=cma.IGNORED, same=cma.SAME).names) == 33
    assert cma.STRUCTURES[49] == "right thalamus" and cma.STRUCTURES[17] == "left hippocampus"


def test_loni():
    assert len(loni.STRUCTURES) == len(set(loni.STRUCTURES.values())) == 56
    assert choose(loni.STRUCTURES, "caudate,hippocampus") == (161, 162, 165, 166)
    assert choose(loni.STRUCTURES, "left caudate") == (161,)
    assert all(
        name.startswith("left" if number % 2 else "right") for number, name in loni.STRUCTURES.items() if number < 181
    )


def test_mrbrains():
    assert sorted(mrbrains_values.STRUCTURES) == list(range(1, 9))
    tissue = {
        mrbrains_values.STRUCTURES[a]: mrbrains_values.TISSUES[b]
        for a, b in mrbrains_values.TISSUES_OF_STRUCTURES.items()
    }
    assert tissue["ventricles"] == "CSF" and tissue["white matter lesions"] == "white matter"
    assert tissue["basal ganglia"] == "grey matter" and "cerebellum" not in tissue
