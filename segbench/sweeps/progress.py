"""How far a sweep is: what is done, what is running and where, and the time that is left, as lines of text."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segbench.sweeps.work import News

LEAST = 0.02
"""Share of one cell that must be done before anything is said of the time that is left."""


@dataclass
class Running:
    """A cell that is being carried out: its title, its latest news, and how much was done when it was taken up."""

    title: str
    news: News = field(default_factory=News)
    taken_up: float | None = None


@dataclass
class Sweep:
    """A sweep on its way.

    Attributes:
        titles: of the cells that have something to do.
        before: cells that were finished before it began.
        impossible: cells that cannot begin.
        clock: returns seconds.
    """

    titles: Sequence[str]
    before: int = 0
    impossible: int = 0
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.running: dict[int, Running] = {}
        self.ended = 0
        self.failed = self.impossible
        self.begun = self.clock()

    @property
    def total(self) -> int:
        """Number of cells, those finished before included."""
        return self.before + self.impossible + len(self.titles)

    @property
    def done(self) -> int:
        """Number of cells that are finished or have failed."""
        return self.before + self.impossible + self.ended

    @property
    def worked(self) -> float:
        """Number of cells, with the shares of those that are running."""
        return self.done + sum(one.news.done for one in self.running.values())

    def heard(self, index: int, news: News) -> None:
        """Take in the news of a cell."""
        cell = self.running.setdefault(index, Running(self.titles[index]))
        if cell.taken_up is None and news.epochs:
            cell.taken_up = news.done
        cell.news = news

    def over(self, index: int, row: Mapping[str, Any]) -> None:
        """Take in that a cell has ended."""
        self.running.pop(index, None)
        self.ended += 1
        self.failed += row["status"] in ("failed", "incompatible")

    def left(self) -> float | None:
        """Return the seconds that are left, from how long what was done took; None before anything is known."""
        worked = self.ended + sum(max(0.0, one.news.done - (one.taken_up or 0.0)) for one in self.running.values())
        if worked < LEAST:
            return None
        ahead = len(self.titles) - self.ended - sum(one.news.done for one in self.running.values())
        return max(0.0, ahead) * (self.clock() - self.begun) / worked

    def headline(self) -> str:
        """Return e.g. "3 of 42, 1 h 10 left, 1 failed"."""
        left = self.left()
        parts = [f"{self.done} of {self.total}"]
        parts += [f"{duration(left)} left"] if left is not None and self.done < self.total else []
        parts += [f"{self.failed} failed"] if self.failed else []
        return ", ".join(parts)

    def lines(self) -> list[tuple[str, str]]:
        """Return title and news of every cell that is running."""
        return [(one.title, words(one.news)) for _, one in sorted(self.running.items())]


def words(news: News) -> str:
    """Return the news of a cell, e.g. "epoch 3/20 ce 0.123 prior 0.010 val Dice 0.712"."""
    if not news.epochs or news.stage != "Training":
        return news.stage
    parts = [f"epoch {news.epoch}/{news.epochs}", *(f"{name} {value:.3f}" for name, value in news.losses.items())]
    return " ".join([*parts, *([f"val Dice {news.dice:.3f}"] if news.dice is not None else [])])


def duration(seconds: float) -> str:
    """Return a time in a reader's words: "35 s", "12 min", "1 h 10", "2 d 3 h"."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d}"
    hours = round(minutes / 60)
    return f"{hours // 24} d {hours % 24} h"
