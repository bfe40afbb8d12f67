"""Where the scans of SegTHOR lie, and what betrays the altered copy that is going round; see README.md."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segbench import DataInvalid, first_few, visible

_PATIENT = re.compile(r"Patient_\d{2}")
_ENDINGS = (".nii.gz", ".nii")
_ARCHIVE = re.compile(r".*segthor.*\.zip|(train|test)\.zip", re.IGNORECASE)
_EXTRA = re.compile(r"GT.+\.nii(\.gz)?", re.IGNORECASE)
_COURSE = "a course's copy whose ground truth was altered on purpose (the heart is displaced)"
ALTERED = {
    "07d547cbe8e267a2515dad04fe801ee42cbb7af7bcb6502ab51be54668998339": _COURSE,
    "254a2f3928175bbeebb82c7be5d6b375b3a238e852d0d16ba201414a9deffafb": "the test images of " + _COURSE,
}
"""SHA-256 of an archive -> what it is."""


@dataclass(frozen=True)
class Scan:
    """One CT.

    Attributes:
        name: e.g. ``Patient_01``.
        image: the CT, Hounsfield units.
        label: its ``GT.nii.gz``, or None for the test scans.
        extra: further files that look like ground truths; never read.
    """

    name: str
    image: Path
    label: Path | None
    extra: tuple[Path, ...] = ()


def find_base(folder: Path) -> Path:
    """Return the folder that holds ``train``: the folder itself, its parent if it is ``train``, or the one inside it.

    Raises:
        DataInvalid: none, or several.
    """
    if _train(folder):
        return folder
    if folder.name == "train" and _train(folder.parent):
        return folder.parent
    inner = [path for path in visible(folder) if path.is_dir() and _train(path)]
    if len(inner) == 1:
        return inner[0]
    found = f"several ({first_few(path.name for path in inner)})" if inner else "no such folder"
    raise DataInvalid(
        f"{folder}: expected SegTHOR with train/Patient_01/GT.nii.gz and so on, found {found}. "
        f"Point dataset.path at the folder that holds train."
    )


def _train(base: Path) -> list[Path]:
    """Return the folders of the training patients."""
    for place in (base / "train", base / "train" / "train"):
        if found := [path for path in visible(place) if _PATIENT.fullmatch(path.name) and path.is_dir()]:
            return found
    return []


def training_scans(base: Path) -> list[Scan]:
    """Return the labelled scans by patient.

    Raises:
        DataInvalid: a patient without image or without ground truth.
    """
    return [_training_scan(folder) for folder in _train(base)]


def _training_scan(folder: Path) -> Scan:
    files = {path.name: path for path in visible(folder) if path.is_file()}
    image, label = (
        next((files[stem + ending] for ending in _ENDINGS if stem + ending in files), None)
        for stem in (folder.name, "GT")
    )
    if image is None or label is None:
        raise DataInvalid(
            f"{folder}: expected {folder.name}.nii.gz and GT.nii.gz, found {', '.join(files) or 'nothing'}. "
            f"Unpack the archive afresh."
        )
    return Scan(folder.name, image, label, tuple(path for name, path in files.items() if _EXTRA.fullmatch(name)))


def unlabelled_scans(base: Path) -> list[Scan]:
    """Return the scans without ground truth by patient; none if there is no folder ``test``."""
    for place in (base / "test", base / "test" / "test"):
        files = {path.name: path for path in visible(place) if path.is_file()}
        scans = {
            name: path
            for ending in reversed(_ENDINGS)  # .nii.gz goes before .nii
            for file, path in files.items()
            if file.endswith(ending) and _PATIENT.fullmatch(name := file.removesuffix(ending))
        }
        if scans:
            return [Scan(name, path, None) for name, path in sorted(scans.items())]
    return []


def altered_archives(base: Path) -> Iterator[tuple[Path, str]]:
    """Yield the archives in or beside a folder that are known to be altered, and what they are.

    Raises:
        DataInvalid: an archive that may not be read.
    """
    for path in (*visible(base), *visible(base.parent)):
        if _ARCHIVE.fullmatch(path.name) and path.is_file() and (digest := _sha256(path)) in ALTERED:
            yield path, ALTERED[digest]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataInvalid(f"{path}: expected a readable file, found: {error.strerror}. Check its rights.") from error
