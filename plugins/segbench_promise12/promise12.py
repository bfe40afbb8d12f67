"""PROMISE12, the Prostate MR Image Segmentation challenge: transversal T2 MR with the whole prostate.

Source: Litjens et al., Evaluation of prostate segmentation algorithms for MRI: The PROMISE12 challenge, Medical Image
Analysis 18(2), 2014, https://doi.org/10.1016/j.media.2013.12.002. 50 training and 30 test cases of different patients;
both are numbered from Case00, so the part belongs to the case's id. The test masks are public since the release on
Zenodo, https://zenodo.org/records/8026660.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from segbench import Case, CaseRef, DataInvalid, DataMissing, Dataset, Task, did_you_mean, parameter
from segbench_promise12.layout import TEST, TRAINING, Scan, find_scans, revision

LABELS = ("background", "prostate")
Role = Literal["train", "val", "test", "unlabelled"]
_REMEDY = (
    "Download https://zenodo.org/api/records/8026660/files/training_data.zip/content and .../test_data.zip/content (no "
    "login; terms: research use, cite Litjens et al. 2014), unpack both into one folder DIR, and run with "
    "--set dataset.path=DIR"
)
_SHARES: dict[str, tuple[float, float]] = {"35/5/10": (0.1, 0.2), "40/10": (0.0, 0.2)}
"""Split of the training cases -> shares of validation and test."""


@dataclasses.dataclass
class Promise12(Dataset):
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
    scans_: dict[str, Scan] = dataclasses.field(init=False, repr=False, default_factory=dict)
    roles_: dict[str, Role] = dataclasses.field(init=False, repr=False, default_factory=dict)
    task_: Task | None = dataclasses.field(init=False, repr=False, default=None)

    def prepare(self, root: Path) -> None:
        """Find the cases and check that every voxel file is there.

        Raises:
            DataMissing: no folder, or no test cases or masks where they are asked for.
            DataInvalid: a folder that is not PROMISE12, or damaged.
        """
        folder = self._folder()
        scans = find_scans(folder)
        test = [scan for scan in scans.values() if scan.part == TEST]
        if self.split == "official" or self.use_test_images:
            if not test:
                raise DataMissing(f"{folder}: expected test cases, found none. {_REMEDY}, or choose another split.")
        else:
            scans = {name: scan for name, scan in scans.items() if scan.part == TRAINING}
        if self.split == "official" and (bare := [scan.name for scan in test if scan.label is None]):
            raise DataMissing(
                f"{folder}: expected masks of the test cases, found none of {len(bare)} ({bare[0]}, ...): the original "
                f"site kept them back. {_REMEDY}, or choose another split."
            )
        for scan in scans.values():
            scan.files()
        self.scans_, self.roles_ = scans, self._roles(scans)
        labelled = [name for name, role in self.roles_.items() if role != "unlabelled"]
        drawn = f"Split {self.split}: drawn with seed {self.split_seed}; no list of cases was ever published."
        self.task_ = Task(
            name=self.name,
            revision=revision(LABELS, scans, labelled),
            labels=LABELS,
            channels=("T2",),
            notes=() if self.split == "official" else (drawn,),
        )

    def _folder(self) -> Path:
        if self.path is None:
            raise DataMissing(f"Expected a folder with PROMISE12, but dataset.path is not set. {_REMEDY}.")
        folder = self.path.expanduser()
        if not folder.is_dir():
            found = "a file" if folder.exists() else "nothing"
            raise DataMissing(f"Expected a folder with PROMISE12 at {folder}, found {found} there. {_REMEDY}.")
        return folder.resolve()

    def _roles(self, scans: dict[str, Scan]) -> dict[str, Role]:
        """Return case id -> split; the draw depends on the seed and the ids alone."""
        test_role: Role = "test" if self.split == "official" else "unlabelled"
        roles: dict[str, Role] = {name: "train" if scan.part == TRAINING else test_role for name, scan in scans.items()}
        if self.split in _SHARES:
            drawn = [name for name in roles if roles[name] == "train"]
            drawn.sort(key=lambda name: hashlib.sha256(f"promise12/{self.split_seed}/{name}".encode()).digest())
            validation, test = (round(share * len(drawn)) for share in _SHARES[self.split])
            roles |= dict.fromkeys(drawn[:test], "test")
            roles |= dict.fromkeys(drawn[test : test + validation], "val")
        return roles

    @property
    def task(self) -> Task:
        """What is to be segmented; valid after ``prepare``."""
        if self.task_ is None:
            raise DataMissing("Expected a prepared dataset, found a fresh one. Call prepare(root) first.")
        return self.task_

    def refs(self) -> Sequence[CaseRef]:
        """Return the cases by number, training before test; every case is a patient of its own."""
        return [CaseRef(name, name, self.roles_[name], _stamp(scan)) for name, scan in self.scans_.items()]

    def load(self, ref: CaseRef) -> Case:
        """Read one case; the masks of unlabelled cases are not read.

        Raises:
            DataInvalid: unreadable files, grids that differ, values other than 0 and 1, or SimpleITK is absent.
        """
        from segbench_promise12.reading import load_scan

        if ref.id not in self.scans_:
            raise DataInvalid(f"case {ref.id!r}: expected a case of {self.name}. {did_you_mean(ref.id, self.scans_)}")
        return load_scan(self.scans_[ref.id], labelled=self.roles_[ref.id] != "unlabelled")

    def forge(self, root: Path) -> Promise12:
        """Write made-up cases in Zenodo's layout below ``root``; see ``forging.py``."""
        from segbench_promise12.forging import forge

        return dataclasses.replace(self, path=forge(root))


def _stamp(scan: Scan) -> str:
    stats = [path.stat() for path in scan.files()]
    return ",".join(f"{stat.st_size}-{stat.st_mtime_ns}" for stat in stats)
