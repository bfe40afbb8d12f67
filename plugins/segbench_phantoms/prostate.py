"""The embedded dataset `prostate`: synthetic T2-weighted pelves, made from a seed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from segbench import parameter
from segbench_phantoms.phantom import Phantom

if TYPE_CHECKING:
    from segbench_phantoms.geometry import Array
    from segbench_phantoms.grid import Grid
    from segbench_phantoms.tissues import Labels

ANATOMY, APPEARANCE = 0, 1


@dataclass
class Prostate(Phantom):
    """Synthetic T2-weighted MR of the prostate: one structure of variable size and shape and of low contrast."""

    name: ClassVar[str] = "prostate"
    summary: ClassVar[str] = "synthetic phantom: T2-weighted prostates of low contrast"
    version: ClassVar[str] = "1"
    channels: ClassVar[tuple[str, ...]] = ("T2",)

    cases: int = parameter(24, "number of labelled cases (train, val and test together)", low=3, high=100_000)
    noise: float = parameter(0.07, "noise as a fraction of the contrast of fat to muscle", low=0.0, high=1.0)
    spacing: tuple[float, float, float] = parameter((3.6, 1.0, 1.0), "voxel size along z, y, x in mm", low=0.2)
    size: tuple[int, int, int] | None = parameter(None, "voxels along z, y, x; none covers the prostate", low=8)
    contrast: float = parameter(1.0, "contrast of the gland to muscle, 1 = as usual", low=0.1, high=3.0)

    def forge(self, root: Path) -> Prostate:
        """Return a small, coarse version of this dataset; nothing is written."""
        return dataclasses.replace(self, cases=4, spacing=(7.2, 3.2, 3.2), size=None)

    def _labels(self) -> tuple[str, ...]:
        return ("background", "prostate")

    def _check(self) -> None:
        self._require(0.1 <= self.contrast <= 3.0, "contrast", "a factor between 0.1 and 3")
        super()._check()

    def _grid(self) -> Grid:
        from segbench_phantoms.pelvis import FIELD_OF_VIEW

        return self._covering(FIELD_OF_VIEW)

    def _make(self, entropy: tuple[int, ...], phase: int, grid: Grid) -> tuple[Array, Labels]:
        from segbench_phantoms.pelvis import build_pelvis
        from segbench_phantoms.t2 import render

        codes, labels = build_pelvis((*entropy, ANATOMY), grid)
        return render((*entropy, APPEARANCE), grid, codes, self.noise, self.contrast), labels
