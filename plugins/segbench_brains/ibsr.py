"""The Internet Brain Segmentation Repository, version 2.0: 18 heads, drawn as structures and as tissues.

Source: http://www.nitrc.org/projects/ibsr. Layout ``IBSR_01/IBSR_01_ana_strip.nii.gz``, ``_ana``, ``_seg_ana``,
``_segTRI_ana``; the older one with Analyze pairs in ``images/analyze`` and ``segmentation/analyze`` is read as well.
Arrays have a fourth axis of length one; slices (1.5 mm) are the second axis of the file.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

from segbench import CaseFiles, DataInvalid, Split, parameter, visible
from segbench_brains import cma, files
from segbench_brains.brain_folder import BrainFolder
from segbench_brains.label_values import LabelValues, label_values

CASES = tuple(f"IBSR_{number:02d}" for number in range(1, 19))


@dataclasses.dataclass
class Ibsr(BrainFolder):
    """IBSR 2.0: 18 T1 heads."""

    name: ClassVar[str] = "ibsr"
    summary: ClassVar[str] = "IBSR 2.0: 18 T1 heads, 32 structures or 3 tissues"
    source: ClassVar[str] = "https://www.nitrc.org/projects/ibsr"
    bibtex: ClassVar[str] = (
        "@misc{ibsr, title={The Internet Brain Segmentation Repository ({IBSR}) 2.0}, author={{Center for "
        "Morphometric Analysis, Massachusetts General Hospital}}, howpublished={https://www.nitrc.org/projects/ibsr}}"
    )
    kind: ClassVar[str] = "IBSR 2.0 (folders IBSR_01 to IBSR_18)"
    remedy: ClassVar[str] = (
        "Download https://www.nitrc.org/frs/download.php/5731/IBSR_V2.0_nifti_stripped.tgz (a NITRC account may be "
        "needed; (c) MGH, research use in segmentation, no redistribution, permission needed before images are "
        "published) and unpack it."
    )
    markers: ClassVar[tuple[str, ...]] = ("IBSR_[0-9][0-9]",)
    complete: ClassVar[int] = len(CASES)

    labels: Literal["structures", "tissues"] = parameter(
        "structures", "structures = 32 of them (seg_ana); tissues = CSF, grey and white matter (segTRI_ana)"
    )
    stripped: bool = parameter(True, "images without skull (ana_strip) rather than whole heads (ana)")

    def find(self, folder: Path) -> dict[str, CaseFiles]:
        """Return the scans in order: 10 train, 3 validate, 5 test."""
        image = "ana_strip" if self.stripped else "ana"
        label = "seg_ana" if self.labels == "structures" else "segTRI_ana"
        entries = {}
        for case in (path.name for path in visible(folder) if path.is_dir() and path.name.startswith("IBSR_")):
            if case not in CASES:
                raise DataInvalid(f"{folder}: expected {self.kind}, found {case}. Move it elsewhere.")
            home = folder / case
            scan = files.pick(f"{case}_{image}", home, home / "images" / "analyze")
            truth = files.pick(f"{case}_{label}", home, home / "segmentation" / "analyze")
            hint = " (or set dataset.stripped=false)" if self.stripped else ""
            entries[case] = CaseFiles(
                (files.needed(scan, case, f"{case}_{image}{hint}"),),
                files.needed(truth, case, f"{case}_{label}"),
                _part(CASES.index(case)),
            )
        return entries

    def meaning(self) -> LabelValues:
        """Return the structures or the tissues."""
        if self.labels == "tissues":
            return label_values(cma.TISSUES)
        return label_values(cma.STRUCTURES, ignored=cma.IGNORED, same=cma.SAME)

    def shaping(self) -> tuple[object, ...]:
        """Return which of the two images is read."""
        return (self.stripped,)

    def forge(self, root: Path) -> Ibsr:
        """Write made-up heads below ``root``; see ``forging.py``."""
        from segbench_brains.forging import forge_ibsr

        return dataclasses.replace(self, path=forge_ibsr(root))


def _part(index: int) -> Split:
    return "train" if index < 10 else "val" if index < 13 else "test"
