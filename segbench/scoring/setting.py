"""What is the same for every case of a scoring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from segbench.contracts import Dataset, Metric
from segbench.files.colours import Colour
from segbench.scoring.geometry import Mode
from segbench.scoring.probabilities import Deciding
from segbench.types import Task


@dataclass(frozen=True)
class Setting:
    """What is the same for every case.

    Attributes:
        task: what is scored.
        metrics: prepared metrics.
        geometry: see ``segbench.scoring.geometry``.
        ignore: label of voxels that do not count, or None.
        known: label values that may occur; others are reported.
        strict_labels: whether other values are a fault, or merely noted because labels were chosen by hand.
        dataset: prepared; where truths are that are no files.
        layers: structure -> its value, where each structure has a file of its own.
        codes: what the values 1, 2, ... of the task are in the files, where these are too large to be positions;
            empty = the same.
        deciding: how predictions become label maps; None = they are.
        colours: red, green, blue -> label value of masks in colour; empty = values are labels.
        asked: whether somebody named the structures for this scoring, so that one that is nowhere is a mistake.
        one_hot: whether files may hold one binary volume per label.
    """

    task: Task
    metrics: tuple[Metric, ...]
    geometry: Mode = "strict"
    ignore: int | None = None
    known: frozenset[int] = frozenset()
    strict_labels: bool = True
    dataset: Dataset | None = None
    colours: Mapping[Colour, int] = field(default_factory=dict)
    asked: bool = False
    deciding: Deciding | None = None
    one_hot: bool = False
    layers: Mapping[str, int] = field(default_factory=dict)
    codes: tuple[int, ...] = ()

    def stored(self, values: Iterable[int]) -> tuple[int, ...]:
        """Return label values of the task as they are in the files."""
        return tuple(self.codes[value - 1] for value in values) if self.codes else tuple(values)
