"""Which values may stand side by side: the same metrics and the same cases for all, or a refusal in words."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from segbench.errors import VerificationError
from segbench.names import first_few
from segbench.ranking.boards import Request
from segbench.ranking.grid import Grid


def comparable(grid: Grid, request: Request) -> Grid:
    """Return the part of a grid that is alike for all competitors, or refuse.

    Raises:
        VerificationError: names who lacks which metric or cases, and the options that help.
    """
    mode = request.cases or ("equal" if request.missing is None else "union")
    if mode == "union":
        return _completed(grid, request)
    grid = _shared_metrics(grid, request)
    there = grid.rows > 0
    odd = np.asarray(there.any(axis=2) & ~there.all(axis=2))  # (T, n) scored for some, not for all
    partial = np.asarray(grid.absent.any(axis=2))  # (T, n) scored by some seeds of a method, not by all
    if not (odd.any() or partial.any()):
        return grid
    if mode == "equal":
        raise VerificationError(_unequal(grid, odd) if odd.any() else _uneven(grid))
    for name in ("total", "rows", "undefined", "missed", "absent"):
        getattr(grid, name)[odd | partial] = 0
    grid = dataclasses.replace(grid, repeats=grid.repeats.without(odd | partial))
    kept = np.asarray((grid.rows > 0).any(axis=(0, 2)))
    usable = np.flatnonzero((grid.rows > 0).any(axis=(1, 2)))
    if not kept.any():
        raise VerificationError(f"{grid.dataset}@{grid.revision}: no case was scored for all methods.")
    grid.notes.append(f"Restricted to the {int(kept.sum())} of {len(kept)} cases that all methods have.")
    return grid.restrict(usable, kept)


def _completed(grid: Grid, request: Request) -> Grid:
    """Return the grid with a row without value for every repetition that lacks one, and a note that counts them."""
    nothing = (grid.rows == 0) & grid.scored()[:, :, None]
    gone = int(nothing.sum() + grid.absent.sum())
    if not gone:
        return grid
    fate = "are left out" if request.missing == "drop" else "count as missing"
    grid.notes.append(f"{gone} values are absent altogether and {fate}.")
    more = {name: getattr(grid, name) + grid.absent for name in ("rows", "undefined", "missed")}
    repeats = grid.repeats.completed(grid.absent > 0, nothing)
    return dataclasses.replace(grid, absent=np.zeros_like(grid.absent), repeats=repeats, **more)


def _shared_metrics(grid: Grid, request: Request) -> Grid:
    metrics = sorted({measure.metric for measure in grid.measures})
    of = np.array([metrics.index(measure.metric) for measure in grid.measures])
    scored = np.asarray(grid.rows.any(axis=1))  # (T, K)
    has = np.stack([scored[of == q].any(axis=0) for q in range(len(metrics))])  # (Q, K)
    partial = [metric for q, metric in enumerate(metrics) if not has[q].all()]
    if not partial:
        return grid
    without = {
        metric: first_few([name for k, name in enumerate(grid.competitors) if not has[metrics.index(metric), k]])
        for metric in partial
    }
    lacking = "; ".join(f"{metric} is not there for {names}" for metric, names in without.items())
    if request.metrics or len(partial) == len(metrics):
        raise VerificationError(
            f"{grid.dataset}@{grid.revision}: {lacking}. Choose metrics that all methods have with --metric, "
            f"evaluate the others again, leave runs out with --without RUN, or rank what is absent last with "
            f"--cases union."
        )
    grid.notes.append(f"Left off the board: {lacking}.")
    return grid.restrict(np.flatnonzero([metrics[q] not in partial for q in of]))


def _unequal(grid: Grid, odd: NDArray[np.bool_]) -> str:
    there = grid.rows > 0
    t = int(np.flatnonzero(odd.any(axis=1))[0])
    measure = grid.measures[t]
    counts = there[t].sum(axis=0)
    sets = "; ".join(f"{name} has {count}" for name, count in zip(grid.competitors, counts, strict=True))
    case = int(np.flatnonzero(odd[t])[0])
    without = first_few([name for k, name in enumerate(grid.competitors) if not there[t, case, k]])
    return (
        f"{grid.dataset}@{grid.revision}: the methods were not scored on the same cases ({measure.metric} of "
        f"{measure.label}: {sets} cases; case {grid.cases[case]} is not there for {without}). "
        f"Evaluate them on the same cases, or use --cases common (only the cases all have) or --cases union "
        f"(absent values count as missing)."
    )


def _uneven(grid: Grid) -> str:
    t, c, k = (int(index[0]) for index in np.nonzero(grid.absent))
    measure, method = grid.measures[t], grid.competitors[k]
    count = int((grid.absent > 0).any(axis=(0, 2)).sum())
    return (
        f"{grid.dataset}@{grid.revision}: not every seed was scored on the same cases: {measure.metric} of "
        f"{measure.label} in case {grid.cases[c]} is there for some seeds of {method}, not for all ({count} "
        f"{'case' if count == 1 else 'cases'} in all). Evaluate all seeds on the same cases, or use --cases common "
        f"(only the cases all have) or --cases union (absent values count as missing)."
    )
