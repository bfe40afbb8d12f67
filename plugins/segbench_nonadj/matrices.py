"""Adjacency matrices side by side: allowed contacts grey, forbidden ones red."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from segbench_nonadj.evidence import Evidence, Panel

ALLOWED, FORBIDDEN, NEVER = "#6b7280", "#dc2626", "#ffffff"
NAMED = 40
"""Labels up to this many are named along the axes."""
LARGE = 60
"""From this many labels on, a red cell alone would be lost on the page: it is drawn larger than its cell."""
COLUMNS = 5
"""Panels in a row at most."""


def arrange(count: int) -> tuple[int, int]:
    """Return rows and columns for so many panels, rows evenly filled."""
    rows = math.ceil(count / COLUMNS)
    return rows, math.ceil(count / rows)


def draw(evidence: Evidence, *, shares: bool) -> Figure:
    """Return one matrix per panel; cells of ``shares`` are shaded by the share of cases, else on in any case."""
    count, labels = len(evidence.panels), len(evidence.labels)
    named = labels <= NAMED
    rows, columns = arrange(count)
    edge, margin = 3.3, (1.15 if named else 0.35)  # inches, of a panel and of the names beside it
    size = (margin + edge * columns, rows * (edge + 0.6) + margin + 0.45)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for number, axes in enumerate(grid.flat):
        if number < count:
            _matrix(axes, evidence, evidence.panels[number], shares)
            _ticks(axes, evidence.labels, named, last=number + columns >= count, first=number % columns == 0)
        else:
            axes.set_visible(False)
    _legend(figure, evidence, shares)
    return figure


def _matrix(axes: Axes, evidence: Evidence, panel: Panel, shares: bool) -> None:
    touching = panel.counts > 0  # (cases, K, K)
    weight = touching.mean(axis=0) if shares else touching.any(axis=0).astype(float)
    axes.imshow(_colours(weight, evidence.forbidden), interpolation="nearest", aspect="equal")
    labels = len(weight)
    where = np.argwhere((weight > 0) & evidence.forbidden)
    if labels >= LARGE and len(where):
        axes.scatter(where[:, 1], where[:, 0], s=5, marker="s", color=FORBIDDEN, linewidths=0)
    bad = int(((weight > 0) & evidence.forbidden).sum() // 2)
    good = int(((weight > 0) & ~evidence.forbidden).sum() // 2)
    each = (touching & evidence.forbidden).sum(axis=(1, 2)).mean() / 2
    axes.set_title(f"{panel.title}\n{bad} forbidden, {good} allowed pairs\n{each:.1f} forbidden per case", fontsize=9)
    for side in axes.spines.values():
        side.set_linewidth(0.6)
        side.set_color("#9ca3af")


def _colours(weight: NDArray[np.floating[Any]], forbidden: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return ``(K, K, 3)``: white where nothing touches, towards grey or red by weight; the faintest still shows."""
    strength = np.where(weight > 0, 0.35 + 0.65 * weight, 0.0)[..., None]
    full = np.where(forbidden[..., None], to_rgb(FORBIDDEN), to_rgb(ALLOWED))
    mixed: NDArray[np.float64] = strength * full + (1 - strength) * np.array(to_rgb(NEVER))
    return mixed


def _ticks(axes: Axes, labels: tuple[str, ...], named: bool, *, last: bool, first: bool) -> None:
    axes.tick_params(length=0, labelsize=5.5 if named else 7, labelbottom=last, labelleft=first)
    if named:
        axes.set_xticks(range(len(labels)), labels, rotation=90)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_xticks(np.arange(len(labels) - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(labels) - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="#eceef1", linewidth=0.4)
        axes.tick_params(which="minor", length=0)
        return
    if last:
        axes.set_xlabel("label value", fontsize=7)
    if first:
        axes.set_ylabel("label value", fontsize=7)


def _legend(figure: Figure, evidence: Evidence, shares: bool) -> None:
    from matplotlib.patches import Patch

    cases = f"{len(evidence.cases)} test cases" if len(evidence.cases) > 1 else f"case {evidence.cases[0]}"
    what = f"share of {cases}" if shares else f"in any of {cases}" if len(evidence.cases) > 1 else f"in {cases}"
    handles = [
        Patch(color=ALLOWED, label=f"labels touch ({what})"),
        Patch(color=FORBIDDEN, label="they touch, but in no training truth"),
    ]
    note = "synthetic phantom" if evidence.synthetic else None
    figure.legend(
        handles=handles, loc="outside lower right", ncols=2, fontsize=8, frameon=False, title=note, title_fontsize=7
    )
