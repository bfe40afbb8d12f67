"""Score one pair of files: read, align, look for labels nobody knows, score. Runs in worker processes; never raises."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segbench.boxes import values_of
from segbench.contracts import Dataset, Metric
from segbench.errors import DataInvalid, SegbenchError
from segbench.files.images import read_label_map
from segbench.names import first_few
from segbench.scoring.binary import in_one_custom
from segbench.scoring.geometry import Mode, align, on_common_box
from segbench.scoring.layers import Overlaps, read_layers
from segbench.scoring.metrics import Scored, missing_scores, score_case
from segbench.scoring.naming import by_names
from segbench.scoring.pairs import CaseProblem, Pair
from segbench.scoring.probabilities import Deciding, decided, refined
from segbench.truths import truth_digest
from segbench.types import UNKNOWN, LabelMap, Status, Task, Unit


@dataclass(frozen=True)
class Setting:
    """What is the same for every case.

    Attributes:
        task: what is scored.
        metrics: prepared metrics.
        geometry: see ``segbench.scoring.geometry``.
        ignore: label of voxels that do not count, or None.
        known: label values that may occur; others are reported.
        strict_labels: whether other values are a fault, or merely noted because labels were chosen by hand.
        dataset: prepared; where truths are that are no files.
        layers: structure -> its value, where each structure has a file of its own.
        codes: what the values 1, 2, ... of the task are in the files, where these are too large to be positions;
            empty = the same.
        deciding: how predictions become label maps; None = they are.
        colours: red, green, blue -> label value of masks in colour; empty = values are labels.
        asked: whether somebody named the structures for this scoring, so that one that is nowhere is a mistake.
        one_hot: whether files may hold one binary volume per label.
    """

    task: Task
    metrics: tuple[Metric, ...]
    geometry: Mode = "strict"
    ignore: int | None = None
    known: frozenset[int] = frozenset()
    strict_labels: bool = True
    dataset: Dataset | None = None
    colours: Mapping[tuple[int, int, int], int] = field(default_factory=dict)
    asked: bool = False
    deciding: Deciding | None = None
    one_hot: bool = False
    layers: Mapping[str, int] = field(default_factory=dict)
    codes: tuple[int, ...] = ()

    def stored(self, values: Iterable[int]) -> tuple[int, ...]:
        """Return label values of the task as they are in the files."""
        return tuple(self.codes[value - 1] for value in values) if self.codes else tuple(values)


KEPT = 1 << 28
"""Bytes of references that are kept between looking for labels and scoring; others are read twice."""
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


@dataclass(frozen=True)
class _Reference:
    """A reference as it counts: ``UNKNOWN`` where its ignore label is, no other negative value.

    Attributes:
        labels: what is scored against.
        read: as it was read.
        known: what rows say of it, without scores.
        negative: negative values that became background, and the number of their voxels.
    """

    labels: LabelMap
    read: LabelMap
    known: Outcome
    negative: tuple[tuple[int, ...], int]


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
        reference = _reference(pair, setting, overlaps)
        truth, known = reference.labels, reference.known
        other = _predicted(pair, setting, reference.read, overlaps)
        notes = [
            *(f"reference {note}" for note in reference.read.notes),
            *(f"prediction {note}" for note in other.notes),
        ]
        asked = overlaps.task(setting.task)
        other, truth, task, matched = (other, truth, asked, ()) if setting.codes else by_names(other, truth, asked)
        known = replace(known, values=_present(truth, task, setting.task)) if matched else known
        other, truth, customs = in_one_custom(other, truth, setting.known, setting.ignore)
        known = _with_values(known, truth) if customs else known
        if setting.deciding is not None and pair.probabilities is None:
            other = refined(other, setting.deciding)
        other, truth, placed = on_common_box(other, truth)
        aligned = align(other, truth, setting.geometry)
        predicted = _without_ignored(aligned.predicted, truth) if known.left_out else aligned.predicted
        problems = _strange_values(pair, predicted, truth, reference, setting, overlaps) if task is asked else []
        notes += [*matched, *customs, placed and f"prediction: {placed}", aligned.note]
        problems += [CaseProblem(pair.case, "note", note, pair.rater) for note in notes if note]
        reasons: list[str] = []
        predicted, truth = (_positions(labels, setting.codes, len(task.labels)) for labels in (predicted, truth))
        scores = score_case(predicted, truth, task, setting.metrics, reasons)
    except SegbenchError as error:
        return failed(pair, setting, str(error), known=known)
    except MemoryError:
        return failed(pair, setting, "memory ran out. Use fewer --jobs.", passing=True, known=known)
    except Exception as error:
        return failed(pair, setting, f"unexpected {type(error).__name__}: {error}", known=known)
    problems += [CaseProblem(pair.case, "failed", reason, pair.rater) for reason in reasons]
    return replace(known, scores=_plain(scores, setting), problems=tuple(problems))


def _not_predicted(pair: Pair, setting: Setting) -> Outcome:
    """Return what rows say of a reference that was not predicted; nothing if it cannot be read."""
    try:
        reference = _reference(pair, setting, _no_overlaps(setting))
        truth, known = reference.labels, reference.known
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


def _no_overlaps(setting: Setting) -> Overlaps:
    return Overlaps(max((len(setting.task.labels) - 1, *setting.known)) + 1)


def _reference(pair: Pair, setting: Setting, overlaps: Overlaps) -> _Reference:
    """Read the reference of a case from its file or its dataset, whose ``UNKNOWN`` is no file's -1.

    In a file only the ignore label is left out; other negative values are background.
    """
    ignore = setting.ignore
    if pair.truth_layers:
        read = read_layers(pair.truth_layers, setting.layers, overlaps, "reference")
    elif pair.ref is None:
        kept = None if setting.colours or setting.one_hot else _kept.pop(pair.truth, None)
        read = _read(pair.truth, "reference", setting) if kept is None else kept
    else:
        truth = setting.dataset.load_truth(pair.ref) if setting.dataset is not None else None
        if truth is None:
            raise DataInvalid(f"test case {pair.case} has no truth to score against.")
        read, ignore = truth, UNKNOWN
    labels, array, counted = read, read.array, values_in(read)
    left_out = int(np.count_nonzero(array == ignore)) if ignore in counted else 0
    negative = tuple(sorted(value for value in counted if value < 0 and value != ignore))
    strays = int(np.count_nonzero((array < 0) & (array != ignore))) if negative else 0
    if negative or (left_out and ignore != UNKNOWN):
        wide = array.astype(np.promote_types(array.dtype, np.int8))
        wide[(array < 0) & (array != ignore)] = 0
        if ignore is not None:
            wide[array == ignore] = UNKNOWN
        labels = replace(read.with_array(wide), names=read.names, cropped=read.cropped)
    counted |= {one for value in counted for one in overlaps.members(value)} if overlaps.sets else set()
    values = tuple(sorted(value for value in counted | ({0} if negative else set()) if value >= 0 and value != ignore))
    flat = array.ndim == 2 or array.shape[0] == 1
    known = Outcome(truth=truth_digest(labels), unit=labels.unit, flat=flat, values=values, left_out=left_out)
    return _Reference(labels, read, known, (negative, strays))


def _predicted(pair: Pair, setting: Setting, truth: LabelMap, overlaps: Overlaps) -> LabelMap:
    """Read the prediction of a case, or decide it from its probabilities."""
    assert pair.predicted is not None
    if pair.predicted_layers:
        return read_layers(pair.predicted_layers, setting.layers, overlaps, "prediction")
    if pair.probabilities is None or setting.deciding is None:
        return _read(pair.predicted, "prediction", setting, truth)
    beside = None if pair.probabilities == pair.predicted else _read(pair.predicted, "prediction", setting, truth)
    return decided(pair.probabilities, beside or truth, setting.deciding, beside)


def _read(path: Path, role: str, setting: Setting, like: LabelMap | None = None) -> LabelMap:
    try:
        return read_label_map(path, like, setting.colours, one_hot=setting.one_hot)
    except SegbenchError as error:
        raise type(error)(f"{role} {error}") from error
    except OSError as error:
        raise SegbenchError(f"{role} {path}: cannot be read ({error.strerror or error}).") from error


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


def _positions(labels: LabelMap, codes: tuple[int, ...], count: int) -> LabelMap:
    """Return values as positions among a task's labels; what is none of them is background."""
    if not codes:
        return in_range(labels, count)
    known = np.array(codes, dtype=np.int64)
    order = known.argsort()
    place = np.searchsorted(known, labels.array, sorter=order).clip(max=len(codes) - 1)
    found = np.where(known[order[place]] == labels.array, order[place] + 1, 0)
    return labels.with_array(np.where(labels.array == UNKNOWN, UNKNOWN, found).astype(np.int32))


def _strange_values(
    pair: Pair, predicted: LabelMap, truth: LabelMap, reference: _Reference, setting: Setting, overlaps: Overlaps
) -> list[CaseProblem]:
    """Name values that the task does not know; they are scored as what they are: nothing it asks for."""
    problems = []
    known_values = set(reference.known.values or ())
    true_values = known_values if truth is reference.labels else values_in(truth) - {UNKNOWN}
    known = setting.known | {0} | set(overlaps.sets.values())
    kind: Any = "labels" if setting.strict_labels else "note"

    def say(kind: Any, what: str) -> None:
        problems.append(CaseProblem(pair.case, kind, what, pair.rater))

    strange = sorted(true_values - known)
    if strange and setting.strict_labels:
        say(kind, f"the reference has unknown labels {first_few(strange, 8)}")
    values, voxels = reference.negative
    if values:
        what = (
            f"{voxels} voxels of the reference have negative values ({first_few(list(values), 8)}), which are no labels"
        )
        advice = f" If they must not count, say --ignore-label {values[0]}." if setting.ignore is None else ""
        say(kind, f"{what}; they count as background.{advice}")
    if reference.known.left_out:
        left_out = f"{reference.known.left_out} of {predicted.array.size} voxels are left out"
        say("note", f"{left_out} ({why_left_out(setting)})")
    if strange := sorted(values_in(predicted) - known - true_values):
        say(kind, f"the prediction has unknown labels {first_few(strange, 8)}; they count as background")
    return problems


def values_in(labels: LabelMap | NDArray[np.integer[Any]]) -> set[int]:
    """Return the values that occur in a label map or in an integer array of up to three axes.

    Args:
        labels: of a label map it is looked up once, and what was found serves its metrics too.
    """
    return set(values_of(labels if isinstance(labels, LabelMap) else LabelMap(labels, ())))


def values_in_file(path: Path) -> set[int]:
    """Return the values of a label map file, or nothing if it cannot be read (scoring will say why)."""
    try:
        return values_in(read_label_map(path))
    except (SegbenchError, OSError, MemoryError):
        return set()


def values_in_kept_file(path: Path) -> set[int]:
    """Return the values of a reference, and keep it for ``score_pair`` in this process, until ``forget``."""
    try:
        labels = read_label_map(path)
    except (SegbenchError, OSError, MemoryError):
        return set()
    if labels.array.nbytes <= KEPT - _kept_bytes[0]:
        _kept[path] = labels
        _kept_bytes[0] += labels.array.nbytes
    return values_in(labels)


def forget() -> None:
    """Keep no references any longer."""
    _kept.clear()
    _kept_bytes[0] = 0


_kept: dict[Path, LabelMap] = {}
"""References that were read to see which labels they have and wait to be scored against."""
_kept_bytes = [0]
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
