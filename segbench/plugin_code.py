"""The digest of a plugin's source, where no released version stands for it: single files and editable installs."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Iterable
from pathlib import Path

DIGITS = 12
_NOT_SOURCE = ("__pycache__", ".pyc", ".md")


def file_code(file: Path) -> str:
    """Return the digest of a single file."""
    return _digest([file], file.parent)


@functools.cache
def editable_code(distribution: str, module: str) -> str:
    """Return the digest of the package (or module) that ``module`` is in, "" if its distribution is a release.

    Args:
        distribution: that the plugin came with.
        module: of the part's class, loaded already.
    """
    if not _editable(distribution):
        return ""
    root = sys.modules.get(module.partition(".")[0])
    file = getattr(root, "__file__", None)
    if file is None:
        return ""
    path = Path(file)
    if path.name != "__init__.py":
        return file_code(path)
    inside = (one for one in path.parent.rglob("*") if one.is_file() and not _ignored(one))
    return _digest(sorted(inside), path.parent)


def _ignored(path: Path) -> bool:
    return path.suffix in _NOT_SOURCE or _NOT_SOURCE[0] in path.parts


@functools.cache
def _editable(distribution: str) -> bool:
    """Say whether a distribution is installed from a folder that may change under it (PEP 610)."""
    try:
        text = importlib.metadata.distribution(distribution).read_text("direct_url.json")
        origin = json.loads(text) if text else {}
        return bool(origin["dir_info"]["editable"])
    except (importlib.metadata.PackageNotFoundError, KeyError, TypeError, ValueError):
        return False


def _digest(files: Iterable[Path], root: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:DIGITS]
