"""Pictures of a contest: critical differences, bootstrapped ranks, cases, ranks over cases, significance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segbench.ranking.bootstrap import Stability
from segbench.reporting.evidence import Contest
from segbench.reporting.svg import ACCENT, INK, LINE, MUTED, PAPER, colour, numbered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 6.4
"""Inches; a figure's natural width on the page is 461 px."""
_ROW = 0.27


def _figure(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def critical_difference_diagram(contest: Contest, methods: Sequence[str]) -> Figure:
    """Draw mean ranks on a line, best to the left; bars join methods that Nemenyi's test does not tell apart.

    Source: Demsar 2006, jmlr.org/papers/v7/demsar06a.html.
    """
    from matplotlib.figure import Figure

    ranks, K, names = contest.friedman.mean_rank, len(methods), numbered(methods, 20)
    order = [int(k) for k in np.argsort(ranks, kind="stable")]
    left = math.ceil(K / 2)
    bars = 0.22 * len(contest.groups)
    height = 1.0 + bars + _ROW * left
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(height, 0)
    margin = 0.45 + 0.075 * (max(map(len, names)) + 6)
    start, stop, line = margin, WIDTH - margin, 0.72

    def place(rank: float) -> float:
        return start + (stop - start) * (rank - 1) / max(K - 1, 1)

    axes.plot([start, stop], [line, line], color=INK, linewidth=1.2)
    for tick in range(1, K + 1, max(1, K // 10)):
        axes.plot([place(tick)] * 2, [line - 0.07, line], color=INK, linewidth=1.2)
        axes.text(place(tick), line - 0.12, str(tick), ha="center", va="bottom", fontsize=9, color=MUTED)
    reach = min(contest.difference, K - 1) if K > 1 else 0
    axes.plot([start, place(1 + reach)], [0.3, 0.3], color=ACCENT, linewidth=2)
    axes.text(start, 0.24, f"critical difference {contest.difference:.2f}", fontsize=9, color=MUTED, va="bottom")
    for level, group in enumerate(contest.groups):
        y = line + 0.16 + 0.22 * level
        inside = ranks[list(group)]
        axes.plot([place(inside.min()) - 0.05, place(inside.max()) + 0.05], [y, y], color=ACCENT, linewidth=4)
    for position, k in enumerate(order):
        first = position < left
        y = line + 0.3 + bars + _ROW * (position if first else K - 1 - position)
        edge = start - 0.1 if first else stop + 0.1
        axes.plot([place(ranks[k])] * 2 + [edge], [line, y, y], color=MUTED, linewidth=0.8, solid_joinstyle="miter")
        text = f"{names[k]} · {ranks[k]:.2f}" if first else f"{ranks[k]:.2f} · {names[k]}"
        axes.text(edge + (-0.06 if first else 0.06), y, text, ha="right" if first else "left", va="center", fontsize=9)
    return figure


def blob_plot(firm: Stability, ranks: Sequence[float], methods: Sequence[str]) -> Figure:
    """Draw how often a method had each rank in the bootstrap (area), the median rank and the 95 % interval.

    Source: Wiesenfarth et al. 2021, doi:10.1038/s41598-021-82017-6.
    """
    K = len(methods)
    order = sorted(range(K), key=lambda k: (ranks[k], firm.mean[k], methods[k]))
    figure, axes = _figure(0.8 + _ROW * K)
    scale = 0.8 * min(1.0, 12 / K)
    for y, k in enumerate(order):
        axes.plot([firm.low[k], firm.high[k]], [y, y], color=MUTED, linewidth=1)
        for level, share in zip(firm.levels, firm.frequency[k], strict=True):
            if share > 0:
                axes.scatter(level, y, s=380 * scale * share, color=colour(k), alpha=0.85, linewidths=0, zorder=2)
        axes.plot(firm.median[k], y, marker="x", color=INK, markersize=5, zorder=3)
    axes.set_yticks(range(K), [numbered(methods)[k] for k in order])
    axes.set_ylim(K - 0.4, -0.6)
    axes.set_xlim(0.5, K + 0.5)
    axes.set_xticks(range(1, K + 1, max(1, K // 10)))
    axes.set_xlabel("rank in resamples of the cases", fontsize=9)
    axes.grid(axis="x", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure


def strip_plot(per_case: NDArray[np.float64], name: str, methods: Sequence[str]) -> Figure:
    """Draw every case as a point, the quartiles as a box and the median as a bar, a row per method.

    Args:
        per_case: ``(n, K)`` values, those that are not finite are left out.
        name: of the metric, with its unit.
        methods: the K methods.
    """
    K = len(methods)
    figure, axes = _figure(0.8 + _ROW * K)
    heights = np.linspace(-0.22, 0.22, 7)[[3, 0, 5, 2, 6, 1, 4]]  # neighbours apart, the same in every drawing
    for y, column in enumerate(per_case.T):
        values = np.sort(column[np.isfinite(column)])
        axes.scatter(values, y + np.resize(heights, values.size), s=9, color=colour(y), alpha=0.7, linewidths=0)
        if values.size:
            low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
            axes.plot([low, high, high, low, low], y + 0.34 * np.array([-1, -1, 1, 1, -1]), color=MUTED, linewidth=0.9)
            axes.plot([median, median], [y - 0.34, y + 0.34], color=INK, linewidth=2)
    axes.set_yticks(range(K), numbered(methods))
    axes.set_ylim(K - 0.4, -0.6)
    axes.set_xlabel(f"{name}, each point a case", fontsize=9)
    axes.grid(axis="x", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure


def rank_heatmap(contest: Contest, methods: Sequence[str]) -> Figure:
    """Draw the share of cases in which a method had each rank."""
    K = len(methods)
    order = [int(k) for k in np.argsort(contest.friedman.mean_rank, kind="stable")]
    figure, axes = _figure(0.9 + _ROW * K)
    _cells(axes, contest.frequency[order], [[_percent(value) for value in line] for line in contest.frequency[order]])
    axes.set_yticks(range(K), [numbered(methods)[k] for k in order])
    axes.set_xticks(range(K), [str(rank + 1) for rank in range(K)])
    axes.set_xlabel("rank within a case (% of cases)", fontsize=9)
    return figure


def _percent(share: float) -> str:
    return "" if share == 0 else "<1" if share < 0.01 else f"{100 * share:.0f}"


def significance_map(contest: Contest, methods: Sequence[str]) -> Figure:
    """Draw which method is significantly better than which: row better than column."""
    K = len(methods)
    order = [int(k) for k in np.argsort(contest.friedman.mean_rank, kind="stable")]
    figure, axes = _figure(1.1 + _ROW * K + 0.05 * K)
    won = contest.better[np.ix_(order, order)]
    _cells(axes, won.astype(float), [["●" if cell else "" for cell in line] for line in won])
    for k in range(K):
        axes.plot([k - 0.25, k + 0.25], [k + 0.25, k - 0.25], color=LINE, linewidth=1)
    axes.set_yticks(range(K), [numbered(methods)[k] for k in order])
    axes.set_xticks(range(K), [str(k + 1) for k in order])
    axes.set_xlabel("row better than column", fontsize=9)
    return figure


def _cells(axes: Axes, shades: np.ndarray[tuple[int, int], np.dtype[np.float64]], texts: list[list[str]]) -> None:
    """Draw a matrix as squares whose opacity is the value in [0, 1], with texts inside."""
    from matplotlib.patches import Rectangle

    rows, columns = shades.shape
    size = 8.5 if columns <= 12 else 6.5
    for i in range(rows):
        for j in range(columns):
            shade: dict[str, Any] = (
                {"facecolor": ACCENT, "alpha": 0.12 + 0.78 * float(shades[i, j])}
                if shades[i, j] > 0
                else {"fill": False}
            )
            frame: dict[str, Any] = {"edgecolor": LINE, "linewidth": 0.6, "clip_on": False}
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, **shade, **frame))
            if texts[i][j]:
                ink = PAPER if shades[i, j] > 0.55 else INK
                axes.text(j, i, texts[i][j], ha="center", va="center", fontsize=size, color=ink)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
