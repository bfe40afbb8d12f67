"""The prior as a part: learnt, written, recognised, read; audits against brute force and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from segbench import Case, DataInvalid, LabelMap, Task, UsageError
from segbench.params import make
from segbench_nonadj.prior_part import AdjacencyPrior

TASK = Task("t", "1", ("background", "left a", "right, a", "c"))
AFFINE = np.array([[0.0, 0.0, -2.0, 10.0], [0.0, 3.0, 0.0, -5.0], [4.0, 0.0, 0.0, 7.0], [0.0, 0.0, 0.0, 1.0]])


def label_map(array, affine=None):
    return LabelMap(np.asarray(array), (4.0, 3.0, 2.0)[-np.ndim(array) :], affine)


def case(array):
    image = np.zeros((1, *np.shape(array)), dtype=np.float32)
    return Case("x", image, (4.0, 3.0, 2.0), AFFINE, None if array is None else label_map(array))


def learnt(array=((((0, 1, 0, 2, 3, 0),),)), **parameters):
    prior = AdjacencyPrior(**parameters)
    prior.learn(TASK, [case(array)])
    return prior


def line(values, affine=AFFINE):
    return label_map(np.array(values).reshape(1, 1, -1), affine)


@pytest.mark.parametrize("name", ["prior.csv", "prior.toml", "PRIOR.TOML"])
def test_what_is_written_is_recognised_and_read(tmp_path, name):
    prior, path = learnt(), tmp_path / name
    prior.write(path)
    assert AdjacencyPrior().recognises(path) and tuple(AdjacencyPrior().labels(path)) == TASK.labels
    other = AdjacencyPrior()
    other.read(path, TASK)
    assert np.array_equal(other.counts_ > 0, prior.counts_ > 0)
    if name.endswith("csv"):
        assert np.array_equal(other.counts_, prior.counts_)
    found = line([0, 1, 2, 0])
    assert other.audit("x", found, TASK) == prior.audit("x", found, TASK)


def test_rare_contacts_are_not_written(tmp_path):
    prior = learnt(minimum_contacts=2)  # 0-1 and 0-2 are seen twice or once, 2-3 and 0-3 once
    assert prior.counts_[0, 1] == 2 and prior.counts_[2, 3] == 0 and prior.counts_[0, 3] == 0
    prior.write(tmp_path / "prior.csv")
    again = AdjacencyPrior(minimum_contacts=99)
    again.read(tmp_path / "prior.csv", TASK)
    assert np.array_equal(again.counts_, prior.counts_)


def test_cases_without_a_truth_teach_nothing():
    prior = AdjacencyPrior()
    prior.learn(TASK, [Case("x", np.zeros((1, 1, 1, 2), np.float32), (1, 1, 1), AFFINE, None)])
    assert prior.counts_.sum() == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"case,dice\nx,0.5"),
        ("a.csv", b""),
        ("a.csv", b"label,a\na,x"),
        ("a.csv", b"\xff\xfe\x00"),
        ("a.toml", b"volume = 3"),
        ("a.toml", b"allowed = ["),
        ("a.json", b'{"allowed": []}'),
        ("a.nii.gz", b"\x1f\x8b"),
    ],
)
def test_other_files_are_not_recognised(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert not AdjacencyPrior().recognises(tmp_path / name)
    assert not AdjacencyPrior().recognises(tmp_path) and not AdjacencyPrior().recognises(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.toml", "allowed = 3"),
        ("a.toml", "allowed = [[1, [2]]]\nlabels = [[1], 1]"),
        ("a.csv", "label,background,left a\nbackground,0,1\nleft a,2,0"),
    ],
)
def test_a_faulty_prior_is_recognised_and_its_fault_is_named_on_reading(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert AdjacencyPrior().recognises(tmp_path / name)
    with pytest.raises(DataInvalid, match=r"expected|no label is called"):
        AdjacencyPrior().read(tmp_path / name, TASK)


def test_labels_of_pairs_put_the_background_first(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text('forbidden = [["c", "left a"], ["background", "c"]]')
    assert AdjacencyPrior().recognises(path) and list(AdjacencyPrior().labels(path)) == ["background", "c", "left a"]
    path.write_text('labels = ["background", "c"]\nallowed = [["c", "background"]]')
    assert list(AdjacencyPrior().labels(path)) == ["background", "c"]
    with pytest.raises(DataInvalid, match="missing: left a, right, a"):
        AdjacencyPrior().read(path, TASK)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.csv or \.toml"):
        learnt().write(tmp_path / "prior.txt")


def test_audit_by_hand():
    # 1 touches 2 at x-indices 1|2; forbidden are 1-2 and 1-3
    audit = learnt().audit("x", line([0, 1, 2, 0, 3, 1, 0, 3, 1]), TASK)
    assert audit.measures == {"forbidden_pairs": 2, "forbidden_contacts": 3 / 8, "forbidden_contact_count": 3}
    worst, other = audit.violations
    assert (worst.what, worst.amount, worst.unit) == ("left a touches c", 2.0, "contacts")
    assert other.structures == ("left a", "right, a") and other.amount == 1
    assert other.position == (10 - 2 * 1.5, -5.0, 7.0)
    assert worst.position in [(10 - 2 * 4.5, -5.0, 7.0), (10 - 2 * 7.5, -5.0, 7.0)]  # a real contact, not between them


def test_without_an_affine_positions_are_index_times_spacing():
    array = np.zeros((3, 3, 4), int)
    array[2, 1, 1:3] = [1, 2]
    (violation,) = learnt().audit("x", label_map(array), TASK).violations
    assert violation.position == (1.5 * 2, 1 * 3, 2 * 4)
    flat = AdjacencyPrior()
    flat.counts_, flat.labels_ = learnt().counts_, TASK.labels
    (violation,) = flat.audit("x", label_map([[1, 2]]), TASK).violations
    assert violation.position == (0.5 * 2, 0.0, 0.0)


@pytest.mark.parametrize("parameters", [{}, {"size": 5}, {"radius": 4.0}])
def test_audit_equals_brute_force(parameters):
    labels = np.random.default_rng(3).integers(-1, 4, (3, 5, 6))
    prior = learnt(np.array([[[0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 2, 3]]]), **parameters)
    forbidden = prior.counts_ == 0
    reach = {"size": np.array([2, 2, 2]), "radius": np.array([1, 1, 2])}.get(next(iter(parameters), ""), np.ones(3))
    seen, total = {}, 0
    for one, two in itertools.combinations(list(itertools.product(*map(range, labels.shape))), 2):
        i, j = sorted((int(labels[one]), int(labels[two])))
        if i != j and i >= 0 and (np.abs(np.subtract(one, two)) <= reach).all():
            total += 1
            if forbidden[i, j]:
                seen.setdefault((i, j), []).append((np.array(one) + two) / 2)
    audit = prior.audit("x", label_map(labels, AFFINE), TASK)
    assert {tuple(v.structures): v.amount for v in audit.violations} == {
        (TASK.labels[i], TASK.labels[j]): len(places) for (i, j), places in seen.items()
    }
    assert audit.measures["forbidden_pairs"] == len(seen) > 0
    assert audit.measures["forbidden_contacts"] == pytest.approx(sum(map(len, seen.values())) / total)
    assert [v.amount for v in audit.violations] == sorted((v.amount for v in audit.violations), reverse=True)
    for violation in audit.violations:
        i, j = (TASK.labels.index(name) for name in violation.structures)
        world = [AFFINE[:3, :3] @ place + AFFINE[:3, 3] for place in seen[(i, j)]]
        distances = np.linalg.norm(np.array(world) - np.mean(world, axis=0), axis=1)
        mine = np.linalg.norm(np.array(violation.position) - np.mean(world, axis=0))
        assert mine == pytest.approx(distances.min(), abs=0.01)


def test_a_truth_and_an_empty_map_keep_the_prior():
    for values in ([0, 1, 0, 2, 3, 0], [0, 0]):
        audit = learnt().audit("x", line(values), TASK)
        assert audit.violations == () and audit.measures["forbidden_contacts"] == 0


@pytest.mark.parametrize("name", ["prior.csv", "prior.toml"])
def test_gaps_between_label_values_need_no_name(tmp_path, name):
    """A task of the values 1, 2 and 5 reads what another one wrote, and writes nothing for its own gaps."""
    path, again = tmp_path / name, tmp_path / f"again_{name}"
    learnt().write(path)
    gaps = Task("t", "1", ("background", "left a", "right, a", "3", "4", "c"))
    prior = AdjacencyPrior()
    prior.read(path, gaps)
    counts = np.delete(np.delete(prior.counts_, [3, 4], 0), [3, 4], 1)
    assert np.array_equal(counts > 0, learnt().counts_ > 0) and prior.counts_[[3, 4]].sum() == 0
    prior.write(again)
    assert AdjacencyPrior().values(again) == {"background": 0, "left a": 1, "right, a": 2, "c": 5}
    assert tuple(AdjacencyPrior().labels(again)) == TASK.labels
    with pytest.raises(DataInvalid, match="missing: d"):
        AdjacencyPrior().read(path, Task("t", "1", (*gaps.labels, "d")))


def test_values_are_recorded_and_give_the_order_of_labels(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("label,value,c,background,left a\nc,7,0,1,0\nbackground,0,1,0,2\nleft a,1,0,2,0\n")
    assert AdjacencyPrior().recognises(path) and list(AdjacencyPrior().labels(path)) == ["background", "left a", "c"]
    assert AdjacencyPrior().values(path) == {"c": 7, "background": 0, "left a": 1}
    (tmp_path / "p.toml").write_text('labels = ["c", "background"]\nvalues = [7, 0]\nallowed = []')
    assert list(AdjacencyPrior().labels(tmp_path / "p.toml")) == ["background", "c"]
    (tmp_path / "none.toml").write_text('allowed = [["c", "d"]]')
    assert AdjacencyPrior().values(tmp_path / "none.toml") == {}
    assert list(AdjacencyPrior().labels(tmp_path / "none.toml")) == ["background", "c", "d"]
    assert AdjacencyPrior().recognises(tmp_path / "none.toml")


@pytest.mark.parametrize("values", ["[0]", "[0, 0]", "[0, -1]", "[0, true]", "3", '["a", 1]'])
def test_faulty_values_are_named(tmp_path, values):
    path = tmp_path / "p.toml"
    path.write_text(f'labels = ["background", "c"]\nvalues = {values}\nallowed = []')
    with pytest.raises(DataInvalid, match="value"):
        AdjacencyPrior().values(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('forbiden = [["c", "left a"]]', "unknown key 'forbiden'. Did you mean 'forbidden'"),
        ('forbidden = [["c", "left a"]]\nlabel = ["c"]', "unknown key 'label'. Did you mean 'labels'"),
    ],
)
def test_unknown_keys_are_named(tmp_path, content, words):
    path = tmp_path / "p.toml"
    path.write_text(content)
    assert AdjacencyPrior().recognises(path)
    with pytest.raises(DataInvalid, match=words):
        AdjacencyPrior().read(path, TASK)


def test_faults_are_named():
    with pytest.raises(UsageError, match="odd"):
        make(AdjacencyPrior, {"size": 4}, "prior adjacency")
    with pytest.raises(UsageError, match="learn"):
        AdjacencyPrior().audit("x", line([0, 1]), TASK)
