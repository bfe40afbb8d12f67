"""MRBrainS18: seven labelled heads in T1, T1 inversion recovery and FLAIR.

Source: Kuijf et al., https://mrbrains18.isi.uu.nl, https://doi.org/10.34894/E0U32Q. Layout ``training/1/segm.nii.gz``
and ``training/1/pre/{reg_T1,reg_IR,FLAIR}.nii.gz``, bias-corrected and on the grid of FLAIR; ``orig/`` is not read.
Some archives hold ``training/training/``. Infarction (9) and other lesions (10) are unknown: the challenge left them
out of the evaluation, in truth and prediction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from segbench import CaseFiles, visible
from segbench_brains import files
from segbench_brains.channels import ChannelFolder
from segbench_brains.label_values import LabelValues, label_values
from segbench_brains.mrbrains_values import PATHOLOGY, STRUCTURES


@dataclasses.dataclass
class MrBrains18(ChannelFolder):
    """The MRBrainS18 challenge."""

    name: ClassVar[str] = "mrbrains18"
    summary: ClassVar[str] = "MRBrainS18: T1, T1-IR and FLAIR heads, 8 structures, lesions left out"
    source: ClassVar[str] = "https://mrbrains18.isi.uu.nl"
    bibtex: ClassVar[str] = (
        "@misc{kuijf2018mrbrains, title={{MR} Brain Segmentation Challenge 2018 Data}, author={Kuijf, Hugo J. and "
        "Bennink, Edwin and others}, publisher={DataverseNL}, doi={10.34894/E0U32Q}}"
    )
    kind: ClassVar[str] = "MRBrainS18 (training/1, 4, 5, 7, 14, 070 and 148, each with segm.nii.gz and pre/)"
    remedy: ClassVar[str] = (
        "Get the training data from DataverseNL, https://doi.org/10.34894/E0U32Q (terms of use: research only, no "
        "redistribution; https://mrbrains18.isi.uu.nl), and unpack it."
    )
    markers: ClassVar[tuple[str, ...]] = ("*/segm.nii*",)
    complete: ClassVar[int] = 7
    stems: ClassVar[Mapping[str, str]] = {"T1": "reg_T1", "T1_IR": "reg_IR", "FLAIR": "FLAIR"}

    def find(self, folder: Path) -> dict[str, CaseFiles]:
        """Return ``training_1`` ... by number."""
        homes = [path for path in visible(folder) if path.name.isdecimal() and path.is_dir()]
        entries = {}
        for home in sorted(homes, key=lambda path: int(path.name)):
            case = f"training_{home.name}"
            label = files.needed(files.pick("segm", home), case, f"segm in {home}")
            entries[case] = CaseFiles(self.images(case, home / "pre"), label)
        return entries

    def meaning(self) -> LabelValues:
        """Return the eight structures; lesions other than those of white matter are unknown."""
        return label_values(STRUCTURES, ignored=PATHOLOGY)

    def forge(self, root: Path) -> MrBrains18:
        """Write made-up heads below ``root``; see ``forging.py``."""
        from segbench_brains.forging import forge_mrbrains18

        return dataclasses.replace(self, path=forge_mrbrains18(root))
