"""Structures named by tables beside references or by the references themselves; values decide what is scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segbench.errors import UsageError
from segbench.evaluation.folders import EvaluationResult, evaluate
from segbench.files.images import write_label_map
from segbench.host import load_catalogue
from segbench.types import LabelMap

CATALOGUE = load_catalogue()
LUT = """#No. Label Name:  R G B A
0   Unknown             0 0 0 0
4   Left-Lateral-Ventricle  120 18 134 0
17  Left-Hippocampus    220 216 20 0
53  Right-Hippocampus   220 216 20 0
"""
SNAP = '0 0 0 0 0 0 0 "Clear Label"\n17 255 0 0 1 1 1 "hippocampus"\n53 0 255 0 1 1 1 "other side"\n'
TRUTH = np.array([0, 17, 17, 17, 53, 53, 9, 9]).reshape(1, 2, 4)
PREDICTED = np.array([17, 17, 17, 0, 53, 0, 9, 9]).reshape(1, 2, 4)
DICE = {17: 2 * 2 / 6, 53: 2 * 1 / 3, 9: 1.0}


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    for part, array in (("t", TRUTH), ("p", PREDICTED)):
        write_label_map(tmp_path / part / "a.nii.gz", LabelMap(array.astype(np.uint8), (1.0, 1.0, 1.0)))
    return tmp_path


def scored(root: Path, **others: Any) -> EvaluationResult:
    given = {"name": "m", "dataset": "d", "metrics": ["dice"], "results": root / "r", "catalogue": CATALOGUE}
    return evaluate(root / "p", root / "t", **(given | others))


def dice(result: EvaluationResult) -> dict[str, tuple[int | None, float]]:
    return {row["label_name"]: (row["label"], row["value"]) for row in result.table.to_pylist()}


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("FreeSurferColorLUT.txt", LUT, ("Left-Hippocampus", "Right-Hippocampus")),
        ("my_labels.txt", SNAP, ("hippocampus", "other side")),
    ],
)
def test_a_table_names_what_is_there_and_changes_no_number(maps: Path, name: str, text: str, names: Any) -> None:
    plain = scored(maps)
    assert dice(plain) == {str(value): (value, pytest.approx(number)) for value, number in DICE.items()}
    (maps / "t" / name).write_text(text)
    named = scored(maps)
    assert named.layout.endswith(f"named by {name}")
    assert [one.name for one in named.task.structures] == ["9", *names]
    assert dice(named) == {
        "9": (9, 1.0),
        names[0]: (17, pytest.approx(DICE[17])),
        names[1]: (53, pytest.approx(DICE[53])),
    }
    assert named.run_id != plain.run_id and named.task.revision != plain.task.revision
    assert dice(scored(maps, labels=[names[0]])) == {names[0]: (17, pytest.approx(DICE[17]))}
    assert dice(scored(maps, labels=[17])) == {names[0]: (17, pytest.approx(DICE[17]))}
    assert dice(scored(maps, labels={"x": 17})) == {"x": (17, pytest.approx(DICE[17]))}


def test_one_name_for_two_values_names_neither(maps: Path) -> None:
    (maps / "t" / "LUT.txt").write_text("17 side 1 1 1 0\n53 side 1 1 1 0\n9 17 1 1 1 0\n")
    assert set(dice(scored(maps))) == {"9", "17", "53"}


def with_table(path: Path, array: np.ndarray, names: dict[str, int]) -> None:
    """Write NIfTI with a table of labels as TotalSegmentator does."""
    entries = "".join(f'<Label Key="{value}"><![CDATA[{name}]]></Label>' for name, value in names.items())
    text = f"<?xml version='1.0'?><CaretExtension><VolumeInformation><LabelTable>{entries}</LabelTable>"
    text += "</VolumeInformation></CaretExtension>" + " " * 400
    image = nibabel.Nifti1Image(array.T.astype(np.uint8), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, text.encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)


def test_names_in_the_references_themselves(tmp_path: Path) -> None:
    names = {"hippocampus": 17, "amygdala": 53, "nowhere": 60}
    with_table(tmp_path / "t" / "a.nii.gz", TRUTH, names)
    write_label_map(
        tmp_path / "p" / "a.nii.gz", LabelMap(PREDICTED.astype(np.uint8), (1.0, 1.0, 1.0), np.eye(4)[[2, 1, 0, 3]])
    )
    result = scored(tmp_path, geometry="voxels")
    assert set(dice(result)) == {"9", "hippocampus", "amygdala"}
    assert dice(result)["hippocampus"] == (17, pytest.approx(DICE[17]))
    assert "named by the files themselves" in result.layout


def test_segments_that_overlap_are_scored_whole_under_their_own_names(tmp_path: Path) -> None:
    """Dice by hand: the prediction lacks one voxel of the liver's four, and has the tumour's two."""
    nrrd = pytest.importorskip("nrrd")
    liver, tumour = np.zeros((2, 4, 3, 2), np.uint8)
    liver[:, 0, 0], tumour[3, :2, 0] = 1, 1  # one voxel is both
    less = liver.copy()
    less[0, 0, 0] = 0
    header = {"space": "left-posterior-superior", "kinds": ["list", *["domain"] * 3], "space origin": np.zeros(3)}
    header["space directions"] = np.vstack([np.full((1, 3), np.nan), np.eye(3)])
    for part, first, order in (("t", liver, ("liver", "tumour")), ("p", less, ("tumour", "liver"))):
        arrays = {"liver": first, "tumour": tumour}
        for number, name in enumerate(order):
            header |= {f"Segment{number}_ID": f"S{number}", f"Segment{number}_Name": name}
            header |= {f"Segment{number}_Layer": str(number), f"Segment{number}_LabelValue": "1"}
        (tmp_path / part).mkdir()
        nrrd.write(str(tmp_path / part / "a.seg.nrrd"), np.stack([arrays[name] for name in order]), header)
    found = {row["label_name"]: row["value"] for row in scored(tmp_path).table.to_pylist()}
    assert found == {"liver": pytest.approx(2 * 3 / (4 + 3)), "tumour": 1.0}


def test_files_that_number_names_differently(tmp_path: Path) -> None:
    swapped = np.select([TRUTH == 17, TRUTH == 53], [53, 17], TRUTH)
    with_table(tmp_path / "t" / "a.nii.gz", TRUTH, {"hippocampus": 17, "amygdala": 53})
    with_table(tmp_path / "t" / "b.nii.gz", swapped, {"hippocampus": 53, "amygdala": 17})
    for case in "ab":
        with_table(tmp_path / "p" / f"{case}.nii.gz", PREDICTED, {"amygdala": 53, "hippocampus": 17})
    result = scored(tmp_path)
    for row in result.table.to_pylist():
        wanted = DICE[17] if row["label_name"] == "hippocampus" else DICE[53]
        assert row["value"] == pytest.approx(wanted)
    assert {row["label_name"] for row in result.table.to_pylist()} == {"hippocampus", "amygdala"}
    write_label_map(tmp_path / "p" / "b.nii.gz", LabelMap(PREDICTED.astype(np.uint8), (1.0, 1.0, 1.0)))
    one = scored(tmp_path)
    assert {row["case_id"]: row["status"] for row in one.table.to_pylist()} == {"a": "ok", "b": "failed"}
    assert any(problem.case == "b" and "names no segments" in problem.what for problem in one.problems)
    write_label_map(tmp_path / "p" / "a.nii.gz", LabelMap(PREDICTED.astype(np.uint8), (1.0, 1.0, 1.0)))
    with pytest.raises(UsageError, match=r"2 without names, such as a\.nii\.gz"):
        scored(tmp_path)
