"""The cells that wait: which may begin, which must be waited for, which were tried already."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from segbench.sweeps.engines import Batch
from segbench.sweeps.work import Work


@dataclass
class Queue:
    """Cells that wait, and what has become of the others.

    Attributes:
        batch: all cells.
        ended: those that are over, whether they are finished or have failed.
        tries: cell -> times its process died.
        patient: cells that were taken up before: whoever takes one up again waits for another process that makes it.
        waiting: cells that nobody has taken up.
    """

    batch: Batch
    ended: set[int] = field(default_factory=set)
    tries: dict[int, int] = field(default_factory=dict)
    patient: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.waiting = list(range(len(self.batch.cells)))

    def next(self) -> int | None:
        """Take a cell that may begin; one that another process makes is left until nothing else is left."""
        ready = [cell for cell in self.waiting if set(self.batch.before(cell)) <= self.ended]
        first = [cell for cell in ready if cell not in self.patient]
        chosen = (first or ready)[:1]
        for cell in chosen:
            self.waiting.remove(cell)
        return chosen[0] if chosen else None

    def work(self, cell: int) -> Work:
        """Return the work of a cell; whoever comes to a cell for the second time waits for its other maker."""
        return replace(self.batch.work(cell), wait=cell in self.patient)
