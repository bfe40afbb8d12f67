"""LPBA40, the LONI Probabilistic Brain Atlas: 40 heads with 56 structures, in delineation or in native space.

Source: Shattuck et al., NeuroImage 39, 1064 (2008), https://doi.org/10.1016/j.neuroimage.2007.09.031. Layout
``LPBA40/delineation_space/S01/S01.delineation.{skullstripped,structure.label}.{hdr,img.gz}`` and
``LPBA40/native_space/S01/S01.native.mri.{hdr,img.gz}`` with ``transforms/S01.delineation.to.native.air``. The labels
were drawn and are distributed in delineation space only; in native space they are brought over with that transform.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

from segbench import Case, CaseFiles, CaseRef, DataInvalid, LabelMap, Split, parameter, renumber, visible
from segbench_brains import cases, files
from segbench_brains.analyze import Directions
from segbench_brains.brain_folder import BrainFolder
from segbench_brains.cases import Scan
from segbench_brains.label_values import LabelValues, choose, label_values
from segbench_brains.loni import STRUCTURES

CASES = tuple(f"S{number:02d}" for number in range(1, 41))
VALIDATION = ("S14", "S16", "S19", "S26", "S39")
TEST = ("S11", "S12", "S13", "S15", "S24", "S28", "S29", "S32", "S34", "S38")
LEAST_INSIDE = 0.8
"""Share of labelled voxels that must lie in the native brain mask, or the transform is refused."""
_DELINEATION = "S[0-9][0-9]/S[0-9][0-9].delineation.structure.label.*"
_NATIVE = "S[0-9][0-9]/S[0-9][0-9].native.mri.*"


@dataclasses.dataclass
class Lpba40(BrainFolder):
    """The LONI Probabilistic Brain Atlas."""

    name: ClassVar[str] = "lpba40"
    summary: ClassVar[str] = "LPBA40: 40 T1 heads, 56 structures, delineation or native space"
    source: ClassVar[str] = "https://doi.org/10.1016/j.neuroimage.2007.09.031"
    bibtex: ClassVar[str] = (
        "@article{shattuck2008construction, title={Construction of a {3D} probabilistic atlas of human cortical "
        "structures}, author={Shattuck, David W. and others}, journal={NeuroImage}, volume={39}, number={3}, "
        "pages={1064--1080}, year={2008}, doi={10.1016/j.neuroimage.2007.09.031}}"
    )
    kind: ClassVar[str] = "LPBA40 (delineation_space/S01 to S40, native_space/S01 to S40)"
    remedy: ClassVar[str] = (
        "Accept the licence (research use, no redistribution) at https://resource.loni.usc.edu/resources/"
        "atlases-downloads/, download LPBA40_Subjects_Delineation_Space_MRI_and_label_files.zip (for "
        "dataset.space=native also LPBA40_Subjects_Native_Space_MRI_data_and_masks.zip), and unpack it and the zip "
        "file inside."
    )
    markers: ClassVar[tuple[str, ...]] = (_DELINEATION,)
    complete: ClassVar[int] = len(CASES)
    directions: ClassVar[Directions] = (-1, -1, 1)

    space: Literal["delineation", "native"] = parameter(
        "delineation", "delineation = skull-stripped, 1 mm, where the labels were drawn; native = the scan as taken"
    )
    structures: str = parameter(
        "all", "structures to segment: all, or values or names such as 161,162 or caudate,hippocampus"
    )
    crop: tuple[int, int, int] | None = parameter(
        None, "cut or pad every case to D,H,W voxels around its middle; none = as it is", low=1
    )

    def find(self, folder: Path) -> dict[str, CaseFiles]:
        """Return the heads in order, 25 train, 5 validate, 10 test, as in the registration code SITReg."""
        native = self.locate(_NATIVE) if self.space == "native" else None
        homes = [path for path in visible(folder) if path.is_dir() and path.name in CASES]
        return {home.name: _entry(home, native and native / home.name) for home in homes}

    def meaning(self) -> LabelValues:
        """Return the structures chosen; the others are background."""
        return label_values(STRUCTURES, chosen=choose(STRUCTURES, self.structures))

    def shaping(self) -> tuple[object, ...]:
        """Return the space and the size of the cases."""
        return (self.space, self.crop)

    def load(self, ref: CaseRef) -> Case:
        """Read one case and cut or pad it.

        Raises:
            DataInvalid: see ``BrainFolder.load``; or ``crop`` would cut off a structure.
        """
        case = super().load(ref)
        if self.crop is None:
            return case
        from segbench_brains.cropping import crop

        return crop(case, self.crop)

    def truth(self, case: str, files: CaseFiles, label: Path, grid: Scan) -> LabelMap:
        """Return the truth, in native space by the nearest neighbour.

        Raises:
            DataInvalid: see ``BrainFolder.truth``; or the labels do not fall into the native brain mask.
        """
        if not files.beside:
            return super().truth(case, files, label, grid)
        from segbench_brains.air import read_air, to_standard

        transform, *masks = files.beside
        drawn = cases.read_labels(label, self.directions).array
        moved = to_standard(drawn, read_air(transform), grid.array.shape, grid.spacing, transform)
        for mask in masks:
            brain = cases.read_labels(mask, self.directions)
            grid.check(case, mask, brain)
            inside = float((brain.array > 0)[moved > 0].mean()) if (moved > 0).any() else 0.0
            if inside < LEAST_INSIDE:
                raise DataInvalid(
                    f"case {case}: expected labels inside the native brain mask, found {inside:.0%} of them there "
                    f"after {transform}. Do image, label map and transform belong together?"
                )
        return LabelMap(renumber(moved, self.values_, case, label), grid.spacing, grid.affine)

    def forge(self, root: Path) -> Lpba40:
        """Write made-up heads in both spaces below ``root``; see ``forging.py``."""
        from segbench_brains.forging import forge_lpba40

        return dataclasses.replace(self, path=forge_lpba40(root), crop=None)


def _entry(home: Path, native: Path | None) -> CaseFiles:
    """Return the files of one head.

    Args:
        home: its folder in delineation space.
        native: its folder in native space, or None if that is not wanted.
    """
    case = home.name
    part: Split = "test" if case in TEST else "val" if case in VALIDATION else "train"
    label = files.needed(files.pick(f"{case}.delineation.structure.label", home), case, "a label map")
    if native is None:
        stem = f"{case}.delineation.skullstripped"
        return CaseFiles((files.needed(files.pick(stem, home), case, f"{stem} in {home}"),), label, part)
    stem = f"{case}.native.mri"
    image = files.needed(files.pick(stem, native), case, f"{stem} in {native}")
    name = f"{case}.delineation.to.native.air"
    transform = next((path for folder in (native / "transforms", native) if (path := folder / name).is_file()), None)
    if transform is None:
        raise DataInvalid(f"case {case}: expected {native / 'transforms' / name}, found none. Unpack the native data.")
    mask = files.pick(f"{case}.native.brain.mask", native)
    beside = (transform, files.needed(mask, case, "voxels of the mask")) if mask else (transform,)
    return CaseFiles((image,), label, part, beside=beside)
