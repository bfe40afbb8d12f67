"""Pictures of what runs recorded: the course of training, cost and constraint violation against accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from segbench.costs import Cost
from segbench.reporting.competitors import Runs
from segbench.reporting.svg import INK, colour, drawing, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[str, float, float]
"""Method, abscissa, ordinate."""
Series = tuple[list[int], list[float]]
"""Epochs from 1, values."""
_MOST_PANELS = 12


def curves(runs: Runs, methods: Sequence[str]) -> Figure | None:
    """Draw validation measures and training losses over epochs: a thin line per run, coloured by method."""
    lines = [
        (name, methods.index(method), points)
        for method, own in runs.of.items()
        for run in own
        for name, points in _series(run.history())
    ]
    names = sorted({name for name, _, _ in lines}, key=lambda name: (not name.startswith("val/"), name))[:_MOST_PANELS]
    if not names:
        return None
    with drawing():
        return _curves(names, lines)


def _curves(names: Sequence[str], lines: Sequence[tuple[str, int, Series]]) -> Figure:
    from matplotlib.figure import Figure

    columns = min(len(names), 3)
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(3.4 * columns, 2.3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for place, axes in enumerate(grid.flat):
        if place >= len(names):
            axes.set_axis_off()
            continue
        for name, k, (epochs, values) in lines:
            if name == names[place]:
                single = "o" if len(epochs) == 1 else None
                axes.plot(epochs, values, color=colour(k), linewidth=1.2, alpha=0.9, marker=single, markersize=3)
        axes.set_title(names[place])
        axes.grid(linewidth=0.6)
        if place + columns >= len(names):
            axes.set_xlabel("epoch", fontsize=9)
            axes.xaxis.set_tick_params(labelbottom=True)
    return figure


def _series(history: Sequence[object]) -> Iterator[tuple[str, Series]]:
    """Yield the validation and training series of a history, epochs from 1."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for row in history:
        assert isinstance(row, dict)
        name = str(row["name"])
        if name.startswith(("val/", "train/")):
            epochs, values = found.setdefault(name, ([], []))
            value = row["value"]
            epochs.append(int(row["epoch"]) + 1)
            values.append(float(value) if value is not None and math.isfinite(value) else math.nan)
    yield from found.items()


def cost_figure(costs: Sequence[Cost], accuracy: dict[str, float], name: str, methods: Sequence[str]) -> Figure | None:
    """Draw accuracy against seconds, peak memory and parameters, one panel for each that was recorded."""
    ways: tuple[tuple[str, Callable[[Cost], float | None]], ...] = (
        ("training, s", lambda one: one.seconds),
        ("peak memory, GiB", lambda one: None if one.memory is None else one.memory / 2**30),
        ("parameters, millions", lambda one: None if one.parameters is None else one.parameters / 1e6),
    )
    panels = []
    for label, way in ways:
        found = [(one.method, way(one), accuracy.get(one.method, math.nan)) for one in costs]
        points = [(method, x, y) for method, x, y in found if x is not None and math.isfinite(y)]
        if points:
            panels.append((label, points))
    return _drawn(panels, name, methods)


def scatter(panels: Sequence[tuple[str, Sequence[Point]]], name: str, methods: Sequence[str]) -> Figure | None:
    """Draw accuracy against other measures, one panel each."""
    return _drawn([(label, list(points)) for label, points in panels if points], name, methods)


def _drawn(panels: Sequence[tuple[str, list[Point]]], name: str, methods: Sequence[str]) -> Figure | None:
    if not panels:
        return None
    with drawing():
        return _panels(panels, name, methods)


def _panels(panels: Sequence[tuple[str, list[Point]]], name: str, methods: Sequence[str]) -> Figure:
    from matplotlib.figure import Figure

    columns = min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(3.4 * columns, 2.8 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for place, axes in enumerate(grid.flat):
        if place < len(panels):
            _points(axes, *panels[place], methods)
            if place % columns == 0:
                axes.set_ylabel(name, fontsize=9)
        else:
            axes.set_axis_off()
    return figure


def _points(axes: Axes, label: str, points: Sequence[Point], methods: Sequence[str]) -> None:
    for method, x, y in points:
        k = methods.index(method)
        axes.scatter(x, y, s=44, color=colour(k), linewidths=0, zorder=2)
        axes.annotate(str(k + 1), (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8, color=INK)
    axes.set_xlabel(short(label), fontsize=9)
    axes.margins(0.15)
    axes.grid(linewidth=0.6)
    axes.set_axisbelow(True)
