"""The embedded dataset `brain`: a synthetic head phantom with 31 or 134 structures, made on the fly from a seed."""

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
class Brain(Phantom):
    """Synthetic T1-weighted heads."""

    name: ClassVar[str] = "brain"
    summary: ClassVar[str] = "synthetic phantom: T1-weighted heads, 31 or 134 structures"
    source: ClassVar[str] = ""
    version: ClassVar[str] = "1"
    default: ClassVar[bool] = True
    channels: ClassVar[tuple[str, ...]] = ("T1",)

    noise: float = parameter(0.07, "noise as a fraction of the contrast of white matter to fluid", low=0.0, high=1.0)
    size: tuple[int, int, int] | None = parameter(None, "voxels along z, y, x; none covers the head", low=8)
    structures: int = parameter(31, "number of structures, 31 or 134", low=31, high=134)

    def forge(self, root: Path) -> Brain:
        """Return a small, coarse version of this dataset; nothing is written."""
        return dataclasses.replace(self, cases=4, spacing=(4.0, 4.0, 4.0), size=None)

    def _check(self) -> None:
        from segbench_phantoms.schemes import SCHEMES

        self._require(self.structures in SCHEMES, "structures", f"one of {sorted(SCHEMES)}")
        super()._check()

    def _labels(self) -> tuple[str, ...]:
        from segbench_phantoms.schemes import SCHEMES

        return SCHEMES[self.structures].labels

    def _grid(self) -> Grid:
        from segbench_phantoms.anatomy import head_grid

        return head_grid(self.spacing, self.size)

    def _make(self, entropy: tuple[int, ...], phase: int, grid: Grid) -> tuple[Array, Labels]:
        from segbench_phantoms.anatomy import build_head
        from segbench_phantoms.appearance import render
        from segbench_phantoms.schemes import SCHEMES

        head = build_head((*entropy, ANATOMY), grid, SCHEMES[self.structures])
        return render((*entropy, APPEARANCE), grid, head, self._labels(), self.noise), head.labels
