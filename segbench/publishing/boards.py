"""Published boards: one folder ``<dataset>@<revision>`` with ``scores.parquet``, ``runs.jsonl`` and ``README.md``.

A board holds the runs whose truths agree, whatever their revisions; the folder's is that of most of them.
The README is computed from the other two and from nothing else, and holds digests of their values, so that anybody can
see whether it is stale.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from segbench.atomic import atomically
from segbench.collection import KeptRun
from segbench.errors import DataInvalid, DataMissing, UnknownName, did_you_mean, safe_name
from segbench.params import flattened
from segbench.publishing.digests import records_digest, scores_digest
from segbench.publishing.records import provenance_of, public_record
from segbench.ranking.boards import Leaderboard, Request
from segbench.ranking.chunks import chunks_of_table
from segbench.ranking.grid import COLUMNS
from segbench.ranking.holdings import divisions
from segbench.ranking.leaderboard import leaderboard
from segbench.ranking.truths import RUN
from segbench.results import RECORD, SCORES, complete_runs, read_scores, write_table
from segbench.runs import seconds_of
from segbench.showing.exports import markdown, markdown_table

README, RUNS = "README.md", "runs.jsonl"
RESAMPLES = 1000
_ROLES = ("train", "unlabelled", "val", "test")
_ORDER = ("method", "network", "arm", "variant", "seed", "fold", "run_id")


@dataclass(frozen=True)
class _Run:
    """One finished run: its public record, its place among others, what names it (``truths.RUN``), and its rows."""

    record: dict[str, Any]
    key: tuple[Any, ...]
    identity: tuple[str, ...]
    table: pa.Table


def write_boards(results: Path, root: Path, datasets: Sequence[str] = (), without: Sequence[str] = ()) -> list[Path]:
    """Write the boards of all finished runs; what is there of the same names is replaced.

    Args:
        results: a results root.
        root: folder of boards.
        datasets: names or ``name@revision``; empty = all.
        without: runs left out.

    Returns:
        The folders of the boards, sorted.

    Raises:
        DataMissing: there is no finished run.
        UnknownName: a dataset or run that does not occur.
        VerificationError: runs that must not be compared.
    """
    folders = complete_runs(results)
    if not folders:
        raise DataMissing(f"{results} holds no finished run ({RECORD}) to publish. Run `segbench run` first.")
    runs = [run for folder in folders if (run := _run_in(folder)) is not None]
    _check(without, [run.record["run_id"] for run in runs], "run")
    kept = [run for run in runs if run.record["run_id"] not in without]
    if not kept:
        return []
    boards = divisions(chunks_of_table(_together(kept), COLUMNS))
    _check(datasets, sorted(set().union(*(one.names for one in boards))), "dataset")
    written = []
    for one in boards:
        if not datasets or one.names & set(datasets):
            own = [run for run in kept if run.identity in one.runs]
            written.append(_write(root / safe_name(one.name, "board"), own))
    return written


def _check(wanted: Sequence[str], known: Sequence[str], what: str) -> None:
    for name in wanted:
        if name not in known:
            raise UnknownName(f"The results have no {what} {name!r}. {did_you_mean(name, set(known))}")


def _run_in(folder: Path) -> _Run | None:
    """Return the run in a folder; None for a run without rows."""
    table, record = read_scores(folder), public_record(KeptRun.of(folder).record)
    if not table.num_rows:
        return None
    first = table.slice(0, 1).to_pylist()[0]
    key = tuple("" if first[name] is None else first[name] for name in _ORDER)
    return _Run(record, key, tuple(str(first[name]) for name in RUN), table)


def _together(runs: Sequence[_Run]) -> pa.Table:
    return pa.concat_tables([run.table for run in runs]).unify_dictionaries()


def _write(folder: Path, runs: list[_Run]) -> Path:
    """Write one board; the README, which says what the others are, comes last."""
    runs = sorted(runs, key=lambda run: run.key)
    table = _together(runs)
    records = [run.record for run in runs]
    text = readme_text(folder.name, table, records)  # refuses before anything is written
    lines = "".join(json.dumps(record, sort_keys=True, ensure_ascii=False) + "\n" for record in records)
    write_table(folder / SCORES, table)
    atomically(folder / RUNS, lambda part: part.write_text(lines, encoding="utf-8"))
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
    table, records = read_scores(folder / SCORES), _records(folder / RUNS)
    scored = set(pc.unique(table.column("run_id")).to_pylist())
    if (listed := {record["run_id"] for record in records}) != scored:
        return f"{folder.name}: {SCORES} and {RUNS} speak of different runs ({len(scored)} and {len(listed)})"
    if (folder / README).read_text(encoding="utf-8") != readme_text(folder.name, table, records):
        return f"{folder.name}: {README} is not what {SCORES} and {RUNS} give"
    return ""


def _records(file: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise DataInvalid(
            f"{file}: expected one JSON document per line, found {error}. Write the board again."
        ) from error


def readme_text(name: str, table: pa.Table, records: Sequence[dict[str, Any]]) -> str:
    """Return the README of a board: the order and how firm it is, seed by seed, and the runs behind it.

    Args:
        name: ``<dataset>@<revision>``.
        table: the scores.
        records: published records of the runs.
    """
    ranked = leaderboard(table, Request(bootstrap=RESAMPLES, schemes=True))
    board = ranked.boards[0]
    parts = [f"# {name}", "Generated by `segbench leaderboard --write` from the two files beside it; do not edit."]
    if board.synthetic:
        parts.append("**Synthetic phantom: these results say nothing about patients.**")
    parts += [_budget(records), markdown(ranked, by_seed=True).strip(), "## Labels", _labels(ranked)]
    parts += ["## Runs", _runs_table(table, records)]
    parts.append(
        f"95 % rank intervals and P(first): {RESAMPLES} resamples of cases. Label by label: "
        f"`segbench leaderboard --results {SCORES} --by-label`."
    )
    parts.append(f"SHA-256 of the values: scores `{scores_digest(table)}`, runs `{records_digest(records)}`.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _labels(ranked: Leaderboard) -> str:
    """Return a table of each label's mean of the headline's metrics, method by method."""
    board = ranked.boards[0]
    methods = [entry.place.method for entry in board.entries]
    rows = []
    for task in board.tasks:
        if task.headline:
            means = {standing.method: standing.summary.mean for standing in task.standings}
            cells = [f"{means[method]:.3g}" if means[method] == means[method] else "-" for method in methods]
            rows.append([task.measure.label, task.measure.metric, *cells])
    return markdown_table(["label", "metric", *methods], rows, left=(0, 1))


def _budget(records: Sequence[dict[str, Any]]) -> str:
    """Say how long the runs were trained and on how much, where they agree."""
    budgets = set()
    for record in records:
        recipe = record.get("config", {}).get("recipe")
        if recipe:
            steps = record.get("training", {}).get("steps")
            splits = record.get("splits", {})
            words = ", ".join(f"{len(splits[role])} {role}" for role in _ROLES if splits.get(role))
            budgets.add(f"{recipe['epochs']} epochs, {steps} optimiser steps, cases: {words}{_data(record)}")
    if not budgets:
        return ""
    if len(budgets) == 1:
        return f"Budget of every trained run: {budgets.pop()}."
    return f"Budgets differ between runs ({RUNS} has them): " + "; ".join(sorted(budgets)) + "."


def _data(record: dict[str, Any]) -> str:
    """Say what was set of the dataset."""
    values = flattened((record["config"].get("dataset") or {}).get("parameters") or {})
    words = [
        f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}" for key, value in values.items()
    ]
    return f"; dataset with {' '.join(words)}" if words else ""


def _runs_table(table: pa.Table, records: Sequence[dict[str, Any]]) -> str:
    columns = ["run_id", "method", "network", "arm", "variant"]
    repeated = [("seed", "distinct"), ("fold", "distinct")]
    found = table.group_by(columns).aggregate(repeated).to_pylist()
    named = {row["run_id"]: row for row in sorted(found, key=lambda row: (-len(row["variant"]), row["variant"]))}
    rows = []
    for record in records:
        own = named[record["run_id"]]
        shown = own["method"] + (f":{own['arm']}" if own["arm"] not in ("method", "", None) else "")
        shown += f" [{own['variant']}]" if own["variant"] else ""
        seconds, memory = seconds_of(record), record.get("peak_memory_bytes")
        train = f"{seconds['train']:.0f}" if "train" in seconds else "-"
        peak = f"{memory / 2**20:.0f}" if isinstance(memory, int | float) else "-"
        count = record.get("parameters")
        size = f"{count:,}" if isinstance(count, int) else "-"
        repetitions = [", ".join(map(str, sorted(own[f"{name}_distinct"]))) for name, _ in repeated]
        facts = [own["network"] or "-", *repetitions, train, peak, size, provenance_of(record)]
        rows.append([shown, *facts, record["run_id"]])
    head = ["method", "network", "seed", "fold", "training s", "peak MiB", "parameters", "scores", "run"]
    return markdown_table(head, rows, left=(0, 1, 7, 8))
