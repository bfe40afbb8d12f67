"""Worst cases, seen: one slice per case with the truth's and every method's contours on the image.

A method's worst case is the one with its lowest value of the headline metric; the slice is the one in which the
methods disagree most with the truth. Slices lie across the coarsest axis and are turned as radiologists hang them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segbench.errors import SegbenchError
from segbench.reporting.competitors import Runs
from segbench.reporting.evidence import MetricEvidence
from segbench.reporting.svg import numbered
from segbench.runs import StoredRun
from segbench.types import Case

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DISTINCT = 20
_PANEL = 2.5
_TITLE = 22
"""Characters of a name that fit above a panel, in print as well."""


@dataclass(frozen=True)
class WorstCase:
    """A case, the methods whose worst it is, and its value for each method."""

    case: str
    worst_of: tuple[str, ...]
    values: Mapping[str, float]


def worst_cases(evidence: MetricEvidence, cases: Sequence[str], methods: Sequence[str], most: int) -> list[WorstCase]:
    """Return the cases that are somebody's worst, those of most methods first, then the worse on average."""
    signed = evidence.per_case * evidence.direction
    own: dict[int, list[str]] = {}
    for k, method in enumerate(methods):
        if not np.isnan(signed[:, k]).all():
            own.setdefault(int(np.nanargmin(signed[:, k])), []).append(method)
    order = sorted(own, key=lambda c: (-len(own[c]), float(np.nanmean(signed[c])), cases[c]))
    return [
        WorstCase(cases[c], tuple(own[c]), dict(zip(methods, evidence.per_case[c].tolist(), strict=True)))
        for c in order[:most]
    ]


def draw_case(worst: WorstCase, runs: Runs, methods: Sequence[str], notes: list[str]) -> Figure | None:
    """Draw a case for every method whose prediction is there; None if nothing can be shown, ``notes`` says why."""
    shown: list[tuple[str, NDArray[Any]]] = []
    case: Case | None = None
    for method in methods:
        run = _with_prediction(runs.of.get(method, ()), worst.case)
        if run is None:
            continue
        try:
            case = case or run.case(worst.case)
            predicted = run.prediction(worst.case).array
        except (SegbenchError, OSError) as error:
            notes.append(f"{method}, case {worst.case}: {error}")
            continue
        if case.truth is None or predicted.shape != case.truth.array.shape:
            notes.append(f"{method}, case {worst.case}: the prediction does not lie on the grid of the truth.")
            continue
        shown.append((method, predicted))
    if case is None or not shown:
        return None
    return _montage(case, shown, worst, dict(zip(methods, numbered(methods, _TITLE), strict=True)))


def _with_prediction(runs: Sequence[StoredRun], case: str) -> StoredRun | None:
    """Return the first run, by seed, that keeps a prediction of the case."""
    return next((run for run in runs if (run.folder / "predictions" / f"{case}.nii.gz").is_file()), None)


def _montage(
    case: Case, shown: Sequence[tuple[str, NDArray[Any]]], worst: WorstCase, names: Mapping[str, str]
) -> Figure:
    from matplotlib.figure import Figure

    assert case.truth is not None
    truth: NDArray[Any] = case.truth.array.reshape(case.image.shape[1:])
    maps = [(method, predicted.reshape(truth.shape)) for method, predicted in shown]
    axis = int(np.argmax(case.spacing)) if truth.shape[0] > 1 else 0
    others = tuple(other for other in range(3) if other != axis)
    wrong = np.sum([((predicted != truth) & (truth >= 0)).sum(axis=others) for _, predicted in maps], axis=0)
    index = int(np.argmax(wrong))
    hang = Hanging.of(case, axis)
    image, reference = hang(np.take(case.image[0], index, axis)), hang(np.take(truth, index, axis))
    columns = min(4, len(maps) + 1)
    rows = math.ceil((len(maps) + 1) / columns)
    tall = min(2.0, max(0.5, image.shape[0] / image.shape[1] * hang.aspect))
    figure = Figure(figsize=(_PANEL * columns, (_PANEL * tall + 0.3) * rows), layout="constrained", facecolor="white")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    _panel(grid.flat[0], image, reference, None, f"truth, slice {index}", hang.aspect)
    for axes, (method, predicted) in zip(list(grid.flat)[1:], maps, strict=False):
        title = f"{names[method]}\n{worst.values[method]:.3g}"
        _panel(axes, image, reference, hang(np.take(predicted, index, axis)), title, hang.aspect)
    return figure


def _panel(
    axes: Axes, image: NDArray[Any], truth: NDArray[Any], predicted: NDArray[Any] | None, title: str, aspect: float
) -> None:
    """Draw the image, the truth in dotted white, the prediction in the labels' colours (the truth if there is none)."""
    import matplotlib as mpl

    low, high = np.percentile(image, (1, 99))
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect, interpolation="nearest")
    colours = mpl.colormaps["tab20"]
    drawn = truth if predicted is None else predicted
    for value in np.unique(drawn[drawn > 0]):
        _contour(axes, drawn == value, colours(int(value) % _DISTINCT), "solid", 1.1)
    for value in () if predicted is None else np.unique(truth[truth > 0]):
        _contour(axes, truth == value, "white", "dotted", 0.9)
    axes.set_title(title, fontsize=8, color="black")


def _contour(axes: Axes, mask: NDArray[np.bool_], colour: Any, style: str, width: float) -> None:
    if min(mask.shape) > 1:
        axes.contour(mask.astype(float), levels=[0.5], colors=[colour], linestyles=[style], linewidths=[width])


@dataclass(frozen=True)
class Hanging:
    """How a slice is turned: anterior or superior up, the patient's right on the left; and its pixels' aspect."""

    swap: bool
    flip_rows: bool
    flip_columns: bool
    aspect: float

    @classmethod
    def of(cls, case: Case, axis: int) -> Hanging:
        """Settle it from a case's affine for slices across an axis of the array."""
        rows, columns = (other for other in range(3) if other != axis)
        direction = np.asarray(case.affine)[:3, :3] / np.asarray(case.spacing)
        world = [int(np.argmax(np.abs(direction[:, one]))) for one in (rows, columns)]
        swap = world[0] < world[1]  # x runs across, z (else y) runs down
        down, across = (columns, rows) if swap else (rows, columns)
        signs = [direction[int(np.argmax(np.abs(direction[:, one]))), one] for one in (down, across)]
        return cls(swap, signs[0] > 0, signs[1] > 0, float(case.spacing[down] / case.spacing[across]))

    def __call__(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return a slice, turned."""
        turned = plane.T if self.swap else plane
        turned = turned[::-1] if self.flip_rows else turned
        return turned[:, ::-1] if self.flip_columns else turned
