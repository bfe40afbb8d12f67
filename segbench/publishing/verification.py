"""``segbench verify``: does a submission hold together, and do its predictions give the scores it claims?

Scores are re-computed from predictions and references by ``evaluate`` and compared to 1e-9. A metric that cannot be
computed here (it is not installed, or must see training data) stays self-reported, and the report says so.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from segbench.errors import DataInvalid, SegbenchError, UsageError, safe_name
from segbench.publishing.packages import PREDICTIONS, Package, sha256_of
from segbench.publishing.records import RESCORED, SELF_REPORTED, parsed_record, public_record
from segbench.ranking.leaderboard import leaderboard
from segbench.results import RECORD, SCORES, is_complete, read_scores, run_folder, write_json, write_table
from segbench.types import Choice

if TYPE_CHECKING:
    from segbench.contracts import Metric
    from segbench.host import Catalogue

TOLERANCE = 1e-9
_SAME = ("run_id", "dataset", "dataset_revision", "method")
_Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Difference:
    """One thing that is not as the submission says: where, what it says and what was found."""

    what: str
    case: str
    label: str
    metric: str
    reported: str
    found: str


@dataclass(frozen=True)
class Report:
    """What verifying a submission found.

    Attributes:
        about: run_id, dataset, dataset_revision and method.
        table: the scores as submitted.
        record: the record as submitted, public part.
        differences: everything that is not as it should be; empty = verified.
        rescored: metrics whose every value was computed again; ``self_reported`` are the others.
        rows: number of values of the former and of the latter.
        notes: what a reader must know.
    """

    about: dict[str, Any]
    table: pa.Table
    record: dict[str, Any]
    differences: tuple[Difference, ...] = ()
    rescored: tuple[str, ...] = ()
    self_reported: tuple[str, ...] = ()
    rows: tuple[int, int] = (0, 0)
    notes: tuple[str, ...] = field(default=())

    @property
    def state(self) -> str:
        """``mismatch``, ``re-scored`` (every row), ``partly re-scored`` or ``self-reported``."""
        if self.differences:
            return "mismatch"
        if not self.rescored:
            return SELF_REPORTED
        return f"partly {RESCORED}" if self.self_reported else RESCORED


def verify(
    submission: Path,
    predictions: Path | None = None,
    references: Path | None = None,
    catalogue: Catalogue | None = None,
    jobs: int = 1,
) -> Report:
    """Check a submission, and score its predictions again if references are given.

    Args:
        submission: a file of ``segbench submit``.
        predictions: folder of the predictions; by default those enclosed in the submission.
        references: folder of the references; None = structure and hashes only.
        catalogue: where metrics come from; by default everything installed.
        jobs: processes for scoring.

    Raises:
        DataMissing, DataInvalid: the file is not there or is no submission.
        UsageError: references without predictions.
    """
    with tempfile.TemporaryDirectory(prefix="segbench-verify-") as scratch, Package(submission) as package:
        room = Path(scratch)
        package.unpack(SCORES, room / SCORES)
        table, record = read_scores(room / SCORES), parsed_record(package.text(RECORD), submission / RECORD)
        differences = [*_hash_differences(package), *_identity_differences(package, table, record)]
        about = {name: package.manifest.get(name) for name in _SAME}
        report = Report(about, table, public_record(record))
        if predictions is None:
            predictions = _enclosed(package, room)
        if predictions is not None:
            differences += _prediction_differences(package, predictions)
        if references is not None and predictions is None:
            raise UsageError(f"{submission} encloses no predictions: say where they are with --predictions DIR.")
        if references is None:
            metrics = tuple(sorted(set(table.column("metric").to_pylist())))
            notes = ("Scores were not computed again: give --references DIR (and --predictions DIR).",)
            report = replace(report, self_reported=metrics, rows=(0, table.num_rows), notes=notes)
        else:
            assert predictions is not None
            report = _rescored(report, predictions, references, room, catalogue, jobs)
        return replace(report, differences=(*differences, *report.differences))


def _hash_differences(package: Package) -> list[Difference]:
    found = []
    for name in (SCORES, RECORD):
        reported, actual = str(package.manifest["files"][name]), package.digest(name)
        if reported != actual:
            found.append(Difference(f"hash of {name}", "", "", "", reported[:12], actual[:12]))
    return found


def _identity_differences(package: Package, table: pa.Table, record: Mapping[str, Any]) -> list[Difference]:
    """Return where manifest, record and scores speak of different runs; refuse scores that contradict themselves."""
    found = []
    for name in _SAME:
        values = sorted({str(value) for value in table.column(name).to_pylist()})
        if values != [str(package.manifest.get(name))]:
            reported = str(package.manifest.get(name))
            found.append(Difference(f"{name} of the scores", "", "", "", reported, ", ".join(values[:3]) or "no rows"))
    if record["run_id"] != package.manifest.get("run_id"):
        found.append(
            Difference("run_id of the record", "", "", "", str(package.manifest.get("run_id")), record["run_id"])
        )
    if table.num_rows:
        try:
            leaderboard(table)
        except SegbenchError as error:
            found.append(Difference("scores", "", "", "", "one value per case, label and metric", str(error)))
    return found


def _enclosed(package: Package, room: Path) -> Path | None:
    names = [name for name in package.members if name.startswith(PREDICTIONS)]
    if not names:
        return None
    folder = room / "predictions"
    folder.mkdir()
    for name in names:
        package.unpack(name, folder / name.removeprefix(PREDICTIONS))
    return folder


def _prediction_differences(package: Package, folder: Path) -> list[Difference]:
    """Return the predictions that are not there or not the ones whose hashes were submitted."""
    if not folder.is_dir():
        raise UsageError(f"--predictions {folder}: expected a folder of label maps, found none.")
    listed = {}
    for row in package.manifest["predictions"]:
        try:
            listed[safe_name(row["file"], "prediction")] = row["sha256"]
        except UsageError as error:
            raise DataInvalid(f"{package.path}: {error}") from error
    found = []
    for name, reported in listed.items():
        actual = sha256_of(folder / name) if (folder / name).is_file() else "not there"
        if actual != reported:
            found.append(Difference(f"hash of {name}", "", "", "", reported[:12], actual[:12]))
    if not listed:
        found.append(Difference("hashes of predictions", "", "", "", "none in the submission", f"folder {folder.name}"))
    return found


def _rescored(
    report: Report, predictions: Path, references: Path, room: Path, catalogue: Catalogue | None, jobs: int
) -> Report:
    """Return the report with all scores that can be computed here computed again and compared."""
    from segbench.evaluation.folders import evaluate
    from segbench.host import load_catalogue

    catalogue = load_catalogue() if catalogue is None else catalogue
    named = sorted(set(report.table.column("metric").to_pylist()))
    metrics, notes = _metrics(named, report.record, catalogue)
    rows = report.table.select(["metric"]).column(0).to_pylist()
    if not metrics:
        return replace(report, self_reported=tuple(named), rows=(0, len(rows)), notes=tuple(notes))
    labels, regions = _structures(report.record)
    result = evaluate(
        predictions,
        references,
        name="verify",
        dataset="verify",
        labels=labels,
        regions=regions,
        metrics=metrics,
        ignore_label=report.record.get("ignore_label"),
        geometry=report.record.get("geometry", "strict"),
        jobs=jobs,
        results=room / "results",
        catalogue=catalogue,
    )
    done = tuple(metric.name for metric in metrics)
    count = sum(name in done for name in rows)
    return replace(
        report,
        differences=tuple(_value_differences(report.table, result.table, set(done))),
        rescored=done,
        self_reported=tuple(name for name in named if name not in done),
        rows=(count, len(rows) - count),
        notes=tuple(notes),
    )


def _metrics(named: Sequence[str], record: Mapping[str, Any], catalogue: Catalogue) -> tuple[list[Metric], list[str]]:
    """Return the metrics that can be computed here, with the run's parameters, and why others cannot."""
    chosen = record.get("config", {}).get("metrics") or record.get("metrics") or []
    parameters = {
        one["name"]: one.get("parameters") or {} for one in chosen if isinstance(one, Mapping) and "name" in one
    }
    metrics, notes = [], []
    for name in named:
        try:
            metric = catalogue.metric(Choice(name, parameters.get(name, {})))
        except SegbenchError as error:
            notes.append(f"{name} stays self-reported: {error}")
            continue
        if metric.needs_training and getattr(metric, "prior", None) is None:
            notes.append(f"{name} stays self-reported: it must see training truths.")
        else:
            metrics.append(metric)
    return metrics, notes


def _structures(record: Mapping[str, Any]) -> tuple[dict[str, int] | None, dict[str, tuple[int, ...]] | None]:
    """Return the labels and regions that a record says were scored."""
    if "task" in record:
        task = record["task"]
        regions = {name: tuple(members) for name, members in (task.get("regions") or {}).items()}
        return (
            None if regions else {name: value for value, name in enumerate(task["labels"]) if value}
        ), regions or None
    if "structures" in record:
        single = {name: int(values[0]) for name, values in record["structures"] if len(values) == 1}
        several = {name: tuple(values) for name, values in record["structures"] if len(values) > 1}
        return single or None, several or None
    raise UsageError("The submission does not say which label values were scored, so it cannot be scored again.")


def _value_differences(reported: pa.Table, found: pa.Table, metrics: set[str]) -> list[Difference]:
    """Compare two tables of scores, value by value and status by status, to ``TOLERANCE``."""
    ours, theirs = _by_key(found, metrics), _by_key(reported, metrics)
    differences = []
    for key in sorted(ours.keys() | theirs.keys()):
        said, seen = theirs.get(key), ours.get(key)
        if said is None or seen is None or not _equal(said, seen):
            case, rater, label, metric = key
            shown = case + (f" ({rater})" if rater else "")
            differences.append(Difference("value", shown, label, metric, _shown(said), _shown(seen)))
    return differences


def _by_key(table: pa.Table, metrics: set[str]) -> dict[_Key, tuple[float | None, str, str]]:
    names = ["case_id", "rater", "label_name", "metric", "value", "status", "metric_version"]
    rows = zip(*table.select(names).to_pydict().values(), strict=True)
    return {
        (case, rater or "", label, metric): (value, status, version)
        for case, rater, label, metric, value, status, version in rows
        if metric in metrics
    }


def _equal(first: tuple[float | None, str, str], second: tuple[float | None, str, str]) -> bool:
    (a, *rest), (b, *others) = first, second
    if rest != others:
        return False
    if a is None or b is None:
        return a is b
    return a == b or math.isclose(a, b, rel_tol=0.0, abs_tol=TOLERANCE)


def _shown(one: tuple[float | None, str, str] | None) -> str:
    if one is None:
        return "nothing"
    value, status, version = one
    return f"{'-' if value is None else f'{value:.12g}'} ({status}, version {version})"


def add_to_results(report: Report, results: Path) -> Path:
    """Write a verified submission as a finished run whose record says what was re-scored.

    Returns:
        Its folder; one that is complete already is left alone.

    Raises:
        UsageError: the submission has differences.
    """
    if report.differences:
        raise UsageError("A submission that does not verify is not added to the results.")
    about = report.about
    folder = run_folder(results, str(about["dataset"]), str(about["method"]), str(about["run_id"]))
    if not is_complete(folder):
        marked = {RESCORED: list(report.rescored), SELF_REPORTED: list(report.self_reported)}
        write_table(folder / SCORES, report.table)
        write_json(folder / RECORD, {**report.record, "verification": marked})
    return folder
