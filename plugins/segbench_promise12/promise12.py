"""PROMISE12, the Prostate MR Image Segmentation challenge: transversal T2 MR with the whole prostate.

Source: Litjens et al., Evaluation of prostate segmentation algorithms for MRI: The PROMISE12 challenge, Medical Image
Analysis 18(2), 2014, https://doi.org/10.1016/j.media.2013.12.002. 50 training and 30 test cases of different patients;
both are numbered from Case00, so the part belongs to the case's id. The test masks are public since the release on
Zenodo, https://zenodo.org/records/8026660.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

from segbench import CaseFiles, DataMissing, FolderDataset, Split, Task, content_revision, parameter
from segbench_promise12.layout import TEST, TRAINING, Scan, find_scans, read_header

LABELS = ("background", "prostate")
_SHARES: dict[str, tuple[float, float]] = {"35/5/10": (0.1, 0.2), "40/10": (0.0, 0.2)}
"""Split of the training cases -> shares of validation and test."""


@dataclasses.dataclass
class Promise12(FolderDataset):
    """The cases of PROMISE12 with their ids prefixed by the part: ``training_Case00``, ``test_Case00``."""

    name: ClassVar[str] = "promise12"
    summary: ClassVar[str] = "PROMISE12: T2 MR with the whole prostate"
    source: ClassVar[str] = "https://doi.org/10.1016/j.media.2013.12.002"
    bibtex: ClassVar[str] = (
        "@article{litjens2014evaluation, title={Evaluation of prostate segmentation algorithms for {MRI}: The "
        "{PROMISE12} challenge}, author={Litjens, Geert and Toth, Robert and van de Ven, Wendy and Hoeks, Caroline and "
        "others}, journal={Medical Image Analysis}, volume={18}, number={2}, pages={359--373}, year={2014}, "
        "doi={10.1016/j.media.2013.12.002}}"
    )
    kind: ClassVar[str] = "a folder with PROMISE12"
    remedy: ClassVar[str] = (
        "Download https://zenodo.org/api/records/8026660/files/training_data.zip/content and .../test_data.zip/content "
        "(no login; terms: research use, cite Litjens et al. 2014) and unpack both into one folder DIR."
    )

    path: Path | None = parameter(None, "the folder that holds the unpacked archives", content=False)
    split: Literal["35/5/10", "40/10", "official"] = parameter(
        "35/5/10",
        "35/5/10 and 40/10 = the 50 training cases drawn by split_seed; official = train on training, test on test, "
        "no validation",
    )
    split_seed: int = parameter(0, "seed of the draw for 35/5/10 and 40/10; no list was ever published", low=0)
    use_test_images: bool = parameter(
        False, "offer the test images as unlabelled cases (with official they are the test cases)"
    )

    def prepare(self, root: Path) -> None:
        """Find the cases and check that every voxel file is there.

        Raises:
            DataMissing: no folder, or no test cases or masks where they are asked for.
            DataInvalid: a folder that is not PROMISE12, or damaged.
        """
        folder = self.locate()
        scans = find_scans(folder)
        test = [scan for scan in scans.values() if scan.part == TEST]
        if self.split == "official" or self.use_test_images:
            if not test:
                raise DataMissing(f"{folder}: expected test cases, found none. {self.remedy} Or choose another split.")
        else:
            scans = {name: scan for name, scan in scans.items() if scan.part == TRAINING}
        if self.split == "official" and (bare := [scan.name for scan in test if scan.label is None]):
            raise DataMissing(
                f"{folder}: expected masks of the test cases, found none of {len(bare)} ({bare[0]}, ...): the original "
                f"site kept them back. {self.remedy} Or choose another split."
            )
        roles = self._roles(scans.values())
        self.cases_ = {
            name: CaseFiles((scan.image,), None if roles[name] == "unlabelled" else scan.label, roles[name])
            for name, scan in scans.items()
        }
        headers = {path: read_header(path) for scan in scans.values() for path in (scan.image, scan.label) if path}
        grids = [
            (name, headers[scan.image]["DimSize"], headers[scan.image].get("ElementSpacing"))
            for name, scan in scans.items()
            if roles[name] != "unlabelled"
        ]
        drawn = f"Split {self.split}: drawn with seed {self.split_seed}; no list of cases was ever published."
        self.task_ = Task(
            name=self.name,
            revision=content_revision(repr((LABELS, grids)), self.cases_),
            labels=LABELS,
            channels=("T2",),
            notes=() if self.split == "official" else (drawn,),
        )

    def _roles(self, scans: Iterable[Scan]) -> dict[str, Split]:
        """Return case id -> split; the draw depends on the seed and the ids alone."""
        test_role: Split = "test" if self.split == "official" else "unlabelled"
        roles: dict[str, Split] = {scan.name: "train" if scan.part == TRAINING else test_role for scan in scans}
        if self.split in _SHARES:
            drawn = [name for name in roles if roles[name] == "train"]
            drawn.sort(key=lambda name: hashlib.sha256(f"promise12/{self.split_seed}/{name}".encode()).digest())
            validation, test = (round(share * len(drawn)) for share in _SHARES[self.split])
            roles |= dict.fromkeys(drawn[:test], "test")
            roles |= dict.fromkeys(drawn[test : test + validation], "val")
        return roles

    def forge(self, root: Path) -> Promise12:
        """Write made-up cases in Zenodo's layout below ``root``; see ``forging.py``."""
        from segbench_promise12.forging import forge

        return dataclasses.replace(self, path=forge(root))
