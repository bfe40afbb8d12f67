"""The embedded dataset `thorax`: synthetic chest CT with the organs of SegTHOR, made from a seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from segbench import parameter
from segbench_phantoms.phantom import Phantom

if TYPE_CHECKING:
    from segbench_phantoms.geometry import Array
    from segbench_phantoms.grid import Grid
    from segbench_phantoms.tissues import Labels

ANATOMY, APPEARANCE = 0, 1
ORGANS = ("esophagus", "heart", "trachea", "aorta")


@dataclass
class Thorax(Phantom):
    """Synthetic chest CT in Hounsfield units: a cane-shaped aorta among vessels of the same density."""

    name: ClassVar[str] = "thorax"
    summary: ClassVar[str] = "synthetic phantom: chest CT (aorta or four organs)"
    version: ClassVar[str] = "1"
    channels: ClassVar[tuple[str, ...]] = ("CT",)

    noise: float = parameter(0.14, "noise as a fraction of the contrast of soft tissue to fat", low=0.0, high=1.0)
    spacing: tuple[float, float, float] = parameter((3.5, 2.2, 2.2), "voxel size along z, y, x in mm", low=0.2)
    size: tuple[int, int, int] | None = parameter(None, "voxels along z, y, x; none covers the chest", low=8)
    contrast: float = parameter(0.0, "Hounsfield units that a contrast agent adds to blood, 0 = none", low=0, high=500)
    organs: str = parameter("aorta", "organs to segment: all, or names by comma; the others stay visible background")

    def forge(self, root: Path) -> Thorax:
        """Return a small, coarse version of this dataset; nothing is written."""
        return dataclasses.replace(self, cases=4, spacing=(7.0, 5.5, 5.5), size=None)

    def _chosen(self) -> tuple[str, ...]:
        """Return the organs to segment, in the order of the label values."""
        words = [word.strip() for word in self.organs.split(",")]
        if words == ["all"]:
            return ORGANS
        self._require(
            set(words) <= set(ORGANS) and len(set(words)) == len(words),
            "organs",
            f"'all' or some of {', '.join(ORGANS)}, each once, separated by commas",
        )
        return tuple(organ for organ in ORGANS if organ in words)

    def _labels(self) -> tuple[str, ...]:
        return ("background", *self._chosen())

    def _check(self) -> None:
        self._require(0.0 <= self.contrast <= 500.0, "contrast", "0 to 500 Hounsfield units")
        self._chosen()
        super()._check()

    def _content(self) -> Mapping[str, Any]:
        return {**super()._content(), "organs": self._chosen()}

    def _grid(self) -> Grid:
        from segbench_phantoms.chest import FIELD_OF_VIEW

        return self._covering(FIELD_OF_VIEW)

    def _make(self, entropy: tuple[int, ...], phase: int, grid: Grid) -> tuple[Array, Labels]:
        from segbench_phantoms.chest import build_chest, organ_labels
        from segbench_phantoms.ct import render

        codes = build_chest((*entropy, ANATOMY), grid)
        return render((*entropy, APPEARANCE), grid, codes, self.noise, self.contrast), organ_labels(
            codes, self._chosen()
        )
