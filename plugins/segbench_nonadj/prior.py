"""The adjacency prior: which labels may touch, learnt from truths; numpy only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from segbench_nonadj.contact import case_contacts, window_contacts
from segbench_nonadj.reach import window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench import LabelMap


def learn(truths: Iterable[LabelMap], labels: int, *, size: int = 3, radius: float = 0.0) -> NDArray[np.int64]:
    """Return the contacts summed over truths, int64 ``(K, K)``.

    Args:
        truths: training label maps, ``-1`` = unknown.
        labels: K, background included.
        size: edge of the neighbourhood in voxels; 3 is the 26-neighbourhood (8 where the map has one slice).
        radius: mm; if positive it replaces ``size`` by what it reaches at each map's spacing.
    """
    total = np.zeros((labels, labels), dtype=np.int64)
    for truth in truths:
        total += neighbours(truth, labels, size=size, radius=radius)
    return total


def neighbours(label_map: LabelMap, labels: int, *, size: int = 3, radius: float = 0.0) -> NDArray[np.int64]:
    """Return the contacts of one label map over the neighbourhood of ``learn``, int64 ``(K, K)``."""
    if radius <= 0 and size == 3:
        return case_contacts(label_map, labels)
    return window_contacts(label_map.array, labels, edges(label_map, size=size, radius=radius))


def edges(label_map: LabelMap, *, size: int = 3, radius: float = 0.0) -> tuple[int, ...]:
    """Return the edges in voxels of the neighbourhood of ``learn`` on the grid of a label map."""
    return window(radius, label_map.spacing) if radius > 0 else (size,) * label_map.array.ndim


def forbidden_pairs(counts: NDArray[np.int64], minimum_contacts: int = 1) -> NDArray[np.bool_]:
    """Return the pairs i != j seen in fewer than ``minimum_contacts`` contacts, bool ``(K, K)``, symmetric."""
    forbidden: NDArray[np.bool_] = counts < minimum_contacts
    np.fill_diagonal(forbidden, False)
    return forbidden


def permuted(forbidden: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Return the matrix with its foreground labels renamed at random: as many forbidden pairs, but meaningless ones.

    The background keeps its place, since a prior that forbids it beside most labels would not be of the same strength.
    """
    labels = len(forbidden)
    order = np.arange(labels)
    order[1:] = 1 + np.random.default_rng(seed).permutation(labels - 1)
    renamed: NDArray[np.bool_] = forbidden[np.ix_(order, order)]
    return renamed
