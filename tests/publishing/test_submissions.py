"""Submissions: packed, verified, re-scored; tampering and hostile archives are found and refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from segbench import LabelMap, evaluate, load_catalogue, write_label_map
from segbench.cli import app
from segbench.errors import DataInvalid, DataMissing, UsageError
from segbench.publishing.packages import Package, write_package
from segbench.publishing.submissions import pack
from segbench.publishing.verification import add_to_results, verify
from segbench.results import read_scores, scores_table, write_table


@pytest.fixture(scope="module")
def catalogue() -> Any:
    return load_catalogue()


@pytest.fixture
def scene(tmp_path: Path, catalogue: Any) -> dict[str, Path]:
    """Two cases of predictions and references, and the finished run that scored them."""
    rng = np.random.default_rng(0)
    folders = {name: tmp_path / name for name in ("predictions", "references")}
    for folder in folders.values():
        folder.mkdir()
    for case in ("c1", "c2"):
        truth = np.zeros((6, 8, 8), dtype=np.uint8)
        truth[2:5, 2:6, 2:6] = 1
        predicted = np.where(rng.random(truth.shape) < 0.1, 0, truth).astype(np.uint8)
        for name, array in (("predictions", predicted), ("references", truth)):
            write_label_map(folders[name] / f"{case}.nii.gz", LabelMap(array, (1.0, 1.0, 1.0)))
    result = evaluate(
        *(folders["predictions"], folders["references"]),
        name="mine",
        dataset="cubes",
        labels={"cube": 1},
        metrics=["dice", "hd95"],
        results=tmp_path / "results",
        catalogue=catalogue,
    )
    return {**folders, "run": result.folder, "results": tmp_path / "results", "out": tmp_path / "mine.zip"}


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_what_is_packed_verifies_and_is_re_scored(scene, catalogue, tmp_path: Path) -> None:
    packed = pack(scene["run"], scene["out"], scene["predictions"])
    assert (packed.predictions, packed.enclosed) == (2, False)
    again = pack(scene["run"], tmp_path / "again.zip", scene["predictions"])
    assert again.path.read_bytes() == packed.path.read_bytes()
    assert str(tmp_path).encode() not in b"".join(members(packed.path).values())
    plain = verify(packed.path)
    assert (plain.state, plain.differences, plain.rows) == ("self-reported", (), (0, 4))
    report = verify(packed.path, scene["predictions"], scene["references"], catalogue)
    assert report.differences == ()
    assert (report.state, set(report.rescored), report.rows) == ("re-scored", {"dice", "hd95"}, (4, 0))
    folder = add_to_results(report, tmp_path / "board results")
    record = json.loads((folder / "run.json").read_text())
    assert record["verification"] == {"re-scored": ["dice", "hd95"], "self-reported": []}
    assert read_scores(folder).num_rows == 4


def test_enclosed_predictions_need_no_folder(scene, catalogue) -> None:
    pack(scene["run"], scene["out"], scene["predictions"], enclose=True)
    assert verify(scene["out"], references=scene["references"], catalogue=catalogue).state == "re-scored"
    with pytest.raises(UsageError, match="no predictions to enclose"):
        pack(scene["run"], scene["out"], enclose=True)
    pack(scene["run"], scene["out"])
    with pytest.raises(UsageError, match="--predictions"):
        verify(scene["out"], references=scene["references"], catalogue=catalogue)


def test_flattered_scores_are_found(scene, catalogue) -> None:
    rows = read_scores(scene["run"]).to_pylist()
    first = next(row for row in rows if row["metric"] == "dice")
    first["value"] += 2e-9
    write_table(scene["run"] / "scores.parquet", scores_table(rows))
    pack(scene["run"], scene["out"], scene["predictions"])
    assert verify(scene["out"]).differences == (), "a consistent lie needs the references to be found"
    report = verify(scene["out"], scene["predictions"], scene["references"], catalogue)
    assert report.state == "mismatch"
    assert [(one.case, one.label, one.metric) for one in report.differences] == [("c1", "cube", "dice")]
    with pytest.raises(UsageError, match="does not verify"):
        add_to_results(report, scene["results"])
    folders = ["--predictions", str(scene["predictions"]), "--references", str(scene["references"])]
    answer = CliRunner().invoke(app, ["verify", str(scene["out"]), *folders])
    assert answer.exit_code == 5
    assert "mismatch" in answer.stdout
    assert "c1" in answer.stdout


def test_differences_below_the_tolerance_do_not_count(scene, catalogue) -> None:
    rows = read_scores(scene["run"]).to_pylist()
    rows[0]["value"] += 5e-10
    write_table(scene["run"] / "scores.parquet", scores_table(rows))
    pack(scene["run"], scene["out"], scene["predictions"])
    assert verify(scene["out"], scene["predictions"], scene["references"], catalogue).differences == ()


def test_other_predictions_are_found(scene, catalogue) -> None:
    pack(scene["run"], scene["out"], scene["predictions"])
    (scene["predictions"] / "c2.nii.gz").write_bytes((scene["references"] / "c2.nii.gz").read_bytes())
    report = verify(scene["out"], scene["predictions"])
    assert [one.what for one in report.differences] == ["hash of c2.nii.gz"]
    (scene["predictions"] / "c2.nii.gz").unlink()
    assert verify(scene["out"], scene["predictions"]).differences[0].found == "not there"


def repacked(scene, tmp_path: Path, **changes: bytes) -> Path:
    pack(scene["run"], scene["out"], scene["predictions"])
    path = tmp_path / "changed.zip"
    write_package(path, members(scene["out"]) | changes, {})
    return path


def test_changed_members_are_found(scene, tmp_path: Path) -> None:
    record = json.loads(members(pack(scene["run"], scene["out"]).path)["run.json"])
    record["geometry"] = "resample"
    changed = repacked(scene, tmp_path, **{"run.json": json.dumps(record).encode()})
    assert [one.what for one in verify(changed).differences] == ["hash of run.json"]
    record["run_id"] = "other"
    changed = repacked(scene, tmp_path, **{"run.json": json.dumps(record).encode()})
    assert [one.what for one in verify(changed).differences] == ["hash of run.json", "run_id of the record"]
    manifest = json.loads(members(scene["out"])["submission.json"]) | {"dataset": "another"}
    changed = repacked(scene, tmp_path, **{"submission.json": json.dumps(manifest).encode()})
    assert [one.what for one in verify(changed).differences] == ["dataset of the scores"]


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "predictions/../evil", "predictions/a/b", "other.txt"])
def test_names_that_lead_elsewhere_are_refused(scene, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataInvalid, match="found"):
        verify(repacked(scene, tmp_path, **{name: b"x"}))
    assert not list(tmp_path.rglob("evil"))


def test_links_doubles_and_bombs_are_refused(scene, tmp_path: Path) -> None:
    for kind in ("link", "double", "bomb"):
        path = repacked(scene, tmp_path)
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            info = zipfile.ZipInfo("run.json" if kind == "double" else "predictions/c.nii.gz")
            info.external_attr = (0o120777 if kind == "link" else 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            content = bytes(1 << 24) if kind == "bomb" else b"/etc/passwd"
            if kind == "double":
                with pytest.warns(UserWarning, match="Duplicate"):
                    archive.writestr(info, content)
            else:
                archive.writestr(info, content)
        if kind == "bomb":
            assert Package(path).members["predictions/c.nii.gz"].file_size == 1 << 24, "ordinary compression is fine"
        else:
            with pytest.raises(DataInvalid, match="expected"):
                verify(path)


def test_a_lying_size_is_refused(scene, tmp_path: Path) -> None:
    path = repacked(scene, tmp_path)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"scores.parquet") - 46  # its entry in the central directory
    content[place + 24 : place + 28] = (1 << 31).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataInvalid):
        verify(path)


def test_what_is_no_submission_is_refused_in_words(scene, tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="segbench submit"):
        verify(tmp_path / "no.zip")
    (tmp_path / "no.zip").write_bytes(b"no")
    with pytest.raises(DataInvalid, match="ZIP"):
        verify(tmp_path / "no.zip")
    for changes in ({"submission.json": b"[]"}, {"submission.json": b'{"format": 1}'}, {"run.json": b"{"}):
        with pytest.raises(DataInvalid):
            verify(repacked(scene, tmp_path, **changes))


def test_command_line(scene, tmp_path: Path) -> None:
    common = ["--results", str(scene["results"])]
    line = ["submit", scene["run"].name, "--out", str(scene["out"]), "--predictions", str(scene["predictions"])]
    answer = CliRunner().invoke(app, [*line, *common])
    assert answer.exit_code == 0, answer.output
    assert "2 predictions" in answer.stdout
    document = json.loads(CliRunner().invoke(app, ["verify", str(scene["out"]), "--json"]).stdout)
    assert document["state"] == "self-reported"
    assert document["differences"] == []
    added = CliRunner().invoke(app, ["verify", str(scene["out"]), "--results", str(tmp_path / "published")])
    assert added.exit_code == 0
    assert read_scores(tmp_path / "published").num_rows == 4
    assert CliRunner().invoke(app, ["submit", "ffffff", *common]).exit_code == 3
