"""What carries out the cells of a plan: processes of this machine, or somebody else's cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from segbench.sweeps.plan import Plan, PlannedCell
from segbench.sweeps.work import News, Work
from segbench.types import Choice

Row = dict[str, Any]
"""What became of a cell, as JSON values."""
Heard = Callable[[int, News], None]
"""Told the news of a cell by its position among those that are carried out."""
RETRIES = 2
"""Times a cell is tried again whose process died; each goes on after its last epoch."""


@dataclass(frozen=True)
class Batch:
    """The cells that an engine carries out.

    Attributes:
        cells: in the order in which they should begin.
        root, plugins, threads: as in the plan.
        reporters: parts that follow the trainings.
    """

    cells: Sequence[PlannedCell]
    root: Path
    plugins: tuple[Path, ...] = ()
    threads: int = 1
    reporters: tuple[Choice, ...] = ()

    def work(self, index: int) -> Work:
        """Return what a process must know to carry out one of the cells."""
        plugins = tuple(path.absolute() for path in self.plugins)
        return Work(self.cells[index].config, self.root.absolute(), plugins, self.threads, reporters=self.reporters)

    def before(self, index: int) -> list[int]:
        """Return the positions of the cells that must come before one."""
        return [place for place, cell in enumerate(self.cells) if cell.id and cell.id in self.cells[index].after]


class Engine(Protocol):
    """Carries out cells wherever it does; each in one process, so that a process that is killed is a cell that is."""

    def carry_out(self, batch: Batch, heard: Heard) -> Generator[tuple[int, Row]]:
        """Yield the position and the row of every cell as they end (see ``segbench.sweeps.work.carry_out``).

        Closing the iterator, or an interrupt, ends the processes; what they had done is kept and resumed.

        Args:
            batch: the cells.
            heard: called with the news of cells, in this process and thread.
        """
        ...


def batch_of(plan: Plan, reporters: Sequence[Choice] = ()) -> Batch:
    """Return the cells of a plan that have something to do, those that must come first before the others."""
    cells = [cell for cell in plan.ordered() if cell.open]
    return Batch(cells, plan.root, plan.plugins, plan.threads, tuple(reporters))
