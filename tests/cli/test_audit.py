"""``segbench prior``, ``segbench audit`` and ``segbench evaluate --prior`` on files, as they are typed."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.files.images import write_label_map
from segbench.types import LabelMap

TESTS = Path(__file__).resolve().parents[1]
PLUGINS = ("--plugin", str(TESTS / "toy.py"), "--plugin", str(TESTS / "knowledge.py"))
VOXEL = 2.0
"""mm3."""


def save(folder: Path, name: str, *values: int) -> None:
    array = np.zeros((3, 4, 5), dtype=np.int16)
    array.reshape(-1)[: len(values)] = values
    write_label_map(folder / f"{name}.nii.gz", LabelMap(array, (2.0, 1.0, 1.0)))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Predictions ``p`` and references ``t`` of two cases, and a prior that allows 2 voxels of LV and 1 of RV."""
    save(tmp_path / "t", "one", 1, 1, 2, 2)
    save(tmp_path / "t", "two", 1, 2)
    save(tmp_path / "p", "one", 1, 1, 1, 2, 2, 2, 2)
    save(tmp_path / "p", "two", 1, 1, 2)
    (tmp_path / "prior.csv").write_text(f"label,largest\nbackground,\nLV,{2 * VOXEL}\nRV,{1 * VOXEL}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def segbench(*arguments: str, expect: int = 0) -> Any:
    result = CliRunner().invoke(app, [*arguments, *PLUGINS], env={"COLUMNS": "100"})
    assert result.exit_code == expect, result.output
    assert "Traceback" not in result.output
    return result


def audit(*arguments: str, expect: int = 0) -> Any:
    return json.loads(segbench("audit", "p", "--prior", "prior.csv", "--json", *arguments, expect=expect).stdout)


# --------------------------------------------------------------------------------------------------------------- prior


def test_a_prior_is_learnt_from_the_training_cases_of_a_run(data: Path) -> None:
    common = ("--dataset", "toy", "--set", "dataset.cases=10", "--json")
    some = json.loads(segbench("prior", "volumes", *common, "--out", "x/some.csv").stdout)
    every = json.loads(segbench("prior", "volumes", *common, "--cases", "all", "--out", "all.csv").stdout)
    one = json.loads(segbench("prior", "volumes", *common, "--set", "recipe.labelled=1", "--out", "one.csv").stdout)
    assert len(some["cases"]) == 7 and len(every["cases"]) == 10 and len(one["cases"]) == 1
    assert set(one["cases"]) < set(some["cases"]) < set(every["cases"])
    lists = {"train": ["toy_0"], "test": ["toy_1"]}
    (data / "split.json").write_text(json.dumps(lists))
    listed = json.loads(segbench("prior", "volumes", *common, "--split", "split.json", "--out", "s.csv").stdout)
    assert listed["cases"] == ["toy_0"]
    assert (data / "x" / "some.csv").read_text().splitlines()[:2] == ["label,largest", "background,"]
    assert sorted(path.name for path in (data / "x").iterdir()) == ["some.csv"], "no temporary file stays"


def test_the_cases_are_those_of_the_run_with_the_same_settings(data: Path) -> None:
    settings = ("--dataset", "toy", "--set", "dataset.cases=10", "--set", "recipe.labelled=3", "--seed", "2")
    learnt = json.loads(segbench("prior", "volumes", *settings, "--out", "v.csv", "--json").stdout)
    run = ("run", "--method", "witness", "--network", "toy2d", "--set", "recipe.steps_per_epoch=1", "--epochs", "1")
    segbench(*run, *settings, "--metric", "dice", "--device", "cpu")
    record = json.loads(next((data / "results").rglob("run.json")).read_text())
    assert learnt["cases"] == record["splits"]["train"]


def test_what_was_learnt_is_said(data: Path) -> None:
    words = ("prior", "volumes", "--dataset", "toy", "--out", "v.csv")
    assert "Prior volumes of 4 training cases of toy@1: v.csv" in segbench(*words).stderr
    assert "Test cases are among them" in segbench(*words, "--cases", "all").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("volume", "--out", "v.csv"), 2, "Did you mean 'volumes'"),
        (("volumes",), 2, "Missing option"),
        (("volumes", "--out", "v.csv", "--cases", "test"), 2, "expected train or all"),
        (("volumes", "--out", "v.csv", "--set", "method.x=1"), 2, "no such part here"),
        (("volumes", "--out", "v.csv", "--set", "prior.x=1"), 2, "has no parameter 'x'"),
        (("volumes", "--out", "v.csv", "--set", "dataset.fault=bare"), 3, "toy_0 has no truth to learn from"),
        (("volumes", "--out", "prior.csv/v.csv"), 2, "expected prior.csv to be a folder, found a file"),
        (("volumes", "--out", "p"), 2, "found a folder. Say --out p/prior.csv"),
    ],
)
def test_wrong_requests_for_priors(data: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = segbench("prior", *arguments, "--dataset", "toy", expect=code)
    assert words in " ".join(result.stderr.split()) and result.stdout == "" and not (data / "v.csv").exists()


# --------------------------------------------------------------------------------------------------------------- audit


def test_measures_of_predictions_and_references_side_by_side(data: Path) -> None:
    found = audit("--references", "t")
    one, two = found["cases"]
    assert one["prediction"] == {"too_large": 2.0, "excess": (1 + 3) * VOXEL}
    assert one["reference"] == {"too_large": 1.0, "excess": 1 * VOXEL}
    assert two["prediction"] == {"too_large": 0.0, "excess": 0.0} == two["reference"]
    assert found["mean"] == {
        "prediction": {"too_large": 1.0, "excess": 2 * VOXEL},
        "reference": {"too_large": 0.5, "excess": 0.5 * VOXEL},
    }
    assert [violation["structures"] for violation in one["violations"]] == [["RV"], ["LV"]]
    assert one["violations"][0]["position"] == [1.0, 2.0, 3.0]


def test_the_table_shows_the_reference_in_brackets_and_the_worst_first(data: Path) -> None:
    result = segbench("audit", "p", "--prior", "prior.csv", "--references", "t", "--worst", "1")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["one", "2", "(1)", "8", "(2)"] in lines and ["mean", "1", "(0.5)", "4", "(1)"] in lines
    assert "The worst 1 of 2 violations" in result.stdout and "LV [is] too large" not in result.stdout
    (worst,) = [line for line in result.stdout.splitlines() if "RV [is] too large" in line]
    assert worst.split()[-6:] == ["6", "mm3", "2", "1.0,", "2.0,", "3.0"]
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_without_references_and_one_file(data: Path) -> None:
    assert [case["reference"] for case in audit()["cases"]] == [None, None]
    (only,) = json.loads(segbench("audit", "p/one.nii.gz", "--prior", "prior.csv", "--json").stdout)["cases"]
    assert only["case"] == "one" and only["prediction"]["excess"] == 4 * VOXEL
    result = segbench("audit", "p", "--prior", "prior.csv")
    assert "(" not in result.stdout.split("violation")[0].split("better")[1], "no brackets"


@pytest.mark.parametrize("way", ["text", "json", "csv", "tsv", "declared"])
def test_labels_may_be_named_in_another_order(data: Path, way: str) -> None:
    """The prior's LV is value 2 here; by its own order it would be 1."""
    files = {"csv": "index,name\n2,LV\n1,RV\n", "tsv": "index\tname\n2\tLV\n1\tRV\n"}
    files["json"] = files["declared"] = json.dumps({"labels": {"background": 0, "LV": 2, "RV": 1}})
    name = {"declared": "p/dataset.json", "json": "labels.json"}.get(way, f"labels.{way}")
    if way != "text":
        (data / name).write_text(files[way])
    options = {"text": ("--labels", "LV=2,RV=1"), "declared": ()}.get(way, ("--labels", name))
    found = audit(*options)
    assert found["labels"] == ["background", "RV", "LV"]
    assert found["cases"][0]["prediction"]["excess"] == (2 + 2) * VOXEL
    assert {one["structures"][0]: one["amount"] for one in found["cases"][0]["violations"]} == {"RV": 4.0, "LV": 4.0}


@pytest.mark.parametrize("prior", ["prior.csv", "pairs.toml"])
@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ('{"labels": {"background": 0, "liver": 1}}', "found no LV, RV in p/dataset.json, which names liver"),
        ('{"labels": 3}', "dataset.json: expected a key"),
    ],
)
def test_a_declaration_that_does_not_help_is_an_error(data: Path, prior: str, declared: str, words: str) -> None:
    (data / "pairs.toml").write_text('forbidden = [["LV", "RV"]]')
    (data / "p" / "dataset.json").write_text(declared)
    result = segbench("audit", "p", "--prior", prior, expect=3)
    assert words in result.stderr and "--labels" in result.stderr and result.stdout == ""
    assert audit("--labels", "prior")["labels"] == ["background", "LV", "RV"]


SLICER = "1 rv 220 216 20 0\n2 lv 120 18 134 0\n9 Liver 120 18 134 0\n"
SNAP = '0 0 0 0 0 0 0 "Clear Label"\n1 255 0 0 1 1 1 "RV"\n2 0 255 0 1 1 1 "LV"\n'


@pytest.mark.parametrize(("name", "text"), [("p/FreeSurferColorLUT.txt", SLICER), ("t/my_labels.txt", SNAP)])
def test_a_table_beside_the_label_maps_names_their_values(data: Path, name: str, text: str) -> None:
    """The prior's LV is value 2 here, as the table says."""
    (data / name).write_text(text)
    options = ("--references", "t") if name.startswith("t/") else ()
    found = audit(*options)
    assert found["labels"] == ["background", "RV", "LV"]
    assert found["cases"][0]["prediction"]["excess"] == (2 + 2) * VOXEL
    assert f"as {name} names them" in segbench("audit", "p", "--prior", "prior.csv", *options).stderr
    assert audit("--labels", "LV=1,RV=2", *options)["labels"] == ["background", "LV", "RV"]


def test_a_table_that_does_not_name_every_label_is_not_gone_by(data: Path) -> None:
    for text in ("1 RV 1 1 1 0\n", "1 RV 1 1 1 0\n2 LV 1 1 1 0\n3 LV 1 1 1 0\n"):
        (data / "p" / "LUT.txt").write_text(text)
        result = segbench("audit", "p", "--prior", "prior.csv")
        assert "LUT.txt has no value of its own for LV; it is not gone by" in result.stderr
        assert "as the prior records them" in result.stderr
    (data / "pairs.toml").write_text('forbidden = [["RV", "LV"]]')
    assert "--labels RV=VALUE" in segbench("audit", "p", "--prior", "pairs.toml", expect=3).stderr


def test_values_are_never_guessed_from_an_order(data: Path) -> None:
    """A list of pairs says nothing of values: LV is 1 or 2, as somebody must say."""
    (data / "pairs.toml").write_text('forbidden = [["RV", "LV"]]')
    for more in ((), ("--references", "t"), ("--labels", "prior")):
        result = segbench("audit", "p", "--prior", "pairs.toml", *more, expect=3)
        assert "--labels RV=VALUE,LV=VALUE or --labels FILE" in result.stderr and result.stdout == ""
    found = json.loads(segbench("audit", "p", "--prior", "pairs.toml", "--labels", "LV=1,RV=2", "--json").stdout)
    assert found["labels"] == ["background", "LV", "RV"] and found["mean"]["prediction"]["forbidden_pairs"] == 1


def test_recorded_values_hold_only_for_label_maps_of_just_these(data: Path) -> None:
    result = segbench("audit", "p", "--prior", "prior.csv")
    assert "Labels: as the prior records them, whose values are just those of the label maps" in result.stderr
    save(data / "p", "three", 1, 3)
    result = segbench("audit", "p", "--prior", "prior.csv", expect=3)
    assert (
        "it records, 1, 2 (LV=1, RV=2), found 1, 2, 3. If its values mean the same here, say --labels prior"
        in result.stderr
    )
    (three,) = [one for one in audit("--labels", "prior")["cases"] if one["case"] == "three"]
    assert three["problems"] == ["the prediction has labels the prior does not know (3); they count as background"]


def test_label_values_may_have_gaps(data: Path) -> None:
    """What lies between the values asked for is no label either."""
    save(data / "g", "one", 1, 1, 4, 2)
    rows = [("label", "background", "LV", "RV"), ("background", 0, 9, 9), ("LV", 9, 0, 0), ("RV", 9, 0, 0)]
    (data / "table.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    words = ("audit", "g", "--prior", "table.csv", "--labels", "LV=1,RV=4", "--json")
    (one,) = json.loads(segbench(*words).stdout)["cases"]
    assert one["problems"] == ["the prediction has labels the prior does not know (2); they count as background"]
    assert [violation["structures"] for violation in one["violations"]] == [["LV", "RV"]]


def test_an_empty_prediction_is_counted_apart(data: Path) -> None:
    """It has no volume too large, as the perfect case "two"; the mean is that of case "one" and "two" alone."""
    save(data / "t", "three", 1, 1, 1)
    save(data / "p", "three", 0)
    save(data / "t", "four", 0)
    save(data / "p", "four", 0)
    found = audit("--references", "t", "--csv", "out/audit.csv")
    cases = {one["case"]: one for one in found["cases"]}
    assert found["mean"] == {
        "prediction": {"too_large": 1.0, "excess": 2 * VOXEL},
        "reference": {"too_large": 0.5, "excess": 0.5 * VOXEL},
    }
    assert found["mean_over"] == 2 and found["statuses"] == {"ok": 2, "pred_empty": 1, "both_empty": 1}
    assert cases["three"]["status"] == "pred_empty" and cases["three"]["prediction"] is None
    assert cases["three"]["reference"] == {"too_large": 1.0, "excess": VOXEL}
    with (data / "out" / "audit.csv").open(newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert (rows["three"]["status"], rows["three"]["excess"], rows["one"]["status"]) == ("pred_empty", "", "ok")
    result = segbench("audit", "p", "--prior", "prior.csv", "--references", "t")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["three", "empty", "(1)", "empty", "(2)"] in lines and ["mean", "1", "(0.5)", "4", "(1)"] in lines
    assert "Means of 2 of 4 cases: 2 with an empty prediction." in result.stdout
    assert "three: the prediction is empty" in result.stderr


def test_a_structure_that_is_missed_is_said(data: Path) -> None:
    save(data / "p", "two", 1)
    assert audit("--references", "t")["cases"][1]["problems"] == ["the prediction lacks RV"]


def test_predictions_on_another_grid_are_refused_as_evaluate_does(data: Path) -> None:
    array = np.zeros((3, 4, 5), dtype=np.int16)
    array.reshape(-1)[:2] = 1, 2
    shifted = np.array([[0.0, 0.0, 1.0, 40.0], [0.0, 1.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    write_label_map(data / "p" / "two.nii.gz", LabelMap(array, (2.0, 1.0, 1.0), shifted))
    write_label_map(data / "p" / "one.nii.gz", LabelMap(array[:, :3], (2.0, 1.0, 1.0)))
    result = segbench("audit", "p", "--prior", "prior.csv", "--references", "t", expect=1)
    assert "one: the prediction is not on the grid of its reference: its shape is 3x3x5" in result.stderr
    assert "two: the prediction is not on the grid of its reference: the affines differ" in result.stderr
    found = audit("--references", "t", "--geometry", "tolerant", expect=1)
    assert [one["status"] for one in found["cases"]] == ["failed", "ok"] and found["mean_over"] == 1
    assert "compared voxel by voxel although" in found["cases"][1]["problems"][0]


@pytest.mark.parametrize("unknown", [-1, 9])
def test_unknown_voxels_do_not_count_on_either_side(data: Path, unknown: int) -> None:
    """Of the four voxels of RV in the prediction, three lie where the reference is unknown."""
    save(data / "t", "one", 1, 1, 2, unknown, unknown, unknown, unknown)
    save(data / "p", "one", 1, 1, 2, 2, 2, 2, 5)
    one, _ = audit("--references", "t", "--labels", "prior", "--ignore-label", str(unknown))["cases"]
    assert one["prediction"] == one["reference"] == {"too_large": 0.0, "excess": 0.0}
    assert one["problems"] == ["4 of 60 voxels are unknown or ignored; they are left out"]


def test_a_negative_value_that_nobody_ignores_is_background_as_for_evaluate(data: Path) -> None:
    save(data / "t", "one", 1, 1, 2, -1, -1, -1, -1)
    save(data / "p", "one", 1, 1, 2, 2, 2, 2)
    one, _ = audit("--references", "t", "--labels", "prior")["cases"]
    assert one["prediction"] == {"too_large": 1.0, "excess": 3 * VOXEL}  # 4 of RV, 1 is allowed
    assert one["reference"] == {"too_large": 0.0, "excess": 0.0}
    (said,) = one["problems"]
    assert said.startswith("4 voxels of the reference have negative values (-1)") and "--ignore-label -1" in said


def test_unknown_voxels_of_a_prediction_are_background_and_said(data: Path) -> None:
    save(data / "p", "one", 1, 1, -1, 2)
    assert audit()["cases"][0]["problems"] == [
        "the prediction has labels the prior does not know (-1); they count as background"
    ]


def test_a_run_is_audited_with_its_own_references(data: Path) -> None:
    toy = ("--dataset", "toy", "--set", "dataset.cases=10")
    segbench("prior", "volumes", *toy, "--out", "v.csv")
    run = ("run", "--method", "witness", "--network", "toy2d", "--set", "recipe.steps_per_epoch=1", "--epochs", "1")
    segbench(*run, *toy, "--metric", "dice", "--device", "cpu")
    folder = str(next((data / "results").rglob("run.json")).parent)
    found = json.loads(segbench("audit", folder, "--prior", "v.csv", "--json").stdout)
    assert found["cases"] and all(one["reference"] for one in found["cases"])
    result = segbench("audit", folder, "--prior", "v.csv", "--labels", "a=1", expect=2)
    assert "is a run, which knows its own references and labels. Leave" in result.stderr


def test_what_cannot_be_audited_is_listed_and_the_others_go_on(data: Path) -> None:
    save(data / "t", "three", 1)
    save(data / "p", "two", 1, 7)
    (data / "p" / "broken.nii.gz").write_bytes(b"not an image")
    save(data / "t", "broken", 1)
    found = audit("--references", "t", "--labels", "prior", expect=1)
    states = {case["case"]: (case["prediction"] is not None, " ".join(case["problems"])) for case in found["cases"]}
    assert states["one"] == (True, "")
    assert states["two"][0] and "labels the prior does not know (7)" in states["two"][1]
    assert not states["three"][0] and "no prediction" in states["three"][1]
    assert not states["broken"][0] and "broken.nii.gz" in states["broken"][1]
    text = segbench("audit", "p", "--prior", "prior.csv", "--references", "t", "--labels", "prior", expect=1)
    assert "failed  three: no prediction" in text.stderr


def test_a_prior_that_fails_is_named(data: Path) -> None:
    found = audit("--set", "prior.fault=one", expect=1)
    assert "Plugin knowledge" in found["cases"][0]["problems"][0] and found["cases"][1]["prediction"] is not None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("p", "--prior", "nothing.csv"), 3, "expected a file, found none"),
        (("p", "--prior", "p/one.nii.gz"), 3, "no kind of prior knows this file"),
        (("nowhere", "--prior", "prior.csv"), 3, "nowhere: expected a folder of label maps, one file or a run"),
        (("bare", "--prior", "prior.csv"), 3, "predictions: expected label maps (.nii.gz, say) in bare, found none"),
        (("p", "--prior", "prior.csv", "--csv", "bare"), 2, "found a folder. Say --csv bare/audit.csv"),
        (("p", "--prior", "prior.csv", "--csv", "prior.csv/a.csv"), 2, "expected prior.csv to be a folder"),
        (("p", "--prior", "prior.csv", "--geometry", "loose"), 2, "expected one of strict, tolerant, voxels, resample"),
        (("p", "--prior", "prior.csv", "--labels", "no.csv"), 3, "--labels no.csv: expected a file"),
        (("p", "--prior", "prior.csv", "--labels", "bare"), 3, "found a folder"),
        (("p", "--prior", "prior.csv", "--labels", "LV"), 2, "give the value too, such as LV=1"),
        (("p", "--prior", "prior.csv", "--labels", "LV=1,RV=1"), 2, "a value of its own for each name, found LV=1"),
        (("p", "--prior", "prior.csv", "--labels", "LV=1,LV=2"), 2, "found 'LV' twice"),
        (("p", "--prior", "prior.csv", "--labels", "twice.csv"), 3, "twice.csv: expected names with a value of its"),
        (("p", "--prior", "prior.csv", "--labels", "none.csv"), 3, "each, found none"),
        (("p", "--prior", "typo.toml"), 3, "unknown key 'forbiden'. Did you mean 'forbidden'"),
        (("p", "--prior", "rules.toml"), 3, "unknown key 'constraint'. Did you mean 'constraints'"),
        (("p", "--prior", "prior.csv", "--references", "nowhere"), 3, "nothing is at nowhere"),
        (("p", "--prior", "prior.csv", "--labels", "LV=1"), 3, "expected the labels"),
        (("p", "--prior", "prior.csv", "--kind", "volume"), 2, "Did you mean 'volumes'"),
        (("p", "--prior", "prior.csv", "--set", "metric.x=1"), 2, "expected prior.KEY=VALUE"),
    ],
)
def test_wrong_requests_for_audits(data: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    (data / "bare").mkdir()
    (data / "twice.csv").write_text("index,name\n1,LV\n1,RV\n")
    (data / "none.csv").write_text("index,name\n")
    (data / "typo.toml").write_text('forbiden = [["LV", "RV"]]')
    (data / "rules.toml").write_text('constraint = ["volume(LV) >= 1"]')
    result = segbench("audit", *arguments, expect=code)
    assert words in " ".join(result.stderr.split()) and result.stdout == ""


# ------------------------------------------------------------------------------------------------------------ evaluate


EVALUATE = ("evaluate", "p", "t", "--name", "mine", "--dataset", "toy", "--json")


def test_evaluate_computes_the_metrics_that_read_the_prior(data: Path) -> None:
    document = json.loads(segbench(*EVALUATE, "--prior", "prior.csv").stdout)
    means = {(one["structure"], one["metric"]): one["mean"] for one in document["summary"]}
    assert means["LV", "excess"] == 0.5 * VOXEL and means["RV", "excess"] == 1.5 * VOXEL
    assert ("LV", "dice") in means, "besides those that are on by default; named as the prior names them"
    assert "excess" not in {one["metric"] for one in json.loads(segbench(*EVALUATE).stdout)["summary"]}


def test_evaluate_keeps_to_the_metrics_and_labels_asked_for(data: Path) -> None:
    asked = ("--prior", "prior.csv", "--metrics", "excess", "--labels", "RV=1,LV=2")
    document = json.loads(segbench(*EVALUATE, *asked).stdout)
    assert {(one["structure"], one["metric"]) for one in document["summary"]} == {("RV", "excess"), ("LV", "excess")}
    result = segbench(*EVALUATE, "--prior", "prior.csv", "--metrics", "dice", expect=2)
    assert "no metric computed here reads a prior of volumes (they are: excess)" in " ".join(result.stderr.split())


def test_an_audit_needs_no_torch(data: Path) -> None:
    script = (
        "import sys\nfrom segbench.cli import app\n"
        f"try: app(['audit', 'p', '--prior', 'prior.csv', '--references', 't', *{PLUGINS[2:]!r}])\n"
        "except SystemExit as end: assert not end.code\nassert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def layers(folder: Path, case: str, **structures: tuple[int, ...]) -> None:
    for name, places in structures.items():
        array = np.zeros((3, 4, 5), dtype=np.uint8)
        array.reshape(-1)[list(places)] = 1
        write_label_map(folder / case / f"{name}.nii.gz", LabelMap(array, (2.0, 1.0, 1.0)))


def test_one_file_per_structure_is_audited(data: Path) -> None:
    for case in ("one", "two"):
        layers(data / "lt", case, LV=(0, 1), RV=(2,))
        layers(data / "lp", case, LV=(0, 1, 2), RV=(3, 4))
    command = ["audit", "lp", "--prior", "prior.csv", "--json"]
    found = json.loads(segbench(*command, "--references", "lt").stdout)
    assert [one["prediction"]["excess"] for one in found["cases"]] == [2 * VOXEL] * 2  # one voxel of each too many
    assert [one["reference"]["excess"] for one in found["cases"]] == [0.0] * 2
    alone = json.loads(segbench(*command).stdout)
    assert [one["prediction"] for one in alone["cases"]] == [one["prediction"] for one in found["cases"]]
    layers(data / "lp", "two", LV=(0, 1, 2), RV=(2, 3))
    result = segbench(*command[:-1], "--references", "lt", expect=1)
    assert "expected one structure per voxel, found voxels that are LV and RV" in result.stderr
    for case in ("one", "two"):
        save(data / "mp", case, 1, 1, 2)
    mixed = ("audit", "mp", "--prior", "prior.csv", "--references", "lt")
    assert "Say --labels LV=VALUE" in segbench(*mixed, expect=2).stderr
    told = json.loads(segbench(*mixed, "--labels", "LV=1,RV=2", "--json").stdout)
    assert [one["prediction"]["excess"] for one in told["cases"]] == [0.0] * 2


def test_named_segments_are_audited_by_their_names(data: Path) -> None:
    nrrd = pytest.importorskip("nrrd")
    array = np.zeros((5, 4, 3), np.uint8)
    array[:3, 0, 0], array[3, 0, 0] = 2, 1  # three voxels of LV, which has the value 2, and one of RV
    header = {"space": "left-posterior-superior", "kinds": ["domain"] * 3, "space directions": np.diag([1.0, 1.0, 2.0])}
    for number, (name, value) in enumerate((("LV", 2), ("RV", 1))):
        header |= {f"Segment{number}_ID": f"S{number}", f"Segment{number}_Name": name}
        header |= {f"Segment{number}_Layer": "0", f"Segment{number}_LabelValue": str(value)}
    (data / "np").mkdir()
    nrrd.write(str(data / "np" / "one.seg.nrrd"), array, header | {"space origin": np.zeros(3)})
    (found,) = json.loads(segbench("audit", "np", "--prior", "prior.csv", "--json").stdout)["cases"]
    assert found["prediction"] == {"too_large": 1.0, "excess": 1 * VOXEL}
