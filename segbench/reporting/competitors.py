"""The finished runs behind each competitor of a board, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segbench.collection import kept_runs
from segbench.costs import Cost, cost_of
from segbench.errors import DataInvalid, SegbenchError
from segbench.host import Catalogue
from segbench.ranking.entrants import ENTRANT, Names
from segbench.ranking.truths import RUN
from segbench.results import of_decision
from segbench.runs import StoredRun, open_run

_COLUMNS = (*dict.fromkeys((*RUN, *ENTRANT)), "seed", "decision")


@dataclass
class Runs:
    """Runs of one board.

    Attributes:
        of: competitor -> its runs, by seed.
        sources: run -> "trained", "external" or "imported".
        seeds: run -> its seeds; an imported run may have several.
        notes: runs that could not be opened, in words.
    """

    of: dict[str, list[StoredRun]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    seeds: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def every(self) -> list[StoredRun]:
        """All runs, by competitor."""
        return [run for runs in self.of.values() for run in runs]


def gather_runs(
    results: Path,
    catalogue: Catalogue,
    names: Mapping[str, Names],
    board_of: Mapping[tuple[str, ...], str],
    left_out: list[str],
) -> Mapping[str, Runs]:
    """Return board -> runs; of those in a bare file of scores nothing else is known.

    Args:
        results: any source of results, see ``collection.kept_runs``.
        catalogue: for the datasets behind the runs.
        names: dataset -> entrant -> competitor; others are left out.
        board_of: run (see ``truths.RUN``) -> the name of its board; others are left out.
        left_out: receives why the records of boards could not be used.
    """
    boards: dict[str, Runs] = {}
    for kept in kept_runs(results, left_out):
        try:
            every = kept.scores(_COLUMNS)
        except DataInvalid:  # the board says which
            continue
        for decision in sorted(every.column("decision").unique().to_pylist()):
            table = of_decision(every, decision)
            row = table.slice(0, 1).to_pylist()[0]
            competitor = names.get(row["dataset"], {}).get(tuple(row[column] for column in ENTRANT))
            name = board_of.get(tuple(str(row[column]) for column in RUN))
            if competitor is None or name is None:
                continue
            board = boards.setdefault(name, Runs())
            try:
                run = open_run(kept, catalogue, decision)
            except SegbenchError as error:
                board.notes.append(str(error))
                continue
            board.of.setdefault(competitor, []).append(run)
            seeds = sorted(table.column("seed").unique().to_pylist())
            board.sources[run.run_id], board.seeds[run.run_id] = str(row["source"]), seeds
    for board in boards.values():
        for runs in board.of.values():
            runs.sort(key=lambda run: (board.seeds[run.run_id], run.run_id))
    return boards


def costs(runs: Runs, methods: Sequence[str]) -> list[Cost]:
    """Return what the training of each method cost; methods of which nothing is known are left out."""
    found = (cost_of(method, [run.record for run in runs.of.get(method, ())]) for method in methods)
    return [one for one in found if one.known]
