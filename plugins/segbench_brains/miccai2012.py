"""The MICCAI 2012 multi-atlas labelling challenge: 35 OASIS heads with 134 structures.

Source: Landman and Warfield, MICCAI 2012 Workshop on Multi-Atlas Labeling. Layout ``training-images/1000_3.nii.gz``,
``training-labels/1000_3_glm.nii.gz``, ``testing-images``, ``testing-labels``; all files in one folder
(``1000.nii.gz``, ``1000_glm.nii.gz``) will do, too. The first four digits are the subject, ``_3`` its OASIS session.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import ClassVar

from segbench import CaseFiles, DataInvalid, Split, first_few, visible
from segbench_brains import files
from segbench_brains.brain_folder import BrainFolder
from segbench_brains.braincolor import IGNORED, STRUCTURES
from segbench_brains.label_values import LabelValues, label_values

_SPLITS: dict[Split, str] = {
    "train": "1000 1001 1002 1006 1007 1008 1009 1010 1011 1012",
    "val": "1013 1014 1015 1017 1036",
    "test": "1003 1004 1005 1018 1019 1023 1024 1025 1038 1039 1101 1104 1107 1110 1113 1116 1119 1122 1125 1128",
}
SPLITS = {case: split for split, names in _SPLITS.items() for case in names.split()}
"""Case -> part: the official 15 training and 20 test scans; of the training scans the last five validate, as in Ganaye
2018."""
_PARTS = ("training-images", "training-labels", "testing-images", "testing-labels")
_FILE = re.compile(r"(\d{4})(_\d)?(_glm)?\.nii(\.gz)?")


@dataclasses.dataclass
class Miccai2012(BrainFolder):
    """The MICCAI 2012 multi-atlas labelling challenge."""

    name: ClassVar[str] = "miccai2012"
    summary: ClassVar[str] = "MICCAI 2012 multi-atlas labelling: T1 heads, 134 structures"
    source: ClassVar[str] = "http://www.neuromorphometrics.com/2012_MICCAI_Challenge_Data.html"
    bibtex: ClassVar[str] = (
        "@inproceedings{landman2012miccai, title={MICCAI 2012 Workshop on Multi-Atlas Labeling}, author={Landman, "
        "Bennett A. and Warfield, Simon K.}, booktitle={MICCAI Grand Challenge and Workshop on Multi-Atlas Labeling}, "
        "year={2012}}"
    )
    kind: ClassVar[str] = "the MICCAI 2012 multi-atlas labelling data (training-images, training-labels, testing-...)"
    remedy: ClassVar[str] = (
        "Request the data at http://www.neuromorphometrics.com/2012_MICCAI_Challenge_Data.html (form; CC BY-NC; credit "
        "OASIS and Neuromorphometrics, Inc.) and unpack all four folders side by side."
    )
    markers: ClassVar[tuple[str, ...]] = ("training-labels/*_glm.nii*", "[0-9][0-9][0-9][0-9]*_glm.nii*")
    complete: ClassVar[int] = len(SPLITS)

    def find(self, folder: Path) -> dict[str, CaseFiles]:
        """Return the scans in official order; the folder a scan lies in does not matter, its subject does."""
        parts = [part for name in _PARTS if (part := folder / name).is_dir()] or [folder]
        found: dict[tuple[str, bool], Path] = {}
        for path in (path for part in parts for path in visible(part)):
            if not (match := _FILE.fullmatch(path.name)):
                continue
            key = (match[1], bool(match[3]))
            other = found.setdefault(key, path)  # sorted: x.nii comes before x.nii.gz
            if str(other).removesuffix(".gz") != str(path).removesuffix(".gz"):
                raise DataInvalid(f"{folder}: expected one scan of subject {match[1]}, found {other} and {path}.")
            found[key] = path
        if strange := sorted({case for case, _ in found} - SPLITS.keys()):
            raise DataInvalid(
                f"{folder}: expected the {self.complete} subjects of the challenge, found {first_few(strange)} too. "
                f"Move other scans elsewhere."
            )
        return {
            case: CaseFiles(
                (files.needed(found.get((case, False)), case, f"an image {case}_3"),),
                files.needed(found.get((case, True)), case, f"a label map {case}_3_glm"),
                split,
            )
            for case, split in SPLITS.items()
            if (case, False) in found or (case, True) in found
        }

    def meaning(self) -> LabelValues:
        """Return the 134 structures; values that the challenge does not score are unknown."""
        return label_values(STRUCTURES, ignored=IGNORED)

    def forge(self, root: Path) -> Miccai2012:
        """Write made-up heads below ``root``; see ``forging.py``."""
        from segbench_brains.forging import forge_miccai2012

        return dataclasses.replace(self, path=forge_miccai2012(root))
