"""Published boards: a folder ``<dataset>@<revision>`` with ``scores.parquet``, ``runs.jsonl``, ``board.json``, README.

A board holds the runs whose truths agree, whatever their revisions; the folder's is that of most of them.
The README is computed from the others and from nothing else, and holds digests of their values, so that anybody can
see whether it is stale. ``board.json`` says which code wrote the board.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from segbench.atomic import atomically
from segbench.collection import board_records, kept_runs
from segbench.errors import DataInvalid, DataMissing, UnknownName, VerificationError, did_you_mean, safe_name
from segbench.provenance import git_commit
from segbench.publishing.merging import BoardRun, Existing, board_runs, together
from segbench.publishing.page import readme_text
from segbench.ranking.chunks import chunks_of_table
from segbench.ranking.grid import COLUMNS
from segbench.ranking.holdings import divisions
from segbench.ranking.truths import Division
from segbench.results import RECORD, RUNS, SCORES, published_boards, read_scores, write_json, write_table

README, BOARD = "README.md", "board.json"


def write_boards(
    results: Path,
    root: Path,
    datasets: Sequence[str] = (),
    without: Sequence[str] = (),
    existing: Existing = "keep",
) -> list[Path]:
    """Write the boards of all finished runs, beside what boards there hold already.

    Args:
        results: any source of results, see ``collection.kept_runs``.
        root: folder of boards. Those that no run of ``results`` belongs on are left alone.
        datasets: names or ``name@revision``; empty = all.
        without: runs left out, and taken off the boards that are written.
        existing: what becomes of the runs that boards hold, see ``merging.Existing``.

    Returns:
        The folders of the boards, sorted.

    Raises:
        DataMissing: there is no finished run.
        DataInvalid: when all else is written, runs of ``results`` cannot be used; or at once, boards of ``root``.
        UnknownName: a dataset or run that does not occur.
        VerificationError: when all else is written, a board's runs must not be compared; or results and boards say
            different things of a run, of which the board's were kept.
    """
    left_out: list[str] = []
    kept = kept_runs(results, left_out)
    if not kept and not left_out:
        raise DataMissing(f"{results} holds no finished run ({RECORD}) to publish. Run `segbench run` first.")
    here = {name: replace(run, board=None) for name, run in board_runs(kept, left_out).items()}
    there = board_runs(run for folder in published_boards(root) for run in kept_runs(folder))
    _check(without, [run.run_id for run in (*here.values(), *there.values())], "run")
    every, conflicts = together(here, there, existing)
    runs = {run.identity: run for run in every if run.run_id not in without}
    if not runs:
        _name_left_out(left_out)
        return []
    boards = divisions(chunks_of_table(_table_of(list(runs.values())), COLUMNS))
    _check(datasets, sorted(set().union(*(one.names for one in boards))), "dataset")
    wanted = [one for one in boards if one.runs & here.keys() and (not datasets or one.names & set(datasets))]
    about = {"segbench": version("segbench"), "git_commit": git_commit()}
    written, refused = [], []
    for one in wanted:
        own = [runs[identity] for identity in one.runs]
        try:
            written.append(_write(_folder_of(one, own, root), own, about))
        except VerificationError as error:
            refused.append(error)
    if refused:
        more = [f"{len(wanted) - len(refused)} of {len(wanted)} boards were written."] if wanted[1:] else []
        raise VerificationError("\n  ".join([*map(str, refused), *more, *(f"Left out: {one}" for one in left_out)]))
    if conflicts:
        raise VerificationError(
            f"{root} and {results} contradict each other; the boards' runs were kept, what is new was written. Take "
            f"those here with --existing replace, or leave a run out with --without RUN:\n  " + "\n  ".join(conflicts)
        )
    _name_left_out(left_out)
    return sorted(written)


def _name_left_out(reasons: Sequence[str]) -> None:
    if reasons:
        raise DataInvalid("Left out, all others were written:\n  " + "\n  ".join(reasons))


def _check(wanted: Sequence[str], known: Sequence[str], what: str) -> None:
    for name in wanted:
        if name not in known:
            raise UnknownName(f"The results have no {what} {name!r}. {did_you_mean(name, set(known))}")


def _folder_of(board: Division, runs: Sequence[BoardRun], root: Path) -> Path:
    """Return where a board belongs: where its runs are already, or in a folder of its own name."""
    places = sorted({run.board for run in runs if run.board is not None})
    if len(places) > 1:
        raise VerificationError(
            f"Runs on {' and on '.join(str(place) for place in places)} share truths with a run here: they are one "
            f"board now. Move all but one of these folders elsewhere, and add them with --write --results ELSEWHERE."
        )
    return places[0] if places else root / safe_name(board.name, "board")


def _table_of(runs: Sequence[BoardRun]) -> pa.Table:
    return pa.concat_tables([run.table for run in runs]).unify_dictionaries()


def _write(folder: Path, runs: list[BoardRun], about: dict[str, Any]) -> Path:
    """Write one board; the README, which says what the others are, comes last."""
    runs = sorted(runs, key=lambda run: run.order)
    table = _table_of(runs)
    records = [run.record for run in runs]
    text = readme_text(folder.name, table, records, about)  # refuses before anything is written
    lines = "".join(json.dumps(record, sort_keys=True, ensure_ascii=False) + "\n" for record in records)
    write_table(folder / SCORES, table)
    atomically(folder / RUNS, lambda part: part.write_text(lines, encoding="utf-8"))
    write_json(folder / BOARD, about)
    atomically(folder / README, lambda part: part.write_text(text, encoding="utf-8"))
    return folder


def board_folders(root: Path) -> list[Path]:
    """Return the folders of boards below ``root``, sorted."""
    return sorted(file.parent for file in root.glob(f"*@*/{SCORES}"))


def staleness(folder: Path) -> str:
    """Say why a board's README does not belong to its scores and runs; "" if it does.

    Raises:
        DataInvalid: scores or runs cannot be read.
    """
    for name in (SCORES, RUNS, README):
        if not (folder / name).is_file():
            return f"{folder.name} has no {name}"
    table, records = read_scores(folder / SCORES), board_records(folder)
    scored = set(pc.unique(table.column("run_id")).to_pylist())
    if (listed := {record["run_id"] for record in records}) != scored:
        return f"{folder.name}: {SCORES} and {RUNS} speak of different runs ({len(scored)} and {len(listed)})"
    if (folder / README).read_text(encoding="utf-8") != readme_text(folder.name, table, records, _about(folder)):
        return f"{folder.name}: {README} is not what {SCORES} and {RUNS} give"
    return ""


def _about(folder: Path) -> dict[str, Any]:
    """Return what is known of the code that wrote a board; nothing of boards written before it was noted."""
    file = folder / BOARD
    try:
        about = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise DataInvalid(f"{file} cannot be read as JSON: {error}. Write the board again.") from error
    if not isinstance(about, dict):
        raise DataInvalid(f"{file}: expected the record of a board, found {type(about).__name__}. Write it again.")
    return about
