"""What is asked of a leaderboard and what it answers: frozen data, no computation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from segbench.ranking.grid import Cases, Measure
from segbench.ranking.identical import Identical
from segbench.ranking.schemes import Scheme, Ties
from segbench.ranking.significance import DECIMALS, Adjustment
from segbench.types import WHOLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.ranking.bootstrap import Stability
    from segbench.ranking.effects import PriorEffect
    from segbench.ranking.pairwise import Pairwise


@dataclass(frozen=True)
class Request:
    """What is asked of a leaderboard.

    Attributes:
        datasets: names, or ``name@revision`` for the board with that revision; empty = all. Likewise metrics, labels.
        without: runs left out.
        methods: who takes part, by name or as much of it as tells them apart (see ``entrants.meant``); empty = all.
        scheme: how a task is ranked.
        ties: of ranks; None = average ranks inside, minimum ranks in the last column.
        adjustment: of test-then-rank.
        missing: "worst", "drop" or a number; None = worst, and cases must be equal.
        cases: "equal" refuses methods, and seeds of a method, with different cases, "common" keeps the cases all have,
            "union" counts absent values as missing; None = equal, or union if ``missing`` is given.
        bootstrap: resamples of patients for rank intervals; 0 = none.
        seed: of the bootstrap.
        decimals: rounding of paired differences, None for exact parity with R.
        schemes: also rank by all other schemes, seeds and policies; None = if that takes no noticeable time.
        headline: metrics the order rests on, or ``("all",)``; None = those asked for by ``metrics``, or else one
            overlap and one boundary metric where both are there (see ``headline``).
    """

    datasets: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    scheme: Scheme = "rank-then-mean"
    ties: Ties | None = None
    adjustment: Adjustment = "none"
    missing: float | Literal["drop", "worst"] | None = None
    cases: Cases | None = None
    bootstrap: int = 0
    seed: int = 0
    decimals: int | None = DECIMALS
    schemes: bool | None = None
    headline: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Summary:
    """A metric's values of one competitor: mean and sd over cases, and how many values have no number.

    ``left_out`` says how many of these the mean leaves out; for the others stands a number (see ``shown_values``).
    ``expected`` is how many values there should be: cases x seeds x labels.
    """

    mean: float
    sd: float
    undefined: int
    left_out: int = 0
    expected: int = 0

    @property
    def coverage(self) -> float:
        """Share of the values expected that the mean rests on, 0 to 1."""
        return 1 - self.left_out / self.expected if self.expected else 1.0


@dataclass(frozen=True)
class SeedStanding:
    """One competitor in one task by the trainings of one seed: the value's mean, the scheme's aggregate and rank."""

    seed: int
    mean: float
    aggregate: float
    rank: float


@dataclass(frozen=True)
class Standing:
    """One competitor in one task.

    Attributes:
        method: its name.
        aggregate: what the scheme ranked.
        rank: 1 = best.
        n, missing: cases, and how many values are missing.
        summary: of the values.
        group: letters; methods that share one cannot be told apart (see ``grouping``). "" = not tested.
        by_seed: what each seed alone would give.
    """

    method: str
    aggregate: float
    rank: float
    n: int
    missing: int
    summary: Summary
    group: str = ""
    by_seed: tuple[SeedStanding, ...] = ()


@dataclass(frozen=True)
class TaskBoard:
    """One task: a metric of a label; standings in rank order.

    ``smallest_p`` is the smallest one-sided p that so many patients can give, ``smallest_adjusted_p`` the same after
    Holm over all ordered pairs (None with a single method, where there is none); ``headline`` says whether the board's
    order rests on it.
    """

    measure: Measure
    standings: tuple[Standing, ...]
    smallest_p: float = 1.0
    smallest_adjusted_p: float | None = 1.0
    headline: bool = True


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
    """One row of a board.

    Attributes:
        place: on the board.
        seeds, missed: number of seeds, and of structures that were missed.
        summaries: metric -> its values, averaged over the labels of a case.
        group: letters; methods that share one cannot be told apart. "" = not tested.
        by_seed: ``(seed, place)`` if only that seed is looked at.
        seed_sd: metric -> sd over seeds of the mean of all its values; empty with one seed.
        runs: behind it, sorted.
    """

    place: Place
    seeds: int
    missed: int
    summaries: dict[str, Summary]
    group: str = ""
    by_seed: tuple[tuple[int, Place], ...] = ()
    seed_sd: dict[str, float] = field(default_factory=dict)
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """How another scheme orders a board; ``tau`` is Kendall's tau-b with the board's order, NaN if undefined."""

    scheme: Scheme
    tau: float
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Policy:
    """The board under another policy for empty masks and missing values (see ``robustness``).

    ``survives`` says whether the board's first is still (or also) first, ``number`` what replaced missing values.
    """

    name: Literal["worst", "drop", "exclude", "number"]
    survives: bool
    tau: float
    places: tuple[Place, ...]
    number: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Board:
    """One dataset's runs whose truths agree.

    Attributes:
        dataset, revision, synthetic: what was segmented; the revision, of most of the runs, is for reading.
        cases, patients: how many; every case is a patient of its own unless rows name a group.
        labels, metrics: which; ``headline`` are the metrics the order rests on, and come first.
        entries: rows, best first.
        tasks: labels and metrics, ranked one by one.
        notes: what a reader must know.
        agreement: the order by other schemes, if asked for.
        pairs: metric of the headline -> who can be told apart by it, methods sorted by name.
        taus: Kendall's tau between every two schemes.
        policies: the order under other policies; empty = not asked for, or every value is there and no mask is empty.
        seeds: number of seeds whose boards were looked at one by one, 0 = none.
        stability: of the order when patients are drawn again, methods as in ``entries``; None without a bootstrap.
        identical: methods whose values are all the same.
        effects: of each prior against its control and placebo, or of each method against the first.
    """

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
    headline: tuple[str, ...] = ()
    patients: int = 0
    pairs: Mapping[str, Pairwise] = field(default_factory=dict, compare=False)
    taus: dict[tuple[Scheme, Scheme], float] = field(default_factory=dict)
    policies: tuple[Policy, ...] = ()
    seeds: int = 0
    stability: Stability | None = field(default=None, compare=False)
    identical: tuple[Identical, ...] = ()
    effects: tuple[PriorEffect, ...] = ()

    @property
    def name(self) -> str:
        """``dataset@revision``."""
        return f"{self.dataset}@{self.revision}"

    @property
    def structures(self) -> tuple[str, ...]:
        """Labels that stand for a structure: not the whole map, unless there is nothing else."""
        return tuple(label for label in self.labels if label != WHOLE.name) or self.labels

    @property
    def blind(self) -> frozenset[str]:
        """Metrics of the whole map alone on a board of structures: a missed structure costs them nothing."""
        seen = {task.measure.metric for task in self.tasks if task.measure.label != WHOLE.name}
        return frozenset(metric for metric in self.metrics if seen and metric not in seen)


@dataclass(frozen=True)
class Leaderboard:
    """All boards, and the order over datasets; ``stability`` is that of ``overall``, as for a board."""

    request: Request
    boards: tuple[Board, ...]
    overall: tuple[Place, ...]
    notes: tuple[str, ...] = ()
    stability: Stability | None = field(default=None, compare=False)
