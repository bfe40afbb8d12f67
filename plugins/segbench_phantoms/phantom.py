"""What all phantoms share: cases by seed and index, their names and splits, the revision, the checks."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from segbench import Case, CaseRef, DataInvalid, Dataset, LabelMap, Task, UnknownName, UsageError, parameter

if TYPE_CHECKING:
    from segbench_phantoms.geometry import Array
    from segbench_phantoms.grid import Grid
    from segbench_phantoms.tissues import Labels

Split = Literal["train", "val", "test", "unlabelled"]
LABELLED, UNLABELLED_KIND = 0, 1


@dataclass
class Phantom(Dataset):
    """A synthetic dataset.

    Every case is a function of the seed, its kind (labelled or not), its index and the parameters: how many cases
    there are changes none of them. Arrays run inferior to superior, posterior to anterior, left to right.

    Attributes:
        channels: names of the image channels.
        phases: what each patient is shown in, one case each; one nameless phase by default.
    """

    channels: ClassVar[tuple[str, ...]] = ("image",)
    phases: ClassVar[tuple[str, ...]] = ("",)

    cases: int = parameter(20, "number of labelled cases (train, val and test together)", low=3, high=100_000)
    unlabelled: int = parameter(0, "number of additional cases without truth", low=0, high=100_000)
    noise: float = parameter(0.07, "noise as a fraction of a typical contrast", low=0.0, high=1.0)
    spacing: tuple[float, float, float] = parameter((2.5, 2.5, 2.5), "voxel size along z, y, x in mm", low=0.2)
    size: tuple[int, int, int] | None = parameter(None, "voxels along z, y, x; none covers the whole scene", low=8)
    seed: int = parameter(0, "seed of the whole dataset", low=0)

    def prepare(self, root: Path) -> None:
        """Check the parameters and that the grid shows every structure; nothing is written.

        Raises:
            UsageError: for parameters outside their range.
            DataInvalid: if the grid is too coarse or too small.
        """
        self.load(self.refs()[0])

    @property
    def task(self) -> Task:
        """What is to be segmented."""
        self._check()
        return Task(
            name=self.name,
            revision=f"{self.version}-{self._digest()}",
            labels=self._labels(),
            channels=self.channels,
            synthetic=True,
            notes=("Synthetic phantom: results say nothing about patients.",),
        )

    def refs(self) -> Sequence[CaseRef]:
        """Return labelled cases (about 60 % train, 15 % val, 25 % test, by index), then unlabelled ones."""
        self._check()
        stamp = self._digest(leave_out=("cases", "unlabelled"))
        val, test = max(1, round(0.15 * self.cases)), max(1, round(0.25 * self.cases))
        blocks: tuple[tuple[Split, int], ...] = (
            ("train", self.cases - val - test),
            ("val", val),
            ("test", test),
            ("unlabelled", self.unlabelled),
        )
        splits = [split for split, count in blocks for _ in range(count)]
        patients = [f"{self.name}_{index:03d}" for index in range(self.cases)]
        patients += [f"{self.name}_u{index:03d}" for index in range(self.unlabelled)]
        return [
            CaseRef(patient + _suffix(phase), patient, split, stamp)
            for patient, split in zip(patients, splits, strict=True)
            for phase in self.phases
        ]

    def load(self, ref: CaseRef) -> Case:
        """Make one case.

        Raises:
            UnknownName: if the dataset has no case of this name.
            DataInvalid: if the grid does not show every structure.
        """
        self._check()
        kind, index, phase = self._number(ref)
        grid = self._grid()
        image, labels = self._make((self.seed, kind, index), phase, grid)
        affine = grid.affine()
        if kind == UNLABELLED_KIND:
            return Case(ref.id, image[None], grid.spacing, affine, None)  # (1, D, H, W)
        present = set(labels.ravel().tolist())
        missing = [name for value, name in enumerate(self._labels()) if value not in present]
        if missing:
            raise DataInvalid(
                f"{ref.id}: expected all {len(self._labels()) - 1} structures and background in a grid of "
                f"{grid.size} voxels of {grid.spacing} mm, found no voxel of {', '.join(missing[:4])}"
                f"{' and others' if len(missing) > 4 else ''}. Set a finer dataset.spacing or a larger dataset.size."
            )
        return Case(ref.id, image[None], grid.spacing, affine, LabelMap(labels, grid.spacing, affine))

    def _labels(self) -> tuple[str, ...]:
        """Return the names of the label values, background first."""
        raise NotImplementedError

    def _grid(self) -> Grid:
        """Return the sampling that the parameters ask for."""
        raise NotImplementedError

    def _covering(self, extent: tuple[float, float, float]) -> Grid:
        """Return a grid of the asked spacing and size; without a size it covers an extent along z, y, x (mm)."""
        from segbench_phantoms.grid import Grid

        z, y, x = (float(step) for step in self.spacing)
        return Grid((z, y, x), self.size) if self.size else Grid.covering((z, y, x), extent)

    def _make(self, entropy: tuple[int, ...], phase: int, grid: Grid) -> tuple[Array, Labels]:
        """Return image and labels (D, H, W) of a case.

        Args:
            entropy: non-negative integers that fix all randomness of the patient.
            phase: position in ``phases``.
            grid: where to sample.
        """
        raise NotImplementedError

    def _check(self) -> None:
        """Raise UsageError unless every parameter is in its range."""
        self._require(self.cases >= 3, "cases", "at least 3 (train, val and test)")
        self._require(self.unlabelled >= 0, "unlabelled", "0 or more")
        self._require(0.0 <= self.noise <= 1.0, "noise", "a fraction between 0 and 1")
        self._require(self.seed >= 0, "seed", "0 or more")
        positive = len(self.spacing) == 3 and all(0.0 < step < float("inf") for step in self.spacing)
        self._require(positive, "spacing", "three positive numbers of mm (z, y, x)")
        enough = self.size is None or (len(self.size) == 3 and all(count >= 8 for count in self.size))
        self._require(enough, "size", "three numbers of voxels (z, y, x), each at least 8, or none")

    def _require(self, holds: bool, name: str, expected: str) -> None:
        """Raise UsageError with a parameter's name and value unless a condition holds."""
        if not holds:
            raise UsageError(
                f"dataset {self.name}: {name}: expected {expected}, found {getattr(self, name)!r}. "
                f"Change dataset.{name}."
            )

    def _content(self) -> Mapping[str, Any]:
        """Return what determines the cases: values of the parameters rather than how they were written."""
        fields = {field.name: field for field in dataclasses.fields(self)}
        content = {name: getattr(self, name) for name in fields}
        content |= {name: float(content[name]) for name, field in fields.items() if isinstance(field.default, float)}
        grid = self._grid()
        return content | {"spacing": grid.spacing, "size": grid.size, "version": self.version}

    def _digest(self, leave_out: Sequence[str] = ()) -> str:
        """Return a hash of every parameter that changes the cases or their split."""
        content = {name: value for name, value in self._content().items() if name not in leave_out}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]

    def _number(self, ref: CaseRef) -> tuple[int, int, int]:
        """Return kind, index and phase of a case by its name."""
        suffixes = [_suffix(phase) for phase in self.phases]
        phase = next((place for place, suffix in enumerate(suffixes) if ref.id.endswith(suffix)), 0)
        text = ref.id.removeprefix(f"{self.name}_").removesuffix(suffixes[phase])
        kind = UNLABELLED_KIND if text.startswith("u") else LABELLED
        digits = text.removeprefix("u")
        count = self.unlabelled if kind == UNLABELLED_KIND else self.cases
        whole = ref.id.startswith(f"{self.name}_") and ref.id.endswith(suffixes[phase])
        if not whole or not digits.isdecimal() or int(digits) >= count:
            raise UnknownName(
                f"{self.name} has no case {ref.id!r}: expected {self.name}_000{suffixes[0]} to "
                f"{self.name}_{self.cases - 1:03d}{suffixes[-1]} or one of {self.unlabelled} unlabelled patients "
                f"{self.name}_u000{suffixes[0]}, ... Use a name from refs()."
            )
        return kind, int(digits), phase


def _suffix(phase: str) -> str:
    return f"_{phase}" if phase else ""
