"""The embedded dataset `heart`: synthetic short-axis stacks of end-diastole and end-systole, made from a seed."""

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
class Heart(Phantom):
    """Synthetic short-axis cine MR: every patient is shown at end-diastole (ed) and at end-systole (es)."""

    name: ClassVar[str] = "heart"
    summary: ClassVar[str] = "synthetic phantom: short-axis hearts (RV, Myo, LV), two phases"
    version: ClassVar[str] = "1"
    channels: ClassVar[tuple[str, ...]] = ("MR",)
    phases: ClassVar[tuple[str, ...]] = ("ed", "es")

    cases: int = parameter(20, "number of labelled patients, two cases each", low=3, high=100_000)
    unlabelled: int = parameter(0, "number of additional patients without truth, two cases each", low=0, high=100_000)
    noise: float = parameter(0.1, "noise as a fraction of the contrast of blood to muscle", low=0.0, high=1.0)
    spacing: tuple[float, float, float] = parameter((10.0, 1.5, 1.5), "voxel size along z, y, x in mm", low=0.2)
    size: tuple[int, int, int] | None = parameter(None, "voxels along z, y, x; none covers the heart", low=8)
    contrast: float = parameter(1.0, "contrast of blood to muscle, 1 = as usual", low=0.1, high=3.0)

    def forge(self, root: Path) -> Heart:
        """Return a small, coarse version of this dataset; nothing is written."""
        return dataclasses.replace(self, cases=3, spacing=(10.0, 4.0, 4.0), size=None)

    def _labels(self) -> tuple[str, ...]:
        return ("background", "RV", "Myo", "LV")

    def _check(self) -> None:
        self._require(0.1 <= self.contrast <= 3.0, "contrast", "a factor between 0.1 and 3")
        super()._check()

    def _grid(self) -> Grid:
        from segbench_phantoms.cardiac import FIELD_OF_VIEW

        return self._covering(FIELD_OF_VIEW)

    def _make(self, entropy: tuple[int, ...], phase: int, grid: Grid) -> tuple[Array, Labels]:
        from segbench_phantoms.cardiac import build_heart
        from segbench_phantoms.cine import render

        codes, labels = build_heart((*entropy, ANATOMY), phase, grid)
        return render((*entropy, APPEARANCE), phase, grid, codes, self.noise, self.contrast), labels
