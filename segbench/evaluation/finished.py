"""What an evaluation leaves behind: its result, written as one run, and read again when it is asked for once more."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.errors import SegbenchError
from segbench.evaluation.labelling import Structures, task_of
from segbench.evaluation.layouts import Layout
from segbench.host import Catalogue
from segbench.records import RECORD, read_record, write_record
from segbench.results import read_scores
from segbench.scoring.journal import remove
from segbench.scoring.pairs import CaseProblem
from segbench.types import Task

if TYPE_CHECKING:
    import pyarrow as pa

    from segbench.contracts import Metric
    from segbench.scoring.stored import Known


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found out.

    Attributes:
        run_id: identity of request and files.
        folder: where it was written.
        table: the scores by the metrics asked for, one row per case, structure and metric.
        problems: everything about single cases that a reader must know.
        task: what was scored.
        layout: what was recognised in the folders, in words.
        cases: number of references scored or missing.
        reused: True if this very evaluation was there already and nothing had to be done.
        seconds: it took.
    """

    run_id: str
    folder: Path
    table: pa.Table
    problems: tuple[CaseProblem, ...]
    task: Task
    layout: str
    cases: int
    reused: bool
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every case was scored without a complaint."""
        return not any(problem.grave for problem in self.problems)


@dataclass(frozen=True)
class Finished:
    """A finished evaluation: what it found out, parts ``scores`` and ``metrics`` of its record."""

    result: EvaluationResult
    scores: Known
    metrics: Sequence[Mapping[str, Any]]


def finished(folder: Path, dataset: str, found: Layout) -> Finished | None:
    """Return a finished run, or None if there is none, or another try may do better."""
    try:
        record = read_record(folder)
        problems = tuple(CaseProblem(**problem) for problem in record["problems"])
        structures: Structures = {name: tuple(values) for name, values in record["structures"]}
        task = task_of(dataset, record["revision"], structures)
        table, scores, metrics = read_scores(folder), dict(record["scores"]), list(record["metrics"])
    except (OSError, ValueError, LookupError, TypeError, SegbenchError):  # damaged: do it again
        return None
    if record["retry"] or not scores:
        return None
    words, count = found.words, len(found.pairs)
    result = EvaluationResult(record["run_id"], folder, table, problems, task, words, count, True, 0.0)
    return Finished(result, scores, metrics)


def remember(folder: Path, **parts: Any) -> None:
    """Put parts into the record of a finished run; its scores do not depend on them."""
    record = read_record(folder)
    if any(record.get(name) != value for name, value in parts.items()):
        write_record(folder / RECORD, {**record, **parts})


def of_metrics(table: pa.Table, metrics: Sequence[Metric]) -> pa.Table:
    """Return the rows of some metrics."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = pa.array([metric.name for metric in metrics], pa.string())
    return table.filter(pc.is_in(table.column("metric").cast(pa.string()), value_set=names))


def write(result: EvaluationResult, request: dict[str, Any], *, retry: bool, catalogue: Catalogue) -> None:
    """Write the record, whose presence says that the run is complete."""
    libraries = ("segbench", "numpy", "scipy", "nibabel", "pyarrow")
    record = {
        **{"run_id": result.run_id, "source": "external", "method": request["name"], "retry": retry},
        **{"dataset_revision": result.task.revision, "seconds": {"score": result.seconds}, **request},
        "problems": [asdict(problem) for problem in result.problems],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in libraries}},
        "plugins": {origin.plugin: f"{origin.distribution} {origin.version}" for origin in catalogue.origins},
        "machine": platform.platform(),
    }
    write_record(result.folder / RECORD, record)
    if not retry:
        remove(result.folder)
