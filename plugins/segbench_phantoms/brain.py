"""The embedded dataset `brain`: a synthetic head phantom with 31 or 134 structures, made on the fly from a seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from segbench import Case, CaseRef, DataInvalid, Dataset, LabelMap, Task, UnknownName, UsageError, parameter

if TYPE_CHECKING:
    from segbench_phantoms.anatomy import Grid
    from segbench_phantoms.schemes import Scheme

Split = Literal["train", "val", "test", "unlabelled"]
LABELLED, UNLABELLED_KIND = 0, 1
ANATOMY, APPEARANCE = 0, 1


@dataclass
class Brain(Dataset):
    """Synthetic T1-weighted heads.

    Every case is a function of the seed, its kind (labelled or not), its index and the parameters: how many cases
    there are changes none of them. Arrays run inferior to superior, posterior to anterior, left to right.
    """

    name: ClassVar[str] = "brain"
    summary: ClassVar[str] = "synthetic phantom: T1-weighted heads, 31 or 134 brain structures, made from a seed"
    source: ClassVar[str] = ""
    version: ClassVar[str] = "1"
    default: ClassVar[bool] = True

    cases: int = parameter(20, "number of labelled cases (train, val and test together)", low=3, high=100_000)
    structures: int = parameter(31, "number of structures, 31 or 134", low=31, high=134)
    unlabelled: int = parameter(0, "number of additional cases without truth", low=0, high=100_000)
    noise: float = parameter(0.07, "noise as a fraction of the contrast of white matter to fluid", low=0.0, high=1.0)
    spacing: tuple[float, float, float] = parameter((2.5, 2.5, 2.5), "voxel size along z, y, x in mm", low=0.2)
    size: tuple[int, int, int] | None = parameter(None, "voxels along z, y, x; none covers the head", low=8)
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
            revision=self._revision(),
            labels=self._scheme().labels,
            channels=("T1",),
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
        names = [f"brain_{index:03d}" for index in range(self.cases)]
        names += [f"brain_u{index:03d}" for index in range(self.unlabelled)]
        return [CaseRef(name, name, split, stamp) for name, split in zip(names, splits, strict=True)]

    def load(self, ref: CaseRef) -> Case:
        """Make one case.

        Raises:
            UnknownName: if the dataset has no case of this name.
            DataInvalid: if the grid does not show every structure.
        """
        self._check()
        from segbench_phantoms.anatomy import build_head
        from segbench_phantoms.appearance import render

        kind, index = self._number(ref)
        grid, scheme = self._grid(), self._scheme()
        entropy = (self.seed, kind, index)
        head = build_head((*entropy, ANATOMY), grid, scheme)
        image = render((*entropy, APPEARANCE), grid, head, scheme.labels, self.noise)[None]  # (1, D, H, W)
        affine = grid.affine()
        if kind == UNLABELLED_KIND:
            return Case(ref.id, image, grid.spacing, affine, None)
        present = set(head.labels.ravel().tolist())
        missing = [name for value, name in enumerate(scheme.labels) if value not in present]
        if missing:
            raise DataInvalid(
                f"{ref.id}: expected all {self.structures} structures and background in a grid of "
                f"{grid.size} voxels of {grid.spacing} mm, found no voxel of {', '.join(missing[:4])}"
                f"{' and others' if len(missing) > 4 else ''}. Set a finer dataset.spacing or a larger dataset.size."
            )
        return Case(ref.id, image, grid.spacing, affine, LabelMap(head.labels, grid.spacing, affine))

    def forge(self, root: Path) -> Brain:
        """Return a small, coarse version of this dataset; nothing is written."""
        return dataclasses.replace(self, cases=4, spacing=(4.0, 4.0, 4.0), size=None)

    def _check(self) -> None:
        """Raise UsageError unless every parameter is in its range."""
        from segbench_phantoms.schemes import SCHEMES

        _require(self.structures in SCHEMES, "structures", f"one of {sorted(SCHEMES)}", self.structures)
        _require(self.cases >= 3, "cases", "at least 3 (train, val and test)", self.cases)
        _require(self.unlabelled >= 0, "unlabelled", "0 or more", self.unlabelled)
        _require(0.0 <= self.noise <= 1.0, "noise", "a fraction between 0 and 1", self.noise)
        _require(self.seed >= 0, "seed", "0 or more", self.seed)
        positive = len(self.spacing) == 3 and all(0.0 < step < float("inf") for step in self.spacing)
        _require(positive, "spacing", "three positive numbers of mm (z, y, x)", self.spacing)
        if self.size is not None:
            enough = len(self.size) == 3 and all(count >= 8 for count in self.size)
            _require(enough, "size", "three numbers of voxels (z, y, x), each at least 8, or none", self.size)

    def _scheme(self) -> Scheme:
        from segbench_phantoms.schemes import SCHEMES

        return SCHEMES[self.structures]

    def _grid(self) -> Grid:
        from segbench_phantoms.anatomy import Grid

        z, y, x = (float(step) for step in self.spacing)
        return Grid.covering((z, y, x)) if self.size is None else Grid((z, y, x), self.size)

    def _revision(self) -> str:
        """Return the generator's version and a hash of every parameter that changes the cases or their split."""
        return f"{self.version}-{self._digest()}"

    def _digest(self, leave_out: Sequence[str] = ()) -> str:
        """Return a hash of the parameters, of their values rather than of how they were written."""
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        grid = self._grid()
        content |= {"spacing": grid.spacing, "size": grid.size, "noise": float(self.noise), "version": self.version}
        text = json.dumps({name: value for name, value in content.items() if name not in leave_out}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def _number(self, ref: CaseRef) -> tuple[int, int]:
        """Return kind and index of a case by its name."""
        text = ref.id.removeprefix("brain_")
        kind = UNLABELLED_KIND if text.startswith("u") else LABELLED
        digits = text.removeprefix("u")
        count = self.unlabelled if kind == UNLABELLED_KIND else self.cases
        if not ref.id.startswith("brain_") or not digits.isdecimal() or int(digits) >= count:
            raise UnknownName(
                f"brain has no case {ref.id!r}: expected brain_000 to brain_{self.cases - 1:03d} or one of "
                f"{self.unlabelled} unlabelled cases brain_u000, brain_u001, ... Use a name from refs()."
            )
        return kind, int(digits)


def _require(holds: bool, name: str, expected: str, found: object) -> None:
    if not holds:
        raise UsageError(f"dataset brain: {name}: expected {expected}, found {found!r}. Change dataset.{name}.")
