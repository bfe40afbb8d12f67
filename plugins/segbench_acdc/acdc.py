"""ACDC, the Automated Cardiac Diagnosis Challenge: short-axis cine MR with RV cavity, myocardium and LV cavity.

Source: Bernard et al., Deep Learning Techniques for Automatic MRI Cardiac Multi-Structures Segmentation and Diagnosis:
Is the Problem Solved?, IEEE TMI 37(11), 2018, https://doi.org/10.1109/TMI.2018.2837502. 100 training and 50 testing
patients, each with the end-diastolic and the end-systolic frame annotated; which frames these are stands in Info.cfg.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import ClassVar, Literal

from segbench import CaseFiles, DataInvalid, DataMissing, FolderDataset, Split, Task, parameter
from segbench_acdc import lists
from segbench_acdc.layout import TESTING, TRAINING, Frame, find_frames

_NOTE = "A case is one frame (ED or ES); both frames of a patient stand in the same split."


@dataclasses.dataclass
class ACDC(FolderDataset):
    """The ED and ES frames of ACDC; case ``patient001_ED``, group ``patient001``."""

    name: ClassVar[str] = "acdc"
    summary: ClassVar[str] = "ACDC: cardiac cine MR with RV, Myo and LV at ED and ES"
    source: ClassVar[str] = "https://doi.org/10.1109/TMI.2018.2837502"
    bibtex: ClassVar[str] = (
        "@article{bernard2018deep, title={Deep Learning Techniques for Automatic {MRI} Cardiac Multi-Structures "
        "Segmentation and Diagnosis: Is the Problem Solved?}, author={Bernard, Olivier and Lalande, Alain and Zotti, "
        "Clement and Cervenansky, Frederick and others}, journal={IEEE Transactions on Medical Imaging}, volume={37}, "
        "number={11}, pages={2514--2525}, year={2018}, doi={10.1109/TMI.2018.2837502}}"
    )
    kind: ClassVar[str] = "a folder with ACDC"
    remedy: ClassVar[str] = (
        "Download https://humanheart-project.creatis.insa-lyon.fr/database/api/v1/folder/637218e573e9f0047faa00fc/"
        "download (one zip; its terms: cite Bernard et al. 2018, do not pass the data on) and unpack it (with "
        "UNZIP_DISABLE_ZIPBOMB_DETECTION=TRUE)."
    )

    path: Path | None = parameter(None, "the folder that holds training and testing", content=False)
    split: Literal["70/10/20", "random", "official"] = parameter(
        "70/10/20",
        "70/10/20 = a published list over the 100 training patients; random = those by the host's seed; "
        "official = train on training, test on testing, no validation",
    )
    use_test_images: bool = parameter(
        False, "offer the testing patients' frames as unlabelled cases (with official they are the test cases)"
    )

    def prepare(self, root: Path) -> None:
        """Find the frames and check the folder.

        Raises:
            DataMissing: no folder, or no labels for the testing patients where they are the test cases.
            DataInvalid: a folder that is not ACDC, or damaged.
        """
        from segbench_acdc.reading import LABELS, revision

        folder = self.locate()
        with_testing = self.use_test_images or self.split == "official"
        frames = find_frames(folder, (TRAINING, TESTING) if with_testing else (TRAINING,))
        testing = [frame for frame in frames if frame.part == TESTING]
        if with_testing and not testing:
            raise DataMissing(f"{folder}: expected testing patients, found none. {self.remedy} Or take another split.")
        if self.split == "official" and (bare := [frame.name for frame in testing if frame.label is None]):
            raise DataMissing(
                f"{folder}: expected label maps of the testing patients, found none of {len(bare)} frames "
                f"({bare[0]}, ...): releases before 2022 keep them back. {self.remedy} Or take another split."
            )
        roles = [self._role(frame) for frame in frames]
        self.cases_ = {
            frame.name: CaseFiles((frame.image,), None if role == "unlabelled" else frame.label, role, frame.patient)
            for frame, role in zip(frames, roles, strict=True)
        }
        self.task_ = Task(
            name=self.name,
            revision=revision(self.cases_),
            labels=LABELS,
            channels=("cine MR",),
            notes=(_NOTE, *self._gaps(frames)),
        )

    def _role(self, frame: Frame) -> Split:
        """Return the split of a frame."""
        if frame.part == TESTING:
            return "test" if self.split == "official" else "unlabelled"
        if self.split == "random":
            return ""
        number = int(frame.patient.removeprefix("patient"))
        if self.split == "official" or number not in lists.VALIDATION | lists.TEST:
            return "train"
        return "val" if number in lists.VALIDATION else "test"

    def _gaps(self, frames: list[Frame]) -> list[str]:
        """Return a note, and warn, where the published list and the folder do not speak of the same patients."""
        here = {int(frame.patient.removeprefix("patient")) for frame in frames if frame.part == TRAINING}
        if self.split != "70/10/20" or here == set(lists.PATIENTS):
            return []
        note = f"The published 70/10/20 list names 100 patients; {len(here & set(lists.PATIENTS))} of them are here."
        if here - set(lists.PATIENTS):
            raise DataInvalid(
                f"{self.path}: expected the patients 1 to 100 of the published list, found patient{max(here):03d} in "
                f"training. Run with --set dataset.split=random."
            )
        logging.getLogger(__name__).warning("acdc: %s Do not compare with published results.", note)
        return [note]

    def forge(self, root: Path) -> ACDC:
        """Write made-up patients in the official layout below ``root``; see ``forging.py``."""
        from segbench_acdc.forging import forge

        return dataclasses.replace(self, path=forge(root))
