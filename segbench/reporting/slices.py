"""Worst cases, and one slice of each with the truth's and every method's contours on the image.

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

from segbench.reporting.evidence import MetricEvidence
from segbench.reporting.material import UNKNOWN, Material, Volume
from segbench.reporting.svg import numbered
from segbench.reporting.viewer import Stack

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


def draw_case(material: Material, stack: Stack, worst: WorstCase, methods: Sequence[str]) -> Figure:
    """Draw one slice of a case for every method that is there: the picture for print and for pages without scripts."""
    from matplotlib.figure import Figure

    names = dict(zip(methods, numbered(methods, _TITLE), strict=True))
    shown = [stack.indices[stack.start]]
    truth, image = stack.of(material.truth, shown)[0], None
    if material.image is not None:
        image = stack.of(material.image, shown)[0]
    maps = [(method, stack.of(codes, shown)[0]) for method, codes in material.predictions.items()]
    columns = min(4, len(maps) + 1)
    rows = math.ceil((len(maps) + 1) / columns)
    tall = min(2.0, max(0.5, truth.shape[0] / truth.shape[1] * stack.hang.aspect))
    figure = Figure(figsize=(_PANEL * columns, (_PANEL * tall + 0.3) * rows), layout="constrained", facecolor="white")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    _panel(grid.flat[0], image, truth, None, f"truth, slice {shown[0]}", stack.hang.aspect)
    for axes, (method, predicted) in zip(list(grid.flat)[1:], maps, strict=False):
        _panel(axes, image, truth, predicted, f"{names[method]}\n{worst.values[method]:.3g}", stack.hang.aspect)
    return figure


def _panel(
    axes: Axes, image: NDArray[Any] | None, truth: Volume, predicted: Volume | None, title: str, aspect: float
) -> None:
    """Draw the image, the truth in dotted white, the prediction in the labels' colours (the truth if there is none)."""
    import matplotlib as mpl

    shown = np.full(truth.shape, 0.25) if image is None else image
    low, high = (0.0, 1.0) if image is None else np.percentile(shown, (1, 99))
    axes.imshow(shown, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect, interpolation="nearest")
    colours = mpl.colormaps["tab20"]
    drawn = truth if predicted is None else predicted
    for value in np.unique(drawn[(drawn > 0) & (drawn != UNKNOWN)]):
        _contour(axes, drawn == value, colours(int(value) % _DISTINCT), "solid", 1.1)
    for value in () if predicted is None else np.unique(truth[(truth > 0) & (truth != UNKNOWN)]):
        _contour(axes, truth == value, "white", "dotted", 0.9)
    axes.set_title(title, fontsize=8, color="black")


def _contour(axes: Axes, mask: NDArray[np.bool_], colour: Any, style: str, width: float) -> None:
    if min(mask.shape) > 1:
        axes.contour(mask.astype(float), levels=[0.5], colors=[colour], linestyles=[style], linewidths=[width])
