"""Submissions: packed, verified, re-scored; tampering and hostile archives are found and refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from segbench import Choice, LabelMap, evaluate, load_catalogue, write_label_map
from segbench.cli import app
from segbench.digests import sha256_of
from segbench.errors import DataInvalid, DataMissing, UsageError, VerificationError
from segbench.publishing.admission import add_to_results
from segbench.publishing.packages import Package, write_package
from segbench.publishing.rescoring import how_scored, rescore
from segbench.publishing.submissions import pack
from segbench.publishing.verification import verify
from segbench.ranking.leaderboard import leaderboard
from segbench.results import read_scores, write_scores
from segbench.score_table import scores_table


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
    added = add_to_results(report, tmp_path / "board results")
    assert added.done == "added"
    folder = added.folder
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
    write_scores(scene["run"], scores_table(rows))
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
    write_scores(scene["run"], scores_table(rows))
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
    bare = CliRunner().invoke(app, ["submit", scene["run"].name, "--out", str(tmp_path / "bare.zip"), *common])
    assert bare.exit_code == 0 and "0 predictions" in bare.stdout
    assert "--predictions FOLDER" in " ".join(bare.stderr.split())


def test_a_run_that_is_there_is_compared_and_its_marks_only_rise(scene, catalogue, tmp_path: Path) -> None:
    pack(scene["run"], scene["out"], scene["predictions"])
    shelf = tmp_path / "published"
    plain = verify(scene["out"])
    better = verify(scene["out"], scene["predictions"], scene["references"], catalogue)
    assert add_to_results(plain, shelf).done == "added"
    assert add_to_results(plain, shelf).done == "unchanged"
    raised = add_to_results(better, shelf)
    assert raised.done == "marks raised"
    marks = {"re-scored": ["dice", "hd95"], "self-reported": []}
    assert json.loads((raised.folder / "run.json").read_text())["verification"] == marks
    assert add_to_results(plain, shelf).done == "unchanged", "what was re-scored once stays so"
    assert json.loads((raised.folder / "run.json").read_text())["verification"] == marks
    before = (scene["run"] / "run.json").read_bytes()
    assert add_to_results(better, scene["results"]).done == "unchanged", "its scores were computed here"
    assert (scene["run"] / "run.json").read_bytes() == before
    again = ["--predictions", str(scene["predictions"]), "--references", str(scene["references"])]
    answer = CliRunner().invoke(app, ["verify", str(scene["out"]), *again, "--results", str(shelf)])
    assert "Already there, nothing was written" in answer.stdout
    rows = read_scores(raised.folder).to_pylist()
    rows[0]["value"] += 1e-5
    write_scores(raised.folder, scores_table(rows))
    with pytest.raises(VerificationError, match=r"scores\.parquet are not those"):
        add_to_results(better, shelf)
    answer = CliRunner().invoke(app, ["verify", str(scene["out"]), *again, "--results", str(shelf)])
    assert answer.exit_code == 5
    assert "Added" not in answer.output


def relisted(scene, tmp_path: Path, rows: list[dict[str, str]], **changes: bytes) -> Path:
    """Return a submission with enclosed predictions whose manifest names these."""
    pack(scene["run"], scene["out"], scene["predictions"], enclose=True)
    found = members(scene["out"])
    manifest = json.loads(found["submission.json"]) | {"predictions": rows}
    path = tmp_path / "relisted.zip"
    write_package(path, found | {"submission.json": json.dumps(manifest).encode()} | changes, {})
    return path


def test_predictions_that_are_not_named_are_told_and_not_used(scene, catalogue, tmp_path: Path) -> None:
    rows = [
        {"file": f"{case}.nii.gz", "sha256": sha256_of(scene["predictions"] / f"{case}.nii.gz")}
        for case in ("c1", "c2")
    ]
    few = relisted(scene, tmp_path, rows[:1])
    report = verify(few, references=scene["references"], catalogue=catalogue)
    assert report.differences[0].what == "prediction c2.nii.gz"
    assert report.differences[0].reported == "not named"
    assert {one.case for one in report.differences[1:]} == {"c2"}, "c2 was not scored from a file that nobody named"
    none = verify(relisted(scene, tmp_path, []), references=scene["references"], catalogue=catalogue)
    assert (none.state, none.rescored, len(none.differences)) == ("mismatch", (), 2)
    extra = relisted(scene, tmp_path, rows, **{"predictions/c9.nii.gz": bytes(1 << 20)})
    (only,) = verify(extra, references=scene["references"], catalogue=catalogue).differences
    assert (only.what, only.found) == ("prediction c9.nii.gz", "enclosed")
    pack(scene["run"], scene["out"], scene["predictions"])
    (scene["predictions"] / "c9.nii.gz").write_bytes(b"x")
    (only,) = verify(scene["out"], scene["predictions"], scene["references"], catalogue).differences
    assert (only.what, only.found) == ("prediction c9.nii.gz", "in the folder")


def test_members_are_limited_together(scene, tmp_path: Path, monkeypatch) -> None:
    bomb = repacked(scene, tmp_path, **{f"predictions/c{n}.nii.gz": bytes(1 << 20) for n in range(3)})
    Package(bomb).archive.close()
    monkeypatch.setattr("segbench.publishing.packages.LARGEST_UNPACKED", 3 << 20)
    with pytest.raises(DataInvalid, match="when unpacked"):
        Package(bomb)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": []},
        {"config": {"metrics": {"name": 3}}},
        {"task": 3},
        {"task": {"labels": 3}},
        {"task": {"labels": ["background", "cube"], "regions": [1]}},
        {"structures": 3},
        {"structures": [["cube", ["y"]]]},
        {"structures": [["cube"]]},
        {"metrics": 3},
        {"metrics": [{"name": "dice", "parameters": 3}]},
        {"ignore_label": "none"},
        {"geometry": "bent"},
    ],
)
def test_malformed_records_are_refused_in_words(scene, tmp_path: Path, changes: dict[str, Any]) -> None:
    record = json.loads(members(pack(scene["run"], scene["out"]).path)["run.json"]) | changes
    changed = repacked(scene, tmp_path, **{"run.json": json.dumps(record).encode()})
    folders = ["--predictions", str(scene["predictions"]), "--references", str(scene["references"])]
    answer = CliRunner().invoke(app, ["verify", str(changed), *folders])
    assert answer.exception is None or isinstance(answer.exception, SystemExit)
    assert answer.exit_code == 3
    assert "not as segbench writes it" in answer.output


def test_errors_name_the_submission_and_no_temporary_path(scene, catalogue, tmp_path: Path) -> None:
    garbage = repacked(scene, tmp_path, **{"scores.parquet": b"garbage"})
    with pytest.raises(DataInvalid, match=r"changed\.zip: expected a table of scores") as caught:
        verify(garbage)
    assert "/.segbench." not in str(caught.value)


def test_other_parameters_of_a_metric_are_named_and_never_compared(scene, catalogue, tmp_path: Path) -> None:
    for name, choice in (("strict", "nsd"), ("lax", Choice("nsd", {"tolerance": 50})), ("same", Choice("nsd", {}))):
        result = evaluate(
            *(scene["predictions"], scene["references"]),
            name=name,
            dataset="cubes",
            labels={"cube": 1},
            metrics=[choice],
            results=tmp_path / "nsd",
            catalogue=catalogue,
        )
        versions = set(read_scores(result.folder).column("metric_version").to_pylist())
        assert versions == {"2 tolerance=50.0" if name == "lax" else "2"}
        pack(result.folder, tmp_path / f"{name}.zip", scene["predictions"])
        report = verify(tmp_path / f"{name}.zip", scene["predictions"], scene["references"], catalogue)
        assert report.differences == ()
        assert ["tolerance = 50.0" in note for note in report.notes] == [True] * (name == "lax")
    with pytest.raises(VerificationError, match="several versions"):
        leaderboard(read_scores(tmp_path / "nsd"))
    assert leaderboard(read_scores(tmp_path / "nsd" / "cubes" / "same")).boards


def test_a_metric_whose_file_is_not_here_stays_self_reported(scene, catalogue) -> None:
    record = json.loads((scene["run"] / "run.json").read_text())
    table = read_scores(scene["run"])
    how = how_scored(record | {"metrics": [{"name": "dice", "parameters": {}}]}, scene["out"])
    assert how.parameters == {"dice": {}}
    rows = [row | {"metric": "forbidden_contacts"} for row in table.to_pylist() if row["metric"] == "dice"]
    prior = {"name": "forbidden_contacts", "parameters": {"prior": "gone.csv"}}
    how = how_scored(record | {"metrics": [prior]}, scene["out"])
    again = rescore(scores_table(rows), how, scene["predictions"], scene["references"], scene["run"], catalogue, 1)
    assert again.metrics == ()
    assert "gone.csv" in again.notes[0]


def test_a_submission_names_every_seed(scene, tmp_path: Path) -> None:
    rows = read_scores(scene["run"]).to_pylist()
    rows += [row | {"seed": 2} for row in rows]
    write_scores(scene["run"], scores_table(rows))
    packed = pack(scene["run"], scene["out"])
    assert packed.about["seeds"] == [0, 2]
    assert json.loads(members(scene["out"])["submission.json"])["seeds"] == [0, 2]


def test_a_small_submission_never_writes_much(scene, tmp_path: Path, monkeypatch) -> None:
    pack(scene["run"], scene["out"], scene["predictions"])
    kept = members(scene["out"])
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
        for number in range(8):
            archive.writestr(f"predictions/c{number}.nii", bytes(8 << 20))
    assert bomb.stat().st_size < 100_000
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setenv("TMPDIR", str(room))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(DataInvalid, match=r"at most [\d,]+ bytes when unpacked, found 67,"):
        verify(bomb)
    assert not list(room.rglob("*.nii"))
    (scene["predictions"] / "c3.nii").write_bytes(bytes(40 << 20))  # whatever a run has may be handed over
    packed = pack(scene["run"], tmp_path / "large.zip", scene["predictions"], enclose=True)
    assert verify(packed.path).differences == ()


def test_a_table_that_unfolds_is_refused_before_it_is_read(scene, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("segbench.publishing.verification.MOST_ROWS", 3)
    pack(scene["run"], scene["out"], scene["predictions"])
    with pytest.raises(DataInvalid, match=r"at most 3 rows in scores.parquet, found 4"):
        verify(scene["out"])


def test_records_and_tables_of_strangers_are_refused_on_verifying(scene, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pack(scene["run"], scene["out"], scene["predictions"])
    record = json.loads(members(scene["out"])["run.json"])
    strange: list[tuple[dict[str, Any], str]] = [({"config": {"recipe": 5}}, "config.recipe")]
    for part, words in [*strange, ({"peak_memory_bytes": "x"}, "peak_memory_bytes")]:
        changed = repacked(scene, tmp_path, **{"run.json": json.dumps(record | part).encode()})
        answer = CliRunner().invoke(app, ["verify", str(changed), "--results", str(tmp_path / "board")])
        assert answer.exit_code == 3 and words in answer.stderr, answer.output
    table = read_scores(scene["run"])
    for column, value in (("status", "great"), ("source", "hacked"), ("method", None)):
        index = table.schema.get_field_index(column)
        other = table.set_column(index, column, pa.array([value] * table.num_rows, pa.string()))
        pq.write_table(other, tmp_path / "odd.parquet")
        changed = repacked(scene, tmp_path, **{"scores.parquet": (tmp_path / "odd.parquet").read_bytes()})
        answer = CliRunner().invoke(app, ["verify", str(changed), "--results", str(tmp_path / "board")])
        assert answer.exit_code == 3 and f"{column} must" in answer.stderr, answer.output
        assert str(tmp_path / "odd") not in answer.stderr and "segbench-verify-" not in answer.stderr
    assert not (tmp_path / "board").exists()


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
def test_a_submission_that_is_no_file_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    import os
    import socket

    place = tmp_path / "x.zip"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        server = socket.socket(socket.AF_UNIX)
        server.bind(os.path.relpath(place))
    elif kind == "device":
        place = Path("/dev/zero")
    else:
        place.mkdir()
    answer = CliRunner().invoke(app, ["verify", str(place)])
    assert answer.exit_code == 3 and "found a folder, a pipe or a device" in answer.stderr


def test_published_boards_are_verified_as_submissions_are(scene: dict[str, Path], tmp_path: Path) -> None:
    from segbench.publishing.boards import write_boards

    (board,) = write_boards(scene["results"], tmp_path / "boards")
    answer = CliRunner().invoke(app, ["verify", str(tmp_path / "boards")])
    assert answer.exit_code == 0, answer.output
    assert "page, scores and records belong together" in answer.stdout
    assert "belong together; 1 run\n" in answer.stdout
    assert "Scores were not computed again" in answer.output
    maps = tmp_path / "maps" / "mine"
    maps.parent.mkdir()
    scene["predictions"].rename(maps)
    words = ["verify", str(board), "--references", str(scene["references"]), "--json", "--predictions"]
    (found,) = json.loads(CliRunner().invoke(app, [*words, str(maps.parent)]).stdout)["boards"]
    assert (found["stale"], [run["state"] for run in found["runs"]]) == ("", ["re-scored"])
    (nothing,) = json.loads(CliRunner().invoke(app, [*words, str(scene["results"])]).stdout)["boards"]
    assert "has no label maps of it" in nothing["runs"][0]["notes"][0]
    rows = read_scores(board / "scores.parquet").to_pylist()
    rows[0]["value"] = 0.123
    write_scores(board, scores_table(rows))
    answer = CliRunner().invoke(app, [*words, str(maps.parent)])
    (found,) = json.loads(answer.stdout)["boards"]
    assert answer.exit_code == 5
    assert "README.md is not what" in found["stale"]
    (difference,) = found["runs"][0]["differences"]
    assert difference["reported"].startswith("0.123")
    assert CliRunner().invoke(app, ["verify", str(scene["references"])]).exit_code == 3
    assert CliRunner().invoke(app, ["verify", str(board), "--results", str(tmp_path / "r")]).exit_code == 2


def test_a_submission_is_not_put_into_a_folder_of_boards(scene: dict[str, Path], tmp_path: Path) -> None:
    from segbench.publishing.boards import write_boards

    write_boards(scene["results"], tmp_path / "boards")
    pack(scene["run"], scene["out"], scene["predictions"])
    with pytest.raises(UsageError, match="leaderboard --write"):
        add_to_results(verify(scene["out"]), tmp_path / "boards")
