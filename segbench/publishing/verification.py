"""``segbench verify``: do a submission or a published board hold together, and do predictions give their scores?

Scores are re-computed by ``evaluate`` from the predictions that the submission names, and from no others, and compared
to 1e-9. A metric that cannot be computed here (it is not installed, or must see training data) stays self-reported,
and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from segbench.collection import KeptRun, kept_runs
from segbench.digests import sha256_of
from segbench.errors import DataInvalid, SegbenchError, UsageError, safe_name
from segbench.litter import temporary
from segbench.publishing.boards import staleness
from segbench.publishing.packages import MOST_ROWS, PREDICTIONS, Package
from segbench.publishing.records import RESCORED, SELF_REPORTED, public_record
from segbench.publishing.rescoring import Difference, Rescored, how_scored, rescore
from segbench.publishing.submissions import prediction_files
from segbench.ranking.leaderboard import leaderboard
from segbench.records import RECORD, parsed_record
from segbench.results import SCORES, complete_runs, of_decision, read_scores, rows_in
from segbench.runs import predictions_folder

if TYPE_CHECKING:
    from segbench.host import Catalogue

_SAME = ("run_id", "dataset", "dataset_revision", "method")


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
    from segbench.host import load_catalogue

    with temporary("verify") as room, Package(submission) as package:
        table, record = _scores(package, room), parsed_record(package.text(RECORD), submission / RECORD)
        how = how_scored(record, submission)
        differences = [*_hash_differences(package), *_identity_differences(package, table, record)]
        metrics = tuple(sorted(set(table.column("metric").to_pylist())))
        about = {name: package.manifest.get(name) for name in _SAME}
        report = Report(about, table, public_record(record), (), (), metrics, (0, table.num_rows))
        folder, found = _named_predictions(package, predictions, room)
        report = replace(report, differences=(*differences, *found))
        if references is None:
            note = "Scores were not computed again: give --references DIR (and --predictions DIR)."
            return replace(report, notes=(note,))
        if folder is None:
            raise UsageError(f"{submission} encloses no predictions: say where they are with --predictions DIR.")
        if not any(folder.iterdir()):
            note = "Scores were not computed again: no prediction that the submission names is there."
            return replace(report, notes=(note,))
        catalogue = load_catalogue() if catalogue is None else catalogue
        with _told_of(submission, room):
            return _with(report, rescore(table, how, folder, references, room, catalogue, jobs))


@dataclass(frozen=True)
class BoardReport:
    """What verifying a published board found: why its page does not belong to it ("" = it does), and of its runs."""

    board: Path
    stale: str
    runs: tuple[Report, ...]

    @property
    def differs(self) -> bool:
        """Whether anything is not as it should be."""
        return bool(self.stale) or any(report.differences for report in self.runs)


def verify_board(
    board: Path,
    predictions: Path | None = None,
    references: Path | None = None,
    catalogue: Catalogue | None = None,
    jobs: int = 1,
) -> BoardReport:
    """Check that a board's page, scores and records belong together, and score the predictions of its runs again.

    Args:
        board: its folder.
        predictions: results that hold folders of these runs with their label maps, or a folder of label maps for each
            run, called by its name or its method's; None = structure only.
        references, catalogue, jobs: as for ``verify``.

    Raises:
        DataInvalid: its scores or records cannot be read.
    """
    from segbench.host import load_catalogue

    catalogue = load_catalogue() if catalogue is None and references is not None else catalogue
    found = []
    for run in kept_runs(board):
        every = run.scores()
        for decision in sorted(every.column("decision").unique().to_pylist()):
            report = _as_published(run, of_decision(every, decision))
            if references is None or predictions is None or catalogue is None:
                note = "Scores were not computed again: give --references DIR and --predictions DIR."
                found.append(replace(report, notes=(note,)))
                continue
            maps = _label_maps(predictions, report, decision)
            if maps is None:
                note = f"Scores were not computed again: {predictions} has no label maps of it."
                found.append(replace(report, notes=(note,)))
                continue
            with temporary("verify") as room:
                how = how_scored(run.record, board)
                again = rescore(report.table, how, maps, references, room, catalogue, jobs)
            found.append(_with(report, again))
    return BoardReport(board, staleness(board), tuple(found))


def _as_published(run: KeptRun, table: pa.Table) -> Report:
    first = table.slice(0, 1).to_pylist()[0]
    about = {name: first[name] for name in _SAME} | ({"decision": first["decision"]} if first["decision"] else {})
    metrics = tuple(sorted(table.column("metric").unique().to_pylist()))
    differences = _contradictions(table)
    return Report(about, table, dict(run.record), tuple(differences), (), metrics, (0, table.num_rows))


def _label_maps(root: Path, report: Report, decision: str) -> Path | None:
    """Return the folder of a run's label maps by a decision; None if there is none."""
    about = report.about
    places = [root / str(about["run_id"]), *([] if decision else [root / str(about["method"])])]
    for folder in complete_runs(root):
        if folder.name == about["run_id"]:
            key = str((KeptRun.of(folder).record.get("decisions") or {}).get(decision, ""))
            places.insert(0, predictions_folder(folder, decision, key))
    return next((place for place in places if prediction_files(place, needed=False)), None)


def _with(report: Report, again: Rescored) -> Report:
    """Return the report with what computing the scores again gave."""
    names = report.table.column("metric").to_pylist()
    count = sum(name in again.metrics for name in names)
    return replace(
        report,
        differences=(*report.differences, *again.differences),
        rescored=again.metrics,
        self_reported=tuple(name for name in report.self_reported if name not in again.metrics),
        rows=(count, len(names) - count),
        notes=again.notes,
    )


def _scores(package: Package, room: Path) -> pa.Table:
    package.unpack(SCORES, room / SCORES)
    try:
        rows = rows_in(room / SCORES)
        table = read_scores(room / SCORES) if rows <= MOST_ROWS else None
    except DataInvalid as error:
        reason = str(error.__cause__ or error).replace(str(room / SCORES), "a file that")
        raise package.invalid(f"a table of scores in {SCORES}", reason) from error
    if table is None:
        raise package.invalid(f"at most {MOST_ROWS:,} rows in {SCORES}", f"{rows:,}")
    return table


@contextmanager
def _told_of(submission: Path, room: Path) -> Iterator[None]:
    """Let errors name the submission instead of the temporary folder that it was unpacked to."""
    try:
        yield
    except SegbenchError as error:
        if str(room) not in str(error):
            raise
        raise type(error)(str(error).replace(str(room), str(submission))) from error


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
    return found + _contradictions(table)


def _contradictions(table: pa.Table) -> list[Difference]:
    """Return why scores cannot be ranked, such as two values in one place."""
    try:
        if table.num_rows:
            leaderboard(table)
    except SegbenchError as error:
        return [Difference("scores", "", "", "", "one value per case, label and metric", str(error))]
    return []


def _named_predictions(package: Package, given: Path | None, room: Path) -> tuple[Path | None, list[Difference]]:
    """Lay out the predictions that the submission names, and no others.

    Args:
        package: the submission.
        given: folder of the predictions; None = those enclosed.
        room: where the folder is made.

    Returns:
        The folder, None if there are no predictions to lay out; and the predictions that are not there, are not named,
        or are not the ones whose hashes were submitted.
    """
    if given is None:
        present = {name.removeprefix(PREDICTIONS) for name in package.members if name.startswith(PREDICTIONS)}
        if not present:
            return None, []
    elif given.is_dir():
        present = set(prediction_files(given, needed=False))
    else:
        raise UsageError(f"--predictions {given}: expected a folder of label maps, found none.")
    listed = _listed(package)
    folder = room / "predictions"
    folder.mkdir()
    found = [
        Difference(f"prediction {name}", "", "", "", "not named", "enclosed" if given is None else "in the folder")
        for name in sorted(present - listed.keys())
    ]
    for name, reported in listed.items():
        actual = "not there"
        if name in present:
            if given is None:
                package.unpack(PREDICTIONS + name, folder / name)
            else:
                (folder / name).symlink_to((given / name).resolve())
            actual = sha256_of(folder / name)
        if actual != reported:
            found.append(Difference(f"hash of {name}", "", "", "", reported[:12], actual[:12]))
    return folder, found


def _listed(package: Package) -> dict[str, str]:
    """Return file name -> SHA-256 of the predictions that the submission names."""
    try:
        return {safe_name(row["file"], "prediction"): row["sha256"] for row in package.manifest["predictions"]}
    except UsageError as error:
        raise DataInvalid(f"{package.path}: {error}") from error
