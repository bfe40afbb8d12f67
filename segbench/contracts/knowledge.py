"""The contracts of priors, which are files of knowledge, and of figures, which draw finished runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from segbench.contracts.parts import Part
from segbench.types import Audit, Case, LabelMap, Task

if TYPE_CHECKING:
    import matplotlib.figure


class Prior(Part):
    """Prior knowledge as a file that a person can read and edit: learnt from truths, or written by hand.

    Life: construct, then ``learn`` or ``read``, then ``write`` or ``audit``.

    Attributes:
        ending: of the files it writes.
    """

    ending: ClassVar[str] = ".csv"

    def learn(self, task: Task, cases: Iterable[Case]) -> None:
        """Learn from cases with a truth on their own grids (the training split, unless a user asks for others)."""
        raise NotImplementedError

    def write(self, path: Path) -> None:
        """Write what was learnt or read; labels go by their names. The caller sees to it that files appear whole."""
        raise NotImplementedError

    def recognises(self, path: Path) -> bool:
        """Say whether a file looks like this kind of prior; must not raise for any file."""
        raise NotImplementedError

    def labels(self, path: Path) -> Sequence[str]:
        """Return the label names a file speaks of, background first, in the order of their values if it has one."""
        raise NotImplementedError

    def values(self, path: Path) -> Mapping[str, int]:
        """Return label names and their values, the background's too; empty if the file records none."""
        return {}

    def read(self, path: Path, task: Task) -> None:
        """Read a file, for the labels of a task.

        Raises:
            DataInvalid: with the file's name, what was expected and what was found.
        """
        raise NotImplementedError

    def audit(self, case_id: str, labels: LabelMap, task: Task) -> Audit:
        """Say how a label map breaks the prior; its measures have the same names for every label map.

        Args:
            case_id: for priors that hold bounds per case.
            labels: values of the task only; ``-1`` where a truth is unknown.
            task: as given to ``learn`` or ``read``.
        """
        raise NotImplementedError


class FinishedRun(Protocol):
    """A finished run, to be drawn or reported.

    Attributes:
        run_id, folder: what it is and where it lies.
        title: method, arm if it is not the method itself, and what was changed, as boards show it.
        record: the content of run.json.
        task: what was segmented.
        case_ids: the scored cases.
    """

    @property
    def run_id(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def title(self) -> str: ...
    @property
    def record(self) -> Mapping[str, Any]: ...
    @property
    def task(self) -> Task: ...
    @property
    def case_ids(self) -> Sequence[str]: ...

    def history(self) -> Sequence[Mapping[str, Any]]:
        """Return rows ``{"epoch", "name", "value"}`` of the training's history."""
        ...

    def scores(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows of scores.parquet for the run's own label maps, not those of further decisions."""
        ...

    def prediction(self, case_id: str) -> LabelMap:
        """Read one prediction."""
        ...

    def case(self, case_id: str) -> Case:
        """Load one case from its dataset, with image and truth.

        Raises:
            DataMissing: if the dataset is not here any more.
        """
        ...

    def truths(self) -> Iterator[LabelMap]:
        """Yield the truths of all training cases of the split on their own grids, whatever the recipe used of them."""
        ...


class Figure(Part):
    """A picture of one or several finished runs."""

    def draw(self, runs: Sequence[FinishedRun]) -> Iterator[tuple[str, matplotlib.figure.Figure]]:
        """Yield (file name without ending, figure); the caller writes PNG, SVG or PDF and closes the figure.

        Raises:
            Incompatible: if these runs cannot be drawn together.
        """
        raise NotImplementedError
