"""Runs that boards hold already and runs of local results, put together: nothing is lost, contradictions are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from segbench.collection import KeptRun
from segbench.errors import DataInvalid, UsageError, safe_name
from segbench.names import first_few
from segbench.publishing.records import RESCORED, SELF_REPORTED, public_record
from segbench.ranking.truths import RUN
from segbench.results import SCORES
from segbench.score_table import scores_table

Existing = Literal["keep", "replace", "drop"]
"""What becomes of runs that boards hold: kept, a contradiction being named; those here go before; only those here."""
_ORDER = ("method", "network", "arm", "variant", "seed", "fold", "run_id")
_PLACE = ("decision", "seed", "fold", "rater", "case_id", "label", "label_name", "metric")
"""Columns that tell the rows of a run apart."""
_TRAINING = ("config", "task", "network", "method", "parameters", "splits", "training", "structures", "git_commit")
"""Parts of a record that are settled before anything is scored."""
_MARKS = "verification"

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class BoardRun:
    """A run to be published.

    Attributes:
        record: its public part.
        table: its rows.
        board: folder of the board that holds it already, if one does.
    """

    record: dict[str, Any]
    table: pa.Table
    board: Path | None = None

    @property
    def run_id(self) -> str:
        """Identity of the run."""
        return str(self.record["run_id"])

    @property
    def identity(self) -> tuple[str, ...]:
        """What names it among all runs, see ``truths.RUN``."""
        first = self.table.slice(0, 1).to_pylist()[0]
        return tuple(str(first[name]) for name in RUN)

    @property
    def order(self) -> tuple[Any, ...]:
        """Its place among the runs of a board."""
        first = self.table.slice(0, 1).to_pylist()[0]
        return tuple("" if first[name] is None else first[name] for name in _ORDER)


def board_runs(kept: Iterable[KeptRun], left_out: list[str] | None = None) -> dict[tuple[str, ...], BoardRun]:
    """Return runs by identity, as they are published; those without rows are left out.

    Args:
        kept: the runs.
        left_out: receives why runs are left out that cannot be used; else the first ends the reading.
    """
    found = {}
    for one in kept:
        try:
            table, record = one.scores(), public_record(one.record)
            _check_single(one, table)
        except (DataInvalid, UsageError) as error:
            if left_out is None:
                raise
            left_out.append(str(error))
            continue
        if table.num_rows:
            run = BoardRun(record, table, one.place if one.board else None)
            found[run.identity] = run
    return found


def _check_single(kept: KeptRun, table: pa.Table) -> None:
    """Refuse rows that speak of several runs, or whose names are not fit for a board's folder.

    Raises:
        DataInvalid, UsageError: says which.
    """
    for name in RUN:
        words = [str(word) for word in table.column(name).unique().to_pylist()]
        if len(words) > 1:
            raise DataInvalid(
                f"{kept.place / SCORES}: expected the rows of one run, found several: {name} is {first_few(words, 3)}. "
                f"Give each a folder of its own."
            )
        if name.startswith("dataset") and words:
            safe_name(words[0], f"{kept.place / SCORES}: {name}")


def together(
    here: Mapping[tuple[str, ...], BoardRun], there: Mapping[tuple[str, ...], BoardRun], existing: Existing
) -> tuple[list[BoardRun], list[str]]:
    """Return all runs, each once, and in words what boards and results say differently.

    Args:
        here: runs of the results.
        there: runs on boards; where one is here too, what either lacks is added.
        existing: see ``Existing``.
    """
    if existing == "drop":
        return list(here.values()), []
    runs = {**there, **here}
    conflicts = []
    for identity in here.keys() & there.keys():
        mine, theirs = here[identity], there[identity]
        if existing == "keep" and (conflict := _conflict(mine, theirs)):
            conflicts.append(conflict)
            runs[identity] = theirs
        else:
            runs[identity] = _united(mine, theirs)
    return list(runs.values()), sorted(conflicts)


def _rows(run: BoardRun) -> dict[tuple[Any, ...], Row]:
    return {tuple(row[name] for name in _PLACE): row for row in run.table.to_pylist()}


def _conflict(mine: BoardRun, theirs: BoardRun) -> str:
    """Say what two copies of a run contradict each other in; "" if nothing."""
    who = f"{mine.order[0]}, run {mine.run_id}"
    odd = [name for name in _TRAINING if name in mine.record and mine.record[name] != theirs.record.get(name)]
    odd = [name for name in odd if name in theirs.record]
    if odd:
        return f"{who}: its record says another {' and another '.join(odd)} there"
    if mine.table.equals(theirs.table):
        return ""
    ours, others = _rows(mine), _rows(theirs)
    differing = [place for place in ours if place in others and ours[place] != others[place]]
    if not differing:
        return ""
    place = differing[0]
    first, second = others[place], ours[place]
    where = f"{first['metric']} of {first['label_name']} in case {first['case_id']}"
    column = next(name for name in first if first[name] != second[name])
    return (
        f"{who}: {len(differing)} of {len(others)} values differ, first {where} ({column} {first[column]} there, "
        f"{second[column]} here)"
    )


def _united(mine: BoardRun, theirs: BoardRun) -> BoardRun:
    """Return a run with the rows of both copies; where both have one, it is that of ``mine``."""
    ours, others = _rows(mine), _rows(theirs)
    lacking = [row for place, row in others.items() if place not in ours]
    table = mine.table
    if lacking:
        table = pa.concat_tables([table, scores_table(lacking)]).unify_dictionaries()
    record = {**theirs.record, **mine.record}
    if marks := _marks(mine.record, theirs.record):
        record[_MARKS] = marks
    return replace(theirs, record=record, table=table)


def _marks(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Return what is known to have been scored again: what either copy says."""
    both = [marks for record in (mine, theirs) if isinstance(marks := record.get(_MARKS), Mapping)]
    rescored = {name for marks in both for name in marks.get(RESCORED) or ()}
    reported = {name for marks in both for name in marks.get(SELF_REPORTED) or ()} - rescored
    return {RESCORED: sorted(rescored), SELF_REPORTED: sorted(reported)} if both else {}
