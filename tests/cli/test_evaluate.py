"""``segbench evaluate`` as it is typed: what it prints where, its files, its exit codes."""

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
from segbench.files.images import read_label_map, write_label_map
from segbench.results import read_scores
from segbench.types import LabelMap


def save(folder: Path, name: str, *values: int) -> None:
    array = np.zeros((3, 4, 5), dtype=np.int16)
    array.reshape(-1)[: len(values)] = values
    write_label_map(folder / f"{name}.nii.gz", LabelMap(array, (2.0, 1.0, 1.0)))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three predictions ``p`` and references ``t``; the working folder of the test."""
    for name in ("a", "b", "c"):
        save(tmp_path / "t", name, 1, 1, 2, 2)
        save(tmp_path / "p", name, 1, 1, 1, 2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def segbench(*arguments: str, expect: int = 0) -> Any:
    command = ["evaluate", "p", "t", "--name", "mine", "--dataset", "toy", *arguments]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == expect, result.output
    assert "Traceback" not in result.output
    return result


def test_summary_on_stdout_and_the_rest_on_stderr(data: Path) -> None:
    result = segbench("--metrics", "dice,hd95")
    assert "mine on toy" in result.stdout and "0.8000" in result.stdout and "hd95 mm" in result.stdout
    assert "plain folders" in result.stderr and "Scores written" in result.stderr
    assert "already" in segbench("--metrics", "dice,hd95").stderr
    assert set(read_scores(data / "results").column("metric").to_pylist()) == {"dice", "hd95"}


def test_json_is_one_document(data: Path) -> None:
    (data / "p" / "c.nii.gz").unlink()
    result = segbench("--metrics", "dice", "--json", expect=1)
    document = json.loads(result.stdout)
    assert document["cases"] == 3 and not document["complete"]
    one = document["summary"][0]
    assert (one["structure"], one["metric"], one["statuses"]) == ("1", "dice", {"ok": 2, "missing": 1})
    assert one["mean"] == pytest.approx(2 * 0.8 / 3)
    assert [problem["kind"] for problem in document["problems"]] == ["missing"]


def test_a_missing_distance_is_counted_not_averaged(data: Path) -> None:
    (data / "p" / "c.nii.gz").unlink()
    document = json.loads(segbench("--metrics", "hd", "--json", expect=1).stdout)
    assert (document["summary"][0]["mean_over"], document["summary"][0]["cases"]) == (2, 3)
    text = segbench("--metrics", "hd", expect=1)
    assert "1 missing, mean of 2" in " ".join(text.stdout.split())
    assert "missing c: no prediction for c.nii.gz" in text.stderr


def test_cases_in_which_nothing_is_there_on_either_side_are_counted(data: Path) -> None:
    save(data / "t", "c", 1)
    save(data / "p", "c", 1)
    save(data / "t", "b", 1)
    text = " ".join(segbench("--metrics", "dice").stdout.split())
    assert "1 not there, 1 both empty" in text
    assert "both empty" not in text.split("1 dice")[1].split("2 dice")[0]


def test_by_case_csv_has_every_row(data: Path) -> None:
    segbench("--metrics", "dice", "--by-case", "out/scores.csv")
    with (data / "out" / "scores.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6 and rows[0]["case_id"] == "a" and float(rows[0]["value"]) == pytest.approx(0.8)


def test_labels_regions_and_metric_parameters(data: Path) -> None:
    segbench(
        "--labels", "LV=1,RV=2", "--regions", "heart=1,2", "--metrics", "dice,nsd", "--set", "metric.nsd.tolerance=3"
    )
    rows = read_scores(data / "results").to_pylist()
    assert {row["label_name"] for row in rows} == {"LV", "RV", "heart"}
    assert {row["value"] for row in rows if row["label_name"] == "heart"} == {1.0}
    (record,) = (data / "results").rglob("run.json")
    nsd = [metric for metric in json.loads(record.read_text())["metrics"] if metric["name"] == "nsd"]
    assert str(nsd[0]["parameters"]["tolerance"]).strip("[]") == "3.0"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--metrics", "dise"), 2, "Did you mean 'dice'"),
        (("--set", "metric.nsd.tolerence=1"), 2, "tolerance"),
        (("--set", "dataset.cases=1"), 2, "metric.NAME.KEY=VALUE"),
        (("--metrics", "dice", "--set", "metric.nsd.tolerance=1"), 2, "not among"),
        (("--labels", "1,x=2"), 2, "--labels"),
        (("--labels", "heart"), 2, "heart"),
        (("--regions", "wt"), 2, "--regions"),
        (("--geometry", "loose"), 2, "strict"),
        (("--layout", "flat"), 2, "auto"),
        (("--on-missing", "no"), 2, "worst"),
        (("--name", "../escape"), 2, "cannot be used as a name"),
        (("--dataset", "a/b"), 2, "cannot be used as a name"),
        (("--plugin", "no.py"), 4, "no.py"),
        (("--jobs", "0"), 2, "jobs"),
    ],
)
def test_wrong_requests(data: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = segbench(*arguments, expect=code)
    assert words in result.output
    assert not (data / "results").exists()


def test_nothing_to_do_is_a_data_error(data: Path) -> None:
    for path in (data / "p").iterdir():
        path.unlink()
    assert "No prediction" in segbench(expect=3).stderr
    (data / "p").rmdir()
    assert "Check the path" in segbench(expect=3).stderr


def test_earlier_results_survive_a_failure(data: Path) -> None:
    segbench("--metrics", "dice")
    before = read_scores(data / "results")
    (data / "p" / "a.nii.gz").write_bytes(b"broken")
    segbench("--metrics", "dice", expect=1)
    assert read_scores(data / "results").num_rows == 2 * before.num_rows
    segbench("--metrics", "dise", expect=2)
    assert read_scores(data / "results").num_rows == 2 * before.num_rows


def test_markup_in_names_is_text(data: Path) -> None:
    save(data / "p", "[red]x", 1)
    assert "[red]x.nii.gz: a prediction without a reference" in segbench("--metrics", "dice", expect=1).stderr


def test_evaluating_does_not_import_torch(data: Path) -> None:
    code = (
        "import sys; from segbench.evaluation.folders import evaluate; "
        "evaluate('p', 't', name='m', dataset='d'); "
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=data)
    assert done.returncode == 0, done.stderr


def test_archives_lie_on_the_grid_of_their_reference(data: Path) -> None:
    expected = json.loads(segbench("--metrics", "dice,hd", "--json").stdout)["summary"]
    for path in sorted((data / "p").iterdir()):
        array = read_label_map(path).array
        path.unlink()
        np.savez_compressed(path.with_name(path.name.removesuffix(".nii.gz") + ".npz"), seg=array)
    assert json.loads(segbench("--metrics", "dice,hd", "--json").stdout)["summary"] == expected
    np.savez(data / "p" / "a.npz", probabilities=np.zeros((3, 3, 4, 5)))
    assert "Take the label map written beside them" in segbench("--metrics", "dice", expect=1).stderr
    save(data / "p", "a", 1, 1, 1, 2)
    assert segbench("--metrics", "dice").exit_code == 0
    (data / "t").rename(data / "truth")
    (data / "p").rename(data / "t")
    (data / "truth").rename(data / "p")
    (data / "t" / "a.nii.gz").unlink()
    said = segbench("--metrics", "dice", expect=1).stderr
    assert "failed  a: reference" in said and "b: the reference does not say what a pixel measures" in said


def test_constraint_metrics_on_request(data: Path) -> None:
    asked = ("--metrics", "dice,forbidden_pairs,forbidden_contacts")
    assert "--set metric.forbidden_pairs.prior=FILE" in segbench(*asked, expect=2).output
    (data / "prior.csv").write_text("label,background,1,2\nbackground,0,9,9\n1,9,0,0\n2,9,0,0\n")
    given = [f"metric.{name}.prior=prior.csv" for name in ("forbidden_pairs", "forbidden_contacts")]
    document = json.loads(segbench(*asked, "--set", given[0], "--set", given[1], "--json").stdout)
    means = {one["metric"]: (one["structure"], one["mean"]) for one in document["summary"]}
    assert means["forbidden_pairs"] == ("all", 1.0) and 0 < means["forbidden_contacts"][1] < 1
    (data / "prior.csv").write_text("label,background,1,2\nbackground,0,9,9\n1,9,0,3\n2,9,3,0\n")
    document = json.loads(segbench(*asked, "--set", given[0], "--set", given[1], "--json", "--jobs", "2").stdout)
    assert {one["mean"] for one in document["summary"] if one["structure"] == "all"} == {0.0}
    assert "nowhere.csv" in segbench(*asked, "--set", given[0], "--set", given[1][:-9] + "nowhere.csv", expect=3).stderr
    (data / "p" / "a.nii.gz").unlink()
    document = json.loads(segbench(*asked, "--set", given[0], "--set", given[1], "--json", expect=1).stdout)
    (pairs,) = (one for one in document["summary"] if one["metric"] == "forbidden_pairs")
    assert (pairs["structure"], pairs["statuses"]) == ("all", {"ok": 2, "missing": 1})


def test_predicted_values_where_nothing_counts_are_no_problem(data: Path) -> None:
    for name in ("a", "b", "c"):
        save(data / "t", name, 1, 1, 2, 9, 9)
        save(data / "p", name, 1, 1, 2, 9, 5)
    segbench("--metrics", "dice", "--ignore-label", "9")
    save(data / "p", "b", 1, 1, 9, 9, 5)
    assert (
        "b: the prediction has unknown labels 9"
        in segbench("--metrics", "dice", "--ignore-label", "9", expect=1).stderr
    )


def test_masks_in_colour(data: Path) -> None:
    """Dice by hand: 3 red pixels in the reference, 2 in the prediction, 2 in common; the metric added later agrees."""
    from PIL import Image

    red, black = (255, 0, 0), (0, 0, 0)
    for folder, row in (("ct", [red, red, red, black]), ("cp", [red, red, black, black])):
        (data / folder).mkdir()
        Image.fromarray(np.array([row], np.uint8)).save(data / folder / "a.png")
    command = ["evaluate", "cp", "ct", "--name", "mine", "--dataset", "pictures", "--metrics", "dice"]
    result = CliRunner().invoke(app, [*command, "--labels", "vessel=#ff0000", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["summary"][0]["structure"] == "vessel" and document["summary"][0]["mean"] == pytest.approx(0.8)
    (data / "labels.toml").write_text('vessel = "#f00"\n')
    again = CliRunner().invoke(app, [*command, "--labels", "labels.toml", "--json"])
    assert json.loads(again.stdout)["folder"] == document["folder"]
    added = CliRunner().invoke(app, ["score", document["folder"], "--metric", "iou"])
    assert added.exit_code == 0, added.output
    rows = {row["metric"]: row["value"] for row in read_scores(Path(document["folder"])).to_pylist()}
    assert rows == {"dice": pytest.approx(0.8), "iou": pytest.approx(2 / 3)}
    mixed = CliRunner().invoke(app, [*command, "--labels", "vessel=#ff0000,disc=2"])
    assert mixed.exit_code == 2 and "found vessel=#ff0000 beside disc=2" in mixed.output
    without = CliRunner().invoke(app, command)
    assert without.exit_code == 3 and "vessel=#ff0000" in without.output


def test_one_volume_per_label(data: Path) -> None:
    import nibabel

    for folder, values in (("ht", [1, 1, 2, 2]), ("hp", [1, 1, 1, 2])):
        labels = np.zeros((3, 4, 5), np.uint8)
        labels.reshape(-1)[:4] = values
        (data / folder).mkdir()
        volumes = np.stack([labels == value for value in range(3)], axis=-1).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(volumes, np.eye(4)), data / folder / "a.nii.gz")
    command = ["evaluate", "hp", "ht", "--name", "mine", "--dataset", "hot", "--metrics", "dice", "--json"]
    result = CliRunner().invoke(app, [*command, "--one-hot"])
    assert result.exit_code == 0, result.output
    found = {one["structure"]: one["mean"] for one in json.loads(result.stdout)["summary"]}
    assert found == {"1": pytest.approx(2 * 2 / 5), "2": pytest.approx(2 * 1 / 3)}
    assert CliRunner().invoke(app, command).exit_code == 3


def test_a_table_beside_the_references_names_structures(data: Path) -> None:
    (data / "t" / "FreeSurferColorLUT.txt").write_text("1 Left 1 1 1 0\n2 Right 1 1 1 0\n77 Nowhere 1 1 1 0\n")
    result = segbench("--metrics", "dice", "--json")
    assert [one["structure"] for one in json.loads(result.stdout)["summary"]] == ["Left", "Right"]
    assert "named by FreeSurferColorLUT.txt" in result.stderr
