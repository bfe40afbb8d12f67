"""Audits of label maps against prior knowledge, case by case, the truth's own figures beside the prediction's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segbench.contracts import Prior
from segbench.errors import SegbenchError
from segbench.evaluation.case_files import in_range, values_in
from segbench.evaluation.declarations import Declaration
from segbench.evaluation.labelling import Structures, task_of
from segbench.host import Origin, blame
from segbench.types import Audit, LabelMap, Task


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
class CaseAudit:
    """What came of one case.

    Attributes:
        case: its name.
        predicted: of the prediction; None if it could not be audited.
        truth: of the reference; None if there is none.
        problems: what a reader must know, one sentence each.
    """

    case: str
    predicted: Audit | None
    truth: Audit | None = None
    problems: tuple[str, ...] = field(default=())


def audit_cases(subjects: Iterable[Subject], prior: Prior, task: Task, origin: Origin) -> Iterator[CaseAudit]:
    """Yield the audit of every case; one that cannot be read or audited says why and does not stop the others.

    Args:
        subjects: the cases.
        prior: read for ``task``.
        task: gives the label names.
        origin: of the prior, to name it if it fails.
    """
    for subject in subjects:
        problems: list[str] = []
        try:
            predicted = _audit(subject.case, subject.predicted(), "prediction", prior, task, origin, problems)
            truth = None
            if subject.truth is not None:
                truth = _audit(subject.case, subject.truth(), "reference", prior, task, origin, problems)
        except (SegbenchError, OSError, MemoryError) as error:
            reason = str(error) or type(error).__name__
            yield CaseAudit(subject.case, None, None, (*problems, reason))
        else:
            yield CaseAudit(subject.case, predicted, truth, tuple(problems))


def _audit(
    case: str, labels: LabelMap, role: str, prior: Prior, task: Task, origin: Origin, problems: list[str]
) -> Audit:
    strange = sorted(value for value in values_in(labels.array) if value >= len(task.labels))
    if strange:
        shown = ", ".join(map(str, strange[:8])) + (", ..." if len(strange) > 8 else "")
        problems.append(f"the {role} has labels the prior does not know ({shown}); they count as background")
    with blame(origin, f"auditing the {role} of case {case}"):
        return prior.audit(case, in_range(labels, len(task.labels)), task)


def audited_task(name: str, chosen: Structures, declared: Declaration, prior: Prior, path: Path) -> tuple[Task, str]:
    """Return the task whose label names the prior is read with, and in words where the names come from.

    Args:
        name: what the data are called.
        chosen: labels asked for; they go before those declared.
        declared: what the folders say; only used if it names every label of the prior.
        prior: asked for the labels of its file if nobody else names them.
        path: the prior's file.
    """
    if chosen:
        return task_of(name, "", chosen), "as asked"
    known = prior.labels(path)
    single: Structures = {key: values for key, values in declared.structures.items() if len(values) == 1}
    if single and set(known[1:]) <= set(single):
        return task_of(name, "", single), f"as {declared.source or 'the files'} names them"
    unlike = f", for {declared.source} names others" if single else ""
    return Task(name, "", tuple(known)), f"those of the prior, in the order of their values{unlike}; else say --labels"


def means(audits: Sequence[Audit]) -> Mapping[str, float]:
    """Return the mean of every measure over label maps, in the order of the first."""
    names = dict.fromkeys(name for audit in audits for name in audit.measures)
    values = {name: [audit.measures[name] for audit in audits if name in audit.measures] for name in names}
    return {name: sum(found) / len(found) for name, found in values.items()}
