"""Where the cases of PROMISE12 lie: Zenodo's folders and those of the original site; see README.md."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from segbench import DataInvalid, visible, voxel_file

TRAINING, TEST = "training", "test"
_FOLDERS = {
    TRAINING: re.compile(r"training_?data(_part\d)?|train(ing)?", re.IGNORECASE),
    TEST: re.compile(r"test_?data|test(ing)?", re.IGNORECASE),
}
_IMAGE = re.compile(r"(case\d{2})\.mhd")
_ENTRY = re.compile(r"^\s*(\w+)\s*=\s*(.*?)\s*$", re.MULTILINE)
_LONGEST_HEADER = 65_536
_BYTES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "FLOAT": 4, "DOUBLE": 8}
"""Bytes of a voxel, by the name in the header without its MET_."""


@dataclass(frozen=True)
class Scan:
    """The files of one case; training and test share names, so the part belongs to the case.

    Attributes:
        part: training or test.
        number: e.g. ``Case00``.
        image: the ``.mhd`` of the T2 image.
        label: the ``.mhd`` of the prostate, or None.
    """

    part: str
    number: str
    image: Path
    label: Path | None

    @property
    def name(self) -> str:
        """The case's id."""
        return f"{self.part}_{self.number}"


def find_scans(folder: Path) -> dict[str, Scan]:
    """Return case id -> files, training before test, by number.

    Args:
        folder: holds ``training_data`` (and ``test_data``), or ``TrainingData_Part1`` and so on (and ``TestData``), or
            the training cases themselves; one folder more round them does no harm.

    Raises:
        DataInvalid: no training cases, a case twice, or a training case without mask.
    """
    scans = _in_parts(folder) or _inside(folder) or _cases(folder, _part(folder) or TRAINING)
    if not any(scan.part == TRAINING for scan in scans):
        raise DataInvalid(
            f"{folder}: expected PROMISE12 with training_data/Case00.mhd (or TrainingData_Part1/Case00.mhd) and so on, "
            f"found none. Point dataset.path at the folder that holds the unpacked archives."
        )
    by_name: dict[str, Scan] = {}
    for scan in sorted(scans, key=lambda scan: (scan.part != TRAINING, scan.number)):
        if scan.name in by_name:
            raise DataInvalid(
                f"{folder}: expected every case once, found {by_name[scan.name].image} and {scan.image}. "
                f"Keep one copy, Zenodo's or that of the original site."
            )
        if scan.part == TRAINING and scan.label is None:
            raise DataInvalid(f"{scan.image}: expected a mask beside it, found none. Unpack the archive afresh.")
        by_name[scan.name] = scan
    return by_name


def _part(folder: Path) -> str | None:
    return next((part for part, pattern in _FOLDERS.items() if pattern.fullmatch(folder.name)), None)


def _in_parts(base: Path) -> list[Scan]:
    """Return the cases in folders called like the archives."""
    parts = [(path, part) for path in visible(base) if path.is_dir() and (part := _part(path))]
    return [scan for path, part in parts for scan in _cases(path, part) or _in_parts(path)]


def _inside(folder: Path) -> list[Scan]:
    """Return the cases of the only folder inside that holds such folders."""
    copies = {path: found for path in visible(folder) if path.is_dir() and (found := _in_parts(path))}
    if len(copies) > 1:
        raise DataInvalid(
            f"{folder}: expected one copy of PROMISE12, found {', '.join(path.name for path in copies)}. "
            f"Point dataset.path at one of them."
        )
    return next(iter(copies.values()), [])


def _cases(folder: Path, part: str) -> list[Scan]:
    """Return the cases that lie in a folder."""
    files = {path.name.lower(): path for path in visible(folder) if path.is_file()}
    return [
        Scan(part, match[1].capitalize(), path, files.get(f"{match[1]}_segmentation.mhd"))
        for name, path in files.items()
        if (match := _IMAGE.fullmatch(name))
    ]


def read_header(path: Path) -> dict[str, str]:
    """Return the entries of a ``.mhd`` header whose voxels lie in a file beside it.

    Raises:
        DataInvalid: no such header, one without the size of a voxel (readers would take 1 mm), a voxel file outside
            the folder, none, or one of another length than the header says.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_HEADER).decode("latin-1")
    except OSError as error:
        raise DataInvalid(f"{path}: expected a readable header, found: {error.strerror}. Check its rights.") from error
    entries = dict(_ENTRY.findall(text))
    if missing := [name for name in ("DimSize", "ElementSpacing", "ElementDataFile") if name not in entries]:
        raise DataInvalid(f"{path}: expected a MetaImage header with {missing[0]}, found none. Get an intact copy.")
    listed = entries["ElementDataFile"]
    if not listed or listed != Path(listed).name or "\\" in listed:
        raise DataInvalid(f"{path}: expected voxels in a file beside it, found {listed!r}. Do not trust this copy.")
    voxels = voxel_file(path)
    if voxels is None:
        raise DataInvalid(f"{path}: expected the voxels in {listed}, found no such file. Unpack the archive afresh.")
    expected, found = _length(entries), voxels.stat().st_size
    if expected is not None and found != expected:
        raise DataInvalid(f"{path}: expected {expected} bytes in {listed}, found {found}. Unpack the archive afresh.")
    return entries


def _length(entries: dict[str, str]) -> int | None:
    """Return how long the voxel file must be, or None where the header does not say: compressed or in unusual ways."""
    each = _BYTES.get(entries.get("ElementType", "").removeprefix("MET_"))
    sizes = entries["DimSize"].split()
    unusual = (
        entries.get("CompressedData", "False").lower() == "true"
        or {"HeaderSize", "ElementNumberOfChannels"} & entries.keys()
    )
    if each is None or unusual or not all(size.isdecimal() for size in sizes):
        return None
    return each * math.prod(int(size) for size in sizes)
