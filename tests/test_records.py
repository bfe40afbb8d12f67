"""Records vouch for themselves and for the files beside them; older ones, which vouch for nothing, are read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from segbench.errors import DataInvalid
from segbench.ranking.chunks import load_chunks
from segbench.records import DIGESTS, RECORD, SEAL, check_digest, parsed_record, read_record, write_record
from segbench.results import SCORES, read_scores, write_scores, write_table
from segbench.score_table import Row, scores_table

RUN: dict[str, Any] = {"run_id": "r", "seconds": {"train": 1.25}, "größe": [1, None, "é"], "loss": 0.1}


def table(value: float = 0.5, cases: int = 3) -> Any:
    names = ("d", "1", "n", "m", "method", 0, 0)
    about = {"label": 1, "label_name": "a", "metric": "dice", "metric_version": "1", "unit": "", "better": "higher"}
    return scores_table(Row("r", *names, f"c{n}", f"c{n}", value=value, **about) for n in range(cases))


def finished(folder: Path) -> Path:
    write_record(folder / RECORD, {**RUN, DIGESTS: {SCORES: write_scores(folder, table())}})
    return folder


def flips(content: bytes, step: int = 1) -> Any:
    """Yield the bytes with one bit flipped, and which."""
    for bit in range(0, 8 * len(content), step):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(flipped)


def test_a_record_comes_back_without_its_seal(tmp_path: Path) -> None:
    write_record(tmp_path / RECORD, {**RUN, "loss": math.nan, "path": Path("x"), SEAL: "an older one's"})
    assert read_record(tmp_path) == {**RUN, "loss": None, "path": "x"}
    assert len(json.loads((tmp_path / RECORD).read_text("utf-8"))[SEAL]) == 64


def test_every_flip_in_a_record_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    write_record(tmp_path / RECORD, {**RUN, DIGESTS: {"a": "b"}})
    content, refused = (tmp_path / RECORD).read_bytes(), 0
    for bit, flipped in flips(content):
        try:
            found = parsed_record(flipped, tmp_path / RECORD)
        except DataInvalid as error:
            refused += 1
            assert str(tmp_path / RECORD) in str(error)
        else:  # white space
            assert found == {**RUN, DIGESTS: {"a": "b"}}, f"bit {bit}"
    assert refused > 0.9 * 8 * len(content)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"run_id": 5}', '{"run_id": "r", "seal": "x", "a": NaN}'])
def test_what_is_no_record(tmp_path: Path, content: str) -> None:
    (tmp_path / RECORD).write_text(content)
    with pytest.raises(DataInvalid, match=r"run\.json.*Restore it from a copy"):
        read_record(tmp_path)
    with pytest.raises(DataInvalid, match="cannot be read"):
        read_record(tmp_path / "nowhere")


def test_an_edited_record_says_how_to_mean_it(tmp_path: Path) -> None:
    write_record(tmp_path / RECORD, RUN)
    edited = json.loads((tmp_path / RECORD).read_text("utf-8")) | {"loss": 0.2}
    (tmp_path / RECORD).write_text(json.dumps(edited))
    with pytest.raises(DataInvalid, match='write "seal": ""'):
        read_record(tmp_path)
    edited[SEAL] = ""
    (tmp_path / RECORD).write_text(json.dumps(edited, indent=7, sort_keys=True))
    assert read_record(tmp_path)["loss"] == 0.2


def test_damaged_scores_are_named_and_never_read(tmp_path: Path) -> None:
    folder = finished(tmp_path / "d" / "m" / "r")
    file = folder / SCORES
    content = file.read_bytes()
    for _, flipped in flips(content, step=61):
        file.write_bytes(flipped)
        for read in (
            lambda: read_scores(tmp_path),
            lambda: read_scores(file, ["value"]),
            lambda: load_chunks(tmp_path, ["method"]),
        ):
            with pytest.raises(DataInvalid, match=r"scores\.parquet is damaged.*delete this one file"):
                read()
    file.write_bytes(content)
    assert read_scores(tmp_path).equals(table())


def test_scores_without_digest_are_read_and_bad_bytes_named(tmp_path: Path) -> None:
    write_table(tmp_path / SCORES, table())
    write_record(tmp_path / RECORD, RUN)
    content = (tmp_path / SCORES).read_bytes()
    assert read_scores(tmp_path).equals(table())
    for _, flipped in flips(content[:4] + content[-400:], step=7):  # whatever a reader of Parquet says to a bad footer
        (tmp_path / SCORES).write_bytes(flipped[:4] + content[4:-400] + flipped[4:])
        try:
            read_scores(tmp_path)
        except DataInvalid as error:
            assert SCORES in str(error)


def test_scores_replaced_just_before_a_kill_are_read(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    before = read_record(folder)
    write_scores(folder, table(0.75))  # and killed before the record is written anew
    assert read_scores(folder).equals(table(0.75))
    accepted = read_record(folder)[DIGESTS][SCORES]
    assert len(accepted) == 2 and before[DIGESTS][SCORES] in accepted
    digest = write_scores(folder, table(0.75))
    assert digest in accepted and len(read_record(folder)[DIGESTS][SCORES]) == 2
    write_record(folder / RECORD, {**before, DIGESTS: {SCORES: digest}})
    assert read_scores(folder).equals(table(0.75))


def test_other_files_are_vouched_for_too(tmp_path: Path) -> None:
    digest = write_table(tmp_path / "history.parquet", table())
    record = {**RUN, DIGESTS: {"history.parquet": digest}}
    check_digest(tmp_path / "history.parquet", "Mend it.", record)
    (tmp_path / "history.parquet").write_bytes(b"")
    with pytest.raises(DataInvalid, match=r"history\.parquet is damaged.*Mend it\."):
        check_digest(tmp_path / "history.parquet", "Mend it.", record)
    check_digest(tmp_path / "history.parquet", "Mend it.", RUN)
