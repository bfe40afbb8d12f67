"""Masks in colour: ``--labels vessel=#ff0000``, colours in ``dataset.json``, TOML and tables; one volume per label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from segbench.errors import DataInvalid, UsageError
from segbench.evaluation.folders import EvaluationResult, evaluate
from segbench.evaluation.labelling import labels_given, parse_labels
from segbench.host import load_catalogue
from segbench.publishing.rescoring import how_scored
from segbench.runs import open_run

CATALOGUE = load_catalogue()
RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
TRUTH = [[RED, RED, RED, GREEN], [GREEN, GREEN, BLACK, BLACK]]
PREDICTED = [[RED, RED, GREEN, GREEN], [GREEN, BLACK, BLACK, BLUE]]
VESSEL, DISC = 2 * 2 / (3 + 2), 2 * 2 / (3 + 3)
"""Dice by hand: 2 red pixels in common of 3 and 2, 2 green ones of 3 and 3."""
TABLE = {"vessel": "#ff0000", "disc": "#0f0"}


def save(path: Path, pixels: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, np.uint8)).save(path)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    for case in ("a", "b"):
        save(tmp_path / "t" / f"{case}.png", TRUTH)
        save(tmp_path / "p" / f"{case}.png", PREDICTED)
    return tmp_path


def scored(root: Path, **others: Any) -> EvaluationResult:
    given = {"name": "m", "dataset": "d", "metrics": ["dice"], "results": root / "r", "catalogue": CATALOGUE}
    return evaluate(root / "p", root / "t", **(given | others))


def dice(result: EvaluationResult) -> dict[str, float]:
    return {row["label_name"]: row["value"] for row in result.table.to_pylist() if row["case_id"] == "a"}


def test_colours_are_structures_and_others_are_said(masks: Path) -> None:
    result = scored(masks, labels=TABLE)
    assert dice(result) == {"vessel": pytest.approx(VESSEL), "disc": pytest.approx(DISC)}
    said = " ".join(problem.what for problem in result.problems)
    assert "1 pixels of 1 colours that are in no table (#0000ff) count as background" in said
    assert scored(masks, labels=TABLE).reused
    swapped = scored(masks, labels={"vessel": "#00ff00", "disc": "#ff0000"})
    assert dice(swapped) == {"vessel": pytest.approx(DISC), "disc": pytest.approx(VESSEL)}
    assert swapped.run_id != result.run_id and swapped.task.revision != result.task.revision
    assert dice(scored(masks, labels=TABLE, jobs=2, results=masks / "two")) == dice(result)


def test_a_run_of_colours_is_completed_and_followed(masks: Path) -> None:
    result = scored(masks, labels=TABLE)
    again = scored(masks, name="n", dataset=None, metrics=None, like=open_run(result.folder, CATALOGUE))
    assert dice(again) == dice(result)


def test_a_submission_says_how_to_score_it_again(masks: Path) -> None:
    labels = {"disc": "#00ff00", "vessel": "#ff0000", "ignore": "#0000ff", "background": "#ffffff"}
    result = scored(masks, labels=labels)
    record = json.loads((result.folder / "run.json").read_text())
    again, regions = how_scored(record, result.folder).scored()
    assert regions is None and again == labels
    assert dice(scored(masks, labels=again, results=masks / "again")) == dice(result)
    subset = how_scored(record | {"structures": [["vessel", [2]]]}, result.folder).scored()[0]
    assert subset == {name: labels[name] for name in ("background", "vessel", "ignore")}


def test_ignored_and_background_colours(masks: Path) -> None:
    result = scored(masks, labels={**TABLE, "ignore": "#0000ff", "background": 0})
    assert dice(result) == {"vessel": pytest.approx(VESSEL), "disc": pytest.approx(DISC)}
    ignoring = np.array(TRUTH, np.uint8)
    ignoring[0, 2] = BLUE  # red in the reference, green in the prediction: neither counts
    save(masks / "t" / "a.png", ignoring)
    found = scored(masks, labels={**TABLE, "ignore": "#0000ff"})
    assert dice(found) == {"vessel": 1.0, "disc": pytest.approx(2 * 2 / (3 + 2))}
    assert any("1 of 8 voxels are left out" in problem.what for problem in found.problems)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.json", json.dumps({"labels": {"background": 0, "vessel": "#ff0000", "disc": "#00ff00"}})),
        ("labels.toml", '[labels]\nvessel = "#ff0000"\ndisc = "#00ff00"\n'),
        ("labels.tsv", "name\tcolor\nvessel\t#ff0000\ndisc\t#00ff00\n"),
    ],
)
def test_files_of_colours(masks: Path, name: str, text: str) -> None:
    (masks / name).write_text(text)
    labels, ignore = labels_given(str(masks / name))
    assert ignore is None
    assert dice(scored(masks, labels=labels)) == {"vessel": pytest.approx(VESSEL), "disc": pytest.approx(DISC)}


def test_dataset_json_declares_colours_and_some_may_be_asked_for(masks: Path) -> None:
    declared = {"labels": {"background": "#000000", "disc": "#00ff00", "vessel": "#ff0000"}}
    (masks / "t" / "dataset.json").write_text(json.dumps(declared))
    assert dice(scored(masks)) == {"vessel": pytest.approx(VESSEL), "disc": pytest.approx(DISC)}
    assert dice(scored(masks, labels=["vessel"])) == {"vessel": pytest.approx(VESSEL)}
    with pytest.raises(UsageError, match="Leave the regions out"):
        scored(masks, regions={"both": [1, 2]})


def test_what_cannot_be_meant_is_refused(masks: Path) -> None:
    with pytest.raises(UsageError, match=r"a colour for each name or a value for each, found disc=#0f0 beside a=1"):
        parse_labels("a=1,disc=#0f0")
    with pytest.raises(UsageError, match="expected a colour"):
        parse_labels("a=#12")
    with pytest.raises(UsageError, match="twice"):
        parse_labels("a=#ff0000,b=#f00")
    (masks / "bad.json").write_text(json.dumps({"labels": {"a": 1, "b": "#ff0000"}}))
    with pytest.raises(DataInvalid, match="found b=#ff0000 beside a=1"):
        labels_given(str(masks / "bad.json"))
    save(masks / "p" / "a.png", [[1, 1, 2, 2], [2, 0, 0, 0]])
    result = scored(masks, labels=TABLE)
    rows = [row["status"] for row in result.table.to_pylist() if row["case_id"] == "a"]
    assert rows == ["failed", "failed"]
    assert any("greys only (1, 2)" in problem.what for problem in result.problems)


def test_one_hot(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    truth, predicted = random.integers(0, 3, (2, 5, 6, 7))
    for part, labels in (("t", truth), ("p", predicted)):
        (tmp_path / part).mkdir()
        volumes = np.stack([labels == value for value in range(3)], axis=-1).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(volumes, np.eye(4)), tmp_path / part / "a.nii.gz")
    expected = {
        str(value): 2
        * ((truth == value) & (predicted == value)).sum()
        / ((truth == value).sum() + (predicted == value).sum())
        for value in (1, 2)
    }
    result = scored(tmp_path, one_hot=True)
    assert dice(result) == pytest.approx(expected)
    record = json.loads((result.folder / "run.json").read_text())
    assert record["one_hot"] and record["again"]["one_hot"]
    with pytest.raises(DataInvalid, match="--one-hot"):
        scored(tmp_path)
