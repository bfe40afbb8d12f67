"""Tables of labels that lie beside label maps: FreeSurfer's colour tables, ITK-SNAP's and 3D Slicer's descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from segbench.errors import DataInvalid
from segbench.files.formats import names_of
from segbench.files.segments import Names, plain_name

PATTERNS = ("*LUT*.txt", "*ColorLUT*", "*.ctbl", "*.label", "*label*.txt", "*Label*.txt", "*.ctab")
"""Names that such tables have."""
_LARGEST = 1 << 24
_FREESURFER = re.compile(r"^\s*(\d+)\s+(\S+)\s+\d+\s+\d+\s+\d+\s+\d+\s*$")
_SNAP = re.compile(r'^\s*(\d+)\s+\d+\s+\d+\s+\d+\s+[\d.]+\s+[01]\s+[01]\s+"([^"]*)"\s*$')
_BACKGROUND = ("unknown", "clear label", "background")


def read_names(path: Path) -> Names:
    """Return name -> values of a table: lines of value, name and colour (FreeSurfer, Slicer) or ITK-SNAP's.

    Background (0) is left out. A name that stands for several values is the union of them.

    Args:
        path: a text file.

    Raises:
        DataInvalid: a file that cannot be read, or has lines of neither kind.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise DataInvalid(f"{path}: expected a table of labels, found {path.stat().st_size:,} bytes. Correct it.")
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise DataInvalid(f"{path}: expected a readable table, found: {error.strerror}. Check its rights.") from error
    names: Names = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _FREESURFER.match(line) or _SNAP.match(line)
        if match is None:
            raise DataInvalid(
                f"{path}: expected lines such as `17 Left-Hippocampus 220 216 20 0` or "
                f'`1 255 0 0 1 1 1 "liver"`, found {text[:60]!r} in line {number}. Correct it, or give --labels.'
            )
        value, name = int(match[1]), match[2].strip()
        if value > 0 and name and name.casefold() not in _BACKGROUND:
            names[name] = (*names.get(name, ()), value)
    return names


def find_table(folder: Path) -> Path | None:
    """Return the only table of labels in a folder, or None if there is none or several."""
    try:
        found = {path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file()}
    except OSError:
        return None
    tables = [path for path in sorted(found) if not path.name.startswith(".") and _is_table(path)]
    return tables[0] if len(tables) == 1 else None


def _is_table(path: Path) -> bool:
    try:
        return bool(read_names(path))
    except DataInvalid:
        return False


def names_of_files(paths: Iterable[Path]) -> Names:
    """Return name -> values over files that name their segments themselves: values count from 1 unless all agree.

    Names that differ in case or spaces alone are one. Scoring matches each file by its own names, so that the values
    here only tell structures apart.

    Args:
        paths: ``.seg.nrrd``, DICOM SEG, NIfTI with a label table; others say nothing.

    Raises:
        DataInvalid: a file that cannot be read.
    """
    return common_names(names_of(path) for path in paths)


def common_names(tables: Iterable[Names]) -> Names:
    """Return name -> values over the names of several files; see ``names_of_files``."""
    said: dict[str, tuple[str, set[tuple[int, ...]]]] = {}
    for names in tables:
        for name, values in names.items():
            said.setdefault(plain_name(name), (name, set()))[1].add(values)
    own = [next(iter(values)) for _, values in said.values() if len(values) == 1]
    agreed = len(own) == len(said) and all(len(one) == 1 for one in own) and len(set(own)) == len(own)
    return {
        name: next(iter(values)) if agreed else (position,) for position, (name, values) in enumerate(said.values(), 1)
    }
