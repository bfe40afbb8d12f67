"""Score predictions made anywhere against references: find pairs, score them in parallel, write one run.

The run's identity is a hash of the request and of the bytes of every file, so an evaluation of the same files is a
no-op, an interrupted one goes on where it was, and changed predictions are another run.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from segbench.contracts import Metric
from segbench.errors import DataMissing, Incompatible, SegbenchError, UsageError, safe_name
from segbench.evaluation.identity import described, hashes_of, identity
from segbench.evaluation.labelling import Structures, chosen_structures, structures_found, task_of
from segbench.evaluation.layouts import Kind, Layout, find_pairs
from segbench.files.images import read_label_map
from segbench.host import Catalogue, load_catalogue
from segbench.results import RECORD, is_complete, read_scores, run_folder, write_json
from segbench.scoring.cases import Setting, unsettle, values_in_file
from segbench.scoring.geometry import Mode
from segbench.scoring.journal import remove
from segbench.scoring.metrics import prepare_metrics
from segbench.scoring.pairs import CaseProblem, Pair
from segbench.scoring.pipeline import Progress
from segbench.scoring.rows import Design
from segbench.scoring.stored import Known, add_scores, lacking, stamps_of
from segbench.scoring.workers import WorkerDied, each
from segbench.types import Choice, Task

if TYPE_CHECKING:
    import pyarrow as pa

OnMissing = Literal["worst", "skip", "fail"]
SMALL = 1 << 25
"""Bytes of references below which starting processes takes longer than looking through them."""


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


def evaluate(
    predictions: str | Path,
    references: str | Path,
    *,
    name: str,
    dataset: str,
    labels: Sequence[int | str] | Mapping[str, int] | None = None,
    regions: Mapping[str, Sequence[int]] | None = None,
    ignore_label: int | None = None,
    metrics: Sequence[str | Choice | Metric] | None = None,
    on_missing: OnMissing = "worst",
    geometry: Mode = "strict",
    layout: Kind = "auto",
    jobs: int = 1,
    results: str | Path = "results",
    catalogue: Catalogue | None = None,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Score predictions against references and write the scores as a run of source "external".

    Args:
        predictions, references: folders (see ``segbench.evaluation.layouts``) or one file each.
        name: what the leaderboard calls the method.
        dataset: what the leaderboard calls the data.
        labels: values, declared names, or name -> value; by default what ``dataset.json`` or a BIDS table declares,
            else every value found in the references.
        regions: name -> values scored as one structure.
        ignore_label: value in the references of voxels that do not count; by default what ``dataset.json`` declares.
        metrics: names, choices with parameters, or metrics; by default all that are on by default.
        on_missing: "worst" writes rows of status "missing", "skip" leaves the case out, "fail" scores nothing.
        geometry: "strict", "tolerant" or "resample"; see ``segbench.scoring.geometry``.
        layout: "auto", "plain", "nnunet", "msd", "bids" or "raters".
        jobs: number of processes; each holds one case in memory.
        results: root of the results folder.
        catalogue: where metrics come from; by default everything installed.
        progress: see ``Progress``.

    Raises:
        UsageError: if the request makes no sense.
        DataMissing: if there is nothing to score, or a prediction is missing and ``on_missing`` is "fail".
        DataInvalid: if the references as a whole cannot be used.
    """
    begun = time.monotonic()
    safe_name(name, "method"), safe_name(dataset, "dataset")
    _check_choices(on_missing=(on_missing, OnMissing), geometry=(geometry, Mode), layout=(layout, Kind))
    if jobs < 1:
        raise UsageError(f"jobs {jobs}: expected at least 1.")
    catalogue = load_catalogue() if catalogue is None else catalogue
    chosen = chosen_metrics(metrics, catalogue)
    found = _without_missing(find_pairs(Path(predictions), Path(references), layout), on_missing)
    ignore = found.declaration.ignore if ignore_label is None else ignore_label
    structures = chosen_structures(labels, regions, found.declaration)
    by_hand = labels is not None or regions is not None
    hashes = hashes_of(found.pairs, jobs)
    wanted = {"name": name, "on_missing": on_missing, "geometry": geometry, "structures": list(structures.items())}
    revision, run_id, request = identity(dataset, wanted, ignore, found, hashes)
    folder = run_folder(Path(results).expanduser(), dataset, name, run_id)
    design = Design(run_id, dataset, revision, name, source="external")
    known = _finished(folder, dataset, found)
    scores: Known = known.record["scores"] if known else {}
    todo = lacking(scores, design.decision, chosen, catalogue)
    if known and not todo:
        table = _of_metrics(known.result.table, chosen)
        return replace(known.result, table=table, seconds=time.monotonic() - begun)
    structures = structures or structures_found(_survey(found.pairs, jobs) - {ignore})
    task = task_of(dataset, revision, structures)
    stamps = stamps_of(todo, catalogue)
    prepare_metrics(todo, task, lambda: iter(()), {})
    known_values, strict = _known(structures, found), not by_hand or _declared(found)
    setting = Setting(task, tuple(todo), geometry, ignore, known_values, strict, asked=by_hand)
    scored = add_scores(
        folder, scores, design, found.pairs, setting, stamps, jobs=jobs, catalogue=catalogue, progress=progress
    )
    before = known.result.problems if known else found.problems
    problems = tuple(dict.fromkeys((*before, *scored.problems)))
    seconds = time.monotonic() - begun
    table = _of_metrics(scored.table, chosen)
    result = EvaluationResult(run_id, folder, table, problems, task, found.words, len(found.pairs), False, seconds)
    request |= {"structures": list(structures.items()), "layout": found.words, "scores": scored.known}
    request["paths"] = {
        "predictions": str(Path(predictions).absolute()),
        "references": str(Path(references).absolute()),
    }
    request["metrics"] = [described(metric) for metric in chosen]
    _write(result, request, retry=scored.passing, catalogue=catalogue)
    return result


def _declared(found: Layout) -> bool:
    return bool(found.declaration.structures)


def _known(structures: Structures, found: Layout) -> frozenset[int]:
    """Return the label values that are asked for or declared."""
    groups = (*structures.values(), *found.declaration.structures.values())
    return frozenset(value for values in groups for value in values)


def _check_choices(**choices: tuple[str, Any]) -> None:
    for option, (value, kind) in choices.items():
        if value not in get_args(kind):
            raise UsageError(f"{option} {value!r}: expected one of {', '.join(get_args(kind))}.")


def chosen_metrics(metrics: Sequence[str | Choice | Metric] | None, catalogue: Catalogue) -> tuple[Metric, ...]:
    """Return the metrics asked for, or those that are on by default and need no training data.

    Raises:
        Incompatible: if one asked for must see training truths and was given no prior by parameter.
        UnknownName: if there is no such metric.
    """
    if metrics is None:
        made = [catalogue.metric(Choice(name)) for name in catalogue.defaults("metrics")]
        chosen = [metric for metric in made if _ready(metric)]
    else:
        choices = [Choice(one) if isinstance(one, str) else one for one in metrics]
        chosen = [catalogue.metric(one) if isinstance(one, Choice) else one for one in choices]
    for metric in chosen:
        if not _ready(metric):
            able = f"Give it one with --set metric.{metric.name}.prior=FILE" if metric.prior_kind else "Score a run"
            raise Incompatible(
                f"metric {metric.name} needs training truths to learn its prior from, and an evaluation has none. "
                f"{able} (`segbench info metric {metric.name}`), or leave it out."
            )
    if not chosen:
        raise UsageError("No metric was chosen. Name some, such as --metrics dice,hd95; `segbench list metrics`.")
    return tuple(chosen)


def _ready(metric: Metric) -> bool:
    return not metric.learns


def _without_missing(found: Layout, on_missing: str) -> Layout:
    """Leave missing cases out, or refuse them, if asked to."""
    missing = [pair for pair in found.pairs if pair.predicted is None and not pair.fault]
    if not missing or on_missing == "worst":
        return found
    if on_missing == "fail":
        names = ", ".join(pair.case for pair in missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise DataMissing(
            f"{len(missing)} of {len(found.pairs)} references have no prediction: {names}. Supply them, or say "
            f"--on-missing worst (they count as the worst) or --on-missing skip."
        )
    problems = tuple(
        replace(one, kind="note", what=f"{one.what}; left out as asked") if one.kind == "missing" else one
        for one in found.problems
    )
    kept = tuple(pair for pair in found.pairs if pair.predicted is not None or pair.fault)
    return replace(found, pairs=kept, problems=problems)


@dataclass(frozen=True)
class _Finished:
    """A finished evaluation: its record, and what it found out."""

    record: dict[str, Any]
    result: EvaluationResult


def _finished(folder: Path, dataset: str, found: Layout) -> _Finished | None:
    """Return a finished run, or None if there is none, or another try may do better."""
    if not is_complete(folder):
        return None
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        problems = tuple(CaseProblem(**problem) for problem in record["problems"])
        structures: Structures = {name: tuple(values) for name, values in record["structures"]}
        task = task_of(dataset, record["revision"], structures)
        table, scores = read_scores(folder), dict(record["scores"])
    except (OSError, ValueError, LookupError, TypeError, SegbenchError):  # damaged: do it again
        return None
    if record["retry"] or not scores:
        return None
    result = EvaluationResult(record["run_id"], folder, table, problems, task, found.words, len(found.pairs), True, 0.0)
    return _Finished(record, result)


def _of_metrics(table: pa.Table, metrics: Sequence[Metric]) -> pa.Table:
    """Return the rows of some metrics."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = pa.array([metric.name for metric in metrics], pa.string())
    return table.filter(pc.is_in(table.column("metric").cast(pa.string()), value_set=names))


def _survey(pairs: Sequence[Pair], jobs: int) -> set[int]:
    """Return every value that occurs in the references."""
    files = sorted({pair.truth for pair in pairs if not pair.fault})
    found: set[int] = set()
    if sum(path.stat().st_size for path in files if path.is_file()) < SMALL:
        jobs = 1
    for _, values in each(values_in_file, files, jobs, unsettle, ()):
        found |= set() if isinstance(values, WorkerDied) else values
    if files and not found:
        read_label_map(files[0])  # raises, and so says why, if it cannot be read
    return found


def _write(result: EvaluationResult, request: dict[str, Any], *, retry: bool, catalogue: Catalogue) -> None:
    """Write the record, whose presence says that the run is complete."""
    libraries = ("segbench", "numpy", "scipy", "nibabel", "pyarrow")
    record = {
        **{"run_id": result.run_id, "source": "external", "method": request["name"], "retry": retry},
        **{"dataset_revision": result.task.revision, "seconds": result.seconds, **request},
        "problems": [asdict(problem) for problem in result.problems],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in libraries}},
        "plugins": {origin.plugin: f"{origin.distribution} {origin.version}" for origin in catalogue.origins},
        "machine": platform.platform(),
    }
    write_json(result.folder / RECORD, record)
    if not retry:
        remove(result.folder)
