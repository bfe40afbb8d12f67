"""Finding the files of a case, whatever was packed or converted on the way."""

from __future__ import annotations

from pathlib import Path

from segbench import DataInvalid, voxel_file

ENDINGS = (".nii.gz", ".nii", ".hdr", ".hdr.gz", ".mhd")
"""Endings of an image, best first: some unpacks hold the same image twice."""


def pick(stem: str, *folders: Path) -> Path | None:
    """Return the best file ``stem`` + ending in the first folder that has one, or None."""
    for folder in folders:
        for ending in ENDINGS:
            if (path := folder / f"{stem}{ending}").is_file():
                return path
    return None


def needed(path: Path | None, case: str, what: str) -> Path:
    """Return a path that must be there, with its voxel file.

    Raises:
        DataInvalid: no such file, or a header without voxels.
    """
    if path is None:
        raise DataInvalid(
            f"case {case}: expected {what} ({', '.join(ENDINGS)}), found none. Unpack the whole distribution."
        )
    if voxel_file(path) is None:
        raise DataInvalid(
            f"case {case}: expected a voxel file beside {path}, found none. Unpack the whole distribution."
        )
    return path
