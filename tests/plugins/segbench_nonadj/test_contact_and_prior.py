"""Contacts against a brute-force loop; priors learnt, permuted, written and read."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from segbench import DataInvalid, DataMissing, LabelMap
from segbench_nonadj import contacts, read_prior, write_prior
from segbench_nonadj.contact import case_contacts, window_contacts
from segbench_nonadj.prior import forbidden_pairs, learn, permuted

NAMES = ("background", "a", "b", "c")


def brute_force(labels, num_labels, close):
    counts = np.zeros((num_labels, num_labels), dtype=np.int64)
    voxels = list(itertools.product(*map(range, labels.shape)))
    for one, two in itertools.combinations(voxels, 2):
        i, j = labels[one], labels[two]
        if i != j and i >= 0 and j >= 0 and close(np.abs(np.subtract(one, two))):
            counts[i, j] += 1
            counts[j, i] += 1
    return counts


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("shape", "connectivity", "reach"),
    [((5, 6), 4, 1), ((5, 6), 8, 2), ((3, 4, 5), 6, 1), ((3, 4, 5), 18, 2), ((3, 4, 5), 26, 3), ((1, 4, 4), 26, 3)],
)
def test_contacts_equal_brute_force(shape, connectivity, reach, order):
    labels = np.random.default_rng(0).integers(-1, 5, shape)
    expected = brute_force(labels, 6, lambda step: step.max() <= 1 and step.sum() <= reach)
    found = contacts(np.asarray(labels, order=order), 6, connectivity)
    assert found.dtype == np.int64 and np.array_equal(found, expected)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("sizes", [(3, 3), (5, 3), (1, 7)])
def test_window_contacts_equal_brute_force(sizes, order):
    labels = np.asarray(np.random.default_rng(1).integers(0, 4, (6, 7)), order=order)
    expected = brute_force(labels, 4, lambda step: all(step <= np.array(sizes) // 2))
    assert np.array_equal(window_contacts(labels, 4, sizes), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64])
def test_a_voxel_in_the_middle(dtype):
    labels = np.zeros((9, 9, 9), dtype=dtype)
    labels[4, 4, 4] = 2
    found = contacts(labels, 3, 26)
    assert found[0, 2] == found[2, 0] == 26 and found.sum() == 52
    assert contacts(labels, 3, 6).sum() == 12


def test_uniform_and_empty_maps_have_no_contact():
    for array in (np.zeros((3, 3, 3), int), np.full((3, 3), 2), np.full((3, 3), -1), np.zeros((0, 3), int)):
        assert contacts(array, 3).sum() == 0


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="below 3, found 3"):
        contacts(np.array([[0, 3]]), 3, 8)
    with pytest.raises(ValueError, match="connectivity"):
        contacts(np.zeros((2, 2), int), 3, 26)
    with pytest.raises(ValueError, match="connectivity"):
        contacts(np.zeros((2, 2, 2, 2), int), 3)


def test_case_contacts_are_remembered():
    label_map = LabelMap(np.array([[0, 1]]), (1.0, 1.0))
    assert case_contacts(label_map, 2) is case_contacts(label_map, 2)


def test_prior_from_truths():
    truths = [LabelMap(np.array([[0, 1, 2, 0, 3, -1, 1]]), (1.0, 1.0)), LabelMap(np.array([[1, 2]]), (1.0, 1.0))]
    counts = learn(truths, 4)
    assert counts[1, 2] == 2 and counts[0, 3] == 1 and counts[1, 3] == 0
    assert forbidden_pairs(counts).sum() == 4  # 1-3 and 2-3
    assert forbidden_pairs(counts, 2)[0, 3] and not forbidden_pairs(counts, 2)[1, 2]
    assert not forbidden_pairs(counts).diagonal().any()
    assert learn(truths, 4, size=5)[2, 3] == 1
    assert np.array_equal(learn(truths, 4, radius=2.0), learn(truths, 4, size=5))
    assert np.array_equal(learn(truths, 4, radius=1.4), learn(truths, 4))


@pytest.mark.parametrize("seed", range(8))
def test_the_placebo_leaves_the_background_in_its_place(seed):
    touching = ~np.eye(6, dtype=bool)
    touching[0], touching[:, 0] = False, False  # whatever the foreground labels are called: they may touch background
    assert np.array_equal(permuted(touching, seed), touching)
    alone = np.zeros((6, 6), dtype=bool)
    alone[0, 3] = alone[3, 0] = True  # one label never touches background; another one does in its place
    found = permuted(alone, seed)
    assert found[0].sum() == 1 and not found[1:, 1:].any()


def test_permuted_prior_has_the_same_strength():
    rng = np.random.default_rng(0)
    forbidden = np.triu(rng.random((12, 12)) < 0.5, 1)
    forbidden |= forbidden.T
    placebo = permuted(forbidden, 3)
    assert placebo.sum() == forbidden.sum() and placebo[0].sum() == forbidden[0].sum()
    assert np.array_equal(placebo, placebo.T) and not placebo.diagonal().any()
    assert not np.array_equal(placebo, forbidden)
    assert np.array_equal(placebo, permuted(forbidden, 3)) and not np.array_equal(placebo, permuted(forbidden, 4))


def test_table_round_trip_and_reordering(tmp_path):
    counts = learn([LabelMap(np.array([[0, 1, 2, 0, 3]]), (1.0, 1.0))], 4)
    write_prior(tmp_path / "prior.csv", counts, NAMES)
    assert np.array_equal(read_prior(tmp_path / "prior.csv", NAMES), counts)
    order = [3, 1, 0, 2]
    found = read_prior(tmp_path / "prior.csv", [NAMES[index] for index in order])
    assert np.array_equal(found, counts[np.ix_(order, order)])
    semicolons = (tmp_path / "prior.csv").read_text().replace(",", ";")
    (tmp_path / "other.csv").write_text(semicolons)
    assert np.array_equal(read_prior(tmp_path / "other.csv", NAMES), counts)


def test_pairs_by_hand(tmp_path):
    path = tmp_path / "prior.toml"
    path.write_text('forbidden = [["a", "c"]]')
    forbidden = forbidden_pairs(read_prior(path, NAMES))
    assert forbidden.sum() == 2 and forbidden[1, 3] and forbidden[3, 1]
    path.write_text('allowed = [["a", "c"]]')
    assert forbidden_pairs(read_prior(path, NAMES)).sum() == 10


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.toml", 'forbidden = [["a", "d"]]', "no label is called 'd'"),
        ("p.toml", 'forbidden = [["a"]]', "pairs"),
        ("p.toml", "allowed = []\nforbidden = []", "either"),
        ("p.toml", "allowed = [", "UTF-8"),
        ("p.csv", "", "square"),
        ("p.csv", "label,background,a\nbackground,0,1\na,1,0", "missing: b, c"),
        ("p.csv", "label,background,x\nbackground,0,1\nx,1,0", "no label is called 'x'"),
        ("p.csv", "label,background,a\nbackground,0\na,1,0", "square"),
    ],
)
def test_faulty_files_are_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataInvalid, match=message):
        read_prior(tmp_path / name, NAMES)


@pytest.mark.parametrize(
    ("cell", "message"),
    [("x", "numbers"), ("-1", "negative"), ("1e30", "larger"), ("nan", "finite"), ("7", "symmetric")],
)
def test_faulty_cells_are_named(tmp_path, cell, message):
    (tmp_path / "p.csv").write_text(f"label,background,a\nbackground,0,{cell}\na,1,0")
    with pytest.raises(DataInvalid, match=message):
        read_prior(tmp_path / "p.csv", NAMES[:2])


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataMissing, match="nowhere"):
        read_prior(tmp_path / "nowhere.csv", NAMES)
