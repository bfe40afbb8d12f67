"""What the datasets of this plugin have in common as parts: find, check, list and load cases."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from segbench import Case, CaseRef, DataInvalid, DataMissing, Dataset, LabelMap, Task, did_you_mean, parameter
from segbench_brains import cases, files
from segbench_brains.analyze import Directions
from segbench_brains.cases import Entry, Scan
from segbench_brains.label_values import LabelValues


@dataclasses.dataclass
class BrainFolder(Dataset):
    """An unpacked distribution of head scans; a subclass says what it looks like and what its values mean.

    Attributes:
        kind: what is looked for, in words.
        remedy: what to get, from where, under which terms.
        markers: patterns of which one is found in the distribution's folder.
        complete: how many labelled cases the whole distribution has.
        directions: of the axes of Analyze files.
    """

    kind: ClassVar[str]
    remedy: ClassVar[str]
    markers: ClassVar[tuple[str, ...]]
    complete: ClassVar[int]
    directions: ClassVar[Directions] = cases.DIRECTIONS

    path: Path | None = parameter(None, "the unpacked distribution, or a folder that holds it", content=False)
    entries_: dict[str, Entry] = dataclasses.field(init=False, repr=False, default_factory=dict)
    values_: LabelValues | None = dataclasses.field(init=False, repr=False, default=None)
    task_: Task | None = dataclasses.field(init=False, repr=False, default=None)

    def find(self, folder: Path) -> dict[str, Entry]:
        """Return case -> files in a fixed order; ``folder`` holds one of the markers."""
        raise NotImplementedError

    def meaning(self) -> LabelValues:
        """Return what the stored values mean under the parameters set."""
        raise NotImplementedError

    def channel_names(self) -> tuple[str, ...]:
        """Return the names of the image channels."""
        return ("T1",)

    def shaping(self) -> tuple[object, ...]:
        """Return what else shapes the data and is part of the revision."""
        return ()

    def locate(self, patterns: tuple[str, ...]) -> Path:
        """Return the only folder at or below ``path`` in which one of the patterns is found.

        Raises:
            DataMissing, DataInvalid: see ``files.locate``.
        """
        return files.locate(self.path, patterns, self.kind, f"{self.remedy} Run with --set dataset.path=DIR.")

    def prepare(self, root: Path) -> None:
        """Find the distribution and check that every case has its files; reads no voxel.

        Raises:
            DataMissing: nothing there; says what to get, from where, under which terms.
            DataInvalid: a folder that is not the distribution, or lacks files.
        """
        folder = self.locate(self.markers)
        entries, values, channels = self.find(folder), self.meaning(), self.channel_names()
        labelled = sum(entry.label is not None for entry in entries.values())
        if not labelled:
            raise DataInvalid(f"{folder}: expected labelled cases, found none. {self.remedy}")
        facts = (self.version, values.names, sorted(values.index.items()), channels, self.shaping())
        self.entries_, self.values_ = entries, values
        self.task_ = Task(
            name=self.name,
            revision=cases.revision(facts, entries),
            labels=values.names,
            channels=channels,
            notes=() if labelled == self.complete else (f"{labelled} of {self.complete} official cases",),
        )

    @property
    def task(self) -> Task:
        """What is to be segmented; valid after ``prepare``."""
        if self.task_ is None:
            raise DataMissing("Expected a prepared dataset, found a fresh one. Call prepare(root) first.")
        return self.task_

    def refs(self) -> Sequence[CaseRef]:
        """Return the cases in the order of the distribution."""
        return [cases.make_ref(case, entry) for case, entry in self.entries_.items()]

    def load(self, ref: CaseRef) -> Case:
        """Read one case; voxels of ignored values become -1.

        Raises:
            DataInvalid: unreadable files, grids that differ, values of another protocol.
        """
        if ref.id not in self.entries_ or self.values_ is None:
            raise DataInvalid(f"case {ref.id!r}: expected a case of {self.name}. {did_you_mean(ref.id, self.entries_)}")
        entry = self.entries_[ref.id]
        grid, image = cases.read_images(ref.id, entry, self.directions)
        truth = None if entry.label is None else self.truth(ref.id, entry, entry.label, grid, self.values_)
        return Case(ref.id, image, grid.spacing, grid.affine, truth)

    def truth(self, case: str, entry: Entry, label: Path, grid: Scan, values: LabelValues) -> LabelMap:
        """Return the truth of a case on the grid of its image.

        Args:
            case: its id.
            entry: its files.
            label: its label map, which is ``entry.label``.
            grid: its first channel.
            values: what the stored values mean.

        Raises:
            DataInvalid: another grid, or values of another protocol.
        """
        return cases.read_truth(case, label, grid, values, self.directions)
