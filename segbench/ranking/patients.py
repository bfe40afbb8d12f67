"""Patients: the units that are drawn, tested and counted. All scans of a patient belong together.

Scans of one patient resemble each other, so they are no independent evidence: tests take a patient's mean over its
scans, resamples draw patients with all their scans, and the fewest "cases" a test needs are patients. A case whose rows
name no patient is one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
NOBODY = -1
"""Fills up a resample whose patients have fewer scans than those of another."""


def patients_of(cases: Sequence[str], groups: Iterable[tuple[str, str | None]]) -> Codes:
    """Return the patient of each case as a number ``(n,)``, in order of first appearance.

    Cases with a common group are of one patient; where runs name several groups for a case, so are all of theirs.

    Args:
        cases: the n cases.
        groups: case and group, as rows say them; an empty group says nothing. Other cases are passed over.
    """
    place = {case: index for index, case in enumerate(cases)}
    root = list(range(len(cases)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    first: dict[str, int] = {}
    for case, group in groups:
        if case in place and group:
            i, j = sorted((find(place[case]), find(first.setdefault(group, place[case]))))
            root[j] = i
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(find(i), len(numbers)) for i in range(len(cases))], dtype=np.intp)


def numbered(patients: ArrayLike) -> tuple[Codes, int]:
    """Return the patients of some cases as numbers from 0 without gaps, in the order of their numbers, and how many."""
    words, numbers = np.unique(np.asarray(patients), return_inverse=True)
    return numbers.astype(np.intp), len(words)


def count(patients: ArrayLike) -> int:
    """Return how many patients some cases are of."""
    return int(np.unique(np.asarray(patients)).size)


def means_of(values: ArrayLike, patients: ArrayLike) -> Floats:
    """Return each patient's mean over its scans ``(patients, ...)``, NaN where it has no value; patients in order.

    Args:
        values: ``(n, ...)``, NaN = none.
        patients: ``(n,)`` of each case.
    """
    array = np.asarray(values, dtype=float)
    numbers, size = numbered(patients)
    if size == len(array):
        return array[np.argsort(numbers, kind="stable")]
    gaps = np.isnan(array)
    total, known = np.zeros((size, *array.shape[1:])), np.zeros((size, *array.shape[1:]))
    with np.errstate(invalid="ignore", divide="ignore"):  # infinities of both signs have no mean
        np.add.at(total, numbers, np.where(gaps, 0.0, array))
        np.add.at(known, numbers, ~gaps)
        return np.asarray(total / known, dtype=float)


def cases_of(drawn: Codes, patients: ArrayLike) -> Codes:
    """Return the cases of drawn patients ``(B, cases)``, ``NOBODY`` where a resample has fewer than the largest.

    Args:
        drawn: ``(B, patients)`` numbers of patients, see ``numbered``.
        patients: ``(n,)`` of each case.
    """
    numbers, size = numbered(patients)
    if size == numbers.size:
        return np.argsort(numbers, kind="stable")[drawn]
    scans = np.bincount(numbers, minlength=size)
    table = np.full((size, int(scans.max(initial=0))), NOBODY, dtype=np.intp)
    order = np.argsort(numbers, kind="stable")
    within = np.arange(numbers.size) - np.repeat(np.cumsum(scans) - scans, scans)
    table[numbers[order], within] = order
    found = table[drawn].reshape(len(drawn), -1)
    longest = int((found != NOBODY).sum(axis=1).max(initial=0))
    if longest == found.shape[1]:
        return found
    first = np.argsort(found == NOBODY, axis=1, kind="stable")[:, :longest]
    return np.take_along_axis(found, first, axis=1)
