"""The prior as a part: tables and rules audited against numbers measured otherwise and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from segbench import Case, DataInvalid, LabelMap, Task, UsageError
from segbench.cli import app
from segbench.scoring.metrics import score_case
from segbench_shape_descriptors.checking import Numbers
from segbench_shape_descriptors.descriptors import describe
from segbench_shape_descriptors.layout import Column, columns
from segbench_shape_descriptors.metrics import BoundViolation
from segbench_shape_descriptors.prior_part import DescriptorPrior

TASK = Task("boxes", "1", ("background", "a", "b, with comma"))
SPACING = (3.0, 1.0, 2.0)
NAMES = ("volume", "centroid", "spread", "length", "elongation", "orientation", "moment_2_0_0")


def truth(grow=0, b=True):
    array = np.zeros((4, 9, 8), dtype=np.uint8)
    array[1:3, 2 : 5 + grow, 3:7] = 1
    if b:
        array[1:2, 7:8, 1:4] = 2
    return LabelMap(array, SPACING)


def case(name, label_map):
    return Case(name, np.zeros((1, *label_map.array.shape), np.float32), SPACING, np.eye(4), label_map)


def learnt(*cases, **parameters):
    prior = DescriptorPrior(**parameters)
    prior.learn(TASK, [case(name, label_map) for name, label_map in cases or [("x", truth())]])
    return prior


def words(audit):
    return {violation.what: (round(violation.amount, 3), violation.unit) for violation in audit.violations}


@pytest.mark.parametrize("physical", [False, True])
def test_numpy_and_torch_measure_the_same(physical):
    found, label_map = Numbers(truth(), physical), truth()
    for label in (1, 2):
        mask = torch.from_numpy((label_map.array == label).astype(np.float32))[None, None]
        expected = describe(mask, NAMES, SPACING if physical else None)[0, 0].tolist()
        numbers = [found.value(label, column) for column in columns(NAMES, 3)]
        assert numbers == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("parameters", [{}, {"slices": True}, {"physical": True}, {"descriptors": NAMES}])
def test_a_truth_keeps_its_own_bounds(tmp_path, parameters):
    prior = learnt(("x", truth()), ("y", truth(1)), **parameters)
    prior.write(tmp_path / "bounds.csv")
    read = DescriptorPrior(margin=0.0)
    assert read.recognises(tmp_path / "bounds.csv") and tuple(read.labels(tmp_path / "bounds.csv")) == TASK.labels
    read.read(tmp_path / "bounds.csv", TASK)
    for name, label_map in (("x", truth()), ("y", truth(1))):
        assert read.audit(name, label_map, TASK).measures == {"violated_bounds": 0, "violated_share": 0}
    assert read.audit("x", truth(1), TASK).violations  # one more row


def test_what_is_outside_is_named_with_its_amount():
    prior = learnt(descriptors=("volume", "centroid"), physical=True)
    audit = prior.audit(
        "x", truth(2), TASK
    )  # a has 2 x 5 x 4 instead of 2 x 3 x 4 voxels of 6 mm3; its middle moves by 1
    assert words(audit) == {
        "volume of a above its bounds": (pytest.approx(240 - 1.1 * 144, abs=0.01), "mm3"),
        "centroid along axis 1 of a above its bounds": (pytest.approx(4 - 1.1 * 3, abs=0.01), "mm"),
    }
    assert audit.measures == {"violated_bounds": 2, "violated_share": 2 / 8}
    assert [violation.structures for violation in audit.violations] == [("a",)] * 2
    assert words(prior.audit("x", LabelMap(truth(2).array, SPACING), TASK)) == words(audit)
    wide = learnt(descriptors=("volume", "centroid"), physical=True, margin=0.7, distance_margin=1.5)
    assert not wide.audit("x", truth(2), TASK).violations


def test_missing_and_invented_structures():
    missing = learnt().audit("x", truth(b=False), TASK)
    assert words(missing) == {"volume of b, with comma below its bounds": (pytest.approx(2.7, abs=0.01), "voxels")}
    assert missing.measures["violated_bounds"] == 8  # none of its numbers is as it should be
    invented = learnt(("x", truth(b=False))).audit("x", truth(), TASK)
    assert words(invented) == {"volume of b, with comma above its bounds": (3.0, "voxels")}


def test_a_case_the_table_does_not_know_is_held_to_the_range():
    prior = learnt(("x", truth(0)), ("y", truth(2, b=False)), descriptors=("volume",), margin=0.0)
    assert not prior.audit("z", truth(1), TASK).violations
    assert not prior.audit("z", truth(1, b=False), TASK).violations  # one of the cases lacks b
    assert words(prior.audit("z", truth(3), TASK)) == {
        "volume of a above its bounds": (7.0, "voxels")
    }  # one is under b
    assert prior.audit("x", truth(1), TASK).violations


def test_slices_are_named():
    audit = learnt(slices=True, descriptors=("volume",)).audit("x", truth(1), TASK)
    assert set(words(audit)) == {f"volume of a in slice {index} above its bounds" for index in (1, 2)}
    with pytest.raises(DataInvalid, match="needs volumes"):
        learnt(slices=True).audit("x", LabelMap(truth().array[0], SPACING[1:]), TASK)


def rules(tmp_path, *texts):
    path = tmp_path / "rules.toml"
    path.write_text(f"constraints = {list(texts)}")
    prior = DescriptorPrior()
    assert prior.recognises(path)
    prior.read(path, TASK)
    return prior, path


def test_rules(tmp_path):
    prior, path = rules(
        tmp_path, "2 <= volume(a) / volume('b, with comma') <= 7", "centroid(a, 0) == centroid('b, with comma', 0)"
    )
    assert list(prior.labels(path)) == list(TASK.labels)
    audit = prior.audit("any", truth(), TASK)  # 24 / 3 = 8; centroids 1.5 and 1
    assert words(audit) == {
        "2 <= volume(a) / volume('b, with comma') <= 7 does not hold": (1.0, ""),
        "centroid(a, 0) == centroid('b, with comma', 0) does not hold": (pytest.approx(0.4, abs=1e-3), ""),
    }
    assert prior.audit("any", truth(b=False), TASK).measures["violated_share"] == 0  # no rule counts
    with pytest.raises(UsageError, match="written by hand"):
        prior.write(tmp_path / "again.toml")
    with pytest.raises(UsageError, match="nothing learnt"):
        DescriptorPrior().audit("x", truth(), TASK)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('constraint = ["volume(a) >= 1"]', "unknown key 'constraint'. Did you mean 'constraints'"),
        ('constraints = ["volume(a) >= 1"]\nmargin = 2', "unknown key 'margin'"),
        ('constraints = ["volumes(a) >= 1"]', "position 1"),
    ],
)
def test_faulty_rules_are_recognised_and_their_fault_is_named(tmp_path, content, words):
    path = tmp_path / "rules.toml"
    path.write_text(content)
    assert DescriptorPrior().recognises(path)
    with pytest.raises(DataInvalid, match=words):
        DescriptorPrior().read(path, TASK)
    path.write_text('labels = ["a"]\nallowed = [["a", "b"]]')
    assert not DescriptorPrior().recognises(path)


def test_the_metric_takes_both_files(tmp_path):
    learnt(descriptors=("volume",), margin=0.0).write(tmp_path / "bounds.csv")
    metric = BoundViolation(prior=tmp_path / "bounds.csv", margin=0.0)
    values = {score.structure.name: score.value for score in metric.score(truth(1), truth(), TASK)}
    assert values == {"a": 1.0, "b, with comma": 0.0}
    _, path = rules(tmp_path, "volume(a) <= 30", "volume(a) >= 10")
    values = {score.structure.name: score.value for score in BoundViolation(prior=path).score(truth(1), truth(), TASK)}
    assert values == {"a": 0.5}  # of b nothing is said


def test_structures_that_are_missing(tmp_path):
    """Volumes count of absent classes too, in the metric as in audits; what means nothing is no failure."""
    empty = LabelMap(np.zeros_like(truth().array), SPACING)
    prior, path = rules(tmp_path, "volume(a) >= 10", "volume(a) / volume('b, with comma') <= 9")
    assert prior.audit("any", empty, TASK).measures["violated_bounds"] == 1
    metric = BoundViolation(prior=path)
    scored = [(one.structure.name, one.value, one.status) for one in metric.score(empty, truth(), TASK)]
    assert scored == [("a", 1.0, "ok"), ("b, with comma", None, "pred_empty")]
    assert [one.status for one in metric.score(empty, empty, TASK)] == ["ok", "both_empty"]
    for predicted in (empty, truth()):
        assert all(score.status != "failed" for _, score in score_case(predicted, truth(), TASK, [metric]))
    _, path = rules(tmp_path, "length(a) >= 10")
    metric = BoundViolation(prior=path)
    assert [(one.name) for one in metric.structures(TASK)] == ["a"]
    (row,) = score_case(empty, truth(), TASK, [metric])
    assert (row[1].value, row[1].status) == (None, "pred_empty")


def test_a_broken_prior_is_named_before_anything_is_scored(tmp_path):
    (tmp_path / "rules.toml").write_text('constraints = ["volume(c) >= 10"]')
    with pytest.raises(DataInvalid, match="a class"):
        BoundViolation(prior=tmp_path / "rules.toml").prepare(TASK, [])


def test_axes_that_label_maps_do_not_have():
    plane = Numbers(LabelMap(truth().array[1], SPACING[1:]), physical=False)
    for column in (Column("centroid", 2), Column("centroid", -1), Column("orientation", 3), Column("moment_2_0_0")):
        with pytest.raises(DataInvalid, match="label maps with 2 axes"):
            plane.value(1, column)
    assert plane.value(1, Column("moment_2_0")) is not None


def test_a_volume_of_one_slice_has_a_perimeter_in_mm():
    plane = LabelMap(truth().array[1:2], SPACING)
    prior = learnt(("x", plane), descriptors=("length",), physical=True)
    assert not prior.audit("x", plane, TASK).violations
    other = LabelMap(truth(3).array[1:2], SPACING)
    units = {violation.what.split()[0]: violation.unit for violation in prior.audit("x", other, TASK).violations}
    assert units == {"volume": "mm3", "length": "mm"}


def test_a_table_with_one_bad_cell_is_recognised_and_its_fault_is_named(tmp_path):
    path = tmp_path / "bounds.csv"
    learnt().write(path)
    path.write_text(path.read_text().replace("24.0", "24 voxels"))
    assert DescriptorPrior().recognises(path)
    for call in (lambda: DescriptorPrior().labels(path), lambda: DescriptorPrior().read(path, TASK)):
        with pytest.raises(DataInvalid, match="line 2: expected numbers"):
            call()
    for content in (b"\xff\xfe\0", b"", b"\0" * 9000, b"case,class,descriptor\n"):
        path.write_bytes(content)
        assert not DescriptorPrior().recognises(path)


@pytest.mark.parametrize("content", ["case,class,value\n", "case,dice\nx,1\n"])
def test_other_files_are_not_recognised(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    assert not DescriptorPrior().recognises(tmp_path / "a.csv")


def test_commands(tmp_path, monkeypatch):
    """The table of a phantom's training cases, and the audit of a prediction that lacks a structure."""
    from segbench import Choice, load_catalogue, write_label_map

    monkeypatch.chdir(tmp_path)
    settings = ["--dataset", "heart", "--set", "dataset.cases=3", "--set", "dataset.spacing=10,6,6"]
    made = CliRunner().invoke(app, ["prior", "descriptors", *settings, "--cases", "all", "--out", "bounds.csv"])
    assert made.exit_code == 0, made.output
    dataset = load_catalogue().dataset(Choice("heart", {"cases": 3, "spacing": (10, 6, 6)}))
    dataset.prepare(tmp_path)
    case = dataset.load(dataset.refs()[0])
    without = LabelMap(np.where(case.truth.array == 1, 0, case.truth.array), case.truth.spacing, case.truth.affine)
    write_label_map(tmp_path / "predictions" / f"{case.id}.nii.gz", without)
    found = CliRunner().invoke(app, ["audit", "predictions", "--prior", "bounds.csv", "--labels", "RV=1,Myo=2,LV=3"])
    assert found.exit_code == 0, found.output
    assert "volume of RV below its bounds" in found.output and "of Myo" not in found.output
