"""``segbench prior``, ``segbench audit`` and ``segbench evaluate --prior`` on files, as they are typed."""

from __future__ import annotations

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
        (("volumes", "--out", "prior.csv/v.csv"), 3, "prior.csv"),
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


def test_a_declaration_of_other_labels_is_said_not_followed(data: Path) -> None:
    (data / "p" / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "liver": 1}}))
    result = segbench("audit", "p", "--prior", "prior.csv")
    assert "those of the prior" in result.stderr and "dataset.json names others" in result.stderr


def test_what_cannot_be_audited_is_listed_and_the_others_go_on(data: Path) -> None:
    save(data / "t", "three", 1)
    save(data / "p", "two", 1, 7)
    (data / "p" / "broken.nii.gz").write_bytes(b"not an image")
    save(data / "t", "broken", 1)
    found = audit("--references", "t", expect=1)
    states = {case["case"]: (case["prediction"] is not None, " ".join(case["problems"])) for case in found["cases"]}
    assert states["one"] == (True, "")
    assert states["two"][0] and "labels the prior does not know (7)" in states["two"][1]
    assert not states["three"][0] and "no prediction" in states["three"][1]
    assert not states["broken"][0] and "broken.nii.gz" in states["broken"][1]
    text = segbench("audit", "p", "--prior", "prior.csv", "--references", "t", expect=1)
    assert "failed  three: no prediction" in text.stderr


def test_a_prior_that_fails_is_named(data: Path) -> None:
    found = audit("--set", "prior.fault=one", expect=1)
    assert "Plugin knowledge" in found["cases"][0]["problems"][0] and found["cases"][1]["prediction"] is not None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("p", "--prior", "nothing.csv"), 3, "expected a file, found none"),
        (("p", "--prior", "p/one.nii.gz"), 3, "no kind of prior knows this file"),
        (("nowhere", "--prior", "prior.csv"), 3, "No finished run in results"),
        (("p", "--prior", "prior.csv", "--references", "nowhere"), 3, "nothing is at nowhere"),
        (("p", "--prior", "prior.csv", "--labels", "LV=1"), 3, "expected the labels"),
        (("p", "--prior", "prior.csv", "--kind", "volume"), 2, "Did you mean 'volumes'"),
        (("p", "--prior", "prior.csv", "--set", "metric.x=1"), 2, "expected prior.KEY=VALUE"),
    ],
)
def test_wrong_requests_for_audits(data: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
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
