"""Finding an unpacked distribution and the files of a case in it, whatever was packed or converted on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from segbench import DataInvalid, DataMissing

DEPTH = 3
SHOWN = 5
ENDINGS = (".nii.gz", ".nii", ".hdr", ".hdr.gz", ".mhd")
"""Endings of an image, best first: some unpacks hold the same image twice."""
_VOXELS = {".hdr": (".img.gz", ".img"), ".hdr.gz": (".img.gz", ".img"), ".mhd": (".raw", ".zraw", ".raw.gz")}
"""Ending of a header -> endings of the voxel file beside it, best first."""


def some(names: Iterable[object]) -> str:
    """Return the first few names, and how many more there are."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def visible(folder: Path) -> list[Path]:
    """Return what is in a folder by name, without ``._x``, ``.DS_Store`` and ``__MACOSX``; empty if there is none.

    Raises:
        DataInvalid: a folder that cannot be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataInvalid(
            f"{folder}: expected a readable folder, found: {error.strerror}. Check its rights."
        ) from error


def locate(path: Path | None, patterns: Sequence[str], kind: str, remedy: str) -> Path:
    """Return the folder in which one of the patterns is found: ``path`` itself or the only such folder in it.

    Args:
        path: what the user set.
        patterns: as for ``Path.glob``, at least one match that is not hidden.
        kind: what is looked for, in words.
        remedy: what to get, from where, under which terms, and how to say where it is.

    Raises:
        DataMissing: nothing set, or nothing there.
        DataInvalid: a folder that does not hold it, or holds it more than once.
    """
    if path is None:
        raise DataMissing(f"Expected {kind}, but dataset.path is not set. {remedy}")
    path = path.expanduser()
    try:
        if not path.is_dir():
            found = "a file" if path.exists() else "nothing"
            raise DataMissing(f"Expected {kind} at {path}, found {found} there. {remedy}")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise DataInvalid(f"{path}: expected a readable folder, found: {error.strerror}. Check the path.") from error
    level = [path]
    for _ in range(DEPTH + 1):
        holding = [folder for folder in level if _holds(folder, patterns)]
        if len(holding) == 1:
            return holding[0].resolve()
        if holding:
            raise DataInvalid(
                f"{path}: expected {kind} once, found it in {some(holding)}. Name one: --set dataset.path=DIR."
            )
        level = [child for folder in level for child in visible(folder) if child.is_dir()]
    raise DataInvalid(f"{path}: expected {kind}, found no {' or '.join(patterns)} in it. {remedy}")


def _holds(folder: Path, patterns: Sequence[str]) -> bool:
    return any(
        not any(part.startswith((".", "_")) for part in found.relative_to(folder).parts)
        for pattern in patterns
        for found in folder.glob(pattern)
    )


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
    if voxels_of(path) is None:
        raise DataInvalid(
            f"case {case}: expected a voxel file beside {path}, found none. Unpack the whole distribution."
        )
    return path


def voxels_of(path: Path) -> Path | None:
    """Return the file that holds an image's voxels: itself, or the one beside a header; None if that is not there."""
    ending = ".hdr.gz" if path.name.endswith(".hdr.gz") else path.suffix
    if ending not in _VOXELS:
        return path
    stem = path.name.removesuffix(ending)
    beside = (path.with_name(stem + voxels) for voxels in _VOXELS[ending])
    return next((candidate for candidate in beside if candidate.is_file()), None)


def all_of(path: Path) -> tuple[Path, ...]:
    """Return the files of an image: one, or header and voxels."""
    voxels = voxels_of(path)
    return (path,) if voxels in (path, None) else (path, voxels)
