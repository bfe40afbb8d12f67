"""SegTHOR, Segmentation of THoracic Organs at Risk: CT with esophagus, heart, trachea and aorta.

Source: Lambert et al., SegTHOR: Segmentation of Thoracic Organs at Risk in CT images, IPTA 2020,
https://doi.org/10.1109/IPTA50016.2020.9286453. 40 labelled and 20 unlabelled scans; as the labels of the 20 are not
public, test cases are held out of the 40 by the host's split. Intensities stay in Hounsfield units, without a window.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from segbench import (
    Case,
    CaseFiles,
    CaseRef,
    DataInvalid,
    FolderDataset,
    Task,
    UnknownName,
    content_revision,
    did_you_mean,
    first_few,
    parameter,
)
from segbench_segthor import layout
from segbench_segthor.layout import Scan

ORGANS = ("esophagus", "heart", "trachea", "aorta")
"""Organs in the order of their values 1 to 4 in ``GT.nii.gz``."""


@dataclasses.dataclass
class SegTHOR(FolderDataset):
    """The scans of SegTHOR; case and group ``Patient_01``."""

    name: ClassVar[str] = "segthor"
    summary: ClassVar[str] = "SegTHOR: thoracic CT with aorta (or esophagus, heart, trachea)"
    source: ClassVar[str] = "https://doi.org/10.1109/IPTA50016.2020.9286453"
    bibtex: ClassVar[str] = (
        "@inproceedings{lambert2020segthor, title={{SegTHOR}: Segmentation of Thoracic Organs at Risk in {CT} images}, "
        "author={Lambert, Zo{\\'e} and Petitjean, Caroline and Dubray, Bernard and Ruan, Su}, booktitle={International "
        "Conference on Image Processing Theory, Tools and Applications (IPTA)}, year={2020}, "
        "doi={10.1109/IPTA50016.2020.9286453}}"
    )
    kind: ClassVar[str] = "a folder with SegTHOR"
    remedy: ClassVar[str] = (
        "Register at https://competitions.codalab.org/competitions/21145 (no public licence: not to be passed on), get "
        "SegTHOR_train.zip (1.8 GB) and the test images, and unpack them into one folder DIR with train and test."
    )

    path: Path | None = parameter(None, "the folder that holds train and test", content=False)
    organs: str = parameter("aorta", "organs to segment: all, or names such as aorta,heart; the others are background")
    use_test_images: bool = parameter(True, "offer the test scans, if they are there, as unlabelled cases")

    def prepare(self, root: Path) -> None:
        """Find the scans, check that they are complete and warn of altered copies.

        Raises:
            DataMissing: no folder.
            DataInvalid: a folder that is not SegTHOR, or damaged.
            UnknownName: an organ that SegTHOR does not have.
        """
        values = _values(self.organs)
        base = layout.find_base(self.locate())
        scans = layout.training_scans(base)
        unlabelled = layout.unlabelled_scans(base) if self.use_test_images else []
        if both := sorted({scan.name for scan in scans} & {scan.name for scan in unlabelled}):
            raise DataInvalid(f"{base}: expected train and test apart, found {both[0]} in both. Unpack afresh.")
        labels = ("background", *(ORGANS[value - 1] for value in values))
        self.cases_ = {scan.name: CaseFiles((scan.image,), scan.label) for scan in (*scans, *unlabelled)}
        chosen = {value: index for index, value in enumerate(values, start=1)}
        self.values_ = dict.fromkeys(range(len(ORGANS) + 1), 0) | chosen
        self.task_ = Task(
            name=self.name,
            revision=content_revision(repr(labels), self.cases_),
            labels=labels,
            channels=("CT",),
            notes=tuple(_suspicions(base, scans)),
        )

    def load(self, ref: CaseRef) -> Case:
        """Read one scan; ground truths other than ``GT.nii.gz`` are never read.

        Raises:
            DataInvalid: unreadable files, grids that differ, values above 4, or an organ without a voxel.
        """
        import numpy as np

        case = super().load(ref)
        if case.truth is None:
            return case
        counts = np.bincount(case.truth.array.ravel(), minlength=len(self.task.labels))
        if absent := [organ for organ, count in zip(self.task.labels[1:], counts[1:], strict=True) if not count]:
            raise DataInvalid(
                f"case {case.id}: expected every organ in every labelled scan, found no voxel of label "
                f"{ORGANS.index(absent[0]) + 1} ({absent[0]}) in {self.files_of(ref).label}. Is it an altered copy? "
                f"Get the official one."
            )
        return case

    def forge(self, root: Path) -> SegTHOR:
        """Write made-up scans in the native layout below ``root``; see ``forging.py``."""
        from segbench_segthor.forging import forge

        return dataclasses.replace(self, path=forge(root))


def _values(organs: str) -> tuple[int, ...]:
    """Return the values of the organs asked for, in ascending order."""
    names = [name.strip().lower() for name in organs.split(",") if name.strip()]
    if names == ["all"]:
        return tuple(range(1, len(ORGANS) + 1))
    for name in names or [""]:
        if name not in ORGANS:
            raise UnknownName(f"organs: SegTHOR has no {name!r}. {did_you_mean(name, (*ORGANS, 'all'))}")
    return tuple(sorted({ORGANS.index(name) + 1 for name in names}))


def _suspicions(base: Path, scans: Sequence[Scan]) -> list[str]:
    """Return a note for every sign that this is not the official copy, and warn."""
    notes = [
        f"{path.name} is {what}: do not compare with published results." for path, what in layout.altered_archives(base)
    ]
    if extra := [f"{scan.name}/{path.name}" for scan in scans for path in scan.extra]:
        notes.append(
            f"Found {first_few(extra)}, which the official copy does not have and which are not read: an altered "
            f"copy is going round whose GT.nii.gz are wrong on purpose; compare with a copy from codalab."
        )
    for note in notes:
        logging.getLogger(__name__).warning("segthor: %s", note)
    return notes
