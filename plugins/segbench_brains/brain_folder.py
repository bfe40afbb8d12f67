"""What the datasets of this plugin have in common as parts: find, check, list and load cases."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

from segbench import Case, CaseFiles, CaseRef, DataInvalid, FolderDataset, LabelMap, Task, content_revision, parameter
from segbench_brains import cases
from segbench_brains.analyze import Directions
from segbench_brains.cases import Scan
from segbench_brains.label_values import LabelValues


@dataclasses.dataclass
class BrainFolder(FolderDataset):
    """An unpacked distribution of head scans; a subclass says what it looks like and what its values mean.

    Attributes:
        markers: patterns of which one is found in the distribution's folder.
        complete: how many labelled cases the whole distribution has.
        directions: of the axes of Analyze files.
    """

    markers: ClassVar[tuple[str, ...]]
    complete: ClassVar[int]
    directions: ClassVar[Directions] = cases.DIRECTIONS

    path: Path | None = parameter(None, "the unpacked distribution, or a folder that holds it", content=False)

    def find(self, folder: Path) -> dict[str, CaseFiles]:
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

    def prepare(self, root: Path) -> None:
        """Find the distribution and check that every case has its files; reads no voxel.

        Raises:
            DataMissing: nothing there; says what to get, from where, under which terms.
            DataInvalid: a folder that is not the distribution, or lacks files.
        """
        folder = self.locate(*self.markers)
        found, values, channels = self.find(folder), self.meaning(), self.channel_names()
        labelled = sum(files.label is not None for files in found.values())
        if not labelled:
            raise DataInvalid(f"{folder}: expected labelled cases, found none. {self.remedy}")
        facts = (self.version, values.names, sorted(values.index.items()), channels, self.shaping())
        self.cases_, self.values_ = found, dict(values.index)
        self.task_ = Task(
            name=self.name,
            revision=content_revision(repr(facts), found),
            labels=values.names,
            channels=channels,
            notes=() if labelled == self.complete else (f"{labelled} of {self.complete} official cases",),
        )

    def load(self, ref: CaseRef) -> Case:
        """Read one case; voxels of ignored values become -1.

        Raises:
            DataInvalid: unreadable files, grids that differ, values of another protocol.
        """
        files = self.files_of(ref)
        grid, image = cases.read_images(ref.id, files, self.directions)
        truth = None if files.label is None else self.truth(ref.id, files, files.label, grid)
        return Case(ref.id, image, grid.spacing, grid.affine, truth)

    def truth(self, case: str, files: CaseFiles, label: Path, grid: Scan) -> LabelMap:
        """Return the truth of a case on the grid of its image.

        Args:
            case: its id.
            files: its files.
            label: its label map, which is ``files.label``.
            grid: its first channel.

        Raises:
            DataInvalid: another grid, or values of another protocol.
        """
        return cases.read_truth(case, label, grid, self.values_, self.directions)
