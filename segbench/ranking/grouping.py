"""Letters of methods that cannot be told apart (see ``pairwise``), and the tests that cannot be significant.

The letters are a compact letter display by insertion and absorption (Piepho, doi:10.1198/1061860043515). Where an order
rests on several metrics, methods share a letter if no metric tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from segbench.ranking.pairwise import ALPHA, FEWEST, Pairwise
from segbench.ranking.significance import smallest_p

_AFFORDABLE = 5 * 10**6
"""Patients times pairs times metrics whose tests take no noticeable time."""
_MOST_COLUMNS = 100
_MOST_CASES = 1000


def family(methods: int) -> int:
    """Return the number of tests that Holm adjusts together: all ordered pairs."""
    return methods * (methods - 1)


def smallest_adjusted_p(n: int, methods: int) -> float:
    """Return the smallest p after Holm that n patients can give for so many methods."""
    return min(1.0, family(methods) * smallest_p(n))


def cases_needed(methods: int, level: float = ALPHA) -> int:
    """Return the smallest number of patients with which a difference of so many methods can be significant."""
    return next((n for n in range(FEWEST, _MOST_CASES) if smallest_adjusted_p(n, methods) <= level), _MOST_CASES)


def letters(different: ArrayLike) -> list[str]:
    """Return the letters of each method; two methods share one exactly if they are not different.

    Args:
        different: ``(K, K)`` symmetric, methods in rank order.

    Returns:
        K texts such as "a", "ab", "b"; empty texts if there would be too many letters to be of use.
    """
    matrix = np.asarray(different, dtype=bool)
    K = len(matrix)
    columns = [frozenset(range(K))]
    for i, j in zip(*np.nonzero(np.triu(matrix, 1)), strict=True):
        split = [part for column in columns for part in _without(column, int(i), int(j))]
        columns = [one for one in dict.fromkeys(split) if not any(one < other for other in split)]
        if len(columns) > _MOST_COLUMNS:
            return [""] * K
    ordered = sorted(columns, key=sorted)
    return ["".join(_letter(index) for index, column in enumerate(ordered) if k in column) for k in range(K)]


def _without(column: frozenset[int], i: int, j: int) -> list[frozenset[int]]:
    return [column - {i}, column - {j}] if {i, j} <= column else [column]


def _letter(index: int) -> str:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return alphabet[index] if index < len(alphabet) else f"({index + 1})"


def can_tell(one: Pairwise) -> bool:
    """Return whether there are patients enough for some difference to be significant, or one is (by tied sizes)."""
    return one.tested and bool(one.family * smallest_p(one.size) <= one.level() or one.better().any())


def groups_of(pairs: Iterable[Pairwise], methods: Sequence[str]) -> dict[str, str]:
    """Return the letters of K methods; empty texts where nothing can be tested.

    Args:
        pairs: by each metric that counts; methods share a letter exactly if none of them tells them apart.
        methods: the K methods, best first; the pairs may be of more.
    """
    able = [one for one in pairs if can_tell(one)]
    if not able or sum(one.size * one.methods**2 for one in able) > _AFFORDABLE:
        return dict.fromkeys(methods, "")
    better = np.zeros((len(methods), len(methods)), dtype=bool)
    for one in able:
        order = [one.names.index(name) for name in methods]
        better |= one.better()[np.ix_(order, order)]
    return dict(zip(methods, letters(better | better.T), strict=True))


def attainable_notes(
    sizes: dict[int, list[str]], methods: int, noun: str = "case", level: float = ALPHA, adjusted: bool = True
) -> list[str]:
    """Return a sentence for each number of patients with which no difference can be significant.

    Args:
        sizes: number of patients -> tasks that have so many.
        methods: K.
        noun: what they are called: "case" where every patient has one.
        level: that claims are held to.
        adjusted: say it of Holm's family; otherwise of single tests.
    """
    if methods < 2:
        return []
    notes = []
    for n, tasks in sorted(sizes.items()):
        p = smallest_adjusted_p(n, methods) if adjusted else smallest_p(n)
        where = "" if len(sizes) == 1 else f" ({tasks[0]}{f' and {len(tasks) - 1} more' if len(tasks) > 1 else ''})"
        if n < FEWEST:
            notes.append(f"Fewer than {FEWEST} {noun}s{where}: nothing is tested.")
        elif p > level:
            kind = f"after Holm over {methods} methods" if adjusted else "of a single test"
            needed = f"; {cases_needed(methods, level)} {noun}s are needed" if adjusted else ""
            held = "" if level == ALPHA else f" where {level:g} must be reached"
            notes.append(
                f"No test of {n} {noun}s{where} can be significant: smallest attainable p {kind} is {p:.2g}{held}"
                f"{needed}."
            )
    return notes
