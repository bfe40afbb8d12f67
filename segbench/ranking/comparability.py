"""Which values may stand side by side: the same metrics and the same cases for all, or a refusal in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segbench.errors import VerificationError
from segbench.ranking.boards import Request
from segbench.ranking.grid import Grid


def comparable(grid: Grid, request: Request) -> Grid:
    """Return the part of a grid that is alike for all competitors, or refuse.

    Raises:
        VerificationError: names who lacks which metric or cases, and the options that help.
    """
    mode = request.cases or ("equal" if request.missing is None else "union")
    if mode == "union":
        absent = int(((grid.rows == 0) & grid.scored()[:, :, None]).sum())
        if absent:
            grid.notes.append(f"{absent} values are absent altogether and count as missing.")
        return grid
    grid = _shared_metrics(grid, request)
    there = grid.rows > 0
    odd = np.asarray(there.any(axis=2) & ~there.all(axis=2))  # (T, n) scored for some, not for all
    if not odd.any():
        return grid
    if mode == "equal":
        raise VerificationError(_unequal(grid, odd))
    for name in ("total", "rows", "undefined", "missed"):
        getattr(grid, name)[odd] = 0
    kept = np.asarray((grid.rows > 0).any(axis=(0, 2)))
    usable = np.flatnonzero((grid.rows > 0).any(axis=(1, 2)))
    if not kept.any():
        raise VerificationError(f"{grid.dataset}@{grid.revision}: no case was scored for all methods.")
    grid.notes.append(f"Restricted to the {int(kept.sum())} of {len(kept)} cases that all methods have.")
    return grid.restrict(usable, kept)


def _shared_metrics(grid: Grid, request: Request) -> Grid:
    metrics = sorted({measure.metric for measure in grid.measures})
    of = np.array([metrics.index(measure.metric) for measure in grid.measures])
    scored = np.asarray(grid.rows.any(axis=1))  # (T, K)
    has = np.stack([scored[of == q].any(axis=0) for q in range(len(metrics))])  # (Q, K)
    partial = [metric for q, metric in enumerate(metrics) if not has[q].all()]
    if not partial:
        return grid
    without = {
        metric: _some([name for k, name in enumerate(grid.competitors) if not has[metrics.index(metric), k]])
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
    without = _some([name for k, name in enumerate(grid.competitors) if not there[t, case, k]])
    return (
        f"{grid.dataset}@{grid.revision}: the methods were not scored on the same cases ({measure.metric} of "
        f"{measure.label}: {sets} cases; case {grid.cases[case]} is not there for {without}). "
        f"Evaluate them on the same cases, or use --cases common (only the cases all have) or --cases union "
        f"(absent values count as missing)."
    )


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
