"""What is asked of a leaderboard and what it answers: frozen data, no computation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segbench.ranking.grid import Cases, Measure
from segbench.ranking.schemes import Scheme, Ties
from segbench.ranking.significance import DECIMALS, Adjustment


@dataclass(frozen=True)
class Request:
    """What is asked of a leaderboard.

    Attributes:
        datasets: names or ``name@revision``; empty = all. Likewise metrics, labels.
        without: runs left out.
        scheme: how a task is ranked.
        ties: of ranks; None = average ranks inside, minimum ranks in the last column.
        adjustment: of test-then-rank.
        missing: "worst", "drop" or a number; None = worst, and cases must be equal.
        cases: "equal" refuses methods with different cases, "common" keeps the cases all have, "union" counts absent
            values as missing; None = equal, or union if ``missing`` is given.
        bootstrap: resamples of cases for rank intervals; 0 = none.
        seed: of the bootstrap.
        decimals: rounding of paired differences, None for exact parity with R.
        schemes: also rank by all other schemes; None = if that takes no noticeable time.
    """

    datasets: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    scheme: Scheme = "rank-then-mean"
    ties: Ties | None = None
    adjustment: Adjustment = "none"
    missing: float | Literal["drop", "worst"] | None = None
    cases: Cases | None = None
    bootstrap: int = 0
    seed: int = 0
    decimals: int | None = DECIMALS
    schemes: bool | None = None


@dataclass(frozen=True)
class Summary:
    """A metric's values of one competitor: mean and sd over cases, and how many values have no number."""

    mean: float
    sd: float
    undefined: int


@dataclass(frozen=True)
class Standing:
    """One competitor in one task. ``aggregate`` is what the scheme ranked."""

    method: str
    aggregate: float
    rank: float
    n: int
    missing: int
    summary: Summary


@dataclass(frozen=True)
class TaskBoard:
    """One task: a metric of a label; standings in rank order."""

    measure: Measure
    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class Place:
    """One competitor's place on a board or overall; the last three need a bootstrap."""

    method: str
    mean_rank: float
    rank: int
    rank_low: float | None = None
    rank_high: float | None = None
    p_first: float | None = None


@dataclass(frozen=True)
class Entry:
    """One row of a board: the place, and each metric averaged over the labels of a case."""

    place: Place
    seeds: int
    missed: int
    summaries: dict[str, Summary]


@dataclass(frozen=True)
class Agreement:
    """How another scheme orders a board; ``tau`` is Kendall's tau-b with the board's order, NaN if undefined."""

    scheme: Scheme
    tau: float
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Board:
    """One dataset revision."""

    dataset: str
    revision: str
    synthetic: bool
    cases: int
    labels: tuple[str, ...]
    metrics: dict[str, Measure]
    entries: tuple[Entry, ...]
    tasks: tuple[TaskBoard, ...]
    notes: tuple[str, ...]
    agreement: tuple[Agreement, ...] = ()


@dataclass(frozen=True)
class Leaderboard:
    """All boards, and the order over datasets."""

    request: Request
    boards: tuple[Board, ...]
    overall: tuple[Place, ...]
    notes: tuple[str, ...] = ()
