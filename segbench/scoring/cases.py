"""Score one pair of files: read, align, look for labels nobody knows, score. Runs in worker processes; never raises."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segbench.contracts import Dataset, Metric
from segbench.errors import DataInvalid, SegbenchError
from segbench.files.images import read_label_map
from segbench.names import first_few
from segbench.scoring.binary import in_one_custom
from segbench.scoring.geometry import Mode, align, on_common_box
from segbench.scoring.metrics import Scored, missing_scores, score_case
from segbench.scoring.naming import by_names, recoded
from segbench.scoring.pairs import CaseProblem, Pair
from segbench.truths import truth_digest
from segbench.types import UNKNOWN, LabelMap, Status, Task, Unit

CHUNK = 1 << 16
"""Voxels looked at together when values are collected: small, because most pieces are background only."""


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
        colours: red, green, blue -> label value of masks in colour; empty = values are labels.
        one_hot: whether files may hold one binary volume per label.
        codes: stored value -> value of the task, for values too large to be positions; empty = they are the same.
    """

    task: Task
    metrics: tuple[Metric, ...]
    geometry: Mode = "strict"
    ignore: int | None = None
    known: frozenset[int] = frozenset()
    strict_labels: bool = True
    dataset: Dataset | None = None
    colours: Mapping[tuple[int, int, int], int] = field(default_factory=dict)
    one_hot: bool = False
    codes: Mapping[int, int] = field(default_factory=dict)


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
    """

    scores: list[PlainScore] = field(default_factory=list)
    problems: tuple[CaseProblem, ...] = ()
    passing: bool = False
    truth: str = ""
    unit: Unit | Literal[""] = ""
    flat: bool = False


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
    position = {id(metric): index for index, metric in enumerate(setting.metrics)}
    labels = {one.name: one.label for one in setting.task.structures}  # a case may be scored in values of its own
    return [
        (
            *(position[id(metric)], score.structure.name),
            *(labels.get(score.structure.name, score.structure.label), score.value, score.status),
        )
        for metric, score in scored
    ]


def score_pair(pair: Pair, setting: Setting) -> Outcome:
    """Score one case from its files; whatever goes wrong becomes part of the outcome."""
    if pair.fault or pair.predicted is None:
        status: Status = "failed" if pair.fault else "missing"
        absent = _plain(missing_scores(setting.task, setting.metrics, status), setting)
        return replace(Outcome() if pair.fault else _not_predicted(pair, setting), scores=absent)
    known = Outcome()
    try:
        read = _read_truth(pair, setting)
        truth = _with_ignored(read, setting.ignore)
        known = _reference(truth)
        other = _read(pair.predicted, "prediction", setting, read)
        notes = [*(f"reference {note}" for note in read.notes), *(f"prediction {note}" for note in other.notes)]
        other, truth, task, matched = by_names(other, truth, setting.task)
        other, truth, customs = in_one_custom(other, truth, setting.known, setting.ignore)
        other, truth, placed = on_common_box(other, truth)
        aligned = align(other, truth, setting.geometry)
        predicted = _without_ignored(aligned.predicted, truth, setting.ignore)
        problems = _strange_values(pair, predicted, truth, setting) if task is setting.task else []
        notes += [*matched, *customs, placed and f"prediction: {placed}", aligned.note]
        problems += [CaseProblem(pair.case, "note", note, pair.rater) for note in notes if note]
        reasons: list[str] = []
        count = len(task.labels)
        predicted, truth = in_range(predicted, count), in_range(truth, count)
        scores = score_case(predicted, truth, task, setting.metrics, reasons)
    except SegbenchError as error:
        return failed(pair, setting, str(error), known=known)
    except MemoryError:
        return failed(pair, setting, "memory ran out. Use fewer --jobs.", passing=True, known=known)
    except Exception as error:
        return failed(pair, setting, f"unexpected {type(error).__name__}: {error}", known=known)
    problems += [CaseProblem(pair.case, "failed", reason, pair.rater) for reason in reasons]
    return replace(known, scores=_plain(scores, setting), problems=tuple(problems))


def _reference(truth: LabelMap) -> Outcome:
    """Return what rows say of a reference, without scores."""
    flat = truth.array.ndim == 2 or truth.array.shape[0] == 1
    return Outcome(truth=truth_digest(truth), unit=truth.unit, flat=flat)


def _not_predicted(pair: Pair, setting: Setting) -> Outcome:
    """Return what rows say of a reference that was not predicted; nothing if it cannot be read."""
    try:
        return _reference(_with_ignored(_read_truth(pair, setting), setting.ignore))
    except Exception:  # a missing prediction is not made worse by a broken reference
        return Outcome()


def _read_truth(pair: Pair, setting: Setting) -> LabelMap:
    """Read the reference of a case from its file or its dataset."""
    if pair.ref is None:
        return _read(pair.truth, "reference", setting)
    truth = setting.dataset.load_truth(pair.ref) if setting.dataset is not None else None
    if truth is None:
        raise DataInvalid(f"test case {pair.case} has no truth to score against.")
    return truth


def _read(path: Path, role: str, setting: Setting, like: LabelMap | None = None) -> LabelMap:
    try:
        found = read_label_map(path, like, setting.colours, one_hot=setting.one_hot)
        return replace(recoded(found, setting.codes), notes=found.notes) if setting.codes else found
    except SegbenchError as error:
        raise type(error)(f"{role} {error}") from error
    except OSError as error:
        raise SegbenchError(f"{role} {path}: cannot be read ({error.strerror or error}).") from error


def _with_ignored(truth: LabelMap, ignore: int | None) -> LabelMap:
    if ignore is None:
        return truth
    wide = np.promote_types(truth.array.dtype, np.int8)
    array = np.where(truth.array == ignore, UNKNOWN, truth.array.astype(wide))
    return replace(truth.with_array(array), names=truth.names, cropped=truth.cropped)


def _without_ignored(predicted: LabelMap, truth: LabelMap, ignore: int | None) -> LabelMap:
    """Set predicted voxels that do not count to background, so that nobody wonders about their values."""
    if ignore is None:
        return predicted
    return predicted.with_array(np.where(truth.array == UNKNOWN, 0, predicted.array))


def in_range(labels: LabelMap, count: int) -> LabelMap:
    """Set values from ``count`` on to background, so that metrics may use values as positions."""
    if labels.array.size == 0 or int(labels.array.max()) < count:
        return labels
    return labels.with_array(np.where(labels.array < count, labels.array, 0))


def _strange_values(pair: Pair, predicted: LabelMap, truth: LabelMap, setting: Setting) -> list[CaseProblem]:
    """Name values that the task does not know; they are scored as what they are: nothing it asks for."""
    problems = []
    true_values = values_in(truth.array)
    known = setting.known | {0}
    kind: Any = "labels" if setting.strict_labels else "note"
    strange = sorted(true_values - known - {UNKNOWN})
    if strange and setting.strict_labels:
        what = f"the reference has unknown labels {first_few(strange, 8)}"
        problems.append(CaseProblem(pair.case, kind, what, pair.rater))
    if strange := sorted(values_in(predicted.array) - known - true_values):
        what = f"the prediction has unknown labels {first_few(strange, 8)}; they count as background"
        problems.append(CaseProblem(pair.case, kind, what, pair.rater))
    return problems


def values_in(array: NDArray[np.integer[Any]]) -> set[int]:
    """Return the values that occur in a label map, without sorting its voxels.

    Args:
        array: integer array of any shape.
    """
    found: set[int] = set()
    flat = array.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        piece = flat[start : start + CHUNK]
        low, high = int(piece.min()), int(piece.max())
        if high - low > 1 << 16:
            found.update(np.unique(piece).tolist())
        elif high == low:
            found.add(low)
        else:
            counts = np.bincount((piece if low == 0 else piece.astype(np.int64) - low).ravel())
            found.update((np.flatnonzero(counts) + low).tolist())
    return found


def values_in_file(path: Path) -> set[int]:
    """Return the values of a label map file, or nothing if it cannot be read (scoring will say why)."""
    try:
        return values_in(read_label_map(path).array)
    except (SegbenchError, OSError, MemoryError):
        return set()


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
