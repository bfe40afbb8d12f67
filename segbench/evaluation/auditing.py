"""Audits of label maps against prior knowledge, case by case, the truth's own figures beside the prediction's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.contracts import Prior
from segbench.errors import DataInvalid, SegbenchError
from segbench.host import Origin, blame
from segbench.names import first_few
from segbench.scoring.geometry import Mode, align, on_common_box
from segbench.scoring.naming import by_names
from segbench.scoring.references import counted, values_in
from segbench.types import UNKNOWN, Audit, LabelMap, Status, Task


@dataclass(frozen=True)
class Subject:
    """One case to audit.

    Attributes:
        case: its name.
        predicted: reads the prediction.
        truth: reads the reference, or None if there is none.
    """

    case: str
    predicted: Callable[[], LabelMap]
    truth: Callable[[], LabelMap] | None = None


@dataclass(frozen=True)
class Material:
    """All that is audited.

    Attributes:
        subjects: the cases.
        task: gives the label names; the position is the value.
        known: label values that have a name; others count as background.
        ignore: label of voxels that do not count, or None; ``UNKNOWN`` where the references are a dataset's truths.
        geometry: how predictions come onto the grid of their references, see ``segbench.scoring.geometry``.
        notes: what a reader must know of it all.
    """

    subjects: tuple[Subject, ...]
    task: Task
    known: frozenset[int]
    ignore: int | None = None
    geometry: Mode = "strict"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaseAudit:
    """What came of one case.

    Attributes:
        case: its name.
        status: "ok"; "pred_empty" and "both_empty": the prediction is background everywhere, so that its measures
            would flatter it; "failed": it could not be audited.
        predicted: of the prediction; None if it could not be audited.
        truth: of the reference; None if there is none.
        problems: what a reader must know, one sentence each.
    """

    case: str
    status: Status
    predicted: Audit | None
    truth: Audit | None = None
    problems: tuple[str, ...] = field(default=())

    @property
    def measures(self) -> Mapping[str, float] | None:
        """The measures of the prediction that count: none unless the status is "ok"."""
        return self.predicted.measures if self.predicted is not None and self.status == "ok" else None


def audit_cases(material: Material, prior: Prior, origin: Origin) -> Iterator[CaseAudit]:
    """Yield the audit of every case; one that cannot be read or audited says why and does not stop the others.

    Args:
        material: the cases.
        prior: read for the material's task.
        origin: of the prior, to name it if it fails.
    """
    for subject in material.subjects:
        problems: list[str] = []
        try:
            found = _audited(subject, material, prior, origin, problems)
        except (SegbenchError, OSError, MemoryError) as error:
            problems.append(str(error) or type(error).__name__)
            found = CaseAudit(subject.case, "failed", None)
        yield replace(found, problems=tuple(problems))


def _audited(subject: Subject, material: Material, prior: Prior, origin: Origin, problems: list[str]) -> CaseAudit:
    predicted, truth = subject.predicted(), subject.truth() if subject.truth is not None else None
    predicted, truth = _by_names(predicted, truth, material.task, problems)
    if truth is not None:
        reference = counted(truth, material.ignore)
        problems += [reference.said] if reference.said else []
        predicted, truth, placed = on_common_box(predicted, reference.labels)
        problems += [f"prediction: {placed}"] if placed else []
        aligned = align(predicted, truth, material.geometry)
        predicted = aligned.predicted
        problems += [aligned.note] if aligned.note else []
    uncounted = _uncounted(predicted, truth, material.ignore)
    if uncounted is not None:
        problems.append(f"{int(uncounted.sum())} of {uncounted.size} voxels are unknown or ignored; they are left out")
    maps = {"prediction": predicted, "reference": truth}
    cleaned = {
        role: _cleaned(labels, role, uncounted, material.known, problems)
        for role, labels in maps.items()
        if labels is not None
    }
    audits = {}
    for role, labels in cleaned.items():
        with blame(origin, f"auditing the {role} of case {subject.case}"):
            audits[role] = prior.audit(subject.case, labels, material.task)
    status = _status(cleaned, material.task, problems)
    return CaseAudit(subject.case, status, audits["prediction"], audits.get("reference"))


def _uncounted(predicted: LabelMap, truth: LabelMap | None, ignore: int | None) -> NDArray[np.bool_] | None:
    """Return where the reference is unknown or ignored, without a reference where the map itself is ignored."""
    if truth is None and ignore is None:
        return None
    found: NDArray[np.bool_] = predicted.array == ignore if truth is None else truth.array == UNKNOWN
    return found if found.any() else None


def _by_names(
    predicted: LabelMap, truth: LabelMap | None, task: Task, problems: list[str]
) -> tuple[LabelMap, LabelMap | None]:
    """Return both maps in the values of the task, where files name their segments."""
    one, other, common, notes = by_names(predicted, predicted if truth is None else truth, task)
    if common is not task:
        raise DataInvalid(
            "expected one label per voxel, found named segments that overlap or stand for several values, which an "
            "audit cannot tell apart. Save a label map without overlaps."
        )
    problems += notes if truth is not None else notes[:1]
    return one, None if truth is None else other


def _cleaned(
    labels: LabelMap, role: str, uncounted: NDArray[np.bool_] | None, known: frozenset[int], problems: list[str]
) -> LabelMap:
    """Set what does not count to ``UNKNOWN`` and values without a name to background, and say so."""
    array: NDArray[np.integer[Any]] = labels.array
    if uncounted is not None:
        array = np.where(uncounted, 0, array)
    strange = sorted(values_in(array) - known - {0})
    if strange:
        listed = first_few(strange)
        problems.append(f"the {role} has labels the prior does not know ({listed}); they count as background")
        array = np.where(np.isin(array, strange), 0, array)
    if uncounted is not None:
        array = np.where(uncounted, UNKNOWN, array.astype(np.promote_types(array.dtype, np.int8)))
    return labels if array is labels.array else labels.with_array(array)


def _status(maps: Mapping[str, LabelMap], task: Task, problems: list[str]) -> Status:
    """Return whether something is segmented, and say which labels of the reference the prediction lacks."""
    present = {role: {value for value in values_in(labels) if value > 0} for role, labels in maps.items()}
    if not present["prediction"]:
        problems.append("the prediction is empty: background everywhere; it is not in the means")
        return "both_empty" if present.get("reference") == set() else "pred_empty"
    if missed := sorted(present.get("reference", set()) - present["prediction"]):
        problems.append(f"the prediction lacks {first_few([task.labels[value] for value in missed])}")
    return "ok"


def values_held(subjects: Sequence[Subject], ignore: int | None) -> set[int]:
    """Return the foreground values of all label maps that can be read (auditing says why others cannot)."""
    found: set[int] = set()
    for subject in subjects:
        for read in (subject.predicted, subject.truth):
            try:
                found |= values_in(read().array) if read is not None else set()
            except (SegbenchError, OSError, MemoryError):
                continue
    return {value for value in found if value > 0 and value != ignore}


def means(audits: Sequence[CaseAudit]) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return the mean of every measure over the cases of status "ok", of predictions and of references."""
    counted = [one for one in audits if one.status == "ok"]
    predicted, truth = [one.predicted for one in counted], [one.truth for one in counted]
    return _means(predicted), _means(truth)


def _means(audits: Sequence[Audit | None]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for audit in audits:
        for name, value in audit.measures.items() if audit is not None else ():
            found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def statuses(audits: Sequence[CaseAudit]) -> dict[str, int]:
    """Return how many cases have each status that occurs."""
    return dict(Counter(one.status for one in audits))
