"""The slice with most forbidden contacts: truth and runs side by side, contacts marked, magnified below."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

from segbench_nonadj.evidence import truth_of
from segbench_nonadj.location import forbidden_touches
from segbench_nonadj.matrices import FORBIDDEN, arrange
from segbench_nonadj.orientation import Plane, plane_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from segbench import Case, FinishedRun, LabelMap
    from segbench_nonadj.evidence import Evidence

MARGIN = 4
"""Voxels shown around the head."""
MOST_CENTRES = 500
"""Voxels tried as the middle of the magnified square."""


@dataclass(frozen=True)
class Column:
    """A panel of the chosen case.

    Attributes:
        title: shown above.
        count: forbidden contacts in the whole case.
        labels: label map ``(D, H, W)``.
        marked: voxels that take part in a forbidden contact, ``(D, H, W)``.
        pairs, voxels: the label pair ``(n, 2)`` of each forbidden contact and one of its voxels ``(n, 3)``; every
            contact twice, once for each voxel.
    """

    title: str
    count: int
    labels: NDArray[np.integer[Any]]
    marked: NDArray[np.bool_]
    pairs: NDArray[np.int64]
    voxels: NDArray[np.int64]


def draw(
    evidence: Evidence, runs: Sequence[FinishedRun], cases: Sequence[str], *, axis: int | None, zoom: float
) -> Figure:
    """Return the montage.

    Args:
        evidence: counts and forbidden pairs of all cases.
        runs: in the order of ``evidence.panels[1:]``.
        cases: the case is the one of these with most forbidden contacts in any run.
        axis: that is sliced; None = the coarsest.
        zoom: edge of the magnified square, mm.
    """
    per_case = np.stack([(panel.counts * evidence.forbidden).sum(axis=(1, 2)) for panel in evidence.panels[1:]]).max(0)
    name = max(cases, key=lambda case: int(per_case[evidence.cases.index(case)]))
    case = runs[0].case(name)
    maps = [truth_of(runs[0], name), *(run.prediction(name) for run in runs)]
    columns = [
        _column(panel.title, label_map, evidence.forbidden)
        for panel, label_map in zip(evidence.panels, maps, strict=True)
    ]
    axis = int(np.argmax(case.spacing)) if axis is None else axis
    other = tuple(each for each in range(3) if each != axis)
    sums = np.stack([column.marked.sum(axis=other) for column in columns])  # (panels, slices)
    best = sums[1:].max(axis=0) if sums[1:].any() else sums[0]
    index = int(best.argmax()) if best.any() else len(best) // 2
    plane = plane_of(case.spacing, case.affine, axis)
    return _page(evidence, case, columns, plane, index, zoom)


def _column(title: str, label_map: LabelMap, forbidden: NDArray[np.bool_]) -> Column:
    array = label_map.array
    pairs, ones, twos = forbidden_touches(array, forbidden, (3,) * array.ndim)
    voxels = np.concatenate([ones, twos])
    marked = np.zeros(array.shape, dtype=bool)
    marked[tuple(voxels.T)] = True
    return Column(title, len(pairs), array, marked, np.concatenate([pairs, pairs]), voxels)


def _page(evidence: Evidence, case: Case, columns: Sequence[Column], plane: Plane, index: int, zoom: float) -> Figure:
    image = plane.take(case.image[0], index)
    labels = [plane.take(column.labels, index) for column in columns]
    marked = [plane.take(column.marked, index) for column in columns]
    head = _head(image, labels)
    square = _square(marked[1:], plane, zoom, head)
    tall = (head[0].stop - head[0].start) * plane.steps[0] / ((head[1].stop - head[1].start) * plane.steps[1])
    blocks, per_row = arrange(len(columns))
    edge = 2.4
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.05, hspace=0.0, rect=(0, 0, 1, 0.985))
    figure = Figure(figsize=(edge * per_row, blocks * (edge * (tall + 1.0) + 0.66) + 0.28), layout=layout)
    grid = figure.subplots(2 * blocks, per_row, squeeze=False, height_ratios=[tall, 1.0] * blocks)
    for axes in grid.flat:
        axes.set_visible(False)
    colours = label_colours(len(evidence.labels))
    for number, column in enumerate(columns):
        row, place = divmod(number, per_row)
        for axes, box in ((grid[2 * row][place], head), (grid[2 * row + 1][place], square)):
            axes.set_visible(True)
            _slice(axes, image, labels[number], marked[number], colours, plane)
            _frame(axes, box)
        _annotate(grid[2 * row][place], column, square, plane)
        grid[2 * row + 1][place].set_xlabel(_worst_pair(column, evidence.labels, plane, index, square), fontsize=6.5)
    phantom = ", synthetic phantom" if evidence.synthetic else ""
    what = "red: voxels in contact (in 3D) with a label that theirs touches in no training truth"
    figure.supxlabel(f"{case.id}{phantom}, slice {index}; {what}", fontsize=7)
    return figure


def _annotate(axes: Axes, column: Column, square: tuple[slice, slice], plane: Plane) -> None:
    corner = (square[1].start - 0.5, square[0].start - 0.5)
    width, height = square[1].stop - square[1].start, square[0].stop - square[0].start
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="white", linewidth=0.8))
    for letter, x, side in ((plane.left, 0.02, "left"), (plane.right, 0.98, "right")):
        axes.text(x, 0.98, letter, transform=axes.transAxes, color="white", fontsize=7, ha=side, va="top")
    axes.set_title(f"{column.title}\n{column.count} forbidden contacts", fontsize=8)


def _worst_pair(column: Column, names: Sequence[str], plane: Plane, index: int, square: tuple[slice, slice]) -> str:
    """Return in words the forbidden pair with most contacts in the magnified square."""
    seen = np.zeros(column.labels.shape, dtype=bool)
    plane.take(seen, index)[square] = True  # a view
    pairs = column.pairs[seen[tuple(column.voxels.T)]]
    if not len(pairs):
        return "no forbidden contact here\n"
    distinct, amounts = np.unique(pairs, axis=0, return_counts=True)
    one, two = (names[label] for label in distinct[amounts.argmax()])
    return f"{one}\ntouches {two}"


def _head(image: NDArray[Any], label_slices: Sequence[NDArray[Any]]) -> tuple[slice, slice]:
    """Return the box around the head: bright voxels and every label, and a margin."""
    low, high = np.percentile(image, [1, 99])
    inside = image > low + 0.15 * (high - low)
    for labels in label_slices:
        inside = inside | (labels > 0)
    return _box(inside, image.shape)


def _box(inside: NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[slice, slice]:
    where = np.argwhere(inside)
    if not len(where):
        return slice(0, shape[0]), slice(0, shape[1])
    low, high = np.maximum(where.min(axis=0) - MARGIN, 0), np.minimum(where.max(axis=0) + 1 + MARGIN, shape)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def _square(
    marked: Sequence[NDArray[np.bool_]], plane: Plane, zoom: float, head: tuple[slice, slice]
) -> tuple[slice, slice]:
    """Return the square of ``zoom`` mm that holds most marked voxels of the worst run, or the middle of the head."""
    shape = marked[0].shape
    sizes = [min(n, max(3, round(zoom / step))) for n, step in zip(shape, plane.steps, strict=True)]
    worst = max(marked, key=lambda mask: int(mask.sum()))
    centre = [(part.start + part.stop) // 2 for part in head]
    if worst.any():
        where = np.argwhere(worst)
        tried = where[:: len(where) // MOST_CENTRES + 1]
        near = np.abs(tried[:, None] - where[None]) <= np.array(sizes) // 2 - 1  # (tried, n, 2)
        centre = tried[near.all(axis=2).sum(axis=1).argmax()].tolist()
    starts = [min(max(one - size // 2, 0), n - size) for one, size, n in zip(centre, sizes, shape, strict=True)]
    rows, columns = (slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
    return rows, columns


def _slice(
    axes: Axes,
    image: NDArray[Any],
    labels: NDArray[Any],
    marked: NDArray[np.bool_],
    colours: NDArray[np.float64],
    plane: Plane,
) -> None:
    low, high = np.percentile(image, [1, 99.5])
    aspect = plane.steps[0] / plane.steps[1]
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest", aspect=aspect)
    axes.imshow(colours[np.maximum(labels, 0)], interpolation="nearest", aspect=aspect)
    axes.add_collection(LineCollection(outline(marked), colors="white", linewidths=2.4, capstyle="projecting"))
    axes.add_collection(LineCollection(outline(marked), colors=FORBIDDEN, linewidths=1.5, capstyle="projecting"))


def _frame(axes: Axes, box: tuple[slice, slice]) -> None:
    axes.set_xlim(box[1].start - 0.5, box[1].stop - 0.5)
    axes.set_ylim(box[0].stop - 0.5, box[0].start - 0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def outline(mask: NDArray[np.bool_]) -> list[list[tuple[float, float]]]:
    """Return the pixel edges around a mask ``(H, W)`` as segments of (x, y)."""
    padded = np.pad(mask, 1).astype(np.int8)
    rows, columns = np.nonzero(np.diff(padded, axis=0)[:, 1:-1])
    segments = [[(x - 0.5, y - 0.5), (x + 0.5, y - 0.5)] for y, x in zip(rows.tolist(), columns.tolist(), strict=True)]
    rows, columns = np.nonzero(np.diff(padded, axis=1)[1:-1])
    return segments + [
        [(x - 0.5, y - 0.5), (x - 0.5, y + 0.5)] for y, x in zip(rows.tolist(), columns.tolist(), strict=True)
    ]


def label_colours(labels: int) -> NDArray[np.float64]:
    """Return RGBA ``(K, 4)``: the same colour for the same label in every picture; the background is clear."""
    colours = np.zeros((labels, 4))
    for value in range(1, labels):
        hue = (0.55 + 0.618034 * value) % 1.0  # the golden ratio keeps neighbours apart
        if not 0.04 < hue < 0.96:
            hue = 0.08 + hue % 0.5  # red is for what is forbidden
        colours[value] = (*colorsys.hls_to_rgb(hue, (0.45, 0.6, 0.72)[value % 3], 0.65), 0.55)
    return colours
