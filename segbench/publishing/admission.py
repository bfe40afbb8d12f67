"""A verified submission among the results: added once, its marks raised when more was scored again, never replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segbench.collection import KeptRun
from segbench.errors import UsageError, VerificationError
from segbench.publishing.digests import records_digest, scores_digest
from segbench.publishing.records import RESCORED, SCORED_HERE, SELF_REPORTED, provenance_of, public_record
from segbench.publishing.verification import Report
from segbench.records import DIGESTS, RECORD, write_record
from segbench.results import SCORES, complete_runs, is_complete, published_boards, read_scores, run_folder, write_scores

_MARKS = "verification"


@dataclass(frozen=True)
class Admission:
    """Where a submission lies among the results, and what was done: "added", its "marks raised", or "unchanged"."""

    folder: Path
    done: Literal["added", "marks raised", "unchanged"]


def add_to_results(report: Report, results: Path) -> Admission:
    """Write a verified submission as a finished run whose record says what was re-scored.

    A run that is there already stays; metrics that were re-scored now, or once before, are marked so. One whose
    scores were computed here needs no marks.

    Raises:
        UsageError: the submission has differences.
        VerificationError: the results hold another run of the same name.
    """
    if report.differences:
        raise UsageError("A submission that does not verify is not added to the results.")
    if published_boards(results) and not complete_runs(results):
        raise UsageError(
            f"{results} holds published boards. Add the submission to a folder of results, and publish it from there: "
            f"segbench leaderboard --write {results} --results RESULTS."
        )
    about = report.about
    folder = run_folder(results, str(about["dataset"]), str(about["method"]), str(about["run_id"]))
    if not is_complete(folder):
        digests = {SCORES: write_scores(folder, report.table)}
        write_record(folder / RECORD, {**report.record, _MARKS: _marks(report, ()), DIGESTS: digests})
        return Admission(folder, "added")
    known = KeptRun.of(folder).record
    _refuse_another(report, folder, known)
    before = known.get(_MARKS)
    old = before if isinstance(before, Mapping) else {}
    marks = _marks(report, old.get(RESCORED) or ())
    if provenance_of(known) == SCORED_HERE or marks == before or not marks[RESCORED]:
        return Admission(folder, "unchanged")
    write_record(folder / RECORD, {**known, _MARKS: marks})
    return Admission(folder, "marks raised")


def _marks(report: Report, before: Any) -> dict[str, list[str]]:
    rescored = {*report.rescored, *before}
    reported = [name for name in report.self_reported if name not in rescored]
    return {RESCORED: sorted(rescored), SELF_REPORTED: sorted(reported)}


def _refuse_another(report: Report, folder: Path, known: Mapping[str, Any]) -> None:
    other = []
    if scores_digest(read_scores(folder)) != scores_digest(report.table):
        other.append(SCORES)
    if _essence(public_record(known)) != _essence(report.record):
        other.append(RECORD)
    if other:
        raise VerificationError(
            f"{folder} holds a run of this name already, but its {' and '.join(other)} are not those of the "
            f"submission; nothing was written. Move that folder away, or give other --results."
        )


def _essence(record: Mapping[str, Any]) -> str:
    return records_digest([{key: value for key, value in record.items() if key != _MARKS}])
