"""Which methods cannot be told apart: pairwise signed rank tests over cases and tests over seeds, Holm, as letters.

Methods that share a letter are not significantly different. The letters are a compact letter display by insertion and
absorption (Piepho, doi:10.1198/1061860043515). Where several tasks make up a board, what is tested is each case's mean
rank over the headline's labels and metrics, which is what the headline's order averages.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segbench.ranking.grid import Floats
from segbench.ranking.significance import pairwise_p, smallest_p, wins

ALPHA = 0.05
FEWEST_CASES = 6
"""Cases below which nothing is tested."""
_AFFORDABLE = 10**6
"""Cases times pairs whose tests take no noticeable time."""
_MOST_COLUMNS = 100
_MOST_CASES = 1000


def family(methods: int) -> int:
    """Return the number of tests that Holm adjusts together: all ordered pairs."""
    return methods * (methods - 1)


def smallest_adjusted_p(n: int, methods: int) -> float:
    """Return the smallest p after Holm that n cases can give for so many methods."""
    return min(1.0, family(methods) * smallest_p(n))


def cases_needed(methods: int, alpha: float = ALPHA) -> int:
    """Return the smallest number of cases with which a difference of so many methods can be significant."""
    low = FEWEST_CASES
    return next((n for n in range(low, _MOST_CASES) if smallest_adjusted_p(n, methods) <= alpha), _MOST_CASES)


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


def groups_of(
    values: Floats, direction: int, order: NDArray[np.intp], decimals: int | None, doubt: Floats | None = None
) -> list[str]:
    """Return the letters of K methods, in their own order; empty texts where nothing can be tested.

    Args:
        values: ``(n, K)``, NaN = missing: a pair uses the cases both have.
        direction: +1 or -1.
        order: ``(K,)`` indices of the methods, best first.
        decimals: rounding of differences.
        doubt: ``(K, K)`` p by the seeds' own spread, where there are several; a difference must pass both tests.
    """
    n, K = values.shape
    if K < 2 or n < FEWEST_CASES or n * K * K > _AFFORDABLE or smallest_adjusted_p(n, K) > ALPHA:
        return [""] * K
    p = pairwise_p(values[:, order], direction, decimals=decimals)[0]
    won = wins(p if doubt is None else np.maximum(p, doubt[np.ix_(order, order)]), ALPHA, "holm")
    result = [""] * K
    for place, text in zip(order.tolist(), letters(won | won.T), strict=True):
        result[place] = text
    return result


def mean_case_ranks(ranks: Floats, weights: Floats) -> Floats:
    """Return each case's mean rank over tasks ``(n, K)``, NaN where a case has none.

    Args:
        ranks: ``(T, n, K)`` within cases, NaN = does not count.
        weights: ``(T,)`` what each task counts.
    """
    means = MeanRanks()
    means.add(ranks, weights)
    result = means.result()
    return np.full(ranks.shape[1:], np.nan) if result is None else result


class MeanRanks:
    """Mean ranks of cases over tasks that come a few at a time, as ``mean_case_ranks`` gives them."""

    def __init__(self) -> None:
        self._total: Floats | None = None
        self._share: Floats | float = 0.0

    def add(self, ranks: Floats, weights: Floats) -> None:
        """Add some tasks: ranks ``(T, n, K)``, NaN = does not count, and what each task counts ``(T,)``."""
        used = np.flatnonzero(weights)
        if not used.size:
            return
        part = ranks[used] if used.size < len(weights) else ranks
        gaps = np.isnan(part)
        share: Floats | float
        if gaps.any():
            total = np.tensordot(weights[used], np.where(gaps, 0.0, part), axes=1)
            share = np.tensordot(weights[used], (~gaps).astype(float), axes=1)
        else:
            total, share = np.tensordot(weights[used], part, axes=1), float(weights.sum())
        self._total = total if self._total is None else self._total + total
        self._share = self._share + share

    def result(self) -> Floats | None:
        """Return the means ``(n, K)``; None if no task counts."""
        if self._total is None:
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self._total / self._share)


def attainable_notes(sizes: dict[int, list[str]], methods: int, adjusted: bool = True) -> list[str]:
    """Return a sentence for each number of cases with which no difference can be significant.

    Args:
        sizes: number of cases -> tasks that have so many.
        methods: K.
        adjusted: say it of Holm's family; otherwise of single tests.
    """
    if methods < 2:
        return []
    notes = []
    for n, tasks in sorted(sizes.items()):
        p = smallest_adjusted_p(n, methods) if adjusted else smallest_p(n)
        where = "" if len(sizes) == 1 else f" ({tasks[0]}{f' and {len(tasks) - 1} more' if len(tasks) > 1 else ''})"
        if n < FEWEST_CASES:
            notes.append(f"Fewer than {FEWEST_CASES} cases{where}: nothing is tested.")
        elif p > ALPHA:
            kind = f"after Holm over {methods} methods" if adjusted else "of a single test"
            needed = f"; {cases_needed(methods)} cases are needed" if adjusted else ""
            notes.append(
                f"No test of {n} cases{where} can be significant: smallest attainable p {kind} is {p:.2g}{needed}."
            )
    return notes
