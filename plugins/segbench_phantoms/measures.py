"""Measures of a set of label maps: sizes, neighbours, and how well one subject's neighbours predict another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]


def adjacency(labels: Integers, count: int, neighbours: int = 26) -> Flags:
    """Return which pairs of labels touch.

    Args:
        labels: (D, H, W) values 0..count.
        count: number of foreground labels.
        neighbours: 6 or 26.

    Returns:
        Symmetric (count + 1, count + 1), row 0 is the background, diagonal false.
    """
    steps = [step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]
    if neighbours == 6:
        steps = [step for step in steps if sum(map(abs, step)) == 1]
    flat = labels.astype(np.int64)
    touch = np.zeros((count + 1) ** 2, bool)
    for step in steps:
        here = tuple(slice(max(0, -move), size - max(0, move)) for move, size in zip(step, flat.shape, strict=True))
        there = tuple(slice(max(0, move), size - max(0, -move)) for move, size in zip(step, flat.shape, strict=True))
        touch[(flat[here] * (count + 1) + flat[there]).ravel()] = True
    table = touch.reshape(count + 1, count + 1)
    table = table | table.T
    np.fill_diagonal(table, False)
    return table


def volumes(labels: Integers, count: int, spacing: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the volume of every foreground label in mm3, shape (count,).

    Args:
        labels: (D, H, W) values 0..count.
        count: number of foreground labels.
        spacing: mm per axis.
    """
    counts = np.bincount(labels.ravel(), minlength=count + 1)[1:].astype(np.float64)
    return counts * float(np.prod(spacing))


@dataclass(frozen=True, slots=True)
class Summary:
    """Statistics of a set of subjects; pairs are unordered foreground pairs.

    Args:
        pairs6: adjacent pairs per subject, face neighbours, sorted.
        pairs26: the same, face, edge or corner neighbours, sorted.
        union6: pairs adjacent in at least one subject.
        union26: the same for 26 neighbours.
        forbidden26: pairs adjacent in no subject.
        always26: pairs adjacent in every subject.
        degree: (mean, median, min, max) neighbours of a label in a subject (mean, median) and in label medians.
        surprises: forbidden pairs met in each subject held out from a prior of `prior` others, sorted.
        volume_min, volume_median, volume_max, volume_total: of the labels' median volumes, mm3.
        missing: (label, subject) combinations without a voxel.
    """

    pairs6: tuple[int, ...]
    pairs26: tuple[int, ...]
    union6: int
    union26: int
    forbidden26: int
    always26: int
    degree: tuple[float, float, int, int]
    surprises: tuple[int, ...]
    volume_min: float
    volume_median: float
    volume_max: float
    volume_total: float
    missing: int


def summarise(maps: Sequence[Integers], count: int, spacing: Sequence[float], prior: int = 10) -> Summary:
    """Measure a set of label maps.

    Args:
        maps: each (D, H, W), values 0..count.
        count: number of foreground labels.
        spacing: mm per axis.
        prior: subjects whose union of neighbours is the prior that the others are held against.
    """
    upper = np.triu(np.ones((count, count), bool), 1)
    tables6 = np.array([adjacency(labels, count, 6)[1:, 1:] & upper for labels in maps])
    tables = np.array([adjacency(labels, count, 26)[1:, 1:] & upper for labels in maps])
    sizes = np.array([volumes(labels, count, spacing) for labels in maps])
    typical = np.median(sizes, axis=0)
    degrees = np.array([(table | table.T).sum(axis=1) for table in tables])
    known = tables[:prior].any(axis=0)
    return Summary(
        pairs6=tuple(sorted(int(table.sum()) for table in tables6)),
        pairs26=tuple(sorted(int(table.sum()) for table in tables)),
        union6=int(tables6.any(axis=0).sum()),
        union26=int(tables.any(axis=0).sum()),
        forbidden26=int(upper.sum() - tables.any(axis=0).sum()),
        always26=int(tables.all(axis=0).sum()),
        degree=(float(degrees.mean()), float(np.median(degrees)), int(degrees.min()), int(degrees.max())),
        surprises=tuple(sorted(int((table & ~known).sum()) for table in tables[prior:])),
        volume_min=float(typical.min()),
        volume_median=float(np.median(typical)),
        volume_max=float(typical.max()),
        volume_total=float(sizes.sum(axis=1).mean()),
        missing=int((sizes == 0).sum()),
    )
