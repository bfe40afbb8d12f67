"""Files in a folder of label maps that are of no format that is read: said, never passed over in silence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from segbench.evaluation.shelves import DEPTH
from segbench.files.filenames import COMPANIONS, stem
from segbench.names import first_few
from segbench.scoring.pairs import CaseProblem

QUIET = frozenset(
    (
        *(".json", ".txt", ".csv", ".tsv", ".md", ".rst", ".pdf", ".html", ".xml", ".yaml", ".yml", ".toml", ".ini"),
        *(".cfg", ".log", ".pkl", ".xlsx", ".docx", ".py", ".sh", ".ipynb", ".bib", ".ctbl", ".lut", ".label"),
        *(".model", ".pth", ".pt", ".ckpt", ".sha256", ".md5", ".lock"),
    )
)
"""Endings of files that lie beside label maps and are none."""
PLAIN = frozenset(("license", "licence", "readme", "changelog", "authors", "citation", "thumbs.db"))
"""Names of such files, without their ending."""


def overlooked(folder: Path, role: str) -> list[CaseProblem]:
    """Return a note on files in or below a folder that nobody reads, [] if there are none.

    Args:
        folder: of label maps, or one file.
        role: "predictions" or "references", for the message.
    """
    strange = list(_strange(folder)) if folder.is_dir() else []
    if not strange:
        return []
    kinds = sorted({_ending(path) or "without an ending" for path in strange})
    names = first_few(path.relative_to(folder) for path in strange)
    are = "1 file is" if len(strange) == 1 else f"{len(strange)} files are"
    return [CaseProblem("", "note", f"{role}: {are} of no format that is read ({first_few(kinds)}): {names}")]


def what_is_in(folder: Path) -> str:
    """Return in words what is in a folder that has no label map."""
    if not folder.is_dir():
        return "one file of another kind"
    files = [path.relative_to(folder) for path in _files(folder)]
    return f"{len(files)} files that are none ({first_few(files)})" if files else "an empty folder"


def _ending(path: Path) -> str:
    lower = path.name.lower()
    return ".".join(("", *lower.split(".")[-2:])) if lower.endswith(".gz") else path.suffix.lower()


def _strange(folder: Path) -> Iterator[Path]:
    held = {ending for endings in COMPANIONS.values() for ending in endings}
    for path in _files(folder):
        quiet = _ending(path) in QUIET or path.name.lower().partition(".")[0] in PLAIN
        if not (quiet or stem(path) or any(path.name.lower().endswith(ending) for ending in held)):
            yield path


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder, followlinks=False):
        depth = len(Path(where).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_"))) if depth < DEPTH else []
        yield from (Path(where) / name for name in sorted(files) if not name.startswith((".", "_")))
