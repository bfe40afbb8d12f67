"""One cell in one process: what the process must be told, what it tells on the way, and the row it ends with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from segbench.assembly import Sources
from segbench.config import RunConfig
from segbench.errors import Busy
from segbench.failures import Failure, debugging, failure_of
from segbench.host import load_catalogue
from segbench.runner import Outcome, run
from segbench.sweeps.threads import use_threads
from segbench.training.loop import Reporter
from segbench.types import Choice

SECONDS = 0.5
"""Time between two reports of steps: a watcher sees no more, and a step may take a millisecond."""
BUSY = "running elsewhere"
"""Status of a cell that another process was making."""


@dataclass(frozen=True)
class Work:
    """Everything a process needs to know to carry out a cell; it can be pickled.

    Attributes:
        config: of the cell.
        root, plugins, threads: as in the plan.
        wait: whether to wait while another process makes the same cell.
        reporters: parts that follow the training.
    """

    config: RunConfig
    root: Path
    plugins: tuple[Path, ...] = ()
    threads: int = 1
    wait: bool = True
    reporters: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class News:
    """How far a cell is.

    Attributes:
        stage: what is being done, e.g. "Training".
        done: share of the training, 0 to 1.
        epoch, epochs: the current epoch, from 1, and how many there are.
        losses: terms of the last step, or means of the epoch that is over.
        dice: of the last validation, or None.
        note: a sentence that a reader of a log must know.
        over: whether an epoch has just ended.
    """

    stage: str = ""
    done: float = 0.0
    epoch: int = 0
    epochs: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)
    dice: float | None = None
    note: str = ""
    over: bool = False


Tell = Callable[[News], None]


class Messenger(Reporter):
    """Tells the news of a run, steps not more often than anybody can read."""

    def __init__(self, tell: Tell) -> None:
        self.tell, self.news, self.last, self.steps = tell, News("Starting"), 0.0, 1

    def _now(self, *, seldom: bool = False, note: str = "", over: bool = False, **changes: Any) -> None:
        self.news = replace(self.news, **changes)
        now = time.monotonic()
        if seldom and now - self.last < SECONDS:
            return
        self.last = now
        self.tell(replace(self.news, note=note, over=over))

    def note(self, text: str) -> None:
        """Tell a sentence."""
        self._now(note=text)

    def passing(self, text: str) -> None:
        """Tell how far something is."""
        self._now(seldom=True, stage=text)

    def start(self, epochs: int, steps: int, first: int) -> None:
        """Tell that training begins."""
        self.steps = max(1, steps)
        self._now(stage="Training", epochs=epochs, epoch=first + 1, done=first / max(1, epochs))

    def progress(self, what: str, done: int, total: int) -> None:
        """Tell of a stage other than training."""
        self._now(seldom=done < total, stage=f"{what} {done}/{total}")

    def step(self, epoch: int, step: int, losses: Mapping[str, float]) -> None:
        """Tell of a step."""
        done = (epoch + (step + 1) / self.steps) / max(1, self.news.epochs)
        self._now(seldom=True, epoch=epoch + 1, losses=dict(losses), done=done)

    def epoch(self, index: int, train: Mapping[str, float], val: Mapping[str, float], seconds: float) -> None:
        """Tell that an epoch is over."""
        dice = val.get("dice", self.news.dice)
        done = (index + 1) / max(1, self.news.epochs)
        self._now(over=True, epoch=index + 1, losses=dict(train), dice=dice, done=done)


def carry_out(work: Work, tell: Tell) -> dict[str, Any]:
    """Carry out a cell in this process; whatever goes wrong is its row.

    Returns:
        The row: ``axes`` of the configuration, ``status``, and what ``row_of`` or ``failed`` say.
    """
    use_threads(work.threads)
    begun = time.perf_counter()
    try:
        sources = _sources(work.root, work.plugins)
        shared: dict[str, Any] = {"catalogue": sources.catalogue, "results_root": work.root, "sources": sources}
        outcome = run(work.config, reporter=Messenger(tell), wait=work.wait, reporters=work.reporters, **shared)
    except Busy as busy:
        return {**axes(work.config), "status": BUSY, "reason": str(busy)}
    except Exception as error:
        debugging(error)
        return {**axes(work.config), **failed(failure_of(error))}
    return {**axes(work.config), **row_of(outcome), "wall": time.perf_counter() - begun}


@lru_cache(maxsize=1)
def _sources(root: Path, plugins: tuple[Path, ...]) -> Sources:
    """Return the prepared datasets of this process: its cells share them."""
    from segbench.allocator import keep_pages

    keep_pages()
    return Sources(load_catalogue(plugins), root)


def axes(config: RunConfig) -> dict[str, Any]:
    """Return what tells the cells of a sweep apart."""
    return {"method": config.method.name, "arm": config.arm, "seed": config.seed, "fold": config.fold}


def row_of(outcome: Outcome) -> dict[str, Any]:
    """Return what was done, as JSON values."""
    return {
        "run_id": outcome.run_id,
        "folder": str(outcome.folder),
        "status": outcome.status,
        "reason": outcome.fault,
        "trained": outcome.trained,
        "predicted": outcome.predicted,
        "scored": list(outcome.added),
        "failed_scores": outcome.failed,
        "seconds": outcome.seconds,
    }


def failed(failure: Failure) -> dict[str, Any]:
    """Return why nothing was done, as JSON values."""
    return {"status": failure.status, "reason": failure.reason, "exit_code": failure.exit_code}
