"""MRBrainS13: five labelled heads, and fifteen without labels, in T1, T1 inversion recovery and T2-FLAIR.

Source: Mendrik et al., Computational Intelligence and Neuroscience 2015, 813696, https://doi.org/10.1155/2015/813696.
Layout ``TrainingData/1..5`` and ``TestData/1..15`` with ``T1.nii``, ``T1_IR.nii``, ``T2_FLAIR.nii`` on one grid;
``T1_1mm.nii`` lies on another one and is not read. The labels of ``TestData`` were never published.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from segbench import UNKNOWN, CaseFiles, DataMissing, parameter, visible
from segbench_brains import files
from segbench_brains.channels import ChannelFolder
from segbench_brains.label_values import LabelValues, label_values
from segbench_brains.mrbrains_values import STRUCTURES, TISSUES, TISSUES_OF_STRUCTURES


@dataclasses.dataclass
class MrBrains13(ChannelFolder):
    """The MRBrainS13 challenge."""

    name: ClassVar[str] = "mrbrains13"
    summary: ClassVar[str] = "MRBrainS13: T1, T1-IR and FLAIR heads, 8 structures or 3 tissues"
    source: ClassVar[str] = "https://doi.org/10.1155/2015/813696"
    bibtex: ClassVar[str] = (
        "@article{mendrik2015mrbrains, title={{MRBrainS} Challenge: Online Evaluation Framework for Brain Image "
        'Segmentation in {3T} {MRI} Scans}, author={Mendrik, Adri{\\"e}nne M. and others}, journal={Computational '
        "Intelligence and Neuroscience}, volume={2015}, pages={813696}, year={2015}, doi={10.1155/2015/813696}}"
    )
    kind: ClassVar[str] = "MRBrainS13 (TrainingData/1 to 5)"
    remedy: ClassVar[str] = (
        "Get MRBrainS13DataNii from DataverseNL, https://doi.org/10.34894/645ZIN (terms of use: research only, no "
        "redistribution; https://mrbrains13.isi.uu.nl), and unpack it."
    )
    markers: ClassVar[tuple[str, ...]] = ("TrainingData",)
    complete: ClassVar[int] = 5
    stems: ClassVar[Mapping[str, str]] = {"T1": "T1", "T1_IR": "T1_IR", "FLAIR": "T2_FLAIR"}

    labels: Literal["structures", "tissues", "scored_tissues"] = parameter(
        "structures",
        "structures = the 8 of LabelsForTraining; tissues = the 3 of LabelsForTesting, where cerebellum and brain stem "
        "are background; scored_tissues = the same three, where they are unknown",
    )
    use_test_images: bool = parameter(False, "offer the heads of TestData as unlabelled cases")

    def find(self, folder: Path) -> dict[str, CaseFiles]:
        """Return ``training_1`` ... and, if asked for, ``test_1`` ..., which are unlabelled."""
        stem = "LabelsForTesting" if self.labels == "tissues" else "LabelsForTraining"
        entries = {}
        for home in _homes(folder / "TrainingData"):
            case = f"training_{home.name}"
            label = files.needed(files.pick(stem, home), case, f"{stem} in {home}")
            entries[case] = CaseFiles(self.images(case, home), label)
        if self.use_test_images:
            homes = _homes(folder / "TestData")
            if not homes:
                raise DataMissing(f"{folder}: expected TestData/1 ..., found none. Set dataset.use_test_images=false.")
            for home in homes:
                case = f"test_{home.name}"
                entries[case] = CaseFiles(self.images(case, home))
        return entries

    def meaning(self) -> LabelValues:
        """Return the structures or the tissues."""
        if self.labels == "structures":
            return label_values(STRUCTURES)
        tissues = label_values(TISSUES)
        if self.labels == "tissues":
            return tissues
        return LabelValues(
            tissues.names, {0: 0} | {value: TISSUES_OF_STRUCTURES.get(value, UNKNOWN) for value in STRUCTURES}
        )

    def forge(self, root: Path) -> MrBrains13:
        """Write made-up heads below ``root``; see ``forging.py``."""
        from segbench_brains.forging import forge_mrbrains13

        return dataclasses.replace(self, path=forge_mrbrains13(root))


def _homes(folder: Path) -> list[Path]:
    """Return the folders of the heads by number."""
    return sorted(
        (path for path in visible(folder) if path.name.isdecimal() and path.is_dir()),
        key=lambda path: int(path.name),
    )
