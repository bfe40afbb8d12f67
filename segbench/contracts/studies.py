"""The contract of studies: the table of a paper as runs to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from segbench.contracts.knowledge import FinishedRun
from segbench.contracts.parts import Part
from segbench.types import Choice

if TYPE_CHECKING:
    from segbench.config import Recipe, RunConfig


@dataclass(frozen=True)
class Cell:
    """A row of a study's table.

    Attributes:
        label: the row's name, as in the paper.
        config: the run, with seed 0; the host varies the seed.
        role: "method", "baseline", "control" or "placebo".
    """

    label: str
    config: RunConfig
    role: str = "method"


@dataclass(frozen=True)
class Table:
    """A table to print: a title, column names, rows of texts and numbers, remarks below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]
    notes: tuple[str, ...] = ()


class Study(Part):
    """A paper's table: its recipe, its grid of runs, its published numbers.

    Attributes:
        datasets: datasets of the table when nobody names one.
        seeds: number of seeds when nobody says.
        metrics: columns of the table; they are computed for every cell.
    """

    datasets: ClassVar[tuple[str, ...]] = ()
    seeds: ClassVar[int] = 3
    metrics: ClassVar[tuple[str, ...]] = ()

    def recipe(self) -> Recipe:
        """Return the paper's own training protocol, offered as ``--recipe <name>``."""
        raise NotImplementedError

    def cells(self, dataset: Choice) -> Sequence[Cell]:
        """Return the rows of the table on a dataset, labels unique, without metrics and seeds: the host adds them."""
        return ()

    def comparisons(self) -> Sequence[tuple[str, str]]:
        """Return pairs of row labels (A, B) whose cases are compared: is A better than B?"""
        return ()

    def published(self) -> Sequence[Mapping[str, Any]]:
        """Return published values as rows (dataset, row, label, metric, value, sd); row is a cell's label."""
        return ()

    def tables(self, runs: Mapping[str, Sequence[FinishedRun]]) -> Sequence[Table]:
        """Return further tables of the study's own for one dataset, from row label -> finished runs (one per seed).

        Rows of which no run is finished are left out.
        """
        return ()
