"""All pairs of a run -> their outcomes: in worker processes, journalled, so that an interrupted scoring goes on."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from segbench.errors import UsageError
from segbench.host import Catalogue
from segbench.scoring.cases import Outcome, Setting, failed, score_pair, score_settled, settle, unsettle
from segbench.scoring.journal import Journal
from segbench.scoring.pairs import Pair
from segbench.scoring.workers import WorkerDied, each

Progress = Callable[[int, int, str], None]
"""Called with cases done, cases in all, and the case just done."""


def score_pairs(
    pairs: Sequence[Pair],
    setting: Setting,
    folder: Path,
    key: str,
    *,
    jobs: int,
    catalogue: Catalogue,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Score what the journal does not have yet; return the outcomes in the order of the pairs.

    Args:
        pairs: cases.
        setting: the same for all.
        folder: of the run; its journal is there.
        key: names the request; a journal of another one is not read.
        jobs: number of processes; each holds one case in memory.
        catalogue: whose single-file plugins workers load first.
        progress: see ``Progress``.

    Raises:
        UsageError: a metric or dataset cannot be sent to other processes.
    """
    with Journal(folder, len(pairs), key) as journal:
        waiting = [index for index in range(len(pairs)) if index not in journal.done]
        for position, outcome in _outcomes([pairs[index] for index in waiting], setting, jobs, catalogue):
            index = waiting[position]
            if isinstance(outcome, WorkerDied):
                outcome = failed(pairs[index], setting, outcome.reason, passing=True)
            journal.add(index, outcome)
            if progress is not None:
                progress(len(journal.done), len(pairs), pairs[index].case)
        return [journal.done[index] for index in range(len(pairs))]


def _outcomes(
    pairs: Sequence[Pair], setting: Setting, jobs: int, catalogue: Catalogue
) -> Iterator[tuple[int, Outcome | WorkerDied]]:
    if jobs == 1:
        return each(partial(score_pair, setting=setting), pairs, 1, unsettle, ())
    try:
        pickled = pickle.dumps(setting)
    except Exception as error:
        raise UsageError(f"A metric or dataset cannot be sent to other processes ({error}). Use one job.") from error
    plugins = tuple(origin.distribution for origin in catalogue.origins if origin.version == "file")
    return each(score_settled, pairs, jobs, settle, (plugins, pickled))
