"""Score one pair of files: read, align, look for labels nobody knows, score. Runs in worker processes; never raises."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from segbench.boxes import values_of
from segbench.errors import SegbenchError
from segbench.names import first_few
from segbench.scoring.binary import in_one_custom
from segbench.scoring.geometry import align, on_common_box
from segbench.scoring.layers import Overlaps
from segbench.scoring.metrics import Scored, missing_scores, score_case
from segbench.scoring.naming import by_names
from segbench.scoring.pairs import CaseProblem, Pair
from segbench.scoring.probabilities import refined
from segbench.scoring.references import Reference, read_prediction, read_reference
from segbench.scoring.references import values_in as values_in
from segbench.scoring.setting import Setting as Setting
from segbench.truths import truth_digest
from segbench.types import UNKNOWN, LabelMap, Status, Task, Unit

PlainScore = tuple[int, str, int | None, float | None, Status]
"""Position of the metric, name and label of the structure, value, status."""


@dataclass(frozen=True)
class Outcome:
    """What came of one case.

    Attributes:
        scores: plain values, fit for JSON and for other processes.
        problems: what a reader must know.
        passing: True if the same command may succeed another time (memory ran out).
        truth: see ``truths.truth_digest``; "" if the reference was not read.
        unit: of lengths on the reference's grid; "" if it was not read.
        flat: whether the reference is one slice.
        values: label values of the reference that count, None if it was not read.
        left_out: voxels of the reference with the ignore label.
    """

    scores: list[PlainScore] = field(default_factory=list)
    problems: tuple[CaseProblem, ...] = ()
    passing: bool = False
    truth: str = ""
    unit: Unit | Literal[""] = ""
    flat: bool = False
    values: tuple[int, ...] | None = None
    left_out: int = 0


def failed(pair: Pair, setting: Setting, why: str, *, passing: bool = False, known: Outcome | None = None) -> Outcome:
    """Return the outcome of a case that could not be scored.

    Args:
        pair, setting: the case.
        why: in words.
        passing: whether the same command may succeed another time.
        known: what is known of its reference.
    """
    problem = CaseProblem(pair.case, "failed", why, pair.rater)
    scores = _plain(missing_scores(setting.task, setting.metrics, "failed"), setting)
    return replace(known or Outcome(), scores=scores, problems=(problem,), passing=passing)


def _plain(scored: list[Scored], setting: Setting) -> list[PlainScore]:
    """Return scores as plain values, with labels as the files have them."""
    position = {id(metric): index for index, metric in enumerate(setting.metrics)}
    labels = {one.name: setting.stored(one.values)[0] for one in setting.task.structures if one.label is not None}
    return [
        (
            position[id(metric)],
            one.structure.name,
            labels.get(one.structure.name, one.structure.label),
            one.value,
            one.status,
        )
        for metric, one in scored
    ]


def score_pair(pair: Pair, setting: Setting) -> Outcome:
    """Score one case from its files; whatever goes wrong becomes part of the outcome."""
    if pair.fault or pair.predicted is None:
        status: Status = "failed" if pair.fault else "missing"
        absent = _plain(missing_scores(setting.task, setting.metrics, status), setting)
        return replace(Outcome() if pair.fault else _not_predicted(pair, setting), scores=absent)
    known, overlaps = Outcome(), _no_overlaps(setting)
    try:
        reference = read_reference(pair, setting, overlaps)
        known = _known(reference, overlaps)
        read = read_pair(pair, setting, reference, overlaps)
        truth, task = read.truth, read.task
        known = replace(known, values=_present(truth, task, setting.task)) if read.matched else known
        known = _with_values(known, truth) if read.customs else known
        predicted, truth, placed = on_one_grid(read, pair, setting)
        predicted = _without_ignored(predicted, truth) if known.left_out else predicted
        asked = task is read.asked
        problems = _strange_values(pair, predicted, truth, reference, known, setting, overlaps) if asked else []
        notes = (*read.notes, *read.matched, *read.customs, *placed)
        problems += [CaseProblem(pair.case, "note", note, pair.rater) for note in notes]
        reasons: dict[str, str] = {}
        predicted, truth = (positions(labels, setting.codes, len(task.labels)) for labels in (predicted, truth))
        scores = score_case(predicted, truth, task, setting.metrics, reasons)
    except SegbenchError as error:
        return failed(pair, setting, str(error), known=known)
    except MemoryError:
        return failed(pair, setting, "memory ran out. Use fewer --jobs.", passing=True, known=known)
    except Exception as error:
        return failed(pair, setting, f"unexpected {type(error).__name__}: {error}", known=known)
    problems += [CaseProblem(pair.case, "failed", why, pair.rater, metric) for metric, why in reasons.items()]
    return replace(known, scores=_plain(scores, setting), problems=tuple(problems))


@dataclass(frozen=True)
class Read:
    """A pair as it was read, in the same values on both sides.

    Attributes:
        predicted, truth: each on its own grid.
        asked: the task, structures that overlap included.
        task: the same in the values of these maps.
        notes: how they were read; matched: which segments were matched by name; customs: which masks were 255 inside.
    """

    predicted: LabelMap
    truth: LabelMap
    asked: Task
    task: Task
    notes: tuple[str, ...]
    matched: tuple[str, ...]
    customs: tuple[str, ...]


def read_pair(pair: Pair, setting: Setting, reference: Reference, overlaps: Overlaps) -> Read:
    """Read the prediction of a case, or decide it, and bring both sides to the same values."""
    other = read_prediction(pair, setting, reference.read, overlaps)
    notes = (
        *(f"reference {note}" for note in reference.read.notes),
        *(f"prediction {note}" for note in other.notes),
    )
    truth, asked = reference.labels, overlaps.task(setting.task)
    other, truth, task, matched = (other, truth, asked, ()) if setting.codes else by_names(other, truth, asked)
    other, truth, customs = in_one_custom(other, truth, setting.known, setting.ignore)
    return Read(other, truth, asked, task, notes, tuple(matched), customs)


def on_one_grid(read: Read, pair: Pair, setting: Setting) -> tuple[LabelMap, LabelMap, tuple[str, ...]]:
    """Return prediction and reference on the grid of the reference, refined if asked for, and what was done."""
    other = read.predicted
    if setting.deciding is not None and pair.probabilities is None:
        other = refined(other, setting.deciding)
    other, truth, placed = on_common_box(other, read.truth)
    aligned = align(other, truth, setting.geometry)
    return aligned.predicted, truth, tuple(filter(None, (placed and f"prediction: {placed}", aligned.note)))


def as_scored(pair: Pair, setting: Setting) -> tuple[LabelMap, LabelMap, Task]:
    """Return the prediction and the reference of a case just as they are scored, and the task in their values.

    Raises:
        DataMissing, DataInvalid: whatever makes the scoring of the case fail.
    """
    overlaps = _no_overlaps(setting)
    reference = read_reference(pair, setting, overlaps)
    read = read_pair(pair, setting, reference, overlaps)
    predicted, truth, _ = on_one_grid(read, pair, setting)
    count = len(read.task.labels)
    return positions(predicted, setting.codes, count), positions(truth, setting.codes, count), read.task


def _not_predicted(pair: Pair, setting: Setting) -> Outcome:
    """Return what rows say of a reference that was not predicted; nothing if it cannot be read."""
    try:
        overlaps = _no_overlaps(setting)
        reference = read_reference(pair, setting, overlaps)
        truth, known = reference.labels, _known(reference, overlaps)
        asked = setting.task
        _, truth, task, matched = (truth, truth, asked, ()) if setting.codes else by_names(truth, truth, asked)
        known = replace(known, values=_present(truth, task, setting.task)) if matched else known
        _, truth, customs = in_one_custom(truth, truth, setting.known, setting.ignore)
        return _with_values(known, truth) if customs else known
    except Exception:  # a missing prediction is not made worse by a broken reference
        return Outcome()


def _present(truth: LabelMap, task: Task, wanted: Task) -> tuple[int, ...]:
    """Return the values of the structures that a map has, as the wanted task numbers them."""
    here = {one.name: one for one in task.structures}
    found = [one.values for one in wanted.structures if truth.mask(here[one.name]).any()]
    return tuple(sorted({0, *(value for values in found for value in values)}))


def _with_values(known: Outcome, truth: LabelMap) -> Outcome:
    return replace(known, values=tuple(sorted(values_in(truth) - {UNKNOWN})))


def _known(reference: Reference, overlaps: Overlaps) -> Outcome:
    """Return what rows say of a reference, without scores."""
    counted = set(reference.counted)
    counted |= {one for value in counted for one in overlaps.members(value)} if overlaps.sets else set()
    counted |= {0} if reference.negative else set()
    labels = reference.labels
    values = tuple(sorted(value for value in counted if value >= 0 and value != reference.ignore))
    flat = labels.array.ndim == 2 or labels.array.shape[0] == 1
    left_out = reference.left_out
    return Outcome(truth=truth_digest(labels), unit=labels.unit, flat=flat, values=values, left_out=left_out)


def _no_overlaps(setting: Setting) -> Overlaps:
    return Overlaps(max((len(setting.task.labels) - 1, *setting.known)) + 1)


def _without_ignored(predicted: LabelMap, truth: LabelMap) -> LabelMap:
    """Set predicted voxels that do not count to background, so that nobody wonders about their values."""
    return predicted.with_array(np.where(truth.array == UNKNOWN, 0, predicted.array))


def why_left_out(setting: Setting) -> str:
    """Return in words why voxels do not count."""
    return "unknown in the dataset" if setting.ignore is None else f"ignore label {setting.ignore}"


def in_range(labels: LabelMap, count: int) -> LabelMap:
    """Set values from ``count`` on to background, so that metrics may use values as positions."""
    if max(values_of(labels), default=0) < count:
        return labels
    return labels.with_array(np.where(labels.array < count, labels.array, 0))


def positions(labels: LabelMap, codes: tuple[int, ...], count: int) -> LabelMap:
    """Return values as positions among a task's labels; what is none of them is background."""
    if not codes:
        return in_range(labels, count)
    known = np.array(codes, dtype=np.int64)
    order = known.argsort()
    place = np.searchsorted(known, labels.array, sorter=order).clip(max=len(codes) - 1)
    found = np.where(known[order[place]] == labels.array, order[place] + 1, 0)
    return labels.with_array(np.where(labels.array == UNKNOWN, UNKNOWN, found).astype(np.int32))


def _strange_values(
    pair: Pair,
    predicted: LabelMap,
    truth: LabelMap,
    reference: Reference,
    outcome: Outcome,
    setting: Setting,
    overlaps: Overlaps,
) -> list[CaseProblem]:
    """Name values that the task does not know; they are scored as what they are: nothing it asks for."""
    problems = []
    known_values = set(outcome.values or ())
    true_values = known_values if truth is reference.labels else values_in(truth) - {UNKNOWN}
    known = setting.known | {0} | set(overlaps.sets.values())
    kind: Any = "labels" if setting.strict_labels else "note"

    def say(kind: Any, what: str) -> None:
        problems.append(CaseProblem(pair.case, kind, what, pair.rater))

    strange = sorted(true_values - known)
    if strange and setting.strict_labels:
        say(kind, f"the reference has unknown labels {first_few(strange, 8)}")
    if negative := reference.said:
        say(kind, negative)
    if outcome.left_out:
        left_out = f"{outcome.left_out} of {predicted.array.size} voxels are left out"
        say("note", f"{left_out} ({why_left_out(setting)})")
    if strange := sorted(values_in(predicted) - known - true_values):
        say(kind, f"the prediction has unknown labels {first_few(strange, 8)}; they count as background")
    return problems


_setting: list[Setting] = []
"""The setting of this process; filled by ``settle``."""


def settle(plugins: tuple[str, ...], pickled: bytes) -> None:
    """Take over the setting in a worker process.

    Args:
        plugins: single files to load first, because metrics may be defined in them.
        pickled: the ``Setting``.
    """
    if plugins:
        from segbench.host import load_catalogue

        load_catalogue(plugins)
    _setting[:] = [pickle.loads(pickled)]


def score_settled(pair: Pair) -> Outcome:
    """Score one case with the setting of this process."""
    return score_pair(pair, _setting[0])


def unsettle() -> None:
    """Do nothing: workers that only collect values need no setting."""
