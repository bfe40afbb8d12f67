"""Names of label map files: endings, suffixes, BIDS entities, and folders listed without trusting what is in them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from segbench.errors import UsageError, safe_name

ENDINGS = (
    *(".nii.gz", ".nii", ".seg.nrrd", ".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".hdr"),
    *(".png", ".bmp", ".gif", ".tif", ".tiff", ".dcm", ".npz"),
)
"""Endings of files that may be label maps; of a header with a voxel file beside it, the header."""
COMPANIONS = {
    ".mhd": (".raw", ".zraw", ".raw.gz"),
    ".nhdr": (".raw", ".raw.gz"),
    ".hdr": (".img", ".img.gz"),
    ".hdr.gz": (".img.gz", ".img"),
}
"""Ending of a header -> endings of the voxel file beside it, best first."""
_SUFFIXES = "prediction|pred|trans|segmentation|segm|seg|dseg|mask|labelmap|labels|label|groundtruth|gt|truth|manual"
_SUFFIX = re.compile(rf"[._-]({_SUFFIXES})$", re.IGNORECASE)
_CHANNEL = re.compile(r"_0000$")
_HOLDER = re.compile(rb"^\s*(?:ElementDataFile *=|data ?file *:)[ \t]*([^\r\n]*?)\s*$", re.MULTILINE | re.IGNORECASE)
_LONGEST_HEADER = 1 << 16
_UNSAFE = re.compile(r"[^A-Za-z0-9._+@-]+")
_DERIVED = ("desc", "space", "res", "atlas", "seg", "label")
"""BIDS entities that tell derivatives of one image apart, not images."""


@dataclass(frozen=True)
class Files:
    """Label map files by name.

    Attributes:
        names: stem -> the files of that stem (more than one is ambiguous), sorted by stem.
        faults: files among them that cannot be read, and why.
    """

    names: dict[str, list[Path]] = field(default_factory=dict)
    faults: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def merged(cls, parts: Iterable[Files]) -> Files:
        """Return the files of several lists as one."""
        names: dict[str, list[Path]] = {}
        faults: dict[Path, str] = {}
        for part in parts:
            faults |= part.faults
            for name, paths in part.names.items():
                names.setdefault(name, []).extend(paths)
        return cls(dict(sorted(names.items())), faults)

    def without_archives(self) -> Files:
        """Leave out every ``.npz``: beside nnU-Net's predictions they hold probabilities."""
        kept = {name: [path for path in paths if path.suffix.lower() != ".npz"] for name, paths in self.names.items()}
        return Files({name: paths for name, paths in kept.items() if paths}, self.faults)

    def without_images(self) -> Files:
        """Leave out ``x`` where ``x_segmentation`` (or another suffix) stands beside it: that is its image."""
        images = {bare(name) for name in self.names if bare(name) != name} & self.names.keys()
        return Files({name: paths for name, paths in self.names.items() if name not in images}, self.faults)


def stem(path: Path) -> str:
    """Return the file name without a known ending, or "" if the ending is none of ``ENDINGS``."""
    lower = path.name.lower()
    for ending in ENDINGS:
        if lower.endswith(ending):
            return path.name[: -len(ending)]
    return ""


def bare(name: str, *, channel: bool = False) -> str:
    """Return a stem without one suffix that says "this is a segmentation".

    Args:
        name: e.g. ``case_12_pred``.
        channel: also drop ``_0000``, which predictions carry that were named after nnU-Net's images.
    """
    shorter = _SUFFIX.sub("", name)
    shorter = _CHANNEL.sub("", shorter) if channel else shorter
    return shorter or name


def case_name(text: str) -> str:
    """Return a name that is safe as one path component: the text itself, or a cleaned form marked by a hash of it."""
    try:
        return safe_name(text, "case")
    except UsageError:
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        cleaned = _UNSAFE.sub("_", text).strip("._+@-")[:100] or "case"
        return f"{cleaned}@{digest}"


def entities(name: str) -> str:
    """Return the BIDS entities that tell images apart, e.g. ``sub-01_ses-2`` of ``sub-01_ses-2_desc-manual_dseg``."""
    parts = [part for part in name.split("_") if "-" in part and part.partition("-")[0] not in _DERIVED]
    return "_".join(parts) or bare(name)


def files_in(folder: Path, *, deep: bool = False, ending: str = "") -> Files:
    """List the label maps in a folder.

    Args:
        folder: what to list.
        deep: also its subfolders; linked ones are not entered.
        ending: only stems that end so.

    Raises:
        OSError: if the folder cannot be listed.
    """
    names: dict[str, list[Path]] = {}
    faults = {}
    for path in sorted(_walk(folder) if deep else folder.iterdir()):
        name = stem(path)
        if not name or name.startswith((".", "_")) or not name.endswith(ending) or path.name.startswith((".", "_")):
            continue
        names.setdefault(name, []).append(path)
        if fault := _unusable(path):
            faults[path] = fault
    names = {name: _without_archives(paths) for name, paths in names.items()}
    return Files(dict(sorted(names.items())), faults)


def _without_archives(paths: list[Path]) -> list[Path]:
    """Leave out an ``.npz`` with an image of the same stem beside it: probabilities, as nnU-Net writes them."""
    return [path for path in paths if path.suffix.lower() != ".npz"] or paths


def _walk(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        yield from (Path(where) / name for name in files)


def _unusable(path: Path) -> str:
    """Return why a path is no file that can be read, or ""."""
    try:
        if path.is_file():
            return ""
        return "is a link that leads nowhere" if path.is_symlink() else "is not a regular file"
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"


def voxel_file(path: Path) -> Path | None:
    """Return the file that holds an image's voxels: itself, or the one beside a header; None if that is not there.

    A MetaImage or NRRD header names the file; else it is the one that is called like the header.
    """
    lower = path.name.lower()
    header = next((ending for ending in COMPANIONS if lower.endswith(ending)), "")
    if not header:
        return path
    stem = path.name[: -len(header)]
    names = [stem + ending for ending in COMPANIONS[header]]
    if header in (".mhd", ".nhdr") and (listed := _listed_holder(path)) is not None:
        names = [listed] if listed == Path(listed).name else []  # nothing outside the header's folder is looked at
    return next((found for name in names if (found := path.with_name(name)).is_file()), None)


def _listed_holder(path: Path) -> str | None:
    """Return the file that a header names, or None if it names none or cannot be read."""
    try:
        with path.open("rb") as file:
            match = _HOLDER.search(file.read(_LONGEST_HEADER))
    except OSError:
        return None
    return match[1].decode("utf-8", "surrogateescape") if match else None


def content_hash(path: Path) -> str:
    """Return SHA-256 over the bytes of a file and of its voxel file, or "unreadable"."""
    digest = hashlib.sha256()
    try:
        for file in dict.fromkeys((path, voxel_file(path) or path)):
            if not file.is_file():  # nobody may write to a pipe
                return "unreadable"
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    except OSError:
        return "unreadable"
    return digest.hexdigest()
